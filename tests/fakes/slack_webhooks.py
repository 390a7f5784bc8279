"""What posts in the fake Slack from outside, and is no user of it (Slack's documentation, Incoming webhooks)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes import slack_blocks as blocks
from tests.fakes.slack_things import Message, Place, User
from tests.fakes.slack_world import World


@dataclass(eq=False)
class Webhook:
    """A program that posts. Its messages are bot_message, and have no user."""

    world: World
    user: User

    def say(
        self,
        place: Place,
        text: str = "",
        *,
        thread: Message | None = None,
        shown: Sequence[dict[str, Any]] = (),
        attachments: Sequence[dict[str, Any]] = (),
    ) -> Message:
        """Posts a text, `shown` blocks, or attachments; it need not be in the place. Raises Refused."""
        root = thread.root if thread is not None else None
        blocks.check(list(shown))
        message = Message(place, self.world.ts(), self.user, text, thread=root, subtype="bot_message")
        message.blocks = blocks.numbered(shown, f"w{message.ts[-6:]}")
        message.attachments = list(attachments)
        return self.world.post(message)
