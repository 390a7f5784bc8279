"""One call of a method of the fake Slack's: its arguments, and what is asked about them before anything is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_things import Message, Place
from tests.fakes.slack_world import HISTORY, READS, World

T = TypeVar("T")
TRUE: Final = ("1", "true", "True")
CURSOR: Final = "bmV4dF90czo"
"""What every cursor begins with: they are opaque, and one that a client makes up is refused."""


@dataclass
class Call:
    """`base` is the address of the server. `arguments` are texts where they came as a form."""

    world: World
    method: str
    arguments: Mapping[str, Any]
    base: str = ""

    def given(self, name: str, otherwise: Any = None) -> Any:
        """An argument as it came, with the words of a form read as what they stand for."""
        value = self.arguments.get(name, otherwise)
        return value == "true" if value in ("true", "false") else value

    def flag(self, name: str, otherwise: bool = False) -> bool:
        """An argument that is true or not."""
        value = self.arguments.get(name)
        if value is None:
            return otherwise
        return value if isinstance(value, bool) else str(value) in TRUE

    def text(self, name: str) -> str:
        """An argument as a text; "" without it."""
        value = self.arguments.get(name)
        return "" if value is None else str(value)

    def needed(self, name: str) -> str:
        """A text that has to be there. Raises Refused."""
        value = self.text(name)
        if not value:
            raise wrong(f"missing required field: {name}")
        return value

    def json(self, name: str, error: str = "invalid_arguments") -> Any:
        """An argument with a structure, which may be a text of JSON. Raises Refused."""
        value = self.arguments.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except ValueError as exc:
            raise Refused(error) from exc

    def needs(self, scope: str) -> None:
        """Raises Refused where the app has no such scope."""
        if scope not in self.world.scopes:
            raise Refused("missing_scope", needed=scope, provided=",".join(sorted(self.world.scopes)))

    def place(self, name: str = "channel", *, people: bool = True) -> Place:
        """The place that an argument names; a person stands for their conversation with the bot, where `people` may.
        Raises Refused."""
        wanted = self.text(name)
        user = self.world.users.get(wanted)
        if people and user is not None and user is not self.world.bot:
            return self.world.direct(user)
        place = self.world.places.get(wanted)
        hidden = place is not None and place.kind != "channel" and self.world.bot not in place.members
        if place is None or place.is_gone or hidden:
            raise Refused("channel_not_found")
        return place

    def readable(self) -> Place:
        """The place whose history is asked for. Raises Refused."""
        place = self.place(people=False)
        self.needs(HISTORY[place.kind])
        self.reads(place)
        return place

    def seen(self) -> Place:
        """The place that is asked about. Raises Refused."""
        place = self.place(people=False)
        self.needs(READS[place.kind])
        return place

    def writes_in(self, place: Place, *, archived: str = "is_archived") -> None:
        """Raises Refused where the bot may not; `archived` is what is said in an archived one."""
        if self.world.bot not in place.members:
            raise Refused("not_in_channel")
        if place.is_archived:
            raise Refused(archived)
        if place.is_read_only:
            raise Refused("restricted_action_read_only_channel")
        if place.kind == "im" and not self.world.has_messages:
            raise Refused("messages_tab_disabled")
        if place.kind == "im" and any(each.is_deleted for each in place.members):
            raise Refused("user_disabled")

    def reads(self, place: Place) -> None:
        """Raises Refused where the bot may not."""
        if self.world.bot not in place.members:
            raise Refused("not_in_channel")

    def thread(self, place: Place, *, error: str = "thread_not_found") -> Message | None:
        """The beginning of the thread that is named, if one is. Raises Refused."""
        ts = self.text("thread_ts")
        if not ts:
            return None
        found = place.find(ts)
        if found is None:
            raise Refused(error)
        return found.root

    def own(self, place: Place, error: str) -> Message:
        """The bot's message of the argument ts; `error` is what is said of one that is somebody else's. Raises
        Refused."""
        message = place.find(self.text("ts"))
        if message is None:
            raise Refused("message_not_found")
        if message.user is not self.world.bot:
            raise Refused("message_not_found" if message.is_gone else error)
        return message


Methods = Mapping[str, Callable[[Call], dict[str, Any]]]


def wrong(*told: str, error: str = "invalid_arguments") -> Refused:
    """What is said of arguments that are not as they should be, a line for each."""
    return Refused(error, response_metadata={"messages": [f"[ERROR] {each}" for each in told]})


def cursor_page(call: Call, found: Sequence[T], most: int, otherwise: int = 100) -> tuple[list[T], str]:
    """The page that was asked for, and the cursor of the next one; `otherwise` is its size where none is given.
    Raises Refused."""
    limit, cursor = call.text("limit") or str(otherwise), call.text("cursor")
    if not limit.isdigit() or int(limit) < 1:
        raise Refused("invalid_limit")
    number = cursor.removeprefix(CURSOR) if cursor.startswith(CURSOR) else ""
    if cursor and not number.isdigit():
        raise Refused("invalid_cursor")
    begin = int(number or 0)
    end = begin + min(int(limit), most)
    return list(found[begin:end]), f"{CURSOR}{end}" if end < len(found) else ""
