"""What `roost slack check` can say, each in one sentence; docs/slack.md has them all, and a test compares the two.

Where something is to be done it is said where: on the app's pages at Slack, in the workspace, or in config.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# ---------------------------------------------------------------- the tokens

TOKEN: Final = "Slack takes the bot token; the bot is @{name} ({id}) in {team}."  # noqa: S105 - a sentence about one
NO_BOT: Final = (
    "The bot token is a person's: copy the Bot User OAuth Token, which begins with xoxb-, from {link} (OAuth &"
    " Permissions)."
)
ROTATION: Final = (
    "The bot token expires after 12 h, because token rotation is switched on for the app, which cannot be undone: make"
    " the app anew by `roost slack manifest`."
)
ORG_WIDE: Final = (
    "The app is installed for a whole organisation, and Roost serves one workspace: install it to that workspace"
    " ({link}, Install App), and take the bot token from there."
)
TWO_APPS: Final = (
    "The bot token is of the app {bot}, and the app-level token of the app {app}: take both from the pages of one and"
    " the same app."
)
UNREACHABLE: Final = (
    "Slack cannot be reached at {url} ({reason}): see whether this machine may connect there, and whether"
    " https://slack-status.com tells of an outage."
)
SLOW: Final = (
    "Slack has not answered everything within {seconds} s: try again in a few minutes, and see whether"
    " https://slack-status.com tells of an outage."
)
NOT_SLACK: Final = (
    "What answers at {url} does not speak as Slack does: leave [slack] api_url out, or give it the address of a Web"
    " API, such as {example}."
)
REFUSED: Final = "Slack does not answer the check ({reason}): try again in a few minutes."
CLOCK: Final = (
    "This machine's clock is {minutes} min away from Slack's, and with more than 5 no signed request counts: set it,"
    " and let it be kept by NTP."
)

# ---------------------------------------------------------------- rights

SCOPES: Final = "The bot has all {count} scopes that it needs."
MISSING_SCOPE: Final = (
    "The scope {scope} is missing, and so {loss}: add it under Bot Token Scopes at {link} (OAuth & Permissions), and"
    " install the app to the workspace again."
)
LOSSES: Final[Mapping[str, str]] = {
    "app_mentions:read": "nobody who mentions the bot is heard",
    "assistant:write": "the bot is no agent, whose conversations have names and suggestions",
    "channels:history": "the bot hears nothing of what is said in public channels",
    "channels:read": "the bot cannot see which public channels it is in",
    "chat:write": "the bot cannot answer",
    "commands": "there is no /roost, and no Ask Roost in the menu of a message",
    "files:read": "the agent does not get the files that people attach",
    "files:write": "the agent cannot send files",
    "groups:history": "the bot hears nothing of what is said in private channels",
    "groups:read": "the bot cannot see which private channels it is in",
    "im:history": "the bot hears nothing of what people write to it directly",
    "im:read": "the bot cannot read what it was written directly while it was away",
    "im:write": "the bot cannot write to anybody first, as it does to ask an admin",
    "mpim:history": "the bot hears nothing of what is said in group direct messages",
    "mpim:read": "the bot cannot see which group direct messages it is in",
    "reactions:read": "the bot does not see when people react to a message",
    "reactions:write": "the bot cannot react to a message",
    "usergroups:read": "a role that is given to a user group counts for nobody",
    "users:read": "the agent knows people by their ids and not by their names",
}
"""What does not work without a scope."""
OTHER_LOSS: Final = "something of what Roost does is refused"
NEEDED: Final = frozenset({"app_mentions:read", "channels:history", "chat:write", "im:history"})
"""Without one of these people get no answer where they expect one; without the others it can be lived with."""

# ---------------------------------------------------------------- the ways in

SOCKET: Final = "Socket Mode works: Slack says hello to a new connection, and counts {connections} with it."
SOCKET_DOUBTED: Final = (
    "Slack says hello to a connection, and warns that Socket Mode is not turned on: switch on Enable Socket Mode at"
    " {link}; where it is on, and the bot hears people, the warning means nothing."
)
SOCKET_OFF: Final = "Socket Mode is switched off: switch on Enable Socket Mode at {link}."
NO_CONNECTIONS_SCOPE: Final = (
    "The app-level token lacks the scope connections:write, without which nothing is heard: generate one that has it at"
    " {link} (App-Level Tokens)."
)
BAD_APP: Final = (
    "Slack does not take the app-level token ({error}): generate one with the scope connections:write at {link}"
    " (App-Level Tokens), and put it where [slack] says."
)
TOO_MANY: Final = (
    "Ten programs or connections listen for this app already, which is as many as Slack takes: find out what else uses"
    " its app-level token, and revoke the token at {link} (App-Level Tokens) if nothing should."
)
OTHERS: Final = (
    "{others} other connections listen for this app, and this Roost keeps {sockets}: what else uses the app-level token"
    " gets a part of what people say, so stop it, or generate a new token at {link} (App-Level Tokens)."
)
NO_SOCKET: Final = (
    "No connection of Socket Mode comes about ({reason}): see whether this machine, and a proxy in front of it, lets"
    " WebSocket connections pass."
)
DOOR: Final = (
    "Roost answers at {url}: Slack has to reach it by a public https:// address, which stands in the app as Request URL"
    " three times ({link}: Event Subscriptions, Interactivity & Shortcuts, Slash Commands)."
)
DOOR_CLOSED: Final = (
    "Nothing listens at {url} yet: start Roost with `roost run`, and only then let Slack verify the Request URL at"
    " {link} (Event Subscriptions)."
)
DOOR_REFUSED: Final = (
    "The Roost at {url} does not take the signing secret that is configured: start it again, so that it reads the same"
    " one."
)
DOOR_OTHER: Final = (
    "What answers at {url} is no Roost (status {status}): see what uses this port, or give [slack] another one to"
    " listen at."
)
ODD: Final = (
    "The signing secret does not look like one, which has 32 digits and letters from a to f: copy it from {link} (App"
    " Credentials)."
)

# ---------------------------------------------------------------- direct messages

WRITTEN: Final = "People write to the bot directly, so its Messages tab is on."
UNWRITTEN: Final = (
    "Nobody has written to the bot directly yet, and no call tells whether they could: see that Messages Tab is on at"
    " {link}, with the box below it that lets users send messages."
)
AGENT: Final = "The app is an agent."
NO_AGENT: Final = (
    "[slack] agent_view is true, and the app is no agent: switch it on at {link} (Agent), or make it as `roost slack"
    " manifest` says, or write agent_view = false."
)
AGENT_DISABLED: Final = (
    "This workspace has no agents ({error}), so the bot shows its work in the older way: ask an admin of the workspace"
    " to allow them, or write agent_view = false into [slack]."
)
NO_STOPS: Final = (
    "The app does not hear of the stop button, and nobody can stop an answer by it: add agent_session_stopped under"
    " Subscribe to bot events at {link}."
)

# ---------------------------------------------------------------- channels

CHANNELS: Final = "The bot is in {count}: {names}."
NO_CHANNEL: Final = "The bot is in no channel yet: write `/invite @{name}` in one where it should answer."
MEMBER: Final = "{channel}: the bot is in it."
NO_MEMBER: Final = "{where} names {channel}, and the bot is not in it: write `/invite @{name}` there."
UNKNOWN: Final = (
    "{where} names {id}, which is no conversation that the bot can see: in a private channel write `/invite @{name}`,"
    " and else copy the channel ID from the end of the channel's details."
)
PERSON: Final = (
    "{where} names {id}, which is a person: name the direct conversation with them, whose ID begins with D and stands"
    " in its address."
)
ARCHIVED: Final = "{where} names {channel}, which is archived: unarchive it, or name another one."
NO_THREAD: Final = (
    "{where} names {thread} in {channel} as the thread, which is none: leave thread_id out, or name the ts of the"
    " message with which one begins."
)
UNSEEN: Final = (
    "{where} names {id}, which cannot be looked at ({error}): see to what is said above, and check again after"
    " a minute."
)
