"""What the Claude CLI shows a server is what the vault would show: the CLI knows what its maker's API wants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.providers.base import Prompt, QueryInput, Result
from agent.providers.claude import ClaudeProvider
from bot.vault.anthropic import headers
from tests.contracts.provider_contract import read_until
from tests.contracts.test_claude_provider import options
from tests.fakes.messages_api import MessagesApi

TOKEN = "sk-ant-oat01-made-up"  # noqa: S105


@pytest.mark.claude
@pytest.mark.parametrize(
    ("variable", "is_token", "secret"),
    [("CLAUDE_CODE_OAUTH_TOKEN", True, TOKEN), ("ANTHROPIC_API_KEY", False, "sk-ant-api03-made-up")],
)
async def test_a_credential_is_shown_as_the_cli_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, is_token: bool, secret: str
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    async with MessagesApi() as api:
        env = {"CLAUDE_CODE_MAX_RETRIES": "0", variable: secret}
        provider = ClaudeProvider(replace(options(api, tmp_path / "home"), env=env))
        try:
            await read_until(provider.query(QueryInput(Prompt("hello"), None, tmp_path)), Result)
        finally:
            await provider.aclose()
        shown = {name.lower(): value for name, value in api.seen[-1].headers.items()}
    for name, value in headers(secret, is_token=is_token, own_server=False).items():
        assert value in shown[name].split(","), name
    assert ("x-api-key" in shown) != ("authorization" in shown)
