"""The rounds before Discord: a story for each point on the way between the service and a person, and random ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from agent.protocol import failpoint
from tests.crash.chance import MAX_TRIES
from tests.crash.discord import DM
from tests.crash.plan import Act, Change, KillRunners, Life, Pause, Round, Say, Wait

BEGINNING: Final = "answer:"
END: Final = "END"
"""So ends every answer, and behind it stands how many words it had."""
STREAM_WORDS: Final = 12
TALE_WORDS: Final = 30
TALE_WORD_CHARS: Final = 120
"""A tale is so long that three messages hold it."""
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
SCRIPT: Final[Sequence[Mapping[str, Any]]] = (
    {"match": "again", "steps": [BRIEFLY]},
    _written("stream", [f"w{number}" for number in range(STREAM_WORDS)]),
    _written("tale", [f"w{number} {'x' * TALE_WORD_CHARS}" for number in range(TALE_WORDS)]),
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
"""What the mock does about a word in a message. FILE becomes a path of the round's."""
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
HOST: Final = sorted(failpoint.HOST | failpoint.DISCORD)


def rounds() -> Iterator[Round]:
    """Every story."""
    for point in (*IN, *OUT, *LATER):
        yield _named(point, Life(STORY, point))
    for point in TALES:
        yield _named(f"{point}+tale", Life(TALE, point))
    talk = Life((Say("hello"), Say("hello", DM), ANSWERED), end="kill")
    yield _named("gap-read", talk, Life((), "gap-read", before=MISSED))
    for point in ("event-received:2", "inbox-committed:2"):
        yield _named(f"{point}+missed", talk, Life((), point, before=MISSED))
    asks = Life((Say("ask"), Wait("asked")), end="kill")
    yield _named("asked", asks)
    for point in ("event-received", "inbox-committed", "inbound-committed"):
        yield _named(f"{point}+asked", asks, Life((ANSWERED,), point))
    begun = (Say("tale"), Wait("begun"))
    yield _named("begun", Life(begun, end="kill"))
    yield _named("begun+runner", Life((*begun, KillRunners(), ANSWERED), end="kill"))
    yield _named(
        "begun+both", Life(begun, end="kill"), Life((KillRunners(),), before=(KillRunners(),), end="kill")
    )
    yield _named("begun+edited", Life((*begun, Change("edit"), ANSWERED), end="kill"))
    for how in ("edit", "delete"):
        change = Change(how)
        yield _named(f"{how}+away", Life(begun, end="kill"), Life((), before=(change,), end="kill"))
        missed = Life((), before=(Say("stream"), change), end="kill")
        yield _named(f"{how}+missed", talk, missed)


def round_of(seed: int) -> Round:
    """A random round before Discord."""
    rng = random.Random(seed)
    places = rng.sample(("p1", "p2", DM), rng.choice((1, 1, 2)))
    lives = [_life(rng, places, first=number == 0) for number in range(rng.choice((1, 2, 2, 3)))]
    return replace(_named(f"seed-{seed}", *lives), seed=seed)


def _named(name: str, *lives: Life) -> Round:
    return Round(f"discord:{name}", lives, max_tries=MAX_TRIES)


def _life(rng: random.Random, places: Sequence[str], *, first: bool) -> Life:
    before = [act for _ in range(0 if first else rng.choice((0, 0, 1, 2))) for act in _said(rng, places)]
    if not first and rng.random() < 0.2:
        return Life([Pause(rng.uniform(0, 0.6))], before=before, end="kill")
    acts = [act for _ in range(rng.randint(1, 3)) for act in _acts(rng, places)]
    if rng.random() < 0.5:
        return Life(acts, f"{rng.choice(HOST)}:{rng.randint(1, 3)}", before=before, end="kill")
    acts.append(Pause(rng.uniform(0, 1.5)))
    return Life(acts, before=before, end=rng.choice(("kill", "kill", "stop")))


def _acts(rng: random.Random, places: Sequence[str]) -> Iterator[Act]:
    match rng.randrange(6):
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
