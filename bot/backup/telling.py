"""What people and programs are told of a backup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bot.backup.create import Made
from bot.backup.manifest import Manifest
from bot.backup.names import Backup
from bot.backup.restore import Restored

MIB: Final = 2**20


@dataclass(frozen=True)
class Told:
    """A text for people, and the same as data."""

    text: str
    data: Any


def made(done: Made) -> Told:
    """A backup was made."""
    text = f"{done.path} holds {_contents(done.manifest)}: {done.size / MIB:.1f} MiB packed.{_left_out(done.manifest)}"
    return Told(text, {"file": str(done.path), "bytes": done.size, **_data(done.manifest)})


def listed(backups: Sequence[Backup], folder: Path) -> Told:
    """These are the backups in the folder."""
    data = [
        {"file": str(each.path), "created_at": _time(each.made_at), "bytes": each.size} for each in backups
    ]
    lines = [f"{_time(each.made_at)}  {each.size / MIB:8.1f} MiB  {each.path}" for each in backups]
    return Told("\n".join(lines) or f"There are no backups in {folder}.", data)


def verified(archive: Path, manifest: Manifest) -> Told:
    """It is whole."""
    text = (
        f"{archive} is whole: {_contents(manifest)}, as of {_time(manifest.created_at)}.{_left_out(manifest)}"
    )
    return Told(text, {"file": str(archive), "whole": True, **_data(manifest)})


def restored(done: Restored) -> Told:
    """It lies in place."""
    aside = f" What was there before lies in {done.aside}." if done.aside else ""
    text = f"{done.data} holds {_contents(done.manifest)}, as of {_time(done.manifest.created_at)}.{aside}"
    data = {"data_dir": str(done.data), "aside": str(done.aside) if done.aside else None}
    return Told(text, {**data, **_data(done.manifest)})


def _contents(manifest: Manifest) -> str:
    counted = {
        "conversation": manifest.sessions,
        "message": manifest.messages,
        "unanswered one": manifest.unfinished,
        "file": len(manifest.sha256),
    }
    return ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for what, count in counted.items())


def _left_out(manifest: Manifest) -> str:
    reasons = [f"{count} {reason}" for reason, count in sorted(manifest.skipped.items())]
    reasons += [f"the outbox of session {each} ({why})" for each, why in sorted(manifest.refused.items())]
    return f" Left out: {', '.join(reasons)}." if reasons else ""


def _data(manifest: Manifest) -> dict[str, Any]:
    kept = manifest.model_dump(exclude={"sha256", "created_at", "bytes", "version"})
    return {**kept, "files": len(manifest.sha256), "created_at": _time(manifest.created_at)}


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")
