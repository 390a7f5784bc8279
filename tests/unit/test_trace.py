"""The words and figures of a trace, from facts alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from agent.protocol.messages import MAX_SEQ, ChatIn, MessageIn, Route
from bot import trace
from bot.db.inbox import Entry
from bot.db.traces import Mark, PartRecord, Step
from bot.trace import MAX_PARTS, STEPS, Facts
from bot.trace_view import style_of

START = 1_790_000_000_000
MESSAGE = MessageIn(
    id="m1",
    seq=4,
    event_id="e1",
    kind="chat",
    created_at=START,
    route=Route(channel="fake", platform_id="p1"),
    content=ChatIn(sender="Ada", text="hello"),
)
DONE = Entry(MESSAGE, "s1", "done", START, START + 20, "m1", None)
OPEN = replace(DONE, state="posted", settled_at=None, turn_id=None)


def mark(step: Step, after_us: int, what: str = "", **more: Any) -> Mark:
    return Mark(step, START * 1000 + after_us, what, **more)


WAY = (
    mark("posted", 1_500),
    mark("woken", 1_700, "bell rung"),
    mark("claimed", 3_000),
    mark("first delta", 4_000),
    mark("answered", 9_000, "reply #5", out="o1", says=START + 8),
    mark("seen", 10_000, "reply #5", out="o1"),
    mark("sent", 10_250, "reply #5", out="o1"),
    mark("acknowledged", 12_000, "reply #5", out="o1"),
)
SENT = PartRecord("o1", 0, 5, "sent", True, 0, None, "platform-1", None, START + 12)


def facts(
    entry: Entry = DONE,
    marks: tuple[Mark, ...] = WAY,
    parts: tuple[PartRecord, ...] = (SENT,),
    place: int = 1,
    now: int = START + 50,
) -> Facts:
    return Facts(entry, marks, parts, place, now)


def without(*steps: Step) -> tuple[Mark, ...]:
    return tuple(mark for mark in WAY if mark.step not in steps)


def told(found: Facts) -> dict[str, str]:
    return {line.step: line.what for line in trace.lines(found) if line.at_us is None}


def test_a_whole_way_is_nine_lines() -> None:
    assert trace.text(facts()).splitlines() == [
        "message m1 (#4 of session s1)",
        "event: e1",
        "state: done",
        "",
        "TIME (UTC)               SINCE ACCEPTED  SINCE BEFORE  STEP          WHAT",
        "2026-09-21 14:13:20.000          0.0 ms        0.0 ms  accepted      the event is in bot.db",
        "2026-09-21 14:13:20.001          1.5 ms        1.5 ms  posted        it is in the session's inbound.db",
        "2026-09-21 14:13:20.001          1.7 ms        0.2 ms  woken         bell rung",
        "2026-09-21 14:13:20.003          3.0 ms        1.3 ms  claimed       the agent works on it",
        "2026-09-21 14:13:20.004          4.0 ms        1.0 ms  first delta   the first words were heard",
        "2026-09-21 14:13:20.009          9.0 ms        5.0 ms  answered      the agent has written reply #5"
        " (at 2026-09-21 14:13:20.008, says the agent)",
        "2026-09-21 14:13:20.010         10.0 ms        1.0 ms  seen          reply #5 was found in outbound.db",
        "2026-09-21 14:13:20.010         10.2 ms        0.2 ms  sent          reply #5 is handed to the channel",
        "2026-09-21 14:13:20.012         12.0 ms        1.8 ms  acknowledged  reply #5 is taken and recorded",
        "",
        "reply #5 (o1)",
        "  part 1: sent at 2026-09-21 14:13:20.012 as platform-1",
    ]


def test_data_is_json_and_exact() -> None:
    data = json.loads(json.dumps(trace.data(facts())))
    assert [step["step"] for step in data["steps"]] == list(STEPS)
    sent = data["steps"][7]
    assert (sent["at_us"], sent["since_accepted_ms"], sent["since_before_ms"]) == (
        START * 1000 + 10_250,
        10.25,
        0.25,
    )
    assert data["steps"][5]["says_the_agent"] == "2026-09-21T14:13:20.008+00:00"
    assert data["replies"] == [
        {
            "id": "o1",
            "seq": 5,
            "parts": [
                {
                    "part": 0,
                    "state": "sent",
                    "at": "2026-09-21T14:13:20.012+00:00",
                    "attempts": 0,
                    "again_at": None,
                    "platform_id": "platform-1",
                    "error": None,
                }
            ],
        }
    ]


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (facts(marks=without("first delta")), {"first delta": "none, the provider did not stream"}),
        (
            facts(marks=without("first delta", "answered", "seen", "sent", "acknowledged"), parts=()),
            {
                "first delta": "none: there was nothing to send",
                "answered": "none: the agent ended the turn without a reply",
                "seen": "none: the agent ended the turn without a reply",
                "sent": "none: there was nothing to send",
                "acknowledged": "none: there was nothing to send",
            },
        ),
        (
            facts(OPEN, WAY[:2]),
            dict.fromkeys(STEPS[3:], "not yet"),
        ),
        (
            facts(marks=(mark("restarted", 8_000, "a service"), *WAY[4:])),
            {
                "posted": "it was, but when is not known",
                **dict.fromkeys(STEPS[2:5], "not known: the service ended before it was written down"),
            },
        ),
        (
            facts(replace(DONE, state="failed"), (*WAY[:3], mark("try lost", 8_000, "it ended"))),
            {
                **dict.fromkeys(("first delta", "answered", "seen"), "none: the message was given up"),
                **dict.fromkeys(("sent", "acknowledged"), "not yet"),
            },
        ),
        (
            facts(marks=()),
            dict.fromkeys(
                STEPS[1:], "not kept: it is not of the newest 10,000 messages, or the service was killed"
            ),
        ),
        (
            facts(marks=(*WAY[:6], mark("given up", 11_000, "reply #5: it said no"))),
            dict.fromkeys(("sent", "acknowledged"), "none: reply #5: it said no (given up)"),
        ),
    ],
    ids=["no stream", "no reply", "under way", "restarted", "failed", "forgotten", "given up"],
)
def test_what_did_not_happen_has_its_reason(found: Facts, missing: dict[str, str]) -> None:
    assert told(found) == missing


def test_what_is_missing_stands_where_it_would_have_been() -> None:
    steps = [line.step for line in trace.lines(facts(marks=without("claimed", "first delta")))]
    assert steps == list(STEPS)
    lost = mark("try lost", 3_500, "it ended", until=START + 5_000)
    twice = (*WAY[:3], lost, mark("woken", 5_000, "container started"))
    shown = trace.lines(facts(OPEN, twice))
    assert [line.step for line in shown] == [*STEPS[:4], "try lost", "woken", *STEPS[4:]]
    assert "it ended; again at 2026-09-21 14:13:25.000" in trace.text(facts(OPEN, twice))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (facts(), "done"),
        (facts(replace(DONE, state="failed", error="Sorry.")), "failed visibly: Sorry."),
        (facts(replace(OPEN, state="accepted"), ()), "waiting to be posted"),
        (facts(OPEN, WAY[:2]), "waiting for the agent"),
        (facts(OPEN, WAY[:3]), "the agent works on it"),
        (facts(OPEN, (*WAY[:3], mark("try lost", 4_000))), "waiting for the agent"),
        (facts(OPEN, WAY[:1], place=3), "in the backlog of its session at place 3"),
        (
            replace(facts(replace(OPEN, state="accepted"), ()), ahead=4),
            "in the backlog at place 5: its session waits for a runner",
        ),
        (
            facts(
                replace(OPEN, message=MESSAGE.model_copy(update={"tries": 1, "process_after": START + 5_000}))
            ),
            "waiting until 2026-09-21 14:13:25.000 for try 2",
        ),
        (
            facts(
                marks=WAY[:7],
                parts=(replace(SENT, state="waiting", attempts=2, next_at=START + 5_000, error="busy"),),
            ),
            "answered; part 1 of reply #5 is waiting until 2026-09-21 14:13:25.000 for attempt 3",
        ),
        (facts(marks=WAY[:6], parts=()), "answered; the reply is on its way"),
        (
            facts(parts=(replace(SENT, state="failed", error="no"),)),
            "done, but reply #5 was given up: no",
        ),
    ],
)
def test_where_it_stands(found: Facts, words: str) -> None:
    assert trace.state(found) == words


def test_parts_are_told_one_by_one_up_to_a_number() -> None:
    parts = (
        replace(SENT, last=False),
        replace(SENT, part=1, state="waiting", attempts=1, next_at=START + 1_000, error="busy"),
        *(replace(SENT, out_id="o2", seq=7, part=n) for n in range(MAX_PARTS + 3)),
    )
    lines = trace.replies(facts(parts=parts))
    assert lines[3] == (
        "  part 2: attempt 1 failed at 2026-09-21 14:13:20.012: busy; again at 2026-09-21 14:13:21.000"
    )
    assert lines[5] == "reply #7 (o2)" and lines[-1] == "  and 3 more"
    assert len(lines) == 4 + 2 + MAX_PARTS + 1


def test_a_container_cannot_break_it() -> None:
    """Neither with a time that no calendar has nor with what a terminal would obey."""
    lie = mark("answered", 9_000, "reply #5", out="o\x1b[31m\n1", says=MAX_SEQ)
    found = facts(marks=(*WAY[:4], lie, *WAY[5:]), parts=(replace(SENT, out_id=lie.out or ""),))
    text = trace.text(found)
    assert "9.0072e+12 s after 1970, says the agent" in text
    assert "reply #5 (o 1)" in text and "\x1b" not in text
    assert trace.data(found)["steps"][5]["says_the_agent"] is None


def test_what_went_wrong_is_seen_at_a_glance() -> None:
    shown = facts(OPEN, (*WAY[:3], mark("try lost", 4_000, "it ended")))
    styles = {line.split("  ")[-1].strip(): style_of(line) for line in trace.text(shown).splitlines()}
    assert styles["it ended"] == "yellow"
    assert styles["not yet"] == "dim"
    assert styles["bell rung"] == ""
    assert styles["WHAT"] == "bold" == style_of("state: done")


def test_what_was_withdrawn_says_so() -> None:
    gone = facts(marks=(mark("posted", 1_500), mark("withdrawn", 2_000, "it was deleted")), parts=())
    assert trace.state(gone) == "withdrawn, and not answered"
    assert told(gone)["answered"] == told(gone)["sent"] == "none: the message was withdrawn"
    assert re.search(r"withdrawn +it was deleted", trace.text(gone))
    late = facts(marks=(*WAY, mark("withdrawn", 20_000, "it was deleted")))
    assert trace.state(late) == "done", "it was answered before"
