"""Both ends of a mailbox for tests: rows to post, and processes that hold or lose their end of it.

Run as a module (`python -m tests.fakes.mailroom <role> <folder>`) this is one of those processes; it says what it
has reached and goes on when it is told to.
"""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from unittest import mock

from agent.protocol.mailbox import AgentEnd, Draft, HostEnd, agent_end, host_end
from agent.protocol.messages import (
    AckStatus,
    ChatIn,
    ChatOut,
    ContentIn,
    InKind,
    MessageIn,
    Route,
    SystemIn,
    TaskIn,
)
from agent.protocol.workspace import Workspace
from tests.fakes.hostile import Child

ROUTE: Final = Route(channel="terminal", platform_id="room")
OTHER_THREAD: Final = Route(channel="terminal", platform_id="room", thread_id="7")
DONE: Final[AckStatus] = "completed"
_ROOT: Final = Path(__file__).resolve().parents[2]


def make_workspace(root: Path) -> Workspace:
    """The folders of a session, empty."""
    workspace = Workspace.on_host(root)
    for folder in (
        workspace.inbox,
        workspace.bell_dir,
        workspace.outbox,
        workspace.home,
        workspace.work,
    ):
        folder.mkdir(parents=True)
    return workspace


class Rows:
    """Makes messages_in with ids m2, m4, ... and seqs to match."""

    def __init__(self) -> None:
        self._seqs = itertools.count(2, 2)

    def make(
        self,
        content: ContentIn | str,
        *,
        trigger: bool = True,
        route: Route = ROUTE,
        tries: int = 0,
        process_after: int | None = None,
    ) -> MessageIn:
        seq = next(self._seqs)
        if isinstance(content, str):
            content = ChatIn(sender="Ada", text=content)
        return MessageIn(
            id=f"m{seq}",
            seq=seq,
            event_id=f"event:{seq}",
            kind=_KINDS[type(content)],
            created_at=1_700_000_000_000 + seq,
            trigger=trigger,
            route=route,
            content=content,
            tries=tries,
            process_after=process_after,
        )


_KINDS: Final[Mapping[type[ContentIn], InKind]] = {ChatIn: "chat", SystemIn: "system", TaskIn: "task"}


def said(text: str, *, in_reply_to: str | None = None, message_id: str | None = None) -> Draft:
    """A reply to be."""
    if message_id is None:
        return Draft(ChatOut(text=text), "chat", ROUTE, in_reply_to=in_reply_to)
    return Draft(ChatOut(text=text), "chat", ROUTE, in_reply_to=in_reply_to, id=message_id)


@contextmanager
def process(role: Callable[[Workspace], None], workspace: Workspace) -> Iterator[Child]:
    """A process that plays `role` in the workspace, killed at the end of the block."""
    command = [sys.executable, "-m", __name__, role.__name__, str(workspace.outbox.parent)]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as running:
        try:
            yield Child(running)
        finally:
            running.kill()


def agent(workspace: Workspace) -> None:
    """Holds the agent's end until it is told to leave."""
    with closing(AgentEnd(workspace)):
        _say("open")
        _told()


def reader(workspace: Workspace) -> None:
    """Is in the middle of reading inbound.db, which locks it, until it is told to go on."""
    uri = f"{workspace.inbound.as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT * FROM messages_in").fetchall()
        _say("reading")
        _told()
    _say("done")
    _told()


def agent_dies_in_commit(workspace: Workspace) -> None:
    """Is killed when its last turn is half written: replies, acks and continuation."""
    with closing(AgentEnd(workspace)) as end:
        end.finish({"m2": DONE}, [said("first")], turn_id="m2")
        end.stage("continuation:mock", "after the crash")
        drafts = [said(f"{n} " + "x" * 10_000) for n in range(50)]
        with mock.patch.object(agent_end, "transaction", _deadly):
            end.finish({"m4": DONE}, drafts, turn_id="m4")


def host_dies_in_commit(workspace: Workspace) -> None:
    """Is killed when a post is half written."""
    rows = Rows()
    with closing(HostEnd(workspace.inbound)) as end:
        end.post([rows.make("first")])
        with mock.patch.object(host_end, "transaction", _deadly):
            end.post([rows.make("x" * 10_000) for _ in range(50)])


@contextmanager
def _deadly(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    # With next to no cache, pages go into the file before the commit.
    db.execute("PRAGMA cache_size = 1")
    db.execute("BEGIN IMMEDIATE")
    yield db
    os.kill(os.getpid(), signal.SIGKILL)


_ROLES: Final[Mapping[str, Callable[[Workspace], None]]] = {
    role.__name__: role for role in (agent, reader, agent_dies_in_commit, host_dies_in_commit)
}


def _say(line: str) -> None:
    print(line, flush=True)


def _told() -> None:
    sys.stdin.readline()


if __name__ == "__main__":
    _ROLES[sys.argv[1]](Workspace.on_host(Path(sys.argv[2])))
