"""What every vault keeps to. A vault's tests subclass VaultContract and supply its fixtures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from bot.vault.base import Access, Vault, VaultError, VaultUnavailable

SECONDS = 10.0
"""How long anything may take before a test calls it stuck."""
AGENTS = ("bob", "ann")
"""Agents that are configured and may reach their models."""

Opened = Callable[[], AbstractAsyncContextManager[Vault]]
Change = Callable[[], Awaitable[None]]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def replaced(file: Path, text: str) -> None:
    """As a careful program changes a file: at once."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(text)
    new.chmod(0o600)
    new.rename(file)


def secrets_of(access: Access) -> list[str]:
    """Every text in it that no log may show."""
    hidden = [value for name, value in access.headers.items() if name != "anthropic-beta"]
    return hidden + ([access.proxy] if access.proxy else [])


async def soon(vault: Vault, agent: str, different_from: Access) -> Access:
    """The access once it is another than that."""
    async with asyncio.timeout(SECONDS):
        while (now := await vault.access(agent)) == different_from:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return now


class VaultContract:
    @pytest.fixture
    def opened(self) -> Opened:
        """Opens a vault that has something for every one of AGENTS, and closes it."""
        raise NotImplementedError

    @pytest.fixture
    def rotate(self) -> Change:
        """Changes what "bob" reaches its model with, while the vault is open."""
        raise NotImplementedError

    @pytest.fixture
    def withdraw(self) -> Change:
        """Takes it away for good from everybody."""
        raise NotImplementedError

    async def test_an_identity_leads_to_an_access(self, opened: Opened) -> None:
        async with opened() as vault:
            await vault.ensure_identity("bob")
            access = await vault.access("bob")
            assert access.headers or access.proxy
            assert all(name == name.lower() for name in access.headers)

    async def test_an_identity_may_be_there_already(self, opened: Opened) -> None:
        for _ in range(2):
            async with opened() as vault:
                await vault.ensure_identity("bob")
                await vault.ensure_identity("bob")
                assert await vault.access("bob") == await vault.access("bob")

    async def test_access_needs_no_ensuring_after_a_restart(self, opened: Opened) -> None:
        async with opened() as vault:
            await vault.ensure_identity("bob")
            before = await vault.access("bob")
        async with opened() as vault:
            assert await vault.access("bob") == before

    async def test_agents_have_accesses_of_their_own(self, opened: Opened) -> None:
        async with opened() as vault:
            for agent in AGENTS:
                await vault.ensure_identity(agent)
            bob, ann = [await vault.access(agent) for agent in AGENTS]
            assert not set(secrets_of(bob)) & set(secrets_of(ann))

    async def test_nothing_secret_is_shown(self, opened: Opened) -> None:
        async with opened() as vault:
            await vault.ensure_identity("bob")
            access = await vault.access("bob")
            shown = repr(access) + repr(vault) + str(vars(vault))
            assert secrets_of(access)
            assert not [secret for secret in secrets_of(access) if secret in shown]

    async def test_an_agent_that_is_not_configured_is_refused(self, opened: Opened) -> None:
        async with opened() as vault:
            for call in (vault.ensure_identity, vault.access):
                with pytest.raises(VaultError, match='"stranger"') as caught:
                    await call("stranger")
                assert not isinstance(caught.value, VaultUnavailable)

    async def test_a_change_counts_without_a_restart(self, opened: Opened, rotate: Change) -> None:
        async with opened() as vault:
            await vault.ensure_identity("bob")
            before = await vault.access("bob")
            await rotate()
            after = await soon(vault, "bob", before)
            assert not set(secrets_of(before)) & set(secrets_of(after))

    async def test_nobody_starts_on_what_was_taken_away(self, opened: Opened, withdraw: Change) -> None:
        await withdraw()
        async with opened() as vault:
            for call in (vault.ensure_identity, vault.access):
                with pytest.raises(VaultError) as caught:
                    await call("bob")
                assert not isinstance(caught.value, VaultUnavailable)
                assert len(str(caught.value).splitlines()) == 1

    async def test_many_ask_at_once(self, opened: Opened) -> None:
        async with opened() as vault, asyncio.timeout(SECONDS):
            await vault.ensure_identity("bob")
            assert (
                len({repr(each) for each in await asyncio.gather(*(vault.access("bob") for _ in range(100)))})
                == 1
            )

    async def test_it_may_be_closed_unused_and_twice(self, opened: Opened) -> None:
        async with opened() as vault:
            await vault.aclose()
