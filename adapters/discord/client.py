"""The connection to Discord's gateway: the library's client, whose events go to a `Listener`.

The library resumes a connection that broke, which loses nothing, and begins a new one where it cannot. What it makes of
an event is its own: one that it does not understand must not end the connection.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import aiohttp
import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route as Call

MAX_PAUSE_SECONDS: Final = 30.0
"""A call that Discord puts off for longer fails, and is tried again by whoever wants it."""
GROUP: Final = 3
"""A channel with several people outside of a server. Discord's documentation, Channel Types."""
MAX_GROUPS: Final = 10_000
"""That are known for one; more would be taken for conversations with a single person."""
PLAIN: Final = frozenset(
    {
        "attachments", "author", "channel_id", "channel_type", "content", "edited_timestamp", "flags", "guild_id", "id",
        "member", "mention_everyone", "mention_roles", "mentions", "message_reference", "nonce", "pinned",
        "referenced_message", "timestamp", "tts", "type", "webhook_id",
    }
)  # fmt: skip
"""What makes a message one: words, files, who and where. Discord's documentation, Message Object."""
LONGEST_BACKOFF: Final = 5
"""The library waits up to so many powers of two of seconds before it begins anew; by itself up to a quarter of an hour.
"""

_log = logging.getLogger("roost.discord")


@dataclass(frozen=True)
class Timing:
    """How long the adapter waits for what, in seconds."""

    identify_pause: float = 5.0
    """Before a new session of the gateway: Discord allows one in five seconds. Documentation, Gateway, Identifying."""
    guilds: float = 2.0
    """After the last server that the gateway has told of, before it counts as all."""
    first_text: float = 0.7
    """From the first live text to the message that shows it: most answers are whole by then."""
    edit: float = 1.2
    """Between two changes of the live text in one channel."""
    typing_begins: float = 0.3
    typing_again: float = 8.0
    """Discord shows it for ten."""
    silence: float = 90.0
    """Without an event for so long the connection is tried."""
    probe: float = 20.0
    """How long that may take."""
    defer: float = 1.0
    """A command that takes longer is answered later. Discord waits for three."""
    online: float = 10.0
    """How long a reply waits for the bot to be logged in."""
    fetch_connect: float = 10.0
    fetch_silence: float = 15.0
    """Without a byte for so long a file of a person's counts as not to be had."""
    heartbeat: float = 60.0
    """Without a word for so long, not even a heartbeat acknowledged, a connection counts as dead."""
    closing: float = 5.0
    """How long the other end of a connection that is closed may take to say so: a dead one never does."""
    again: float = 1.0
    """Before a connection that was refused is tried again, and twice as long each time."""
    longest: float = 60.0
    """... but never longer than this."""
    mended: float = 300.0
    """Between two tries of what an operator has to mend: Discord allows 1,000 sessions a day."""
    noted: float = 30.0
    """Between two notes of until when everything was heard."""
    gap_told: float = 120.0
    """A shorter gap is not worth a word."""


class Listener(Protocol):
    """What is done about what Discord tells. None may raise, or wait for anything."""

    def on_message(self, message: discord.Message) -> None:
        """Somebody has said something."""

    def on_edit(self, message: discord.Message) -> None:
        """A message has changed."""

    def on_delete(self, channel: int, messages: frozenset[int]) -> None:
        """Messages were taken away."""

    def on_reaction(self, reaction: discord.RawReactionActionEvent) -> None:
        """Somebody has put an emoji on a message, or taken it away."""

    def on_interaction(self, interaction: discord.Interaction) -> None:
        """Somebody has given a command, pressed a button, filled in a form."""

    def on_thread_gone(self, thread: int) -> None:
        """A thread was deleted."""

    def on_place(self, channel: discord.abc.GuildChannel, *, gone: bool) -> None:
        """A channel of a server is there, is called something else, or was deleted."""

    def on_begin(self, shard: int) -> None:
        """A new session of the gateway: what was said before it is not told."""

    def on_lost(self, shard: int, quiet_seconds: float) -> None:
        """A connection is gone, on which nothing had come for so long."""

    def on_resumed(self, shard: int) -> None:
        """A connection goes on where it broke: what was missed has been told."""

    def on_refused(self, reason: str) -> None:
        """The gateway takes no connection, more than once; it is tried again and again."""


