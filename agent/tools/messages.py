"""Writing to people before the answer is done."""

from __future__ import annotations

import asyncio
import errno
import mimetypes
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from agent.protocol import failpoint
from agent.protocol.mailbox import OutboxCrowded
from agent.protocol.messages import Attachment, ChatOut, Text
from agent.tools.base import Desk, Parameters, Refused, To, Tool, destination

MAX_FILE_BYTES: Final = 25 * 1024 * 1024
MAX_NAME_BYTES: Final = 200
_CHUNK_BYTES: Final = 1024 * 1024


class SendMessage(Parameters):
    """Arguments of send_message."""

    text: Annotated[Text, Field(min_length=1)]
    to: To = None


class SendFile(Parameters):
    """Arguments of send_file."""

    path: Annotated[str, Field(min_length=1, description="Relative to your working directory, or absolute")]
    text: Annotated[Text, Field(description="What to say with it")] = ""
    filename: Annotated[str | None, Field(description="What to call it; its own name otherwise")] = None
    to: To = None


def send_message(desk: Desk) -> Tool[SendMessage]:
    """Sends a text at once."""

    async def run(given: SendMessage) -> str:
        route = destination(desk, given.to)
        seq = desk.send(ChatOut(text=given.text), kind="chat", route=route)
        return f"Sent as message #{seq}."

    return Tool(
        "send_message",
        "Send a message now, while you still work, or to a destination. Your answer itself needs no tool.",
        SendMessage,
        run,
    )


def send_file(desk: Desk) -> Tool[SendFile]:
    """Sends a copy of a file, as it is now."""

    async def run(given: SendFile) -> str:
        route = destination(desk, given.to)
        source = desk.workspace.work / given.path
        name = safe_name(given.filename or source.name)
        message_id = desk.new_id()
        folder = desk.workspace.sent(message_id)
        # A disk's sync must not hold up the turn's events.
        size = await asyncio.to_thread(_copy, source, folder, name)
        failpoint.hit("agent-file-copied")
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        file = Attachment(name=name, media_type=media_type, size=size, path=name)
        content = ChatOut(text=given.text, attachments=[file])
        try:
            seq = desk.send(content, kind="chat", route=route, message_id=message_id)
        except OutboxCrowded:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        return f"Sent {name} ({size} bytes) as message #{seq}."

    return Tool(
        "send_file",
        f"Send a file of at most {MAX_FILE_BYTES // 1024**2} MiB; people cannot see your files otherwise.",
        SendFile,
        run,
    )


def safe_name(name: str) -> str:
    """A plain file name that any file system and platform takes: at most MAX_NAME_BYTES, the suffix kept."""
    plain = "".join("_" if c in '/\\:*?"<>|' or not c.isprintable() else c for c in name).strip(" .")
    stem, suffix = os.path.splitext(plain)
    if len(suffix.encode()) > MAX_NAME_BYTES // 2:
        stem, suffix = plain, ""
    room = MAX_NAME_BYTES - len(suffix.encode())
    return (stem.encode()[:room].decode(errors="ignore") + suffix) or "file"


def _copy(source: Path, folder: Path, name: str) -> int:
    """Copies `source` to `folder`/`name` durably, for so is the row that will name it. Returns its size in
    bytes. Raises Refused."""
    try:
        with _opened(source) as reading:
            folder.mkdir(parents=True)
            try:
                size = _write(reading, folder / name)
                for place in (folder, folder.parent, folder.parent.parent):
                    _sync_folder(place)
            except BaseException:
                shutil.rmtree(folder)
                raise
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise Refused(f"{source} cannot be sent: {reason}.") from exc
    return size


@contextmanager
def _opened(source: Path) -> Iterator[int]:
    """A descriptor of a regular file; without O_NONBLOCK, opening a FIFO would wait for ever."""
    fd = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        yield fd
    finally:
        os.close(fd)


def _write(reading: int, target: Path) -> int:
    size = 0
    with target.open("xb") as writing:
        # Counted as it is read: the file may still be growing.
        while chunk := os.read(reading, _CHUNK_BYTES):
            size += len(chunk)
            if size > MAX_FILE_BYTES:
                raise OSError(errno.EFBIG, f"it is larger than {MAX_FILE_BYTES // 1024**2} MiB")
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    return size


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
