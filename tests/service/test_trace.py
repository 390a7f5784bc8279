"""The way of a message, told by the service that went it and by the files that it left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import closing
from sqlite3 import connect
from typing import Any

import pytest

from adapters.base import Event, Receipt, Sender
from agent.protocol.clock import now_ms
from bot.db import people
from bot.db.series import Draft
from bot.marks import TAKEN_OVER
from bot.recurrence import At
from bot.trace import STEPS, clock_time
from bot.turns import GAVE_UP
from tests.fakes.platform import PART_CHARS, PERSON, FakePlatform, refusal
from tests.service.conftest import House

BACKENDS = ("process", "docker")

SLOW = {"match": "slow", "steps": [{"do": "stall", "seconds": 0.7}, {"do": "result", "text": "slowly"}]}
STREAM = {
    "match": "tell",
    "steps": [
        {"do": "stall", "seconds": 0.3},
        {"do": "delta", "text": "Some words "},
        {"do": "stall", "seconds": 0.05},
        {"do": "delta", "text": "and more."},
    ],
}


async def ask(p: FakePlatform, text: str, *, by: Sender = PERSON) -> Receipt:
    """Gives the command in the channel."""
    return await p.hand_in(
        Event(
            id=p.new_id(),
            kind="command",
            route=p.route("p1"),
            sender=by,
            created_at=now_ms(),
            command="trace",
            arguments={"text": text},
        )
    )


async def traced(p: FakePlatform, text: str) -> Any:
    receipt = await ask(p, text)
    assert receipt.state == "accepted", receipt.text
    return receipt.data


async def roost(house: House, *arguments: str) -> tuple[int, str, str]:
    """The command line, in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import bot.cli; bot.cli.main()", "trace", *arguments),
        env={**os.environ, "ROOST_SERVICE__DATA_DIR": str(house.data)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    return child.returncode or 0, out.decode(), err.decode()


def names(data: Any) -> list[str]:
    return [step["step"] for step in data["steps"]]


def happened(data: Any) -> dict[str, Any]:
    """The steps that have a time, by name; the last of each."""
    found = {step["step"]: step for step in data["steps"] if step["at_us"] is not None}
    times = [step["at_us"] for step in data["steps"] if step["at_us"] is not None]
    assert times == sorted(times)
    assert all(step["since_accepted_ms"] >= 0 and step["since_before_ms"] >= 0 for step in found.values())
    return found


async def test_a_warm_turn_has_every_step_in_order(house: House) -> None:
    house.script(STREAM)
    before = now_ms()
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        await p.say("tell me", event_id="e2")
        await p.ends(2)
        data = await traced(p, "e2")
    assert names(data) == list(STEPS)
    assert set(happened(data)) == set(STEPS)
    assert (data["state"], data["told"], data["tries"]) == ("done", "done", 0)
    steps = happened(data)
    assert steps["woken"]["what"] == "bell rung"
    assert steps["first delta"]["since_accepted_ms"] >= 250
    assert steps["answered"]["at_us"] > steps["first delta"]["at_us"]
    assert steps["answered"]["says_the_agent"] is not None
    assert before * 1000 <= steps["accepted"]["at_us"] <= steps["acknowledged"]["at_us"] <= now_ms() * 1000
    (reply,) = data["replies"]
    assert [part["state"] for part in reply["parts"]] == ["sent"]
    assert steps["acknowledged"]["reply"] == reply["id"]


async def test_a_cold_turn_that_does_not_stream(house: House) -> None:
    house.script({"match": "hello", "steps": [{"do": "result", "text": "at once"}]})
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        data = await traced(p, "#2")
        figures = house.app.context.metrics.snapshot()
    assert names(data) == list(STEPS)
    steps = {step["step"]: step for step in data["steps"]}
    assert steps["woken"]["what"] == "container started"
    assert (steps["first delta"]["at"], steps["first delta"]["what"]) == (
        None,
        "none, the provider did not stream",
    )
    assert set(happened(data)) == set(STEPS) - {"first delta"}
    assert figures["roost_answer_seconds_count"] == 1
    assert figures["roost_first_delta_seconds_count"] == 0


@pytest.mark.only("process", "what the command line prints is the same wherever an agent runs")
async def test_it_is_the_same_without_a_service_and_by_every_name(house: House) -> None:
    async with house.open() as p:
        await p.say("hello", event_id="e1")
        await p.ends(1)
        data = await traced(p, "e1")
    session, out_id = house.session_id(), data["replies"][0]["id"]
    reply_seq = str(data["replies"][0]["seq"])
    for words in (
        [data["message"]],
        [data["message"][:8]],
        [out_id],
        ["#2", "--session", session[:6]],
        ["2", "--session", session],
        [reply_seq, "--session", session],
    ):
        code, out, err = await roost(house, *words, "--json")
        assert (code, err) == (0, "") and json.loads(out) == data, words
    code, out, err = await roost(house, "e1")
    assert (code, err) == (0, "") and "\x1b" not in out
    lines = out.splitlines()
    assert lines[0] == f"message {data['message']} (#2 of session {session})"
    assert lines[2] == "state: done"
    assert len([line for line in lines if " ms  " in line]) == len(STEPS)
    assert lines[-1].startswith("  part 1: sent at ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["zz"], "There is no message zz; `roost session show` lists the last ones of a conversation."),
        (["2"], "Say in which session 2 is, with --session; `roost session list` shows them."),
        (["#2"], "Say in which session #2 is, with --session; `roost session list` shows them."),
        (["#2", "--session", "zz"], "There is no session zz; `roost session list` shows them."),
    ],
    ids=["id", "digit", "number", "session"],
)
async def test_what_is_not_there_is_said(house: House, words: list[str], said: str) -> None:
    async with house.open():
        assert await roost(house, *words) == (1, "", f"roost: {said}\n")
    assert await roost(house, *words) == (1, "", f"roost: {said}\n")


