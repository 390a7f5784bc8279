"""What no agent is ever given, whatever a list allows: where keys and passwords are kept. Pure but for `found`."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from fnmatch import translate
from functools import cache
from pathlib import Path, PurePath
from typing import Final

# fmt: off
NAMES: Final = (
    ".ssh", ".gnupg", ".aws", ".azure", ".gcloud", ".config/gcloud", ".config/gh", ".config/op", ".kube", ".docker",
    ".oci", ".terraform.d", ".vault-token", ".password-store", ".local/share/keyrings", "*.kdbx",
    ".mozilla", ".config/google-chrome", ".config/chromium", ".claude", ".claude.json", ".codex",
    ".env*", "credentials*", ".credentials*", "secrets*", ".secrets*",
    "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.ppk",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
    ".netrc", "_netrc", ".git-credentials", ".npmrc", ".pypirc", ".pgpass", ".my.cnf", ".htpasswd", ".*_history",
    "shadow", "gshadow", "docker.sock", "*.sock",
)
# fmt: on
"""Names of files and folders, "a/b" for a name in a certain folder. Great and small letters are the same."""
TREES: Final = (
    *("/proc", "/sys", "/dev", "/run", "/boot", "/etc"),
    *("/var/lib/docker", "/var/lib/containerd", "/var/lib/containers"),
)
"""Folders that are denied with all that is in them, and with all that they are in."""
SCAN_LEVELS: Final = 3
SCAN_ENTRIES: Final = 10_000


def denied_by(path: PurePath, patterns: Sequence[str]) -> str | None:
    """The pattern that some part of the path matches."""
    parts = path.parts[1:]
    ends = (parts[:end] for end in range(1, len(parts) + 1))
    return next((pattern for each in ends for pattern in patterns if _is_denied(each, (pattern,))), None)


def overlapping(path: Path, trees: Collection[Path]) -> Path | None:
    """The tree that the path is, lies in or holds."""
    return next((each for each in trees if path.is_relative_to(each) or each.is_relative_to(path)), None)


def found(folder: Path, patterns: Sequence[str], accepted: Collection[str]) -> list[Path]:
    """What is denied below `folder`: all that is right in it, and SCAN_ENTRIES more down to SCAN_LEVELS. Links are not
    followed. `accepted` are names that somebody has vouched for. Raises OSError when the folder cannot be read."""
    wanted = tuple(patterns)
    return [
        path / name
        for path, name in _below(folder)
        if name not in accepted and _is_denied((*path.parts[1:], name), wanted)
    ]


def _below(folder: Path) -> Iterator[tuple[Path, str]]:
    waiting = deque([(folder, 1)])
    left = SCAN_ENTRIES
    while waiting:
        at, level = waiting.popleft()
        try:
            entries = os.scandir(at)
        except OSError:
            if at == folder:
                raise
            continue
        with entries:
            for entry in entries:
                left -= level > 1
                if left < 0:
                    return
                yield at, entry.name
                with suppress(OSError):
                    if level < SCAN_LEVELS and entry.is_dir(follow_symlinks=False):
                        waiting.append((at / entry.name, level + 1))


def _is_denied(parts: Sequence[str], patterns: tuple[str, ...]) -> bool:
    """Whether the last of the parts matches, together with those before it where a pattern names several."""
    last = parts[-1].casefold()
    return any(
        names[-1].match(last) and len(parts) >= len(names) and all(map(_match, names, parts[-len(names) :]))
        for names in _compiled(patterns)
    )


def _match(name: re.Pattern[str], part: str) -> bool:
    return name.match(part.casefold()) is not None


@cache
def _compiled(patterns: tuple[str, ...]) -> list[tuple[re.Pattern[str], ...]]:
    """One expression for all patterns of one name, because a folder may hold thousands of files; one for each name of
    the others."""
    split = [each.casefold().split("/") for each in patterns]
    single = "|".join(translate(names[0]) for names in split if len(names) == 1)
    several = [tuple(re.compile(translate(name)) for name in names) for names in split if len(names) > 1]
    return [(re.compile(single),), *several] if single else several
