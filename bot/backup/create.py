"""Making a backup: everything here blocks, and belongs on a thread of its own."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.protocol import failpoint, schema
from agent.protocol.snapshot import Busy, HotJournal, Missing, Violation
from bot import version
from bot.backup import layout, names
from bot.backup.databases import Facts, copy_bot, copy_inbound, copy_outbound
from bot.backup.errors import ArchiveRefused, BackupFailed
from bot.backup.layout import Bounds
from bot.backup.manifest import Manifest
from bot.backup.tree import Walk
from bot.backup.writer import ArchiveWriter, Stopped, writing

WORK_PREFIX: Final = ".roost-backup-"
ABANDONED_MS: Final = 24 * 3600 * 1000
"""A work folder as old as this was left by a process that was killed."""
DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
OUTBOX_TRIES: Final = 4
RETRY_SECONDS: Final = 0.5
"""Between the tries: by then its writer is done, or the service has had its agent recover it."""


@dataclass(frozen=True)
class Made:
    """A backup that lies in its place, whole and on the disk."""

    path: Path
    size: int
    manifest: Manifest


def make(data: Path, folder: Path, bounds: Bounds, *, now: int, stop: threading.Event) -> Made:
    """Makes a backup of the data folder in `folder`. Raises BackupFailed, NewerDatabase; then nothing is
    left of it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(folder, now)
        work = Path(tempfile.mkdtemp(prefix=WORK_PREFIX, dir=folder))
        try:
            with writing(work / "archive", bounds, work=work, now=now, stop=stop) as archive:
                manifest = _Making(data, work, archive, bounds, now, stop).run()
            target = names.free(folder, now)
            failpoint.hit("backup-packed")
            (work / "archive").rename(target)
            failpoint.hit("backup-named")
            _sync(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return Made(target, target.stat().st_size, manifest)
    except Stopped as exc:
        raise BackupFailed("The service is leaving; no backup was made.") from exc
    except OSError as exc:
        raise BackupFailed(f"No backup could be made in {folder}: {exc.strerror or exc}.") from exc


@dataclass
class _Making:
    """One backup on its way."""

    data: Path
    work: Path
    archive: ArchiveWriter
    bounds: Bounds
    now: int
    stop: threading.Event
    skipped: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    _held: int = 0

    def run(self) -> Manifest:
        facts = self._bot()
        taken = self._outboxes(facts.sessions)
        self._add(layout.DATABASE, self.work / layout.DATABASE)
        for session_id in taken:
            self._add(layout.outbound(session_id), self._outbox_copy(session_id))
        for session_id in facts.sessions:
            self._inbound(session_id)
        failpoint.hit("backup-databases-copied")
        self._files(facts)
        manifest = Manifest(
            roost=version.VERSION,
            created_at=self.now,
            database=facts.version,
            protocol=schema.VERSION,
            sessions=len(facts.sessions),
            messages=facts.messages,
            unfinished=len(facts.unfinished),
            bytes=self.archive.bytes,
            skipped=dict(self.skipped),
            refused=self.refused,
            sha256=self.archive.sha256,
        )
        self.archive.finish(manifest)
        return manifest

    def _bot(self) -> Facts:
        try:
            return copy_bot(self.data / "bot.db", self.work / layout.DATABASE)
        except (sqlite3.Error, ArchiveRefused) as exc:
            reason, code = str(exc).rstrip("."), getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
            if code & 0xFF not in DAMAGED:
                raise BackupFailed(f"bot.db in {self.data} cannot be copied: {reason}.") from exc
            raise BackupFailed(
                f"bot.db in {self.data} is damaged ({reason}): put back the newest backup with"
                " `roost backup restore latest --yes`."
            ) from exc

    def _add(self, name: str, copy: Path) -> None:
        self.archive.database(name, copy)
        copy.unlink()

    def _outboxes(self, sessions: tuple[str, ...]) -> list[str]:
        """Takes all of them soon after bot.db; one that cannot be read now holds up nobody."""
        waiting, taken = list(sessions), list[str]()
        for attempt in range(OUTBOX_TRIES):
            if attempt and self.stop.wait(RETRY_SECONDS):
                raise Stopped
            waiting = [each for each in waiting if not self._outbox(each, taken)]
            if not waiting:
                break
        return taken

    def _outbox(self, session_id: str, taken: list[str]) -> bool:
        """False when it is worth another try."""
        if self.stop.is_set():
            raise Stopped
        self.refused.pop(session_id, None)
        try:
            image = copy_outbound(self.data / "sessions" / session_id / "out")
        except Missing:
            return True
        except (Busy, HotJournal) as exc:
            self.refused[session_id] = str(exc)
            return False
        except Violation as exc:
            self.refused[session_id] = str(exc)
            return True
        self._held += len(image)
        if not self.archive.room(self._held):
            self.refused[session_id] = "there was no room left for it"
            return True
        self._outbox_copy(session_id).write_bytes(image)
        taken.append(session_id)
        return True

    def _outbox_copy(self, session_id: str) -> Path:
        return self.work / f"{session_id}.out"

    def _inbound(self, session_id: str) -> None:
        source, copy = self.data / layout.inbound(session_id), self.work / "inbound.db"
        if not source.exists():
            return
        try:
            copy_inbound(source, copy)
        except sqlite3.Error:
            self.skipped["inboxes"] += 1
            copy.unlink(missing_ok=True)
        else:
            self._add(layout.inbound(session_id), copy)

    def _files(self, facts: Facts) -> None:
        base = os.open(self.data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            never = self._open_elsewhere(facts)
            # Before the sessions: what is moved into one of them meanwhile is found there.
            incoming = Walk(base, never, self.bounds.members, self.skipped)
            for message_id in facts.unfinished:
                self._trees(incoming, [f"incoming/{message_id}"])
            for letter_id in facts.letters:
                walk = Walk(base, never, self.bounds.session_members, self.skipped)
                self._trees(walk, [f"deadletters/{letter_id}"])
            for session_id in facts.sessions:
                walk = Walk(base, never, self.bounds.session_members, self.skipped)
                self._trees(walk, layout.trees(session_id))
        finally:
            os.close(base)

    def _trees(self, walk: Walk, trees: list[str]) -> None:
        allowed = self.bounds.session_bytes
        for tree in trees:
            with closing(walk.through(tree)) as sightings:
                for sighted in sightings:
                    before = self.archive.bytes
                    if reason := self.archive.file(sighted, allowed):
                        self.skipped[reason] += 1
                    allowed -= self.archive.bytes - before

    def _open_elsewhere(self, facts: Facts) -> set[tuple[int, int]]:
        """The databases that SQLite has open in this process, or may: a session may have them by other names."""
        paths = [self.data / f"bot.db{suffix}" for suffix in ("", "-wal", "-shm")]
        paths += [self.data / layout.inbound(session_id) for session_id in facts.sessions]
        found = [os.stat(path) for path in paths if path.exists()]
        return {(each.st_dev, each.st_ino) for each in found}


def _sweep(folder: Path, now: int) -> None:
    """Removes what a backup left that was killed."""
    for left in folder.glob(f"{WORK_PREFIX}*"):
        if now - left.lstat().st_mtime * 1000 > ABANDONED_MS:
            shutil.rmtree(left, ignore_errors=True)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
