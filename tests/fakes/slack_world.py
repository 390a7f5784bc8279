"""The fake Slack's world: what there is, and what every change of it is told as.

An event is told only where the bot is a member, and only with the scope that it takes, as Slack does.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from adapters.slack.methods import EVENTS
from agent.protocol.clock import Clock
from tests.fakes.changes import News
from tests.fakes.slack_things import TOLD_AS, File, Kind, Message, Place, Session, User

STATUS_MS: Final = 120_000
"""After so long an older kind of status is taken away. Slack's documentation, assistant.threads.setStatus."""
SHARE_SECONDS: Final = 0.02
REMARKS: Final = (
    "channel_join",
    "channel_leave",
    "group_join",
    "group_leave",
    "channel_topic",
    "channel_purpose",
)
"""Slack's own words: a mention in them is none."""
PREFIXES: Final[Mapping[Kind, str]] = {"channel": "C", "private": "C", "im": "D", "mpim": "G"}
HISTORY: Final[Mapping[Kind, str]] = {
    "channel": "channels:history",
    "private": "groups:history",
    "im": "im:history",
    "mpim": "mpim:history",
}
READS: Final[Mapping[Kind, str]] = {
    "channel": "channels:read",
    "private": "groups:read",
    "im": "im:read",
    "mpim": "mpim:read",
}
SUBSCRIBED: Final[Mapping[Kind, str]] = {
    "channel": "message.channels",
    "private": "message.groups",
    "im": "message.im",
    "mpim": "message.mpim",
}


