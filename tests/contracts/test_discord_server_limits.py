"""The fake Discord's rate limits, and what goes wrong there on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import aiohttp
import discord
import pytest

from tests.contracts.discord_rig import Rig, connected, serving
from tests.fakes import discord_limits
from tests.fakes.discord_limits import Limits
from tests.fakes.discord_values import Permission

Patch = pytest.MonkeyPatch


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with serving() as made:
        yield made


async def test_a_bucket_is_told_in_headers_and_refuses(rig: Rig) -> None:
    for left in (4, 3, 2, 1, 0):
        status, _, headers = await rig.say(rig.general)
        assert (status, headers["X-RateLimit-Remaining"]) == (200, str(left))
    assert headers["X-RateLimit-Limit"] == "5"
    assert 4 < float(headers["X-RateLimit-Reset-After"]) <= 5.1
    status, body, headers = await rig.say(rig.general)
    assert status == 429
    assert body.keys() == {"message", "retry_after", "global"} and not body["global"]
    assert int(headers["Retry-After"]) >= body["retry_after"]
    assert headers["Via"] and headers["X-RateLimit-Scope"] == "user"
    assert len(rig.discord.limited) == 1
    # Another channel has a bucket of its own, by the same name.
    other = rig.lab.channel("other")
    status, _, elsewhere = await rig.say(other)
    assert status == 200 and elsewhere["X-RateLimit-Bucket"] == headers["X-RateLimit-Bucket"]


async def test_who_waits_as_told_is_taken(rig: Rig) -> None:
    path = f"/channels/{rig.general.id}/messages"
    while True:
        status, body, _ = await rig.ask("GET", path)
        if status == 429:
            break
    await asyncio.sleep(body["retry_after"])
    assert (await rig.ask("GET", path))[0] == 200


async def test_the_real_client_keeps_within_its_buckets(rig: Rig, monkeypatch: Patch) -> None:
    said = rig.ada.say(rig.general, "hello")
    async with connected(rig, monkeypatch) as bot:
        channel = bot.get_channel(int(rig.general.id))
        assert isinstance(channel, discord.TextChannel)
        message = channel.get_partial_message(int(said.id))
        began = monotonic()
        for emoji in ("1️⃣", "2️⃣", "3️⃣"):
            await message.add_reaction(emoji)
        assert monotonic() - began > 0.45
        assert len(said.reactions) == 3
        assert not rig.discord.limited


async def test_fifty_a_second_for_all(rig: Rig, monkeypatch: Patch) -> None:
    rig.discord.limits.global_per_second = 10
    answers = await asyncio.gather(*(rig.ask("GET", "/users/@me") for _ in range(15)))
    refused = [body for status, body, _ in answers if status == 429]
    assert len(refused) == 5 and all(body["global"] for body in refused)
    assert [h["X-RateLimit-Global"] for status, _, h in answers if status == 429] == ["true"] * 5


async def test_a_channel_is_renamed_twice_in_ten_minutes(rig: Rig) -> None:
    rig.general.allow(rig.discord.bot, Permission.MANAGE_CHANNELS)
    path = f"/channels/{rig.general.id}"
    statuses = [(await rig.ask("PATCH", path, {"name": name}))[0] for name in "abc"]
    assert statuses == [200, 200, 429]
    assert int(rig.discord.limited[0].answer["retry_after"]) > 500


async def test_a_limit_can_be_ordered(rig: Rig) -> None:
    rig.discord.fail("POST", "/messages", status=429, scope="shared", retry_after=7)
    rig.discord.fail("POST", "/messages", status=429, scope="cloudflare", retry_after=7)
    _, body, headers = await rig.say(rig.general)
    assert (body["retry_after"], headers["X-RateLimit-Scope"]) == (7, "shared")
    _, body, headers = await rig.say(rig.general)
    assert body == "error code: 1015" and "Via" not in headers


async def test_too_many_invalid_requests_end_in_a_ban(rig: Rig) -> None:
    rig.discord.limits.invalid_requests = 3
    for _ in range(3):
        assert (await rig.ask("GET", "/users/@me", token="wrong"))[0] == 401  # noqa: S106
    status, body, headers = await rig.ask("GET", "/users/@me")
    assert (status, body) == (429, "error code: 1015")
    assert "Via" not in headers and int(headers["Retry-After"]) > 500


async def test_without_limits_everything_passes() -> None:
    async with serving(limits="none") as rig:
        answers = await asyncio.gather(*(rig.say(rig.general) for _ in range(60)))
        assert {status for status, _, _ in answers} == {200}
        assert "X-RateLimit-Limit" not in answers[0][2]


def test_a_window_ends_when_it_was_told_to() -> None:
    now = 0
    limits = Limits(wall=lambda: 0, now=lambda: now)
    bucket = discord_limits.REACTION
    assert limits.take(bucket, "a")[1] is None
    denial = limits.take(bucket, "a")[1]
    assert denial is not None
    now = round(denial.seconds * 1000)
    assert limits.take(bucket, "a")[1] is None


# -------------------------------------------------------------------- faults


async def test_a_fault_comes_as_often_as_it_was_ordered(rig: Rig) -> None:
    fault = rig.discord.fail("POST", r"/channels/\d+/messages$", status=503, times=2, after=1)
    statuses = [(await rig.say(rig.general, str(n)))[0] for n in range(4)]
    assert statuses == [200, 503, 503, 200]
    assert fault.met == 2
    assert rig.general.texts == ["0", "3"]


async def test_a_reset_comes_before_or_after_the_deed(rig: Rig) -> None:
    rig.discord.fail("POST", "/messages", how="reset_before")
    rig.discord.fail("POST", "/messages", how="reset_after")
    for text in ("lost", "kept"):
        with pytest.raises(aiohttp.ClientConnectionError):
            await rig.say(rig.general, text)
    assert rig.general.texts == ["kept"]
    assert [each.status for each in rig.discord.requests] == [0, 0]


async def test_a_slow_answer_outlives_who_waits_for_it(rig: Rig) -> None:
    rig.discord.fail("POST", "/messages", how="slow", seconds=1.0)
    with pytest.raises(TimeoutError):
        # Long enough for the request to get there on a busy machine.
        await asyncio.wait_for(rig.say(rig.general, "late"), 0.5)
    await rig.discord.until(lambda: rig.general.texts == ["late"])


async def test_the_real_client_bears_a_limit_and_an_error(rig: Rig, monkeypatch: Patch) -> None:
    async with connected(rig, monkeypatch) as bot:
        channel = bot.get_channel(int(rig.general.id))
        assert isinstance(channel, discord.TextChannel)
        rig.discord.fail("POST", "/messages", status=502)
        rig.discord.fail("POST", "/messages", status=429, retry_after=0.05)
        await channel.send("at last")
        assert rig.general.texts == ["at last"]
        assert [each.status for each in rig.discord.requests[-3:]] == [502, 429, 200]
