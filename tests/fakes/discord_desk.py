"""Who deals with the clients of Discord's gateway: what an identify, a resume and a departure make of a session.

It follows Discord's documentation, "Gateway" and "Gateway Events".
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tests.fakes.discord_intents import Intent
from tests.fakes.discord_session import SESSION_ENDS, CloseCode, GatewaySession, member_chunks, refusal
from tests.fakes.discord_socket import GatewaySocket, Op

API_VERSION: Final = 10
CLIENT_ENDS: Final = (1000, 1001)
"""A client that closes so gives up its session (Discord's documentation, "Gateway", "Initiating a Disconnect")."""


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


class GatewayDesk:
    """All sessions and connections of one bot, and what its clients ask. `changed` is called at every change."""

    def __init__(
        self, world: GatewayWorld, settings: GatewaySettings, changed: Callable[[], None] | None
    ) -> None:
        self.settings = settings
        self.sessions: list[GatewaySession] = []
        """All that there ever were, in the order of their identifies."""
        self.identifies: list[Mapping[str, Any]] = []
        """Those that were refused as well."""
        self.refused_resumes: list[Mapping[str, Any]] = []
        self.close_codes: list[int] = []
        """With what the gateway has closed connections."""
        self._world = world
        self._changed = changed
        self._sockets: list[GatewaySocket] = []
        self._identified: dict[int, float] = {}
        """When there was an identify of a bucket last, on the loop's clock."""

    @property
    def live(self) -> list[GatewaySession]:
        """The sessions that a connection carries now."""
        return [session for session in self.sessions if session.connected]

    # ---------------------------------------------------------------- discord_socket.Desk

    def identified(self, socket: GatewaySocket, data: Any) -> None:
        """Begins a session, or says why not."""
        world, settings = self._world, self.settings
        self.identifies.append(data)
        guilds = world.guild_ids()
        code = refusal(data, token=world.token, switched_on=world.switched_on, guilds=guilds)
        if code is None and len(self.identifies) > settings.session_starts:
            code = (
                CloseCode.AUTHENTICATION_FAILED
            )  # Discord resets the token of who has used up its identifies.
        if code is not None:
            return self.shut(socket, code)
        session = GatewaySession(
            secrets.token_hex(16), data, me=world.bot_user()["id"], replay_events=settings.replay_events
        )
        if self._hasty(session.shard[0]):
            return socket.say(Op.INVALID_SESSION, False)
        session.heartbeats += socket.early_heartbeats
        self.sessions.append(session)
        self._carry(socket, session)
        return self._welcome(session, socket.address)

    def resumed(self, socket: GatewaySocket, data: Any) -> None:
        """Goes on with a session, or says that there is none."""
        asked = data if isinstance(data, Mapping) else {}
        if not self._world.token or str(asked.get("token")).removeprefix("Bot ") != self._world.token:
            return self.shut(socket, CloseCode.AUTHENTICATION_FAILED)
        session = next((each for each in self.sessions if each.id == asked.get("session_id")), None)
        seq = asked.get("seq")
        if session is not None and session.resumable and isinstance(seq, int) and seq > session.seq:
            session.ended = True
            return self.shut(socket, CloseCode.INVALID_SEQ)
        missed = session.after(seq) if session is not None and isinstance(seq, int) else None
        if session is None or seq is None or missed is None or not session.resumable:
            self.refused_resumes.append(asked)
            return socket.say(Op.INVALID_SESSION, False)
        for other in [each for each in self._sockets if each.session is session]:
            self.shut(other, CloseCode.UNKNOWN_ERROR)
        session.resumes.append(seq)
        self._carry(socket, session)
        for each in missed:
            socket.send(each.frame())
        return session.tell("RESUMED", {"_trace": ["[]"]}, always=True)

    def members_asked(self, session: GatewaySession, data: Mapping[str, Any]) -> None:
        """Answers as the request allows."""
        guild_id = str(data.get("guild_id"))
        if guild_id in self._world.guild_ids():
            for chunk in member_chunks(data, self._world.guild_members(guild_id), intents=session.intents):
                session.tell("GUILD_MEMBERS_CHUNK", chunk)

    def shut(self, socket: GatewaySocket, code: int) -> None:
        """Closes a connection."""
        self.close_codes.append(code)
        if socket.session is not None:
            socket.session.close_codes.append(code)
            socket.session.ended |= code in SESSION_ENDS
        self.let_go(socket)
        socket.close(code)

    def left(self, socket: GatewaySocket, code: int | None) -> None:
        """Forgets a connection; its session waits to be resumed."""
        if socket.session is not None and code is not None:
            socket.session.close_codes.append(code)
            socket.session.ended |= code in CLIENT_ENDS
        self.let_go(socket)
        self._sockets.remove(socket)
        self.changed()

    def let_go(self, socket: GatewaySocket) -> None:
        """The connection carries its session no longer."""
        if socket.session is not None:
            socket.session.send = None
            socket.session = None
        self.changed()

    def changed(self) -> None:
        """Passes it on."""
        if self._changed is not None:
            self._changed()

    # ---------------------------------------------------------------- within

    def _carry(self, socket: GatewaySocket, session: GatewaySession) -> None:
        socket.session, session.send = session, socket.send

    def _hasty(self, shard: int) -> bool:
        """Whether an identify comes too soon after another of its bucket."""
        now = asyncio.get_running_loop().time()
        bucket = shard % self.settings.max_concurrency
        last, self._identified[bucket] = self._identified.get(bucket), now
        return last is not None and now - last < self.settings.identify_seconds

    def _welcome(self, session: GatewaySession, address: str) -> None:
        guilds = [each for each in self._world.guild_ids() if session.serves(each)]
        ready: dict[str, Any] = {
            "v": API_VERSION,
            "user": self._world.bot_user(),
            "guilds": [{"id": guild_id, "unavailable": True} for guild_id in guilds],
            "session_id": session.id,
            "resume_gateway_url": address,
            "application": self._world.partial_application(),
            "session_type": "normal",
            "user_settings": {},
            "private_channels": [],
            "presences": [],
            "relationships": [],
        }
        if "shard" in session.identify:
            ready["shard"] = list(session.shard)
        session.tell("READY", ready)
        for guild_id in guilds:
            guild = self._world.guild_create(guild_id)
            if guild is not None and session.wants(Intent.GUILDS):
                session.tell("GUILD_CREATE", self._seen(guild, session))

    def _seen(self, guild: Mapping[str, Any], session: GatewaySession) -> dict[str, Any]:
        """A guild as a session is told of it: without the presences intent it has nobody but the bot."""
        if session.intents & Intent.GUILD_PRESENCES:
            return dict(guild)
        me = self._world.bot_user()["id"]
        members = [each for each in guild.get("members", ()) if each["user"]["id"] == me]
        return {**guild, "members": members, "presences": []}
