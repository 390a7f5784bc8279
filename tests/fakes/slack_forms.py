"""What somebody has done in the fake Slack, what they see of it, and the forms that open by it.

Slack's documentation, Handling user interaction, and Modals.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.fakes import slack_blocks as blocks
from tests.fakes.slack_refusals import CannotDo, Refused
from tests.fakes.slack_things import Message, Place, User
from tests.fakes.slack_world import World

TRIGGER_MS: Final = 3_000


@dataclass(eq=False, repr=False)
class Given:
    """What somebody has done, and what they see of it: `texts` for their eyes alone, `public` for everybody's, and
    `views` that have opened."""

    id: str
    user: User
    place: Place | None
    message: Message | None = None
    kind: str = ""
    """What Slack calls it: "slash_commands", or the type of an interaction."""
    acked: bool = False
    """Whether the app has said in time that it has it."""
    failed: bool = False
    """The person was told that it went wrong: nobody has taken it in time."""
    texts: list[str] = field(default_factory=list)
    public: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    """What the app has said to it, by its answer or by the address that it has."""
    views: list[dict[str, Any]] = field(default_factory=list)
    is_closed: bool = False
    """The form was sent off, or closed."""
    errors: dict[str, str] = field(default_factory=dict)
    """What was wrong with a form, by the ids of its blocks."""
    form: Given | None = None
    """By what the form was opened that was sent off."""
    at: int = 0
    answers: int = 0
    ack: Mapping[str, Any] | None = None
    """What the app has said when it took it."""
    show: Callable[[Given, Mapping[str, Any] | None], None] | None = None
    """What becomes of the app's answer; `Interactions` knows."""

    @property
    def text(self) -> str:
        """All that they were told."""
        return "\n".join(self.texts)

    @property
    def view(self) -> dict[str, Any]:
        """The form that they see. Raises CannotDo."""
        if not self.views or self.is_closed:
            raise CannotDo("No form is open.")
        return self.views[-1]

    @property
    def waits(self) -> bool:
        """They do not know yet whether it has arrived."""
        return not self.acked and not self.failed

    def answered(self, payload: Mapping[str, Any] | None) -> None:
        """The app has acknowledged it, with an answer or without. What comes after it went wrong shows nowhere."""
        if self.acked or self.failed:
            return
        self.acked, self.ack = True, payload
        if self.show is not None:
            self.show(self, payload)

    def fail(self) -> None:
        """Nobody has taken it."""
        self.failed = not self.acked


def kept(world: World, view: Mapping[str, Any], view_id: str) -> dict[str, Any]:
    """A view as Slack keeps it, and tells of it."""
    made = {
        "team_id": world.team,
        "callback_id": "",
        "external_id": "",
        "private_metadata": "",
        **view,
        "blocks": blocks.numbered(blocks.read(view.get("blocks")), f"v{view_id}"),
        "id": view_id,
        "root_view_id": view_id,
        "state": {"values": {}},
        "app_id": world.app_id,
        "bot_id": world.bot.bot_id,
    }
    digest = hashlib.sha256(json.dumps(made).encode()).hexdigest()[:8]
    return made | {"hash": f"{world.clock() // 1000}.{digest}"}


class Triggers:
    """By which forms open."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._given: dict[str, Given] = {}
        self._used: set[str] = set()
        self._views: dict[str, Given] = {}

    def add(self, given: Given) -> str:
        """A new one."""
        trigger = f"{given.at}.{given.id}.{given.user.id.lower()}"
        self._given[trigger] = given
        return trigger

    def open(self, trigger: str, view: dict[str, Any]) -> dict[str, Any]:
        """Opens a form by it, once. Raises Refused."""
        given = self._given.get(trigger)
        if given is None:
            raise Refused("invalid_trigger_id")
        if trigger in self._used:
            raise Refused("exchanged_trigger_id")
        if self._world.clock() - given.at > TRIGGER_MS:
            raise Refused("expired_trigger_id")
        self._used.add(trigger)
        return self.show(given, view)

    def replace(self, view_id: str, view: dict[str, Any], *, seen: str = "") -> dict[str, Any]:
        """Another form in the place of one; `seen` is the hash of the one that the app knows. Raises Refused."""
        given = self._views.get(view_id)
        if given is None or given.is_closed:
            raise Refused("not_found")
        if seen not in ("", given.views[-1]["hash"]):
            raise Refused("hash_conflict")
        given.views.append(kept(self._world, view, view_id))
        return given.views[-1]

    def show(self, given: Given, view: dict[str, Any]) -> dict[str, Any]:
        """A form that opens before somebody, whatever it opens by."""
        opened = kept(self._world, view, f"V{given.id}{len(given.views) or ''}")
        given.views.append(opened)
        given.is_closed = False
        self._views[opened["id"]] = given
        return opened
