"""Commands on Slack: what somebody means who gives one as text, and how it is told what they may give. Pure.

Slack's own is `/roost`, whose text is all that it says (its documentation, Slash commands); there are none in threads,
where a command is a mention of the bot with nothing else behind it, or begins with `!`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from adapters.offers import CommandInfo, CommandSpec, OptionInfo
from adapters.slack.words import MAX_CHARS, Word, resolved, words
from adapters.text import shown_name

ROOT: Final = "/roost"
HELP: Final = "help"
HELP_WORDS: Final = f"{ROOT} {HELP}"
SIGN: Final = "!"
"""Begins a command where there are no slash commands."""
SHOWN_CHARS: Final = 60
REFERRED: Final = frozenset({"person", "group", "who", "place"})
"""The kinds of options that name somebody or something of Slack's."""
_TRUE: Final = frozenset({"true", "yes", "on", "1", "y"})
_FALSE: Final = frozenset({"false", "no", "off", "0", "n"})


@dataclass(frozen=True)
class Given:
    """A command with what its options hold, as adapters.base.Event wants it."""

    name: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """Nothing to be run: `text` is for the person, what is wrong or the help that they asked for."""

    text: str


@dataclass(frozen=True)
class Unfinished:
    """A command of which something is missing, with what its options hold: its form asks for the rest. `text` says how
    it goes, where there can be no form."""

    spec: CommandSpec
    arguments: Mapping[str, str]
    text: str


@dataclass(frozen=True)
class Several:
    """Half a name: one of these is meant."""

    info: CommandInfo


Meant = Given | Told | Unfinished | Several


def parse(text: str, infos: Sequence[CommandInfo]) -> Meant:
    """What the text of the slash command means. Without a word it is help."""
    first = words(text)
    if len(text) > MAX_CHARS:
        return Told(f"A command can be {MAX_CHARS:,} characters long.")
    if not first:
        return Given(HELP)
    spelled = [each.value.lower() for each in first[:3]]
    found = spec(spelled, infos)
    if found is not None:
        return _filled(found, text, first)
    group = _group(spelled[0], infos)
    if group is None:
        return Told(_unknown(spelled[0], infos))
    if len(first) == 1:
        return Several(group)
    return Told(_unknown(" ".join(spelled[:2]), infos))


def spoken(text: str, infos: Sequence[CommandInfo], *, addressed: bool) -> Given | Unfinished | None:
    """The command that somebody has said, where that is all of what they said: "help me write" is none, and neither is
    "!important". `addressed`: they have named the bot, as whoever says anything to it may have done; the options of a
    command of one word are then given by name, or "model trains for me" would be one. With the sign and the two words
    of a command it is one even where something is missing."""
    text = text.strip()
    signed = text.startswith(SIGN)
    if not (signed or addressed):
        return None
    said = text[len(SIGN) :] if signed else text
    if not said or said[0].isspace():
        return None
    first = words(said)
    known = spec([each.value.lower() for each in first[:2]], infos)
    if known is None:
        return None
    found = _filled(known, said, first)
    is_sure = signed and " " in known.name
    if isinstance(found, Told) or (isinstance(found, Unfinished) and not is_sure):
        return None
    loose = _loose(known, said, first)
    if (
        loose
        and " " not in known.name
        and (not signed or (known.name == HELP and not _is_help(loose, infos)))
    ):
        return None
    return found


def usage(spec: CommandSpec) -> str:
    """How a command is given, in a line."""
    shown = " ".join(_shown(spec))
    return f"`{ROOT} {spec.name}{' ' + shown if shown else ''}`"


# ---------------------------------------------------------------- which command


def _specs(infos: Sequence[CommandInfo]) -> Iterator[CommandSpec]:
    for info in infos:
        yield from info.specs or (CommandSpec(info.name, info.summary),)


def spec(spelled: Sequence[str], infos: Sequence[CommandInfo]) -> CommandSpec | None:
    """The command that some words begin with, the longest name first."""
    known = {spec.name: spec for spec in _specs(infos)}
    for count in (2, 1):
        if len(spelled) >= count and (found := known.get(" ".join(spelled[:count]))) is not None:
            return found
    return None


def _is_help(loose: Sequence[Word], infos: Sequence[CommandInfo]) -> bool:
    """Whether what stands behind "!help" is about a command, and not what somebody wants help with."""
    spelled = [each.value.lower() for each in loose]
    return spec(spelled, infos) is not None or (len(spelled) == 1 and _group(spelled[0], infos) is not None)


def _group(word: str, infos: Sequence[CommandInfo]) -> CommandInfo | None:
    return next((info for info in infos if info.name == word), None)


def _unknown(name: str, infos: Sequence[CommandInfo]) -> str:
    known = [spec.name for spec in _specs(infos)]
    close = difflib.get_close_matches(name[:SHOWN_CHARS], known, n=1)
    hint = f"did you mean `{ROOT} {close[0]}`?" if close else f"`{ROOT} {HELP}` lists all of them."
    return f"There is no command {_quoted(name)}; {hint}"


# ---------------------------------------------------------------- what it takes


