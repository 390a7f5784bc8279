"""What can be seen in the fake Slack at a moment, with the short numbers by which a person names it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tests.fakes import slack_filling as filling
from tests.fakes.playground_picture import Picture, Seen
from tests.fakes.slack_reading import shown
from tests.fakes.slack_things import Message, Place
from tests.fakes.slack_world import World

NAMED: Final = re.compile(r"<([@#])([A-Z0-9]+)(?:\|[^>]*)?>")
Here = tuple[Place, Message | None]
"""Where somebody is: a place, or a thread in it."""


class Board:
    """Gives messages, buttons and threads the short numbers that a person can type, and keeps them."""

    def __init__(self, world: World) -> None:
        self.messages: dict[int, Message] = {}
        self.choices: dict[int, tuple[Message | None, str]] = {}
        """By its number: the message, or None for the Home tab, and what stands on the button or the option."""
        self.threads: dict[str, Message] = {}
        self._world = world
        self._numbers: dict[Message, int] = {}
        self._clicks: dict[tuple[str, str], int] = {}
        self._count = itertools.count(1)
        self._clickable = itertools.count(1)

    def look(self) -> Picture:
        """What can be seen now."""
        every: list[Message] = []
        for place in self._world.places.values():
            every += [*place.all(), *place.ephemeral]
        every.sort(key=lambda each: each.ts)
        for each in every:
            if self._is_root(each) and each not in self.threads.values():
                self.threads[f"t{len(self.threads) + 1}"] = each
        return Picture(
            {seen.number: seen for seen in map(self._seen, every)},
            threads={handle: self._title(root) for handle, root in self.threads.items()},
            notes=frozenset([*self._states(), *self._homes(), *self._prompts()]),
        )

    def label(self, here: Here) -> str:
        """What a place, or a thread, is called here."""
        place, root = here
        for handle, thread in self.threads.items():
            if thread is root:
                return handle
        if place.kind in ("im", "mpim"):
            return " and ".join(each.name for each in place.members if each is not self._world.bot) + " dm"
        return f"#{place.name}"

    def number(self, message: Message) -> int:
        """The number of a message."""
        if message not in self._numbers:
            self._numbers[message] = next(self._count)
            self.messages[self._numbers[message]] = message
        return self._numbers[message]

    def readable(self, text: str) -> str:
        """A text with names in the place of ids."""

        def name(found: re.Match[str]) -> str:
            if found[1] == "#":
                place = self._world.places.get(found[2])
                return self.label((place, None)) if place is not None else found[0]
            user = self._world.users.get(found[2])
            return f"@{user.name}" if user is not None else found[0]

        return NAMED.sub(name, text)

    def _is_root(self, message: Message) -> bool:
        """Something is said in its thread, or an agent is at work there."""
        key = (message.place.id, message.ts)
        return bool(message.replies) or key in self._world.sessions or key in self._world.statuses

    def _title(self, root: Message) -> str:
        session = self._world.sessions.get((root.place.id, root.ts))
        title = f"{session.title}, " if session is not None and session.title else ""
        return f"{title}[{self.number(root)}] in {self.label((root.place, None))}"

    def _states(self) -> Iterator[str]:
        """Where an agent is at work, and what it says of that."""
        for (channel, ts), session in self._world.sessions.items():
            if session.status:
                yield f"{self._where(channel, ts)} the bot is {session.status}"
        for channel, ts in self._world.statuses:
            place = self._world.places[channel]
            root = place.find(ts)
            if root is not None and (status := self._world.status_of(place, root)):
                yield f"{self._where(channel, ts)} {self._world.bot.name} {status}"

    def _where(self, channel: str, ts: str) -> str:
        place = self._world.places[channel]
        return self.label((place, place.find(ts)))

    def _homes(self) -> Iterator[str]:
        for user_id, view in self._world.homes.items():
            name = self._world.users[user_id].name
            yield f"{name} home: {self.readable(shown(view['blocks']))}"
            if choices := tuple(self._choices(None, f"home {user_id}", view["blocks"])):
                yield f"{name} home: " + "   ".join(choices)

    def _prompts(self) -> Iterator[str]:
        for channel, prompts in self._world.prompts.items():
            titles = ", ".join(str(each.get("title")) for each in prompts)
            yield f"{self.label((self._world.places[channel], None))} suggested: {titles}"

    def _seen(self, message: Message) -> Seen:
        return Seen(
            self.number(message),
            self.label((message.place, message.thread)),
            message.user.name,
            self.readable(message.shown),
            tuple(f"{each.name}, {len(each.data)} bytes" for each in message.files),
            tuple(self._choices(message, f"{message.place.id} {message.ts}", message.blocks)),
            frozenset((f":{name}:", who.name) for name, users in message.reactions.items() for who in users),
            None,
            message.only_for.name if message.only_for is not None else None,
        )

    def _choices(
        self, message: Message | None, key: str, blocks: Sequence[Mapping[str, Any]]
    ) -> Iterator[str]:
        for _, element in filling.elements(blocks):
            labels = [each["text"]["text"] for each in filling.options(element)]
            if element["type"] == "button":
                labels = [element["text"]["text"]]
            for label in labels:
                if element.get("url"):
                    yield f"{label}: {element['url']}"
                    continue
                if (key, label) not in self._clicks:
                    self._clicks[key, label] = next(self._clickable)
                    self.choices[self._clicks[key, label]] = (message, label)
                yield f"({self._clicks[key, label]}) {label}"
