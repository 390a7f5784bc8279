"""What lies where in a backup: the same as in the data folder, and nothing else.

bot.db                                    the truth
sessions/<id>/in/inbound.db               a projection of it
sessions/<id>/out/outbound.db             what the agent wrote, validated
sessions/<id>/{in/files,out/files,home,work}/...
incoming/<message id>/...                 files of accepted messages on their way into a session
deadletters/<letter id>/<number>          files of replies that could not be delivered
manifest.json                             the last one: what should be there
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from bot.backup.errors import ArchiveRefused

DATABASE: Final = "bot.db"
MANIFEST: Final = "manifest.json"
AGENTS: Final = "agents"
"""The folder with a folder for each agent. Like the configuration it is the operator's, and in no backup."""
MAX_MANIFEST_BYTES: Final = 128 * 2**20
MAX_NAME_BYTES: Final = 3000
"""A path has at most 4096 with the folder that it is restored into."""
MAX_DEPTH: Final = 40

MAX_MTIME: Final = 2**33 - 1
"""The year 2242, in seconds: the latest that every tar and every file system holds."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,3}")
_AGENTS: Final = frozenset({"out", "home", "work"})


@dataclass(frozen=True)
class Bounds:
    """How much a backup may hold, in bytes and in members: what is made keeps to it, what is read must."""

    file_bytes: int
    session_bytes: int
    total_bytes: int
    session_members: int = 50_000
    members: int = 300_000
    names_bytes: int = 32 * 2**20


def mtime(seconds: float) -> int:
    """When a file was changed, as far as that can be told to every file system. A container can claim any time."""
    if 0 <= seconds <= MAX_MTIME:
        return int(seconds)
    return MAX_MTIME if seconds > MAX_MTIME else 0


def trees(session_id: str) -> list[str]:
    """The folders of a session whose files are kept."""
    return [f"sessions/{session_id}/{tree}" for tree in ("in/files", "out/files", "home", "work")]


def inbound(session_id: str) -> str:
    """Where a session's inbound.db lies."""
    return f"sessions/{session_id}/in/inbound.db"


def outbound(session_id: str) -> str:
    """Where a session's outbound.db lies."""
    return f"sessions/{session_id}/out/outbound.db"


def is_id(text: object) -> bool:
    """Whether this can be the id of a session."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def checked(name: str, *, folder: bool) -> tuple[str, ...]:
    """The steps of a member's name, if it may be in a backup. Raises ArchiveRefused."""
    parts = tuple(name.split("/"))
    if len(os.fsencode(name)) > MAX_NAME_BYTES or any(_escapes(part) for part in parts):
        raise ArchiveRefused(f"it holds {shown(name)}, which is not a plain path.")
    match parts:
        case ("bot.db",) | ("manifest.json",) if not folder:
            return parts
        case ("incoming", message_id, _, *_) if is_id(message_id):
            return parts
        case ("deadletters", letter_id, number) if (
            is_id(letter_id) and _NUMBER.fullmatch(number) and not folder
        ):
            return parts
        case ("sessions", session_id, *rest) if is_id(session_id) and _fits(rest, folder=folder):
            return parts
        case _:
            raise ArchiveRefused(f"it holds {shown(name)}, which does not belong in a backup.")


def is_database(parts: tuple[str, ...]) -> bool:
    """Whether it is one of the files that a backup is about, and no limit for files applies."""
    return parts == (DATABASE,) or (len(parts) == 4 and parts[3] in ("inbound.db", "outbound.db"))


def is_agents(parts: tuple[str, ...]) -> bool:
    """Whether the container writes there."""
    return len(parts) > 2 and parts[0] == "sessions" and parts[2] in _AGENTS


def mode(parts: tuple[str, ...], *, folder: bool, executable: bool = False) -> int:
    """How it is restored. Whoever runs in a container is another user than the service, so that what is its
    own is open to everybody within the session's folder, which is the service's alone."""
    if parts[0] not in ("sessions", "incoming") or len(parts) < (3 if parts[0] == "sessions" else 2):
        return 0o700 if folder else 0o600
    if is_agents(parts):
        return 0o777 if folder or executable else 0o666
    return 0o755 if folder else 0o644


def key(name: str) -> str:
    """A name as the manifest has it: text, whatever bytes it is, and never the same for two names."""
    return quote(name, safe="/ ", errors="surrogateescape")


def shown(name: str) -> str:
    """A name of unknown origin, fit for a sentence."""
    return repr("".join(char if char.isprintable() else "?" for char in name[:200]))


def _escapes(part: str) -> bool:
    return part in ("", ".", "..") or "\0" in part or len(os.fsencode(part)) > 255


def _fits(rest: list[str], *, folder: bool) -> bool:
    match rest:
        case ["in", "inbound.db"] | ["out", "outbound.db"]:
            return not folder
        case ["in" | "out", "files", _, *_] | ["home" | "work", _, *_]:
            return True
        case _:
            return False
