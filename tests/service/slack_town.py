"""The whole service with the real Slack adapter, before a Slack on loopback: a channel, two people."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal

from adapters.slack import Settings, SlackAdapter, Timing
from bot.db import people
from tests.fakes.slack_people import Attached
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message, Place
from tests.service.conftest import House

QUICK: Final = Timing(
    first_text=0.1,
    append=0.1,
    edit=0.2,
    status_begins=0.05,
    status_again=0.5,
    defer=0.5,
    acknowledge=0.5,
    online=5.0,
    call=5.0,
    ping=0.5,
    silence=60.0,
    stagger=0.05,
    again=0.05,
    longest=0.4,
    mended=0.5,
    noted=0.2,
    gap_told=120.0,
    closing=0.2,
)
"""What a person would wait for without noticing, and a test would."""
SECONDS: Final = 15.0

Mode = Literal["socket", "http"]


class Town:
    """Slack, and the house in which the service lives. Ada owns the bot; Bob is nobody yet."""

    def __init__(
        self,
        house: House,
        slack: SlackServer,
        *,
        timing: Timing = QUICK,
        mode: Mode = "socket",
        **settings: Any,
    ) -> None:
        self.house = house
        self.slack = slack
        self.timing = timing
        self.mode = mode
        self.settings = settings
        self.general = slack.channel("general")
        self.ada = slack.person("Ada")
        self.bob = slack.person("Bob")
        self.general.join(self.ada, self.bob)

    def adapter(self, token: Callable[[], str] | None = None) -> SlackAdapter:
        """One that has not been run yet; without a `token` it has the right one."""
        port = free_port() if self.mode == "http" else 0
        settings = Settings(
            token or (lambda: self.slack.bot_token),
            lambda: self.slack.app_token,
            lambda: self.slack.signing_secret,
            mode=self.mode,
            api_url=self.slack.api_url,
            port=port,
            timing=self.timing,
        )
        if self.mode == "http":
            self.slack.by_http(f"http://127.0.0.1:{port}{settings.path}")
        return SlackAdapter(replace(settings, **self.settings), clock=self.house.now)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SlackAdapter]:
        """The service for the length of the block, connected."""
        adapter = self.adapter()
        begun = self.slack.hub.opened
        async with self.house.open(adapter):
            await self.house.app.db.write(
                partial(people.grant, channel="slack", user_id=self.ada.id, role="owner", now=0)
            )
            await self.until(lambda: self.listens(begun))
            yield adapter

    def listens(self, begun: int = 0) -> bool:
        """Whether the service hears Slack: by a connection more than there were, or at its port."""
        if self.mode == "socket":
            return self.slack.hub.opened > begun
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(self.slack.push.url.split(":")[2].split("/")[0]))) == 0

    async def until(self, holds: Any) -> None:
        """Woken whenever anything changes on Slack. Raises TimeoutError."""
        await self.slack.until(holds, seconds=SECONDS)

    def ask(self, text: str, *, place: Place | None = None, files: Sequence[Attached] = ()) -> Message:
        """Ada says it to the bot, in the channel."""
        return self.ada.say(place or self.general, text, mention=[self.slack.bot], files=files)

    async def answers(self, asked: Message, *texts: str) -> None:
        """Returns when exactly these stand in the thread of a message, whoever wrote them. Raises AssertionError."""
        try:
            await self.until(
                lambda: asked.reply_texts == list(texts) and not any(each.streaming for each in asked.replies)
            )
        except TimeoutError:
            raise AssertionError(f"there stands {asked.reply_texts}, and not {list(texts)}") from None

    async def reads(self, place: Place, *texts: str) -> None:
        """The same of what stands in a place, outside of threads."""
        try:
            await self.until(lambda: place.texts == list(texts))
        except TimeoutError:
            raise AssertionError(f"there stands {place.texts}, and not {list(texts)}") from None

    async def answer_to(self, text: str, *, place: Place | None = None) -> str:
        """What the bot answers Ada, in the thread that it opens."""
        asked = self.ask(text, place=place)
        await self.until(
            lambda: any(each.user is self.slack.bot and not each.streaming for each in asked.replies)
        )
        return next(each.shown for each in asked.replies if each.user is self.slack.bot)


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wirings(*tables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For `House.wirings`."""
    return [{"channel": "slack", **table} for table in tables]
