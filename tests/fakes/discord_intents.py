"""What a bot is told: the bits of Discord's gateway intents, and what a message loses without message content.

The bits and the privileged ones are those of Discord's documentation, "Gateway", section "Gateway Intents".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntFlag
from typing import Any, Final


class Intent(IntFlag):
    """What a session has asked to be told of."""

    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_MODERATION = 1 << 2
    GUILD_EXPRESSIONS = 1 << 3
    GUILD_INTEGRATIONS = 1 << 4
    GUILD_WEBHOOKS = 1 << 5
    GUILD_INVITES = 1 << 6
    GUILD_VOICE_STATES = 1 << 7
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    GUILD_MESSAGE_REACTIONS = 1 << 10
    GUILD_MESSAGE_TYPING = 1 << 11
    DIRECT_MESSAGES = 1 << 12
    DIRECT_MESSAGE_REACTIONS = 1 << 13
    DIRECT_MESSAGE_TYPING = 1 << 14
    MESSAGE_CONTENT = 1 << 15
    GUILD_SCHEDULED_EVENTS = 1 << 16
    AUTO_MODERATION_CONFIGURATION = 1 << 20
    AUTO_MODERATION_EXECUTION = 1 << 21
    GUILD_MESSAGE_POLLS = 1 << 24
    DIRECT_MESSAGE_POLLS = 1 << 25


KNOWN: Final = sum(Intent)
PRIVILEGED: Final = int(Intent.GUILD_MEMBERS | Intent.GUILD_PRESENCES | Intent.MESSAGE_CONTENT)
"""Those that have to be switched on in the application's settings."""
CONTENT_EVENTS: Final = frozenset({"MESSAGE_CREATE", "MESSAGE_UPDATE"})


def without_content(data: Mapping[str, Any], me: str) -> dict[str, Any]:
    """A message as a bot without the message content intent is told of it; `me` is the bot's user id. It keeps
    what it wrote itself, what mentions it and what is said in a direct message. A quoted message is judged by itself.
    """
    told = dict(data)
    if isinstance(told.get("referenced_message"), Mapping):
        quoted = {**told["referenced_message"], "guild_id": told.get("guild_id")}
        told["referenced_message"] = without_content(quoted, me)
        told["referenced_message"].pop("guild_id")
    mentioned = any(user["id"] == me for user in told.get("mentions", ()))
    if told.get("guild_id") is None or mentioned or told.get("author", {}).get("id") == me:
        return told
    empty: dict[str, Any] = {"content": "", "embeds": [], "attachments": [], "components": []}
    told.update({key: value for key, value in empty.items() if key in told})
    told.pop("poll", None)
    return told
