"""What can be seen in the fake Discord at a moment, with the short numbers by which a person names it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.fakes.discord_things import Message, Place
from tests.fakes.discord_values import WRITTEN
from tests.fakes.discord_world import World
from tests.fakes.playground_picture import THINKING, Picture, Seen

NAMED: Final = re.compile(r"<(@!?|@&|#)(\d+)>")
ROW: Final = 1
BUTTON: Final = 2
SELECT: Final = 3


class Board:
    """Gives messages, buttons and threads the short numbers that a person can type, and keeps them."""

    def __init__(self, world: World) -> None:
        self.messages: dict[int, Message] = {}
        self.choices: dict[int, tuple[Message, str, str | None]] = {}
        """By its number: the message, a button's custom id, or a select's and the option's value."""
        self.threads: dict[str, Place] = {}
        self._world = world
        self._numbers: dict[str, int] = {}
        self._clicks: dict[tuple[str, str, str | None], int] = {}
        self._count = itertools.count(1)
        self._clickable = itertools.count(1)

    def look(self) -> Picture:
        """What can be seen now."""
        places = list(self._world.places.values())
        for place in places:
            if place.is_thread and place not in self.threads.values():
                self.threads[f"t{len(self.threads) + 1}"] = place
        history = (each for place in places for each in place.history if each.kind in WRITTEN)
        said = sorted(history, key=lambda each: int(each.id))
        return Picture(
            {seen.number: seen for seen in (self._seen(each) for each in said if not each.is_deleted)},
            frozenset(self.label(each) for each in places if each.typing),
            {
                handle: f"{each.name} in {self.label(each.parent)}"
                for handle, each in self.threads.items()
                if each.parent
            },
        )

    def label(self, place: Place) -> str:
        """What a place is called here."""
        for handle, thread in self.threads.items():
            if thread is place:
                return handle
        if place.guild is not None:
            return f"#{place.name}"
        return " and ".join(each.name for each in place.recipients if each is not self._world.bot) + " dm"

    def number(self, message: Message) -> int:
        """The number of a message."""
        if message.id not in self._numbers:
            self._numbers[message.id] = next(self._count)
            self.messages[self._numbers[message.id]] = message
        return self._numbers[message.id]

    def readable(self, text: str) -> str:
        """A text with names in the place of ids."""

        def name(found: re.Match[str]) -> str:
            if found[1] == "#":
                place = self._world.places.get(found[2])
                return self.label(place) if place is not None else found[0]
            user = self._world.users.get(found[2])
            return f"@{user.name}" if user is not None else found[0]

        return NAMED.sub(name, text)

    def _seen(self, message: Message) -> Seen:
        reference = message.reference
        texts = [THINKING if message.is_loading else self.readable(message.content)]
        texts += [self.readable(line) for embed in message.embeds for line in _embed(embed)]
        return Seen(
            self.number(message),
            self.label(message.place),
            message.author.name,
            "\n".join(text for text in texts if text),
            tuple(f"{each.name}, {len(each.data)} bytes" for each in message.attachments),
            tuple(self._choices(message)),
            frozenset((emoji, who.name) for emoji, people in message.reactions.items() for who in people),
            self.number(reference) if reference is not None else None,
            message.seen_only_by.name if message.seen_only_by is not None else None,
        )

    def _choices(self, message: Message) -> Iterator[str]:
        rows = [row for row in message.components if row["type"] == ROW]
        for part in (part for row in rows for part in row["components"]):
            if part.get("disabled"):
                yield f"(-) {part.get('label') or part.get('placeholder') or ''}"
            elif part["type"] == BUTTON:
                link = part.get("url")
                yield (
                    f"{part.get('label')}: {link}"
                    if link
                    else self._choice(message, part, part.get("label"), None)
                )
            elif part["type"] == SELECT:
                for option in part["options"]:
                    yield self._choice(message, part, option["label"], option["value"])

    def _choice(self, message: Message, part: Mapping[str, Any], label: Any, value: str | None) -> str:
        key = (message.id, part["custom_id"], value)
        if key not in self._clicks:
            self._clicks[key] = next(self._clickable)
            self.choices[self._clicks[key]] = (message, part["custom_id"], value)
        emoji = (part.get("emoji") or {}).get("name") or ""
        return f"({self._clicks[key]}) {emoji} {label or ''}".replace("  ", " ").rstrip()


def _embed(embed: Mapping[str, Any]) -> Iterator[str]:
    for key in ("title", "description"):
        if embed.get(key):
            yield str(embed[key])
    for each in embed.get("fields") or ():
        yield f"{each['name']}: {each['value']}"
    if (embed.get("footer") or {}).get("text"):
        yield str(embed["footer"]["text"])
