"""What can go wrong with a backup, each in one sentence that a person can act on.

BackupError                 anything below
  x BackupBusy              one is being made already
  x BackupFailed            it could not be made; nothing is left of it
  x ArchiveRefused          a file is no backup, or not a whole one
  x RestoreRefused          the place does not allow a restore; nothing was changed
    x FolderNotEmpty        ... because something lies there, and nobody said that it may be replaced
"""

from __future__ import annotations

from bot.errors import RoostError


class BackupError(RoostError):
    """The root of what is said about backups."""


class BackupBusy(BackupError):
    """Raised when a backup is being made already."""


class BackupFailed(BackupError):
    """Raised when a backup could not be made. Nothing is left of it."""


class ArchiveRefused(BackupError):
    """Raised when a file is no backup of ours, or is damaged, cut short or hostile."""


class RestoreRefused(BackupError):
    """Raised when the place does not allow a restore. Nothing was changed."""


class FolderNotEmpty(RestoreRefused):
    """Raised when something lies where the backup should go, and nobody said that it may be replaced."""
