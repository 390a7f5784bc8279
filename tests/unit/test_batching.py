"""Which messages make a turn."""

from __future__ import annotations

import pytest

from agent.batching import (
    MAX_PROMPT_CHARS,
    Batch,
    follow_ups,
    forgotten_by,
    interrupts,
    next_batch,
    stopped_unbegun,
    waits_for_its_own_turn,
)
from agent.protocol.messages import (
    ActionResult,
    Answer,
    ChatIn,
    Clear,
    Interrupt,
    MessageIn,
    Note,
    SetModel,
    SystemIn,
    TaskIn,
)
from tests.fakes.mailroom import OTHER_THREAD, ROUTE, Rows

COMMAND = ChatIn(sender="Ada", text="/compact", native=True)
CLEAR = SystemIn(system=Clear())
MODEL = SystemIn(system=SetModel(model="large"))
SCRIPTED = TaskIn(prompt="look", script="true")
STOP = SystemIn(system=Interrupt())
NOTE = SystemIn(system=Note(text="note"))
RESULT = SystemIn(system=ActionResult(message_id="o1", ok=False, text="no"))
ANSWER = SystemIn(system=Answer(question_id="q", question="Which?", answer="red"))


def taken(batch: Batch | MessageIn | None) -> list[str]:
    assert isinstance(batch, Batch)
    return [message.id for message in batch.messages]


def ids(messages: object) -> list[str]:
    assert isinstance(messages, tuple | list)
    return [message.id for message in messages]


def test_nothing_asks_for_nothing() -> None:
    rows = Rows()
    aside = rows.make("aside", trigger=False)
    assert next_batch([]) is None
    assert next_batch([aside, rows.make(NOTE, trigger=False), rows.make(STOP, trigger=False)]) is None


def test_what_waits_for_one_thread_is_one_batch_with_its_context() -> None:
    rows = Rows()
    messages = [
        rows.make("aside", trigger=False),
        rows.make("one"),
        rows.make("elsewhere", trigger=False, route=OTHER_THREAD),
        rows.make("elsewhere", route=OTHER_THREAD),
        rows.make(NOTE, trigger=False),
        rows.make("two"),
        rows.make("said afterwards", trigger=False),
    ]
    batch = next_batch(messages)
    assert isinstance(batch, Batch)
    assert taken(batch) == ["m2", "m4", "m10", "m12"]
    assert batch.route == ROUTE


def test_the_oldest_thread_comes_first() -> None:
    rows = Rows()
    batch = next_batch([rows.make("there", route=OTHER_THREAD), rows.make("here")])
    assert isinstance(batch, Batch)
    assert (batch.route, taken(batch)) == (OTHER_THREAD, ["m2"])


@pytest.mark.parametrize("order", [CLEAR, MODEL])
def test_an_order_is_carried_out_when_its_turn_comes(order: SystemIn) -> None:
    rows = Rows()
    messages = [rows.make("before"), rows.make(order, trigger=False), rows.make("after")]
    assert taken(next_batch(messages)) == ["m2"]
    assert next_batch(messages[1:]) == messages[1]
    assert taken(next_batch(messages[2:])) == ["m6"]


def test_a_clear_takes_along_the_context_before_it() -> None:
    rows = Rows()
    messages = [
        rows.make("secret", trigger=False),
        rows.make(RESULT, trigger=False),
        rows.make(STOP, trigger=False),
        rows.make(MODEL, trigger=False),
        rows.make(CLEAR, trigger=False),
        rows.make("later", trigger=False),
    ]
    assert ids(forgotten_by(messages[4], messages)) == ["m2", "m4"]


def test_a_command_runs_alone_without_context() -> None:
    rows = Rows()
    messages = [rows.make("aside", trigger=False), rows.make(COMMAND), rows.make("after")]
    batch = next_batch(messages)
    assert taken(batch) == ["m4"]
    assert isinstance(batch, Batch) and batch.command == "/compact"
    after = next_batch(messages[2:])
    assert isinstance(after, Batch) and after.command is None


def test_a_text_that_looks_like_a_command_is_none() -> None:
    batch = next_batch([Rows().make("/compact")])
    assert isinstance(batch, Batch) and batch.command is None


def test_nothing_is_pushed_beside_a_command() -> None:
    rows = Rows()
    messages = [rows.make(COMMAND), rows.make("after")]
    assert follow_ups(messages, ROUTE, {"m2"}) == ()
    assert ids(follow_ups(messages[1:], ROUTE, set())) == ["m4"], "but once it is carried out"


def test_a_task_with_a_script_runs_alone_with_its_context() -> None:
    rows = Rows()
    messages = [rows.make("aside", trigger=False), rows.make(SCRIPTED), rows.make("after")]
    assert taken(next_batch(messages)) == ["m2", "m4"]
    rows = Rows()
    messages = [rows.make("before"), rows.make(SCRIPTED), rows.make(SCRIPTED)]
    assert taken(next_batch(messages)) == ["m2"]
    assert taken(next_batch(messages[1:])) == ["m4"]
    plain = [rows.make(TaskIn(prompt="one", script="")), rows.make(TaskIn(prompt="two"))]
    assert len(taken(next_batch(plain))) == 2


