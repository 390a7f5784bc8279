"""What people do by buttons, menus, forms and commands in the fake Slack, and what the app answers.

Each is delivered with a trigger that opens one form within three seconds, and an address to answer at: five times, for
half an hour.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from agent.protocol.clock import Clock
from tests.fakes import slack_blocks as blocks
from tests.fakes.slack_refusals import CannotDo, Refused
from tests.fakes.slack_things import Message, Place, User, pressable, shown
from tests.fakes.slack_world import World

TRIGGER_MS: Final = 3_000
ANSWER_MS: Final = 1_800_000
ANSWERS: Final = 5

Deliver = Callable[[str, dict[str, Any], "Given"], None]
"""Hands a payload of a kind ("slash_commands" or "interactive") to the app; what it answers comes back to the Given."""


@dataclass(eq=False, repr=False)
class Given:
    """What somebody has done, and what they see of it: `texts` for their eyes alone, and `views` that have opened."""

    id: str
    user: User
    place: Place | None
    message: Message | None = None
    acked: bool = False
    """Whether the app has said in time that it has it."""
    texts: list[str] = field(default_factory=list)
    public: list[str] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    at: int = 0
    answers: int = 0

    @property
    def text(self) -> str:
        """All that they were told."""
        return "\n".join(self.texts)

    @property
    def view(self) -> dict[str, Any]:
        """The form that has opened. Raises CannotDo."""
        if not self.views:
            raise CannotDo("No form has opened.")
        return self.views[-1]

    def answered(self, payload: Mapping[str, Any] | None) -> None:
        """The app has acknowledged it, with an answer or without."""
        self.acked = True
        if not payload:
            return
        if payload.get("response_action") == "errors":
            self.errors = dict(payload["errors"])
        elif payload.get("text") or payload.get("blocks"):
            self._show(payload)

    def _show(self, payload: Mapping[str, Any]) -> None:
        text = shown(payload.get("blocks") or []) or str(payload.get("text", ""))
        (self.public if payload.get("response_type") == "in_channel" else self.texts).append(text)


class Triggers:
    """By which forms open."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._given: dict[str, Given] = {}
        self._views: dict[str, Given] = {}

    def add(self, given: Given) -> str:
        """A new one."""
        trigger = f"{given.id}.trigger"
        self._given[trigger] = given
        return trigger

    def open(self, trigger: str, view: dict[str, Any]) -> dict[str, Any]:
        """Opens a form by it, once. Raises Refused."""
        given = self._given.pop(trigger, None)
        if given is None:
            raise Refused("invalid_trigger_id" if not trigger else "exchanged_trigger_id")
        if self._clock() - given.at > TRIGGER_MS:
            raise Refused("expired_trigger_id")
        opened = {**view, "id": f"V{given.id}", "hash": "1", "state": {"values": {}}}
        given.views.append(opened)
        self._views[opened["id"]] = given
        return opened

    def replace(self, view_id: str, view: dict[str, Any]) -> dict[str, Any]:
        """Another form in the place of one. Raises Refused."""
        given = self._views.get(view_id)
        if given is None:
            raise Refused("not_found")
        opened = {**view, "id": view_id, "hash": "2", "state": {"values": {}}}
        given.views.append(opened)
        return opened


