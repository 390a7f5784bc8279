"""A channel within this process, and the people in it: each sends a message and waits for its answer."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Final

from adapters.base import Event, Host, Outgoing, Part, Sender, Settled, Update
from agent.protocol.clock import now_ms
from agent.protocol.messages import Route

PATIENCE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.01
PERSON: Final = Sender("1", "Ada")


class NotAnswered(Exception):
    """Raised when a message was not answered the way the echo answers."""


@dataclass(frozen=True)
class Timing:
    """How long one message took, in milliseconds."""

    acknowledged: float
    """Until `Intake.receive` returned."""
    answered: float
    """Until the reply was handed to the adapter."""


@dataclass(frozen=True)
class _Waiting:
    answered: asyncio.Future[tuple[float, Outgoing]]
    settled: asyncio.Future[bool]


class Room:
    """An adapter that shows nothing and takes every reply at once."""

    name = "bench"

    def __init__(self) -> None:
        self._host: asyncio.Future[Host] = asyncio.get_running_loop().create_future()
        self._waiting: dict[str, _Waiting] = {}
        self._said: dict[str, str] = {}
        """The events that were only said, each with its place, until they come to their end."""

    async def run(self, host: Host) -> None:
        """Until cancelled."""
        self._host.set_result(host)
        await asyncio.get_running_loop().create_future()

    def render(self, outgoing: Outgoing) -> list[Part]:
        return [Part(outgoing, 0, outgoing.text)]

    async def send(self, part: Part) -> str | None:
        now = time.perf_counter()
        waiting = self._waiting.get(part.outgoing.answers or "")
        if waiting is not None and not waiting.answered.done():
            waiting.answered.set_result((now, part.outgoing))
        return part.outgoing.id

    async def show(self, update: Update) -> None:
        if isinstance(update, Settled) and update.event_id in self._waiting:
            self._waiting[update.event_id].settled.set_result(update.ok)
        elif isinstance(update, Settled):
            self._said.pop(update.event_id, None)

    async def ask(self, place: str, text: str) -> Timing:
        """Says `text` in the conversation `place`; returns when nothing about it is left to be done.

        Raises NotAnswered, TimeoutError.
        """
        host = await self._host
        loop = asyncio.get_running_loop()
        event = self._event(place, text)
        waiting = self._waiting[event.id] = _Waiting(loop.create_future(), loop.create_future())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                began = time.perf_counter()
                receipt = await host.receive(event)
                acknowledged = time.perf_counter()
                if receipt.state != "accepted":
                    raise NotAnswered(f"the message was {receipt.state}: {receipt.text}")
                answered, reply = await waiting.answered
                if not await waiting.settled or text not in reply.text:
                    raise NotAnswered(f"{text!r} was answered with {reply.text!r}")
        finally:
            del self._waiting[event.id]
        return Timing((acknowledged - began) * 1000, (answered - began) * 1000)

    async def say(self, place: str, text: str) -> None:
        """Says `text` and waits for no answer; returns when it is accepted. Raises NotAnswered."""
        event = self._event(place, text)
        self._said[event.id] = place
        receipt = await (await self._host).receive(event)
        if receipt.state != "accepted":
            raise NotAnswered(f"the message was {receipt.state}: {receipt.text}")

    async def quiet(self, place: str) -> None:
        """Returns when everything that was said here has come to its end."""
        while place in self._said.values():  # noqa: ASYNC110  # one look costs less than a bell for each
            await asyncio.sleep(LOOK_SECONDS)

    def _event(self, place: str, text: str) -> Event:
        return Event(
            id=uuid.uuid4().hex,
            kind="message",
            route=Route(channel=self.name, platform_id=place),
            sender=PERSON,
            created_at=now_ms(),
            text=text,
            direct=True,
        )
