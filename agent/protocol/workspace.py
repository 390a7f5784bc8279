"""Where a session's files lie, on either side of the mount.

host: sessions/<session>/    container         who writes
  in/    inbound.db, files/  /session/in       the host (mounted read-only)
  bell/  bell.sock           /session/bell     the host (mounted read-only; connecting works)
         gateway.sock
  out/   outbound.db, lock,  /session/out      the container
         heartbeat, files/
  home/                      $HOME             the container
  work/                      /workspace        the container
agents/<agent>/              /agent            the operator (mounted read-only)
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

AGENT_FOLDER: Final = Path("/agent")
"""Where a container finds the folder of its agent, which all sessions of that agent share."""
MAX_SOCKET_PATH_BYTES: Final = 107
"""sun_path of unix(7) holds 108 bytes, one of them the final NUL."""


@dataclass(frozen=True)
class Workspace:
    """The five folders of one session, as the process that holds this object sees them."""

    inbox: Path
    bell_dir: Path
    outbox: Path
    home: Path
    work: Path

    @classmethod
    def on_host(cls, root: Path) -> Workspace:
        """The folders below a session's own folder."""
        return cls(root / "in", root / "bell", root / "out", root / "home", root / "work")

    @classmethod
    def in_container(cls) -> Workspace:
        """The places at which a container finds them mounted."""
        session = Path("/session")
        return cls(session / "in", session / "bell", session / "out", Path("/home/agent"), Path("/workspace"))

    @cached_property
    def inbound(self) -> Path:
        """Written by the host only."""
        return self.inbox / "inbound.db"

    @cached_property
    def outbound(self) -> Path:
        """Written by the container only; the host reads it through `snapshot` and never opens it in place."""
        return self.outbox / "outbound.db"

    @cached_property
    def lock(self) -> Path:
        """Held by the one living runner of the session."""
        return self.outbox / "lock"

    @cached_property
    def heartbeat(self) -> Path:
        """Its mtime says when the agent last did anything."""
        return self.outbox / "heartbeat"

    @cached_property
    def bell(self) -> Path:
        """The host's socket for this session."""
        return self.bell_dir / "bell.sock"

    def received(self, message_id: str) -> Path:
        """The files that came with a message_in."""
        return self.inbox / "files" / message_id

    def sent(self, message_id: str) -> Path:
        """The files that go with a message_out. On the host: hostile, see `snapshot.read_file`."""
        return self.sent_files / message_id

    @cached_property
    def gateway(self) -> Path:
        """The host's socket for what this session may reach outside."""
        return self.bell_dir / "gateway.sock"

    @property
    def sent_files(self) -> Path:
        """One folder for each message_out that has files."""
        return self.outbox / "files"


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address for `path` that fits a unix socket, however long the path is.

    A long one is reached through the folder's descriptor under /proc/self/fd; it is valid within the block.
    """
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
        yield str(path)
        return
    fd = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)


def listening_socket(path: Path, *, backlog: int) -> socket.socket:
    """A unix socket bound anew at `path`, 0666 within its 0711 folder, that does not block. Raises OSError."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        with socket_address(path) as address:
            listener.bind(address)
            # The container connects as another user; the folder around it is the wall.
            os.chmod(address, 0o666)  # noqa: S103
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener
