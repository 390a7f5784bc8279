"""A docker client that can build with BuildKit, and the programs that building runs.

A client has BuildKit in one of two ways: up to version 22 as a part of itself, from 23 on as a plugin, buildx.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from container.image.recipe import ImageError

USUAL_PLACES: Final = ("/usr/bin", "/usr/local/bin", "/bin", "/snap/bin")
ASK_SECONDS: Final = 30.0
OLDEST, NEWEST_WITHOUT_PLUGIN = 19, 22
"""Versions of the client that bring BuildKit along."""
LAST_LINES: Final = 20
NO_CLIENT: Final = (
    "No docker client here can build with BuildKit ({found}). Install one: `apt install docker.io` on Debian 12, "
    "`apt install docker-buildx` on Ubuntu and later Debians, or docker-buildx-plugin from Docker's own repository."
)

Say = Callable[[str], None]
"""Takes a line that shows how far it is."""


class Halt:
    """By which another thread ends what is being built. Once it is called nothing begins any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._program: subprocess.Popen[str] | None = None
        self._called = False

    def __call__(self) -> None:
        """Ends the program that runs, if one does."""
        with self._lock:
            self._called = True
            if self._program is not None:
                self._program.terminate()

    def watch(self, program: subprocess.Popen[str] | None) -> None:
        """This one runs now; None: it has ended."""
        with self._lock:
            self._program = program
            if self._called and program is not None:
                program.terminate()


def find_client(path: str, places: Sequence[str] = USUAL_PLACES) -> str:
    """The first client with BuildKit, on `path` (as PATH has it) or in the usual places. Raises ImageError."""
    found = list(_clients([*path.split(os.pathsep), *places]))
    for client in found:
        if _builds(client):
            return client
    raise ImageError(NO_CLIENT.format(found=", ".join(found) if found else "there is none at all"))


def run(
    command: Sequence[str],
    say: Say,
    *,
    what: str,
    env: Mapping[str, str] | None = None,
    halt: Halt | None = None,
) -> None:
    """Runs a program and says each line of it. Raises ImageError with the last ones when it fails, or was ended."""
    last: deque[str] = deque(maxlen=LAST_LINES)
    try:
        with subprocess.Popen(
            command,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as program:
            if halt is not None:
                halt.watch(program)
            try:
                for line in program.stdout or ():
                    if line.strip():
                        last.append(line.rstrip())
                        say(line.rstrip())
            finally:
                if halt is not None:
                    halt.watch(None)
    except OSError as exc:
        raise ImageError(f"{what}: {command[0]} cannot be run: {exc.strerror}.") from exc
    if program.returncode != 0:
        raise ImageError("\n".join([f"{what}: {command[0]} ended with code {program.returncode}.", *last]))


def show(command: Sequence[str], *, what: str, env: Mapping[str, str]) -> None:
    """Runs a program that draws its own progress on our terminal. Raises ImageError when it fails."""
    try:
        # Standard output belongs to whoever reads our answer.
        done = subprocess.run(command, env=dict(env), stdin=subprocess.DEVNULL, stdout=2, check=False)
    except OSError as exc:
        raise ImageError(f"{what}: {command[0]} cannot be run: {exc.strerror}.") from exc
    if done.returncode != 0:
        raise ImageError(f"{what}: {command[0]} ended with code {done.returncode}; its reasons stand above.")


def _clients(folders: Sequence[str]) -> Iterator[str]:
    """Each client once, though two folders may be the same one."""
    seen = set()
    for folder in folders:
        client = Path(folder) / "docker"
        if folder and os.access(client, os.X_OK) and client.is_file():
            real = client.resolve()
            if real not in seen:
                seen.add(real)
                yield str(client)


def _builds(client: str) -> bool:
    if _ask(client, "buildx", "version") is not None:
        return True
    version = re.match(r"Docker version (\d+)\.", _ask(client, "--version") or "")
    return version is not None and OLDEST <= int(version[1]) <= NEWEST_WITHOUT_PLUGIN


def _ask(client: str, *words: str) -> str | None:
    """What it answers, or None when it does not understand."""
    try:
        done = subprocess.run(
            [client, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
