"""What becomes of an event in a place that several agents serve, in a real bot.db."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from adapters.base import Event, IncomingFile, Receipt, Sender
from agent.protocol.messages import ChatIn, Edited, Route
from bot.acceptance import Acceptance, Outcome, TooMuch
from bot.access import ONLY_ADMINS
from bot.config_tables import LimitsConfig
from bot.db import backlog, inbox, overheard, people, sessions
from bot.db.accounts import accounts
from bot.db.inbox import Accepted
from bot.deferring import KeptBack
from bot.engage import SHARED, Wiring
from bot.money import Whose
from bot.strangers import Asked
from bot.wirings import Configured, Wirings

PLACE, OTHER = ("chat", "p1"), ("chat", "p2")
ADA, BOB, SAM = Sender("1", "Ada"), Sender("2", "Bob"), Sender("9", "Sam")
DROPPED = Receipt("dropped")
BOTH = (Wiring("helper", priority=1), Wiring("reviewer"))


class Unbounded:
    """Implements bot.acceptance.Reserving: there are no budgets."""

    def reserve(self, db: sqlite3.Connection, message_id: str, whose: Whose, route: Route | None) -> None: ...

    def say(self, session: str) -> None: ...


class Desk:
    """Accepts what people say; Ada is an admin, Bob a member, Sam nobody."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.now = 1_000
        self.number = 0
        people.grant(db, "chat", ADA.id, "admin", now=0)
        people.grant(db, "chat", BOB.id, "member", now=0)
        self.wire()

    def wire(self, *wirings: Wiring, elsewhere: Sequence[Wiring] = ()) -> None:
        places = {PLACE: wirings or BOTH, OTHER: elsewhere or wirings or BOTH}
        known = Wirings(Configured(Wiring("helper", wired=False), {}, places))
        self.acceptance = Acceptance(known, LimitsConfig(), Unbounded(), lambda: self.now)

    def event(
        self,
        text: str,
        *,
        by: Sender = ADA,
        place: tuple[str, str] = PLACE,
        thread: str | None = None,
        mention: bool = False,
        opens: bool = False,
    ) -> Event:
        self.number += 1
        return Event(
            f"e{self.number}",
            "message",
            Route(channel=place[0], platform_id=place[1], thread_id=thread),
            by,
            self.now,
            text=text,
            mentions_bot=mention,
            opens=opens,
        )

    def accept(self, event: Event, fits: Mapping[str, bool | None] | None = None) -> Outcome:
        return self.acceptance.accept(self.db, event, fits or {})

    def say(self, text: str, **more: object) -> list[tuple[str, str, bool]]:
        """To which agents it goes, with what they are told before it."""
        return told(self.accept(self.event(text, **more)))  # type: ignore[arg-type]


def told(outcome: Outcome) -> list[tuple[str, str, bool]]:
    if isinstance(outcome, Asked | KeptBack | Receipt | TooMuch):
        assert outcome == DROPPED, outcome
        return []
    return [(each.record.agent, text_of(each), each.message.trigger) for each in outcome]


def text_of(accepted: Accepted) -> str:
    content = accepted.message.content
    assert isinstance(content, ChatIn)
    return content.text


@pytest.fixture
def desk(db: sqlite3.Connection) -> Desk:
    backlog.watch(db)
    return Desk(db)


# ---------------------------------------------------------------- several agents


def test_a_mention_is_for_the_first_and_a_name_for_that_one_alone(desk: Desk) -> None:
    assert desk.say("hello", mention=True) == [("helper", "hello", True)]
    assert desk.say("reviewer: hello", mention=True) == [("reviewer", "reviewer: hello", True)]
    assert desk.say("@reviewer hello", mention=True) == [("reviewer", "@reviewer hello", True)]
    assert desk.say("reviewer: hello") == []


def test_who_hears_everything_does_so_beside_the_one_who_is_meant(desk: Desk) -> None:
    desk.wire(Wiring("log", "all", priority=9), *BOTH)
    assert [agent for agent, *_ in desk.say("hello", mention=True)] == ["log", "helper"]
    assert [agent for agent, *_ in desk.say("hello")] == ["log"]
    assert [agent for agent, *_ in desk.say("reviewer: hello", mention=True)] == ["reviewer"]


def test_in_a_thread_a_mention_is_for_who_was_asked_there(desk: Desk) -> None:
    desk.say("reviewer: hello", mention=True, thread="t")
    assert desk.say("and now?", thread="t") == [("reviewer", "and now?", True)]
    assert desk.say("and now?", thread="t", mention=True) == [("reviewer", "and now?", True)]
    assert desk.say("and now?", thread="u", mention=True) == [("helper", "and now?", True)]


def test_an_event_that_comes_again_is_known_for_all_of_them(desk: Desk) -> None:
    desk.wire(Wiring("log", "all"), Wiring("other", "all"))
    event = desk.event("hello")
    assert len(told(desk.accept(event))) == 2
    assert desk.accept(event) == Receipt("duplicate")
    desk.wire(Wiring("log", "all"), Wiring("other", "all"), Wiring("third", "all"))
    assert desk.accept(event) == Receipt("duplicate")
    assert accounts(desk.db).accepted == 2


