"""Hosts that admins let an agent reach in the chat: for a session, or once, beside those of its configuration."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from agent.protocol.clock import now_ms
from bot.db import egress
from bot.db.egress import ONCE_MS, Granted
from tests.fakes.gateway import House, Names, gateway
from tests.service.test_gateway_attacks import HOST, Site, agent, fetch, site

__all__ = ["site"]
REFUSED = b"HTTP/1.1 403 "


async def grant(
    house: House, site: Site, *, session: str = "s1", host: str = HOST, once: bool = False, ago: int = 0
) -> None:
    """An admin has allowed it, so many milliseconds ago."""
    granted = Granted("assistant", session, host, (site.port,), once=once, granted_at=now_ms() - ago)
    await house.db.write(partial(egress.grant, granted=granted))


async def test_what_is_granted_to_a_session_counts_at_once_for_it_alone(tmp_path: Path, site: Site) -> None:
    names = Names(api_example_org=["127.0.0.1"])
    async with gateway(tmp_path / "g", agent(), resolve=names) as house:
        target = f"{HOST}:{site.port}"
        assert (await fetch(house, target, site)).startswith(REFUSED)
        await grant(house, site)
        assert (await fetch(house, target, site)).endswith(b"hi")
        assert (await fetch(house, target, site)).endswith(b"hi")
        assert (await fetch(house, target, site, session="s2")).startswith(REFUSED)
        assert (await fetch(house, target, site, session="o1")).startswith(REFUSED)
        assert (await fetch(house, f"{HOST}:{site.port + 1}", site)).startswith(REFUSED)
        assert await house.db.write(lambda db: egress.revoke(db, "assistant", HOST)) == 1
        assert (await fetch(house, target, site)).startswith(REFUSED)


async def test_what_is_granted_once_is_one_connection(tmp_path: Path, site: Site) -> None:
    names = Names(api_example_org=["127.0.0.1"])
    async with gateway(tmp_path / "g", agent(), resolve=names) as house:
        await grant(house, site, once=True)
        assert (await fetch(house, f"{HOST}:{site.port}", site)).endswith(b"hi")
        assert (await fetch(house, f"{HOST}:{site.port}", site)).startswith(REFUSED)
        assert await house.db.read(lambda db: db.execute("SELECT count(*) FROM egress").fetchone()[0]) == 0


async def test_what_is_granted_once_is_used_within_its_time(tmp_path: Path, site: Site) -> None:
    names = Names(api_example_org=["127.0.0.1"])
    async with gateway(tmp_path / "g", agent(), resolve=names) as house:
        await grant(house, site, once=True, ago=ONCE_MS + 1_000)
        assert (await fetch(house, f"{HOST}:{site.port}", site)).startswith(REFUSED)


async def test_a_host_that_cannot_be_reached_uses_nothing_up(tmp_path: Path, site: Site) -> None:
    names = Names(api_example_org=["127.0.0.1"])
    async with gateway(tmp_path / "g", agent(), resolve=names) as house:
        await grant(house, site, once=True, host="gone.example.org")
        await grant(house, site, once=True)
        assert (await fetch(house, f"gone.example.org:{site.port}", site)).startswith(b"HTTP/1.1 502")
        assert await house.db.read(lambda db: db.execute("SELECT count(*) FROM egress").fetchone()[0]) == 2


async def test_nobody_is_let_into_a_private_network(tmp_path: Path, site: Site) -> None:
    names = Names(api_example_org=["10.1.2.3"])
    async with gateway(tmp_path / "g", agent(), resolve=names) as house:
        await grant(house, site, host="*.example.org")
        head, reader, writer = await house.tunnel(f"{HOST}:{site.port}")
        assert head.startswith(REFUSED)
        assert b"is not a place in the public internet" in await reader.read()
        writer.close()


async def test_whoever_is_refused_is_told_what_can_be_asked_for(tmp_path: Path) -> None:
    async with gateway(tmp_path / "g", agent()) as house:
        head, reader, writer = await house.tunnel(f"{HOST}:443")
        assert head.startswith(REFUSED)
        assert b"It can ask an admin for it with its tool request_host." in await reader.read()
        writer.close()
