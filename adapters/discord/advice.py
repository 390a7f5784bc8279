"""What `roost discord check` can say, each in one sentence; docs/discord.md has them all, and a test compares the two.

Where something is to be done it is said where: in Discord's developer portal, in the server, or in config.toml.
"""

from __future__ import annotations

from typing import Final

# ---------------------------------------------------------------- the connection

TOKEN: Final = "Discord takes the token; the bot is {name} ({id})."  # noqa: S105 - a sentence about one
UNREACHABLE: Final = (
    "Discord cannot be reached at {url} ({reason}): see whether this machine may connect there, and whether"
    " https://discordstatus.com tells of an outage."
)
SLOW: Final = (
    "Discord has not answered everything within {seconds} s: try again in a few minutes, and see whether"
    " https://discordstatus.com tells of an outage."
)
NOT_DISCORD: Final = (
    "What answers at {url} does not speak as Discord does: leave [discord] rest_url out, or give it an address with"
    " its version, such as {example}."
)
REFUSED: Final = "Discord does not answer the check ({reason}): try again in a few minutes."

# ---------------------------------------------------------------- the application

APPLICATION: Final = "The application is {name}, and {owner} owns it."
PUBLIC: Final = (
    "Anybody may add the bot to a server: in the developer portal choose None under Installation, Install Link, and"
    " then switch off Public Bot under Bot."
)
CODE_GRANT: Final = (
    "The bot cannot be added to a server by its link: in the developer portal switch off Requires OAuth2 Code Grant"
    " under Bot."
)
ENDPOINT: Final = (
    "Commands and buttons go to {url} and never reach Roost: in the developer portal clear Interactions Endpoint URL"
    " under General Information."
)
INTENT: Final = "Message Content Intent is switched on."
GATEWAY: Final = "The gateway accepts the bot; {left} of {total} session starts are left today."
CLOSED: Final = (
    "The gateway turns the bot away (code {code}): Discord's documentation explains it under Gateway Close Event"
    " Codes."
)
NO_GATEWAY: Final = (
    "The gateway cannot be reached at {url} ({reason}): see whether this machine, and a proxy in front of it, lets"
    " WebSocket connections pass."
)
FEW_STARTS: Final = (
    "Only {left} of {total} session starts are left for the next {hours} h: find out what starts the bot again and"
    " again, with `roost status` and the log, before Discord resets its token."
)
NO_START: Final = (
    "With {left} session starts left for the next {hours} h the gateway was not tried: leave Roost running, or"
    " stopped, until then."
)

# ---------------------------------------------------------------- servers and channels

SERVERS: Final = "The bot is in {count}: {names}."
NO_SERVER: Final = "The bot is in no server: open the invite link below, and choose one that you manage."
MORE_SERVERS: Final = (
    "{count} were not looked at: name the channels that matter in [[wirings]], and these are looked at wherever they"
    " are."
)
MORE_CHANNELS: Final = "{count} where something is missing are not listed."
SILENCED: Final = "In {server} the bot is timed out until {until}: a moderator has to remove the timeout."
NOWHERE: Final = (
    "In {server} there is no channel in which the bot could answer: open the invite link below for this server once"
    " more, or give the bot's role {permissions} (Server Settings, Roles)."
)
IN_ALL: Final = "{server}: the bot may do all that it needs in {count}."
EVERYTHING: Final = "{channel}: the bot may do all that it needs."
LACKS_NEEDED: Final = (
    "{channel} in {server}: the bot cannot answer as it should, because it lacks {permissions}: allow that for its role"
    " (Edit Channel, Permissions)."
)
LACKS: Final = (
    "{channel} in {server}: the bot lacks {permissions}, and does without: to change that, allow it for its role"
    " (Edit Channel, Permissions)."
)
HIDDEN: Final = (
    "{where} names {id}, a channel that the bot does not see: allow View Channel for its role (Edit Channel,"
    " Permissions), or add the bot to that server by the invite link below."
)
UNKNOWN: Final = (
    "{where} names {id}, which is no channel of Discord's: switch on Developer Mode (User Settings, Advanced),"
    " right-click the channel and choose Copy Channel ID."
)
IS_THREAD: Final = "{where} names {channel}, which is a thread: name the channel that it is in, {parent}."
NO_MESSAGES: Final = "{where} names {channel}, in which nobody can write: name a text channel."
OTHER_CHANNEL: Final = (
    "{where} names {channel} as the thread, which is in another channel: its platform_id is {parent}."
)
NO_THREAD: Final = (
    "{where} names {channel} as the thread, which is none: leave thread_id out, or name a thread."
)
LOCKED: Final = "{where} names {channel}, a thread that is locked: a moderator has to unlock it."
ARCHIVED: Final = "{where} names {channel}, a thread that is archived: the next message there opens it again."

# ---------------------------------------------------------------- commands

COMMANDS: Final = "The commands are registered {where}."
NO_COMMANDS: Final = (
    "The commands are not registered {where} yet: start Roost with `roost run`, which does it."
)
OTHER_COMMANDS: Final = (
    "Other commands are registered {where} than this Roost has: start Roost again, which mends it."
)
NOT_IN_SERVER: Final = (
    "[discord] development_servers names {id}, a server that the bot is not in: add it by the invite link below, or"
    " take the id out."
)
