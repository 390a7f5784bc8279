"""What a backend is: something that runs one program for one session, and can be found again.

    BackendError                the machinery failed (engine down, program missing, no permission)
      x BackendUnavailable      for now; the same call may work later

That the *program* failed is not an error of the backend: `wait` returns it as an `Exit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class BackendError(Exception):
    """Raised when the machinery cannot do what it was asked; the text says what to do about it."""


class BackendUnavailable(BackendError):
    """Raised when the machinery is not there right now; try again later."""


@dataclass(frozen=True)
class Mount:
    """A folder of the host at a place in the container."""

    source: Path
    target: Path
    writable: bool = False


@dataclass(frozen=True)
class Limits:
    """What a program may use."""

    memory_mb: int = 1024
    cpus: float = 1.0
    pids: int = 256
    file_mb: int = 512
    tmp_mb: int = 64
    """Of /tmp, which counts as memory."""


@dataclass(frozen=True)
class Spec:
    """A program to run. `name` is deterministic, so that whoever comes later finds it by the same name."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    """May hold a key, so it is shown nowhere."""
    workdir: Path
    log: Path
    image: str | None = None
    """What the program and its surroundings come from, for a backend that needs one."""
    mounts: Sequence[Mount] = ()
    limits: Limits = Limits()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """A program that is alive, found by name."""

    name: str
    labels: Mapping[str, str]
    pid: int | None = None
    memory_mb: float | None = field(default=None, compare=False)
    """What would be free if it ended, without what the kernel only keeps for it; None: it cannot be told."""
    unlinked_mb: float | None = field(default=None, compare=False)
    """What it keeps on the disk without a name for it, in MiB; None: it cannot be told."""
    sent_descriptors: int = field(default=0, compare=False)
    """Those that lie in its sockets: files without a name may be kept there, which `unlinked_mb` does not count."""


@dataclass(frozen=True)
class Exit:
    """How a program ended. `code` is None when nobody was there to be told (an adopted process); `why` is what the
    backend knows beyond that."""

    code: int | None
    why: str | None = field(default=None, compare=False)

    @property
    def clean(self) -> bool:
        """Left of its own accord, with nothing half done."""
        return self.code == 0


class Backend(Protocol):
    """Runs programs. Absent is success for `stop`; everything unexpected rises as BackendError."""

    mounts: bool
    """Whether a program sees its folders at their mount points, or at the host's own paths."""

    async def start(self, spec: Spec) -> None:
        """Starts the program and returns when it runs. Raises BackendError, also when the name is taken."""

    async def stop(self, name: str, *, grace_seconds: float) -> None:
        """Asks it to leave; after `grace_seconds` kills it and all that it started. Returns when it is gone."""

    async def wait(self, name: str) -> Exit:
        """Returns when the program has ended. Raises BackendError for a name that nobody knows."""

    async def running(self) -> list[Running]:
        """Every program of ours that is alive, also those that an earlier service started."""

    async def freeze(self, name: str, *, frozen: bool) -> None:
        """Pauses the program, or lets it go on."""
