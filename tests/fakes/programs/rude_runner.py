"""A runner that is none: `rude_runner.py MANNER`, started in place of a runner and told what a runner is told."""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Final

from agent.protocol import bell
from agent.protocol.mailbox import AgentEnd, Draft
from agent.protocol.messages import ChatOut, MessageIn, MessageOut
from agent.protocol.settings import AgentSettings
from agent.protocol.workspace import Workspace

_SHARED: Final = (0x40000002, 510)
_TICK_SECONDS: Final = 0.02


def idles(at: Workspace) -> None:
    """Shows life, takes nothing and never ends."""
    with closing(AgentEnd(at)) as end:
        while True:
            end.beat()
            time.sleep(_TICK_SECONDS)


def leaves(_: Workspace) -> None:
    """Ends at once, as if everything were done."""


def rings(at: Workspace) -> None:
    """Rings as fast as it can."""
    with closing(AgentEnd(at)), socket.socket(socket.AF_UNIX) as line:
        line.connect(str(at.bell))
        frames = bell.encode(bell.Changed()) * 100
        while True:
            line.sendall(frames)


def nags(at: Workspace) -> None:
    """Rings all the time, but not faster than is allowed."""
    with closing(AgentEnd(at)), socket.socket(socket.AF_UNIX) as line:
        line.connect(str(at.bell))
        while True:
            line.sendall(bell.encode(bell.Changed()))
            time.sleep(0.0025)


def locks(at: Workspace) -> None:
    """Takes SQLite's shared lock on inbound.db, and keeps it."""
    with at.inbound.open("rb") as inbound:
        fcntl.lockf(inbound, fcntl.LOCK_SH, _SHARED[1], _SHARED[0])
        (at.outbox / "locked").touch()
        time.sleep(1_000)


def floods(at: Workspace) -> None:
    """Writes ten thousand replies in one commit, and never acknowledges anything."""
    with closing(AgentEnd(at)) as end:
        home = end.home()
        assert home is not None
        end.finish({}, [Draft(ChatOut(text="spam"), "chat", home) for _ in range(10_000)], turn_id="spam")
        time.sleep(1_000)


def grows(at: Workspace) -> None:
    """Writes without end."""
    AgentEnd(at).close()
    with suppress(sqlite3.Error), sqlite3.connect(at.outbound, isolation_level=None) as db:
        for number in range(10_000):
            db.execute("INSERT INTO session_state VALUES (?, ?, 1)", (f"key{number}", "x" * 1_000_000))
    time.sleep(1_000)


def scribbles(at: Workspace) -> None:
    """Fills its file with other nonsense each time it rings."""
    with closing(AgentEnd(at)), socket.socket(socket.AF_UNIX) as line:
        line.connect(str(at.bell))
        with closing(sqlite3.connect(at.outbound, isolation_level=None)) as db:
            for look in itertools.count():
                rows = [(f"{look}-{number}", "bogus", 1, None) for number in range(50)]
                db.execute("BEGIN IMMEDIATE")
                db.execute("DELETE FROM processing_ack")
                db.executemany("INSERT INTO processing_ack VALUES (?, ?, ?, ?)", rows)
                db.execute("COMMIT")
                line.sendall(bell.encode(bell.Changed()))
                time.sleep(_TICK_SECONDS)


def chatters(at: Workspace) -> None:
    """Sends reply after reply and prunes each as soon as there is another."""
    with closing(AgentEnd(at)) as end, socket.socket(socket.AF_UNIX) as line:
        home = end.home()
        assert home is not None
        line.connect(str(at.bell))
        row = MessageOut(
            id="x", seq=1, kind="chat", created_at=1, route=home, content=ChatOut(text=".")
        ).to_row()
        names = ", ".join(f":{name}" for name in row)
        with closing(sqlite3.connect(at.outbound, isolation_level=None)) as db:
            for first in itertools.count(1, 40):
                db.execute("BEGIN IMMEDIATE")
                db.execute("DELETE FROM messages_out")
                rows = [{**row, "id": f"chat-{seq}", "seq": seq} for seq in range(first, first + 40, 2)]
                db.executemany(f"INSERT INTO messages_out ({', '.join(row)}) VALUES ({names})", rows)
                db.execute("COMMIT")
                line.sendall(bell.encode(bell.Changed()))
                end.beat()
                time.sleep(5 * _TICK_SECONDS)


def far_ahead(at: Workspace) -> None:
    """Has done everything, and asks that its answer be sent in some hundred thousand years."""
    with closing(AgentEnd(at)) as end:
        home, inbox = end.home(), end.look()
        assert home is not None and inbox is not None
        row = MessageOut(
            id="late", seq=99, kind="chat", created_at=1, deliver_after=2**53, turn_id="t", route=home,
            content=ChatOut(text="later"),
        ).to_row()  # fmt: skip
        names = ", ".join(f":{name}" for name in row)
        with closing(sqlite3.connect(at.outbound)) as db, db:
            db.execute(f"INSERT INTO messages_out ({', '.join(row)}) VALUES ({names})", row)
            acks = [(message.id, "completed", 1, "t") for message in inbox.messages]
            db.executemany("INSERT INTO processing_ack VALUES (?, ?, ?, ?)", acks)


def lies(at: Workspace) -> None:
    """Acknowledges everything, to and fro, whether it is there or not."""
    with closing(AgentEnd(at)) as end:
        inbox = end.look()
        known: list[MessageIn] = [] if inbox is None else list(inbox.messages)
        ids = [message.id for message in known]
        for status in ("completed", "failed", "processing", "completed"):
            end.finish(dict.fromkeys([*ids, "unknown", "x" * 200], status), turn_id="lie")
        time.sleep(1_000)


def forks(at: Workspace) -> None:
    """Leaves a child that has the session's lock, and gets away."""
    AgentEnd(at)
    if os.fork() == 0:
        os.setsid()
        (at.outbox / "child").write_text(str(os.getpid()))
        time.sleep(1_000)


MANNERS: Final[Mapping[str, Callable[[Workspace], None]]] = {
    manner.__name__: manner
    for manner in (
        idles,
        leaves,
        rings,
        nags,
        locks,
        floods,
        grows,
        scribbles,
        chatters,
        far_ahead,
        lies,
        forks,
    )
}

if __name__ == "__main__":
    MANNERS[sys.argv[1]](AgentSettings.from_env(os.environ).workspace)
