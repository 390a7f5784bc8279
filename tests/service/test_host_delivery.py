"""Replies on their way to a platform that refuses, hangs, or has nobody there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Outgoing, Part, Settled
from agent.protocol.messages import ChatOut, MessageOut
from bot import outgoing
from bot.booking import NOT_DELIVERED
from bot.sending import NO_ANSWER
from bot.session import Session
from tests.fakes.platform import PART_CHARS, FakePlatform, refusal
from tests.service.conftest import House

BACKENDS = ("process", "docker")

LONG = "".join(f"{number:0{PART_CHARS - 10}d}----------" for number in range(3))


async def test_a_refused_part_is_sent_again_and_no_other(house: House) -> None:
    house.script({"match": "long", "steps": [{"do": "result", "text": LONG}]})
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        p.sent.clear()
        p.failures += [None, refusal(retry_after=0.05), refusal(retry_after=0.05)]
        await p.say("long")
        await p.ends(2)
        assert p.texts() == [LONG[i : i + PART_CHARS] for i in range(0, len(LONG), PART_CHARS)]
        rows = house.query("SELECT state, attempts FROM deliveries ORDER BY at")
        assert {row["state"] for row in rows} == {"sent"}


async def test_attempts_are_kept_over_a_restart(house: House) -> None:
    house.delivery |= {"max_attempts": 3, "retry_base_seconds": 0.3}
    p = house.platform
    p.failures += [refusal(), refusal()]
    async with house.open():
        await p.say("one")
        await p.until(lambda: len(p.tried) == 1)
        await house.until(lambda: bool(house.query("SELECT 1 FROM deliveries WHERE attempts = 1")))
    async with house.open():
        await p.until(lambda: len(p.tried) >= 2)
        await house.until(lambda: bool(house.query("SELECT 1 FROM deliveries WHERE attempts = 2")))
        assert p.texts() == [] and p.settled() == []
    async with house.open():
        assert await p.replies(1) == ["You said: one"]
    assert len(p.tried) == 3


async def test_replies_wait_in_order_behind_one_that_is_tried_again(house: House) -> None:
    async with house.open() as p:
        p.failures += [refusal(retry_after=0.5)]
        await p.say("one")
        await p.until(lambda: len(p.tried) == 1)
        await p.say("two")
        await p.ends(2)
        assert p.texts() == ["You said: one", "You said: two"]


async def test_the_end_is_told_when_a_reply_was_sent_at_last(house: House) -> None:
    async with house.open() as p:
        p.failures += [refusal(retry_after=0.3)]
        await p.say("one")
        await p.ends(1)
        assert [type(each).__name__ for each in p.log if isinstance(each, Part | Settled)] == [
            "Part",
            "Settled",
        ]


async def test_a_reply_that_is_never_taken_is_given_up_and_said(house: House) -> None:
    house.delivery["max_attempts"] = 3
    async with house.open() as p:
        p.failures += [refusal() for _ in range(3)]
        await p.say("one")
        assert await p.replies(1) == [NOT_DELIVERED.format(reason="the platform said no")]
        await p.say("two")
        assert (await p.replies(2))[1] == "You said: two"
        p.failures += [refusal(retry_after=None)]
        await p.say("three")
        assert (await p.replies(3))[2] == NOT_DELIVERED.format(reason="the platform said no")
        await p.ends(3)
    (row,) = house.query("SELECT count(*) AS n FROM deliveries WHERE state = 'failed'")
    assert row["n"] == 2


async def test_an_adapter_with_a_fault_loses_one_reply_and_not_the_conversation(house: House) -> None:
    house.delivery["max_attempts"] = 2
    async with house.open() as p:
        p.failures += [ValueError("a fault"), ValueError("a fault")]
        await p.say("one")
        assert await p.replies(1) == [NOT_DELIVERED.format(reason="ValueError")]
        p.broken_render.add("You said: two")
        await p.say("two")
        assert (await p.replies(2))[1] == NOT_DELIVERED.format(reason="ValueError")
        await p.say("three")
        assert (await p.replies(3))[2] == "You said: three"


async def test_a_reply_waits_until_somebody_is_there(house: House) -> None:
    p = house.platform
    p.absent.add("p1")
    async with house.open():
        await p.say("one")
        await p.until(lambda: len(p.tried) == 1)
        await p.say("two")
        await p.say("elsewhere", place="p2")
        await p.replies(1, place="p2")
        await house.until_quiet()
        assert p.texts() == [] and p.settled() == []
    async with house.open():
        assert p.texts() == []
        await p.come("p1")
        assert await p.replies(2) == ["You said: one", "You said: two"]
    assert not house.query("SELECT 1 FROM deliveries WHERE attempts > 0")


async def test_a_reply_that_nobody_takes_is_not_prepared_at_every_look(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[str] = []
    prepare = outgoing.prepare

    async def counted(session: Session, message: MessageOut, said: ChatOut, **how: Any) -> Outgoing:
        prepared.append(message.id)
        return await prepare(session, message, said, **how)

    monkeypatch.setattr(outgoing, "prepare", counted)
    p = house.platform
    p.absent.add("p1")
    async with house.open():
        for number in range(5):
            await p.say(f"m{number}")
            await p.until(lambda: len(p.tried) == 1)
            await house.until_quiet()
        assert len(prepared) == 1
        await p.come("p1")
        assert await p.replies(5) == [f"You said: m{number}" for number in range(5)]
        assert len(prepared) == 6


async def test_a_channel_that_hangs_holds_up_nobody_else(house: House) -> None:
    house.backend["runner_idle_seconds"] = 0.5
    async with house.open() as p:
        p.block("p1")
        await p.say("one")
        await p.until(lambda: len(p.tried) == 1)
        stuck = house.runner()
        await p.say("hello", place="p2")
        assert await p.replies(1, place="p2") == ["You said: hello"]
        # Its own conversation goes on, too: what is said reaches the agent, which may come and go meanwhile.
        await p.say("two")
        await house.until(lambda: len(house.query("SELECT 1 FROM inbox WHERE state = 'posted'")) >= 1)
        await house.until(lambda: not Path(f"/proc/{stuck}").exists())
        await p.say("three")
        p.free("p1")
        await p.until(lambda: "three" in "".join(p.texts()))
        await house.until_quiet()
        assert [line for text in p.texts() for line in text.splitlines()] == [
            "You said: one",
            "You said: two",
            "You said: three",
        ]


async def test_a_secret_is_taken_out_of_a_reply(house: House) -> None:
    async with house.open() as p:
        await p.say("my key is ghp_" + "a1B2" * 10)
        assert await p.replies(1) == ["You said: my key is [redacted github token]"]


async def test_the_agent_is_told_what_was_delivered_and_both_files_stay_small(house: House) -> None:
    async with house.open() as p:
        for number in range(1, 46):
            await p.say(f"m{number}")
            await p.ends(number)
        await house.app.containers.stop(house.session_id())
        with closing(sqlite3.connect(house.workspace().outbound)) as out:
            written = {row[0] for row in out.execute("SELECT id FROM messages_out")}
            (acks,) = out.execute("SELECT count(*) FROM processing_ack").fetchone()
        with closing(sqlite3.connect(house.workspace().inbound)) as inbound:
            told = dict(inbound.execute("SELECT message_out_id, platform_message_id FROM delivered"))
        assert len(written) < 45 and acks < 45
        assert all(platform_id == f"{out_id}:0" for out_id, platform_id in told.items())
        # What was pruned needs no receipt any more; the last ones are told with the next message.
        assert len(told) <= len(written) + 2


async def test_two_platforms_do_not_mix(house: House) -> None:
    other = FakePlatform("other")
    async with house.open(other) as p:
        await p.say("here")
        await other.say("there")
        assert await p.replies(1) == ["You said: here"]
        assert await other.replies(1) == ["You said: there"]


async def test_a_notice_for_a_platform_that_is_gone_does_not_keep_the_service_busy(house: House) -> None:
    other = FakePlatform("other")
    other.absent.add("p1")
    house.script({"match": "crash", "steps": [{"do": "kill"}]})
    house.turns["max_tries"] = 1
    async with house.open(other):
        await other.say("crash")
        await other.until(lambda: len(other.tried) == 1)
    async with house.open():
        await house.until(lambda: not house.query("SELECT 1 FROM notices"))
    (row,) = house.query("SELECT error FROM deliveries WHERE state = 'failed'")
    assert row["error"] == "there is no channel other"


async def test_a_platform_that_never_answers_is_tried_again_and_given_up(house: House) -> None:
    house.delivery |= {"send_seconds": 0.1, "max_attempts": 2}
    async with house.open() as p:
        p.block("p1")
        await p.say("hello")
        await house.until(lambda: bool(house.query("SELECT 1 FROM dead_letters")))
        (letter,) = house.query("SELECT reason, attempts FROM dead_letters")
        assert tuple(letter) == (NO_ANSWER, 2)
        p.free("p1")
        await p.say("and now?")
        await p.until(lambda: "You said: and now?" in p.texts())
        assert "You said: hello" not in p.texts()
