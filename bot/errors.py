"""What can go wrong in the service, each in one sentence that a person can act on.

    RoostError                  anything below; whoever runs a command prints its text and no traceback
      x ConfigError             config.toml or the environment holds something that cannot be used
      x DataFolderBusy          another service works in the data folder
      x UnusableDataFolder      the data folder cannot be made or written
      x GatewayError            the way out of a container cannot be opened as it is configured
      x UnusablePort            the metrics cannot be served where they should be
      x NoBackend               nothing that could run the agents as configured
      x UnusableImage           the image that agents run in cannot be built or looked at
      x DatabaseError           bot.db cannot be used
        x NewerDatabase         a newer Roost has written it
        x UnreadableDatabase    it is damaged, or is not a database
      x NotRunning              a command needs the service, and no service answers
      x CommandFailed           a command was understood and could not be carried out
      x ServiceCrashed          a part that must always run has ended

Errors of a boundary (SendFailed of an adapter, BackendError of a backend) belong to that boundary and are
not in this tree.
"""

from __future__ import annotations


class RoostError(Exception):
    """The root: catches everything that was foreseen and nothing that was not."""


class ConfigError(RoostError):
    """Raised when the configuration cannot be used. One line a mistake, naming the file or variable."""


class DataFolderBusy(RoostError):
    """Raised at start when another service holds the lock of the data folder."""


class UnusableDataFolder(RoostError):
    """Raised at start when the data folder cannot be made or written."""


class GatewayError(RoostError):
    """Raised when the gateway's settings are of no use, or a session's socket cannot be made."""


class UnusablePort(RoostError):
    """Raised at start when the port for the metrics is taken, or not for this user."""


class NoBackend(RoostError):
    """Raised at start when nothing can run the agents as they are configured."""


class UnusableImage(RoostError):
    """Raised when the image that agents run in is needed and cannot be built or looked at."""


class DatabaseError(RoostError):
    """Raised when bot.db cannot be used."""


class NewerDatabase(DatabaseError):
    """Raised at start when bot.db has migrations that this Roost does not know."""


class UnreadableDatabase(DatabaseError):
    """Raised when bot.db is damaged, or is not a database."""


class NotRunning(RoostError):
    """Raised when a command needs the running service and its control socket does not answer."""


class CommandFailed(RoostError):
    """Raised when a command was understood and could not be carried out."""


class ServiceCrashed(RoostError):
    """Raised when a part of the service has ended on its own; its cause is what ended it, if anything did."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service} has crashed: {reason}")
        self.service = service
