"""Claude against the contract of all providers: the real SDK and CLI, and a stand-in for the model's API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.providers.base import AgentProvider, ProviderOptions
from agent.providers.claude import ClaudeProvider
from tests.contracts.provider_contract import Make, ProviderContract
from tests.fakes.messages_api import MessagesApi, Refuse, Rule, Stall

KEY = "sk-ant-made-up-key"
GONE = "5d0e1f5c-4c40-4a93-9a4e-4f8f0b8f4b1a"


def options(api: MessagesApi, home: Path, **more: object) -> ProviderOptions:
    """A client that knows nothing of this machine but a folder of its own."""
    home.mkdir(parents=True, exist_ok=True)
    env = {"ANTHROPIC_API_KEY": KEY, "CLAUDE_CODE_MAX_RETRIES": "0"}
    return ProviderOptions(home=home, model_url=api.url, model="claude-sonnet-5", env=env, **more)  # type: ignore[arg-type]


@pytest.mark.claude
class TestClaudeProvider(ProviderContract):
    foreign_continuation = GONE

    @pytest.fixture
    async def api(self) -> AsyncIterator[MessagesApi]:
        async with MessagesApi([Rule("^long$", [Stall(3600)])]) as api:
            yield api

    @pytest.fixture
    async def make(self, tmp_path: Path) -> AsyncIterator[Callable[[MessagesApi], AgentProvider]]:
        made: list[ClaudeProvider] = []

        def one(api: MessagesApi) -> ClaudeProvider:
            made.append(ClaudeProvider(options(api, tmp_path / "home")))
            return made[-1]

        yield one
        for provider in made:
            await provider.aclose()

    @pytest.fixture
    def answering(self, api: MessagesApi, make: Callable[[MessagesApi], AgentProvider]) -> Make:
        return lambda: make(api)

    @pytest.fixture
    def endless(self, answering: Make) -> Make:
        return answering

    @pytest.fixture
    def failing(self, api: MessagesApi, answering: Make) -> Make:
        api.rules = [Rule("", [Refuse(500, "api_error", "Internal server error")])]
        return answering

    def same_conversation(self, first: str, second: str) -> bool:
        return first == second