async def test_only_an_admin_may_look(house: House) -> None:
    async with house.open() as p:
        await house.app.db.write(lambda db: people.grant(db, p.name, "u2", "member", now=0))
        await p.say("hello")
        await p.ends(1)
        assert (await ask(p, "#2", by=Sender("u2", "Bob"))).state == "refused"
        assert (await ask(p, "#4")).state == "refused"
        assert (await ask(p, "#2")).state == "accepted"


async def test_a_turn_that_needed_two_tries(house: House) -> None:
    house.script(SLOW)
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        os.kill(house.runner(), signal.SIGKILL)
        await p.ends(1)
        data = await traced(p, "#2")
    assert (data["tries"], data["state"]) == (1, "done")
    assert names(data) == [*STEPS[:4], "try lost", *STEPS[2:]]
    lost = happened(data)["try lost"]
    assert lost["what"] == f"its container ended, exit code {house.killed}" and lost["again_at"] is not None
    assert [step["what"] for step in data["steps"] if step["step"] == "woken"] == ["container started"] * 2


async def test_a_message_that_fails_shows_each_try_and_what_was_said(house: House) -> None:
    house.script({"match": "crash", "steps": [{"do": "kill"}]})
    house.turns["max_tries"] = 2
    async with house.open() as p:
        await p.say("crash")
        await p.ends(1)
        data = await traced(p, "#2")
    assert data["told"] == f"failed visibly: {GAVE_UP.format(tries=2)}"
    assert names(data).count("try lost") == 2
    assert [step["again_at"] is None for step in data["steps"] if step["step"] == "try lost"] == [False, True]
    steps = {step["step"]: step for step in data["steps"]}
    assert steps["answered"]["what"] == steps["seen"]["what"] == "none: the message was given up"
    assert steps["acknowledged"]["what"] == "a notice is taken and recorded"


async def test_a_message_that_waits_says_for_what(house: House) -> None:
    house.script(SLOW)
    house.turns["retry_base_seconds"] = 1000
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        await p.say("next", thread=None)
        await house.until(lambda: house.states() == {"posted": 2})
        assert (await traced(p, "#2"))["told"] == "the agent works on it"
        next_seq = house.query("SELECT max(seq) AS seq FROM inbox WHERE trigger = 1")[0]["seq"]
        assert (await traced(p, f"#{next_seq}"))["told"] == "in the backlog of its session at place 2"
        os.kill(house.runner(), signal.SIGKILL)
        await house.until(lambda: bool(house.query("SELECT 1 FROM inbox WHERE tries = 1")))
        data = await traced(p, "#2")
    (row,) = house.query("SELECT process_after FROM inbox WHERE tries = 1")
    (lost,) = [step for step in data["steps"] if step["step"] == "try lost"]
    assert data["told"] == f"waiting until {clock_time(row['process_after'] * 1000)} for try 2"
    assert lost["what"] == f"its container ended, exit code {house.killed}"
    assert [step["what"] for step in data["steps"] if step["step"] == "answered"] == ["not yet"]


async def test_a_message_of_a_session_that_waits_for_a_runner(house: House) -> None:
    house.script({"match": "slow", "steps": [{"do": "stall", "seconds": 600}]})
    house.backend["max_awake"] = 1
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        await p.say("next", place="p2", event_id="next")
        await house.until(lambda: house.app.context.admission.waiting == 1)
        data = await traced(p, "next")
    assert data["told"] == "in the backlog at place 1: its session waits for a runner"
    assert set(happened(data)) == {"accepted"}


async def test_a_reply_that_is_given_up_is_said(house: House) -> None:
    async with house.open() as p:
        p.failures += [refusal(retry_after=None)]
        await p.say("hello")
        await p.ends(1)
        data = await traced(p, "#2")
    seq = data["replies"][0]["seq"] or data["replies"][1]["seq"]
    assert data["told"] == f"done, but reply #{seq} was given up: the platform said no"
    assert names(data).count("sent") == 2
    assert happened(data)["acknowledged"]["what"].startswith("a notice")


