"""Keys and tokens of the embedded vault, and the files and variables that they come from."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.config_tables import AgentConfig
from bot.vault.anthropic import OAUTH_BETA
from bot.vault.base import VaultError
from bot.vault.embedded import EmbeddedVault
from bot.vault.secrets import KEPT_SECONDS, MAX_SECRET_BYTES, SecretFile
from tests.contracts.vault_contract import (
    Clock,
    replaced,
)

TOKEN = "sk-ant-oat01-made-up"  # noqa: S105
TEAM: dict[str, Any] = {"model_token_env": "TEAM"}


async def shown(environ: dict[str, str], **settings: Any) -> dict[str, str]:
    """The headers of an agent that is configured like this."""
    access = await EmbeddedVault({"bob": AgentConfig(**settings)}, environ).access("bob")
    assert (access.proxy, access.ca_pem) == (None, None)
    return dict(access.headers)


async def test_a_key_is_a_header_and_a_token_a_bearer_with_a_beta(tmp_path: Path) -> None:
    oauth = {"authorization": f"Bearer {TOKEN}", "anthropic-beta": OAUTH_BETA}
    replaced(tmp_path / "key", "  k1\n")
    replaced(tmp_path / "token", TOKEN)
    assert await shown({}, model_key="k1") == {"x-api-key": "k1"}
    assert await shown({}, model_key_file=tmp_path / "key") == {"x-api-key": "k1"}
    assert await shown({"ANTHROPIC_API_KEY": "k1"}) == {"x-api-key": "k1"}
    assert await shown({"TEAM": "k1"}, model_key_env="TEAM") == {"x-api-key": "k1"}
    assert await shown({"CLAUDE_CODE_OAUTH_TOKEN": TOKEN}) == oauth
    assert await shown({"TEAM": TOKEN}, **TEAM) == oauth
    assert await shown({}, model_token_file=tmp_path / "token") == oauth
    # In the place of a key it is still what it is.
    assert await shown({"ANTHROPIC_API_KEY": TOKEN}) == oauth
    # Another server's bearer token knows no beta of Anthropic's.
    own = {**TEAM, "model_url": "http://127.0.0.1:1"}
    assert await shown({"TEAM": "t"}, **own) == {"authorization": "Bearer t"}
    assert await shown({"TEAM": TOKEN}, **own) == oauth


async def test_a_key_goes_before_a_token_unless_the_token_was_named() -> None:
    both = {"ANTHROPIC_API_KEY": "k1", "CLAUDE_CODE_OAUTH_TOKEN": TOKEN}
    assert "x-api-key" in await shown(both)
    assert "authorization" in await shown({**both, "TEAM": TOKEN}, **TEAM)


async def test_nothing_steps_in_for_a_place_that_was_named(tmp_path: Path) -> None:
    environ = {"ANTHROPIC_API_KEY": "of another account", "CLAUDE_CODE_OAUTH_TOKEN": TOKEN}
    missing = tmp_path / "none"
    for settings, said in (
        ({"model_key_env": "TEAM"}, "the variable TEAM, which [agents.bob] model_key_env names, is empty"),
        ({"model_key_file": missing}, f"[agents.bob] model_key_file: {missing} cannot be read: No such file"),
        ({"model_token_file": missing}, f"[agents.bob] model_token_file: {missing} cannot be read: No such"),
    ):
        with pytest.raises(VaultError) as caught:
            await shown(environ, **settings)
        assert said in str(caught.value)


async def test_without_any_key_the_places_are_named() -> None:
    with pytest.raises(VaultError) as caught:
        await EmbeddedVault({"bob": AgentConfig()}, {"ANTHROPIC_API_KEY": " "}).ensure_identity("bob")
    for place in ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "[agents.bob] model_key_file"):
        assert place in str(caught.value)


async def test_a_variable_is_read_when_it_is_needed() -> None:
    environ = {"ANTHROPIC_API_KEY": "k1"}
    vault = EmbeddedVault({"bob": AgentConfig()}, environ)
    await vault.ensure_identity("bob")
    environ["ANTHROPIC_API_KEY"] = "k2"
    assert (await vault.access("bob")).headers == {"x-api-key": "k2"}


@pytest.mark.parametrize("text", ["two keys", "a\nb", "k\r\nx-evil: 1", "schlüssel", "k\0k", "\x1b[2J"])
async def test_what_no_header_can_carry_is_refused_unrepeated(tmp_path: Path, text: str) -> None:
    replaced(tmp_path / "key", text)
    for settings in ({"model_key_file": tmp_path / "key"}, {"model_key": text}, {"model_key_env": "K"}):
        with pytest.raises(VaultError) as caught:
            await shown({"K": text}, **settings)
        assert text not in str(caught.value) and "leave just the one" in str(caught.value)


# ---------------------------------------------------------------- files with secrets


def test_a_file_changed_in_place_counts_at_once(tmp_path: Path) -> None:
    file = tmp_path / "key"
    replaced(file, "k0")
    secret = SecretFile(file, "here")
    for number in range(50):
        # Of the same length, and within one tick of the file system's clock.
        file.write_text(f"k{number % 10}")
        assert secret.read() == f"k{number % 10}"


def test_a_settled_file_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "key"
    replaced(file, "k1")
    os.utime(file, (1, 1))
    secret = SecretFile(file, "here")
    opened: list[str] = []
    # A hook stays for the life of the process; this one only looks for its own file.
    sys.addaudithook(
        lambda event, args: opened.append(event) if event == "open" and str(args[0]) == str(file) else None
    )
    assert [secret.read() for _ in range(100)] == ["k1"] * 100
    assert "k1" not in repr(vars(secret))
    assert opened == ["open"]
    # An mtime that was put back does not hide a change.
    file.write_text("k2")
    os.utime(file, (1, 1))
    assert secret.read() == "k2"


def test_a_missing_file_is_borne_for_a_moment_and_no_longer(tmp_path: Path) -> None:
    clock = Clock()
    file = tmp_path / "key"
    replaced(file, "k1")
    secret = SecretFile(file, "here", monotonic=clock)
    assert secret.read() == "k1"
    file.write_text("")
    assert secret.read() == "k1"
    file.unlink()
    clock.now += KEPT_SECONDS - 1
    assert secret.read() == "k1"
    clock.now += 1
    with pytest.raises(VaultError, match="cannot be read"):
        secret.read()
    replaced(file, "k2")
    assert secret.read() == "k2"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda file: os.mkfifo(file), "not a regular file"),
        (lambda file: file.mkdir(), "not a regular file"),
        (lambda file: file.write_bytes(b"k" * (MAX_SECRET_BYTES + 1)), "longer than 16 KiB"),
        (lambda file: file.write_bytes(b"k\xff"), "not text"),
        (lambda file: file.write_bytes(b"\n"), "is empty"),
    ],
)
def test_what_is_no_file_with_a_secret_is_refused(
    tmp_path: Path, make: Callable[[Path], Any], said: str
) -> None:
    make(tmp_path / "key")
    with pytest.raises(VaultError, match=said):
        SecretFile(tmp_path / "key", "[agents.bob] model_key_file").read()


def test_a_file_that_others_may_read_is_warned_about_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "key"
    replaced(file, "k1")
    secret = SecretFile(file, "[vault] key_file")
    secret.read()
    assert not caplog.records
    file.chmod(0o640)
    for _ in range(3):
        assert secret.read() == "k1"
    (record,) = caplog.records
    assert "has the mode 0640; chmod 600 it" in record.getMessage() and "k1" not in record.getMessage()
