"""What no agent is ever given, whatever a list allows: where keys and passwords are kept. Pure but for `found`."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Final

NAMES: Final = (
    *(
        ".ssh",
        ".gnupg",
        ".aws",
        ".azure",
        ".gcloud",
        ".config/gcloud",
        ".config/gh",
        ".config/op",
        ".kube",
        ".docker",
    ),
    *(".oci", ".terraform.d", ".vault-token", ".password-store", ".local/share/keyrings", "*.kdbx"),
    *(".mozilla", ".config/google-chrome", ".config/chromium", ".claude", ".claude.json", ".codex"),
    *(
        ".env*",
        "credentials*",
        ".credentials*",
        "secrets*",
        ".secrets*",
        "*.pem",
        "*.key",
        "*.p12",
        "*.pfx",
        "*.jks",
    ),
    *("*.keystore", "*.ppk", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
    *(
        ".netrc",
        "_netrc",
        ".git-credentials",
        ".npmrc",
        ".pypirc",
        ".pgpass",
        ".my.cnf",
        ".htpasswd",
        ".*_history",
    ),
    *("shadow", "gshadow", "docker.sock", "*.sock"),
)
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
    return next((hit for end in range(1, len(parts) + 1) if (hit := _ends(parts[:end], patterns))), None)


def overlapping(path: Path, trees: Collection[Path]) -> Path | None:
    """The tree that the path is, lies in or holds."""
    return next((each for each in trees if path.is_relative_to(each) or each.is_relative_to(path)), None)


def found(folder: Path, patterns: Sequence[str], accepted: Collection[str]) -> list[Path]:
    """What is denied below `folder`, as far as SCAN_LEVELS and SCAN_ENTRIES go; links are not followed. `accepted`
    are names that somebody has vouched for. Raises OSError when the folder itself cannot be read."""
    return [
        path
        for path in _below(folder)
        if path.name not in accepted and _ends(path.parts[1:], patterns) is not None
    ]


def _below(folder: Path) -> Iterator[Path]:
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
                left -= 1
                if left < 0:
                    return
                yield at / entry.name
                with suppress(OSError):
                    if level < SCAN_LEVELS and entry.is_dir(follow_symlinks=False):
                        waiting.append((at / entry.name, level + 1))


def _ends(parts: Sequence[str], patterns: Sequence[str]) -> str | None:
    """The pattern that the last of the parts matches, together with those before it where it names several."""
    folded = [part.casefold() for part in parts]
    for pattern in patterns:
        wanted = pattern.casefold().split("/")
        if len(folded) >= len(wanted) and all(map(fnmatchcase, folded[-len(wanted) :], wanted)):
            return pattern
    return None
