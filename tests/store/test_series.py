"""Series and runs in a real bot.db: one run for one due time, whatever happens in between."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.protocol.messages import MAX_SCHEDULE_CHARS, Route, TaskIn
from bot import firing
from bot.db import deliveries, inbox, series
from bot.db import sessions as rows
from bot.db.engine import migrate
from bot.db.reader import connect
from bot.db.series import CatchUp, Draft, SeriesRecord
from bot.recurrence import At, Cron, When

HOUR = 3_600_000
START = 1_763_800_200_000 - 1_763_800_200_000 % HOUR
HOME = Route(channel="fake", platform_id="p1", thread_id="t1")
HOURLY = Cron(expression="0 * * * *", timezone="UTC")
CRASH = """
import os, signal, sys
from bot import firing
from bot.db.reader import connect
from pathlib import Path
db = connect(Path(sys.argv[1]), mode="rw")
db.execute("BEGIN IMMEDIATE")
assert firing.fire(db, sys.argv[2], now=int(sys.argv[3]), catch_up_max=10) is not None
if sys.argv[4] == "after":
    db.execute("COMMIT")
os.kill(os.getpid(), signal.SIGKILL)
"""


def opened(path: Path) -> sqlite3.Connection:
    path.touch()
    db = connect(path, mode="rw")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA foreign_keys = ON")
    migrate(db, 0)
    return db


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(opened(tmp_path / "bot.db")) as db:
        yield db


def made(
    db: sqlite3.Connection,
    *,
    when: When = HOURLY,
    catch_up: CatchUp = "once",
    count: int | None = None,
    ends_at: int | None = None,
) -> SeriesRecord:
    record = rows.resolve(db, "assistant", HOME, START)
    draft = Draft("Say hello", when, START + HOUR, "fake:u1", catch_up, count, ends_at)
    return series.create(db, record.id, draft, now=START)


def fire(db: sqlite3.Connection, made: SeriesRecord, now: int, most: int = 10) -> list[int]:
    """The due times that were run, in hours from the start."""
    fired = firing.fire(db, made.id, now=now, catch_up_max=most)
    return [] if fired is None else [(message.created_at - START) // HOUR for message in fired.messages]


def again(db: sqlite3.Connection, made: SeriesRecord) -> SeriesRecord:
    found = series.get(db, made.id)
    assert found is not None
    return found


def messages(db: sqlite3.Connection, made: SeriesRecord) -> list[str]:
    """The ids of its runs' messages, newest first."""
    return [run.message_id for run in series.history(db, made.id, 1000)]


def said(db: sqlite3.Connection, made: SeriesRecord) -> list[str]:
    return [notice.text for notice in deliveries.notices(db, made.session)]


# ---------------------------------------------------------------- one run


def test_a_due_time_is_a_run_a_message_and_the_next_due_time(db: sqlite3.Connection) -> None:
    hourly = made(db)
    assert series.next_due(db) == START + HOUR
    assert series.due(db, START + HOUR - 1, 10) == [] and fire(db, hourly, START + HOUR - 1) == []
    assert series.due(db, START + HOUR, 10) == [hourly.id]
    # Late, but the next time counts from the schedule and not from the clock.
    assert fire(db, hourly, START + HOUR + 59_000) == [1]
    assert again(db, hourly).next_at == START + 2 * HOUR
    (entry,) = inbox.latest(db, hourly.session, 10)
    assert entry.message.kind == "task" and entry.message.route == HOME and entry.message.trigger
    assert entry.message.content == TaskIn(prompt="Say hello", series=hourly.id)
    assert entry.message.event_id == f"series:{hourly.id}:{START + HOUR}"
    (run,) = series.history(db, hourly.id, 10)
    assert (run.due_at, run.state, run.manual) == (START + HOUR, "running", False)


def test_a_due_time_is_run_once(db: sqlite3.Connection) -> None:
    hourly = made(db)
    assert fire(db, hourly, START + HOUR) == [1]
    db.execute("UPDATE series SET next_at = ? WHERE id = ?", (START + HOUR, hourly.id))
    assert fire(db, hourly, START + HOUR) == []
    assert again(db, hourly).next_at == START + 2 * HOUR
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO runs SELECT * FROM runs")
    assert inbox.counts(db)["accepted"] == 1


