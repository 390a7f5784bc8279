"""A session's folder and the inbound.db in it: the work on files, done on the mail executor."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from agent.protocol import failpoint
from agent.protocol.mailbox import HostEnd, MailboxGone, StatusChange
from agent.protocol.messages import (
    ChatIn,
    Destination,
    MessageIn,
    Note,
    Receipt,
    Route,
    Schedule,
    SystemIn,
    is_new,
)
from agent.protocol.workspace import Workspace

FOLDER_MODES: Final = {
    "in": 0o755,
    "in/files": 0o755,
    "bell": 0o711,
    "out": 0o777,
    "home": 0o777,
    "work": 0o777,
}
"""Within the session's own folder, which is 0700: the container's user is not the service's."""
MAX_TOLD: Final = 1_000
"""So much of what became of replies waits for the next post; beyond that there is one for its sake."""
AGENTS_OWN: Final = ("out", "home", "work")
ROOM_BYTES: Final = 256 * 1024
"""With less than this left on the disk an agent cannot commit an answer of any length."""
DAMAGED: Final = "damaged"
DAMAGED_KEPT: Final = 3
"""How many damaged outboxes are kept for whoever wants to look; a hostile agent can make many."""


@dataclass
class Outbox:
    """What waits to be written into inbound.db with the next post."""

    messages: list[MessageIn] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    changes: list[StatusChange] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    schedules: list[Schedule] | None = None
    """All that there are; None: inbound.db has them."""

    def __bool__(self) -> bool:
        lists = (self.messages, self.receipts, self.changes, self.forgotten)
        return any(lists) or self.schedules is not None

    @property
    def is_long(self) -> bool:
        """Whether it should be written soon, though nothing in it asks for that: an agent can have it grow."""
        return len(self.receipts) + len(self.forgotten) > MAX_TOLD

    def forget(self, out_ids: Collection[str]) -> None:
        """The receipts of these are not needed any more; what was not written yet need not be."""
        unwritten = {receipt.message_out_id for receipt in self.receipts if receipt.message_out_id in out_ids}
        if unwritten:
            self.receipts = [each for each in self.receipts if each.message_out_id not in unwritten]
        self.forgotten += [out_id for out_id in out_ids if out_id not in unwritten]

    def split(self, *, outdated: bool) -> tuple[Outbox, Outbox]:
        """What a runner is shown that is to be replaced, and the rest. A note that asks for a turn waits: it may tell
        of what only the next runner has. So does what an `outdated` one may not know to read; and what stands behind a
        chat that waits, waits, too: they keep their order."""
        old: list[MessageIn] = []
        new: list[MessageIn] = []
        held = False
        for message in self.messages:
            unknown = outdated and is_new(message)
            held = held or (unknown and message.kind == "chat")
            (new if held or unknown or _is_word(message) else old).append(message)
        return replace(self, messages=old), Outbox(messages=new)

    def before(self, later: Outbox) -> Outbox:
        """Both, this one first."""
        return Outbox(
            self.messages + later.messages,
            self.receipts + later.receipts,
            self.changes + later.changes,
            self.forgotten + later.forgotten,
            self.schedules if later.schedules is None else later.schedules,
        )


def _is_word(message: MessageIn) -> bool:
    content = message.content
    return message.trigger and isinstance(content, SystemIn) and isinstance(content.system, Note)


