"""Discord's gateway, version 10, on the wire: the real discord.py client connects to it unchanged.

It follows Discord's documentation, "Gateway" and "Gateway Events". A client begins anew at the address that
`discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY` holds, after an op 9 and with a shard count of its own, and not at
the one that GET /gateway/bot gives: whoever uses it sets both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from tests.fakes.discord_intents import PRIVILEGED


class GatewayWorld(Protocol):
    """What the gateway has to know of the world that it tells of. Ids are texts, and every object is as it goes over
    the wire."""

    @property
    def token(self) -> str:
        """The bot's, without a word before it; "" when it was revoked."""

    @property
    def switched_on(self) -> int:
        """The privileged intents that the application has: Intent bits."""

    def bot_user(self) -> Mapping[str, Any]:
        """The bot's own user object."""

    def partial_application(self) -> Mapping[str, Any]:
        """The application's `id` and `flags`."""

    def guild_ids(self) -> Sequence[str]:
        """The guilds that the bot is in, those that are unavailable as well."""

    def guild_create(self, guild_id: str) -> Mapping[str, Any] | None:
        """What GUILD_CREATE says of a guild, with all its members (the gateway leaves out whom the session may not
        see); None while the guild is unavailable."""

    def guild_members(self, guild_id: str) -> Sequence[Mapping[str, Any]]:
        """All member objects of a guild, each with its `user`."""


@dataclass(frozen=True)
class GatewaySettings:
    """How strict the gateway is. Durations are in seconds."""

    heartbeat_seconds: float = 41.25
    identify_seconds: float = 0.0
    """An identify of the same bucket (shard % max_concurrency) within this time of the one before it is answered by op
    9. Discord's is 5; 0 because discord.py sleeps that long before every identify but its first one."""
    max_concurrency: int = 1
    session_starts: int = 1000
    """How many identifies a day has."""
    shards: int = 1
    """How many GET /gateway/bot recommends."""
    replay_events: int = 1000
    """How many of its last events a session can have again by RESUME."""
    commands_per_minute: int = 120
    """What a connection may send before it is closed with 4008."""
    all_privileged: int = PRIVILEGED


class GatewayHub:
    """All sessions and connections of one bot. What it does to them is done when the call returns; what the clients
    make of it comes afterwards. `changed` is called at every change, for whoever waits for one."""

    def __init__(
        self,
        world: GatewayWorld,
        *,
        settings: GatewaySettings | None = None,
        changed: Callable[[], None] | None = None,
    ) -> None:
        self.sessions: list[Any] = []
        """All that there ever were, in the order of their identifies."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The route of the gateway's address: GET, at whatever path the world's URL names."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Cuts every connection, before the server's runner is cleaned up."""

    def dispatch(
        self, event: str, data: Mapping[str, Any], *, intent: int | None, guild_id: str | None = None
    ) -> None:
        """Tells those sessions of an event who hold any bit of `intent` (None: all do) and whose shard the guild is;
        without a guild, shard 0. `data` is taken as it is now."""

    def session_start_limit(self) -> dict[str, int]:
        """For GET /gateway/bot: total, remaining, reset_after (milliseconds), max_concurrency."""
        raise NotImplementedError

    def drop(self) -> None:
        """Cuts the TCP connections without a word; the sessions can be resumed."""

    def reconnect(self) -> None:
        """Op 7."""

    def invalidate(self, *, resumable: bool = False) -> None:
        """Op 9. What is not resumable is forgotten."""

    def close(self, code: int) -> None:
        """Closes every connection with a code; those after which Discord has a client begin anew end the session."""

    def mute(self) -> None:
        """Zombies: the present connections stay open, and nothing comes, not even an acknowledgement."""

    def unmute(self) -> None:
        """What was held back by `mute` comes."""

    def deafen(self) -> None:
        """Connected but deaf: the present sessions are told of no event any more, and never of those they miss."""

    def hear(self) -> None:
        """Ends `deafen`. A new session hears anyway."""

    def forget_sessions(self) -> None:
        """No session that there is now can be resumed: RESUME is answered by op 9."""

    def hold(self) -> None:
        """What is dispatched from now on waits."""

    def release(self) -> None:
        """What has waited since `hold` comes, at once and in its order."""

    def refuse(self, *, times: int, status: int = 503) -> None:
        """The next connections are refused before they are websockets."""
