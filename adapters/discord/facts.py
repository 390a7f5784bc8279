"""What `roost discord check` finds out before it judges, and how it reads that from Discord's answers. Pure.

Whatever is read here raises KeyError, TypeError, ValueError or AttributeError for an answer that is none of Discord's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from adapters.checkup import Named
from adapters.discord.permissions import Overwrite
from adapters.text import shown_name

Json = Mapping[str, Any]

MESSAGE_CONTENT: Final = 1 << 18 | 1 << 19
"""GATEWAY_MESSAGE_CONTENT and its LIMITED form. Discord's documentation, Application Flags."""
THREADS: Final = frozenset((10, 11, 12))
DIRECT: Final = frozenset((1, 3))
SPOKEN: Final = frozenset((2, 13))
"""Channels in which people talk as well, and which have no threads."""
FORUMS: Final = frozenset((15, 16))
"""Channels whose every message is in a thread."""
WRITTEN: Final = frozenset((0, 2, 5, 13))
"""Channels in which people write: text, voice, announcement, stage. Discord's documentation, Channel Types."""


@dataclass(frozen=True)
class Application:
    """What the developer portal says of the bot."""

    id: int
    name: str
    owner: str
    public: bool
    code_grant: bool
    reads_messages: bool
    endpoint: str | None


@dataclass(frozen=True)
class Starts:
    """How many sessions the bot may still begin, of how many, and in how many seconds it is counted anew."""

    left: int
    total: int
    reset_seconds: float


@dataclass(frozen=True)
class Greeting:
    """What became of an IDENTIFY: `code` is that of the gateway's refusal, `reason` why it was not heard. With
    neither the bot was let in."""

    code: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Channel:
    """A channel or thread; `parent` is the channel that a thread is in."""

    id: int
    name: str
    kind: int
    server: int | None
    parent: int | None = None
    overwrites: Sequence[Overwrite] = ()
    archived: bool = False
    locked: bool = False

    @property
    def shown(self) -> str:
        """As a sentence names it."""
        return f"#{self.name} ({self.id})" if self.name else str(self.id)


@dataclass(frozen=True)
class Server:
    """A server, and what the bot is there. `silenced_until` is Discord's own time, where there is one to come."""

    id: int
    name: str
    owned: bool
    roles: Mapping[int, int]
    held: Collection[int]
    silenced_until: str | None
    channels: Sequence[Channel]


@dataclass(frozen=True)
class Place:
    """A place that the configuration names, and what was found there; `around` is the channel of a thread."""

    named: Named
    found: Channel | Literal["unknown", "hidden"]
    around: Channel | None = None


@dataclass(frozen=True)
class Facts:
    """All of it. `servers` are those that were looked at, `names` has all; `registered` the commands by server, None
    being everywhere, and for a server that the bot is not in there are none to know. Without a `greeting` the gateway
    was not tried."""

    me: int
    name: str
    application: Application
    starts: Starts
    greeting: Greeting | None
    gateway_url: str
    names: Sequence[str]
    servers: Sequence[Server]
    places: Sequence[Place]
    registered: Mapping[int | None, Sequence[Json] | None]


def application(data: Json) -> Application:
    """Of GET /applications/@me."""
    team, owner = data.get("team"), data.get("owner") or {}
    return Application(
        int(data["id"]),
        shown_name(data["name"]),
        f"the team {shown_name(team['name'])}"
        if team
        else shown_name(str(owner.get("username") or "somebody")),
        bool(data.get("bot_public")),
        bool(data.get("bot_require_code_grant")),
        bool(int(data.get("flags") or 0) & MESSAGE_CONTENT),
        shown_name(data["interactions_endpoint_url"]) if data.get("interactions_endpoint_url") else None,
    )


def starts(data: Json) -> Starts:
    """Of the session_start_limit of GET /gateway/bot."""
    return Starts(int(data["remaining"]), int(data["total"]), int(data["reset_after"]) / 1000)


def channel(data: Json) -> Channel:
    """Of any channel object."""
    about = data.get("thread_metadata") or {}
    server, parent = data.get("guild_id"), data.get("parent_id")
    return Channel(
        int(data["id"]),
        shown_name(str(data.get("name") or "")),
        int(data["type"]),
        None if server is None else int(server),
        None if parent is None else int(parent),
        [
            Overwrite(int(each["id"]), int(each["allow"]), int(each["deny"]))
            for each in data.get("permission_overwrites") or ()
        ],
        bool(about.get("archived")),
        bool(about.get("locked")),
    )


def server(guild: Json, roles: Sequence[Json], member: Json, channels: Sequence[Json], *, now: str) -> Server:
    """Of the objects of one server; `now` is the time as Discord writes it."""
    until = member.get("communication_disabled_until")
    return Server(
        int(guild["id"]),
        shown_name(guild["name"]),
        bool(guild.get("owner")),
        {int(each["id"]): int(each["permissions"]) for each in roles},
        [int(each) for each in member["roles"]],
        str(until) if until and str(until) > now else None,
        [channel({**each, "guild_id": guild["id"]}) for each in channels],
    )
