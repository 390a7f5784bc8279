"""How the host reads what a hostile container wrote: outbound.db, and the files beside it.

Whoever runs in the container controls every byte, name, lock and link in out/. So outbound.db is never
opened in place: it is copied under SQLite's own lock and read in memory. Nothing here waits longer than its
deadline, and nothing but a value or one of these errors comes out:

SnapshotError
  x Missing      the agent has not written it yet
  x Busy         a lock, a lease or a change under way: try again later
      x Costly   it takes more than the time there is
  x HotJournal   a writer died in mid-commit: wake the session, only its own agent may recover the file
  x Violation    hostile or corrupt; the message says what

The process that reads must not have outbound.db open through SQLite: closing a descriptor here would drop the
locks that such a connection believes to hold.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from agent.protocol.snapshot.bounds import Bounds, Deadline
from agent.protocol.snapshot.errors import (
    Busy,
    Costly,
    HotJournal,
    Missing,
    SnapshotError,
    Violation,
    translating,
)
from agent.protocol.snapshot.files import read_file
from agent.protocol.snapshot.image import copy
from agent.protocol.snapshot.rows import Rejected, Snapshot, parse
from agent.protocol.snapshot.rows import rescue as rescued

__all__ = [
    "Bounds",
    "Busy",
    "Costly",
    "HotJournal",
    "Missing",
    "Rejected",
    "Snapshot",
    "SnapshotError",
    "Violation",
    "read",
    "read_file",
    "rescue",
]

_DEFAULT_BOUNDS = Bounds()
_RESCUED = Bounds(file_bytes=2 * _DEFAULT_BOUNDS.file_bytes)


def read(
    outbox: Path,
    *,
    bounds: Bounds = _DEFAULT_BOUNDS,
    deadline_seconds: float = 0.25,
    thorough: bool = False,
) -> Snapshot:
    """What outbound.db in the folder `outbox` holds now. Blocks for at most about `deadline_seconds` to get at it, and
    as long to read it. A `thorough` look finds damage that reads well, such as the id of a reply that is another
    one now.

    Raises Missing, Busy, Costly, HotJournal, Violation.
    """
    with translating("outbound.db"):
        image = copy(outbox, bounds, Deadline(deadline_seconds))
        # Time spent on waiting for its writer says nothing about the file.
        return parse(image, bounds, Deadline(deadline_seconds), thorough=thorough)


def rescue(outbox: Path, *, deadline_seconds: float = 5.0) -> Snapshot:
    """What can still be read in the folder `outbox`, which nobody writes any more, before it is put aside: a file
    too large, too full or partly damaged is no reason to lose what stands well in it. Where a commit was left half
    done it has no acks: nobody can tell whether they count. Raises Missing, Busy, Violation.
    """
    deadline = Deadline(deadline_seconds)
    with translating("outbound.db"):
        try:
            return rescued(copy(outbox, _RESCUED, deadline), _RESCUED, deadline)
        except (HotJournal, Violation):
            found = rescued(copy(outbox, _RESCUED, deadline, as_it_is=True), _RESCUED, deadline)
            return replace(found, acks=())
