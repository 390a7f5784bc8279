"""Where a secret is kept: a file that may change at any time, or a variable of the service's environment."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bot import log
from bot.vault.base import VaultError

MAX_SECRET_BYTES: Final = 16 * 1024
KEPT_SECONDS: Final = 10.0
"""How long the last secret is used while its file is missing or empty: somebody may be writing it anew."""
SETTLED_NS: Final = 2_000_000_000
"""A file that was changed less than this before it was read may have changed once more within the same tick of its
file system's clock, and so is read again."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

_log = log.get("roost.vault")


def cleaned(text: str, source: str) -> str:
    """The secret in `text`, which comes from `source`. Raises VaultError for what no header can carry."""
    secret = text.strip()
    if not secret:
        raise VaultError(f"{source} is empty; write the secret into it")
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise VaultError(
            f"{source} holds more than one secret, or something that is none; leave just the one"
        )
    return secret


def of_variable(variable: str, environ: Mapping[str, str]) -> str | None:
    """The secret in a variable of the environment; None where there is none. Raises VaultError."""
    text = environ.get(variable, "")
    return cleaned(text, f"the variable {variable}") if text.strip() else None


@dataclass(frozen=True)
class _Read:
    secret: str = field(repr=False)
    mark: tuple[int, ...]
    at_ns: int


class SecretFile:
    """A file with one secret in it. It is looked at with every `read`, and read again when it has changed."""

    def __init__(self, path: Path, setting: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`setting` is where the path was written, for whoever has to mend it."""
        self._path = path
        self._source = f"{setting}: {path}"
        self._monotonic = monotonic
        self._last: _Read | None = None
        self._failing_since: float | None = None
        self._warned: int | None = None

    def read(self) -> str:
        """The secret. Raises VaultError."""
        try:
            secret = self._current()
        except VaultError:
            now = self._monotonic()
            self._failing_since = now if self._failing_since is None else self._failing_since
            if self._last is None or now - self._failing_since >= KEPT_SECONDS:
                raise
            return self._last.secret
        self._failing_since = None
        return secret

    def _current(self) -> str:
        try:
            found = os.stat(self._path)
            last = self._last
            if last and last.mark == _mark(found) and last.at_ns - found.st_mtime_ns > SETTLED_NS:
                return last.secret
            at_ns = time.time_ns()
            text, found = _text_of(self._path)
        except OSError as exc:
            raise VaultError(f"{self._source} cannot be read: {exc.strerror}") from exc
        except ValueError as exc:
            raise VaultError(f"{self._source} is no file with a secret: {exc}") from exc
        self._warn(found.st_mode)
        secret = cleaned(text, self._source)
        self._last = _Read(secret, _mark(found), at_ns)
        return secret

    def _warn(self, mode: int) -> None:
        """Once for each change of its rights."""
        rights = stat.S_IMODE(mode)
        if rights & _OTHERS and rights != self._warned:
            _log.warning(
                "a file with a secret is open to others: %s has the mode %04o; chmod 600 it",
                self._source,
                rights,
            )
        self._warned = rights


def _mark(found: os.stat_result) -> tuple[int, ...]:
    # The time of the last change of status tells a change of rights, and of a content whose mtime was set back.
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _text_of(path: Path) -> tuple[str, os.stat_result]:
    """Raises OSError, and ValueError for what is too large, no text or no file. Waits for nobody."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a regular file")
        content = os.read(fd, MAX_SECRET_BYTES + 1)
    finally:
        os.close(fd)
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"longer than {MAX_SECRET_BYTES // 1024} KiB")
    try:
        return content.decode(), found
    except UnicodeDecodeError:
        # Its text would repeat some of the secret.
        raise ValueError("not text") from None