class Interactions:
    """`base` is the address of the server, known once it listens."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.base = ""
        self.deliver: Deliver | None = None
        self.given: dict[str, Given] = {}
        self.last: tuple[str, dict[str, Any]] | None = None
        """What was delivered last, for those who deliver it again."""

    def command(self, user: User, place: Place, command: str, text: str) -> Given:
        """Gives a slash command. In a thread there are none."""
        given = self._begin(user, place)
        body = {
            "token": "not-used",
            "team_id": self._world.team,
            "team_domain": "lab",
            "channel_id": place.id,
            "channel_name": place.name,
            "user_id": user.id,
            "user_name": user.name.lower(),
            "command": command,
            "text": text,
            "api_app_id": self._world.app_id,
            "response_url": self._url(given),
            "trigger_id": self._world.triggers.add(given),
        }
        self._send("slash_commands", body, given)
        return given

    def press(self, user: User, message: Message, label: str) -> Given:
        """Presses a button, or chooses an option of a menu. Raises CannotDo."""
        found = next((each for each in pressable(message.blocks) if each[0] == label), None)
        if found is None:
            raise CannotDo(f"There is no {label!r} here, but {message.labels}.")
        _, element, option = found
        action = {
            "type": element["type"],
            "action_id": element.get("action_id", ""),
            "block_id": "b",
            "action_ts": self._world.ts(),
        }
        if option:
            action["selected_option"] = dict(option)
        else:
            action |= {"text": element["text"], "value": element.get("value", "")}
        return self.act(user, message, action)

    def act(self, user: User, message: Message, action: Mapping[str, Any]) -> Given:
        """What Slack's client would send for an action, whatever it is: a forged one as well."""
        given = self._begin(user, message.place, message)
        thread = {"thread_ts": message.thread.ts} if message.thread else {}
        body = self._payload("block_actions", given) | {
            "actions": [dict(action)],
            "message": message.told() | thread,
            "container": {
                "type": "message",
                "message_ts": message.ts,
                "channel_id": message.place.id,
                "is_ephemeral": message.only_for is not None,
            }
            | thread,
            "state": {"values": {}},
        }
        self._send("interactive", body, given)
        return given

    def shortcut(self, user: User, message: Message, callback_id: str) -> Given:
        """Chooses a shortcut in the menu of a message."""
        given = self._begin(user, message.place, message)
        body = self._payload("message_action", given) | {
            "callback_id": callback_id,
            "message": message.told(),
            "message_ts": message.ts,
            "action_ts": self._world.ts(),
        }
        self._send("interactive", body, given)
        return given

    def submit(self, user: User, view: Mapping[str, Any], text: str) -> Given:
        """Fills in the one field of a form, and sends it off."""
        given = self._begin(user, None)
        field_ = next(each for each in view["blocks"] if each["type"] == "input")
        block, action = field_.get("block_id", "b"), field_["element"].get("action_id", "a")
        most = field_["element"].get("max_length", 3_000)
        if len(text) > most:
            raise CannotDo(f"No more than {most} characters.")
        values = {block: {action: {"type": "plain_text_input", "value": text}}}
        body = self._payload("view_submission", given) | {
            "view": {**view, "state": {"values": values}},
            "response_urls": [],
        }
        self._send("interactive", body, given)
        return given

    async def answer(self, request: web.Request) -> web.Response:
        """The address that each has."""
        given = self.given.get(request.match_info["id"])
        if given is None or self._world.clock() - given.at > ANSWER_MS:
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        if given.answers >= ANSWERS:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        given.answers += 1
        payload = json.loads(await request.text())
        new = blocks.read(payload.get("blocks"))
        try:
            blocks.check(new)
        except Refused as exc:
            return web.json_response({"ok": False, "error": exc.error}, status=500)
        message = given.message
        if payload.get("delete_original") and message is not None:
            self._world.remove(message)
        elif payload.get("replace_original") and message is not None:
            before = message.told()
            message.text, message.blocks = str(payload.get("text", "")), new
            self._world.rewrite(message, before, by_person=False)
        else:
            given._show(payload)
        self._world.changed()
        return web.Response(text="ok")

    def _payload(self, kind: str, given: Given) -> dict[str, Any]:
        place = given.place
        return {
            "type": kind,
            "token": "not-used",
            "team": {"id": self._world.team, "domain": "lab"},
            "user": {"id": given.user.id, "username": given.user.name.lower(), "team_id": self._world.team},
            "api_app_id": self._world.app_id,
            "trigger_id": self._world.triggers.add(given),
        } | (
            {"channel": {"id": place.id, "name": place.name}, "response_url": self._url(given)}
            if place
            else {}
        )

    def _begin(self, user: User, place: Place | None, message: Message | None = None) -> Given:
        given = Given(self._world.id("X"), user, place, message, at=self._world.clock())
        self.given[given.id] = given
        return given

    def _url(self, given: Given) -> str:
        return f"{self.base}actions/{given.id}"

    def _send(self, kind: str, body: dict[str, Any], given: Given) -> None:
        self.last = (kind, body)
        if self.deliver is None:
            raise CannotDo("The app listens nowhere.")
        self.deliver(kind, body, given)