class Folder:
    """The folder at `root`. Its calls are synchronous, and one at a time."""

    def __init__(
        self, root: Path, incoming: Path, home: Route, destinations: Callable[[], Sequence[Destination]]
    ) -> None:
        self.root = root
        self.workspace = Workspace.on_host(root)
        self._incoming = incoming
        self._home = home
        self._told: tuple[Route, list[Destination]] | None = None
        """What inbound.db has of where the session may write."""
        self._destinations = destinations
        self._end: HostEnd | None = None
        self._folders = [os.fspath(root / name) for name in FOLDER_MODES]

    @property
    def is_open(self) -> bool:
        """Whether inbound.db is open."""
        return self._end is not None

    def exists(self) -> bool:
        """Whether all of it is there."""
        return all(map(os.path.isdir, self._folders))

    def lost(self) -> bool:
        """Whether anything of the agent's was taken away."""
        return not all((self.root / name).is_dir() for name in AGENTS_OWN)

    def is_full(self) -> bool:
        """Whether there is no room for what the agent has to write. Raises OSError."""
        found = os.statvfs(self.workspace.outbox)
        return found.f_bavail * found.f_frsize < ROOM_BYTES

    def open(self, unfinished: Iterable[MessageIn]) -> set[str]:
        """Opens inbound.db, rolls back what a killed service left half done, makes sure that it is whole, and
        says in it what has become of the messages since. Returns the message_outs that it has receipts of.
        Raises MailboxError, OSError."""
        self.close()
        if not self.exists() or not self.workspace.inbound.exists():
            raise MailboxGone("inbound.db or a folder of the session is gone")
        end = HostEnd(self.workspace.inbound)
        try:
            known = {message.id: message for message in unfinished}
            end.check(known)
            self._address(end)
            # A killed service may have decided upon a message in bot.db and not have said so here.
            changes = [StatusChange(message_id, "completed") for message_id in end.pending() - known.keys()]
            changes += [
                StatusChange(message.id, "pending", tries=message.tries, process_after=message.process_after)
                for message in known.values()
                if message.tries
            ]
            end.post(changes=changes)
            receipts = end.receipts()
        except BaseException:
            end.close()
            raise
        self._end = end
        return receipts

    def rebuild(
        self, messages: Sequence[MessageIn], receipts: Sequence[Receipt], schedules: Sequence[Schedule]
    ) -> set[str]:
        """Makes the folder, and a fresh inbound.db in place of whatever lies there. Returns the message_outs
        that it has receipts of. Raises MailboxError, OSError."""
        self.close()
        for name, mode in FOLDER_MODES.items():
            _make(self.root / name, mode)
        self.root.chmod(0o700)
        for message in messages:
            self._take_files(message)
        told = self._home, list(self._destinations())
        self._end = HostEnd.rebuild(
            self.workspace.inbound,
            messages=messages,
            receipts=receipts,
            home=told[0],
            destinations=told[1],
            schedules=schedules,
        )
        self._told = told
        return self._end.receipts()

    def move_in(self, home: Route) -> None:
        """Where replies go from now on; inbound.db says so before the next message is in it."""
        self._home = home

    @property
    def is_addressed(self) -> bool:
        """Whether inbound.db says where the session may write now."""
        return self._told == (self._home, list(self._destinations()))

    def _address(self, end: HostEnd) -> None:
        """Raises MailboxError."""
        told = self._home, list(self._destinations())
        end.address(*told)
        self._told = told

    def post(self, batch: Outbox) -> None:
        """Writes the batch, its files put in place first. Raises MailboxError, OSError."""
        if self._end is None or not self.exists():
            raise MailboxGone("the folder of the session is gone")
        if not self.is_addressed:
            self._address(self._end)
        for message in batch.messages:
            self._take_files(message)
        self._end.post(
            batch.messages,
            receipts=batch.receipts,
            changes=batch.changes,
            forgotten=batch.forgotten,
            schedules=batch.schedules,
        )
        failpoint.hit("inbound-committed")

    def discard(self, message_ids: Iterable[str]) -> None:
        """Removes the files of messages that nobody will ask for. Absent is success."""
        for message_id in message_ids:
            for folder in (self._incoming / message_id, self.workspace.received(message_id)):
                shutil.rmtree(folder, ignore_errors=True)

    def put_aside(self, name: str) -> None:
        """Moves out/ away and makes an empty one. Raises OSError."""
        kept = self.root / DAMAGED
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.path.lexists(self.workspace.outbox):
            self.workspace.outbox.rename(kept / name)
        failpoint.hit("outbox-moved")
        _make(self.workspace.outbox, FOLDER_MODES["out"])

    def too_old(self) -> list[Path]:
        """Those of what was put aside that are kept no longer."""
        try:
            return sorted((self.root / DAMAGED).iterdir())[:-DAMAGED_KEPT]
        except OSError:
            return []

    def close(self) -> None:
        """Closes inbound.db. Twice is fine."""
        if self._end is not None:
            self._end.close()
            self._end = None

    def _take_files(self, message: MessageIn) -> None:
        if not isinstance(message.content, ChatIn) or not message.content.attachments:
            return
        staged = self._incoming / message.id
        if staged.is_dir() and not self.workspace.received(message.id).exists():
            staged.rename(self.workspace.received(message.id))
            failpoint.hit("files-in-place")


def _make(folder: Path, mode: int) -> None:
    """Makes sure of a folder of that mode, in place of a link that leads anywhere else. Raises OSError."""
    if folder.is_symlink():
        folder.unlink()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # A descriptor that needs no permission takes no fchmod.
        os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(fd)
