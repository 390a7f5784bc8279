"""What `roost slack check` finds out before it judges, and how it reads that from Slack's answers. Pure.

Whatever is read here raises KeyError, TypeError, ValueError or AttributeError for an answer that is none of Slack's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

from adapters.checkup import Named
from adapters.text import shown_name

Json = Mapping[str, Any]

SWITCHED_OFF: Final = "socket mode is not turned on"
"""What apps.connections.open warns of, in its response_metadata, while it gives out a connection all the same."""


@dataclass(frozen=True)
class Bot:
    """Whose token it is. `bot` is "" for a person's; `app` is the app's id, "" where Slack does not tell; one that is
    `org_wide` is installed for all workspaces of an organisation."""

    user: str
    bot: str
    name: str
    team: str
    url: str
    org_wide: bool
    app: str = ""


@dataclass(frozen=True)
class Greeting:
    """What became of a try to listen by a socket. `error` is Slack's name of a refusal, `closed` its reason for ending
    the connection at once, `failure` why nothing was heard; with none of them Slack has said hello to the `app`, which
    has so many `connections`, this one among them. `doubted`: Slack warns that Socket Mode is off."""

    app: str = ""
    connections: int = 0
    doubted: bool = False
    error: str = ""
    closed: str = ""
    failure: str = ""


@dataclass(frozen=True)
class Door:
    """What became of a request to Roost's own listener that was signed as Slack signs it: `url` is where."""

    url: str
    state: Literal["open", "closed", "refused", "other"]
    status: int = 0


@dataclass(frozen=True)
class Channel:
    """A conversation."""

    id: str
    name: str
    direct: bool
    member: bool
    archived: bool

    @property
    def shown(self) -> str:
        """As a sentence names it."""
        return f"#{self.name} ({self.id})" if self.name else self.id


@dataclass(frozen=True)
class Place:
    """A place that the configuration names, and what was found there: "unseen" where Slack refuses a look by this
    `error`. `thread` says whether there is the thread that it names."""

    named: Named
    found: Channel | Literal["unknown", "unseen"]
    thread: bool = True
    error: str = ""


@dataclass(frozen=True)
class Facts:
    """All of it. `scopes` are None where Slack does not tell. `agent` is Slack's answer to a question about a session
    that there cannot be, None where it was not asked; `stops` says whether the app hears of the stop button, as far as
    is known. `written` says whether anybody has written to the bot directly, None where that cannot be seen.
    `skew_seconds` is by how much this machine's clock is ahead of Slack's."""

    bot: Bot
    rotates: bool
    scopes: frozenset[str] | None
    skew_seconds: float
    greeting: Greeting | None
    door: Door | None
    agent: str | None
    stops: bool
    written: bool | None
    places: Sequence[Place]
    channels: Sequence[Channel] | None


def bot(data: Json, app: str) -> Bot:
    """Of auth.test."""
    return Bot(
        str(data["user_id"]),
        str(data.get("bot_id") or ""),
        shown_name(str(data.get("user") or "the bot")),
        shown_name(str(data["team"])),
        shown_name(str(data.get("url") or "")),
        bool(data.get("is_enterprise_install")),
        app,
    )


def app_of_user(data: Json) -> str:
    """The app of a bot, of users.info about it; "" where Slack does not tell."""
    return str((data["user"].get("profile") or {}).get("api_app_id") or "")


def app_of_token(token: str) -> str:
    """The app of an app-level token, in which it stands: xapp-1-A0123-... ."""
    parts = token.split("-")
    return parts[2] if len(parts) > 3 and parts[0] == "xapp" else ""


def scopes(headers: Mapping[str, str]) -> frozenset[str] | None:
    """Of the headers of any answer. Slack's documentation, Scopes and permissions."""
    told = next((value for name, value in headers.items() if name.lower() == "x-oauth-scopes"), None)
    return None if told is None else frozenset(filter(None, (each.strip() for each in told.split(","))))


def sent_at(headers: Mapping[str, str]) -> float | None:
    """When an answer was sent, by Slack's clock, in epoch seconds."""
    told = next((value for name, value in headers.items() if name.lower() == "date"), None)
    try:
        return None if told is None else parsedate_to_datetime(told).timestamp()
    except ValueError:
        return None


def warnings(data: Json) -> list[str]:
    """What Slack remarks about a call, as names and as sentences."""
    about = data.get("response_metadata") or {}
    told = [str(data.get("warning") or ""), *about.get("warnings", ()), *about.get("messages", ())]
    return [str(each) for each in told if each]


def channel(data: Json) -> Channel:
    """Of any conversation object."""
    direct = bool(data.get("is_im"))
    return Channel(
        str(data["id"]),
        "" if direct else shown_name(str(data.get("name") or "")),
        direct,
        # Of direct messages, and in a list of the bot's own conversations, it is not told.
        bool(data.get("is_member", True)),
        bool(data.get("is_archived")),
    )