def _filled(spec: CommandSpec, text: str, first: Sequence[Word]) -> Given | Told | Unfinished:
    """The command with its arguments, or what is wrong with them."""
    names = {option.name: option for option in spec.options}
    named, loose = _sorted(spec, text, first)
    arguments: dict[str, str] = {}
    for word in named:
        if word.name in arguments:
            return _wrong(spec, f"The option {word.name} is given twice")
        arguments[word.name] = _of(names[word.name], word)
        if word.bare and names[word.name].kind != "flag":
            return _wrong(spec, f"The option {word.name} is empty")
    for option in _in_turn(spec, arguments, len(loose)):
        if option.name in arguments or not loose:
            continue
        arguments[option.name] = _rest(text, loose) if option.rest else _of(option, loose[0])
        loose = [] if option.rest else loose[1:]
    if loose:
        return _wrong(spec, f"{_quoted(loose[0].value)} is one word too many")
    for trouble in troubles(spec, arguments):
        return _wrong(spec, trouble)
    typed = {name: _typed(names[name], value) for name, value in arguments.items()}
    missing = next((each for each in spec.options if each.required and each.name not in arguments), None)
    if missing is not None:
        return Unfinished(spec, typed, _wrong(spec, f"The option {missing.name} is missing").text)
    long = next((each for each in spec.options if each.long and each.name not in arguments), None)
    if long is not None and all(names[name].required for name in arguments):
        return Unfinished(spec, typed, _wrong(spec, f"The option {long.name} can be given, too").text)
    return Given(spec.name, typed)


def troubles(spec: CommandSpec, arguments: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with what the options of a command hold, each in half a sentence that names its option."""
    names = {option.name: option for option in spec.options}
    for name, value in arguments.items():
        if (trouble := _trouble(names[name], value)) is not None:
            yield trouble


def _of(option: OptionInfo, word: Word) -> str:
    """What an option holds that was given a word: whom or what is mentioned counts by its id."""
    if word.bare and option.kind == "flag":
        return "true"
    return word.named if option.kind in REFERRED else word.value


def _loose(spec: CommandSpec, text: str, first: Sequence[Word]) -> list[Word]:
    """The words that name no option."""
    return _sorted(spec, text, first)[1]


def _sorted(spec: CommandSpec, text: str, first: Sequence[Word]) -> tuple[list[Word], list[Word]]:
    """The options that are given by name, and the words that are not. Of a command that takes the rest, what stands
    between two such words is theirs, whatever it looks like."""
    count = len(spec.name.split())
    begun = first[count - 1].end
    names = {option.name for option in spec.options}
    flags = {option.name for option in spec.options if option.kind == "flag"}
    found = [
        replace(each, start=each.start + begun, end=each.end + begun)
        for each in words(text[begun:], names, flags)
    ]
    loose = [index for index, each in enumerate(found) if not each.name]
    if loose and any(option.rest for option in spec.options):
        held = range(loose[0], loose[-1] + 1)
        named = [each for index, each in enumerate(found) if index not in held]
        return named, [found[index] for index in held]
    return [each for each in found if each.name], [each for each in found if not each.name]


def _in_turn(spec: CommandSpec, named: Mapping[str, str], count: int) -> Iterable[OptionInfo]:
    """Those that `count` words go to. A place stands first in every usage and every hint, but whoever is there leaves
    it out: with no more words than are needed, those have it."""
    first = spec.options[0] if spec.options else None
    needed = sum(each.required and each.name not in named for each in spec.options)
    if first is None or first.kind != "place" or first.name in named or count <= needed:
        return _by_order(spec)
    return [first, *(each for each in _by_order(spec) if each is not first)]


def _by_order(spec: CommandSpec) -> Iterator[OptionInfo]:
    """The options that words are given to."""
    for option in sorted(spec.options, key=lambda each: not each.required):
        yield option
        if option.rest:
            return


def _rest(text: str, loose: Sequence[Word]) -> str:
    """All of these, with what stands between them; a single one may stand in quotes."""
    if len(loose) == 1 and not loose[0].name:
        return loose[0].value
    return resolved(text[loose[0].start : loose[-1].end])


def _trouble(option: OptionInfo, value: str) -> str | None:
    """What is wrong with what an option holds."""
    if option.kind == "number" and not _is_number(value):
        return f"The option {option.name} is no whole number"
    if option.kind == "flag" and value.lower() not in _TRUE | _FALSE:
        return f"The option {option.name} is neither true nor false"
    if option.choices and value.lower() not in (each.lower() for each in option.choices):
        return f"The option {option.name} is none of {', '.join(option.choices)}"
    if option.max_chars is not None and len(value) > option.max_chars:
        return f"The option {option.name} is longer than {option.max_chars:,} characters"
    if option.required and not value.strip():
        return f"The option {option.name} is empty"
    return None


def _is_number(value: str) -> bool:
    return value.isascii() and value.removeprefix("-").isdecimal() and len(value) <= 18


def _typed(option: OptionInfo, value: str) -> str:
    if option.kind == "flag":
        return "true" if value.lower() in _TRUE else "false"
    return next((each for each in option.choices if each.lower() == value.lower()), value)


# ---------------------------------------------------------------- what people are told


def _wrong(spec: CommandSpec, what: str) -> Told:
    return Told(f"{what}; it goes like this: {usage(spec)}")


def _shown(spec: CommandSpec) -> Iterator[str]:
    loose = [option.name for option in _by_order(spec)]
    for option in spec.options:
        shown = option.name.upper() if option.name in loose else f"{option.name}:{option.name.upper()}"
        yield shown if option.required else f"[{shown}]"


def _quoted(text: str) -> str:
    """What somebody has typed, within a sentence of ours."""
    return f"“{shown_name(text.replace('`', ''), SHOWN_CHARS)}”"