def test_a_session_that_does_not_get_on_is_not_given_ever_more(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firing, "UNFINISHED_RUNS", 2)
    hourly = made(db)
    assert [fire(db, hourly, START + hour * HOUR) for hour in (1, 2, 3)] == [[1], [2], []]
    assert again(db, hourly).next_at == START + 4 * HOUR
    series.runs_done(db, messages(db, hourly)[:1], now=START)
    assert fire(db, hourly, START + 4 * HOUR) == [4]


def test_one_time_is_finished_after_it(db: sqlite3.Connection) -> None:
    once = made(db, when=At(at=START + HOUR, timezone="UTC"))
    assert fire(db, once, START + 50 * HOUR) == [1]
    assert (again(db, once).status, again(db, once).next_at) == ("finished", None)
    assert series.next_due(db) is None


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_around_the_commit_leaves_all_or_nothing(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "bot.db"
    with closing(opened(path)) as db:
        hourly = made(db)
    now = START + HOUR
    child = subprocess.run(
        [sys.executable, "-c", CRASH, str(path), hourly.id, str(now), moment],
        env=dict(os.environ),
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    with closing(connect(path, mode="rw")) as db:
        kept = 1 if moment == "after" else 0
        assert inbox.counts(db)["accepted"] == len(messages(db, hourly)) == kept
        assert again(db, hourly).next_at == now + kept * HOUR
        fire(db, hourly, now)
        assert inbox.counts(db)["accepted"] == len(messages(db, hourly)) == 1
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


# ---------------------------------------------------------------- after downtime, and the end


@pytest.mark.parametrize(
    ("catch_up", "late_ms", "run"),
    [
        ("once", HOUR // 2, [5]),
        ("skip", HOUR // 2, []),
        ("skip", 30_000, [5]),
        ("all", HOUR // 2, [3, 4, 5]),
    ],
)
def test_what_was_missed(db: sqlite3.Connection, catch_up: CatchUp, late_ms: int, run: list[int]) -> None:
    hourly = made(db, catch_up=catch_up)
    assert fire(db, hourly, START + 5 * HOUR + late_ms, most=3) == run
    assert again(db, hourly).next_at == START + 6 * HOUR
    assert again(db, hourly).status == "active"


def test_a_count_is_how_often_it_runs(db: sqlite3.Connection) -> None:
    hourly = made(db, count=3, catch_up="all")
    assert fire(db, hourly, START + 2 * HOUR) == [1, 2]
    assert again(db, hourly).remaining == 1
    assert firing.fire_now(db, hourly.id, now=START + 2 * HOUR) is not None
    assert again(db, hourly).remaining == 1
    assert fire(db, hourly, START + 9 * HOUR) == [9]
    assert (again(db, hourly).status, again(db, hourly).remaining) == ("finished", 0)
    assert fire(db, hourly, START + 10 * HOUR) == []


def test_what_is_skipped_does_not_count(db: sqlite3.Connection) -> None:
    hourly = made(db, count=1, catch_up="skip")
    assert fire(db, hourly, START + 5 * HOUR + HOUR // 2) == []
    assert fire(db, hourly, START + 6 * HOUR) == [6]
    assert again(db, hourly).status == "finished"


def test_nothing_runs_after_the_end(db: sqlite3.Connection) -> None:
    hourly = made(db, ends_at=START + 3 * HOUR, catch_up="all")
    assert fire(db, hourly, START + 9 * HOUR) == [1, 2, 3]
    assert again(db, hourly).status == "finished"


# ---------------------------------------------------------------- what people do


def test_cancelled_stays_cancelled(db: sqlite3.Connection) -> None:
    hourly = made(db)
    fire(db, hourly, START + HOUR)
    (message,) = messages(db, hourly)
    assert series.cancel(db, hourly.id)
    assert not series.cancel(db, hourly.id)
    inbox.settle(db, hourly.session, [message], turn_id="t", now=START + HOUR)
    assert not series.resume(db, hourly.id, next_at=START + 2 * HOUR)
    assert not series.pause(db, hourly.id)
    series.advance(db, hourly, runs=1, next_at=START + 2 * HOUR)
    assert (again(db, hourly).status, again(db, hourly).next_at) == ("cancelled", None)
    assert fire(db, hourly, START + 2 * HOUR) == [] and firing.fire_now(db, hourly.id, now=START) is None
    assert series.listed(db, None, 10) == []
    (run,) = series.history(db, hourly.id, 10)
    assert run.state == "done"


def test_run_now_shifts_nothing(db: sqlite3.Connection) -> None:
    hourly = made(db)
    for now in (START + 5, START + 5, START + HOUR):
        assert firing.fire_now(db, hourly.id, now=now) is not None
    assert again(db, hourly).next_at == START + HOUR
    # One by hand at the very time of the schedule does not take its place.
    assert fire(db, hourly, START + HOUR) == [1]
    assert [run.manual for run in series.history(db, hourly.id, 10)] == [True, False, True, True]
    assert len(set(messages(db, hourly))) == 4


def test_paused_rests_and_can_be_run_by_hand(db: sqlite3.Connection) -> None:
    hourly = made(db)
    assert series.pause(db, hourly.id) and not series.pause(db, hourly.id)
    assert fire(db, hourly, START + 5 * HOUR) == [] and series.next_due(db) is None
    assert firing.fire_now(db, hourly.id, now=START + 5 * HOUR) is not None
    assert series.resume(db, hourly.id, next_at=START + 6 * HOUR)
    assert fire(db, hourly, START + 6 * HOUR) == [6]


# ---------------------------------------------------------------- failures


def end(db: sqlite3.Connection, made: SeriesRecord, hour: int, *, ok: bool) -> None:
    assert fire(db, made, START + hour * HOUR) == [hour]
    newest = messages(db, made)[0]
    if ok:
        inbox.settle(db, made.session, [newest], turn_id="t", now=START)
    else:
        inbox.fail(db, made.session, [newest], error="no", now=START)


def test_failures_in_a_row_pause_it_and_say_so(db: sqlite3.Connection) -> None:
    hourly = made(db)
    for hour, ok in enumerate([False, False, True, False, False], start=1):
        end(db, hourly, hour, ok=ok)
    assert (again(db, hourly).status, again(db, hourly).failures) == ("active", 2)
    assert said(db, hourly) == []
    end(db, hourly, 6, ok=False)
    assert again(db, hourly).status == "paused"
    (text,) = said(db, hourly)
    assert f"The schedule {hourly.id} is paused: its last 3 runs failed" in text
    assert series.resume(db, hourly.id, next_at=START + 7 * HOUR)
    assert again(db, hourly).failures == 0


def test_a_run_ends_once_and_other_messages_are_no_runs(db: sqlite3.Connection) -> None:
    hourly = made(db)
    end(db, hourly, 1, ok=False)
    (message,) = messages(db, hourly)
    inbox.fail(db, hourly.session, [message, "another"], error="no", now=START)
    inbox.settle(db, hourly.session, [message], turn_id="t", now=START)
    assert again(db, hourly).failures == 1
    assert series.history(db, hourly.id, 1)[0].state == "failed"


def test_a_recurrence_that_is_not_understood_lets_its_run_end(db: sqlite3.Connection) -> None:
    hourly = made(db)
    db.execute("UPDATE series SET max_failures = 1")
    fire(db, hourly, START + HOUR)
    (message,) = messages(db, hourly)
    db.execute("UPDATE series SET recurrence = '{}'")
    inbox.fail(db, hourly.session, [message], error="no", now=START)
    assert db.execute("SELECT status FROM series").fetchone()[0] == "paused"
    assert len(said(db, hourly)) == 1


# ---------------------------------------------------------------- cost


def test_old_runs_make_room(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "RUNS_KEPT", 5)
    hourly = made(db)
    for hour in range(1, 21):
        end(db, hourly, hour, ok=True)
    assert len(messages(db, hourly)) <= 6
    assert series.history(db, hourly.id, 1)[0].due_at == START + 20 * HOUR
    # A clock that was set back does not bring them back.
    db.execute("UPDATE series SET next_at = ?", (START + HOUR,))
    assert fire(db, hourly, START + HOUR) == []


def test_the_timer_looks_at_what_is_due_and_nothing_else(db: sqlite3.Connection) -> None:
    for sql, values in (
        ("SELECT min(next_at) FROM series WHERE status = 'active'", ()),
        ("SELECT id FROM series WHERE status = 'active' AND next_at <= ? ORDER BY next_at LIMIT ?", (1, 1)),
    ):
        plan = " ".join(row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values))
        assert "series_due" in plan and "TEMP B-TREE" not in plan
    sql = "SELECT series_id FROM runs WHERE message_id = ? AND state = 'running'"
    plan = " ".join(row["detail"] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", ("m",)))
    assert "runs_running" in plan


# ---------------------------------------------------------------- whatever happens

steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["fire", "fire", "fire", "pause", "resume", "now", "back", "done", "failed", "cancel"]
        ),
        st.integers(-2 * HOUR, 6 * HOUR),
    ),
    max_size=30,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, catch_up=st.sampled_from(["once", "skip", "all"]))
def test_never_two_runs_for_one_due_time(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], catch_up: CatchUp
) -> None:
    with closing(opened(tmp_path_factory.mktemp("series") / "bot.db")) as db:
        db.execute("PRAGMA synchronous = OFF")
        hourly = made(db, catch_up=catch_up)
        now, cancelled, scheduled = START, False, list[int]()
        for step, jump in steps:
            now += jump
            fired = None
            if step == "fire":
                fired = firing.fire(db, hourly.id, now=now, catch_up_max=3)
                assert fired is None or not cancelled
            elif step == "now":
                firing.fire_now(db, hourly.id, now=now)
            elif step == "pause":
                series.pause(db, hourly.id)
            elif step == "resume":
                following = hourly.when.after(now)
                assert following is not None
                series.resume(db, hourly.id, next_at=following)
            elif step == "back":
                db.execute("UPDATE series SET next_at = ? WHERE status = 'active'", (START + HOUR,))
            elif step == "cancel":
                cancelled = series.cancel(db, hourly.id) or cancelled
            else:
                for message in messages(db, hourly)[:1]:
                    if step == "done":
                        inbox.settle(db, hourly.session, [message], turn_id=None, now=now)
                    else:
                        inbox.fail(db, hourly.session, [message], error="no", now=now)
            scheduled += [] if fired is None else [message.created_at for message in fired.messages]
            assert (again(db, hourly).status == "cancelled") == cancelled
        assert len(set(scheduled)) == len(scheduled)
        assert all((at - START) % HOUR == 0 for at in scheduled)
        assert sum(inbox.counts(db).values()) == len(messages(db, hourly))


# ---------------------------------------------------------------- as the agent is told of them


def test_an_agent_is_told_of_those_that_may_still_run(db: sqlite3.Connection) -> None:
    daily = made(db, when=Cron(expression="0 8 * * *", timezone="Europe/Athens"))
    paused, gone = made(db), made(db)
    series.pause(db, paused.id)
    series.cancel(db, gone.id)
    found = series.told(db, daily.session)
    assert [(each.series_id, each.status, each.next_at) for each in found] == [
        (daily.id, "active", START + HOUR),
        (paused.id, "paused", None),
    ]
    assert (found[0].prompt, found[0].recurrence) == ("Say hello", "every day 8:00 Europe/Athens")
    assert found[0].timezone == "Europe/Athens"
    assert series.told(db, "another") == []


def test_an_agent_is_told_no_more_than_it_can_bear(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "TOLD", 3)
    kept, *_ = [made(db) for _ in range(5)]
    db.execute("UPDATE series SET prompt = ?", ("x" * (MAX_SCHEDULE_CHARS + 1),))
    found = series.told(db, kept.session)
    assert len(found) == 3
    assert found[0].prompt == "x" * (MAX_SCHEDULE_CHARS - 1) + "…"


@pytest.mark.parametrize(
    ("old", "new"),
    [("UTC", "Mars/Base"), ("0 * * * *", "0 0 31 2 9"), ("cron", "lunar")],
    ids=["zone", "pattern", "type"],
)
def test_one_that_is_not_understood_any_more_holds_up_no_message(
    db: sqlite3.Connection, old: str, new: str
) -> None:
    kept = made(db)
    db.execute("UPDATE series SET recurrence = replace(recurrence, ?, ?)", (old, new))
    (found,) = series.told(db, kept.session)
    assert found.series_id == kept.id
    assert found.recurrence is None or "Mars" in found.recurrence
