"""The service's clock is put forward or back by an hour, while it runs and while it does not: nobody is killed for it,
nothing waits longer than it should, and nothing happens twice. The runners have clocks of their own."""

from __future__ import annotations

from functools import partial

import pytest

from agent.protocol.clock import now_ms
from bot import schedules
from bot.answers import EXPIRED
from bot.db import series
from bot.db.series import Draft
from bot.recurrence import At, Every
from tests.fakes.misbehaving import PROVIDER
from tests.fakes.platform import refusal
from tests.service.conftest import House

HOUR_MS = 3_600_000
JUMPS = pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS])
SLOW = {"match": "slow", "steps": [{"do": "stall", "seconds": 2}, {"do": "result", "text": "slowly"}]}
ASK = {
    "match": "ask",
    "steps": [
        {
            "do": "tool",
            "name": "ask_user_question",
            "arguments": {"title": "Choice", "question": "Which one?", "timeout_seconds": 3},
        },
        {"do": "result", "text": "thanks"},
    ],
}


@JUMPS
async def test_a_turn_is_not_killed_because_the_clock_jumps(house: House, jump_ms: int) -> None:
    house.script(SLOW)
    house.turns["heartbeat_stale_seconds"] = 4
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        pid = house.runner()
        house.clock_ahead_ms += jump_ms
        assert await p.replies(1) == ["slowly"]
        await p.ends(1)
        await p.say("next")
        assert (await p.replies(2))[1] == "You said: next"
        assert house.runner() == pid
    assert [row["tries"] for row in house.query("SELECT tries FROM inbox")] == [0, 0]


@JUMPS
async def test_a_turn_outlives_a_service_whose_clock_jumps(house: House, jump_ms: int) -> None:
    house.script(SLOW)
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        pid = house.runner()
    house.clock_ahead_ms += jump_ms
    async with house.open() as p:
        assert await p.replies(1) == ["slowly"]
        await p.say("next")
        assert (await p.replies(2))[1] == "You said: next"
        assert house.runner() == pid
        await house.until_quiet()
    assert house.states() == {"done": 2}


@JUMPS
@pytest.mark.parametrize("restarted", [False, True])
async def test_the_wait_for_another_try_is_no_longer_than_it_was(
    house: House, jump_ms: int, restarted: bool
) -> None:
    house.agent |= {"provider": PROVIDER, "provider_options": {"times": 1}}
    house.backend["allow_unsandboxed"] = True
    house.turns["retry_base_seconds"] = 1.5
    async with house.open() as p:
        await p.say("do:die_in_commit")
        await house.until(lambda: bool(house.query("SELECT 1 FROM inbox WHERE tries = 1")))
        await p.say("second")
        house.clock_ahead_ms += jump_ms
        if not restarted:
            await p.ends(2)
    if restarted:
        async with house.open() as p:
            await p.ends(2)
    assert p.texts() == ["You said: do:die_in_commit", "You said: second"]
    assert house.states() == {"done": 2}


async def test_a_clock_that_is_put_back_during_a_second_try_ends_it_all_the_same(house: House) -> None:
    house.agent |= {"provider": PROVIDER}
    house.agent["provider_options"] = {"times": 1, "script": [SLOW]}
    house.backend["allow_unsandboxed"] = True
    async with house.open() as p:
        await p.say("slow do:die_in_commit")
        await house.until(lambda: bool(house.query("SELECT 1 FROM inbox WHERE tries = 1")))
        await p.at_work()
        house.clock_ahead_ms -= HOUR_MS
        await p.ends(1)
        assert p.texts() == ["slowly"]
        await house.until_quiet()
    assert house.states() == {"done": 1}


@JUMPS
@pytest.mark.parametrize("restarted", [False, True])
async def test_the_wait_before_sending_again_is_no_longer_than_it_was(
    house: House, jump_ms: int, restarted: bool
) -> None:
    house.delivery["retry_base_seconds"] = 1.5
    house.platform.failures = [refusal()]
    async with house.open() as p:
        await p.say("one")
        await house.until(lambda: bool(house.query("SELECT 1 FROM deliveries WHERE state = 'waiting'")))
        house.clock_ahead_ms += jump_ms
        if not restarted:
            await p.ends(1)
    if restarted:
        async with house.open() as p:
            await p.until(lambda: len(p.texts()) == 1)
    assert p.texts() == ["You said: one"]


async def test_a_schedule_fires_once_however_the_clock_jumps(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "LOOK_SECONDS", 0.05)
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        first = now_ms() + 300
        every_hour = Every(amount=1, unit="hours", start=first, timezone="UTC")
        hourly = await made(house, "hourly", every_hour, first)
        await p.ends(2)
        for number, ahead_ms in enumerate((-HOUR_MS, 0, HOUR_MS, 0, HOUR_MS)):
            house.clock_ahead_ms = ahead_ms
            # When this one has run, the hourly one was looked at by the new clock.
            at = now_ms() + ahead_ms
            await made(house, f"check {number}", At(at=at, timezone="UTC"), at)
            await p.ends(3 + number + (ahead_ms > 0 or number > 2))
        runs = await house.app.db.read(partial(series.history, series_id=hourly, limit=10))
        assert [run.due_at for run in runs] == [first + HOUR_MS, first]
        assert " ".join(p.texts()).count("hourly") == 2


async def made(house: House, prompt: str, when: At | Every, next_at: int) -> str:
    draft = Draft(prompt, when, next_at, "fake:u1")
    return (await house.app.context.schedules.create(house.session_id(), draft)).id


@JUMPS
async def test_a_question_is_answered_or_says_that_it_is_closed(house: House, jump_ms: int) -> None:
    house.script(ASK)
    async with house.open() as p:
        await p.say("ask")
        await p.until(lambda: bool(p.sent))
        question = p.sent[0].outgoing.question
        assert question is not None
        house.clock_ahead_ms += jump_ms
        receipt = await p.answer(question.id, "this")
        if jump_ms > 0:
            assert (receipt.state, receipt.text) == ("refused", EXPIRED)
        await p.until(lambda: "thanks" in p.texts())
        await house.until_quiet()


@JUMPS
async def test_order_is_kept(house: House, jump_ms: int) -> None:
    async with house.open() as p:
        await p.say("warm")
        await p.ends(1)
        for number in range(6):
            await p.say(f"m{number}")
            if number == 2:
                house.clock_ahead_ms += jump_ms
        await p.ends(7)
        said = " ".join(p.texts())
        places = [said.index(f"m{number}") for number in range(6)]
        assert places == sorted(places)