async def test_a_turn_without_a_reply(house: House) -> None:
    house.script({"match": "hush", "steps": [{"do": "result", "text": "<internal>quiet</internal>"}]})
    async with house.open() as p:
        await p.say("hush")
        await p.ends(1)
        await house.until(lambda: bool(house.query("SELECT 1 FROM traces")))
        data = await traced(p, "#2")
    assert (names(data), data["told"]) == (list(STEPS), "done")
    assert set(happened(data)) == {"accepted", "posted", "woken", "claimed"}
    assert data["steps"][-1]["what"] == "none: there was nothing to send"


async def test_what_joins_a_turn_is_answered_with_it(house: House) -> None:
    async with house.open() as p:
        await asyncio.gather(*(p.say(f"m{number}", event_id=f"e{number}") for number in range(5)))
        await p.ends(5)
        for number in range(5):
            data = await traced(p, f"e{number}")
            assert names(data)[-3:] == ["seen", "sent", "acknowledged"]
            assert {"claimed", "acknowledged"} <= set(happened(data))


async def test_a_message_of_a_schedule(house: House) -> None:
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        when = At(at=now_ms() + 200, timezone="UTC")
        draft = Draft("tick", when, when.at, "test")
        kept = await house.app.context.schedules.create(house.session_id(), draft)
        await p.ends(2)
        data = await traced(p, f"series:{kept.id}:{when.at}")
    assert (data["kind"], names(data)) == ("task", list(STEPS))
    assert set(happened(data)) >= set(STEPS) - {"first delta"}


# ---------------------------------------------------------------- over a restart


async def test_a_restart_in_the_middle_of_a_turn(house: House) -> None:
    house.script(SLOW)
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
    offline = json.loads((await roost(house, "#2", "--session", house.session_id(), "--json"))[1])
    assert [name for name in names(offline) if name in happened(offline)] == list(STEPS[:4])
    async with house.open() as p:
        await p.ends(1)
        data = await traced(p, "#2")
    assert [name for name in names(data) if name in happened(data)] == [
        *STEPS[:4],
        "restarted",
        "woken",
        "claimed",
        *STEPS[5:],
    ]
    assert happened(data)["restarted"]["what"] == TAKEN_OVER
    assert {step["what"] for step in data["steps"] if step["step"] == "woken"} == {
        "container started",
        "container adopted",
    }
    assert data["steps"][:4] == offline["steps"][:4]


async def test_a_restart_while_the_reply_waits(house: House) -> None:
    house.delivery["retry_base_seconds"] = 0.3
    p = house.platform
    p.failures += [refusal()]
    async with house.open():
        await p.say("one")
        await p.until(lambda: len(p.tried) == 1)
        await house.until(lambda: bool(house.query("SELECT 1 FROM deliveries WHERE attempts = 1")))
        waiting = await traced(p, "#2")
    part = "answered; part 1 of reply #"
    assert waiting["told"].startswith(part) and waiting["told"].endswith(" for attempt 2")
    async with house.open():
        await p.replies(1)
        await house.until(lambda: bool(house.query("SELECT 1 FROM deliveries WHERE state = 'sent'")))
        data = await traced(p, "#2")
    assert data["told"] == "done" and "restarted" in happened(data)
    assert names(data)[-1] == "acknowledged"
    assert [part["state"] for part in data["replies"][0]["parts"]] == ["sent"]


async def test_a_service_that_was_killed_leaves_what_bot_db_has(house: House) -> None:
    house.script(SLOW)
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
    with closing(connect(house.data / "bot.db")) as db, db:
        db.execute("DELETE FROM traces")  # A killed service would not have written it.
    async with house.open() as p:
        await p.ends(1)
        data = await traced(p, "#2")
    steps = {step["step"]: step for step in data["steps"]}
    assert steps["posted"]["what"] == "it was, but when is not known"
    assert steps["restarted"]["what"] == TAKEN_OVER
    assert set(happened(data)) >= {"accepted", "restarted", "woken", "seen", "sent", "acknowledged"}


async def test_a_reply_of_several_parts_of_which_one_is_tried_again(house: House) -> None:
    text = "".join(f"{number:0{PART_CHARS}d}" for number in range(3))
    house.script({"match": "long", "steps": [{"do": "result", "text": text}]})
    async with house.open() as p:
        p.failures += [None, refusal(retry_after=0.05), refusal(retry_after=0.05)]
        await p.say("long")
        await p.ends(1)
        data = await traced(p, "#2")
    # Between the attempts it may be looked at once more, and found that the channel still wants a pause.
    off = [step for step in data["steps"] if step["step"] == "put off" and "attempt" in step["what"]]
    seq = data["replies"][0]["seq"]
    assert [step["what"] for step in off] == [
        f"reply #{seq}, part 2, attempt {n}: the platform said no" for n in (1, 2)
    ]
    assert all(step["again_at"] for step in off)
    assert [part["state"] for part in data["replies"][0]["parts"]] == ["sent"] * 3
    steps = happened(data)
    assert steps["acknowledged"]["what"].startswith(f"reply #{seq} with its 3 parts")
    assert steps["sent"]["at_us"] < off[0]["at_us"] < off[1]["at_us"] < steps["acknowledged"]["at_us"]
