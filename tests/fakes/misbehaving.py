"""An agent that attacks the wall from within when a message tells it to: `do:lock_inbound`, `do:ack=ID`.

A provider to open by its class: it runs in the runner's own process and has everything that a runner has.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import closing
from typing import Final

from agent.protocol.messages import ChatOut, MessageOut, Route
from agent.protocol.workspace import Workspace
from agent.providers.base import Activity, AgentQuery, Event, Prompt, ProviderOptions, QueryInput
from agent.providers.mock import MockProvider

PROVIDER: Final = "tests.fakes.misbehaving:Misbehaving"
OUT_OF_LINE: Final = 1_000_001
_DEED: Final = re.compile(r"do:(?P<name>\w+)(?:=(?P<argument>\S+?))?(?=[\s<]|$)")


class Misbehaving(MockProvider):
    """Otherwise it is the mock. The option "times" is how many deeds a session sees in its life."""

    def __init__(self, options: ProviderOptions) -> None:
        extra = dict(options.extra)
        self._times = int(extra.pop("times", 1_000_000))
        super().__init__(ProviderOptions(tools=options.tools, extra=extra))

    def query(self, query: QueryInput) -> AgentQuery:  # type: ignore[override]
        return _Query(super().query(query), query, self._times)


class _Query:
    def __init__(self, inner: AgentQuery, query: QueryInput, times: int) -> None:
        self._inner = inner
        self._session = query.cwd.parent
        self._times = times
        self._first = query.prompt
        self._deaf = False

    @property
    def events(self) -> AsyncIterator[Event]:
        return self._run()

    def push(self, prompt: Prompt) -> None:
        self._misbehave(prompt)
        self._inner.push(prompt)

    def end(self) -> None:
        self._inner.end()

    async def abort(self) -> None:
        if not self._deaf:
            await self._inner.abort()

    async def _run(self) -> AsyncIterator[Event]:
        self._misbehave(self._first)
        while self._deaf:
            yield Activity()
            await asyncio.sleep(0.05)
        async for event in self._inner.events:
            yield event

    def _misbehave(self, prompt: Prompt) -> None:
        for found in _DEED.finditer(prompt.text):
            if found["name"] == "deaf":
                self._deaf = True
            elif self._may():
                DEEDS[found["name"]](Workspace.on_host(self._session), found["argument"] or "")

    def _may(self) -> bool:
        tally = self._session.with_name(f"{self._session.name}.deeds")
        done = tally.stat().st_size if tally.exists() else 0
        tally.write_bytes(b"x" * (done + 1))
        return done < self._times


def send(at: Workspace, route: str) -> None:
    """Writes to `channel/place`."""
    channel, _, place = route.partition("/")
    _insert(at, Route(channel=channel, platform_id=place), seq=_next_seq(at))


def jump(at: Workspace, route: str) -> None:
    """Numbers a message far out of line."""
    channel, _, place = route.partition("/")
    _insert(at, Route(channel=channel, platform_id=place), seq=OUT_OF_LINE)


def ack(at: Workspace, message_ids: str) -> None:
    """Claims to have done these."""
    with closing(sqlite3.connect(at.outbound, isolation_level=None)) as db:
        for message_id in message_ids.split(","):
            db.execute("INSERT OR REPLACE INTO processing_ack VALUES (?, 'completed', 1, 'x')", (message_id,))


def fail_ack(at: Workspace, message_ids: str) -> None:
    """Claims that these cannot be read."""
    with closing(sqlite3.connect(at.outbound, isolation_level=None)) as db:
        for message_id in message_ids.split(","):
            db.execute("INSERT OR REPLACE INTO processing_ack VALUES (?, 'failed', 1, 'x')", (message_id,))


def garbage(at: Workspace, _: str) -> None:
    """Writes noise where outbound.db was."""
    at.outbound.unlink()
    at.outbound.write_bytes(b"garbage" * 1000)


def wal(at: Workspace, _: str) -> None:
    """Turns outbound.db into one that maps a shared file."""
    with closing(sqlite3.connect(at.outbound, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE more (x)")


def symlink(at: Workspace, target: str) -> None:
    """Makes outbound.db a link to another file."""
    at.outbound.unlink()
    at.outbound.symlink_to(target)


def lock_inbound(at: Workspace, _: str) -> None:
    """Keeps the host from ever writing inbound.db."""
    db = sqlite3.connect(at.inbound, isolation_level=None, check_same_thread=False)
    db.execute("BEGIN EXCLUSIVE")
    _KEPT.append(db)


def remove(at: Workspace, _: str) -> None:
    """Deletes the session's whole folder."""
    shutil.rmtree(at.inbox.parent)


def die_in_commit(at: Workspace, _: str) -> None:
    """Is killed with a journal on the disk and half of the pages written."""
    db = sqlite3.connect(at.outbound, isolation_level=None)
    db.execute("PRAGMA cache_size = 2")
    db.execute("BEGIN IMMEDIATE")
    for number in range(500):
        db.execute("INSERT INTO session_state VALUES (?, ?, 1)", (f"key{number}", "x" * 4000))
    assert at.outbound.with_name("outbound.db-journal").stat().st_size > 0
    os.kill(os.getpid(), signal.SIGKILL)


def freeze(at: Workspace, _: str) -> None:
    """Blocks the runner's one thread for good."""
    time.sleep(1_000)


DEEDS: Final[Mapping[str, Callable[[Workspace, str], None]]] = {
    deed.__name__: deed
    for deed in (
        send,
        jump,
        ack,
        fail_ack,
        garbage,
        wal,
        symlink,
        lock_inbound,
        remove,
        die_in_commit,
        freeze,
    )
}
_KEPT: Final[list[sqlite3.Connection]] = []


def _next_seq(at: Workspace) -> int:
    with closing(sqlite3.connect(at.outbound)) as db:
        newest: int = db.execute("SELECT coalesce(max(seq), 99) FROM messages_out").fetchone()[0]
    return newest + 100


def _insert(at: Workspace, route: Route, *, seq: int) -> None:
    row = MessageOut(
        id=f"forged-{seq}", seq=seq, kind="chat", created_at=1, route=route, content=ChatOut(text="forged")
    ).to_row()
    names = ", ".join(f":{name}" for name in row)
    with closing(sqlite3.connect(at.outbound, isolation_level=None)) as db:
        db.execute(f"INSERT INTO messages_out ({', '.join(row)}) VALUES ({names})", row)
