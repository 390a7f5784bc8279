"""`python -m tests.bench.slack_child`: the Slack of the measuring in a process of its own, and Ada who talks there.

It says in a line of JSON where it is, then does what each line of its standard input asks for and says in a line what
it has found. Both ends of a round trip are timed here, by the steady clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from adapters.terminal.pipe import stdin_lines
from tests.bench.person import NotAnswered
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message

CHANNELS: Final = 12
"""Spoken in turn about: the adapter posts once a second and channel, which is not what is measured."""
PAUSE_SECONDS: Final = 0.09
PATIENCE_SECONDS: Final = 30.0


class Talk:
    """Ada, and the threads of her questions, each in a channel of its own."""

    def __init__(self, server: SlackServer) -> None:
        self._server = server
        self.ada = server.person("Ada")
        self._channels = [server.channel(f"channel{number}") for number in range(CHANNELS)]
        for each in self._channels:
            each.join(self.ada)
        self._threads: list[Message] = []
        self._said = 0

    async def obey(self, order: str) -> Any:
        """Raises NotAnswered, TimeoutError."""
        match order:
            case "connect":
                return await self._until(lambda: len(self._server.hub.connections) > 1)
            case "open":
                return await self._open()
            case "ask":
                return await self._ask()
        raise NotAnswered(f"nobody knows how to {order}")

    async def _open(self) -> float:
        """A question in the next channel, which is answered in a thread of its own. In milliseconds."""
        text = self._text()
        asked = self.ada.say(self._channels[len(self._threads)], text, mention=[self._server.bot])
        self._threads.append(asked)
        return await self._took(asked, asked, text)

    async def _ask(self) -> float:
        """A message in the next thread, of a conversation that is awake. In milliseconds."""
        thread, text = self._threads[self._said % len(self._threads)], self._text()
        return await self._took(self.ada.say(thread.place, text, thread=thread), thread, text)

    def _text(self) -> str:
        self._said += 1
        return f"message {self._said}."

    async def _until(self, holds: Callable[[], object]) -> None:
        await self._server.until(holds, PATIENCE_SECONDS)

    async def _took(self, asked: Message, thread: Message, text: str) -> float:
        """From the envelope on the wire until the call that posts its answer."""
        await self._until(
            lambda: text in (thread.replies[-1].shown if thread.replies else "") and self._mine(thread)
        )
        posts = (each for each in reversed(self._server.requests) if each.method == "chat.postMessage")
        posted = next((each for each in posts if each.arguments.get("channel") == asked.place.id), None)
        if posted is None:
            raise NotAnswered("an answer stands there that nobody has posted")
        told = (each for each in reversed(self._server.hub.envelopes) if each.kind == "events_api")
        began = min(each.began for each in told if each.payload["event"].get("ts") == asked.ts)
        await asyncio.sleep(PAUSE_SECONDS)
        return (posted.at - began) * 1000

    def _mine(self, thread: Message) -> bool:
        return thread.replies[-1].user is self._server.bot


async def serve() -> None:
    """Until its standard input ends."""
    async with SlackServer(limits="none") as server:
        talk = Talk(server)
        _say([server.api_url, server.bot_token, server.app_token, talk.ada.id])
        async for order in stdin_lines():
            _say(await talk.obey(order))


def _say(found: Sequence[str] | float | None) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve())
