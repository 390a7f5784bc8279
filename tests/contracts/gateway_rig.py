"""The gateway by itself: a world of a few guilds, the four calls of REST that a client makes before it connects, and a
client that is nothing but a websocket."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import discord
import pytest
import yarl
from aiohttp import web
from discord.gateway import DiscordWebSocket
from discord.http import Route

from tests.fakes.discord_gateway import GatewayHub, GatewaySettings
from tests.fakes.discord_intents import PRIVILEGED, Intent
from tests.fakes.discord_socket import Op

TOKEN: Final = "made-up.token.of-a-test"  # noqa: S105
ME: Final = "1000000000000000001"
ADA: Final = "1000000000000000002"
LAB: Final = str(2_000_000 << 22)
"""Of shard 0 of two."""
ANNEX: Final = str(2_000_001 << 22)
"""Of shard 1 of two."""
CHANNELS: Final = {LAB: LAB[:-1] + "7", ANNEX: ANNEX[:-1] + "7"}
MESSAGES: Final = Intent.GUILD_MESSAGES | Intent.DIRECT_MESSAGES
SUFFIX: Final = b"\x00\x00\xff\xff"


def user(user_id: str, name: str, *, bot: bool = False) -> dict[str, Any]:
    """A user object."""
    return {
        "id": user_id,
        "username": name,
        "discriminator": "0",
        "global_name": None,
        "avatar": None,
        "bot": bot,
        "public_flags": 0,
    }


def member(user_id: str, name: str) -> dict[str, Any]:
    """A member object."""
    joined = {"joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False, "flags": 0}
    return {"user": user(user_id, name, bot=user_id == ME), "roles": [], "nick": None, **joined}


def message(number: int, content: str, *, guild_id: str | None = LAB, **more: Any) -> dict[str, Any]:
    """A message object of Ada's, as MESSAGE_CREATE has it."""
    told: dict[str, Any] = {
        "id": str(int(LAB) + 100 + number),
        "channel_id": CHANNELS[guild_id] if guild_id else "1000000000000000009",
        "author": user(ADA, "ada"),
        "content": content,
        "timestamp": "2026-01-01T00:00:00+00:00",
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "components": [],
        "pinned": False,
        "type": 0,
    }
    return told | ({"guild_id": guild_id} if guild_id else {}) | more


class TinyWorld:
    """Two guilds with a channel each; `unavailable` ones have no GUILD_CREATE."""

    def __init__(self) -> None:
        self.token = TOKEN
        self.switched_on = PRIVILEGED
        self.unavailable: set[str] = set()
        self.guilds = [LAB, ANNEX]
        self.crowd = 0
        """How many members there are besides the bot and Ada."""

    def bot_user(self) -> Mapping[str, Any]:
        """Roost."""
        return user(ME, "roost", bot=True)

    def partial_application(self) -> Mapping[str, Any]:
        """Its application."""
        return {"id": ME, "flags": 0}

    def guild_ids(self) -> Sequence[str]:
        """Both."""
        return self.guilds

    def guild_members(self, guild_id: str) -> Sequence[Mapping[str, Any]]:
        """The bot, Ada and the crowd."""
        crowd = [member(str(int(ADA) + 1 + number), f"nobody{number}") for number in range(self.crowd)]
        return [member(ME, "roost"), member(ADA, "ada"), *crowd]

    def guild_create(self, guild_id: str) -> Mapping[str, Any] | None:
        """A guild object as small as discord.py can read it."""
        if guild_id in self.unavailable:
            return None
        channel = {"id": CHANNELS[guild_id], "type": 0, "name": "general", "position": 0}
        channel |= {"permission_overwrites": [], "parent_id": None}
        role = {"id": guild_id, "name": "@everyone", "permissions": "0", "position": 0, "color": 0}
        role |= {"colors": {"primary_color": 0}, "hoist": False, "managed": False, "mentionable": False}
        return {
            "id": guild_id,
            "name": "Lab",
            "owner_id": ADA,
            "member_count": 2 + self.crowd,
            "members": self.guild_members(guild_id),
            "channels": [channel],
            "roles": [role],
            "threads": [],
            "large": False,
            "unavailable": False,
        }


