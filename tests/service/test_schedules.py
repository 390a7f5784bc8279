"""Schedules in the whole service: real runners, a fake platform, and a clock that the test holds."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from sqlite3 import connect
from typing import Any, cast

import pytest

from adapters.base import Event, Receipt, Sender
from agent.protocol.clock import now_ms
from agent.protocol.messages import Route
from bot import schedules as schedules_module
from bot import spoken_time
from bot.config_tables import SchedulesConfig
from bot.db import inbox, people, series
from bot.db import sessions as rows
from bot.db.engine import Database, open_database
from bot.db.series import CatchUp, Draft, SeriesRecord
from bot.delivery import Delivery
from bot.posting import Posting
from bot.recurrence import At, Cron, Every, When
from bot.schedules import Schedules
from bot.services import running
from bot.sessions import Sessions
from tests.fakes.platform import PERSON, FakePlatform
from tests.service.conftest import House

BACKENDS = ("process", "docker")

HOUR = 3_600_000
START = 500_000 * HOUR
DUE = "The task is due: "
MEMBER = Sender("u2", "Bob")


async def order(p: FakePlatform, text: str, *, thread: str | None = None, by: Sender = PERSON) -> Receipt:
    """Gives a command of the schedule group."""
    return await p.hand_in(
        Event(
            id=p.new_id(),
            kind="command",
            route=p.route("p1", thread),
            sender=by,
            created_at=now_ms(),
            command="schedule",
            arguments={"text": text},
        )
    )


async def ordered(p: FakePlatform, text: str, *, thread: str | None = None) -> Any:
    receipt = await order(p, text, thread=thread)
    assert receipt.state == "accepted", receipt.text
    return receipt.data


async def keep(
    house: House, when: When, *, prompt: str = "tick", catch_up: CatchUp = "once", count: int | None = None
) -> SeriesRecord:
    first = when.after(now_ms())
    assert first is not None
    draft = Draft(prompt, when, first, "test", catch_up, count)
    return await house.app.context.schedules.create(house.session_id(), draft)


# ---------------------------------------------------------------- in the whole service


async def test_it_runs_when_it_is_due_in_the_thread_where_it_belongs(house: House) -> None:
    async with house.open() as p:
        await p.say("hello", thread="t1")
        await p.replies(1, thread="t1")
        every = Every(amount=1, unit="seconds", start=now_ms() + 300, timezone="UTC")
        kept = await keep(house, every, count=2)
        await p.until(lambda: "\n".join(p.texts(thread="t1")).count(DUE + "tick") == 2)
        assert p.texts() == []
        await house.until_quiet()
        runs = await house.app.db.read(lambda db: series.history(db, kept.id, 10))
        assert [run.state for run in runs] == ["done", "done"]
        assert all((run.due_at - every.start) % 1000 == 0 for run in runs)
        found = await house.app.db.read(lambda db: series.get(db, kept.id))
        assert found is not None and found.status == "finished"


async def test_a_schedule_is_shown_before_it_is_kept(house: House) -> None:
    async with house.open() as p:
        said = "every monday at 8 Europe/Athens: Say: what is due?"
        shown = await order(p, f"create {said}", thread="t2")
        assert shown.text is not None
        assert shown.text.startswith("Monday 8:00 Europe/Athens: Say: what is due?\nNext: Monday ")
        assert shown.text.count("8:00") == 4
        assert "`/roost schedule create yes every monday at 8 Europe/Athens: …`" in shown.text
        assert shown.data["kept"] is False and len(shown.data["next"]) == 3
        assert house.query("SELECT 1 FROM series") == []
        kept = await ordered(p, f"create yes {said}", thread="t2")
        assert kept["kept"] and kept["status"] == "active"
        (listed,) = await ordered(p, "list", thread="t2")
        assert listed["id"] == kept["id"] and listed["prompt"] == "Say: what is due?"
        await ordered(p, f"run {kept['id'][:4]}", thread="t2")
        assert await p.replies(1, thread="t2") == [DUE + "Say: what is due?"]
        assert (await ordered(p, f"show {kept['id']}", thread="t2"))["next"] == shown.data["next"]
        (run,) = await ordered(p, f"history {kept['id']}", thread="t2")
        assert run["manual"]


async def test_understanding_a_time_does_not_hold_up_the_service(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def noted(*args: Any, **more: Any) -> Any:
        threads.append(threading.current_thread().name)
        return spoken_time.parse(*args, **more)

    monkeypatch.setattr("bot.planning.parse", noted)
    async with house.open() as p:
        assert (await order(p, "create every monday at 8: hello")).state == "accepted"
    assert threads and threading.main_thread().name not in threads


async def test_commands_change_it_and_say_what_is_wrong(house: House) -> None:
    async with house.open() as p:
        kept = await ordered(p, "create yes daily at 8: hello")
        name = kept["id"]
        assert (await ordered(p, f"pause {name}"))["status"] == "paused"
        assert (await order(p, f"pause {name}")).text == f"Schedule {name} is not active."
        assert (await ordered(p, f"resume {name}"))["next_at"] == kept["next_at"]
        assert (await ordered(p, f"cancel {name}"))["status"] == "active", "it only says what would end"
        assert (await ordered(p, f"cancel {name} yes"))["status"] == "cancelled"
        for wrong, said in [
            (f"cancel {name}", f"Schedule {name} has ended already."),
            (f"resume {name}", f"Schedule {name} is not paused."),
            (f"run {name}", f"Schedule {name} has ended."),
            ("show zz", "There is no schedule zz; `/roost schedule list` shows them."),
            ("create whenever: x", "I do not understand the time whenever;"),
            ("create every 5 seconds: x", "every 5 seconds is too often"),
            ("create", "Usage: /roost schedule create [yes] WHEN: PROMPT"),
        ]:
            receipt = await order(p, wrong)
            assert receipt.state == "refused" and (receipt.text or "").startswith(said), wrong
        assert (await order(p, "list")).text == "There are no schedules."


async def test_a_member_sees_what_belongs_to_the_conversation_and_changes_nothing(house: House) -> None:
    async with house.open() as p:
        await house.app.db.write(lambda db: people.grant(db, p.name, MEMBER.id, "member", now=0))
        here = await ordered(p, "create yes daily at 8: here")
        there = await ordered(p, "create yes daily at 8: there", thread="t1")
        receipt = await order(p, "list", by=MEMBER)
        assert [each["id"] for each in receipt.data] == [here["id"]]
        assert (await order(p, f"show {here['id']}", by=MEMBER)).state == "accepted"
        assert (await order(p, f"show {there['id']}", by=MEMBER)).state == "refused"
        assert (await order(p, "list all", by=MEMBER)).state == "refused"
        for command in ("create yes daily at 8: x", f"cancel {here['id']}", f"run {here['id']}"):
            assert (await order(p, command, by=MEMBER)).state == "refused"
        assert len(await ordered(p, "list all")) == 2


@pytest.mark.parametrize(("catch_up", "runs"), [("once", 1), ("skip", 0), ("all", 3)])
async def test_after_downtime(house: House, catch_up: CatchUp, runs: int) -> None:
    every = Every(amount=1, unit="hours", start=now_ms() - 2 * HOUR - HOUR // 2, timezone="UTC")
    async with house.open() as p:
        await p.say("hello")
        await p.replies(1)
        kept = await keep(house, every, catch_up=catch_up)
    with closing(connect(house.data / "bot.db")) as db:
        db.execute("UPDATE series SET next_at = ?", (every.start,))
        db.commit()
    async with house.open() as p:
        await house.until(
            lambda: house.query("SELECT next_at FROM series")[0]["next_at"] == every.start + 3 * HOUR
        )
        await p.say("and now")
        await house.until_quiet()
        found = await house.app.db.read(lambda db: series.history(db, kept.id, 10))
        assert [run.due_at for run in found] == [every.start + n * HOUR for n in (2, 1, 0)][:runs]
        assert {run.state for run in found} <= {"done"}
        assert "\n".join(p.texts()).count(DUE + "tick") == runs


async def test_a_run_that_was_accepted_survives_a_restart(house: House) -> None:
    async with house.open() as p:
        await p.say("hello")
        await p.replies(1)
        p.block("p1")
        await keep(house, At(at=now_ms() + 100, timezone="UTC"))
        await house.until(lambda: bool(house.query("SELECT 1 FROM runs")))
    p.free("p1")
    async with house.open() as p:
        assert await p.replies(2) == ["You said: hello", DUE + "tick"]
        await house.until_quiet()
    assert [row["state"] for row in house.query("SELECT state FROM runs")] == ["done"]


async def test_failing_again_and_again_pauses_it_and_says_so(house: House) -> None:
    house.turns["max_tries"] = 1
    house.script({"match": "boom", "steps": [{"do": "crash", "code": 3}]})
    async with house.open() as p:
        kept = (await ordered(p, "create yes daily at 8: boom"))["id"]
        for failures in (1, 2, 3):
            await ordered(p, f"run {kept}")
            await house.until(
                lambda n=failures: house.query("SELECT failures FROM series")[0]["failures"] == n  # type: ignore[misc]
            )
        resume = f"`/roost schedule resume {kept}` lets it go on."
        paused = f"The schedule {kept} is paused: its last 3 runs failed. {resume}"
        await p.until(lambda: any(text.startswith(paused) for text in p.texts()))
        assert (await ordered(p, f"show {kept}"))["status"] == "paused"
        assert [run["state"] for run in await ordered(p, f"history {kept}")] == ["failed"] * 3
        assert await ordered(p, f"resume {kept}")


async def roost(house: House, *arguments: str) -> tuple[int, str, str]:
    env = {**os.environ, "ROOST_SERVICE__DATA_DIR": str(house.data)}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import bot.cli; bot.cli.main()", "schedule", *arguments),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    return child.returncode or 0, out.decode(), err.decode()


@pytest.mark.only("process", "what the command line prints is the same wherever an agent runs")
async def test_the_command_line_has_it_all(house: House) -> None:
    async with house.open() as p:
        await p.say("hello")
        await p.replies(1)
        create = ["create", "--session", house.session_id()[:6], "--when", "every Monday at 8"]
        create += ["--timezone", "Europe/Athens", "--count", "2", "--catch-up", "all", "--json"]
        code, out, err = await roost(house, *create, "one\n  two")
        assert (code, json.loads(out)["kept"], len(json.loads(out)["next"])) == (0, False, 2), err
        code, out, _ = await roost(house, *create, "--yes", "one\n  two")
        kept = json.loads(out)
        assert (kept["prompt"], kept["remaining"], kept["catch_up"]) == ("one\n  two", 2, "all")
        assert kept["when"] == "Monday 8:00 Europe/Athens"
        for command, status in [("pause", "paused"), ("resume", "active"), ("cancel", "active")]:
            code, out, err = await roost(house, command, kept["id"], "--json")
            assert (code, json.loads(out)["status"]) == (0, status), err
        code, out, err = await roost(house, "cancel", kept["id"], "--yes", "--json")
        assert (code, json.loads(out)["status"]) == (0, "cancelled"), err
        code, out, err = await roost(house, "show", kept["id"])
        assert (code, out.splitlines()[0]) == (0, f"{kept['id']}: cancelled"), err
        assert await roost(house, "list") == (0, "There are no schedules.\n", "")
        code, out, err = await roost(house, "run", kept["id"])
        assert (code, err) == (1, f"roost: Schedule {kept['id']} has ended.\n")


IMPOSSIBLE = {
    "0 0 30 2 *": "0 0 30 2 * never comes: there is no such day.",
    "2020-01-01 08:00": "This time is in the past: say one that is to come.",
    "10000-01-01 08:00": "I do not understand the time 10000-01-01 08:00;",
    "every 99999999 weeks": "I do not understand the time every 99999999 weeks;",
    "every 1 second": "every 1 second is too often: the shortest interval is 60 seconds.",
    "at 9 Mars/Olympus": "There is no time zone Mars/Olympus; they are named like Europe/Athens.",
    "9999-12-31 23:59 Pacific/Pago_Pago": "9999-12-31 23:59 Pacific/Pago_Pago is too far away.",
}


@pytest.mark.only("process", "what the command line prints is the same wherever an agent runs")
async def test_a_time_that_cannot_be_is_one_sentence_everywhere(house: House) -> None:
    async with house.open() as p:
        await p.say("hello")
        await p.replies(1)
        create = ["create", "--session", house.session_id(), "--yes"]
        for when, said in IMPOSSIBLE.items():
            receipt = await order(p, f"create yes {when}: hello")
            text = receipt.text or ""
            assert receipt.state == "refused" and text.startswith(said) and "\n" not in text
            code, out, err = await roost(house, *create, "--when", when, "hello")
            assert (code, out) == (1, "") and err.startswith(f"roost: {said}") and err.count("\n") == 1
        code, out, err = await roost(house, *create, "--when", "at 9", "--timezone", "Mars/Olympus", "hello")
        assert (code, out) == (1, "") and err.startswith("roost: There is no time zone Mars/Olympus")
        assert not house.query("SELECT 1 FROM series")


async def test_the_last_day_of_all_is_a_time_and_holds_nobody_up(house: House) -> None:
    async with house.open() as p:
        kept = await ordered(p, "create yes 9999-12-30 12:00: hello")
        assert kept["id"] in ((await order(p, "list")).text or "")
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]
    async with house.open() as p:
        assert (await ordered(p, f"show {kept['id']}"))["next_at"].startswith("9999-12-30")


# ---------------------------------------------------------------- the timer


class Bench:
    """The timer alone over a real bot.db, with a clock that the test sets."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.now = START
        self.db = db
        self.kicked: list[str] = []
        self.told: list[str] = []
        self._news = asyncio.Event()
        self.sessions = Sessions(db, folder, folder, lambda _: (), boot_id="b", clock=lambda: self.now)
        self.schedules = Schedules(
            db,
            self.sessions,
            cast(Posting, _Kicked(self.kicked, self._news)),
            cast(Delivery, _Kicked(self.told, self._news)),
            SchedulesConfig(),
            clock=lambda: self.now,
        )

    async def create(self, when: When, place: str = "p1") -> SeriesRecord:
        route = Route(channel="fake", platform_id=place)
        record = await self.db.write(lambda db: rows.resolve(db, "assistant", route, START))
        first = when.after(self.now)
        assert first is not None
        return await self.schedules.create(record.id, Draft("tick", when, first, "test"))

    async def runs(self) -> int:
        return sum((await self.db.read(inbox.counts)).values())

    async def until(self, kicks: int) -> None:
        async with asyncio.timeout(20):
            while len(self.kicked) + len(self.told) < kicks:
                self._news.clear()
                await self._news.wait()


