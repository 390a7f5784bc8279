"""What has to be there before a container can be started, and what people are told when it is not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from bot import posting
from bot.posting import CANNOT_START
from tests.contracts.test_claude_provider import KEY
from tests.fakes.messages_api import MessagesApi, Seen
from tests.fakes.onecli import KEY as ONECLI_KEY
from tests.fakes.onecli import OneCliServer
from tests.service.conftest import House

pytestmark = pytest.mark.claude


@pytest.fixture
async def api(house: House) -> AsyncIterator[MessagesApi]:
    async with MessagesApi() as api:
        house.agent |= {"provider": "claude", "model": "claude-sonnet-5", "model_url": api.url}
        house.backend["allow_unsandboxed"] = True
        yield api
        house.kill_runners()


def key_of(seen: Seen) -> str | None:
    """What the model's server was shown."""
    return next((value for name, value in seen.headers.items() if name.lower() == "x-api-key"), None)


async def test_without_a_key_it_is_said_at_once_and_an_admin_is_told(
    house: House, api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    async with house.open() as p:
        await p.say("hello")
        assert await p.replies(1) == [CANNOT_START]
        (problem,) = house.query("SELECT agent, problem, detail FROM problems")
        assert problem["agent"] == "assistant" and "ANTHROPIC_API_KEY" in problem["detail"]
        monkeypatch.setitem(os.environ, "ANTHROPIC_API_KEY", KEY)
    async with house.open() as p:
        await p.say("hello")
        assert await p.replies(2) == [CANNOT_START, "You said: hello"]
        # It works again.
        await house.until(lambda: not house.query("SELECT 1 FROM problems"))
    assert {key_of(seen) for seen in api.seen} == {KEY}


async def test_while_the_vault_is_away_nothing_starts_and_then_it_does(
    house: House, api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONECLI_API_KEY", ONECLI_KEY)
    monkeypatch.setattr(posting, "NOT_NOW_SECONDS", 0.1)
    async with OneCliServer() as vault:
        await vault.stop()
        house.vault = {"kind": "onecli", "url": vault.url, "timeout_seconds": 1}
        async with house.open() as p:
            await p.say("hello")
            (said,) = await p.replies(1)
            assert said.startswith("I cannot start right now: ") and "OneCLI" in said
            await p.say("hello?")
            assert house.runners() == [], "there is no container without it"
            await vault.start()
            await house.until(lambda: bool(house.runners()))
            assert p.texts() == [said], "it is said once"
    assert vault.asked.made == ["roost-assistant"]
