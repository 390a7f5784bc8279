"""`python -m tests.bench.discord_child`: the Discord of the measuring, in a process of its own, and Ada who talks there.

What it does must not hold up the service that is measured. It says in one line of JSON where it is, then does what each
line on its standard input asks for and answers it with a line. Both of the times of a round trip are its own, taken
from the steady clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.terminal.pipe import stdin_lines
from tests.bench.figures import rounds
from tests.bench.person import NotAnswered
from tests.fakes.discord_people import Person
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place

PAUSE_SECONDS: Final = 0.05
"""Between an answer and the next message: longer than the pace that the adapter keeps its calls to."""
PATIENCE_SECONDS: Final = 30.0
LAST_WORD: Final = "enough"


@dataclass(frozen=True)
class Order:
    """A line on the standard input: what to do, how often, and for how many seconds at most."""

    do: str
    count: int = 0
    seconds: float = 0.0


class Talk:
    """Ada, the threads of her questions, and how long the bot takes over each message in milliseconds."""

    def __init__(self, server: DiscordServer) -> None:
        self._server = server
        lab = server.guild("Lab")
        self._general = lab.channel("general")
        self.ada: Person = server.person("Ada")
        self._threads: list[Place] = []
        lab.join(self.ada)

    async def obey(self, order: Order) -> Any:
        """Raises NotAnswered, TimeoutError."""
        match order.do:
            case "connected":
                return await self._server.until(lambda: self._server.hub.live, PATIENCE_SECONDS)
            case "open":
                return [await self._open(number) for number in rounds(order.count, order.seconds)]
            case "ask":
                return [await self._ask(f"message {number}") for number in rounds(order.count, order.seconds)]
            case "stream":
                return await self._stream()
        raise ValueError(f"nobody knows how to {order.do}")

    async def _open(self, number: int) -> float:
        """A question in the channel, whose thread the answer is posted into."""
        text = f"question {number}"
        asked = self.ada.say(self._general, text, mention=[self._server.bot])
        await self._until(lambda: asked.thread is not None and self._says(asked.thread, text))
        assert asked.thread is not None
        self._threads.append(asked.thread)
        return await self._took(asked, asked.thread)

    async def _ask(self, text: str) -> float:
        """A message in a thread that is there, in a conversation that is awake."""
        thread = self._threads[0]
        asked = self.ada.say(thread, text)
        await self._until(lambda: self._says(thread, text))
        return await self._took(asked, thread)

    async def _stream(self) -> int:
        """Everybody asks at the same time for an answer that takes a while. Returns how often one was changed while it
        was written."""
        began = len(self._server.requests)
        for thread in self._threads:
            self.ada.say(thread, "stream")
        await self._until(lambda: all(self._says(thread, LAST_WORD) for thread in self._threads))
        changes = sum(each.method == "PATCH" for each in self._server.requests[began:])
        await asyncio.sleep(PAUSE_SECONDS)
        return changes

    async def _until(self, holds: Any) -> None:
        await self._server.until(holds, PATIENCE_SECONDS)

    def _says(self, thread: Place, text: str) -> bool:
        """Whether the last that stands there is the bot's, with this in it."""
        last = thread.history[-1] if thread.history else None
        return last is not None and last.author is self._server.bot and text in last.content

    async def _took(self, asked: Message, thread: Place) -> float:
        """From the message on the wire until the call that posts the answer, in milliseconds."""
        path = f"/channels/{thread.id}/messages"
        posted = next(
            (each for each in reversed(self._server.requests) if (each.method, each.path) == ("POST", path)),
            None,
        )
        if posted is None:
            raise NotAnswered("an answer stands there that nobody has posted")
        took = (posted.received - self._written(asked)) * 1000
        await asyncio.sleep(PAUSE_SECONDS)
        return took

    def _written(self, asked: Message) -> float:
        """When the bot was told of it, on the steady clock."""
        session = self._server.hub.sessions[-1]
        told = (each for each in reversed(session.events) if each.event == "MESSAGE_CREATE")
        seq = next(each.seq for each in told if each.data["id"] == asked.id)
        return next(at for number, at in reversed(session.written) if number == seq)


async def serve() -> None:
    """Until its standard input ends."""
    async with DiscordServer(limits="none", described=False) as server:
        talk = Talk(server)
        _tell(
            {
                "rest_url": server.rest_url,
                "gateway_url": server.gateway_url,
                "token": server.token,
                "person": talk.ada.id,
            }
        )
        async for line in stdin_lines():
            _tell(await talk.obey(Order(**json.loads(line))))


def _tell(found: dict[str, str] | Sequence[float] | int | None) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve())
