"""What a number means to an agent, as bot.db has it."""

from __future__ import annotations

import sqlite3

import pytest

from agent.protocol.messages import AnySystem, ChatIn, Edited, Note, Reacted, Route, SystemIn, Withdrawn
from bot.actions import tell
from bot.db import deliveries, inbox, sessions, targets
from bot.db.sessions import SessionRecord
from bot.db.targets import Own, Theirs

HERE = Route(channel="slack", platform_id="C1", thread_id="1.5")


@pytest.fixture
def record(db: sqlite3.Connection) -> SessionRecord:
    return sessions.resolve(db, "assistant", HERE, 1)


@pytest.fixture
def sent(db: sqlite3.Connection, record: SessionRecord) -> Sent:
    return Sent(db, record.id)


class Sent:
    """Records parts of message_outs."""

    def __init__(self, db: sqlite3.Connection, session_id: str) -> None:
        self._db = db
        self._session_id = session_id

    def __call__(
        self,
        out_id: str,
        seq: int,
        *ids: str | None,
        kind: deliveries.PartKind = "text",
        edits: int | None = None,
    ) -> None:
        for part, platform_id in enumerate(ids):
            deliveries.record(
                self._db, self._session_id, out_id, part=part, seq=seq, state="sent", last=part == len(ids) - 1,
                now=seq, platform_id=platform_id, route=HERE, kind=kind, edits=edits,
            )  # fmt: skip


def ids(db: sqlite3.Connection, record: SessionRecord, number: int, by: str = "new") -> tuple[str, ...]:
    found = targets.find(db, record.id, number, by=by)
    assert isinstance(found, Own)
    return found.ids


def test_a_message_of_ones_own(db: sqlite3.Connection, record: SessionRecord, sent: Sent) -> None:
    sent("o3", 3, "a", "b")
    assert targets.find(db, record.id, 3, by="x") == Own("sent", HERE, ("a", "b"), "a", is_message=True)
    assert targets.find(db, record.id, 5, by="x") is None
    other = sessions.resolve(db, "assistant", Route(channel="slack", platform_id="C2"), 1)
    assert targets.find(db, other.id, 3, by="x") is None


def test_every_edit_is_counted_but_the_one_that_asks(
    db: sqlite3.Connection, record: SessionRecord, sent: Sent
) -> None:
    sent("o3", 3, "a", "b", "c")
    sent("o5", 5, "a", None, None, kind="edit", edits=3)
    assert ids(db, record, 3) == ("a",)
    sent("o7", 7, "a", "d", "e", kind="edit", edits=3)
    assert ids(db, record, 3) == ("a", "d", "e")
    assert ids(db, record, 3, by="o7") == ("a",), "a second try finds what the first one found"
    sent("o9", 9, "a", None, kind="edit", edits=3)
    assert ids(db, record, 3) == ("a", "e"), "an edit that has stopped half way leaves the rest as it was"


def test_a_file_is_no_text_and_an_action_no_message(
    db: sqlite3.Connection, record: SessionRecord, sent: Sent
) -> None:
    sent("o3", 3, "f", kind="file")
    sent("o5", 5, None, kind="action")
    assert targets.find(db, record.id, 3, by="x") == Own("sent", HERE, (), "f", is_message=True)
    assert targets.find(db, record.id, 5, by="x") == Own("sent", HERE, (), None, is_message=False)


@pytest.mark.parametrize(("state", "last"), [("waiting", False), ("failed", True)])
def test_what_is_not_delivered(
    db: sqlite3.Connection, record: SessionRecord, sent: Sent, state: str, last: bool
) -> None:
    sent("o3", 3, "a", "b")
    deliveries.record(db, record.id, "o3", part=1, seq=3, state=state, last=last, now=1)
    found = targets.find(db, record.id, 3, by="x")
    assert isinstance(found, Own) and found.state == state


def test_a_message_that_is_half_out_still_waits(db: sqlite3.Connection, record: SessionRecord) -> None:
    deliveries.record(db, record.id, "o3", part=0, seq=3, state="sent", last=False, now=1, kind="text")
    found = targets.find(db, record.id, 3, by="x")
    assert isinstance(found, Own) and (found.state, found.route) == ("waiting", None)


def test_a_persons_message_and_nothing_of_the_hosts(db: sqlite3.Connection, record: SessionRecord) -> None:
    def accept(name: str, content: ChatIn | SystemIn) -> int:
        return inbox.accept(
            db, record, message_id=name, event_id=f"event-{name}", content=content, route=HERE, created_at=1, now=1,
            kind="chat" if isinstance(content, ChatIn) else "system",
        ).seq  # fmt: skip

    said = accept("m1", ChatIn(sender="Ada", text="hello"))
    note = accept("m2", SystemIn(system=Note(text="psst")))
    assert targets.find(db, record.id, said, by="x") == Theirs(HERE, "event-m1")
    assert targets.find(db, record.id, note, by="x") is None
    assert targets.came_from(db, record.id, HERE)
    assert not targets.came_from(db, record.id, HERE.model_copy(update={"thread_id": None}))


def test_a_part_on_the_platform_is_found_with_its_number(
    db: sqlite3.Connection, record: SessionRecord, sent: Sent
) -> None:
    sent("o3", 3, "a", "b")
    sent("o5", 5, "c", kind="file")
    sent("o7", 7, "a", "d", kind="edit", edits=3)
    sent("o9", 9, "a", kind="reaction")
    sent("notice", 0, "e")
    found = {name: deliveries.shown_as(db, name, HERE) for name in "abcdef"}
    assert found["b"] == found["d"] == [(record.id, 3)]
    assert found["a"] == [(record.id, 3), (record.id, 3)], "by the edit and by what was edited"
    assert found["c"] == [(record.id, 5)]
    assert found["e"] == found["f"] == [], "what the service says has no number"
    assert deliveries.shown_as(db, "a", HERE.model_copy(update={"thread_id": None})) == []


def test_what_was_told_last_of_a_message(db: sqlite3.Connection, record: SessionRecord) -> None:
    inbox.accept(
        db, record, message_id="m1", event_id="e1", kind="chat", content=ChatIn(sender="Ada", text="one"),
        route=HERE, created_at=1, now=1, sender_id="u1",
    )  # fmt: skip
    (said,) = inbox.said_in(db, "slack", "e1")
    assert (said.sender_id, said.message.id) == ("u1", "m1")
    assert inbox.said_in(db, "discord", "e1") == [] == inbox.said_in(db, "slack", "m1")
    seq = said.message.seq
    assert inbox.revised(db, record.id, seq) is None
    told: tuple[AnySystem, ...] = (
        Edited(seq=seq, text="uno", by="Ada"),
        Edited(seq=seq + 2, text="due", by="Ada"),
        Reacted(seq=seq, emoji="x", by="Ada"),
    )
    for number, system in enumerate(told):
        tell(db, record.id, system, event_id=f"told {number}", now=1)
    assert inbox.revised(db, record.id, seq) == told[0]
    tell(db, record.id, Withdrawn(seq=seq), event_id="gone", now=1)
    assert inbox.revised(db, record.id, seq) == Withdrawn(seq=seq)
