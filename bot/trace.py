"""The way of one message, told from what was recorded of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

from adapters.terminal.text import plain
from bot.db import traces
from bot.db.inbox import Entry
from bot.db.traces import Mark, PartRecord, Step, Straight

STEPS: Final[tuple[Step, ...]] = get_args(Straight)
"""In the order in which they happen."""
COLUMNS: Final = ("TIME (UTC)", "SINCE ACCEPTED", "SINCE BEFORE", "STEP", "WHAT")
MAX_PARTS: Final = 20
"""Of one reply that are shown one by one."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MEANS: Final[dict[Step, str]] = {
    "accepted": "the event is in bot.db",
    "posted": "it is in the session's inbound.db",
    "woken": "{}",
    "claimed": "the agent works on it{}",
    "first delta": "the first words were heard{}",
    "answered": "the agent has written {}",
    "seen": "{} was found in outbound.db",
    "sent": "{} is handed to the channel",
    "acknowledged": "{} is taken and recorded",
    "restarted": "{}",
    "try lost": "{}",
    "put off": "{}",
    "given up": "{}",
    "withdrawn": "{}",
}


@dataclass(frozen=True)
class Facts:
    """What is known of a message. `place` counts from 1, among the unfinished of its session that ask for a
    turn."""

    entry: Entry
    marks: Sequence[Mark]
    parts: Sequence[PartRecord]
    place: int
    now: int
    ahead: int | None = None
    """How many other sessions are to have a runner before this one, while it waits for that."""

    def last(self, step: Step) -> Mark | None:
        """The newest of its kind."""
        return next((mark for mark in reversed(self.marks) if mark.step == step), None)


@dataclass(frozen=True)
class Line:
    """A step, or a note between two of them. Times in milliseconds; a step that did not happen has none, and
    `what` says why, as far as that is known."""

    step: Step
    what: str
    at_us: int | None = None
    since_accepted: float | None = None
    since_before: float | None = None
    says: int | None = None
    until: int | None = None
    out: str | None = None


def lines(facts: Facts) -> list[Line]:
    """What happened in its order, and what did not happen where it would have been."""
    accepted_us = facts.entry.accepted_at * 1000
    marks = sorted((Mark("accepted", accepted_us), *facts.marks), key=lambda mark: mark.at_us)
    told: list[Line] = []
    before_us = accepted_us
    for mark in marks:
        since, step = (mark.at_us - accepted_us) / 1000, (mark.at_us - before_us) / 1000
        told.append(Line(mark.step, _what(mark), mark.at_us, since, step, mark.says, mark.until, mark.out))
        before_us = mark.at_us
    for step_name in STEPS:
        if all(line.step != step_name for line in told):
            told.insert(_place_of(step_name, told), Line(step_name, _why_not(step_name, facts)))
    return told


def state(facts: Facts) -> str:
    """Where it stands, in words."""
    entry = facts.entry
    if entry.state == "failed":
        return f"failed visibly: {entry.error or 'no reason is known'}"
    if entry.state == "done":
        return _state_of_replies(facts)
    waits_until = entry.message.process_after or 0
    if waits_until > facts.now:
        return f"waiting until {clock_time(waits_until * 1000)} for try {entry.message.tries + 1}"
    if facts.ahead is not None:
        return f"in the backlog at place {facts.ahead + 1}: its session waits for a runner"
    if facts.place > 1:
        return f"in the backlog of its session at place {facts.place}"
    claimed, lost = facts.last("claimed"), facts.last("try lost")
    if claimed is not None and (lost is None or lost.at_us < claimed.at_us):
        return "the agent works on it"
    return "waiting for the agent" if entry.state == "posted" else "waiting to be posted"


def _state_of_replies(facts: Facts) -> str:
    failed = next((part for part in facts.parts if part.state == "failed"), None)
    if failed is not None:
        return f"done, but reply #{failed.seq} was given up: {failed.error}"
    waiting = next((part for part in facts.parts if part.state == "waiting"), None)
    if waiting is not None:
        return (
            f"answered; part {waiting.part + 1} of reply #{waiting.seq} is waiting until"
            f" {clock_time((waiting.next_at or 0) * 1000)} for attempt {waiting.attempts + 1}"
        )
    seen, out = facts.last("seen"), facts.last("acknowledged")
    if seen is not None and (out is None or out.at_us < seen.at_us):
        return "answered; the reply is on its way"
    return "done" if facts.last("withdrawn") is None or seen is not None else "withdrawn, and not answered"


def text(facts: Facts) -> str:
    """For people; it fits a pipe."""
    entry = facts.entry
    head = [
        f"message {entry.message.id} (#{entry.message.seq} of session {entry.session})",
        f"event: {_clean(entry.message.event_id)}",
        f"state: {_clean(state(facts))}",
    ]
    return "\n".join([*head, "", *table(facts), *replies(facts)])


def table(facts: Facts) -> list[str]:
    """One line a step."""
    rows = [COLUMNS, *cells(facts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS) - 1)]
    return [
        "  ".join(
            f"{cell:>{width}}" if column in (1, 2) else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(row, (*widths, 0), strict=True))
        ).rstrip()
        for row in rows
    ]


