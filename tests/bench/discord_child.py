"""`python -m tests.bench.discord_child`: the Discord of the measuring in a process of its own, and Ada who talks there.

What it does must not hold up the service that is measured. It says in a line of JSON where it is, then does what each
line of its standard input asks for and says in a line what it has found. Both ends of a round trip are timed here, by
the steady clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from adapters.terminal.pipe import stdin_lines
from tests.bench.person import NotAnswered
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place

PAUSE_SECONDS: Final = 0.05
"""Between an answer and the next message: the adapter keeps its calls to a pace, which is not what is measured."""
PATIENCE_SECONDS: Final = 30.0
STREAM: Final = "tell me a story"
LAST_WORD: Final = "The End"


class Talk:
    """Ada, and the threads of her questions."""

    def __init__(self, server: DiscordServer) -> None:
        self._server = server
        lab = server.guild("Lab")
        self._general = lab.channel("general")
        self.ada = server.person("Ada")
        lab.join(self.ada)
        self._threads: list[Place] = []
        self._said = 0

    async def obey(self, order: str) -> Any:
        """Raises NotAnswered, TimeoutError."""
        match order:
            case "connect":
                return await self._until(lambda: self._server.hub.live)
            case "open":
                return await self._open()
            case "ask":
                return await self._ask()
            case "stream":
                return await self._stream()
        raise NotAnswered(f"nobody knows how to {order}")

    async def _open(self) -> float:
        """A question in the channel, which is answered in a thread of its own. In milliseconds."""
        text = self._text()
        asked = self.ada.say(self._general, text, mention=[self._server.bot])
        await self._until(lambda: asked.thread is not None and self._stands(asked.thread, text))
        assert asked.thread is not None
        self._threads.append(asked.thread)
        return await self._took(asked, asked.thread)

    async def _ask(self) -> float:
        """A message in a thread that is there, of a conversation that is awake. In milliseconds."""
        thread, text = self._threads[0], self._text()
        asked = self.ada.say(thread, text)
        await self._until(lambda: self._stands(thread, text))
        return await self._took(asked, thread)

    async def _stream(self) -> int:
        """A long answer in every thread at once. Returns how often one was changed while it was written."""
        began = len(self._server.requests)
        for thread in self._threads:
            self.ada.say(thread, STREAM)
        await self._until(lambda: all(self._stands(thread, LAST_WORD) for thread in self._threads))
        await asyncio.sleep(PAUSE_SECONDS)
        return sum(each.method == "PATCH" for each in self._server.requests[began:]) - len(self._threads)

    def _text(self) -> str:
        self._said += 1
        return f"message {self._said}."

    async def _until(self, holds: Callable[[], object]) -> None:
        await self._server.until(holds, PATIENCE_SECONDS)

    def _stands(self, thread: Place, text: str) -> bool:
        """Whether the last that stands there is the bot's, with this in it."""
        last = thread.history[-1] if thread.history else None
        return last is not None and last.author is self._server.bot and text in last.content

    async def _took(self, asked: Message, thread: Place) -> float:
        """From the message on the wire until the call that posts its answer."""
        calls = reversed(self._server.requests)
        post = ("POST", f"/channels/{thread.id}/messages")
        posted = next((each for each in calls if (each.method, each.path) == post), None)
        if posted is None:
            raise NotAnswered("an answer stands there that nobody has posted")
        took = (posted.received - self._told(asked)) * 1000
        await asyncio.sleep(PAUSE_SECONDS)
        return took

    def _told(self, asked: Message) -> float:
        """When the bot was told of it, on the steady clock."""
        session = self._server.hub.sessions[-1]
        told = (each for each in reversed(session.events) if each.event == "MESSAGE_CREATE")
        seq = next(each.seq for each in told if each.data["id"] == asked.id)
        return next(at for number, at in reversed(session.written) if number == seq)


async def serve() -> None:
    """Until its standard input ends."""
    async with DiscordServer(limits="none", described=False) as server:
        talk = Talk(server)
        _say([server.rest_url, server.gateway_url, server.token, talk.ada.id])
        async for order in stdin_lines():
            _say(await talk.obey(order))


def _say(found: Sequence[str] | float | None) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve())