def test_one_that_has_failed_before_runs_alone() -> None:
    rows = Rows()
    messages = [rows.make("aside", trigger=False), rows.make("again", tries=1), rows.make("after")]
    assert taken(next_batch(messages)) == ["m2", "m4"]
    rows = Rows()
    messages = [rows.make("fresh"), rows.make("again", tries=1), rows.make("more")]
    assert taken(next_batch(messages)) == ["m2", "m6"]


def test_an_answer_that_nobody_waits_for_asks_for_a_turn() -> None:
    rows = Rows()
    assert taken(next_batch([rows.make(ANSWER)])) == ["m2"]


def test_follow_ups_are_of_the_same_thread() -> None:
    rows = Rows()
    messages = [
        rows.make("running"),
        rows.make("aside", trigger=False),
        rows.make("more"),
        rows.make(RESULT, trigger=False),
        rows.make("elsewhere", route=OTHER_THREAD),
        rows.make("even more"),
    ]
    assert ids(follow_ups(messages, ROUTE, {"m2"})) == ["m4", "m6", "m8"]
    assert follow_ups(messages, ROUTE, {"m2", "m6"}) == (), "context alone asks for nothing"
    # Who was asked first is answered first: what came after the other thread's message waits with it.
    assert follow_ups(messages, ROUTE, {"m2", "m4", "m6", "m8"}) == ()
    assert waits_for_its_own_turn(messages, ROUTE, {"m2", "m4", "m6", "m8"})
    assert taken(next_batch(messages[4:])) == ["m10"]


def test_what_has_failed_before_is_never_pushed() -> None:
    rows = Rows()
    messages = [rows.make("running"), rows.make("more"), rows.make("again", tries=2), rows.make("later")]
    assert ids(follow_ups(messages, ROUTE, {"m2"})) == ["m4"]
    assert waits_for_its_own_turn(messages, ROUTE, {"m2", "m4"})


def test_a_turn_is_no_longer_than_a_message_may_be() -> None:
    rows = Rows()
    long = "x" * (MAX_PROMPT_CHARS // 2 - 10)
    messages = [rows.make(long), rows.make("aside", trigger=False), rows.make(long), rows.make(long)]
    assert taken(next_batch(messages)) == ["m2", "m4", "m6"]
    assert taken(next_batch(messages[3:])) == ["m8"]
    assert ids(follow_ups([rows.make("running"), *messages], ROUTE, {"m10"})) == ["m2", "m4", "m6"]


def test_nothing_is_pushed_beside_one_that_has_failed_before() -> None:
    rows = Rows()
    messages = [rows.make("again", tries=1), rows.make("more")]
    assert follow_ups(messages, ROUTE, {"m2"}) == ()
    assert ids(follow_ups(messages[1:], ROUTE, {"m2"})) == ["m4"], "but once it is answered"


def test_nothing_is_pushed_past_an_order_or_a_command() -> None:
    for bar in (CLEAR, MODEL, COMMAND, SCRIPTED):
        rows = Rows()
        messages = [rows.make("one"), rows.make(bar), rows.make("two")]
        assert ids(follow_ups(messages, ROUTE, set())) == ["m2"]
        assert follow_ups(messages, ROUTE, {"m2"}) == ()
        assert waits_for_its_own_turn(messages, ROUTE, {"m2"})


def test_what_a_query_cannot_take_waits_for_its_own_turn() -> None:
    rows = Rows()
    ours, theirs = rows.make("ours"), rows.make("theirs", route=OTHER_THREAD)
    assert not waits_for_its_own_turn([ours, rows.make("aside", trigger=False)], ROUTE, set())
    assert not waits_for_its_own_turn([ours, rows.make(STOP, trigger=False)], ROUTE, {"m2"})
    assert waits_for_its_own_turn([ours, theirs], ROUTE, {"m2"})
    assert waits_for_its_own_turn([rows.make("again", tries=1)], ROUTE, set())


def test_an_interrupt_stops_what_was_asked_before_it() -> None:
    rows = Rows()
    messages = [
        rows.make("aside", trigger=False),
        rows.make("one"),
        rows.make("elsewhere", route=OTHER_THREAD),
        rows.make(CLEAR),
        rows.make(MODEL),
        rows.make(STOP, trigger=False),
        rows.make("after"),
    ]
    (stop,) = interrupts(messages)
    assert stop.id == "m12"
    assert ids(stopped_unbegun(stop, messages)) == ["m4", "m6"]


def test_an_interrupt_of_a_turn_that_has_ended_stops_nothing() -> None:
    rows = Rows()
    one = rows.make("one")
    old = rows.make(SystemIn(system=Interrupt(turn_id="m0")), trigger=False)
    this = rows.make(SystemIn(system=Interrupt(turn_id="m2")), trigger=False)
    assert stopped_unbegun(old, [one, old, this]) == []
    assert ids(stopped_unbegun(this, [one, old, this])) == ["m2"]