def cells(facts: Facts) -> list[tuple[str, ...]]:
    """The rows of that table."""
    rows: list[tuple[str, ...]] = []
    for line in lines(facts):
        what = line.what
        if line.says is not None:
            what += f" (at {clock_time(line.says * 1000)}, says the agent)"
        if line.until is not None:
            what += f"; again at {clock_time(line.until * 1000)}"
        if line.at_us is None:
            rows.append(("-", "-", "-", line.step, _clean(what)))
        else:
            passed = (f"{line.since_accepted:,.1f} ms", f"{line.since_before:,.1f} ms")
            rows.append((clock_time(line.at_us), *passed, line.step, _clean(what)))
    return rows


def replies(facts: Facts) -> list[str]:
    """What became of each part of each reply."""
    told: list[str] = []
    for out_id, parts in _by_reply(facts).items():
        name = "notice" if out_id.startswith("notice-") else f"reply #{parts[0].seq}"
        told += ["", f"{name} ({_clean(out_id)})"]
        told += [f"  part {part.part + 1}: {_clean(_part(part))}" for part in parts[:MAX_PARTS]]
        told += [f"  and {len(parts) - MAX_PARTS} more"] if len(parts) > MAX_PARTS else []
    return told


def data(facts: Facts) -> dict[str, Any]:
    """For programs. Times are ISO 8601; `at_us` is in epoch microseconds."""
    entry = facts.entry
    return {
        "message": entry.message.id,
        "event": entry.message.event_id,
        "session": entry.session,
        "seq": entry.message.seq,
        "kind": entry.message.kind,
        "tries": entry.message.tries,
        "state": entry.state,
        "told": state(facts),
        "steps": [
            {
                "step": line.step,
                "at": None if line.at_us is None else _iso(line.at_us),
                "at_us": line.at_us,
                "since_accepted_ms": line.since_accepted,
                "since_before_ms": line.since_before,
                "what": line.what,
                "says_the_agent": None if line.says is None else _iso(line.says * 1000),
                "again_at": None if line.until is None else _iso(line.until * 1000),
                "reply": line.out,
            }
            for line in lines(facts)
        ],
        "replies": [
            {
                "id": out_id,
                "seq": parts[0].seq,
                "parts": [
                    {
                        "part": part.part,
                        "state": part.state,
                        "at": _iso(part.at * 1000),
                        "attempts": part.attempts,
                        "again_at": None if part.next_at is None else _iso(part.next_at * 1000),
                        "platform_id": part.platform_id,
                        "error": part.error,
                    }
                    for part in parts
                ],
            }
            for out_id, parts in _by_reply(facts).items()
        ],
    }


def clock_time(at_us: int) -> str:
    """A moment for people. One that no calendar has can only come from a container."""
    try:
        return (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except OverflowError:
        return f"{at_us / 1_000_000:g} s after 1970"


def _iso(at_us: int) -> str | None:
    try:
        return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="milliseconds")
    except OverflowError:
        return None


def _clean(text: str) -> str:
    """On one line, and harmless to a terminal: some of it comes from platforms and containers."""
    return " ".join(plain(text).split())


def _what(mark: Mark) -> str:
    aside = mark.step in ("claimed", "first delta")
    return _MEANS[mark.step].format(f", {mark.what}" if aside and mark.what else mark.what)


def _why_not(step: Step, facts: Facts) -> str:
    """Why it did not happen, where that can be told."""
    entry = facts.entry
    if not facts.marks and entry.state in ("done", "failed"):
        return f"not kept: it is not of the newest {traces.KEPT:,} messages, or the service was killed"
    if step == "posted" and entry.state != "accepted":
        return "it was, but when is not known"
    if facts.last("restarted") is not None and _was_later(step, facts):
        return "not known: the service ended before it was written down"
    if entry.state == "failed" and step not in ("sent", "acknowledged"):
        return "none: the message was given up"
    if step == "first delta" and facts.last("answered") is not None:
        return "none, the provider did not stream"
    if facts.last("withdrawn") is not None and facts.last("answered") is None and entry.state == "done":
        return "none: the message was withdrawn"
    if step in ("answered", "seen") and entry.state == "done":
        return "none: the agent ended the turn without a reply"
    given_up = facts.last("given up")
    if step in ("sent", "acknowledged") and given_up is not None:
        return f"none: {given_up.what} (given up)"
    if entry.state == "done" and facts.last("seen") is None:
        return "none: there was nothing to send"
    return "not yet"


def _was_later(step: Step, facts: Facts) -> bool:
    """Whether something is known that must have come after it."""
    return any(mark.step in STEPS and STEPS.index(mark.step) > STEPS.index(step) for mark in facts.marks)


def _place_of(step: Step, told: Sequence[Line]) -> int:
    """In front of the first line that comes after it."""
    later = STEPS[STEPS.index(step) + 1 :]
    return next((place for place, line in enumerate(told) if line.step in later), len(told))


def _by_reply(facts: Facts) -> dict[str, list[PartRecord]]:
    found: dict[str, list[PartRecord]] = {}
    for part in sorted(facts.parts, key=lambda part: (part.seq, part.at, part.out_id, part.part)):
        found.setdefault(part.out_id, []).append(part)
    return found


def _part(part: PartRecord) -> str:
    at = clock_time(part.at * 1000)
    match part.state:
        case "sent":
            return f"sent at {at}" + ("" if part.platform_id is None else f" as {part.platform_id}")
        case "failed":
            return f"given up at {at} after {part.attempts} attempts: {part.error}"
        case "waiting":
            until = clock_time((part.next_at or 0) * 1000)
            return f"attempt {part.attempts} failed at {at}: {part.error}; again at {until}"
