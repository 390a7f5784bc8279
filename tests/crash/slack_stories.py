"""The rounds before Slack: those of stories.py, at the points of Slack's own adapter, and with Slack's own tricks: it
delivers twice, on any connection, and ends its connections when it likes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from agent.protocol import failpoint
from tests.crash.chat import DM
from tests.crash.plan import Act, Life, Round, Say, Trick, Wait
from tests.crash.stories import ANSWERED, ASKS, BEGUN, STORY, TALE, TALK, by_chance, named, written

IN: Final = ("envelope-received", "inbox-committed", "event-dealt-with")
OUT: Final = (
    "status-noted",
    "status-shown",
    "stream-noted",
    "stream-posted",
    "stream-appended",
    "stream-claimed",
    "stream-stopped",
    "after-send",
    "sent-recorded",
    "status-shown:2",
)
PARTS: Final = ("message-posted", "after-send:4", "sent-recorded:4")
FILES: Final = ("file-shared", "after-send")
NOTES: Final[Sequence[Act]] = (Say("hello"), ANSWERED, Say("tool"), ANSWERED, Say("tale"))
"""Five messages, of which only the first parts of answers are shown while they are written."""
TALES: Final = ("stream-appended:3", "message-posted", "sent-recorded:2")
SLOW: Final = Trick("slow")
PLAIN: Final = Trick("plain")
MISSED: Final[Sequence[Act]] = (Say("stream"), Say("hello", DM), Say("hello", "p2"), Say("hello", "p2"))
"""In a thread that the bot knows, in its direct conversation, and in a thread that has begun meanwhile."""
TRICKS: Final = (Trick("again"), Trick("retry"), Trick("refresh"), Trick("drop"), SLOW, PLAIN)


def rounds() -> Iterator[Round]:
    """Every story."""
    yield from map(_before_slack, _stories())


def round_of(seed: int) -> Round:
    """A random round before Slack."""
    return _before_slack(by_chance(seed, sorted(failpoint.HOST | failpoint.SLACK), TRICKS))


def _stories() -> Iterator[Round]:
    for point in (*IN, *OUT):
        yield named(point, Life(STORY, point))
    for point in PARTS:
        yield named(f"{point}+notes", Life(NOTES, point))
    for point in FILES:
        # What comes next may be answered together with it, and must not ask for anything else then.
        yield named(f"{point}+file", Life((Say("file"), Say("hello")), point))
    for point in TALES:
        yield named(f"{point}+tale", Life(TALE, point))
    yield named("event-put-down", Life((SLOW, *STORY), "event-put-down"))
    yield named("event-put-down+dealt-with", Life((SLOW, *STORY), "event-dealt-with"))
    for point in ("stream-posted", "stream-edited", "stream-claimed"):
        yield named(f"{point}+plain", Life((PLAIN, *TALE), point))
    yield from _missed()
    yield named("asked", ASKS)
    for point in ("inbox-committed", "answer-taken"):
        yield named(f"{point}+asked", ASKS, Life((ANSWERED,), point))
    for plan in written():
        # A question that can be deleted stands in a thread that another one has begun.
        first = replace(plan.lives[0], acts=(Say("hello"), ANSWERED, *plan.lives[0].acts))
        yield replace(plan, lives=(first, *plan.lives[1:])) if plan.name == "delete+away" else plan
    yield from _tricks()


def _missed() -> Iterator[Round]:
    for point in ("gap-read", "gap-read:3", "inbox-committed:3"):
        yield named(point if point == "gap-read" else f"{point}+missed", TALK, Life((), point, before=MISSED))
    for point in ("inbox-committed", "event-dealt-with"):
        # What the thread is known by may not be written yet.
        later = Life((), before=(Say("hello"),), end="kill")
        yield named(f"{point}+thread", Life((Say("hello"),), point), later)


def _tricks() -> Iterator[Round]:
    again, retry, refresh, drop = (Trick(how) for how in ("again", "retry", "refresh", "drop"))
    twice = (Say("stream"), again, Say("hello"), again, Say("hello", "p2"), again)
    yield named("again", Life((*twice, ANSWERED), end="kill"))
    for point in ("inbox-committed:2", "event-dealt-with:3"):
        yield named(f"{point}+again", Life(twice, point))
    back = Life((Wait("connected"), retry, again, ANSWERED), end="kill")
    for point in ("envelope-received", "inbox-committed", "event-dealt-with"):
        yield named(f"{point}+retry", Life((Say("stream"), Say("hello"), Say("hello", DM)), point), back)
    for trick in (refresh, drop):
        acts = (*BEGUN, trick, Say("hello"), Say("hello", DM), trick, Say("hello", "p2"))
        yield named(trick.how, Life((*acts, ANSWERED), end="kill"))
        yield named(f"envelope-received:3+{trick.how}", Life(acts, "envelope-received:3"))


def _before_slack(plan: Round) -> Round:
    return replace(plan, name=f"slack:{plan.name}")
