"""How SQLite goes about the queries of the hot path, the sweep and the start: none may look at every row of a
table that grows as long as the service is in use."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest

from agent.protocol.messages import AskQuestion, ChatIn, Edited, Route
from bot.actions import tell
from bot.db import (
    dead_letters,
    deliveries,
    engine,
    inbox,
    people,
    questions,
    retention,
    series,
    sessions,
    targets,
)
from bot.db.accounts import accounts

HERE = Route(channel="slack", platform_id="C1", thread_id="1.5")
GROWING = {"sessions", "inbox", "deliveries", "questions", "runs", "series", "dead_letters"}

Query = Callable[[sqlite3.Connection], object]


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        engine.migrate(db, 0)
        yield db


def session(db: sqlite3.Connection) -> str:
    return sessions.resolve(db, "assistant", HERE, 1).id


def statements(db: sqlite3.Connection, query: Query) -> list[str]:
    """What the query runs, with its values in it."""
    seen: list[str] = []
    db.set_trace_callback(seen.append)
    try:
        query(db)
    finally:
        db.set_trace_callback(None)
    return seen


def scans(db: sqlite3.Connection, sql: str) -> list[str]:
    """The steps of the plan that go through a whole growing table. A partial index holds only what is open."""
    partial = {
        row["name"]
        for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '%WHERE%'")
    }
    found = []
    for row in db.execute(f"EXPLAIN QUERY PLAN {sql}"):
        step = re.fullmatch(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", row["detail"])
        if step is not None and step[1] in GROWING and step[2] not in partial:
            found.append(row["detail"])
    return found


def accept(db: sqlite3.Connection) -> None:
    record = sessions.resolve(db, "assistant", HERE, 1)
    inbox.accept(
        db,
        record,
        message_id="m1",
        event_id="e1",
        kind="chat",
        content=ChatIn(sender="Ada", text="hello"),
        route=HERE,
        created_at=1,
        now=1,
    )


def record(db: sqlite3.Connection) -> None:
    deliveries.record(db, session(db), "o1", part=0, seq=1, state="sent", last=True, now=1)


def edited(db: sqlite3.Connection) -> None:
    record(db)
    targets.find(db, session(db), 1, by="o2")


def revised(db: sqlite3.Connection) -> None:
    accept(db)
    tell(db, session(db), Edited(seq=2, text="uno", by="Ada"), event_id="e2", now=1)
    inbox.said_in(db, "slack", "e1")
    inbox.revised(db, session(db), 2)
    deliveries.shown_as(db, "p1", HERE)


def ask(db: sqlite3.Connection) -> None:
    asked = AskQuestion(question_id="q1", title="t", question="q", expires_at=9)
    questions.ask(db, session(db), "o1", HERE, asked, now=1)


def run(db: sqlite3.Connection) -> None:
    db.execute(
        "INSERT INTO series VALUES ('s1', ?, 'p', '{}', 'once', 'active', 1, NULL, NULL, 0, 3, 'Ada', 1, NULL, NULL)",
        (session(db),),
    )
    series.begin_run(db, "s1", 1, "m1", manual=False, now=1)
    series.has_run(db, "s1", 1)
    series.runs_failed(db, ["m1"], now=1)
    series.begin_run(db, "s1", 2, "m2", manual=False, now=1)
    series.runs_done(db, ["m2"], now=1)


HOT: dict[str, Query] = {
    "an event is decided upon": lambda db: (people.role_of(db, "slack", "u1"), inbox.known(db, "e1")),
    "a thread is looked up": lambda db: sessions.find(db, "assistant", HERE),
    "an event is accepted": accept,
    "bots are counted": lambda db: (
        inbox.only_bots_spoke(db, "s1", 5),
        inbox.bots_said(db, HERE, since=0),
    ),
    "one's own conversations are listed": lambda db: (
        sessions.spoken_in(db, "slack", "U1", 10),
        inbox.first_of(db, "s1", "slack", "U1", 5),
    ),
    "a message is edited, deleted or reacted to": revised,
    "a session is loaded": lambda db: (
        sessions.get(db, "s1"),
        inbox.unfinished(db, "s1"),
        deliveries.notices(db, "s1"),
        deliveries.expected(db, "s1"),
    ),
    "messages are posted": lambda db: inbox.posted(db, ["m1"]),
    "messages are settled": lambda db: inbox.settle(db, "s1", ["m1"], turn_id="t1", now=1),
    "messages fail": lambda db: inbox.fail(db, "s1", ["m1"], error="e", now=1),
    "a message is tried again": lambda db: inbox.retry(db, "m1", tries=1, process_after=1),
    "what a reply answers": lambda db: (inbox.event_of(db, "s1", "m1"), inbox.of_event(db, "s1", "e1")),
    "the newest messages of a session": lambda db: inbox.latest(db, "s1", 10),
    "what was delivered": lambda db: deliveries.handled(db, "s1", ["o1"]),
    "which model was chosen": lambda db: inbox.model(db, "s1"),
    "how far a delivery is": lambda db: deliveries.progress(db, "s1", "o1"),
    "a part is recorded": record,
    "replies were gone": lambda db: deliveries.gone(db, "s1", ["o1"], now=1),
    "a seq was seen": lambda db: sessions.saw_seq(db, "s1", 7),
    "a session is woken": lambda db: sessions.set_awake(db, "s1", True),
    "somebody is there again": lambda db: sessions.at_place(db, "slack", "C1"),
    "a number is looked up": lambda db: (
        targets.find(db, "s1", 3, by="o1"),
        targets.find(db, "s1", 2, by="o1"),
        targets.came_from(db, "s1", HERE),
    ),
    "an edited number is looked up": edited,
    "an action is done": lambda db: deliveries.ended(db, "s1", "o1"),
    "how many series an agent holds": lambda db: series.held(db, "s1", "agent:s1"),
    "a question is asked": ask,
    "a question is answered": lambda db: (
        questions.get(db, "q1"),
        questions.answer(db, "q1", "yes", by="u1"),
    ),
    "series are run": run,
    "series that are due": lambda db: (series.due(db, 1, 10), series.next_due(db)),
}
SWEEP: dict[str, Query] = {
    "sessions fall asleep": lambda db: sessions.fall_asleep(db, ["s1", "s2"]),
    "who is awake": sessions.awake,
    "which folders have a session": lambda db: sessions.known(db, ["s1", "s2"]),
}
DAILY: dict[str, Query] = {
    f"what may be forgotten of {table}": partial(retention.over, table=table, after=0, before=1)
    for table in retention.TABLES
}
START: dict[str, Query] = {
    "which files are wanted": inbox.unfinished_ids,
    "who waits for a turn": inbox.sessions_with_work,
    "what waits for another try": deliveries.waiting,
    "what was asked and not answered": lambda db: questions.waiting(db, 1),
    "what is still to be said": deliveries.sessions_with_notices,
    "inbound.db is made anew": lambda db: deliveries.receipts(db, "s1", 500),
    "inbound.db was made anew": lambda db: sessions.set_boot(db, "s1", "b1"),
}
STATUS: dict[str, Query] = {
    "what became of everything": accounts,
    "how many messages there are": inbox.counts,
    "how many replies there are": deliveries.counts,
    "how many dead letters there are": dead_letters.kept,
}
ALL = HOT | SWEEP | DAILY | START | STATUS


@pytest.mark.parametrize("name", ALL)
def test_nothing_looks_at_every_row(db: sqlite3.Connection, name: str) -> None:
    if name in DAILY:
        accept(db)
        record(db)
        ask(db)
        run(db)
    seen = statements(db, ALL[name])
    assert seen
    assert {sql: found for sql in seen if (found := scans(db, sql))} == {}


def test_a_scan_would_be_seen(db: sqlite3.Connection) -> None:
    assert scans(db, "SELECT * FROM inbox WHERE channel = 'slack'") == ["SCAN inbox"]
    assert scans(db, "SELECT count(*) FROM deliveries") != []
