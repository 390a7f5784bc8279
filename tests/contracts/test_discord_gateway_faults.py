"""The fake gateway broken on purpose: what can be resumed, and what a client sees of a connection in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.contracts.gateway_rig import ANNEX, LAB, ME, Closed, Rig, TinyWorld, raw, refused
from tests.fakes.discord_gateway import GatewaySettings
from tests.fakes.discord_socket import Op


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with Rig(TinyWorld(), GatewaySettings()).serving() as serving:
        yield serving


async def test_a_resume_replays_in_order_and_then_says_so(rig: Rig) -> None:
    async with raw(rig) as client:
        ready = await client.begin()
        for number in range(3):
            rig.say(number, "", guild_id=LAB)
        heard = await client.until(event="MESSAGE_CREATE")
        rig.hub.drop()
    async with raw(rig, query="v=10&encoding=json&compress=zlib-stream") as client:
        await client.resume(ready["session_id"], heard["s"])
        told = [await client.read() for _ in range(3)]
        assert [each["t"] for each in told] == ["MESSAGE_CREATE", "MESSAGE_CREATE", "RESUMED"]
        assert [each["s"] for each in told] == [heard["s"] + 1, heard["s"] + 2, heard["s"] + 3]


async def test_what_is_no_longer_kept_cannot_be_resumed() -> None:
    async with Rig(TinyWorld(), GatewaySettings(replay_events=4)).serving() as rig:
        async with raw(rig) as client:
            ready = await client.begin()
        (session,) = rig.hub.sessions
        session.ended = False
        for number in range(5):
            rig.say(number, "")
        async with raw(rig) as client:
            await client.resume(ready["session_id"], session.seq - 5)
            assert (await client.until(op=Op.INVALID_SESSION))["d"] is False
            await client.identify()
            await client.until(event="READY")


@pytest.mark.parametrize(("code", "resumable"), [(4000, True), (4008, True), (4007, False), (4009, False)])
async def test_a_close_code_says_whether_it_can_go_on(rig: Rig, code: int, resumable: bool) -> None:
    async with raw(rig) as client:
        ready = await client.begin()
        rig.hub.close(code)
        assert await refused(rig, client) == code
    async with raw(rig) as client:
        await client.resume(ready["session_id"], rig.hub.sessions[0].seq)
        answer = await client.read()
        assert (answer["t"] == "RESUMED") is resumable
        assert (answer["op"] == Op.INVALID_SESSION) is not resumable


async def test_a_seq_that_never_was_ends_the_session(rig: Rig) -> None:
    async with raw(rig) as client:
        ready = await client.begin()
        rig.hub.drop()
    async with raw(rig) as client:
        await client.resume(ready["session_id"], 99)
        assert await refused(rig, client) == 4007
    assert rig.hub.sessions[0].ended


async def test_the_mute_say_nothing_until_they_do(rig: Rig) -> None:
    async with raw(rig) as client:
        await client.begin()
        rig.say(1, "")
        await client.until(event="MESSAGE_CREATE")
        rig.hub.mute()
        await client.send(Op.HEARTBEAT, 1)
        rig.say(2, "")
        async with raw(rig) as another:
            await another.begin()
        reading = asyncio.create_task(client.read())
        done, _ = await asyncio.wait({reading}, timeout=0.05)
        assert not done and rig.hub.sessions[0].heartbeats == []
        rig.hub.unmute()
        assert {(await reading)["op"], (await client.read())["op"]} == {Op.DISPATCH, Op.HEARTBEAT_ACK}


async def test_who_does_not_beat_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fakes.discord_socket.LATE_SECONDS", 0.0)
    async with Rig(TinyWorld(), GatewaySettings(heartbeat_seconds=0.05)).serving() as rig, raw(rig) as client:
        await client.begin()
        with pytest.raises(Closed) as closed:
            await client.until(event="never")
        assert closed.value.code == 4009
        assert rig.hub.sessions[0].ended


async def test_connections_are_refused_for_a_while(rig: Rig) -> None:
    rig.hub.refuse(times=2)
    for _ in range(2):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            async with raw(rig):
                pass
    async with raw(rig) as client:
        await client.begin()
    assert rig.hub.connections == 3


async def test_a_guild_that_is_away_has_no_content(rig: Rig) -> None:
    rig.world.unavailable = {ANNEX}
    async with raw(rig) as client:
        ready = await client.begin()
        assert {each["id"] for each in ready["guilds"]} == {LAB, ANNEX}
    (session,) = rig.hub.sessions
    (guild,) = session.data("GUILD_CREATE")
    assert [each["user"]["id"] for each in guild["members"]] == [ME], "without the presences intent"
