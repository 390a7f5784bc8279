"""What happens in a round: the lives of the service, what people do in each, and how each ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tests.crash.platform import Moods

SCRIPT: Final[Sequence[Mapping[str, Any]]] = (
    {"match": "crash", "steps": [{"do": "kill"}]},
    {
        "match": "slow",
        "steps": [{"do": "stall", "seconds": 0.15}, {"do": "result", "text": "answer: {text}"}],
    },
    {
        "match": "endless",
        "steps": [{"do": "stall", "seconds": 60}, {"do": "result", "text": "answer: {text}"}],
    },
    {
        "match": "tool",
        "steps": [
            {"do": "tool", "name": "send_message", "arguments": {"text": "note {text}"}},
            {"do": "result", "text": "answer: {text}"},
        ],
    },
    {
        "match": "file",
        "steps": [
            {"do": "tool", "name": "send_file", "arguments": {"path": "FILE", "text": "note {text}"}},
            {"do": "result", "text": "answer: {text}"},
        ],
    },
    {
        "match": "ask",
        "steps": [
            {
                "do": "tool",
                "name": "ask_user_question",
                "arguments": {"title": "Well?", "question": "note {text}", "options": ["yes", "no"]},
            },
            {"do": "result", "text": "answer: {text} {tool}"},
        ],
    },
    {
        "match": "edit",
        "steps": [
            {"do": "tool", "name": "send_message", "arguments": {"text": "note {text}"}},
            {
                "do": "tool",
                "name": "edit_message",
                "arguments": {"message": "{sent}", "text": "note {text} again"},
            },
            {"do": "tool", "name": "add_reaction", "arguments": {"message": "{id}", "emoji": "ok"}},
            {"do": "result", "text": "answer: {text}"},
        ],
    },
    {
        "match": "plan",
        "steps": [
            {"do": "tool", "name": "schedule_task", "arguments": {"prompt": "later", "when": "in 1 seconds"}},
            {"do": "result", "text": "answer: {text}"},
        ],
    },
    {"match": "error", "steps": [{"do": "error", "message": "answer: {text}"}]},
    {"match": "long", "steps": [{"do": "result", "text": "answer: {text} " + "x" * 5_000}]},
    {"match": "big", "steps": [{"do": "result", "text": "answer:" + " {text}" * 8}]},
)
"""What the mock does about a word in a message; everything else is echoed. FILE becomes a path of the round's."""


@dataclass(frozen=True)
class Say:
    """Somebody says something; the round puts a word of its own behind it, by which its answer is known."""

    text: str = ""
    place: str = "p1"
    file: bool = False


@dataclass(frozen=True)
class Command:
    """Somebody gives a command; {letter} in it is the id of the first dead letter, {approval} that of the first
    approval."""

    command: str
    place: str = "p1"


@dataclass(frozen=True)
class Change:
    """Somebody edits what was said last in a place, or deletes it."""

    how: Literal["edit", "delete"]
    place: str = "p1"


@dataclass(frozen=True)
class Relent:
    """From now on the platform takes what it would not take."""


@dataclass(frozen=True)
class Wait:
    """Until everything that was said is answered, or until an agent says that it works, or until the service has
    taken what people did; before people also until the beginning of an answer stands there, or a question, or until
    the service is connected."""

    until: Literal["answered", "working", "acknowledged", "begun", "asked", "connected"]


@dataclass(frozen=True)
class Pause:
    """For so long nobody does anything."""

    seconds: float


@dataclass(frozen=True)
class KillRunners:
    """Every runner gets this signal: "KILL" or "TERM"."""

    signal: Literal["KILL", "TERM"] = "KILL"


@dataclass(frozen=True)
class Spoil:
    """Before the service starts, and while no runner lives, a file of every session is ruined or removed."""

    file: Literal["inbound.db", "outbound.db"]
    how: Literal["ruined", "removed"]


@dataclass(frozen=True)
class Trick:
    """Slack delivers everything again, on two connections at once; or again what nobody has taken; or says that it
    ends every connection; or cuts them; or takes long over the next file; or streams nothing any more."""

    how: Literal["again", "retry", "refresh", "drop", "slow", "plain"]


Act = Say | Change | Command | Relent | Wait | Pause | KillRunners | Spoil | Trick


@dataclass(frozen=True)
class Life:
    """One life of the service. `end`: it is killed where its `point` is, or else by "kill" or "stop"; a life
    that goes on is the last one. A point of a runner, armed by `runner_points` in the order of their starts, kills
    that and not the service."""

    acts: Sequence[Act] = ()
    before: Sequence[Act] = field(default=(), kw_only=True)
    """What people do before it begins, while no service runs."""
    point: str | None = None
    runner_points: Sequence[str | None] = ()
    end: Literal["point", "kill", "stop", "go on"] = "point"


@dataclass(frozen=True)
class Round:
    """A whole story. Its last life is a plain one that runs until all is quiet, whatever stands here.

    `series` is how many schedules are due at the start, in `p1`, and `approvals` how many the agent there has asked
    for; a place in `may_fail` has messages that cannot be answered.
    """

    name: str
    lives: Sequence[Life]
    moods: Moods = field(default_factory=Moods)
    seed: int = 0
    series: int = 0
    approvals: int = 0
    runner_idle_seconds: float = 600.0
    max_tries: int = 8
    retry_seconds: float = 0.01
    """The wait before a turn that died is run again; doubles every time."""
    may_fail: frozenset[str] = frozenset()
