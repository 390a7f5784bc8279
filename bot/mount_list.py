"""The list of folders that agents may be given: a file of whoever runs the machine, where no agent can write.

deny = ["*.sqlite"]                 # more names than those that are denied anyway

[[allow]]
path = "/srv/handbook"              # this folder and all below it
writable = false                    # whether an agent that asks for it may write there
accept = ["secrets.py"]             # names below it that are no secrets, whatever they are called

MountRefused                a folder may not be mounted; the text says what to write where
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bot.config_errors import explain

MAX_LIST_BYTES: Final = 256 * 1024
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class MountRefused(Exception):
    """Raised when an agent may not be given a folder. One sentence, with what to write where."""


@dataclass(frozen=True)
class Allowed:
    """A folder that agents may be given, with all below it. `root` is where it really lies."""

    root: Path
    writable: bool
    accept: frozenset[str]


@dataclass(frozen=True)
class AllowList:
    """What the file says. `deny` are names, `trees` are folders that are denied as a whole."""

    file: Path
    allowed: tuple[Allowed, ...]
    deny: tuple[str, ...]
    trees: tuple[Path, ...]

    def rule_for(self, folder: Path) -> Allowed | None:
        """The rule of the nearest folder above, or of this one."""
        above = [each for each in self.allowed if folder.is_relative_to(each.root)]
        return max(above, key=lambda each: len(each.root.parts), default=None)

    def may_write(self, folder: Path) -> bool:
        """Whether the rule says so, and none for a folder inside says otherwise."""
        rule = self.rule_for(folder)
        inside = (each for each in self.allowed if each.root.is_relative_to(folder))
        return rule is not None and rule.writable and all(each.writable for each in inside)


def default_list(environ: Mapping[str, str]) -> Path:
    """Where the list lies unless the configuration says otherwise (XDG Base Directory Specification: a relative
    path in the variable does not count). Raises MountRefused."""
    named = Path(environ.get("XDG_CONFIG_HOME", ""))
    try:
        home = named if named.is_absolute() else Path("~").expanduser() / ".config"
    except RuntimeError as exc:
        raise MountRefused(
            "nobody knows the home folder of this user, where the list of allowed folders lies; "
            "name the list in [mounts] allow_list"
        ) from exc
    return home / "roost" / "mounts.toml"


def read_list(file: Path, *, apart_from: Collection[Path]) -> AllowList:
    """The list in `file`, which must not lie in one of the folders `apart_from`. Raises MountRefused."""
    really = file.resolve()
    near = next((each for each in apart_from if really.is_relative_to(each.resolve())), None)
    if near is not None:
        raise MountRefused(
            f"the list of allowed folders, {file}, lies in {near}; move it out of there "
            "and name its place in [mounts] allow_list"
        )
    said = _checked(file, _text_of(really))
    allowed = tuple(
        Allowed(each.path.resolve(), each.writable, frozenset(each.accept)) for each in said.allow
    )
    for writable in (each.root for each in allowed if each.writable):
        if _passes(file, writable) or _passes(really, writable):
            raise MountRefused(f"{file}: agents may write in {writable}, where this list lies; move the list")
        for each, entry in zip(allowed, said.allow, strict=True):
            # What agents may write they may also replace by a link.
            if _passes(entry.path, writable) and not each.root.is_relative_to(writable):
                raise MountRefused(
                    f"{file}: {entry.path} leads out of {writable}, in which agents may write; "
                    "write down where it leads instead"
                )
    trees = tuple(Path(each) for each in said.deny if each.startswith("/"))
    return AllowList(file, allowed, tuple(each for each in said.deny if not each.startswith("/")), trees)


def _passes(path: Path, folder: Path) -> bool:
    """Whether the way to `path` goes through something in `folder`."""
    return any(parent.resolve().is_relative_to(folder) for parent in path.parents)


def _absolute(value: Path) -> Path:
    try:
        path = value.expanduser()
    except RuntimeError as exc:
        raise ValueError("begins with the home of a user whom this machine does not know") from exc
    if not path.is_absolute() or path == Path("/"):
        raise ValueError("should be the whole path of a folder, from / on, and not / itself")
    return path


class _Allow(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: Annotated[Path, Field(strict=False), AfterValidator(_absolute)]
    writable: bool = False
    accept: list[Annotated[str, Field(min_length=1)]] = []


class _List(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    deny: list[Annotated[str, Field(min_length=1)]] = []
    allow: list[_Allow] = []


def _checked(file: Path, text: str) -> _List:
    try:
        return _List.model_validate(tomllib.loads(text))
    except ValidationError as exc:
        raise MountRefused(explain(exc, _List, file=file, variables={})[0]) from exc
    except ValueError as exc:
        raise MountRefused(f"{file}: is not valid TOML: {exc}") from exc


def _text_of(file: Path) -> str:
    """Raises MountRefused for what others could have written."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as exc:
        raise MountRefused(
            f"no list of allowed folders lies at {file}; make it, and write into it: "
            '[[allow]] and below that path = "/the/folder"'
        ) from exc
    except OSError as exc:
        raise MountRefused(f"{file}: the list of allowed folders cannot be read: {exc.strerror}") from exc
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise MountRefused(f"{file}: the list of allowed folders is no regular file; make it one")
        _guarded(file, found)
        for folder in file.parents:
            _guarded(folder, os.stat(folder))
        content = os.read(fd, MAX_LIST_BYTES + 1)
    finally:
        os.close(fd)
    if len(content) > MAX_LIST_BYTES:
        raise MountRefused(f"{file}: longer than {MAX_LIST_BYTES // 1024} KiB; write fewer folders into it")
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        raise MountRefused(f"{file}: is not text in UTF-8; write it anew") from exc


def _guarded(path: Path, found: os.stat_result) -> None:
    """Whoever may write a folder may put another file into the place of this one, unless its sticky bit is set."""
    if found.st_uid not in (0, os.geteuid()):
        raise MountRefused(
            f"{path} belongs to another user, who could change which folders are allowed; "
            "chown it to root or to the user of the service"
        )
    sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if found.st_mode & _OTHERS_WRITE and not sticky:
        raise MountRefused(
            f"{path} can be written by others, who could change which folders are allowed; chmod go-w it"
        )
