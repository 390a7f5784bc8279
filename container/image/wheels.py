"""The packages of an image, fetched on the host: a build has no network, and behind a proxy that looks into TLS
no certificate either."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from container.image.client import Halt, Say, run
from container.image.recipe import LOCK, ImageError

PYTHON: Final = "3.11"
NEWEST_GLIBC: Final = 36
"""That of Debian 12, 2.36: a wheel may be made for any before it."""
KEY_DIGITS: Final = 16


def locked(cache: Path, architecture: str, say: Say, halt: Halt | None = None) -> Path:
    """The folder with the wheels of the lock, fetched if they are not there yet. Raises ImageError."""
    wanted = ["--require-hashes", "-r", str(LOCK)]
    return _fetched(cache, _key(architecture, LOCK.read_text()), architecture, wanted, say, halt)


def further(
    cache: Path,
    architecture: str,
    packages: Sequence[str],
    say: Say,
    *,
    anew: bool = False,
    halt: Halt | None = None,
) -> Path | None:
    """The folder with the wheels of further packages and their `requirements.txt`; None when there are none.
    They may want nothing that contradicts the lock. `anew`: not those of an earlier time. Raises ImageError."""
    if not packages:
        return None
    folder = cache / _key(architecture, LOCK.read_text(), *packages)
    if anew:
        shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="roost-pins-") as place:
        pins = Path(place) / "pins.txt"
        # With hashes they would ask for hashes of everything else, too.
        pins.write_text(
            "".join(f"{pin}\n" for pin in re.findall(r"^\S+==\S+", LOCK.read_text(), re.MULTILINE))
        )
        _fetched(cache, folder.name, architecture, ["-c", str(pins), "--", *packages], say, halt)
    (folder / "requirements.txt").write_text("".join(f"{package}\n" for package in packages))
    return folder


def _fetched(
    cache: Path, key: str, architecture: str, wanted: Sequence[str], say: Say, halt: Halt | None
) -> Path:
    """A folder that is there is whole: it gets its name when everything lies in it."""
    folder = cache / key
    if folder.is_dir():
        return folder
    say("Fetching the image's Python packages ...")
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetching-", dir=cache) as place:
            run(
                _command(Path(place), architecture, wanted),
                say,
                what="The image's packages cannot be fetched",
                halt=halt,
            )
            _settle(Path(place), folder)
    except OSError as exc:
        raise ImageError(f"The image's packages cannot be kept in {cache}: {exc.strerror}.") from exc
    return folder


def _settle(place: Path, folder: Path) -> None:
    try:
        place.rename(folder)
    except OSError:
        # Somebody else has fetched the same meanwhile.
        if not folder.is_dir():
            raise
    else:
        # What was made for a while is tidied up by that name.
        place.mkdir()


def _command(place: Path, architecture: str, wanted: Sequence[str]) -> list[str]:
    older = [f"manylinux_2_{minor}_{architecture}" for minor in range(NEWEST_GLIBC, 4, -1)]
    platforms = [
        *older,
        *(f"{name}_{architecture}" for name in ("manylinux2014", "manylinux2010", "manylinux1")),
    ]
    return [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--progress-bar", "off"),
        *(
            "--dest",
            str(place),
            "--only-binary",
            ":all:",
            "--python-version",
            PYTHON,
            "--implementation",
            "cp",
        ),
        *(word for platform in platforms for word in ("--platform", platform)),
        *wanted,
    ]


def _key(*parts: str) -> str:
    text = "\0".join((PYTHON, *parts))
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]
