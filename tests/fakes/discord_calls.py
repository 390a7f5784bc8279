"""One request to the fake Discord: what was asked, and what every route needs to answer it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import BodyPartReader, web

from tests.fakes.discord_commands import Commands
from tests.fakes.discord_forms import Upload
from tests.fakes.discord_interactions import Interactions
from tests.fakes.discord_limits import READ, Bucket
from tests.fakes.discord_things import Guild, Message, Place, User
from tests.fakes.discord_values import (
    BAD_JSON,
    MISSING_ACCESS,
    MISSING_PERMISSIONS,
    UNKNOWN_CHANNEL,
    UNKNOWN_GUILD,
    UNKNOWN_MESSAGE,
    UNKNOWN_USER,
    Permission,
    Refused,
    invalid,
    wrong,
)
from tests.fakes.discord_world import World

FILE_FIELD: Final = re.compile(r"files\[(\d+)\]")
SNOWFLAKE: Final = re.compile(r"\d{1,20}")
MAJOR: Final = ("channel", "guild", "webhook", "token")


@dataclass(frozen=True)
class Answer:
    """What is answered; no body with a 204."""

    body: Any = None
    status: int = 200


DONE: Final = Answer(status=204)


@dataclass(frozen=True)
class Call:
    """A request that has a route: the parts of its path, its query, its form and files, and the world."""

    world: World
    commands: Commands
    interactions: Interactions
    gateway_bot: Callable[[], Mapping[str, Any]]
    params: Mapping[str, str]
    query: Mapping[str, str]
    form: Any = None
    files: Sequence[Upload] = ()

    @property
    def me(self) -> User:
        """The bot, who asks."""
        return self.world.bot

    def guild(self) -> Guild:
        """The guild of the path. Raises Refused."""
        guild = self.world.guilds.get(self.params["guild"])
        if guild is None:
            raise Refused(*UNKNOWN_GUILD)
        if self.me.id not in guild.members:
            raise Refused(*MISSING_ACCESS)
        return guild

    def place(self, *permissions: Permission) -> Place:
        """The channel of the path, where the bot may do this. Raises Refused."""
        place = self.world.places.get(self.params["channel"])
        if place is None:
            raise Refused(*UNKNOWN_CHANNEL)
        return self.allowed(place, *permissions)

    def allowed(self, place: Place, *permissions: Permission) -> Place:
        """The place, where the bot may do this there. Raises Refused."""
        if not place.seen_by(self.me):
            raise Refused(*MISSING_ACCESS)
        if not all(place.allows(self.me, each) for each in permissions):
            raise Refused(*MISSING_PERMISSIONS)
        return place

    def message(self, place: Place) -> Message:
        """The message of the path. Raises Refused."""
        message = place.find(self.params["message"])
        if message is None:
            raise Refused(*UNKNOWN_MESSAGE)
        return message

    def user(self, user_id: str) -> User:
        """A user. Raises Refused."""
        try:
            return self.world.users[user_id]
        except KeyError as exc:
            raise Refused(*UNKNOWN_USER) from exc

    def limit(self, default: int, most: int) -> int:
        """The `limit` of the query. Raises Refused."""
        try:
            limit = int(self.query.get("limit", default))
        except ValueError as exc:
            raise invalid({"limit": wrong("NUMBER_TYPE_COERCE", "Value is not int.")}) from exc
        if not 1 <= limit <= most:
            raise invalid({"limit": wrong("NUMBER_TYPE_MAX", f"Value must be between 1 and {most}.")})
        return limit


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    """A method and a path with {parameters}, and who answers. Who comes by a token of the path needs no other one
    (`is_open`); `is_free` of the global limit are the interactions ("Interaction Endpoints")."""

    method: str
    template: str
    handler: Handler
    bucket: Bucket | None = READ
    is_open: bool = False
    is_free: bool = False
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        parts = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template)
        object.__setattr__(self, "pattern", re.compile(parts))

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The parameters of a path; None where it is none of this route's. Ids have to be ids."""
        found = self.pattern.fullmatch(path) if method == self.method else None
        if found is None:
            return None
        params = {name: unquote(value) for name, value in found.groupdict().items()}
        for name, value in params.items():
            if name not in ("token", "emoji") and SNOWFLAKE.fullmatch(value) is None:
                field_name = f"{name}_id"
                message = f'Value "{value}" is not snowflake.'
                raise invalid({field_name: wrong("NUMBER_TYPE_COERCE", message)})
        return params

    @staticmethod
    def major(params: Mapping[str, str]) -> str:
        """What the bucket is counted for ("Rate Limits", top-level resources)."""
        return ":".join(params[name] for name in MAJOR if name in params)


@dataclass(frozen=True)
class Body:
    """What was sent: JSON, or a form with files whose `payload_json` it is."""

    form: Any = None
    files: Sequence[Upload] = ()
    content_type: str | None = None


async def read_body(request: web.Request) -> Body:
    """Reads a request. Raises Refused where it is no JSON."""
    if not request.can_read_body:
        return Body()
    if not request.content_type.startswith("multipart/"):
        return Body(_parsed(await request.read()), content_type=request.content_type)
    form: Any = None
    files: list[Upload] = []
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        data = bytes(await part.read(decode=True))
        numbered = FILE_FIELD.fullmatch(part.name or "")
        if part.name == "payload_json":
            form = _parsed(data)
        elif numbered is not None:
            media_type = part.headers.get("Content-Type")
            files.append(Upload(int(numbered[1]), part.filename or "file", data, media_type))
    return Body({} if form is None else form, files, request.content_type)


def _parsed(data: bytes) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError as exc:
        raise Refused(*BAD_JSON) from exc