def test_an_edit_and_a_deletion_reach_each_of_them_once(desk: Desk) -> None:
    desk.wire(Wiring("log", "all"), Wiring("other", "all"))
    said = desk.event("hello")
    desk.accept(said)
    edit = replace(said, id="edit", kind="edit", about=said.id, text="hullo")
    edited = desk.accept(edit)
    assert not isinstance(edited, Asked | KeptBack | Receipt | TooMuch)
    assert [each.record.agent for each in edited] == ["log", "other"]
    assert desk.accept(edit) == Receipt("duplicate")
    gone = desk.accept(replace(said, id="gone", kind="delete", about=said.id, sender=Sender("", "somebody")))
    assert not isinstance(gone, Asked | KeptBack | Receipt | TooMuch) and len(gone) == 2


def test_a_pattern_that_nobody_can_tell_of_does_not_fit(desk: Desk) -> None:
    desk.wire(Wiring("helper", "pattern", pattern="deploy"))
    assert told(desk.accept(desk.event("deploy"), {"deploy": True})) == [("helper", "deploy", True)]
    for fits in ({"deploy": False}, {"deploy": None}, {}):
        assert desk.accept(desk.event("deploy"), fits) == DROPPED
    assert [agent for agent, *_ in desk.say("hello", mention=True)] == ["helper"]


def test_what_is_too_long_is_said_once(desk: Desk) -> None:
    desk.wire(Wiring("log", "all"), Wiring("other", "all"))
    outcome = desk.accept(desk.event("x" * (LimitsConfig().message_chars + 1)))
    assert isinstance(outcome, Receipt) and outcome.state == "refused"


def test_its_own_words_are_nobodys(desk: Desk) -> None:
    desk.wire(Wiring("log", "all", bots=True), Wiring("other", "all", bots=True))
    assert desk.say("hello", by=Sender("0", "Roost", is_bot=True, is_self=True)) == []


def test_files_are_looked_at_only_where_somebody_takes_them(desk: Desk) -> None:
    file = IncomingFile("a", "text/plain", None)  # type: ignore[arg-type]
    desk.wire(Wiring("log", "all"), Wiring("other", "mention", others="accumulate"))
    event = replace(desk.event("hello"), files=(file,))
    assert desk.acceptance.look(desk.db, event, {}).takers == ["log"]
    assert told(desk.acceptance.accept(desk.db, event, {}, {})) == []


# ---------------------------------------------------------------- what a conversation is


def test_a_place_with_all_its_threads_is_one_conversation(desk: Desk) -> None:
    desk.wire(Wiring("helper", sessions="channel"))
    for thread in (None, "t", "u"):
        assert desk.say("hello", mention=True, thread=thread) == [("helper", "hello", True)]
    (record,) = {each.id for each in sessions.recent(desk.db, 9)}
    found = inbox.latest(desk.db, record, 9)
    assert [each.message.route.thread_id for each in found] == [None, "t", "u"]
    assert desk.say("and now?", thread="t") == [("helper", "and now?", True)]
    assert desk.say("among us", thread="v") == []


def test_all_places_of_an_agent_may_be_one_conversation(desk: Desk) -> None:
    shared = Wiring("helper", sessions="agent")
    desk.wire(shared, elsewhere=[shared, Wiring("reviewer", sessions="agent")])
    desk.say("one", mention=True)
    desk.say("two", mention=True, place=OTHER, thread="t")
    desk.say("reviewer: three", mention=True, place=OTHER)
    records = sessions.recent(desk.db, 9)
    assert {(each.agent, each.route.channel) for each in records} == {
        ("helper", SHARED),
        ("reviewer", SHARED),
    }
    helper = next(each.id for each in records if each.agent == "helper")
    assert [each.message.route.platform_id for each in inbox.latest(desk.db, helper, 9)] == ["p1", "p2"]
    assert inbox.asked_at(desk.db, helper) == Route(channel="chat", platform_id="p2", thread_id="t")
    assert helper in sessions.at_place(desk.db, *PLACE)
    assert desk.say("and now?", place=OTHER, thread="t") == [("helper", "and now?", True)]
    assert desk.say("among us", thread="t") == []


# ---------------------------------------------------------------- whose words, and what becomes of others'

TELLS = Wiring("helper", others="accumulate")


def test_where_admins_alone_are_heard_others_are_told_so_when_they_ask(desk: Desk) -> None:
    desk.wire(Wiring("helper", "all", senders="admins"))
    assert desk.say("hello") == [("helper", "hello", True)]
    assert desk.accept(desk.event("hello", by=BOB)) == Receipt("refused", ONLY_ADMINS)
    desk.wire(Wiring("helper", senders="admins"))
    assert desk.say("hello", by=BOB) == []


def test_what_is_not_for_the_agent_is_told_with_the_next_that_is(desk: Desk) -> None:
    desk.wire(TELLS)
    assert desk.say("lunch?", by=BOB) == []
    assert desk.say("stranger's", by=SAM) == []
    assert desk.say("a bot's", by=Sender("5", "Build", is_bot=True)) == []
    assert accounts(desk.db).accepted == 0 and sessions.recent(desk.db, 9) == []
    assert desk.say("what was that?", mention=True) == [
        ("helper", "lunch?", False),
        ("helper", "what was that?", True),
    ]
    assert desk.say("again", mention=True) == [("helper", "again", True)]


