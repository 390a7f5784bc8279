"""The rounds before people: a story for each point on the way between the service and a person, and random ones. What
is told here is told before Discord and before Slack; slack_stories.py has what only Slack can do."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from agent.protocol import failpoint
from tests.crash.chance import MAX_TRIES
from tests.crash.chat import DM
from tests.crash.plan import Act, Change, KillRunners, Life, Pause, Round, Say, Trick, Wait

BEGINNING: Final = "answer:"
END: Final = "END"
"""So ends every answer, and behind it stands how many words it had."""
STREAM_WORDS: Final = 12
TALE_WORDS: Final = 30
DISCORD_TALE: Final = 120
"""So many characters a word of a tale has besides, for three messages to hold it all."""
SLACK_TALE: Final = 500
"""Likewise for two."""
WORD_SECONDS: Final = 0.05


def _written(match: str, words: Sequence[str]) -> Mapping[str, Any]:
    """An answer that is shown while it is written."""
    beginning, end = f"{BEGINNING} {{text}} ", f"{END}{len(words)}"
    deltas = [
        step
        for word in words
        for step in ({"do": "delta", "text": f"{word} "}, {"do": "stall", "seconds": WORD_SECONDS})
    ]
    whole = f"{beginning}{' '.join(words)} {end}"
    return {"match": match, "steps": [{"do": "delta", "text": beginning}, *deltas, _result(whole)]}


def _result(text: str) -> Mapping[str, Any]:
    return {"do": "result", "text": text}


def _tool(name: str, **arguments: Any) -> Mapping[str, Any]:
    return {"do": "tool", "name": name, "arguments": arguments}


BRIEFLY: Final = _result(f"{BEGINNING} {{text}} {END}0")
_STEPS: Final[Sequence[Mapping[str, Any]]] = (
    {"match": "tool", "steps": [_tool("send_message", text="note {text}"), BRIEFLY]},
    {"match": "file", "steps": [_tool("send_file", path="FILE", text="note {text}"), BRIEFLY]},
    {
        "match": "edit",
        "steps": [
            _tool("send_message", text="note {text}"),
            _tool("edit_message", message="{sent}", text="note {text} changed"),
            BRIEFLY,
        ],
    },
    {
        "match": "ask",
        "steps": [
            _tool("ask_user_question", title="Well?", question="note", options=["yes", "no"]),
            BRIEFLY,
        ],
    },
    {"steps": [BRIEFLY]},
)


def script(tale_word_chars: int) -> Sequence[Mapping[str, Any]]:
    """What the mock does about a word in a message. FILE becomes a path of the round's."""
    return (
        {"match": "again", "steps": [BRIEFLY]},
        _written("stream", [f"w{number}" for number in range(STREAM_WORDS)]),
        _written("tale", [f"w{number} {'x' * tale_word_chars}" for number in range(TALE_WORDS)]),
        *_STEPS,
    )


ANSWERED: Final = Wait("answered")
STORY: Final[Sequence[Act]] = (Say("stream", file=True), ANSWERED, Say("file"), Say("tale"), Say("hello"))
"""A mention that opens a thread, and what follows in it."""
TALE: Final[Sequence[Act]] = (Say("tale"), ANSWERED, Say("hello"))
MISSED: Final[Sequence[Act]] = (Say("stream"), Say("hello", DM), Say("hello", "p2"))
IN: Final = (
    "event-received",
    "files-taken-in",
    "inbox-mid-commit",
    "inbox-committed",
    "inbound-mid-commit",
    "inbound-committed",
    "container-started",
)
OUT: Final = (
    "outbound-read",
    "acks-folded",
    "before-send",
    "after-send",
    "sent-recorded",
    "thread-opened",
    "stream-noted",
    "stream-posted",
    "stream-edited",
    "stream-claimed",
)
LATER: Final = (
    "before-send:2",
    "after-send:2",
    "sent-recorded:2",
    "before-send:4",
    "after-send:4",
    "sent-recorded:4",
)
TALES: Final = ("stream-noted:2", "stream-posted:2", "stream-edited:3", "after-send:2", "sent-recorded:3")
KINDS: Final = ("", "", "", "stream", "stream", "tale", "tool", "file", "edit", "ask")
TALK: Final = Life((Say("hello"), Say("hello", DM), ANSWERED), end="kill")
ASKS: Final = Life((Say("ask"), Wait("asked")), end="kill")
BEGUN: Final[Sequence[Act]] = (Say("tale"), Wait("begun"))
CHANGES: Final[Sequence[Literal["edit", "delete"]]] = ("edit", "delete")


