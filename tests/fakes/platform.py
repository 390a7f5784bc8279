"""A platform that exists only in the test: implements adapters.base.Adapter and remembers what reached it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from adapters.base import (
    CARD,
    Absent,
    Event,
    EventKind,
    Host,
    IncomingFile,
    Live,
    Outgoing,
    Part,
    Question,
    Receipt,
    Sender,
    SendFailed,
    Settled,
    Update,
    Working,
    replacing,
)
from agent.protocol.clock import now_ms
from agent.protocol.messages import Route

TIMEOUT_SECONDS: Final = 60.0
PERSON: Final = Sender("u1", "Ada")
NOBODY: Final = Sender("", "")
"""Whom a platform that does not say who did it names."""
PART_CHARS: Final = 200


class FakePlatform:
    """Places are made by naming them. `failures` are raised by the next sends, first come first served, None
    being success; a place in `absent` has nobody in it, and a send to a place that is stuck hangs until `free`,
    or until the platform is let go, which breaks it."""

    def __init__(self, name: str = "fake") -> None:
        self.name = name
        self.sent: list[Part] = []
        self.tried: list[Part] = []
        self.updates: list[Update] = []
        self.log: list[Part | Update] = []
        """Parts and updates in the order in which they came."""
        self.failures: list[Exception | None] = []
        self.absent: set[str] = set()
        self.broken_render: set[str] = set()
        self._stuck: dict[str, asyncio.Event] = {}
        self._host: asyncio.Future[Host] | None = None
        self._news = asyncio.Condition()
        self._ids = itertools.count(1)

    # ---------------------------------------------------------------- adapters.base.Adapter

    async def run(self, host: Host) -> None:
        self._hosted().set_result(host)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._host = None
            for stuck in self._stuck.values():
                stuck.set()

    def render(self, outgoing: Outgoing) -> list[Part]:
        if outgoing.text in self.broken_render:
            raise ValueError("this text cannot be rendered")
        card = outgoing.question if outgoing.question and outgoing.question.id.startswith(CARD) else None
        text = outgoing.text if card is None else card.question
        texts = [text[i : i + PART_CHARS] for i in range(0, len(text), PART_CHARS)]
        if outgoing.edit is not None:
            return replacing(outgoing, outgoing.edit, texts)
        if not texts and not outgoing.files:
            texts = [""]
        parts = [Part(outgoing, index, text=text) for index, text in enumerate(texts)]
        return parts + [Part(outgoing, len(parts) + n, file=file) for n, file in enumerate(outgoing.files)]

    async def send(self, part: Part) -> str | None:
        place = part.outgoing.route.platform_id
        self.tried.append(part)
        await self._tell()
        if place in self._stuck:
            await self._stuck[place].wait()
            if self._host is None:
                raise SendFailed("the line broke", retry_after=0)
        if place in self.absent:
            raise Absent("Nobody is there.")
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.sent.append(part)
        self.log.append(part)
        await self._tell()
        if part.replaces is not None:
            return part.replaces if part.text else None
        return f"{part.outgoing.id}:{part.index}"

    async def show(self, update: Update) -> None:
        self.updates.append(update)
        self.log.append(update)
        await self._tell()

    # ---------------------------------------------------------------- what people do

    async def say(
        self,
        text: str,
        *,
        place: str = "p1",
        thread: str | None = None,
        event_id: str | None = None,
        files: Sequence[tuple[str, Path]] = (),
    ) -> Receipt:
        """Hands in a direct message."""
        staged = [IncomingFile(name, "application/octet-stream", path) for name, path in files]
        return await self.hand_in(
            Event(
                id=event_id or self.new_id(),
                kind="message",
                route=self.route(place, thread),
                sender=PERSON,
                created_at=now_ms(),
                text=text,
                direct=True,
                files=staged,
            )
        )

    async def answer(self, question_id: str, text: str, *, place: str = "p1") -> Receipt:
        """Presses a button."""
        return await self.hand_in(
            Event(
                id=self.new_id(),
                kind="answer",
                route=self.route(place),
                sender=PERSON,
                created_at=now_ms(),
                text=text,
                question_id=question_id,
            )
        )

    def card(self, *, place: str = "p1", number: int = -1) -> Question:
        """A card that was shown in a place, the last one if not said otherwise."""
        shown = [part.outgoing for part in self.sent if part.outgoing.route.platform_id == place]
        ids = {each.question.id: each.question for each in shown if each.question is not None}
        return [each for each in ids.values() if each.id.startswith(CARD)][number]

    async def press(
        self, card: Question | str, button: str | int, *, place: str = "p1", by: Sender = PERSON
    ) -> Receipt:
        """Presses a button of a card, by what it says or by its number."""
        options = [] if isinstance(card, str) else list(card.options)
        event = Event(
            id=self.new_id(),
            kind="answer",
            route=self.route(place),
            sender=by,
            created_at=now_ms(),
            question_id=card if isinstance(card, str) else card.id,
            choice=button if isinstance(button, int) else options.index(button),
        )
        return await self.hand_in(event)

    async def order(
        self,
        command: str,
        *,
        at: str = "p1",
        thread: str | None = None,
        by: Sender = PERSON,
        **arguments: str,
    ) -> Receipt:
        """Gives a command in a place."""
        event = Event(
            id=self.new_id(),
            kind="command",
            route=self.route(at, thread),
            sender=by,
            created_at=now_ms(),
            command=command,
            arguments=arguments,
        )
        return await self.hand_in(event)

    async def edit(
        self, about: str, text: str, *, place: str = "p1", by: Sender = PERSON, event_id: str | None = None
    ) -> Receipt:
        """Changes what was said."""
        return await self._afterwards("edit", about, text, place=place, by=by, event_id=event_id)

    async def delete(
        self, about: str, *, place: str = "p1", by: Sender = NOBODY, event_id: str | None = None
    ) -> Receipt:
        """Takes back what was said; like Discord it does not say who did."""
        return await self._afterwards("delete", about, "", place=place, by=by, event_id=event_id)

    async def react(
        self,
        about: str,
        emoji: str,
        *,
        place: str = "p1",
        by: Sender = PERSON,
        taken_back: bool = False,
        event_id: str | None = None,
    ) -> Receipt:
        """Puts an emoji on a part of ours, or takes it away."""
        event = self._after("reaction", about, emoji, place=place, by=by, event_id=event_id)
        return await self.hand_in(replace(event, taken_back=taken_back))

    async def _afterwards(
        self, kind: EventKind, about: str, text: str, *, place: str, by: Sender, event_id: str | None
    ) -> Receipt:
        return await self.hand_in(self._after(kind, about, text, place=place, by=by, event_id=event_id))

    def _after(
        self, kind: EventKind, about: str, text: str, *, place: str, by: Sender, event_id: str | None
    ) -> Event:
        return Event(
            id=event_id or self.new_id(),
            kind=kind,
            route=self.route(place),
            sender=by,
            created_at=now_ms(),
            text=text,
            about=about,
        )

    async def hand_in(self, event: Event) -> Receipt:
        return await (await self._hosted()).receive(event)

    async def interrupt(self, *, place: str = "p1") -> bool:
        """Presses the stop button; False when nothing was running."""
        receipt = await self.hand_in(
            Event(
                id=self.new_id(),
                kind="command",
                route=self.route(place),
                sender=PERSON,
                created_at=now_ms(),
                command="stop",
            )
        )
        return receipt.state == "accepted" and bool(receipt.data["stopped"])

    async def come(self, place: str) -> None:
        """Somebody is there again."""
        self.absent.discard(place)
        (await self._hosted()).present(self.name, place)

    def route(self, place: str, thread: str | None = None) -> Route:
        return Route(channel=self.name, platform_id=place, thread_id=thread)

    def new_id(self) -> str:
        return f"{self.name}:{now_ms()}:{next(self._ids)}"

    def block(self, place: str) -> None:
        """Sends to this place hang from now on."""
        self._stuck[place] = asyncio.Event()

    def free(self, place: str) -> None:
        """What hung goes through."""
        self._stuck.pop(place).set()

    # ---------------------------------------------------------------- what a test asks

    def texts(self, place: str = "p1", thread: str | None = None) -> list[str]:
        """The texts that reached a place, part by part."""
        return [p.text for p in self.sent if p.outgoing.route == self.route(place, thread) and not p.file]

    def live(self, place: str = "p1") -> list[str]:
        return [u.text for u in self.updates if isinstance(u, Live) and u.route == self.route(place)]

    def settled(self, place: str = "p1") -> list[Settled]:
        return [u for u in self.updates if isinstance(u, Settled) and u.route == self.route(place)]

    def working(self, place: str = "p1") -> bool:
        return next((u.on for u in reversed(self.updates) if isinstance(u, Working)), False)

    async def until(self, holds: Callable[[], bool], *, seconds: float = TIMEOUT_SECONDS) -> None:
        """Returns when `holds` does, looked at whenever something reaches the platform. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(holds)

    async def at_work(self, *, place: str = "p1") -> None:
        """Returns when an agent itself has said that it works; before that it is only known to be woken."""

        def said(update: Update) -> bool:
            return isinstance(update, Working) and update.on and update.route == self.route(place)

        await self.until(lambda: sum(map(said, self.updates)) >= 2)

    async def replies(self, count: int, *, place: str = "p1", thread: str | None = None) -> list[str]:
        """The first `count` texts of a place, once they are there."""
        await self.until(lambda: len(self.texts(place, thread)) >= count)
        return self.texts(place, thread)[:count]

    async def ends(self, count: int, *, place: str = "p1") -> list[Settled]:
        """The first `count` ends in a place, once they are there."""
        await self.until(lambda: len(self.settled(place)) >= count)
        return self.settled(place)[:count]

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _hosted(self) -> asyncio.Future[Host]:
        if self._host is None:
            self._host = asyncio.get_running_loop().create_future()
        return self._host


def refusal(*, retry_after: float | None = 0.0) -> SendFailed:
    """What a platform says that does not take a part."""
    return SendFailed("the platform said no", retry_after=retry_after)
