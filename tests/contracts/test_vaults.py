"""Both vaults against the contract, and what only one of them promises."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.config_tables import AgentConfig
from bot.config_vault import VaultConfig
from bot.vault.anthropic import OAUTH_BETA
from bot.vault.base import Access, VaultError, VaultUnavailable
from bot.vault.embedded import EmbeddedVault
from bot.vault.onecli import RETRY_SECONDS, OneCli
from tests.contracts.vault_contract import (
    AGENTS,
    SECONDS,
    Change,
    Clock,
    Opened,
    VaultContract,
    replaced,
    soon,
)
from tests.fakes.onecli import KEY, OneCliServer, certificate

# ---------------------------------------------------------------- embedded


class TestEmbeddedVault(VaultContract):
    @pytest.fixture
    def files(self, tmp_path: Path) -> dict[str, Path]:
        files = {agent: tmp_path / agent for agent in AGENTS}
        for agent, file in files.items():
            replaced(file, f"made-up-key-of-{agent}\n")
        return files

    @pytest.fixture
    def opened(self, files: dict[str, Path]) -> Opened:
        agents = {agent: AgentConfig(model_key_file=file) for agent, file in files.items()}
        return lambda: aclosing(EmbeddedVault(agents, {}))

    @pytest.fixture
    def rotate(self, files: dict[str, Path]) -> Change:
        async def change() -> None:
            replaced(files["bob"], "another-key-of-bob")

        return change

    @pytest.fixture
    def withdraw(self, files: dict[str, Path]) -> Change:
        async def take() -> None:
            for file in files.values():
                file.unlink()

        return take


# ---------------------------------------------------------------- OneCLI


@pytest.fixture
async def server() -> AsyncIterator[OneCliServer]:
    async with OneCliServer() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


def vault_of(
    server: OneCliServer, clock: Callable[[], float] | None = None, key: str = KEY, **settings: Any
) -> AbstractAsyncContextManager[OneCli]:
    config = VaultConfig(kind="onecli", url=server.url, **settings)
    agents = {agent: AgentConfig() for agent in AGENTS}
    environ = {"ONECLI_API_KEY": key}
    return aclosing(
        OneCli(config, agents, environ, monotonic=clock) if clock else OneCli(config, agents, environ)
    )


class TestOneCli(VaultContract):
    @pytest.fixture
    def opened(self, server: OneCliServer) -> Opened:
        return lambda: vault_of(server, refresh_seconds=0.01)

    @pytest.fixture
    def rotate(self, server: OneCliServer) -> Change:
        async def change() -> None:
            server.answer = {"env": {"HTTPS_PROXY": "http://x:another@127.0.0.1:10255"}}

        return change

    @pytest.fixture
    def withdraw(self, server: OneCliServer) -> Change:
        async def take() -> None:
            server.key = "another"

        return take


async def failure(call: Any, kind: type[VaultError] = VaultError) -> str:
    """What a call is refused with; exactly of this kind, in one line, without a secret."""
    with pytest.raises(VaultError) as caught:
        async with asyncio.timeout(SECONDS):
            await call
    assert type(caught.value) is kind, repr(caught.value)
    said = str(caught.value)
    logged = "".join(traceback.format_exception(caught.value))
    assert KEY not in logged and "token-of-" not in logged and "\n" not in said
    return said


async def test_the_proxy_and_its_certificate_come_from_onecli(server: OneCliServer) -> None:
    async with vault_of(server) as vault:
        await vault.ensure_identity("bob")
        access = await vault.access("bob")
        assert access == Access({}, server.proxy("roost-bob"), certificate())
        assert server.agents == {"roost-bob": "Roost bob"}
        assert server.requests == ["POST /api/agents", "GET /api/container-config"]


async def test_an_oauth_token_of_onecli_needs_the_beta(server: OneCliServer) -> None:
    server.oauth = True
    async with vault_of(server) as vault:
        await vault.ensure_identity("bob")
        assert (await vault.access("bob")).headers == {"anthropic-beta": OAUTH_BETA}


async def test_an_agent_that_exists_is_as_good_as_made(server: OneCliServer) -> None:
    server.agents["roost-bob"] = "somebody's"
    async with vault_of(server) as vault:
        await vault.ensure_identity("bob")
    assert server.agents == {"roost-bob": "somebody's"}


def broken(status: int, **more: Any) -> Callable[[web.Request], web.StreamResponse]:
    return lambda _: web.Response(status=status, **more)


@pytest.mark.parametrize("status", [500, 502, 503, 408, 429])
async def test_trouble_that_passes_is_unavailable_and_later_works(server: OneCliServer, status: int) -> None:
    async with vault_of(server) as vault:
        server.trouble = broken(status)
        assert str(status) in await failure(vault.ensure_identity("bob"), VaultUnavailable)
        assert str(status) in await failure(vault.access("bob"), VaultUnavailable)
        server.trouble = None
        await vault.ensure_identity("bob")
        await vault.access("bob")


async def test_a_server_that_is_down_is_unavailable_and_later_works(server: OneCliServer) -> None:
    async with vault_of(server) as vault:
        await server.stop()
        said = await failure(vault.ensure_identity("bob"), VaultUnavailable)
        assert said == f"OneCLI at {server.url} cannot be reached; is it running?"
        await failure(vault.access("bob"), VaultUnavailable)
        await server.start()
        await vault.ensure_identity("bob")
        await vault.access("bob")


async def test_a_slow_server_is_not_waited_for(server: OneCliServer) -> None:
    async with vault_of(server, timeout_seconds=0.2) as vault:
        server.pause.clear()
        said = await failure(vault.ensure_identity("bob"), VaultUnavailable)
        assert "within 0.2 s" in said
        await failure(vault.access("bob"), VaultUnavailable)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_not_accepted_is_for_a_person(server: OneCliServer, status: int) -> None:
    async with vault_of(server) as vault:
        server.trouble = broken(status)
        for call in (vault.ensure_identity, vault.access):
            assert await failure(call("bob")) == (
                "OneCLI does not accept the key in the variable ONECLI_API_KEY; put a valid one there"
            )


async def test_without_a_key_for_onecli_nothing_is_asked(server: OneCliServer, tmp_path: Path) -> None:
    async with vault_of(server, key="") as vault:
        assert "ONECLI_API_KEY" in await failure(vault.ensure_identity("bob"))
    async with vault_of(server, key_file=tmp_path / "none") as vault:
        assert "[vault] key_file" in await failure(vault.ensure_identity("bob"))
    assert not server.requests


async def test_the_key_for_onecli_may_change(server: OneCliServer, tmp_path: Path) -> None:
    replaced(tmp_path / "key", "old")
    async with vault_of(server, key_file=tmp_path / "key") as vault:
        assert "[vault] key_file" in await failure(vault.ensure_identity("bob"))
        replaced(tmp_path / "key", KEY)
        await vault.ensure_identity("bob")


async def test_a_redirect_is_not_followed(server: OneCliServer) -> None:
    async with OneCliServer() as elsewhere, vault_of(server) as vault:
        target = f"{elsewhere.url}/api/agents"
        for status in (301, 307, 308):
            server.trouble = broken(status, headers={"Location": target})
            assert "sends to another address" in await failure(vault.ensure_identity("bob"))
        assert not elsewhere.requests


async def test_a_wrong_address_is_for_a_person(server: OneCliServer) -> None:
    async with vault_of(server) as vault:
        server.trouble = broken(404)
        assert "is [vault] url right?" in await failure(vault.ensure_identity("bob"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"env": ["http://x:token-of-bob@h:1"]}',
        b'{"env": {"A": 1}}',
        b'{"env": {}, "caCertificate": 1}',
        b"\xff",
    ],
)
async def test_garbage_is_not_taken_for_an_answer(server: OneCliServer, content: bytes) -> None:
    async with vault_of(server) as vault:
        await vault.ensure_identity("bob")
    async with vault_of(server) as vault:
        server.trouble = broken(200, body=content)
        assert "is [vault] url the address" in await failure(vault.access("bob"), VaultUnavailable)


async def test_an_endless_answer_is_cut_short(server: OneCliServer) -> None:
    async with vault_of(server) as vault:
        server.trouble = broken(200, body=b'{"env": {"A": "' + b"x" * 2_000_000)
        assert "longer than" in await failure(vault.access("bob"), VaultUnavailable)


async def test_garbage_of_http_is_unavailable() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        config = VaultConfig(kind="onecli", url=f"http://127.0.0.1:{port}")
        async with aclosing(OneCli(config, {"bob": AgentConfig()}, {"ONECLI_API_KEY": KEY})) as vault:
            await failure(vault.ensure_identity("bob"), VaultUnavailable)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"env": {}}, "names no proxy"),
        ({"env": {"HTTPS_PROXY": ""}}, "names no proxy"),
        ({"env": {"HTTPS_PROXY": "socks5://x:token-of-bob@h:1"}}, "no http:// address"),
        ({"env": {"HTTPS_PROXY": "http://x:token-of-bob@h:1/path"}}, "with a path"),
        ({"caCertificate": "garbage"}, "no certificate in PEM form"),
        (
            {"caCertificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
            "no certificate",
        ),
    ],
)
async def test_an_answer_that_cannot_be_used_is_for_a_person(
    server: OneCliServer, answer: dict[str, Any], said: str
) -> None:
    server.answer = answer
    async with vault_of(server) as vault:
        assert said in await failure(vault.ensure_identity("bob"))


# ---------------------------------------------------------------- the age of an answer


async def idle(vault: OneCli) -> None:
    """Returns when nothing is asked in the background."""
    while vault._asking:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_young_answer_is_used_again(server: OneCliServer, clock: Clock) -> None:
    async with vault_of(server, clock) as vault:
        await vault.ensure_identity("bob")
        asked = len(server.requests)
        clock.now += 59
        for _ in range(100):
            await vault.access("bob")
        assert len(server.requests) == asked


async def test_an_old_answer_is_asked_for_again_in_the_background(server: OneCliServer, clock: Clock) -> None:
    async with vault_of(server, clock) as vault:
        await vault.ensure_identity("bob")
        before = await vault.access("bob")
        server.answer = {"env": {"ALL_PROXY": "http://new:1"}}
        server.pause.clear()
        clock.now += 61
        # Nobody waits, and it is asked for once.
        assert [await vault.access("bob") for _ in range(20)] == [before] * 20
        async with asyncio.timeout(SECONDS):
            await server.waiting.wait()
        server.pause.set()
        async with asyncio.timeout(SECONDS):
            await server.until_asked(3)
            assert (await soon(vault, "bob", before)).proxy == "http://new:1"
        assert len(server.requests) == 3


async def test_an_outage_is_borne_until_the_answer_is_stale(
    server: OneCliServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with vault_of(server, clock) as vault:
        await vault.ensure_identity("bob")
        before = await vault.access("bob")
        server.trouble = broken(500)
        asked = len(server.requests)
        for number in range(1, 4):
            clock.now += 100
            assert await vault.access("bob") == before
            async with asyncio.timeout(SECONDS):
                await server.until_asked(asked + number)
                await idle(vault)
            # So soon after it has failed nobody asks again.
            clock.now += RETRY_SECONDS / 2
            assert await vault.access("bob") == before
            assert not vault._asking
        assert [each.levelname for each in caplog.records] == ["WARNING"]
        assert "answers with 500" in caplog.text and KEY not in caplog.text
        clock.now += 600
        await failure(vault.access("bob"), VaultUnavailable)
        server.trouble = None
        assert await vault.access("bob") == before


async def test_a_refusal_ends_what_was_answered_before(server: OneCliServer, clock: Clock) -> None:
    async with vault_of(server, clock) as vault:
        await vault.ensure_identity("bob")
        await vault.access("bob")
        server.agents.clear()
        clock.now += 61
        await vault.access("bob")
        async with asyncio.timeout(SECONDS):
            await idle(vault)
        assert 'knows no agent "roost-bob"' in await failure(vault.access("bob"))
        await vault.ensure_identity("bob")
        await vault.access("bob")


async def test_who_gives_up_waiting_takes_nobody_along(server: OneCliServer) -> None:
    server.agents["roost-bob"] = "x"
    async with vault_of(server) as vault:
        server.pause.clear()
        first, second = (asyncio.create_task(vault.access("bob")) for _ in range(2))
        async with asyncio.timeout(SECONDS):
            await server.waiting.wait()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            server.pause.set()
            assert (await second).proxy == server.proxy("roost-bob")
        assert server.asked.configs == ["roost-bob"]


async def test_an_answer_from_before_the_agent_was_made_does_not_count(server: OneCliServer) -> None:
    async with vault_of(server) as vault, asyncio.timeout(SECONDS):
        server.pause.clear()
        server.held = {"GET"}
        early = asyncio.create_task(vault.access("bob"))
        await server.waiting.wait()
        made = asyncio.create_task(vault.ensure_identity("bob"))
        await server.until_asked(1)
        server.pause.set()
        await failure(early)
        await made


async def test_closing_does_not_wait_for_an_answer(server: OneCliServer, clock: Clock) -> None:
    async with vault_of(server, clock) as vault:
        await vault.ensure_identity("bob")
        server.pause.clear()
        clock.now += 61
        await vault.access("bob")
        async with asyncio.timeout(SECONDS):
            await server.waiting.wait()
            await vault.aclose()
