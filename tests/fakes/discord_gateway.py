"""Discord's gateway, version 10, on the wire: the real discord.py client connects to it unchanged.

It follows Discord's documentation, "Gateway" and "Gateway Events". A client begins anew at the address that
`discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY` holds, after an op 9 and with a shard count of its own, and not at
the one that GET /gateway/bot gives: whoever uses it sets both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from tests.fakes.discord_desk import API_VERSION, GatewayDesk, GatewaySettings, GatewayWorld
from tests.fakes.discord_session import CloseCode
from tests.fakes.discord_socket import GatewaySocket, Op
from tests.fakes.news import UNTIL_SECONDS, News

__all__ = ["GatewayHub", "GatewaySettings", "GatewayWorld"]

COMPRESSIONS: Final = (None, "zlib-stream")
CLOSING_SECONDS: Final = 2.0
"""How long a client has to answer a close frame."""
DAY_MS: Final = 24 * 60 * 60 * 1000


class GatewayHub(GatewayDesk):
    """Discord's gateway for one bot, and what a test does to it. What it does to connections is done when the call
    returns; what the clients make of it comes afterwards. `changed` is called at every change, for whoever waits for
    one. Where a fault takes a `shard`, None means all of them."""

    def __init__(
        self,
        world: GatewayWorld,
        *,
        settings: GatewaySettings | None = None,
        changed: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(world, settings or GatewaySettings(), changed)
        self.connections = 0
        """How many were tried, those that were refused as well."""
        self._held: list[Callable[[], None]] | None = None
        self._refusals: list[int] = []
        self._news = News()

    # ---------------------------------------------------------------- what the server does

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The route of the gateway's address: GET, at whatever path the world's URL names."""
        self.connections += 1
        self.changed()
        if self._refusals:
            return web.Response(status=self._refusals.pop(0), text="the gateway is not available")
        compression = request.query.get("compress")
        if request.query.get("encoding", "json") != "json" or compression not in COMPRESSIONS:
            return web.Response(
                status=400, text="this gateway speaks JSON, as it is or with compress=zlib-stream"
            )
        ws = web.WebSocketResponse(autoclose=False, timeout=CLOSING_SECONDS, compress=False)
        await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return ws
        socket = GatewaySocket(
            ws,
            transport.abort,
            self,
            compressed=compression is not None,
            heartbeat_seconds=self.settings.heartbeat_seconds,
            commands_per_minute=self.settings.commands_per_minute,
        )
        socket.address = str(request.url.with_scheme("ws").with_query(None))
        self._sockets.append(socket)
        if request.query.get("v") != str(API_VERSION):
            self.shut(socket, CloseCode.INVALID_API_VERSION)
        await socket.run()
        return ws

    async def stop(self) -> None:
        """Cuts every connection, before the server's runner is cleaned up."""
        self.drop()
        await self._news.until(lambda: not self._sockets)

    async def until(self, holds: Callable[[], bool], *, seconds: float = UNTIL_SECONDS) -> None:
        """Returns when `holds` does, looked at whenever something changes. Raises TimeoutError."""
        await self._news.until(holds, seconds=seconds)

    def changed(self) -> None:
        """Passes it on."""
        self._news.tell()
        super().changed()

    def dispatch(
        self, event: str, data: Mapping[str, Any], *, intent: int | None, guild_id: str | None = None
    ) -> None:
        """Tells those sessions of an event who hold any bit of `intent` (None: all do) and whose shard the guild is;
        without a guild, shard 0. `data` is taken as it is now."""
        kept = json.loads(json.dumps(data))

        def tell() -> None:
            for session in self.sessions:
                if session.serves(guild_id) and session.wants(intent):
                    session.tell(event, kept)
            self.changed()

        if self._held is None:
            tell()
        else:
            self._held.append(tell)

    def session_start_limit(self) -> dict[str, int]:
        """For GET /gateway/bot: total, remaining, reset_after (milliseconds), max_concurrency."""
        return {
            "total": self.settings.session_starts,
            "remaining": max(0, self.settings.session_starts - len(self.identifies)),
            "reset_after": DAY_MS,
            "max_concurrency": self.settings.max_concurrency,
        }

    # ---------------------------------------------------------------- faults

    def drop(self, *, shard: int | None = None) -> None:
        """Cuts the TCP connections without a word; the sessions can be resumed."""
        for socket in self._of(shard):
            self.let_go(socket)
            socket.cut()

    def reconnect(self, *, shard: int | None = None) -> None:
        """Op 7."""
        for socket in self._of(shard):
            socket.say(Op.RECONNECT)

    def invalidate(self, *, resumable: bool = False, shard: int | None = None) -> None:
        """Op 9. What is not resumable is forgotten."""
        for socket in self._of(shard):
            if socket.session is not None and not resumable:
                socket.session.ended = True
            self.let_go(socket)
            socket.say(Op.INVALID_SESSION, resumable)

    def close(self, code: int, *, shard: int | None = None) -> None:
        """Closes the connections with a code; those after which Discord has a client begin anew end the session."""
        for socket in self._of(shard):
            self.shut(socket, code)

    def ask_heartbeat(self, *, shard: int | None = None) -> None:
        """Op 1: the client answers at once."""
        for socket in self._of(shard):
            socket.say(Op.HEARTBEAT)

    def mute(self, *, shard: int | None = None) -> None:
        """Zombies: the present connections stay open, and nothing comes, not even an acknowledgement. What they should
        have been told can be had by RESUME."""
        for socket in self._of(shard):
            socket.mute()

    def unmute(self, *, shard: int | None = None) -> None:
        """What was held back by `mute` comes."""
        for socket in self._of(shard):
            socket.unmute()

    def deafen(self, *, shard: int | None = None) -> None:
        """Connected but deaf: the present sessions are told of no event any more, and never of those they miss."""
        for session in self.sessions:
            session.deaf = session.deaf or shard in (None, session.shard[0])

    def hear(self) -> None:
        """Ends `deafen`. A new session hears anyway."""
        for session in self.sessions:
            session.deaf = False

    def forget_sessions(self) -> None:
        """No session that there is now can be resumed: RESUME is answered by op 9. Who is connected stays so."""
        for session in self.sessions:
            session.forgotten = True

    def hold(self) -> None:
        """What is dispatched from now on waits."""
        self._held = [] if self._held is None else self._held

    def release(self) -> None:
        """What has waited since `hold` comes, at once and in its order."""
        held, self._held = self._held or [], None
        for tell in held:
            tell()

    def refuse(self, *, times: int, status: int = 503) -> None:
        """The next connections are refused before they are websockets."""
        self._refusals += [status] * times

    def _of(self, shard: int | None) -> list[GatewaySocket]:
        return [
            socket
            for socket in self._sockets
            if shard is None or (socket.session is not None and socket.session.shard[0] == shard)
        ]
