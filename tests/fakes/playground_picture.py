"""What can be seen in a fake platform at a moment, and what has changed from one moment to the next, as lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

THINKING: Final = "(thinks)"
INDENT: Final = " " * 4


@dataclass(frozen=True)
class Seen:
    """A message as it can be read now. `choices` are buttons and options with the numbers by which they are clicked."""

    number: int
    place: str
    author: str
    text: str
    files: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    reactions: frozenset[tuple[str, str]] = frozenset()
    """Emoji and who has put it there."""
    answers: int | None = None
    only_for: str | None = None


@dataclass(frozen=True)
class Picture:
    """Everything at one moment."""

    messages: Mapping[int, Seen]
    typing: frozenset[str] = frozenset()
    """Places in which the bot types."""
    threads: Mapping[str, str] = field(default_factory=dict)
    """What each thread is called, by its handle."""
    notes: frozenset[str] = frozenset()
    """What else is so now, a line each."""


EMPTY: Final = Picture({})


def changes(before: Picture, after: Picture) -> Iterator[str]:
    """What has happened between two moments, a line each or several for a long text."""
    for handle, name in after.threads.items():
        if handle not in before.threads:
            yield f"{handle} is a thread: {name}"
        elif before.threads[handle] != name:
            yield f"{handle} is called: {name}"
    for number, seen in after.messages.items():
        old = before.messages.get(number)
        if old is None:
            yield from _new(seen)
        elif old != seen:
            yield from _changed(old, seen)
    for number, old in before.messages.items():
        if number not in after.messages:
            yield f"{old.place} [{number}] is gone"
    yield from (f"{place} the bot types" for place in sorted(after.typing - before.typing))
    yield from sorted(after.notes - before.notes)


def _new(seen: Seen) -> Iterator[str]:
    about = f" (to {seen.answers})" if seen.answers is not None else ""
    about += f" (only for {seen.only_for})" if seen.only_for is not None else ""
    yield from _lines(f"{seen.place} [{seen.number}] {seen.author}{about}:", seen.text)
    yield from (f"{INDENT}file {file}" for file in seen.files)
    yield from _beneath(seen.choices)
    yield from _reactions(seen, frozenset())


def _changed(old: Seen, new: Seen) -> Iterator[str]:
    where = f"{new.place} [{new.number}]"
    if new.text != old.text and old.text and new.text.startswith(old.text) and old.text != THINKING:
        yield from _lines(f"{where} +", new.text[len(old.text) :].lstrip())
    elif new.text != old.text:
        yield from _lines(f"{where} =", new.text)
    yield from (f"{INDENT}file {file}" for file in new.files if file not in old.files)
    yield from (f"{INDENT}file {file} is gone" for file in old.files if file not in new.files)
    if new.choices != old.choices:
        yield from _beneath(new.choices or ("no more buttons",))
    yield from _reactions(new, old.reactions)


def _reactions(seen: Seen, before: frozenset[tuple[str, str]]) -> Iterator[str]:
    where = f"{seen.place} [{seen.number}]"
    yield from (f"{where} {emoji} by {who}" for emoji, who in sorted(seen.reactions - before))
    yield from (f"{where} no {emoji} by {who} any more" for emoji, who in sorted(before - seen.reactions))


def _beneath(choices: Sequence[str]) -> Iterator[str]:
    if choices:
        yield INDENT + "   ".join(choices)


def _lines(head: str, text: str) -> Iterator[str]:
    first, *more = text.strip("\n").split("\n")
    yield f"{head} {first}".rstrip()
    yield from (f"{INDENT}{line}" for line in more)
