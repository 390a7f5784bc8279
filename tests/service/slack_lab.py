"""The real adapter before a Slack on loopback, with a host that answers as the test says, and a person in a channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from adapters.base import Event, Outgoing, Question, Receipt
from adapters.offers import CommandInfo, CommandSpec, OptionInfo
from adapters.slack import ids
from adapters.slack.adapter import Settings, SlackAdapter
from adapters.slack.timing import Timing
from tests.fakes.host import FakeHost
from tests.fakes.slack_people import Person
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message, Place

INFOS = [
    CommandInfo("status", "how it is doing"),
    CommandInfo("help", "what there is"),
    CommandInfo("stop", "stop it"),
    CommandInfo("whoami", "who you are"),
    CommandInfo("conversations", "yours"),
    CommandInfo(
        "thing", "show ID", [CommandSpec("thing show", "one", [OptionInfo("id", "it", required=True)])]
    ),
]
QUICK = Timing(defer=0.5, stagger=0.01, closing=0.2, again=0.05, first_text=0.1, online=5.0)
QUESTION = Question("q1", "Colour", "Which one?", ["Red", "Green"])


class SlowHost(FakeHost):
    """One that answers only when `let` is set."""

    def __init__(self) -> None:
        super().__init__(commands=INFOS)
        self.let = asyncio.Event()
        self.let.set()
        self.connected = asyncio.Event()
        self.changed: Callable[[], None] = lambda: None

    def offer(self, info: CommandInfo) -> None:
        """There is this one, too."""
        self._commands = [*self._commands, info]

    def trouble(self, channel: str, text: str | None) -> None:
        super().trouble(channel, text)
        if text is None:
            self.connected.set()

    async def receive(self, event: Event) -> Receipt:
        receipt = await super().receive(event)
        self.changed()
        await self.let.wait()
        return receipt


@dataclass
class Lab:
    slack: SlackServer
    host: SlowHost
    adapter: SlackAdapter
    general: Place
    ada: Person

    async def until(self, holds: Callable[[], object]) -> None:
        await self.slack.until(holds)

    def told(self) -> list[str]:
        """What was said to somebody alone by an ephemeral message."""
        return [str(each.arguments["text"]) for each in self.slack.called("chat.postEphemeral")]

    def of_kind(self, kind: str) -> list[Event]:
        return [each for each in self.host.events if each.kind == kind]

    async def asks(self, question: Question = QUESTION, *, thread: Message | None = None) -> Message:
        """The message that shows a question."""
        route = ids.route(self.general.id, thread.ts if thread else None)
        out = Outgoing("o1", route, "", question=question, session="s1")
        for part in self.adapter.render(out):
            sent = await self.adapter.send(part)
        found = ids.part_of(str(sent))
        assert found is not None
        message = self.general.find(found[1])
        assert message is not None
        return message


@asynccontextmanager
async def standing(mode: Literal["socket", "http"], port: int, slack: SlackServer) -> AsyncIterator[Lab]:
    """One, connected; `port` is where it listens by HTTP."""
    settings = Settings(
        lambda: slack.bot_token,
        app_token=lambda: slack.app_token,
        signing_secret=lambda: slack.signing_secret,
        mode=mode,
        api_url=slack.api_url,
        port=port,
        prompts=[("Today", "What is on today?")],
        timing=QUICK,
    )
    host, adapter = SlowHost(), SlackAdapter(settings)
    general, ada = slack.channel("general"), slack.person("Ada")
    general.join(ada)
    if mode == "http":
        slack.by_http(f"http://127.0.0.1:{port}/slack/events")
    host.changed = slack.world.changed
    running = asyncio.create_task(adapter.run(host))
    try:
        await asyncio.wait_for(host.connected.wait(), 10.0)
        yield Lab(slack, host, adapter, general, ada)
    finally:
        host.let.set()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