class _Kicked:
    def __init__(self, kicked: list[str], news: asyncio.Event) -> None:
        self._kicked = kicked
        self._news = news

    def kick(self, session_id: str) -> None:
        self._kicked.append(session_id)
        self._news.set()


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    db = open_database(folder / "bot.db")
    made = Bench(db, folder)
    try:
        async with running(made.schedules):
            yield made
    finally:
        await made.sessions.close()
        await db.close()


@pytest.fixture
async def timer(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as made:
        yield made


async def test_a_clock_that_jumps_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules_module, "LOOK_SECONDS", 0.01)
    async with bench(tmp_path) as timer:
        hourly = await timer.create(Cron(expression="0 * * * *", timezone="UTC"))
        assert hourly.next_at == START + HOUR and await timer.runs() == 0
        timer.now = START + 5 * HOUR + 1
        await timer.until(1)
        assert await timer.runs() == 1
        # Back again: what was run is not run again.
        timer.now = START + HOUR
        timer.now = START + 6 * HOUR
        await timer.until(2)
        found = await timer.db.read(lambda db: series.history(db, hourly.id, 10))
        assert [(run.due_at - START) // HOUR for run in found] == [6, 5]


async def test_a_new_series_that_is_due_sooner_wakes_the_timer(timer: Bench) -> None:
    await timer.create(At(at=START + 24 * HOUR, timezone="UTC"))
    await timer.create(At(at=START + 1, timezone="UTC"), "p2")
    timer.now = START + 1
    await timer.create(At(at=START + 24 * HOUR, timezone="UTC"), "p3")
    await timer.until(1)
    assert await timer.runs() == 1


async def test_one_that_cannot_be_run_is_set_aside_and_the_others_go_on(timer: Bench) -> None:
    broken = await timer.create(Cron(expression="0 * * * *", timezone="UTC"), "p1")
    await timer.create(At(at=START + HOUR, timezone="UTC"), "p2")
    await timer.db.write(
        lambda db: db.execute(
            "UPDATE series SET recurrence = replace(recurrence, 'UTC', 'Mars/Base') WHERE id = ?",
            (broken.id,),
        )
    )
    timer.now = START + HOUR
    await timer.create(At(at=START + 2 * HOUR, timezone="UTC"), "p3")
    await timer.until(2)
    assert timer.told == [broken.session] and len(timer.kicked) == 1
    found = await timer.db.read(lambda db: series.get(db, broken.id))
    assert found is not None and found.status == "paused"


async def test_many_that_are_due_at_once_are_all_run(timer: Bench) -> None:
    for number in range(schedules_module.AT_ONCE + 20):
        await timer.create(At(at=START + HOUR, timezone="UTC"), f"p{number}")
    timer.now = START + HOUR
    await timer.create(At(at=START + 2 * HOUR, timezone="UTC"))
    await timer.until(schedules_module.AT_ONCE + 20)
    assert await timer.runs() == schedules_module.AT_ONCE + 20
