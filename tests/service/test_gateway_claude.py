"""The real CLI in a real runner, behind forwarder and gateway: the key never comes near it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.gateway import KEY, House, Names, gateway
from tests.fakes.messages_api import Call, MessagesApi, Rule, Say, Step
from tests.fakes.runner import Runner, running

pytestmark = pytest.mark.claude

MODEL = "claude-sonnet-5"
FETCH = "import urllib.request as r; r.urlopen('https://other.example.org/')"


@asynccontextmanager
async def claude(
    tmp_path: Path, api: MessagesApi, monkeypatch: pytest.MonkeyPatch, **more: Any
) -> AsyncIterator[tuple[House, Runner]]:
    """A session of Claude's, whose gateway has these settings."""
    settings = {"model": MODEL, "model_url": api.url, "gateway": more}
    async with gateway(tmp_path / "gateway", settings, resolve=Names()) as house:
        monkeypatch.setenv("ANTHROPIC_API_KEY", house.token("c1"))
        async with running(tmp_path, provider="claude", model=MODEL, gateway_port=0, start=False) as runner:
            await house.gateway.open("c1", "assistant", runner.workspace.bell_dir)
            runner.start()
            yield house, runner


async def test_claude_answers_with_a_token_in_the_place_of_a_key(
    tmp_path: Path, api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = f'env; cat /proc/self/environ | tr "\\0" "\\n"; {sys.executable} -c "{FETCH}" 2>&1 | tail -1'
    look: list[Step] = [Call("Bash", {"command": command}), Say("{result}")]
    api.rules = [Rule("look", look), Rule("", [Say("Hello from here.", 0.01)])]
    async with claude(tmp_path, api, monkeypatch) as (house, runner):
        await runner.done(*runner.post("hello"))
        assert runner.texts() == ["Hello from here."]
        await runner.done(*runner.post("look"))
        seen = runner.texts()[-1]
        token = house.token("c1")
        assert f"ANTHROPIC_API_KEY={token}" in seen
        assert f"HTTPS_PROXY=http://roost:{token}@127.0.0.1:" in seen
        assert "NO_PROXY=127.0.0.1" in seen
        assert KEY not in seen and KEY not in runner.log.read_text()
        assert "403" in seen.splitlines()[-1] and house.refusals() == {"host": 1.0}
        assert {each.headers.get("x-api-key") for each in api.seen} == {KEY}
        assert all(token not in str(each.headers) for each in api.seen)
        kept = [path for path in runner.workspace.home.rglob("*") if path.is_file()]
        assert kept and not any(KEY.encode() in path.read_bytes() for path in kept)


async def test_a_budget_that_is_used_up_is_said_in_one_sentence_after_one_request(
    tmp_path: Path, api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with claude(tmp_path, api, monkeypatch, spend_session_usd=0.0001) as (house, runner):
        await runner.done(*runner.post("hello"))
        await runner.done(*runner.post("again"))
        assert runner.texts()[-1] == (
            "(I stopped here: the budget of today for this conversation is used up ($0.00); it begins again at 00:00"
            " UTC.)"
        )
        assert house.refusals() == {"spend": 1.0}


async def test_a_model_that_is_not_allowed_is_said(
    tmp_path: Path, api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with claude(tmp_path, api, monkeypatch, models=["claude-opus-*"]) as (house, runner):
        await runner.done(*runner.post("hello"))
        assert "model" in runner.texts()[-1] and api.seen == []
        assert house.refusals()["model"] <= 2


async def test_a_gateway_that_comes_back_is_found(
    tmp_path: Path, api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with claude(tmp_path, api, monkeypatch) as (house, runner):
        await runner.done(*runner.post("hello"))
        await house.gateway.close("c1")
        asked = runner.post("hello again")
        await runner.until(lambda: "cannot be reached" in runner.log.read_text())
        await house.gateway.open("c1", "assistant", runner.workspace.bell_dir)
        await runner.done(*asked)
        assert runner.texts()[-1] == "You said: hello again"
