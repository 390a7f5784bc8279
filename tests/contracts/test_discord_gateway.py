"""The fake gateway against the real discord.py client, and against what a websocket sees of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import discord
import pytest

from tests.contracts.gateway_rig import (
    ADA,
    ANNEX,
    LAB,
    ME,
    MESSAGES,
    SUFFIX,
    TOKEN,
    Client,
    Closed,
    Raw,
    Rig,
    TinyWorld,
    pointed_at,
    raw,
    user,
)
from tests.fakes.discord_gateway import GatewaySettings
from tests.fakes.discord_intents import Intent, without_content
from tests.fakes.discord_session import GUILDS_PER_SHARD
from tests.fakes.discord_socket import Op

PLAIN = int(Intent.GUILDS | MESSAGES)
TWO = GatewaySettings(shards=2)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with Rig(TinyWorld(), GatewaySettings()).serving() as serving:
        yield serving


@asynccontextmanager
async def connected(client: Client, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """The client, once it is ready."""
    pointed_at(client.rig, monkeypatch)
    running = asyncio.create_task(client.start(TOKEN))
    try:
        await client.rig.hub.until(lambda: "ready" in client.happened)
        yield client
    finally:
        await client.close()
        await running


def content_intents() -> discord.Intents:
    intents = discord.Intents.default()
    intents.message_content = True
    return intents


# -------------------------------------------------------------------- the real client


async def test_the_real_client_connects_is_told_and_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = GatewaySettings(heartbeat_seconds=0.05)
    async with (
        Rig(TinyWorld(), settings).serving() as rig,
        connected(Client(rig, intents=content_intents()), monkeypatch) as client,
    ):
        (session,) = rig.hub.sessions
        rig.say(1, "hello")
        rig.say(2, "in private", guild_id=None, channel_type=1)
        await rig.hub.until(lambda: client.said == ["hello", "in private"])
        assert {guild.id for guild in client.guilds} == {int(LAB), int(ANNEX)}
        assert session.identify["properties"]["browser"] == "discord.py"
        await rig.hub.until(lambda: len(session.heartbeats) >= 3 and session.acked == session.seq)
        beats = len(session.heartbeats)
        rig.hub.ask_heartbeat()
        await rig.hub.until(lambda: len(session.heartbeats) > beats)
        await client.change_presence(status=discord.Status.idle)
        await rig.hub.until(lambda: session.presences[-1:] != [])
        assert session.presences[-1]["status"] == "idle"
    assert session.ended, "a client that closes with 1000 gives its session up"
    assert not rig.hub.live


async def test_each_shard_is_told_of_its_guilds(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Rig(TinyWorld(), TWO).serving() as rig, connected(Client(rig), monkeypatch) as client:
        first, second = rig.hub.sessions
        assert (first.shard, second.shard) == ((0, 2), (1, 2))
        assert [guild["id"] for guild in first.data("GUILD_CREATE")] == [LAB]
        assert [guild["id"] for guild in second.data("GUILD_CREATE")] == [ANNEX]
        rig.say(1, "", guild_id=ANNEX)
        rig.say(2, "private", guild_id=None, channel_type=1)
        await rig.hub.until(lambda: len(client.said) == 2)
        assert [len(each.data("MESSAGE_CREATE")) for each in (first, second)] == [1, 1]
        rig.hub.drop(shard=1)
        await rig.hub.until(lambda: "resumed 1" in client.happened)
        assert (len(first.resumes), len(second.resumes)) == (0, 1)


@pytest.mark.parametrize("how", ["drop", "reconnect", "invalid", "close"])
async def test_a_resume_brings_what_was_missed(rig: Rig, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    async with connected(Client(rig, intents=content_intents()), monkeypatch) as client:
        (session,) = rig.hub.sessions
        rig.hub.mute()  # Nothing of the next event can have come.
        match how:
            case "drop":
                rig.hub.drop()
            case "reconnect":
                rig.hub.reconnect()
            case "invalid":
                rig.hub.invalidate(resumable=True)
            case _:
                rig.hub.close(4000)
        rig.say(1, "missed")
        rig.hub.unmute()
        await rig.hub.until(lambda: "resumed 0" in client.happened)
        assert client.said == ["missed"]
        assert rig.hub.sessions == [session] and session.resumes
        rig.say(2, "later")
        await rig.hub.until(lambda: client.said == ["missed", "later"])


async def test_what_is_invalid_begins_anew_and_misses(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(Client(rig, intents=content_intents()), monkeypatch) as client:
        rig.hub.invalidate()
        rig.say(1, "missed")
        await rig.hub.until(lambda: len(rig.hub.live) == 1 and len(rig.hub.sessions) == 2)
        rig.say(2, "heard")
        await rig.hub.until(lambda: client.said == ["heard"])


async def test_who_was_forgotten_is_refused_and_begins_anew(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(Client(rig, intents=content_intents()), monkeypatch) as client:
        rig.hub.forget_sessions()
        rig.say(1, "still there")
        await rig.hub.until(lambda: client.said == ["still there"])
        rig.hub.drop()
        await rig.hub.until(lambda: len(rig.hub.sessions) == 2)
        assert [each["session_id"] for each in rig.hub.refused_resumes] == [rig.hub.sessions[0].id]


@pytest.mark.parametrize(
    ("code", "said"), [(4004, discord.ConnectionClosed), (4014, discord.PrivilegedIntentsRequired)]
)
async def test_the_client_gives_up_where_it_has_to(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, code: int, said: type[Exception]
) -> None:
    if code == 4014:
        rig.world.switched_on = 0
    else:
        rig.world.token = "another"  # noqa: S105
    client = Client(rig, intents=content_intents())
    pointed_at(rig, monkeypatch)
    try:
        with pytest.raises(said):
            await asyncio.wait_for(client.start(TOKEN), 10)
    finally:
        await client.close()
    assert rig.hub.close_codes == [code]
    assert rig.hub.sessions == []


async def test_the_deaf_are_connected_and_hear_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(Client(rig, intents=content_intents()), monkeypatch) as client:
        (session,) = rig.hub.sessions
        rig.hub.deafen()
        rig.say(1, "lost")
        beats = len(session.heartbeats)
        rig.hub.ask_heartbeat()
        await rig.hub.until(lambda: len(session.heartbeats) > beats)
        rig.hub.drop()
        await rig.hub.until(lambda: "resumed 0" in client.happened)
        rig.say(2, "lost as well")
        rig.hub.hear()
        rig.say(3, "heard")
        await rig.hub.until(lambda: client.said == ["heard"])


async def test_a_zombie_is_found_out_and_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = GatewaySettings(heartbeat_seconds=0.1)
    async with (
        Rig(TinyWorld(), settings).serving() as rig,
        connected(Client(rig, intents=content_intents(), heartbeat_timeout=0.5), monkeypatch) as client,
    ):
        rig.hub.mute()
        rig.say(1, "missed")
        await rig.hub.until(lambda: client.said == ["missed"])
        assert rig.hub.sessions[0].resumes and len(rig.hub.sessions) == 1


async def test_a_storm_comes_at_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(Client(rig, intents=content_intents()), monkeypatch) as client:
        rig.hub.hold()
        for number in range(50):
            rig.say(number, str(number))
        assert "MESSAGE_CREATE" not in rig.hub.sessions[0].names()
        rig.hub.release()
        await rig.hub.until(lambda: client.said == [str(number) for number in range(50)])


async def test_members_are_had_by_their_ids(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(Client(rig), monkeypatch) as client:
        guild = client.get_guild(int(LAB))
        assert guild is not None and guild.get_member(int(ADA)) is None
        (found,) = await guild.query_members(user_ids=[int(ADA), 99])
        assert found.name == "ada"
        (asked,) = rig.hub.sessions[0].member_requests
        (chunk,) = rig.hub.sessions[0].data("GUILD_MEMBERS_CHUNK")
        assert chunk["nonce"] == asked["nonce"] and chunk["not_found"] == ["99"]


async def test_everybody_comes_in_chunks_to_whoever_may_see_them(monkeypatch: pytest.MonkeyPatch) -> None:
    world = TinyWorld()
    world.guilds, world.crowd = [LAB], 1500
    intents = discord.Intents.default()
    intents.members = True
    async with (
        Rig(world, GatewaySettings()).serving() as rig,
        connected(Client(rig, intents=intents), monkeypatch) as client,
    ):
        guild = client.get_guild(int(LAB))
        assert guild is not None and len(guild.members) == 1502
        chunks = rig.hub.sessions[0].data("GUILD_MEMBERS_CHUNK")
        assert [(each["chunk_index"], each["chunk_count"]) for each in chunks] == [(0, 2), (1, 2)]


# -------------------------------------------------------------------- what a websocket sees


async def test_a_plain_connection_is_text(rig: Rig) -> None:
    async with raw(rig) as client:
        ready = await client.begin()
        assert ready["user"]["id"] == ME
        assert ready["resume_gateway_url"] == rig.gateway_url
        assert "shard" not in ready
        assert client.frames == []


async def test_zlib_is_one_stream_whose_messages_end_in_a_flush(rig: Rig) -> None:
    async with raw(rig, query="v=10&encoding=json&compress=zlib-stream") as client:
        await client.begin()
        rig.say(1, "squeezed", mentions=[user(ME, "roost")])
        told = await client.until(event="MESSAGE_CREATE")
        assert told["d"]["content"] == "squeezed"
        assert len(client.frames) >= 4 and all(frame.endswith(SUFFIX) for frame in client.frames)


async def test_heartbeats_are_acknowledged_and_asked_for(rig: Rig) -> None:
    async with raw(rig) as client:
        hello = await client.until(op=Op.HELLO)
        assert hello["d"]["heartbeat_interval"] == 41_250
        await client.send(Op.HEARTBEAT)
        assert (await client.read())["op"] == Op.HEARTBEAT_ACK
        rig.hub.ask_heartbeat()
        assert (await client.read())["op"] == Op.HEARTBEAT


async def test_an_event_goes_to_whoever_holds_its_bit(rig: Rig) -> None:
    async with raw(rig) as all_of_them, raw(rig) as guilds_only:
        await all_of_them.begin()
        await guilds_only.begin(intents=int(Intent.GUILDS))
        rig.say(1, "for one")
        rig.hub.dispatch("INTERACTION_CREATE", {"id": "1"}, intent=None, guild_id=LAB)
        await all_of_them.until(event="MESSAGE_CREATE")
        await guilds_only.until(event="INTERACTION_CREATE")
    first, second = rig.hub.sessions
    assert "MESSAGE_CREATE" in first.names() and "MESSAGE_CREATE" not in second.names()


@pytest.mark.parametrize(
    ("more", "content"),
    [
        ({}, ""),
        ({"mentions": [user(ME, "roost")]}, "hello"),
        ({"author": user(ME, "roost", bot=True)}, "hello"),
        ({"guild_id": None}, "hello"),
    ],
)
async def test_content_is_for_those_whom_it_concerns(rig: Rig, more: dict[str, Any], content: str) -> None:
    async with raw(rig) as blind, raw(rig) as seeing:
        await blind.begin()
        await seeing.begin(intents=PLAIN | Intent.MESSAGE_CONTENT)
        rig.say(1, "hello", attachments=[{"id": "1"}], **more)
        told = (await blind.until(event="MESSAGE_CREATE"))["d"]
        assert told["content"] == content and bool(told["attachments"]) == bool(content)
        assert (await seeing.until(event="MESSAGE_CREATE"))["d"]["content"] == "hello"


def test_a_quoted_message_is_judged_by_itself() -> None:
    quoted = {"content": "of somebody", "author": user(ADA, "ada"), "mentions": []}
    told = without_content(
        {"guild_id": LAB, "content": "mine", "author": user(ME, "roost"), "referenced_message": quoted}, ME
    )
    assert (told["content"], told["referenced_message"]["content"]) == ("mine", "")
    assert quoted["content"] == "of somebody"


async def refused(rig: Rig, client: Raw) -> int | None:
    """The code with which the gateway closes."""
    with pytest.raises(Closed) as closed:
        await client.until(event="READY")
    assert rig.hub.close_codes[-1] == closed.value.code
    return closed.value.code


@pytest.mark.parametrize(
    ("identify", "code"),
    [
        ({"token": "wrong"}, 4004),
        ({"shard": [2, 2]}, 4010),
        ({"shard": "0/2"}, 4010),
        ({"intents": 1 << 30}, 4013),
        ({"intents": None}, 4013),
        ({"intents": PLAIN | Intent.MESSAGE_CONTENT}, 4014),
        ({"properties": None}, 4002),
    ],
)
async def test_a_wrong_identify_is_closed_with_its_code(
    rig: Rig, identify: dict[str, Any], code: int
) -> None:
    rig.world.switched_on = 0
    async with raw(rig) as client:
        await client.identify(**identify)
        assert await refused(rig, client) == code


async def test_who_has_too_many_guilds_must_shard(rig: Rig) -> None:
    rig.world.guilds = [str(number << 22) for number in range(1, GUILDS_PER_SHARD + 2)]
    async with raw(rig) as client:
        await client.identify()
        assert await refused(rig, client) == 4011


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no json", 4002),
        ('{"op": 1, "d": "' + "x" * 4096 + '"}', 4002),
        ('{"op": 3, "d": {}}', 4003),
    ],
)
async def test_what_makes_no_sense_is_closed_with_its_code(rig: Rig, text: str, code: int) -> None:
    async with raw(rig) as client:
        await client.ws.send_str(text)
        assert await refused(rig, client) == code


async def test_after_identifying_there_is_less_to_ask(rig: Rig) -> None:
    async with raw(rig) as twice, raw(rig) as unknown:
        await twice.begin()
        await twice.identify()
        assert await refused(rig, twice) == 4005
        await unknown.begin()
        await unknown.send(99)
        assert await refused(rig, unknown) == 4001


async def test_an_old_version_and_a_strange_encoding_are_refused(rig: Rig) -> None:
    async with raw(rig, query="v=5&encoding=json") as client:
        assert await refused(rig, client) == 4012
    with pytest.raises(aiohttp.WSServerHandshakeError, match="400"):
        async with raw(rig, query="v=10&encoding=etf"):
            pass


async def test_who_sends_too_much_is_closed() -> None:
    async with Rig(TinyWorld(), GatewaySettings(commands_per_minute=5)).serving() as rig, raw(rig) as client:
        for _ in range(6):
            await client.send(Op.HEARTBEAT)
        assert await refused(rig, client) == 4008


async def test_who_identifies_too_soon_has_to_wait() -> None:
    async with (
        Rig(TinyWorld(), GatewaySettings(identify_seconds=5, max_concurrency=2)).serving() as rig,
        raw(rig) as first,
        raw(rig) as other_bucket,
        raw(rig) as hasty,
    ):
        await first.begin(shard=[0, 4])
        await other_bucket.begin(shard=[1, 4])
        await hasty.until(op=Op.HELLO)
        await hasty.identify(shard=[2, 4])
        assert (await hasty.read()) == {"t": None, "s": None, "op": Op.INVALID_SESSION, "d": False}
        assert rig.hub.session_start_limit()["remaining"] == 997


async def test_identifies_are_used_up() -> None:
    async with Rig(TinyWorld(), GatewaySettings(session_starts=1)).serving() as rig, raw(rig) as client:
        await client.begin()
        async with raw(rig) as another:
            await another.identify()
            assert await refused(rig, another) == 4004


# -------------------------------------------------------------------- resume


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
