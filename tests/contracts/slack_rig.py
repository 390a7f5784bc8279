"""A fake Slack with a few people in it, and a client that calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack_people import Person
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Place


@dataclass
class HandClock:
    """Time that passes when the test says so."""

    now: int = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        """So much later."""
        self.now += round(seconds * 1000)


@dataclass
class Rig:
    """Two people and the bot in a channel; `client` is the real one, which does not try again by itself."""

    slack: SlackServer
    client: AsyncWebClient
    session: aiohttp.ClientSession
    general: Place
    ada: Person
    bob: Person
    began: int = field(default=0)

    def heard(self) -> list[dict[str, Any]]:
        """Every event that the app was told since the rig stands."""
        return [each["event"] for each in self.slack.world.told[self.began :]]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Those of a type, or messages of a subtype."""
        return [each for each in self.heard() if name in (each["type"], each.get("subtype"))]

    async def raw(
        self, method: str, given: Mapping[str, Any], *, token: str | None = None, form: bool = False
    ) -> dict[str, Any]:
        """The body of an answer to a call with JSON, or with a form."""
        header = {"Authorization": f"Bearer {self.slack.bot_token if token is None else token}"}
        if form:
            call = self.session.post(self.slack.api_url + method, data=dict(given), headers=header)
        else:
            call = self.session.post(self.slack.api_url + method, json=dict(given), headers=header)
        async with call as answer:
            body: dict[str, Any] = await answer.json()
            return body


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Rig]:
    """A rig, for the length of the block; the settings are SlackServer's."""
    async with SlackServer(**settings) as slack, aiohttp.ClientSession() as session:
        slack.world.listeners = []
        general = slack.channel("general")
        ada, bob = slack.person("Ada"), slack.person("Bob")
        general.join(ada, bob)
        client = AsyncWebClient(slack.bot_token, base_url=slack.api_url, session=session, retry_handlers=[])
        yield Rig(slack, client, session, general, ada, bob, len(slack.world.told))
