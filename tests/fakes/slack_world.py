"""The fake Slack's world: what there is, and what every change of it is told as.

An event is told only where the bot is a member, and only with the scope that it takes, as Slack does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from agent.protocol.clock import Clock
from tests.fakes.changes import News
from tests.fakes.slack_things import TOLD_AS, File, Kind, Message, Place, Session, User

PREFIXES: Final[Mapping[Kind, str]] = {"channel": "C", "private": "C", "im": "D", "mpim": "G"}
HISTORY: Final[Mapping[Kind, str]] = {
    "channel": "channels:history",
    "private": "groups:history",
    "im": "im:history",
    "mpim": "mpim:history",
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
        self.events: frozenset[str] | None = None
        """What the app has subscribed to; None: everything."""
        self.team = "T0LAB"
        self.users: dict[str, User] = {}
        self.places: dict[str, Place] = {}
        self.files: dict[str, File] = {}
        self.sessions: dict[tuple[str, str], Session] = {}
        self.statuses: dict[tuple[str, str], list[str]] = {}
        self.prompts: dict[str, list[dict[str, Any]]] = {}
        self.homes: dict[str, dict[str, Any]] = {}
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self.triggers: Any = None
        """By which forms open; slack_interactions.Triggers."""
        self._news = news
        self._numbers = itertools.count(1)
        self._last = (0, 0)
        self.bot = User(self.id("U"), "roost", self.team, is_bot=True, bot_id=self.id("B"))
        self.users[self.bot.id] = self.bot
        self.app_id = f"A{self.bot.bot_id[1:]}"

    def id(self, prefix: str) -> str:
        """A new id."""
        return f"{prefix}0{next(self._numbers):06d}"

    def ts(self) -> str:
        """A time that nothing else has."""
        now = self.clock()
        last, count = self._last
        self._last = (now, 0) if now > last else (last, count + 1)
        at, number = self._last
        return f"{at // 1000}.{at % 1000:03d}{number % 1000:03d}"

    def changed(self) -> None:
        """Whoever waits looks again."""
        self._news.tell()

    # ---------------------------------------------------------------- places and people

    def add_place(self, name: str, kind: Kind, members: Iterable[User]) -> Place:
        """A new one."""
        place = Place(self.id(PREFIXES[kind]), name, kind, list(members))
        self.places[place.id] = place
        return place

    def direct(self, user: User) -> Place:
        """The conversation of somebody with the bot."""
        for place in self.places.values():
            if place.kind == "im" and user in place.members:
                return place
        return self.add_place(user.name, "im", [user, self.bot])

    # ---------------------------------------------------------------- what happens

    def post(self, message: Message) -> Message:
        """It stands there from now on."""
        if message.thread is None:
            message.place.messages.append(message)
        else:
            message.thread.replies.append(message)
        for file in message.files:
            file.shares.append(message)
        self.tell_message(message)
        self.changed()
        return message

    def tell_message(self, message: Message) -> None:
        """As one that was just said; to a bot that is named, twice."""
        place = message.place
        body = message.told() | {
            "channel": place.id,
            "channel_type": TOLD_AS[place.kind],
            "event_ts": message.ts,
        }
        self.tell(body, place, HISTORY[place.kind], SUBSCRIBED[place.kind])
        if self.bot.mention in message.text and message.user is not self.bot and place.kind != "im":
            mention = {key: value for key, value in body.items() if key not in ("channel_type", "subtype")}
            self.tell(mention | {"type": "app_mention"}, place, "app_mentions:read", "app_mention")

    def rewrite(self, message: Message, before: Mapping[str, Any], *, by_person: bool = True) -> None:
        """It reads differently now; `before` is how it was told."""
        message.edits.append((self.clock(), message.shown))
        if by_person:
            message.edited = self.ts()
        self._tell_change(message, before)
        self.changed()

    def _tell_change(self, message: Message, before: Mapping[str, Any]) -> None:
        place = message.place
        body = {
            "type": "message",
            "subtype": "message_changed",
            "hidden": True,
            "channel": place.id,
            "channel_type": TOLD_AS[place.kind],
            "ts": self.ts(),
            "event_ts": self.ts(),
            "message": message.told(),
            "previous_message": dict(before),
        }
        self.tell(body, place, HISTORY[place.kind], SUBSCRIBED[place.kind])

    def remove(self, message: Message) -> None:
        """It is gone. The beginning of a thread leaves a stone behind."""
        place, before = message.place, message.told()
        message.is_gone = True
        if message.replies:
            message.subtype, message.text, message.user = (
                "tombstone",
                "This message was deleted.",
                self._slackbot(),
            )
            message.blocks, message.files = [], []
            self._tell_change(message, before)
        else:
            (place.messages if message.thread is None else message.thread.replies).remove(message)
            body = {
                "type": "message",
                "subtype": "message_deleted",
                "hidden": True,
                "channel": place.id,
                "channel_type": TOLD_AS[place.kind],
                "ts": self.ts(),
                "event_ts": self.ts(),
                "deleted_ts": message.ts,
                "previous_message": before,
            }
            self.tell(body, place, HISTORY[place.kind], SUBSCRIBED[place.kind])
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
        body = {
            "type": kind,
            "user": user.id,
            "reaction": name,
            "item": {"type": "message", "channel": message.place.id, "ts": message.ts},
            "item_user": message.user.id,
            "event_ts": self.ts(),
        }
        self.tell(body, message.place, "reactions:read", kind)
        self.changed()

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
            "api_app_id": self.app_id,
            "event": dict(event),
            "event_id": self.id("Ev"),
            "event_time": self.clock() // 1000,
            "authorizations": [{"team_id": self.team, "user_id": self.bot.id, "is_bot": True}],
        }
        for each in self.listeners:
            each(body)

    # ---------------------------------------------------------------- files

    def store(self, user: User, name: str, data: bytes, media_type: str, base: str) -> File:
        """A file that lies with Slack from now on."""
        number = self.id("F")
        file = File(number, name, media_type, data, user, f"{base}files-pri/{self.team}-{number}/{name}")
        self.files[number] = file
        return file

    def _slackbot(self) -> User:
        return User("USLACKBOT", "Slackbot", self.team, is_bot=False)


def members_of(places: Iterable[Place], user: User, kinds: Sequence[Kind]) -> list[Place]:
    """Those of these kinds that somebody is in."""
    return [each for each in places if user in each.members and each.kind in kinds and not each.is_gone]