def test_what_was_only_told_is_nowhere_counted(desk: Desk) -> None:
    desk.wire(TELLS)
    desk.say("lunch?", by=BOB)
    desk.say("hello", mention=True)
    (record,) = sessions.recent(desk.db, 9)
    assert backlog.of(desk.db, record.id) == backlog.total(desk.db) == 1
    assert accounts(desk.db).accepted == accounts(desk.db).open == 1
    assert inbox.counts(desk.db)["accepted"] == inbox.counts(desk.db, record.id)["accepted"] == 1
    ids = [each.message.id for each in inbox.unfinished(desk.db, record.id)]
    inbox.settle(desk.db, record.id, ids, turn_id=ids[-1], now=2)
    assert backlog.of(desk.db, record.id) == backlog.total(desk.db) == 0
    assert inbox.counts(desk.db)["done"] == 1 and accounts(desk.db).delivered == 1


def test_each_question_that_opens_a_thread_brings_what_was_said_around_it(desk: Desk) -> None:
    desk.wire(TELLS)
    desk.say("lunch?", by=BOB, thread="m1", opens=True)
    desk.say("elsewhere", by=BOB, thread="deep")
    for thread in ("m2", "m3"):
        said = desk.say("when?", mention=True, thread=thread, opens=True)
        assert said == [("helper", "lunch?", False), ("helper", "when?", True)]
    record = sessions.find(desk.db, "helper", Route(channel="chat", platform_id="p1", thread_id="m2"))
    assert record is not None
    assert inbox.latest(desk.db, record.id, 9)[0].message.route.thread_id is None


def test_nothing_of_one_place_is_told_in_another(desk: Desk) -> None:
    desk.wire(replace(TELLS, sessions="agent"))
    desk.say("secret of one", by=BOB)
    assert desk.say("hello", mention=True, place=OTHER) == [("helper", "hello", True)]


def test_who_is_not_heard_may_be_overheard(desk: Desk) -> None:
    desk.wire(Wiring("helper", "all", senders="admins", others="accumulate"))
    assert desk.accept(desk.event("from bob", by=BOB)) == Receipt("refused", ONLY_ADMINS)
    assert desk.say("from ada") == [("helper", "from bob", False), ("helper", "from ada", True)]


def test_what_one_agent_answers_another_one_overhears(desk: Desk) -> None:
    desk.wire(Wiring("log", "all"), TELLS)
    assert desk.say("hello") == [("log", "hello", True)]
    assert desk.say("helper: hm?", mention=True) == [
        ("helper", "hello", False),
        ("helper", "helper: hm?", True),
    ]


def test_it_is_bounded_in_number_size_and_time(desk: Desk) -> None:
    desk.wire(TELLS)
    for number in range(overheard.KEPT + 5):
        desk.say(f"{number}", by=BOB)
    desk.say("x" * 5_000, by=BOB)
    said = desk.say("hm?", mention=True)
    assert len(said) == overheard.KEPT + 1 and said[0][1] == "6"
    assert len(said[-2][1]) == overheard.MAX_CHARS and said[-2][1].endswith(overheard.CUT)
    for _ in range(20):
        desk.say("y" * 2_000, by=BOB)
    assert sum(len(text) for _, text, _ in desk.say("hm?", mention=True)) <= overheard.MAX_CHARS_TOLD
    desk.say("of last month", by=BOB)
    desk.now += overheard.KEPT_MS + 1
    assert desk.say("hm?", mention=True) == [("helper", "hm?", True)]


def test_what_is_changed_and_taken_back_is_kept_so(desk: Desk) -> None:
    desk.wire(TELLS)
    said = [desk.event(text, by=BOB) for text in ("one", "two", "three")]
    for each in said:
        assert desk.accept(each) == DROPPED
    assert desk.accept(said[0]) == DROPPED
    mine = replace(said[0], id="edit", kind="edit", about=said[0].id, text="uno")
    assert desk.accept(mine) == DROPPED
    assert desk.accept(replace(mine, about=said[1].id, sender=ADA)) == DROPPED
    assert (
        desk.accept(replace(mine, kind="delete", about=said[2].id, sender=Sender("", "somebody"))) == DROPPED
    )
    assert [text for _, text, _ in desk.say("hm?", mention=True)] == ["uno", "two", "hm?"]
    again = desk.accept(replace(mine, id="edit2", text="eins"))
    assert not isinstance(again, Asked | KeptBack | Receipt | TooMuch)
    assert [type(getattr(each.message.content, "system", None)) for each in again] == [Edited]


def test_secrets_of_known_shape_are_not_kept(desk: Desk) -> None:
    desk.wire(TELLS)
    secret = "sk-" + "ant-" + "api03-" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY"
    desk.say(f"the key is {secret}", by=BOB)
    (kept,) = overheard.said_by(desk.db, "chat", BOB.id)
    assert secret not in kept.text