def rounds() -> Iterator[Round]:
    """Every story before Discord."""
    yield from map(_before_discord, _stories())


def round_of(seed: int) -> Round:
    """A random round before Discord."""
    return _before_discord(by_chance(seed, sorted(failpoint.HOST | failpoint.DISCORD)))


def _stories() -> Iterator[Round]:
    for point in (*IN, *OUT, *LATER):
        yield named(point, Life(STORY, point))
    for point in TALES:
        yield named(f"{point}+tale", Life(TALE, point))
    yield named("gap-read", TALK, Life((), "gap-read", before=MISSED))
    for point in ("event-received:2", "inbox-committed:2"):
        yield named(f"{point}+missed", TALK, Life((), point, before=MISSED))
    yield named("asked", ASKS)
    for point in ("event-received", "inbox-committed", "inbound-committed"):
        yield named(f"{point}+asked", ASKS, Life((ANSWERED,), point))
    yield from written()


def written() -> Iterator[Round]:
    """What may happen to an answer that is being written, and to its question."""
    yield named("begun", Life(BEGUN, end="kill"))
    yield named("begun+runner", Life((*BEGUN, KillRunners(), ANSWERED), end="kill"))
    yield named(
        "begun+both", Life(BEGUN, end="kill"), Life((KillRunners(),), before=(KillRunners(),), end="kill")
    )
    yield named("begun+edited", Life((*BEGUN, Change("edit"), ANSWERED), end="kill"))
    for how in CHANGES:
        change = Change(how)
        yield named(f"{how}+away", Life(BEGUN, end="kill"), Life((), before=(change,), end="kill"))
        missed = Life((), before=(Say("stream"), change), end="kill")
        yield named(f"{how}+missed", TALK, missed)


def by_chance(seed: int, points: Sequence[str], tricks: Sequence[Trick] = ()) -> Round:
    """A random round, in which the service may be killed at `points`."""
    rng = random.Random(seed)
    places = rng.sample(("p1", "p2", DM), rng.choice((1, 1, 2)))
    count = rng.choice((1, 2, 2, 3))
    lives = [_life(rng, places, points, tricks, first=number == 0) for number in range(count)]
    return replace(named(f"seed-{seed}", *lives), seed=seed)


def named(name: str, *lives: Life) -> Round:
    """A round of these lives."""
    return Round(name, lives, max_tries=MAX_TRIES)


def _before_discord(plan: Round) -> Round:
    return replace(plan, name=f"discord:{plan.name}")


def _life(
    rng: random.Random, places: Sequence[str], points: Sequence[str], tricks: Sequence[Trick], *, first: bool
) -> Life:
    before = [act for _ in range(0 if first else rng.choice((0, 0, 1, 2))) for act in _said(rng, places)]
    if not first and rng.random() < 0.2:
        return Life([Pause(rng.uniform(0, 0.6))], before=before, end="kill")
    acts = [act for _ in range(rng.randint(1, 3)) for act in _acts(rng, places, tricks)]
    if rng.random() < 0.5:
        # A service that was never connected has heard nothing yet, and need not answer what was said before that.
        point = None if first else f"{rng.choice(points)}:{rng.randint(1, 3)}"
        return Life(acts, point, before=before, end="kill")
    acts.append(Pause(rng.uniform(0, 1.5)))
    return Life(acts, before=before, end=rng.choice(("kill", "kill", "stop")))


def _acts(rng: random.Random, places: Sequence[str], tricks: Sequence[Trick]) -> Iterator[Act]:
    match rng.randrange(7 if tricks else 6):
        case 6:
            yield rng.choice(tricks)
        case 0 | 1:
            yield Pause(rng.uniform(0, 0.8))
        case 2:
            yield KillRunners()
        case _:
            yield from _said(rng, places)


def _said(rng: random.Random, places: Sequence[str]) -> Iterator[Act]:
    place = rng.choice(places)
    yield Say(rng.choice(KINDS), place, file=rng.random() < 0.15)
    if rng.random() < 0.15:
        yield Change(rng.choice(("edit", "edit", "delete")), place)
