"""The calls to Slack's Web API, at a pace that Slack bears. Each raises SendFailed."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from slack_sdk.web.async_client import AsyncWebClient

from adapters.base import SendFailed
from adapters.slack.errors import translated
from adapters.slack.methods import METHODS

OFFLINE: Final = "the bot is not logged in to Slack"


class Web:
    """Calls by the library's `client` while it is logged in."""

    def __init__(self) -> None:
        self._client: AsyncWebClient | None = None
        self._denied = asyncio.Event()

    def use(self, client: AsyncWebClient | None) -> None:
        """By what to call from now on; None: by nothing. The client must not try again by itself."""
        self._client = client
        self._denied.clear()

    @property
    def is_denied(self) -> bool:
        """Whether Slack takes the bot's token no more."""
        return self._denied.is_set()

    async def until_denied(self) -> None:
        """Returns when that is so."""
        await self._denied.wait()

    async def call(self, method: str, *, place: str | None = None, **arguments: Any) -> dict[str, Any]:
        """One call of a method of METHODS, with arguments as JSON; those that are None are left out. `place` is the
        channel whose own limit it counts for, where it posts there. Returns Slack's answer, which is ok."""
        assert method in METHODS, method  # noqa: S101 - or the manifest would not cover it
        if self._client is None:
            raise SendFailed(OFFLINE, retry_after=1.0)
        given = {name: value for name, value in arguments.items() if value is not None}
        with translated():
            answer = await self._client.api_call(method, json=given)
        data = answer.data
        return data if isinstance(data, dict) else {}
