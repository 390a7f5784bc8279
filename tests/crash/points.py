"""A round for every failpoint, with a story that comes by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from agent.protocol import failpoint
from tests.crash.plan import Act, Change, Command, KillRunners, Life, Relent, Round, Say, Spoil, Wait
from tests.crash.platform import Moods

MORE_COMMITS: Final = 9
"""So many commits of a short story are killed, before and after."""
MIGRATIONS: Final = 2
ANSWERED: Final = Wait("answered")
STORY: Final[Sequence[Act]] = (Say("hello", file=True), ANSWERED, Say("tool"), Say("long"), Say("hello"))
"""What most points lie on the way of. At first one message is alone: nothing that comes after it helps it on."""
EDIT: Final[Sequence[Act]] = (Say("edit"), Say("hello"))
"""A message goes out, then its edit, then a reaction, then the answer."""
WITHDRAWN: Final[Sequence[Act]] = (
    Say("endless"),
    Wait("working"),
    Change("delete"),
    Wait("acknowledged"),
    KillRunners(),
)
"""What is worked on is deleted, and whoever works on it dies."""
EDITED: Final[Sequence[Act]] = (Say("slow"), Wait("working"), Change("edit"), Say("hello"))
APPROVED: Final[Sequence[Act]] = (Command("approval approve {approval}"), Say("hello"))
"""An agent has asked for something, and an admin allows it."""
HELLOS: Final[Sequence[Act]] = (Say("hello"), ANSWERED) * 6
TWO_TALK: Final = Life((Say("hello"), Say("hello", "p2"), ANSWERED), end="kill")
AT_WORK: Final = Life((Say("slow"), Wait("working")), end="kill")
AT_REST: Final = Life((Say("hello"), ANSWERED), end="stop")


def _host(point: str, *acts: Act, after: Sequence[Life] = (), **more: object) -> Round:
    """The service is killed at `point` while `acts` happen, after earlier lives."""
    plain = Round(point, (*after, Life(acts or STORY, point=point)))
    return replace(plain, **more)  # type: ignore[arg-type]


def _runner(point: str, *acts: Act, after: Sequence[str] = ()) -> Round:
    """A runner is killed at `point`, where need be one after another at the points before."""
    return Round(point, (Life(acts or STORY, runner_points=(*after, point)),))


def _letter(point: str, *acts: Act) -> Round:
    """A reply with a file cannot be delivered."""
    refused = Moods(forbidden="note")
    return _host(point, Say("file"), ANSWERED, *acts, moods=refused, may_fail=frozenset({"p1"}))


def _both(point: str, runner_point: str) -> Round:
    """A runner is killed, and the service at `point` while it deals with that."""
    return Round(point, (Life(STORY, point, (runner_point,)),))


SPECIAL: Final[Mapping[str, Round]] = {
    each.name: each
    for each in (
        _host("inbound-made"),
        _host("awake-set"),
        _host("sent-recorded", Say("long")),
        _host("retry-recorded", moods=Moods(busy=0.7)),
        _letter("letter-files-kept"),
        _letter("replay-begun", Relent(), Command("deadletter replay all")),
        _letter("letter-dropped", Command("deadletter drop {letter} yes")),
        _letter("letter-replayed", Relent(), Command("deadletter replay all")),
        _host("reply-given-up", moods=Moods(forbidden="long"), may_fail=frozenset({"p1"})),
        _host("action-begun", Say("ask"), Say("hello")),
        _host("action-mid-commit", Say("plan"), Say("hello")),
        _host("action-performed", Say("plan"), Say("hello")),
        # Only a turn that still runs can be stopped, and this one does, however long the command takes.
        _host("order-recorded", Say("endless"), Wait("working"), Command("stop"), may_fail=frozenset({"p1"})),
        _host("turn-given-up", Say("crash"), Say("hello"), max_tries=2, may_fail=frozenset({"p1"})),
        _host("withdrawn-settled", *WITHDRAWN),
        _both("try-counted", "agent-asked"),
        _both("container-ended", "agent-asked"),
        _both("end-collected", "agent-asked"),
        _host("container-stopped", Say("hello"), runner_idle_seconds=0.2),
        _host("runner-idle", Say("hello"), runner_idle_seconds=0.2),
        _host("asleep-set", Say("hello"), runner_idle_seconds=0.2),
        _host("run-mid-commit", series=2),
        _host("run-committed", series=2),
        _host("approval-decided", *APPROVED, approvals=1),
        _host("approval-carried-out", *APPROVED, approvals=1),
        _host("adoption-begun", after=[AT_WORK]),
        _host("session-adopted", after=[AT_WORK]),
        _host("taken-over", after=[TWO_TALK]),
        _host("outbox-moved", Spoil("outbound.db", "ruined"), Say("hello"), after=[AT_REST]),
        _host("outbox-put-aside", Spoil("outbound.db", "ruined"), Say("hello"), after=[AT_REST]),
        _host("notice-recorded", Spoil("outbound.db", "ruined"), Say("hello"), after=[AT_REST]),
        _host("inbound-removed", Spoil("inbound.db", "removed"), Say("hello"), after=[AT_REST]),
        _host("inbound-rebuilt", Spoil("inbound.db", "ruined"), Say("hello"), after=[AT_REST]),
        _host("backup-databases-copied", Say("hello"), ANSWERED, Command("backup create")),
        _host("backup-packed", Say("hello"), ANSWERED, Command("backup create")),
        _host("backup-named", Say("hello"), ANSWERED, Command("backup create")),
        Round("checkpoint", (Life((Say("hello"), ANSWERED), point="checkpoint", end="stop"),)),
        _runner("agent-held", Say("slow"), Say("hello")),
        _runner("agent-hold-mid-commit", Say("slow"), Say("hello")),
        _runner("agent-recovering", Say("slow"), Say("hello"), after=["agent-held"]),
        _runner("agent-recovered", Say("slow"), Say("hello"), after=["agent-hold-mid-commit"]),
        _runner("agent-file-copied", Say("file"), Say("hello")),
        _runner("agent-files-pruned", Say("file"), *HELLOS),
        _runner("agent-compacted", Say("big " + "x" * 200_000), ANSWERED, *HELLOS),
        _runner("agent-told-to-leave", Say("slow"), Wait("working"), KillRunners("TERM")),
    )
}


def rounds() -> Iterator[Round]:
    """Every point, and the commits of bot.db one after another."""
    for point in sorted(failpoint.HOST):
        yield SPECIAL.get(point) or _host(point)
    for point in sorted(failpoint.AGENT):
        yield SPECIAL.get(point) or _runner(point)
    for number in range(2, MIGRATIONS + 1):
        yield _host(f"migration-mid-commit:{number}")
        yield _host(f"migration-committed:{number}")
    for number in range(2, MORE_COMMITS + 1):
        yield _host(f"commit-begun:{number}")
        yield _host(f"commit-done:{number}")
    for point in (
        "inbound-mid-commit",
        "inbound-committed",
        "inbox-committed",
        "after-send",
        "sent-recorded",
    ):
        yield _host(f"{point}:2")
    for number in range(4, 7):
        yield replace(
            _host(f"commit-done:{number}", Wait("answered"), series=1), name=f"commit-done:{number}+schedule"
        )
    for point in (
        "before-send",
        "after-send",
        "sent-recorded",
        "after-send:2",
        "commit-begun:3",
        "commit-done:3",
    ):
        yield replace(_host(point, *APPROVED, approvals=1), name=f"{point}+approval")
    for point in ("approval-decided", "approval-carried-out"):
        twice = (Life(APPROVED, point=point), Life((), point=point))
        yield Round(f"{point}+again", twice, approvals=1)
    for point in ("before-send:2", "after-send:2", "sent-recorded:2", "after-send:3"):
        yield replace(_host(point, *EDIT), name=f"{point}+edit")
    for point in ("inbox-committed:2", "inbound-committed:2", "inbound-mid-commit:2", "acks-folded:2"):
        yield replace(_host(point, *EDITED), name=f"{point}+edited")
    for point in ("agent-held", "agent-finished", "agent-finish-mid-commit:2"):
        yield replace(_runner(point, *EDITED), name=f"{point}+edited")
    for point in ("agent-reply-mid-commit:2", "agent-replied:2"):
        yield replace(_runner(point, *EDIT), name=f"{point}+edit")
    forgetful = _host("order-recorded", Say("slow"), Wait("working"), Command("clear"), Say("hello"))
    yield replace(forgetful, name="order-recorded+clear")
    behind = _runner("agent-asked", Say("hello"), Say("tool"))
    yield replace(behind, name="agent-asked+backoff", retry_seconds=1.0)
    for point in ("agent-finish-mid-commit", "agent-finished", "agent-looking"):
        yield _runner(f"{point}:2")
