"""Erasing: a conversation with all that it has on the disk, or what its agent remembers of it.

The files go first out of the way, by one rename, and then away: a service that is killed in between finds them at its
next start. What a backup holds goes with the backup.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import stat
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from agent.protocol.clock import Clock
from bot import cards, log
from bot.clearing import Clearing
from bot.containers import Containers
from bot.db import erasure
from bot.db.engine import Database
from bot.db.erasure import Message
from bot.delivery import Delivery
from bot.folder import DAMAGED
from bot.letter_files import LetterFiles
from bot.operations import Operations
from bot.posting import Posting
from bot.session import Session
from bot.sessions import Sessions
from bot.signals import Signal

MEMORY: Final = ("home", "out", DAMAGED)
"""Of a session's folder: what the provider keeps of what was said, and what its agent has answered."""
ARCHIVE: Final = Path("work") / "conversations"
"""Where an agent finds conversations that were compacted."""

OVER: Final = "The conversation was removed."

_log = log.get("roost.erasing")


class Erasing:
    """Each takes a session's id, and may be called again after a crash."""

    name = "erasing"

    def __init__(
        self,
        db: Database,
        sessions: Sessions,
        containers: Containers,
        posting: Posting,
        delivery: Delivery,
        operations: Operations,
        letters: LetterFiles,
        clearing: Clearing,
        *,
        data: Path,
        said: Signal[str],
        clock: Clock,
    ) -> None:
        """`said` is told the sessions for which something is to be delivered."""
        self._db = db
        self._sessions = sessions
        self._containers = containers
        self._posting = posting
        self._delivery = delivery
        self._operations = operations
        self._letters = letters
        self._clearing = clearing
        self._said = said
        self._clock = clock
        self._folder = data / "sessions"
        self._incoming = data / "incoming"
        self._erased = data / "erased"
        self._left = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled: removes what was moved out of the way."""
        self._left.set()
        while True:
            await self._left.wait()
            self._left.clear()
            for tree in await asyncio.to_thread(_trees, self._erased):
                if not await self._clearing.remove(tree):
                    _log.error("what was erased cannot be removed; remove it by hand: %s", tree)

    async def delete(self, session_id: str) -> None:
        """Ends a conversation, and removes it for good. Raises UnknownSession, DatabaseError, BackendError, OSError."""
        await self._operations.stop(session_id)
        await self._posting.settle(session_id)
        await self._delivery.settle(session_id)
        session = await self._sessions.get(session_id)
        async with session.lock:
            await self._sessions.let_go(session)
            await self._move([self._folder / session_id])
            now = self._clock()
            letters, kicked = await self._db.write(partial(_delete, session_id=session_id, now=now))
        for each in kicked:
            self._said(each)
        await self._letters.remove(letters)

    async def forget(self, session_id: str) -> None:
        """Takes from a conversation all that its agent remembers, and all that lies there of what was said; what waits
        for an answer is answered, by one who knows nothing of before. The files that the agent works on stay. Raises
        UnknownSession, DatabaseError, BackendError, MailboxError, OSError."""
        session = await self._sessions.get(session_id)
        async with session.lock:
            await self._containers.end(session)
            await session.put_aside(f"erased-{secrets.token_hex(4)}")
            root = self._folder / session_id
            await self._move([root / name for name in MEMORY])
            await asyncio.to_thread(_move_archive, root / ARCHIVE.parent, self._erased)
            self._left.set()
            # A fresh inbound.db holds what is unfinished, and none of what was said before.
            await self._posting.repeat_model(session)
            await self._sessions.rebuild(session)
        self._posting.kick(session_id)

    async def discard_files(self, messages: Iterable[Message]) -> None:
        """Removes the files that came with these messages. Absent is success."""
        found = [
            path
            for each in messages
            for path in (
                *((self._folder / each.session / "in" / "files" / each.id,) if each.session else ()),
                self._incoming / each.id,
            )
        ]
        await self._move(found)

    async def refresh(self, session_ids: Iterable[str]) -> None:
        """Has inbound.db hold only what bot.db still has to say, where no runner reads it: what was struck there is
        gone from it as well. Where one runs, it goes with the next 200 messages, or with the next start. Raises
        DatabaseError, MailboxError, OSError."""
        for session_id in dict.fromkeys(session_ids):
            await self._delivery.settle(session_id)
            session = await self._sessions.get(session_id)
            async with session.lock:
                if (
                    self._containers.of(session_id) is not None
                    or self._sessions.loaded(session_id) is not session
                ):
                    continue
                # What it has in memory may have been struck in bot.db.
                await self._sessions.let_go(session)
            session = await self._sessions.get(session_id)
            async with session.lock:
                if self._containers.of(session_id) is None and await self._exists(session):
                    await self._sessions.rebuild(session)
            self._posting.kick(session_id)

    async def _exists(self, session: Session) -> bool:
        return await asyncio.to_thread((session.root / "in").is_dir)

    async def _move(self, trees: Sequence[Path]) -> None:
        await asyncio.to_thread(_move, trees, self._erased)
        self._left.set()


def _delete(db: sqlite3.Connection, session_id: str, now: int) -> tuple[list[str], list[str]]:
    """The ids of its dead letters, and the sessions in which the cards of what it had asked for are closed."""
    kicked: list[str] = []
    for approval in erasure.asked_in(db, session_id):
        erasure.strike_cards(db, approval)
        kicked += cards.close(db, f"approval:{approval}", OVER, now=now)
    return erasure.session(db, session_id), kicked


def _move(trees: Sequence[Path], into: Path) -> None:
    """Raises OSError. What is not there is gone already."""
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    for tree in trees:
        try:
            tree.rename(into / f"{tree.name}-{secrets.token_hex(8)}")
        except FileNotFoundError:
            continue


def _move_archive(work: Path, into: Path) -> None:
    """What lies in the agent's own folder may be a link to anywhere: a folder is moved, a link goes, and nothing is
    followed. Raises OSError. What is not there is gone already."""
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_ISDIR(os.stat(ARCHIVE.name, dir_fd=fd, follow_symlinks=False).st_mode):
            os.rename(ARCHIVE.name, into / f"{ARCHIVE.name}-{secrets.token_hex(8)}", src_dir_fd=fd)
        else:
            os.unlink(ARCHIVE.name, dir_fd=fd)
    except FileNotFoundError:
        pass
    finally:
        os.close(fd)


def _trees(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