def intents() -> discord.Intents:
    """What the bot asks to be told of; `message_content` is a privileged intent (Discord's documentation, Gateway,
    Privileged Intents)."""
    asked = discord.Intents.none()
    asked.guilds = asked.messages = asked.reactions = asked.message_content = True
    return asked


class Client(discord.AutoShardedClient):
    """The library's client with our settings."""

    def __init__(
        self,
        listener: Listener,
        *,
        rest_url: str,
        gateway_url: str | None,
        timing: Timing,
        trace: aiohttp.TraceConfig,
    ) -> None:
        # The library warns of every bot that it cannot talk aloud; ours never does.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        super().__init__(
            intents=intents(),
            max_messages=None,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            guild_ready_timeout=timing.guilds,
            heartbeat_timeout=timing.heartbeat,
            # A launch ends with a connection: `_connected` tries again, and says so.
            shard_connect_timeout=None,
            http_trace=trace,
            max_ratelimit_timeout=MAX_PAUSE_SECONDS,
            allowed_mentions=discord.AllowedMentions.none(),
        )
        # The library keeps both addresses with its classes: a process speaks to one Discord.
        Call.BASE = rest_url.rstrip("/")
        self._began = time.monotonic()
        self._heard: dict[int, float] = {}
        """When the last event came for each shard, on the steady clock."""
        self.groups: set[int] = set()
        self._listener = listener
        self._gateway_url = gateway_url
        self._timing = timing
        self._guard()

    async def setup_hook(self) -> None:
        """Called by the library when it is logged in."""
        find = self.http.get_bot_gateway
        chosen = self._gateway_url

        async def found() -> Any:
            shards, url, limits = await find()
            url = chosen or url
            DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(url)
            return shards, url, limits

        connect = self.http.ws_connect

        async def connected(url: str, **options: Any) -> aiohttp.ClientWebSocketResponse:
            return await self._connected(partial(connect, url, **options))

        self.http.get_bot_gateway = found  # type: ignore[method-assign]
        self.http.ws_connect = connected  # type: ignore[method-assign]

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Called by the library before each new session."""
        if not initial:
            await asyncio.sleep(self._timing.identify_pause)

    async def launch_shard(self, gateway: yarl.URL, shard_id: int, *, initial: bool = False) -> None:
        """Called by the library for each shard in turn."""
        await super().launch_shard(gateway, shard_id, initial=initial)
        launched = self.get_shard(shard_id)
        if launched is not None:
            launched._parent._backoff._max = LONGEST_BACKOFF

    def quiet_seconds(self, shard: int) -> float:
        """For how long there has been no event for it."""
        return time.monotonic() - self._heard.get(shard, self._began)

    async def _connected(
        self, connect: Callable[[], Awaitable[aiohttp.ClientWebSocketResponse]]
    ) -> aiohttp.ClientWebSocketResponse:
        """Tries until the gateway takes a connection: a session is resumed then that would be lost otherwise."""
        wait, failures = self._timing.again, 0
        while True:
            try:
                socket = await connect()
            except (aiohttp.ClientError, OSError) as exc:
                failures += 1
                reason = _reason(exc)
                _log.warning("Discord cannot be reached: %s", reason)
                if failures > 1:
                    self._listener.on_refused(reason)
                await asyncio.sleep(wait)
                wait = min(self._timing.longest, wait * 2)
            else:
                socket._timeout = aiohttp.ClientWSTimeout(ws_close=self._timing.closing)
                return socket

    def _shard_of(self, name: str, data: Any) -> int:
        """Whose event it is: what belongs to no server comes on the first. Discord's documentation, Sharding."""
        if "__shard_id__" in data:
            return int(data["__shard_id__"])
        if name == "READY":
            return int(data["shard"][0])
        guild = (
            data.get("id") if name.startswith("GUILD_") and "guild_id" not in data else data.get("guild_id")
        )
        return 0 if guild is None else (int(guild) >> 22) % (self.shard_count or 1)

    def _guard(self) -> None:
        """What the library cannot read is left out, and said: it would end the connection otherwise."""
        parsers: dict[str, Callable[[Any], Any]] = self._connection.parsers

        def guarded(name: str, parse: Callable[[Any], Any]) -> Callable[[Any], None]:
            def attempt(data: Any) -> None:
                try:
                    self._heard[self._shard_of(name, data)] = time.monotonic()
                    if name == "MESSAGE_CREATE" and data.get("channel_type") == GROUP:
                        self._is_group(int(data["channel_id"]))
                    parse(data)
                except Exception:
                    _log.warning("an event of Discord's could not be read: %s", name, exc_info=True)
                    self._read_plainly(name, data, parse)

            return attempt

        for name, parse in list(parsers.items()):
            parsers[name] = guarded(name, parse)

    def _read_plainly(self, name: str, data: Any, parse: Callable[[Any], Any]) -> None:
        """A message of somebody's is heard, though Discord has put something new on it that the library cannot read."""
        if name != "MESSAGE_CREATE" or not isinstance(data, dict) or "content" not in data:
            return
        try:
            parse({key: value for key, value in data.items() if key in PLAIN} | {"embeds": []})
        except Exception:
            _log.warning("the words of a message could not be read either", exc_info=True)

    def _is_group(self, channel: int) -> None:
        if len(self.groups) < MAX_GROUPS:
            self.groups.add(channel)

    # ---------------------------------------------------------------- called by the library

    async def on_message(self, message: discord.Message) -> None:
        """Called by the library, in order."""
        self._listener.on_message(message)

    async def on_raw_message_edit(self, change: discord.RawMessageUpdateEvent) -> None:
        """Called by the library."""
        self._listener.on_edit(change.message)

    async def on_raw_message_delete(self, deleted: discord.RawMessageDeleteEvent) -> None:
        """Called by the library."""
        self._listener.on_delete(deleted.channel_id, frozenset((deleted.message_id,)))

    async def on_raw_bulk_message_delete(self, deleted: discord.RawBulkMessageDeleteEvent) -> None:
        """Called by the library."""
        self._listener.on_delete(deleted.channel_id, frozenset(deleted.message_ids))

    async def on_raw_reaction_add(self, reaction: discord.RawReactionActionEvent) -> None:
        """Called by the library."""
        self._listener.on_reaction(reaction)

    async def on_raw_reaction_remove(self, reaction: discord.RawReactionActionEvent) -> None:
        """Called by the library."""
        self._listener.on_reaction(reaction)

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Called by the library."""
        self._listener.on_interaction(interaction)

    async def on_raw_thread_delete(self, deleted: discord.RawThreadDeleteEvent) -> None:
        """Called by the library."""
        self._listener.on_thread_gone(deleted.thread_id)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Called by the library when the bot was added to a server."""
        for channel in guild.channels:
            self._listener.on_place(channel, gone=False)

    async def on_guild_channel_create(self, channel: discord.abc.GuildChannel) -> None:
        """Called by the library."""
        self._listener.on_place(channel, gone=False)

    async def on_guild_channel_update(
        self, before: discord.abc.GuildChannel, after: discord.abc.GuildChannel
    ) -> None:
        """Called by the library."""
        self._listener.on_place(after, gone=False)

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        """Called by the library."""
        self._listener.on_place(channel, gone=True)

    async def on_shard_ready(self, shard_id: int) -> None:
        """Called by the library after each new session, when its servers are known."""
        self._listener.on_begin(shard_id)

    async def on_shard_disconnect(self, shard_id: int) -> None:
        """Called by the library whenever a connection ends."""
        self._listener.on_lost(shard_id, self.quiet_seconds(shard_id))

    async def on_shard_resumed(self, shard_id: int) -> None:
        """Called by the library."""
        self._listener.on_resumed(shard_id)

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        """Called by the library for what a handler has raised."""
        _log.exception("an event of Discord's could not be dealt with: %s", event_method)


def _reason(exc: Exception) -> str:
    """Without the address, which says nothing to an operator."""
    if isinstance(exc, aiohttp.WSServerHandshakeError):
        return f"its gateway answers {exc.status}"
    return str(exc) or type(exc).__name__
