"""Commands on Slack, which are all text: what stands behind `/roost`, what is said to the bot, what begins with `!`.
Pure.

Slash commands do not work in threads (Slack's documentation, Implementing slash commands), so that the same can be said
there: `@roost status`, `!status`. What is not exactly a command is a message for the agent.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.offers import CommandInfo, CommandSpec, OptionInfo
from adapters.slack.escapes import unescaped

ROOT: Final = "/roost"
HELP: Final = "help"
MARK: Final = "!"
YES: Final = "true"
MAX_WORDS: Final = 2_000

_QUOTES: Final = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "\u00a0": " "})
_DASHES: Final = re.compile(r"(?<!\S)[—–](?=[A-Za-z])")
"""What a telephone makes of two hyphens."""
_ESCAPE: Final = re.compile(r"<([^<>]{1,4000})>")
_NAMED: Final = re.compile(r"(?:--)?([A-Za-z][A-Za-z0-9_-]{0,40})[:=](.*)", re.DOTALL)
_FLAG: Final = re.compile(r"--([A-Za-z][A-Za-z0-9_-]{0,40})")
_FIRST: Final = re.compile(r"!([a-z]{2,40})(?:\s|$)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Command:
    """What was given: a command's name, and what belongs to it, as an Event has it. `text` among it is what was given
    by its order."""

    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wrong:
    """Nothing that can be done; `sentence` says why."""

    sentence: str


def parse(text: str, infos: Sequence[CommandInfo]) -> Command | Wrong:
    """What stands behind the slash command, with Slack's escapes in it. Nothing is a question for help."""
    words = _words(_plain(text))
    if not words:
        return Command(HELP)
    spec, rest = _found(words, infos)
    if spec is None:
        return _unknown(words[0], infos)
    return Command(spec.name, _arguments(spec, rest))


def marked(text: str, infos: Sequence[CommandInfo]) -> Command | Wrong | None:
    """What a message is that begins with a mark and the first word of a command; None for one that does not."""
    found = _FIRST.match(text)
    if found is None or found[1].lower() not in {info.name for info in infos}:
        return None
    return parse(text[len(MARK) :], infos)


def addressed(text: str, infos: Sequence[CommandInfo]) -> Command | None:
    """What was said to the bot by name, where that is a command and nothing else: "help me write" is none. What is
    given by its order has to look like an id, or be among the choices."""
    words = _words(_plain(text))
    if not words or len(words) > MAX_WORDS:
        return None
    spec, rest = _found(words, infos)
    if spec is None or "\n" in text.strip():
        return None
    named = [word for word in rest if _option(word, spec)]
    plain = [word for word in rest if word not in named]
    if len(plain) > len(spec.options) or not all(_is_meant(word, spec.options) for word in plain):
        return None
    if len(plain) + len(named) < sum(option.required for option in spec.options):
        return None
    return Command(spec.name, _arguments(spec, rest))


def _is_meant(word: str, options: Sequence[OptionInfo]) -> bool:
    return any(char.isdigit() for char in word) or any(word in option.choices for option in options)


def _plain(text: str) -> str:
    """Ids in the place of Slack's escapes for people and channels, and the rest as it was typed."""

    def inner(found: re.Match[str]) -> str:
        target, _, label = found[1].partition("|")
        if target[:1] in ("@", "#"):
            return target[1:]
        return label or target.removeprefix("mailto:")

    typed = unescaped(_ESCAPE.sub(inner, text)).translate(_QUOTES)
    return _DASHES.sub("--", typed).strip()


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()  # A lone quote, as in: don't


def _specs(infos: Sequence[CommandInfo]) -> Iterator[CommandSpec]:
    for info in infos:
        yield from info.specs or (CommandSpec(info.name, info.summary),)


def _found(words: Sequence[str], infos: Sequence[CommandInfo]) -> tuple[CommandSpec | None, Sequence[str]]:
    """The command that these words begin with, the longest name first, and the words that are left."""
    by_name = {spec.name: spec for spec in _specs(infos)}
    for count in (2, 1):
        spec = by_name.get(" ".join(words[:count]).lower())
        if spec is not None and len(words) >= count:
            return spec, words[count:]
    return None, words


def _unknown(word: str, infos: Sequence[CommandInfo]) -> Command | Wrong:
    first = word.lower().lstrip("/")
    if any(first == info.name for info in infos):
        # Half a command: the service says how the whole of it goes.
        return Command(first)
    close = difflib.get_close_matches(first, [info.name for info in infos], n=1)
    hint = f"Did you mean `{ROOT} {close[0]}`?" if close else f"`{ROOT} help` lists the commands."
    return Wrong(f"There is no such command. {hint}")


def _option(word: str, spec: CommandSpec) -> str | None:
    """The option that a word gives by its name."""
    found = _NAMED.fullmatch(word) or _FLAG.fullmatch(word)
    if found is None:
        return None
    name = found[1].replace("-", "_").lower()
    return name if word.startswith("--") or any(name == each.name for each in spec.options) else None


def _arguments(spec: CommandSpec, words: Sequence[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    plain: list[str] = []
    waiting = iter(words)
    for word in waiting:
        name = _option(word, spec)
        if name is None:
            plain.append(word)
        elif (found := _NAMED.fullmatch(word)) is not None:
            named[name] = found[2]
        elif any(each.name == name and each.kind == "flag" for each in spec.options):
            named[name] = YES
        else:
            named[name] = next(waiting, "")
    if any(" " in word for word in plain):
        # What was quoted is one word, and only a name keeps it one.
        free = [option.name for option in spec.options if option.name not in named]
        return {**dict(zip(free, plain, strict=False)), **named}
    return {**named, "text": " ".join(plain)} if plain else named