class Rig:
    """A server with the gateway and the calls before it."""

    def __init__(self, world: TinyWorld, settings: GatewaySettings) -> None:
        self.world = world
        self.hub = GatewayHub(world, settings=settings)
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Rig]:
        """Serves on loopback for the length of a block."""
        app = web.Application()
        app.router.add_get("/gateway/", self.hub.handle)
        app.router.add_get("/api/users/@me", self._me)
        app.router.add_get("/api/oauth2/applications/@me", self._application)
        app.router.add_get("/api/gateway/bot", self._gateway_bot)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await self.hub.stop()
            await runner.cleanup()

    @property
    def gateway_url(self) -> str:
        """Where the gateway is."""
        return self.url.replace("http", "ws", 1) + "/gateway/"

    def say(self, number: int, content: str, *, guild_id: str | None = LAB, **more: Any) -> None:
        """Ada says something in a guild's channel or to the bot alone."""
        data = message(number, content, guild_id=guild_id, **more)
        intent = Intent.GUILD_MESSAGES if guild_id else Intent.DIRECT_MESSAGES
        self.hub.dispatch("MESSAGE_CREATE", data, intent=intent, guild_id=guild_id)

    async def _me(self, _: web.Request) -> web.Response:
        return _json(self.world.bot_user())

    async def _application(self, _: web.Request) -> web.Response:
        about = {"id": ME, "name": "roost", "description": "", "icon": None, "verify_key": "", "flags": 0}
        return _json(
            {**about, "bot_public": False, "bot_require_code_grant": False, "owner": user(ADA, "ada")}
        )

    async def _gateway_bot(self, _: web.Request) -> web.Response:
        limit = self.hub.session_start_limit()
        shards = self.hub.settings.shards
        return _json({"url": self.gateway_url, "shards": shards, "session_start_limit": limit})


def _json(body: Any) -> web.Response:
    # discord.py reads nothing as JSON that has another type, a charset included.
    return web.Response(body=json.dumps(body).encode(), content_type="application/json")


class Client(discord.AutoShardedClient):
    """The real client, which does not sleep before it identifies, and remembers what it was told."""

    def __init__(self, rig: Rig, *, intents: discord.Intents | None = None, **options: Any) -> None:
        wanted = discord.Intents.default() if intents is None else intents
        super().__init__(intents=wanted, guild_ready_timeout=0.05, **options)
        self.rig = rig
        self.said: list[str] = []
        self.happened: list[str] = []

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Discord's five seconds are the gateway's own affair here."""

    async def on_message(self, message: discord.Message) -> None:
        """Notes what it says."""
        self.said.append(message.content)
        self.rig.hub.changed()

    async def on_ready(self) -> None:
        """Notes it."""
        self._note("ready")

    async def on_shard_resumed(self, shard_id: int) -> None:
        """Notes it."""
        self._note(f"resumed {shard_id}")

    async def on_shard_disconnect(self, shard_id: int) -> None:
        """Notes it."""
        self._note(f"disconnect {shard_id}")

    def _note(self, what: str) -> None:
        self.happened.append(what)
        self.rig.hub.changed()


def pointed_at(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has discord.py speak to the rig for the length of a test."""
    monkeypatch.setattr(Route, "BASE", f"{rig.url}/api")
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(rig.gateway_url))


class Raw:
    """A client that does what it is told and nothing else."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.frames: list[bytes] = []
        """What came while it was compressed, as it came."""
        self._zlib = zlib.decompressobj()

    async def send(self, op: int, data: Any = None) -> None:
        """Sends a payload."""
        await self.ws.send_str(json.dumps({"op": op, "d": data}))

    async def read(self) -> dict[str, Any]:
        """The next payload. Raises Closed."""
        got = await self.ws.receive(timeout=10)
        if got.type == aiohttp.WSMsgType.BINARY:
            self.frames.append(got.data)
            text = self._zlib.decompress(got.data).decode()
        elif got.type == aiohttp.WSMsgType.TEXT:
            text = got.data
        else:
            raise Closed(self.ws.close_code)
        payload: dict[str, Any] = json.loads(text)
        return payload

    async def until(self, *, op: int = Op.DISPATCH, event: str | None = None) -> dict[str, Any]:
        """The next payload with this op, and this event's name."""
        while True:
            payload = await self.read()
            if payload["op"] == op and event in (None, payload["t"]):
                return payload

    async def identify(self, *, intents: int = int(Intent.GUILDS | MESSAGES), **more: Any) -> None:
        """Sends an identify."""
        properties = {"os": "linux", "browser": "test", "device": "test"}
        await self.send(Op.IDENTIFY, {"token": TOKEN, "properties": properties, "intents": intents, **more})

    async def begin(self, **identify: Any) -> Mapping[str, Any]:
        """Identifies and returns READY's data."""
        await self.until(op=Op.HELLO)
        await self.identify(**identify)
        ready: Mapping[str, Any] = (await self.until(event="READY"))["d"]
        return ready

    async def resume(self, session_id: str, seq: int) -> None:
        """Waits for the hello and sends a resume."""
        await self.until(op=Op.HELLO)
        await self.send(Op.RESUME, {"token": TOKEN, "session_id": session_id, "seq": seq})


class Closed(Exception):
    """Raised when the gateway has closed the connection, with its code."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


@asynccontextmanager
async def raw(rig: Rig, *, query: str = "v=10&encoding=json") -> AsyncIterator[Raw]:
    """A connection for the length of a block."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{rig.gateway_url}?{query}", autoclose=False) as ws,
    ):
        yield Raw(ws)


async def refused(rig: Rig, client: Raw) -> int | None:
    """The code with which the gateway closes the connection, sooner or later."""
    with pytest.raises(Closed) as closed:
        await client.until(event="READY")
    assert rig.hub.close_codes[-1] == closed.value.code
    return closed.value.code
