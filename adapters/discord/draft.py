"""What one call to Discord's REST carries, as plain values: no type of a library, and nothing that is sent yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from adapters.base import OutgoingFile

MESSAGE_UNITS: Final = 2_000
"""Of a message's content, in UTF-16 units: https://docs.discord.com/developers/resources/message, and the safe way
to count it."""
SMALLEST_LIMIT_BYTES: Final = 10 * 1024 * 1024
"""What every server and every direct conversation takes of a file. Discord's documentation, Uploading Files."""
SUPPRESS_EMBEDS: Final = 1 << 2
"""The flag by which Discord does not look behind the links of a message. Same document, Message Flags."""


@dataclass(frozen=True)
class Draft:
    """A message as it is to be, or a reaction.

    `replaces` is the id of a message whose place it takes: all of it is replaced, and a draft that `removes` takes
    the message away. `reference` is the id of the message that it replies to. `reaction` is the emoji, as it stands
    in the path of the call, and then that is all there is to it.
    """

    content: str = ""
    embeds: list[dict[str, Any]] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    file: OutgoingFile | None = None
    flags: int = SUPPRESS_EMBEDS
    allowed_mentions: dict[str, Any] = field(default_factory=lambda: mentions(people=False))
    reference: str | None = None
    replaces: str | None = None
    reaction: str | None = None

    @property
    def removes(self) -> bool:
        """Whether the message that it replaces is to go."""
        return self.replaces is not None and not (self.content or self.embeds or self.components or self.file)

    def body(self) -> dict[str, Any]:
        """The JSON of the call that creates the message, or of the one that edits it: of what an edit does not name,
        the old stays. The file and a nonce are the caller's to add."""
        body: dict[str, Any] = {
            "content": self.content,
            "embeds": self.embeds,
            "components": self.components,
            "flags": self.flags,
            "allowed_mentions": self.allowed_mentions,
        }
        if self.replaces is not None:
            return body if self.file else body | {"attachments": []}
        if self.reference is None:
            return body
        # A message that was deleted meanwhile is no reason to keep an answer back.
        return body | {"message_reference": {"message_id": self.reference, "fail_if_not_exists": False}}


def mentions(*, people: bool) -> dict[str, Any]:
    """Who may be notified: nobody, or the `people` who are named; never everybody or a role."""
    return {"parse": ["users"] if people else [], "replied_user": False}
