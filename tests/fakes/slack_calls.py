"""One call of a method of the fake Slack's: its arguments, and what is asked about them before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_things import Place
from tests.fakes.slack_world import World

T = TypeVar("T")


@dataclass
class Call:
    """`base` is the address of the server."""

    world: World
    method: str
    arguments: Mapping[str, Any]
    base: str = ""

    def given(self, name: str, otherwise: Any = None) -> Any:
        """An argument, with the words of a form read as what they stand for."""
        value = self.arguments.get(name, otherwise)
        if value in ("true", "false"):
            return value == "true"
        if value in ("0", "1") and name in (
            "include_all_metadata",
            "inclusive",
            "exclude_archived",
            "unfurl_links",
        ):
            return value == "1"
        return value

    def text(self, name: str) -> str:
        """An argument as a text; "" without it."""
        value = self.arguments.get(name)
        return "" if value is None else str(value)

    def needs(self, scope: str) -> None:
        """Raises Refused where the app has no such scope."""
        if scope not in self.world.scopes:
            raise Refused("missing_scope", needed=scope, provided=",".join(sorted(self.world.scopes)))

    def place(self, name: str = "channel") -> Place:
        """The place that an argument names; a person stands for their conversation with the bot. Raises Refused."""
        wanted = self.text(name)
        user = self.world.users.get(wanted)
        if user is not None and user is not self.world.bot:
            return self.world.direct(user)
        place = self.world.places.get(wanted)
        if (
            place is None
            or place.is_gone
            or (place.kind != "channel" and self.world.bot not in place.members)
        ):
            raise Refused("channel_not_found")
        return place

    def writes_in(self, place: Place) -> None:
        """Raises Refused where the bot may not."""
        if place.is_archived:
            raise Refused("is_archived")
        if self.world.bot not in place.members:
            raise Refused("not_in_channel")
        if place.kind == "im" and any(each.is_deleted for each in place.members):
            raise Refused("user_disabled")

    def reads(self, place: Place) -> None:
        """Raises Refused where the bot may not."""
        if self.world.bot not in place.members:
            raise Refused("not_in_channel")


Methods = Mapping[str, Callable[[Call], dict[str, Any]]]


def cursor_page(call: Call, found: Sequence[T], most: int) -> tuple[list[T], str]:
    """The page that was asked for, and the cursor of the next one."""
    limit = min(int(call.text("limit") or 100), most)
    begin = int(call.text("cursor") or 0)
    end = begin + limit
    return list(found[begin:end]), str(end) if end < len(found) else ""
