"""What is said beneath a message that an agent has put into its place belongs to the same conversation."""

from __future__ import annotations

import sqlite3

import pytest

from agent.protocol.messages import Route
from bot import hearing
from bot.db import deliveries, sessions
from bot.engage import Wiring

PLACE = Route(channel="slack", platform_id="C1")
BENEATH = Route(channel="slack", platform_id="C1", thread_id="1.5")
WIRING = Wiring("assistant")


def report(db: sqlite3.Connection, agent: str = "assistant", route: Route = PLACE) -> sessions.SessionRecord:
    """An agent has put a message into the place, as a schedule has it do."""
    record = sessions.resolve(db, agent, PLACE, 1)
    deliveries.record(
        db, record.id, "out-1", part=0, seq=1, state="sent", last=True, now=2, platform_id="C1:1.5",
        route=route, kind="text",
    )  # fmt: skip
    return record


def test_a_thread_beneath_a_report_goes_on_with_its_conversation(db: sqlite3.Connection) -> None:
    record = report(db)
    assert hearing.conversation(db, WIRING, BENEATH) == record
    assert hearing.begun(db, WIRING, BENEATH, now=3).id == record.id
    assert hearing.was_asked(db, WIRING, BENEATH), "nobody has to name the bot in it"


@pytest.mark.parametrize(
    "elsewhere",
    [
        BENEATH.model_copy(update={"thread_id": "1.6"}),
        BENEATH.model_copy(update={"platform_id": "C2"}),
        BENEATH.model_copy(update={"channel": "discord"}),
    ],
)
def test_any_other_thread_is_a_conversation_of_its_own(db: sqlite3.Connection, elsewhere: Route) -> None:
    record = report(db)
    assert hearing.conversation(db, WIRING, elsewhere) is None
    assert hearing.begun(db, WIRING, elsewhere, now=3).id != record.id


def test_what_another_agent_has_said_there_is_not_gone_on_with(db: sqlite3.Connection) -> None:
    report(db, agent="other")
    sessions.resolve(db, "assistant", PLACE, 1)
    assert hearing.conversation(db, WIRING, BENEATH) is None


def test_a_conversation_that_was_begun_in_the_thread_stays(db: sqlite3.Connection) -> None:
    own = sessions.resolve(db, "assistant", BENEATH, 1)
    report(db)
    assert hearing.conversation(db, WIRING, BENEATH) == own