class World:
    """One workspace. `clock` is its time, in epoch milliseconds; `scopes` is what the app was granted."""

    def __init__(self, clock: Clock, news: News, scopes: Iterable[str]) -> None:
        self.clock = clock
        self.scopes = set(scopes)
        self.events: frozenset[str] | None = frozenset(EVENTS)
        """What the app has subscribed to; None: everything."""
        self.team = "T0LAB"
        self.users: dict[str, User] = {}
        self.places: dict[str, Place] = {}
        self.files: dict[str, File] = {}
        self.sessions: dict[tuple[str, str], Session] = {}
        self.statuses: dict[tuple[str, str], list[str]] = {}
        """Of each thread what assistant.threads.setStatus has said there, in its order."""
        self.prompts: dict[str, list[dict[str, Any]]] = {}
        self.prompt_titles: dict[str, str] = {}
        self.homes: dict[str, dict[str, Any]] = {}
        self.has_agent_view = True
        """The app is declared as an agent; `has_assistant` is the same of the older kind."""
        self.has_assistant = True
        self.mention_first = False
        """Of a message that names the bot, app_mention comes before the message: Slack keeps no order."""
        self.groups: dict[str, Any] = {}
        """The user groups; slack_groups.UserGroup. `has_groups` says whether the workspace's plan has any."""
        self.has_groups = True
        self.has_home = True
        """The app's Home tab is switched on; `has_messages` is the same of its Messages tab."""
        self.has_messages = True
        self.stream_seconds = 300.0
        """A stream is over so long after it began."""
        self.idle_seconds = 120.0
        """... and when nothing was added to it for so long."""
        self.share_seconds = SHARE_SECONDS
        """How long the message takes that shows a file of the app's."""
        self.files_url = ""
        """Where files lie; the server's address."""
        self.told: list[dict[str, Any]] = []
        """All events that the app was told, in their envelopes."""
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self.triggers: Any = None
        """By which forms open; slack_interactions.Triggers."""
        self._news = news
        self._shown: dict[tuple[str, str], tuple[int, str]] = {}
        self._sharing: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._last = 0
        self.bot = User(self.id("U"), "roost", self.team, is_bot=True, bot_id=self.id("B"))
        self.users[self.bot.id] = self.bot
        self.app_id = self.bot.app = "A0TEST"
        """As the app's token says it."""

    def id(self, prefix: str) -> str:
        """A new id."""
        return f"{prefix}0{next(self._numbers):06d}"

    def ts(self) -> str:
        """A time that nothing else has."""
        self._last = max(self._last + 1, self.clock() * 1000)
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"

    def changed(self) -> None:
        """Whoever waits looks again."""
        self._news.tell()

    # ---------------------------------------------------------------- places and people

    def add_place(self, name: str, kind: Kind, members: Iterable[User], *, shared: bool = False) -> Place:
        """A new one."""
        place = Place(self.id(PREFIXES[kind]), name, kind, list(members), is_shared=shared)
        place.created_at, place.world = self.clock(), self
        self.places[place.id] = place
        return place

    def direct(self, user: User) -> Place:
        """The conversation of somebody with the bot."""
        for place in self.places.values():
            if place.kind == "im" and user in place.members:
                return place
        return self.add_place(user.name, "im", [user, self.bot])

    def tell_joined(self, place: Place, user: User) -> None:
        """Somebody has come in."""
        body = {"type": "member_joined_channel", "user": user.id, "channel": place.id, "team": user.team}
        body |= {
            "channel_type": "C" if place.kind == "channel" else "G",
            "inviter": place.members[0].id,
            "event_ts": self.ts(),
        }
        self.tell(body, place, READS[place.kind], "member_joined_channel")
        self.changed()

    def tell_left(self, place: Place, user: User) -> None:
        """Somebody has gone. Of its own going the bot is told by another name."""
        private = place.kind != "channel"
        if user is self.bot:
            kind = "group_left" if private else "channel_left"
            self.tell(
                {"type": kind, "channel": place.id, "event_ts": self.ts()}, None, READS[place.kind], kind
            )
        else:
            body = {"type": "member_left_channel", "user": user.id, "channel": place.id, "team": user.team}
            body |= {"channel_type": "C" if place.kind == "channel" else "G", "event_ts": self.ts()}
            self.tell(body, place, READS[place.kind], "member_left_channel")
        self.changed()

    def tell_archived(self, place: Place) -> None:
        """A channel was archived, or opened again."""
        kind = "channel" if place.kind == "channel" else "group"
        kind += "_archive" if place.is_archived else "_unarchive"
        body = {"type": kind, "channel": place.id, "user": place.members[0].id if place.members else ""}
        self.tell(body | {"event_ts": self.ts()}, place, READS[place.kind], kind)
        self.changed()

    def tell_renamed(self, place: Place) -> None:
        """A channel has another name."""
        kind = f"{'channel' if place.kind == 'channel' else 'group'}_rename"
        channel = {
            "id": place.id,
            "name": place.name,
            "name_normalized": place.name,
            "created": 1_700_000_000,
        }
        self.tell({"type": kind, "channel": channel, "event_ts": self.ts()}, place, READS[place.kind], kind)
        self.changed()

    def tell_deleted(self, place: Place) -> None:
        """A channel is gone for good."""
        kind = f"{'channel' if place.kind == 'channel' else 'group'}_deleted"
        self.tell({"type": kind, "channel": place.id, "event_ts": self.ts()}, None, READS[place.kind], kind)
        self.changed()

    # ---------------------------------------------------------------- what happens

    def post(self, message: Message) -> Message:
        """It stands there from now on."""
        place = message.place
        place.known[message.ts] = message
        if message.thread is not None:
            message.thread.replies.append(message)
            if message.is_broadcast:
                message.subtype = "thread_broadcast"
        if message.thread is None or message.is_broadcast:
            place.messages.append(message)
        for file in message.files:
            file.shares.append(message)
        if message.user is self.bot:
            self._shown.pop((place.id, message.root.ts), None)
        message.edits.append((self.clock(), message.shown))
        self.tell_message(message)
        self.changed()
        return message

    def tell_message(self, message: Message) -> None:
        """As one that was just said; to a bot that is named, twice."""
        place = message.place
        body = message.told(metadata=True) | self._where(place, message.ts)
        if self.mention_first:
            self._mention(message)
        self.tell(body, place, HISTORY[place.kind], SUBSCRIBED[place.kind])
        if not self.mention_first:
            self._mention(message)

    def remark(self, place: Place, user: User, subtype: str, text: str) -> Message:
        """Slack itself says in a place what somebody has done: channel_join, channel_topic, and so on."""
        return self.post(Message(place, self.ts(), user, text, subtype=subtype))

    def rewrite(self, message: Message, before: Mapping[str, Any], *, by_person: bool = True) -> None:
        """It reads differently now; `before` is how it was told. Who is named only now is told so."""
        message.edits.append((self.clock(), message.shown))
        if by_person:
            message.edited = self.ts()
        self.tell_change(message, before)
        if self.bot.mention not in str(before.get("text", "")):
            self._mention(message)
        self.changed()

    def tell_change(self, message: Message, before: Mapping[str, Any]) -> None:
        """message_changed, which is also said of a message whose text nobody has touched: a link has a preview."""
        place, now = message.place, self.ts()
        body = {"type": "message", "subtype": "message_changed", "hidden": True, "ts": now}
        body |= {"message": message.told(metadata=True), "previous_message": dict(before)}
        self.tell(body | self._where(place, now), place, HISTORY[place.kind], SUBSCRIBED[place.kind])

    def _where(self, place: Place, ts: str) -> dict[str, Any]:
        return {"channel": place.id, "channel_type": TOLD_AS[place.kind], "event_ts": ts}

    def _mention(self, message: Message) -> None:
        """ "Messages sent to your app in direct message conversations are not dispatched via app_mention." (Slack's
        documentation, app_mention event)."""
        place = message.place
        if self.bot.mention not in message.text or message.user is self.bot or place.kind == "im":
            return
        if message.subtype in REMARKS:
            return
        body = message.told() | {"type": "app_mention", "channel": place.id, "event_ts": message.ts}
        body.pop("subtype", None)
        self.tell(body, place, "app_mentions:read", "app_mention")

    def remove(self, message: Message) -> None:
        """It is gone. The beginning of a thread leaves a stone behind."""
        place, before = message.place, message.told()
        message.is_gone, message.streaming = True, False
        if message.replies:
            message.subtype, message.text = "tombstone", "This message was deleted."
            message.user = User("USLACKBOT", "Slackbot", self.team)
            message.blocks, message.files, message.attachments, message.metadata = [], [], [], None
            self.tell_change(message, before)
        else:
            del place.known[message.ts]
            for those in (place.messages, message.thread.replies if message.thread is not None else []):
                if message in those:
                    those.remove(message)
            now = self.ts()
            body = {"type": "message", "subtype": "message_deleted", "hidden": True, "ts": now}
            body |= {"deleted_ts": message.ts, "previous_message": before}
            self.tell(body | self._where(place, now), place, HISTORY[place.kind], SUBSCRIBED[place.kind])
        self.changed()

    def react(self, message: Message, user: User, name: str, *, on: bool) -> None:
        """Puts an emoji on it, or takes it away."""
        users = message.reactions.setdefault(name, [])
        if on:
            users.append(user)
        else:
            users.remove(user)
        if not users:
            del message.reactions[name]
        kind = "reaction_added" if on else "reaction_removed"
        body: dict[str, Any] = {"type": kind, "user": user.id, "reaction": name}
        body |= {"item_user": message.user.id}
        body |= {"item": {"type": "message", "channel": message.place.id, "ts": message.ts}}
        self.tell(body | {"event_ts": self.ts()}, message.place, "reactions:read", kind)
        self.changed()

    def set_status(self, place: Place, thread: str, status: str) -> None:
        """assistant.threads.setStatus: it goes with an answer, and by itself after a while."""
        self.statuses.setdefault((place.id, thread), []).append(status)
        self._shown[place.id, thread] = (self.clock(), status)
        self.changed()

    def status_of(self, place: Place, thread: Message) -> str:
        """What people see below a thread of that now."""
        at, status = self._shown.get((place.id, thread.root.ts), (0, ""))
        return status if self.clock() - at <= STATUS_MS else ""

    def tell(self, event: Mapping[str, Any], place: Place | None, scope: str | None, kind: str) -> None:
        """Hands an event to the ways by which the app hears, where it may hear it."""
        if scope is not None and scope not in self.scopes:
            return
        if self.events is not None and kind not in self.events:
            return
        if place is not None and (self.bot not in place.members or place.is_gone):
            return
        body = {
            "type": "event_callback",
            "token": "not-used",
            "team_id": self.team,
            "context_team_id": self.team,
            "context_enterprise_id": None,
            "api_app_id": self.app_id,
            "event": dict(event),
            "event_id": self.id("Ev"),
            "event_time": self.clock() // 1000,
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": self.team,
                    "user_id": self.bot.id,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": place is not None and place.is_shared,
            "event_context": f"4-{self.id('E')}",
        }
        self.deliver(body)

    def deliver(self, body: dict[str, Any]) -> None:
        """Hands what is in an envelope already to the ways by which the app hears."""
        self.told.append(body)
        for each in self.listeners:
            each(body)

    # ---------------------------------------------------------------- files

    def store(self, user: User, name: str, data: bytes, media_type: str, base: str) -> File:
        """A file that lies with Slack from now on."""
        number = self.id("F")
        url = f"{base}files-pri/{user.team}-{number}/{quote(name)}"
        file = File(number, name, media_type, data, user, url, created_at=self.clock())
        self.files[number] = file
        return file

    def share_soon(self, message: Message) -> None:
        """A message with files of the app's: it is there a moment later ("processed asynchronously")."""

        async def share() -> None:
            await asyncio.sleep(self.share_seconds)
            message.ts = self.ts()
            self.post(message)

        task = asyncio.create_task(share(), name="slack-share")
        self._sharing.add(task)
        task.add_done_callback(self._sharing.discard)

    async def stop(self) -> None:
        """Nothing is shared any more."""
        for task in list(self._sharing):
            task.cancel()
        await asyncio.gather(*self._sharing, return_exceptions=True)
