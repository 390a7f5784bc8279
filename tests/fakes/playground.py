"""A platform to try things in: two people, some channels and direct messages, acted in by lines and seen as lines."""

from __future__ import annotations

import mimetypes
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.fakes.playground_lines import Kind, Line, Unclear, understood
from tests.fakes.playground_picture import EMPTY, Picture, changes

PEOPLE: Final = ("ada", "bob")
CHANNELS: Final = ("general", "random")
MENTION: Final = re.compile(r"(?<!\w)@(\w+)")
LOOK_SECONDS: Final = 3600.0


class Playground(ABC):
    """What a platform's own playground makes of its lines and of its picture. `say` is given each line that there is to
    see; what its people cannot do is raised as one of `cannot`."""

    def __init__(
        self,
        people: Mapping[str, Any],
        kinds: Mapping[str, Kind],
        say: Callable[[str], None],
        cannot: type[Exception],
    ) -> None:
        self.changed_at = 0
        """When something was to be seen last, in epoch milliseconds of the world's clock."""
        self._say = say
        self._known = people
        self._kinds = kinds
        self._cannot = cannot
        self._picture = EMPTY

    # ---------------------------------------------------------------- what each platform has

    @property
    @abstractmethod
    def prompt(self) -> str:
        """Who would say the next line, and where."""

    @property
    @abstractmethod
    def waits(self) -> bool:
        """Somebody waits for the bot, or sees it at work."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where the platform answers."""

    @abstractmethod
    async def until(self, holds: Callable[[], object], seconds: float) -> None:
        """Returns when `holds` does; it is asked at every change. Raises TimeoutError."""

    @abstractmethod
    def _now(self) -> int:
        """The time in the world, in epoch milliseconds."""

    @abstractmethod
    def _seen(self) -> Picture:
        """What can be seen now."""

    @abstractmethod
    def _act(self, line: Line) -> None:
        """Does what a line says. Raises Unclear, or what the platform does not let people do."""

    @abstractmethod
    def _has_news(self) -> bool:
        """Somebody was told something that is in no place, and it was not shown yet."""

    @abstractmethod
    def _news(self) -> list[str]:
        """The same, as lines; they are shown from now on."""

    # ---------------------------------------------------------------- what all have

    async def watch(self) -> None:
        """Shows what happens, until cancelled."""
        while True:
            self.look()
            try:
                await self.until(lambda: self._seen() != self._picture or self._has_news(), LOOK_SECONDS)
            except TimeoutError:
                continue

    def look(self) -> None:
        """Shows what has happened since the last time."""
        now = self._seen()
        lines = [*changes(self._picture, now), *self._news()]
        self._picture = now
        if lines:
            self.changed_at = self._now()
        for line in lines:
            self._say(line)

    def act(self, typed: str) -> bool:
        """Does what a line says; what cannot be done is said. False where it is the last one."""
        line = None
        try:
            line = understood(typed, self._known, self._kinds)
            if line is not None:
                self._act(line)
        except (Unclear, self._cannot) as exc:
            self._say(f"! {exc}")
        self.look()
        return line is None or line.kind != "quit"

    def _name(self, name: str) -> str:
        """A name that somebody has. Raises Unclear."""
        if name not in self._known:
            raise Unclear(f"There is nobody called {name} here, but {' and '.join(self._known)}.")
        return name


def mentioning(text: str, mentions: Mapping[str, str]) -> str:
    """A text in which names have become mentions."""
    return MENTION.sub(lambda found: mentions.get(found[1].lower(), found[0]), text)


def read_file(text: str) -> tuple[str, bytes, str | None, str]:
    """The file that a line begins with: its name, bytes and media type, and what is said with it. Raises Unclear."""
    name, _, said = text.partition(" ")
    path = Path(name).expanduser()
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise Unclear(f"{path} cannot be read: {exc.strerror}.") from exc
    return path.name, data, mimetypes.guess_type(path.name)[0], said
