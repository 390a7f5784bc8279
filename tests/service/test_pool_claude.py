"""A container of the pool in which Claude's own client waits, with the real Claude CLI over a stand-in for its API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contracts.test_claude_provider import KEY
from tests.fakes.engine import client
from tests.fakes.messages_api import MessagesApi
from tests.fakes.onecli import KEY as ONECLI_KEY
from tests.fakes.onecli import OneCliServer
from tests.service.conftest import House
from tests.service.test_pool import container, ready

pytestmark = pytest.mark.claude

BACKENDS = ("docker",)


@pytest.fixture
async def api(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MessagesApi]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    async with MessagesApi() as api:
        house.agent |= {"provider": "claude", "model": "claude-sonnet-5", "model_url": api.url}
        yield api
        house.kill_runners()


def programs(house: House, session_id: str) -> str:
    """The command lines of what runs in the session's container."""
    with client() as engine:
        return str(engine.top(container(house, session_id))["Processes"])


@pytest.mark.parametrize("warm", ["client", "runner"])
async def test_it_waits_as_far_as_is_configured(house: House, api: MessagesApi, warm: str) -> None:
    house.pool = {"size": 1, "warm": warm}
    async with house.open() as p:
        waiting = await ready(house)
        if warm == "client":
            await house.until(lambda: "stream-json" in programs(house, waiting))
        assert ("stream-json" in programs(house, waiting)) == (warm == "client")
        assert api.seen == [], "nobody has asked anything"
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]
        assert house.session_id() == waiting


async def test_the_vault_knows_its_agent_before_the_first_one(
    house: House, api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONECLI_API_KEY", ONECLI_KEY)
    house.pool = {"size": 1}
    async with OneCliServer() as vault:
        house.vault = {"kind": "onecli", "url": vault.url}
        async with house.open():
            await ready(house)
            assert set(vault.asked.made) == {"roost-assistant"}
