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
]

_DEFAULT_BOUNDS = Bounds()


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
