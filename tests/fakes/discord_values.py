"""The numbers and codes of Discord's that the fake server speaks with: permissions, kinds, flags, errors.

They are those of Discord's developer documentation, each under the heading that its name has here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntEnum, IntFlag
from typing import Any, Final

from agent.protocol.clock import Clock

EPOCH_MS: Final = 1_420_070_400_000
"""The first millisecond of the year 2015, from which snowflakes count ("API Reference", Snowflakes)."""

MIB: Final = 1024 * 1024
UPLOAD_BYTES: Final = {0: 10 * MIB, 1: 10 * MIB, 2: 50 * MIB, 3: 100 * MIB}
"""The largest file by the boost tier of a guild ("Uploading Files")."""

THREAD_MINUTES: Final = (60, 1440, 4320, 10080)
"""After how many minutes without a message a thread may be archived ("Channel Resource", Thread Metadata)."""

NONCE_SECONDS: Final = 180
"""How long a nonce is enforced. "Create Message" says "the past few minutes"; this is the least that means."""


class Kind(IntEnum):
    """What a channel is ("Channel Types")."""

    TEXT = 0
    DM = 1
    VOICE = 2
    GROUP_DM = 3
    CATEGORY = 4
    ANNOUNCEMENT = 5
    ANNOUNCEMENT_THREAD = 10
    PUBLIC_THREAD = 11
    PRIVATE_THREAD = 12
    FORUM = 15


KINDS: Final = {
    "text": Kind.TEXT,
    "announcement": Kind.ANNOUNCEMENT,
    "forum": Kind.FORUM,
    "voice": Kind.VOICE,
    "category": Kind.CATEGORY,
}
THREADS: Final = (Kind.ANNOUNCEMENT_THREAD, Kind.PUBLIC_THREAD, Kind.PRIVATE_THREAD)


class Permission(IntFlag):
    """What a member may do ("Permissions")."""

    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_APPLICATION_COMMANDS = 1 << 31
    MANAGE_THREADS = 1 << 34
    CREATE_PUBLIC_THREADS = 1 << 35
    CREATE_PRIVATE_THREADS = 1 << 36
    SEND_MESSAGES_IN_THREADS = 1 << 38


ALL_PERMISSIONS: Final = (1 << 53) - 1
EVERYONE: Final = (
    Permission.ADD_REACTIONS
    | Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
    | Permission.USE_APPLICATION_COMMANDS
    | Permission.CREATE_PUBLIC_THREADS
    | Permission.CREATE_PRIVATE_THREADS
    | Permission.SEND_MESSAGES_IN_THREADS
)
"""What the role of everybody allows in a new guild."""


class MessageKind(IntEnum):
    """What a message is ("Message Types")."""

    DEFAULT = 0
    THREAD_CREATED = 18
    REPLY = 19
    CHAT_INPUT_COMMAND = 20
    THREAD_STARTER_MESSAGE = 21
    CONTEXT_MENU_COMMAND = 23


WRITTEN: Final = (
    MessageKind.DEFAULT,
    MessageKind.REPLY,
    MessageKind.CHAT_INPUT_COMMAND,
    MessageKind.CONTEXT_MENU_COMMAND,
)
"""The kinds that somebody has written; the others are the platform's own remarks."""


class Flag(IntFlag):
    """What is special about a message ("Message Flags")."""

    SUPPRESS_EMBEDS = 1 << 2
    HAS_THREAD = 1 << 5
    EPHEMERAL = 1 << 6
    LOADING = 1 << 7
    SUPPRESS_NOTIFICATIONS = 1 << 12
    IS_VOICE_MESSAGE = 1 << 13


class Refused(Exception):
    """Discord does not do what it was asked: the status, its own code, and what it says. `errors` names the fields
    of a form that is wrong ("Error Messages")."""

    def __init__(self, status: int, code: int, message: str, errors: dict[str, Any] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors

    @property
    def body(self) -> dict[str, Any]:
        """What is answered."""
        body: dict[str, Any] = {"message": self.message, "code": self.code}
        return body if self.errors is None else body | {"errors": self.errors}


UNAUTHORIZED: Final = (401, 0, "401: Unauthorized")
NOT_FOUND: Final = (404, 0, "404: Not Found")
UNKNOWN_CHANNEL: Final = (404, 10003, "Unknown Channel")
UNKNOWN_GUILD: Final = (404, 10004, "Unknown Guild")
UNKNOWN_MEMBER: Final = (404, 10007, "Unknown Member")
UNKNOWN_MESSAGE: Final = (404, 10008, "Unknown Message")
UNKNOWN_USER: Final = (404, 10013, "Unknown User")
UNKNOWN_EMOJI: Final = (400, 10014, "Unknown Emoji")
UNKNOWN_WEBHOOK: Final = (404, 10015, "Unknown Webhook")
UNKNOWN_INTERACTION: Final = (404, 10062, "Unknown interaction")
UNKNOWN_COMMAND: Final = (404, 10063, "Unknown application command")
TOO_MANY_REACTIONS: Final = (400, 30010, "Maximum number of reactions reached (20)")
TOO_MANY_COMMANDS: Final = (400, 30032, "Maximum number of application commands reached (100)")
TOO_LARGE: Final = (413, 40005, "Request entity too large")
ALREADY_ANSWERED: Final = (400, 40060, "Interaction has already been acknowledged.")
MISSING_ACCESS: Final = (403, 50001, "Missing Access")
NOT_YOURS: Final = (403, 50005, "Cannot edit a message authored by another user")
EMPTY_MESSAGE: Final = (400, 50006, "Cannot send an empty message")
CANNOT_DM: Final = (403, 50007, "Cannot send messages to this user")
NOT_A_TEXT_CHANNEL: Final = (400, 50008, "Cannot send messages in a non-text channel")
MISSING_PERMISSIONS: Final = (403, 50013, "Missing Permissions")
WRONG_CHANNEL_KIND: Final = (400, 50024, "Cannot execute action on this channel type")
BAD_TOKEN: Final = (401, 50027, "Invalid Webhook Token")
THREAD_ARCHIVED: Final = (400, 50083, "Thread is archived")
BAD_JSON: Final = (400, 50109, "The request body contains invalid JSON.")
NO_HISTORY_NO_REPLY: Final = (403, 160002, "Cannot reply without permission to read message history")
THREAD_EXISTS: Final = (400, 160004, "A thread has already been created for this message")
THREAD_LOCKED: Final = (403, 160005, "Thread is locked")


def invalid(errors: dict[str, Any]) -> Refused:
    """A form that is wrong, field by field (code 50035)."""
    return Refused(400, 50035, "Invalid Form Body", errors)


def wrong(code: str, message: str) -> dict[str, Any]:
    """What is wrong with one field, as it stands in the `errors` of a form."""
    return {"_errors": [{"code": code, "message": message}]}


def iso(ms: int) -> str:
    """Epoch milliseconds as Discord writes a time."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="microseconds")


class Snowflakes:
    """Makes ids that rise, and hold the time as the clock tells it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def new(self) -> str:
        """An id that nothing else has."""
        self._last = max(self._last + 1, (self._clock() - EPOCH_MS) << 22)
        return str(self._last)

    def new_for_guild(self) -> str:
        """An id in a millisecond of its own: which shard a guild belongs to depends on nothing else."""
        self._last = max(self._last + (1 << 22), (self._clock() - EPOCH_MS) << 22)
        return str(self._last)
