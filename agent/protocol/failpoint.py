"""Failpoints: places at which a test has the process killed, so that every step on the way is seen to survive it.

ROOST_FAILPOINT=name kills the process with SIGKILL where it passes that point for the first time, and name:3 where
it does so for the third time. What is killed says so on stderr. The variable is read once, at import; without it a
point costs the call of an empty function. The service does not hand the variable on to its runners.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Final

VARIABLE: Final = "ROOST_FAILPOINT"
HOST: Final = frozenset(
    {
        # An event comes in.
        "event-received",
        "files-taken-in",
        "inbox-mid-commit",
        "inbox-committed",
        # It goes to its session.
        "files-in-place",
        "inbound-mid-commit",
        "inbound-committed",
        "inbound-made",
        "inbound-removed",
        "inbound-rebuilt",
        # A container is woken, watched and ended.
        "awake-set",
        "bell-hung",
        "container-started",
        "container-ended",
        "container-stopped",
        "end-collected",
        "runner-idle",
        "asleep-set",
        # What the container wrote goes out.
        "outbound-changed",
        "outbound-read",
        "acks-folded",
        "action-begun",
        "action-mid-commit",
        "action-performed",
        "before-send",
        "after-send",
        "sent-recorded",
        "retry-recorded",
        "letter-files-kept",
        "replay-begun",
        "letter-replayed",
        "letter-dropped",
        "reply-given-up",
        # What went wrong is put right, or said.
        "withdrawn-settled",
        "try-counted",
        "turn-given-up",
        "outbox-moved",
        "outbox-put-aside",
        "notice-recorded",
        # Somebody says stop, or forget.
        "order-recorded",
        # What a budget has kept back is accepted after all.
        "kept-accepted",
        # What an admin has allowed is carried out.
        "approval-decided",
        "approval-carried-out",
        # Schedules.
        "run-mid-commit",
        "run-committed",
        # The database, the service and its backups.
        "migration-mid-commit",
        "migration-committed",
        "commit-begun",
        "commit-done",
        "later-queued",
        "checkpoint",
        "adoption-begun",
        "session-adopted",
        "taken-over",
        "backup-databases-copied",
        "backup-packed",
        "backup-named",
    }
)
AGENT: Final = frozenset(
    {
        "agent-recovering",
        "agent-recovered",
        "agent-looking",
        "agent-hold-mid-commit",
        "agent-held",
        "agent-asked",
        "agent-delta",
        "agent-answering",
        "agent-finish-mid-commit",
        "agent-finished",
        "agent-files-pruned",
        "agent-file-copied",
        "agent-reply-mid-commit",
        "agent-replied",
        "agent-compacted",
        "agent-told-to-leave",
    }
)
DISCORD: Final = frozenset(
    {
        # What was said while nobody listened is read.
        "gap-read",
        # An answer is shown while it is written.
        "thread-opened",
        "stream-noted",
        "stream-posted",
        "stream-edited",
        "stream-claimed",
    }
)
"""The adapter's own: only a service before Discord comes by them."""
SLACK: Final = frozenset(
    {
        # Slack delivers something, and waits for an answer.
        "envelope-received",
        "event-put-down",
        "event-dealt-with",
        # What was said while nobody listened is read.
        "gap-read",
        # An answer is shown while it is written.
        "stream-noted",
        "stream-posted",
        "stream-appended",
        "stream-edited",
        "stream-claimed",
        "stream-stopped",
        # A message or a file is there, and nobody has been told of it yet.
        "message-posted",
        "file-shared",
        # Somebody has answered a question, which does not show it yet.
        "answer-taken",
        # A status is shown, and taken back.
        "status-noted",
        "status-shown",
    }
)
"""Likewise before Slack; what is alike has the same name."""
NAMES: Final = HOST | AGENT | DISCORD | SLACK


def mistake(value: str | None) -> str | None:
    """What is wrong with a value of the variable, in one sentence; None when nothing is."""
    if value is None:
        return None
    name, count = _parsed(value)
    if name not in NAMES:
        return f"{VARIABLE}: there is no failpoint {name!r}."
    if count < 1:
        return f"{VARIABLE}: write {name} or {name}:3, a whole number from 1."
    return None


def _parsed(value: str) -> tuple[str, int]:
    name, colon, count = value.partition(":")
    if not colon:
        return name, 1
    return name, int(count) if count.isascii() and count.isdigit() else 0


def _nothing(name: str, /) -> None:
    """Passes the point called `name`."""


def _armed(value: str | None) -> Callable[[str], None]:
    """A mistaken value does nothing here: whoever starts the process says so."""
    if value is None or mistake(value) is not None:
        return _nothing
    armed, count = _parsed(value)
    passed, alone = 0, threading.Lock()

    def kill_at(name: str, /) -> None:
        nonlocal passed
        if name != armed:
            return
        with alone:
            passed += 1
            if passed == count:
                os.write(2, f"{VARIABLE}: killed at {value}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)

    return kill_at


hit: Final[Callable[[str], None]] = _armed(os.environ.get(VARIABLE))
