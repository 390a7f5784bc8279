"""What Roost uses of Slack: the methods that it calls, the events that it hears, and the scopes that these need. Pure.

The manifest is made from these, so that nothing can be called or heard that an app made by it has no right to. Slack's
documentation has a page for each method and each event, with its scopes and its rate limit tier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Method:
    """`scopes` are all of those it takes for every use that is made of it; `a_minute` is what its tier allows."""

    scopes: tuple[str, ...] = ()
    a_minute: int = 50


TIER_1, TIER_2, TIER_3, TIER_4 = 1, 20, 50, 100
"""Calls a minute and workspace, "more than" so many. Slack's documentation, Rate limits."""
SPECIAL: Final = 600
"""Methods with limits of their own that are not per minute."""
HISTORY: Final = ("channels:history", "groups:history", "im:history", "mpim:history")
PLACES: Final = ("channels:read", "groups:read", "im:read", "mpim:read")

METHODS: Final[Mapping[str, Method]] = {
    "auth.test": Method(a_minute=SPECIAL),
    "apps.connections.open": Method(a_minute=TIER_1),
    "agents.sessions.setStatus": Method(("chat:write",), TIER_3),
    "assistant.threads.setStatus": Method(("chat:write",), SPECIAL),
    "assistant.threads.setTitle": Method(("assistant:write",), SPECIAL),
    "assistant.threads.setSuggestedPrompts": Method(("assistant:write",), SPECIAL),
    "chat.postMessage": Method(("chat:write",), SPECIAL),
    "chat.postEphemeral": Method(("chat:write",), TIER_4),
    "chat.update": Method(("chat:write",), TIER_3),
    "chat.delete": Method(("chat:write",), TIER_3),
    "chat.startStream": Method(("chat:write",), TIER_2),
    "chat.appendStream": Method(("chat:write",), TIER_4),
    "chat.stopStream": Method(("chat:write",), TIER_2),
    "conversations.history": Method(HISTORY, TIER_3),
    "conversations.replies": Method(HISTORY, TIER_3),
    "conversations.info": Method(PLACES, TIER_3),
    "conversations.open": Method(("im:write",), TIER_3),
    "usergroups.list": Method(("usergroups:read",), TIER_2),
    "users.conversations": Method(PLACES, TIER_3),
    "users.info": Method(("users:read",), TIER_4),
    "files.getUploadURLExternal": Method(("files:write",), TIER_4),
    "files.completeUploadExternal": Method(("files:write",), TIER_4),
    "files.info": Method(("files:read",), TIER_4),
    "reactions.add": Method(("reactions:write",), TIER_3),
    "reactions.remove": Method(("reactions:write",), TIER_2),
    "views.open": Method((), TIER_4),
    "views.publish": Method((), TIER_4),
}
APP_TOKEN: Final = frozenset({"apps.connections.open"})
"""Called with the token of the app, and not with the bot's."""

EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "app_mention": ("app_mentions:read",),
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "message.im": ("im:history",),
    "message.mpim": ("mpim:history",),
    "reaction_added": ("reactions:read",),
    "reaction_removed": ("reactions:read",),
    "subteam_created": ("usergroups:read",),
    "subteam_updated": ("usergroups:read",),
    "subteam_members_changed": ("usergroups:read",),
    "channel_rename": ("channels:read",),
    "channel_archive": ("channels:read",),
    "channel_unarchive": ("channels:read",),
    "channel_deleted": ("channels:read",),
    "group_rename": ("groups:read",),
    "group_archive": ("groups:read",),
    "group_unarchive": ("groups:read",),
    "group_deleted": ("groups:read",),
    "app_home_opened": (),
    "agent_session_stopped": (),
    "app_uninstalled": (),
    "tokens_revoked": (),
}
"""Each with its scopes."""
MORE_SCOPES: Final = ("commands", "files:read", "assistant:write")
"""Of the slash command and shortcuts, of what people attach, and of an app that is declared as an agent."""


def scopes() -> list[str]:
    """All scopes of the bot's token."""
    needed = {
        scope for name, method in METHODS.items() if name not in APP_TOKEN for scope in method.scopes
    } | {scope for each in EVENTS.values() for scope in each}
    return sorted(needed | set(MORE_SCOPES))
