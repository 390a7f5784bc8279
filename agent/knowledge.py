"""What an agent is given to read besides its messages: its own instructions, its skills, and the notes that it keeps.

The agent folder is the operator's; the workspace is the agent's, who may put there what it likes. So nothing of this is
opened that could block, nothing is read without a bound, and what cannot be read is said in the log and left out.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

INSTRUCTIONS: Final = "INSTRUCTIONS.md"
SKILLS: Final = "skills"
SKILL: Final = "SKILL.md"
NOTES: Final = "MEMORY.md"
MAX_INSTRUCTIONS_BYTES: Final = 256 * 1024
MAX_NOTES_BYTES: Final = 64 * 1024
MAX_FRONT_MATTER_BYTES: Final = 16 * 1024
MAX_SKILLS: Final = 100
MAX_ENTRIES: Final = 1_000
"""How many entries of a folder of skills are looked at."""
MAX_NAME_CHARS: Final = 64
MAX_DESCRIPTION_CHARS: Final = 1_024
READ_SECONDS: Final = 5.0
"""How long a disk may take; then the query begins without."""

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_FIELD: Final = re.compile(r"([A-Za-z][\w-]*)[ \t]*:(?:[ \t]+(.*))?")
_BLOCK: Final = re.compile(r"[|>][0-9+-]*")

_log = logging.getLogger("roost.knowledge")


@dataclass(frozen=True)
class Skill:
    """Written directions for a kind of task, at `path`; `description` says for which."""

    name: str
    description: str
    path: Path


@dataclass(frozen=True)
class Notes:
    """What the agent has written down for itself at `path`; `cut` says that there is more of it."""

    text: str
    path: Path
    cut: bool = False


@dataclass(frozen=True)
class Knowledge:
    """All of it, as it was when a query began."""

    instructions: str | None = None
    skills: tuple[Skill, ...] = ()
    notes: Notes | None = None


async def gather(folder: Path | None, work: Path, *, notes: bool) -> Knowledge:
    """What lies in the agent's folder, and, where they are asked for, the notes in its workspace."""
    reading = asyncio.to_thread(_gather, folder, work, notes=notes)
    try:
        return await asyncio.wait_for(reading, READ_SECONDS)
    except TimeoutError:
        _log.error("%s and %s could not be read in %.0f s; going on without", folder, work, READ_SECONDS)
        return Knowledge()


def _gather(folder: Path | None, work: Path, *, notes: bool) -> Knowledge:
    return Knowledge(
        instructions=None if folder is None else read_instructions(folder),
        skills=() if folder is None else read_skills(folder),
        notes=read_notes(work) if notes else None,
    )


def read_instructions(folder: Path) -> str | None:
    """What the agent is told by its folder; half of it might say the opposite, so it is all or nothing."""
    path = folder / INSTRUCTIONS
    data = _beginning(path, MAX_INSTRUCTIONS_BYTES)
    if data is None:
        return None
    if len(data) > MAX_INSTRUCTIONS_BYTES:
        _log.error("%s has more than %d bytes; going on without", path, MAX_INSTRUCTIONS_BYTES)
        return None
    return _text(data)


def read_skills(folder: Path) -> tuple[Skill, ...]:
    """The skills in the agent's folder, by the names of their own folders."""
    found = list(islice(_skills(folder / SKILLS), MAX_SKILLS + 1))
    if len(found) > MAX_SKILLS:
        _log.error("there are more than %d skills in %s; the others are left out", MAX_SKILLS, folder)
    return tuple(found[:MAX_SKILLS])


def read_notes(work: Path) -> Notes | None:
    """The beginning of what the agent has noted; None where it has noted nothing."""
    path = work / NOTES
    data = _beginning(path, MAX_NOTES_BYTES, follow=False)
    text = "" if data is None else _text(data[:MAX_NOTES_BYTES])
    return Notes(text, path, cut=len(data or b"") > MAX_NOTES_BYTES) if text.strip() else None


def front_matter(text: str) -> dict[str, str]:
    """The fields at the head of a document, between two lines of dashes: as much of YAML as skills use, and
    whatever is no field is passed over."""
    lines = iter(text.splitlines())
    if next(lines, "").strip() != "---":
        return {}
    found: dict[str, str] = {}
    name: str | None = None
    for line in lines:
        if line.rstrip() in ("---", "..."):
            break
        if name is not None and line[:1].isspace():
            found[name] = f"{found[name]} {line.strip()}".strip()
            continue
        field = _FIELD.fullmatch(line.rstrip())
        name = field[1].lower() if field else None
        if field and name is not None:
            value = (field[2] or "").strip()
            found[name] = "" if _BLOCK.fullmatch(value) else _unquoted(value)
    return found


def _skills(folder: Path) -> Iterator[Skill]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in islice(entries, MAX_ENTRIES))
    except FileNotFoundError:
        return
    except OSError as exc:
        _log.error("%s cannot be read (%s); going on without skills", folder, exc.strerror)
        return
    for name in names:
        path = folder / name / SKILL
        data = None if name.startswith(".") else _beginning(path, MAX_FRONT_MATTER_BYTES)
        if data is not None:
            fields = front_matter(_text(data))
            called = fields.get("name") or name
            described = fields.get("description", "")
            yield Skill(called[:MAX_NAME_CHARS], described[:MAX_DESCRIPTION_CHARS], path)


def _beginning(path: Path, max_bytes: int, *, follow: bool = True) -> bytes | None:
    """The first bytes of a regular file, one more than `max_bytes` where there are more; None where there is no
    such file, or none that can be read, which is logged."""
    try:
        fd = os.open(path, _FLAGS if follow else _FLAGS | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        _log.error("%s cannot be read (%s); going on without", path, exc.strerror)
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            _log.error("%s is no regular file; going on without", path)
            return None
        return _bytes(fd, max_bytes + 1)
    except OSError as exc:
        _log.error("%s cannot be read (%s); going on without", path, exc.strerror)
        return None
    finally:
        os.close(fd)


def _bytes(fd: int, count: int) -> bytes:
    data = bytearray()
    while len(data) < count and (more := os.read(fd, count - len(data))):
        data += more
    return bytes(data)


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig", "replace")


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value
