"""What people do by buttons, menus, forms and commands in the fake Slack, and what the app answers.

Each is delivered with a trigger that opens one form within three seconds, and an address to answer at: five times, for
half an hour. Slack's documentation, Handling user interaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from tests.fakes import slack_blocks as blocks
from tests.fakes import slack_filling as filling
from tests.fakes.slack_forms import Given, Triggers
from tests.fakes.slack_refusals import CannotDo, Refused
from tests.fakes.slack_things import Message, Place, User
from tests.fakes.slack_world import World

__all__ = ["Given", "Interactions", "Triggers"]

ANSWER_MS: Final = 1_800_000
ANSWERS: Final = 5
NAMED: Final[Mapping[str, str]] = {"im": "directmessage", "private": "privategroup"}
"""What a command is told of a place whose name is nobody's business."""

Deliver = Callable[[str, dict[str, Any], Given], object]
"""Hands a payload of a kind ("slash_commands" or "interactive") to the app; what it answers comes back to the Given."""


class Interactions:
    """`base` is the address of the server, known once it listens."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.base = ""
        self.deliver: Deliver | None = None
        self.given: dict[str, Given] = {}
        self.last: tuple[str, dict[str, Any]] | None = None
        """What was delivered last, for those who deliver it again."""

    # ---------------------------------------------------------------- what people do

    def command(self, user: User, place: Place, command: str, text: str) -> Given:
        """Gives a slash command. In a thread there are none. Raises CannotDo."""
        if place.kind != "channel" and user not in place.members:
            raise CannotDo(f"{user.name} is not in {place.name}.")
        given = self._begin("slash_commands", user, place)
        body = {
            "token": "not-used",
            "team_id": self._world.team,
            "team_domain": "lab",
            "channel_id": place.id,
            "channel_name": NAMED.get(place.kind, place.name),
            "user_id": user.id,
            "user_name": user.name.lower(),
            "command": command,
            "text": text,
            "api_app_id": self._world.app_id,
            "is_enterprise_install": "false",
            "response_url": self._url(given),
            "trigger_id": self._world.triggers.add(given),
        }
        self._send("slash_commands", body, given)
        return given

    def press(self, user: User, message: Message, *labels: str) -> Given:
        """Presses a button, or chooses options of a menu, by what stands on them. Raises CannotDo."""
        if message.is_gone or message.only_for not in (None, user):
            raise CannotDo(f"{user.name} does not see this message.")
        return self.act(user, message, filling.action(message.blocks, labels, self._world.ts()))

    def act(self, user: User, message: Message, action: Mapping[str, Any]) -> Given:
        """What Slack's client would send for an action, whatever it is: a forged one as well."""
        given = self._begin("block_actions", user, message.place, message)
        thread = {"thread_ts": message.thread.ts} if message.thread else {}
        ephemeral = message.only_for is not None
        container = {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": message.place.id,
            "is_ephemeral": ephemeral,
        }
        body = self._payload(given) | {
            "actions": [dict(action)],
            "container": container | thread,
            "state": filling.state(message.blocks, action),
        }
        if not ephemeral:
            # Slack does not keep what only one person sees.
            body["message"] = message.told() | thread
        self._send("interactive", body, given)
        return given

    def press_home(self, user: User, *labels: str) -> Given:
        """The same in the app's Home tab. Raises CannotDo."""
        view = self._world.homes.get(user.id)
        if view is None:
            raise CannotDo(f"{user.name} sees an empty Home tab.")
        action = filling.action(view["blocks"], labels, self._world.ts())
        given = self._begin("block_actions", user, None)
        body = self._payload(given) | {
            "actions": [action],
            "view": view | {"state": filling.state(view["blocks"], action)},
            "container": {"type": "view", "view_id": view["id"]},
        }
        self._send("interactive", body, given)
        return given

    def shortcut(self, user: User, message: Message, callback_id: str) -> Given:
        """Chooses a shortcut in the menu of a message."""
        given = self._begin("message_action", user, message.place, message)
        body = self._payload(given) | {
            "callback_id": callback_id,
            "message": message.told(),
            "message_ts": message.ts,
            "action_ts": self._world.ts(),
        }
        self._send("interactive", body, given)
        return given

    def submit(self, user: User, form: Given | Mapping[str, Any], texts: str | Mapping[str, str]) -> Given:
        """Fills in a form, and sends it off: the one that something has opened, or a view of any kind. Raises
        CannotDo."""
        view = form.view if isinstance(form, Given) else form
        if isinstance(form, Given) and form.user is not user:
            raise CannotDo(f"That form is before {form.user.name}.")
        values = filling.filled(view, texts)
        given = self._begin("view_submission", user, None)
        given.form = form if isinstance(form, Given) else None
        body = self._payload(given) | {"view": {**view, "state": values}, "response_urls": []}
        self._send("interactive", body, given)
        return given

    def type(
        self, user: User, form: Given, field: str, typed: str, texts: Mapping[str, str] | None = None
    ) -> Given:
        """Types into a field of a form that the app offers something for, by its label or its block id; the others hold
        `texts`. What is offered is in `ack`. Raises CannotDo."""
        view = form.view
        for block in view["blocks"]:
            element = block.get("element") or {}
            if block["type"] == "input" and field in (block["label"]["text"], block["block_id"]):
                break
        else:
            raise CannotDo(f"There is no field {field!r} here.")
        if element["type"] != "external_select" or len(typed) < element.get("min_query_length", 3):
            raise CannotDo("Nothing is asked for in this field.")
        given = self._begin("block_suggestion", user, None)
        state = filling.typed_so_far(view, texts or {})
        body = self._payload(given) | {
            "action_id": element["action_id"],
            "block_id": block["block_id"],
            "value": typed,
            "view": {**view, "state": state},
            "container": {"type": "view", "view_id": view["id"]},
        }
        del body["trigger_id"]
        self._send("interactive", body, given)
        return given

    def close(self, user: User, form: Given) -> Given | None:
        """Closes a form; the app is told so if it wants to be. Raises CannotDo."""
        view = form.view
        form.is_closed = True
        if not view.get("notify_on_close"):
            return None
        given = self._begin("view_closed", user, None)
        self._send("interactive", self._payload(given) | {"view": view, "is_cleared": False}, given)
        return given

    def again(self) -> Given:
        """Delivers the last one once more. Raises CannotDo."""
        if self.last is None:
            raise CannotDo("Nothing was done yet.")
        kind, body = self.last
        given = next(reversed(self.given.values()))
        self._send(kind, body, given)
        return given

    # ---------------------------------------------------------------- what the app answers

    def _answered(self, given: Given, payload: Mapping[str, Any] | None) -> None:
        """What the app says when it takes something. To a button Slack shows nothing of it."""
        if given.kind == "view_submission":
            self._submitted(given, payload or {})
        elif given.kind == "slash_commands" and payload and (payload.get("text") or payload.get("blocks")):
            self._show(given, payload)
        self._world.changed()

    async def answer(self, request: web.Request) -> web.Response:
        """The address that each has."""
        given = self.given.get(request.match_info["id"])
        if given is None or given.place is None or self._world.clock() - given.at > ANSWER_MS:
            return _no("expired_url", 404)
        if given.answers >= ANSWERS:
            return _no("used_url", 404)
        try:
            payload = json.loads(await request.text())
            new = blocks.read(payload.get("blocks"))
            blocks.check(new)
        except ValueError:
            return _no("invalid_payload", 400)
        except Refused as exc:
            return _no(exc.error, 500)
        if not payload.get("delete_original") and not new and not payload.get("text"):
            return _no("no_text", 500)
        given.answers += 1
        if (payload.get("delete_original") or payload.get("replace_original")) and given.message is not None:
            self._change(given.message, payload, new)
        elif not payload.get("delete_original"):
            self._show(given, payload)
        self._world.changed()
        return web.Response(text="ok")

    def _submitted(self, given: Given, payload: Mapping[str, Any]) -> None:
        form, action = given.form, payload.get("response_action")
        if form is None:
            return
        if action == "errors":
            known = {each.get("block_id") for each in form.view["blocks"] if each["type"] == "input"}
            form.errors = given.errors = {
                key: text for key, text in payload["errors"].items() if key in known
            }
        elif action in ("update", "push"):
            view = dict(payload["view"])
            blocks.check_view(view)
            if action == "update":
                self._world.triggers.replace(form.view["id"], view)
            else:
                self._world.triggers.show(form, view)
        else:
            form.is_closed = True

    def _change(self, message: Message, payload: Mapping[str, Any], new: list[dict[str, Any]]) -> None:
        """Takes away what was acted on, or puts something else in its place."""
        ephemeral = message.only_for is not None
        if payload.get("delete_original"):
            if not ephemeral:
                self._world.remove(message)
            elif message in message.place.ephemeral:
                message.is_gone = True
                message.place.ephemeral.remove(message)
            return
        before = message.told()
        message.text = str(payload.get("text", ""))
        message.blocks = blocks.numbered(new, f"b{message.ts[-6:]}")
        if ephemeral:
            message.edits.append((self._world.clock(), message.shown))
        else:
            self._world.rewrite(message, before, by_person=False)

    def _show(self, given: Given, payload: Mapping[str, Any]) -> None:
        """Says something where it was done."""
        assert given.place is not None
        world, ts, public = self._world, self._world.ts(), payload.get("response_type") == "in_channel"
        new = blocks.numbered(blocks.read(payload.get("blocks")), f"b{ts[-6:]}")
        root = given.place.find(str(payload.get("thread_ts") or ""))
        message = Message(given.place, ts, world.bot, str(payload.get("text", "")), new, root)
        given.messages.append(message)
        if public:
            given.public.append(message.shown)
            world.post(message)
        else:
            given.texts.append(message.shown)
            message.only_for = given.user
            given.place.ephemeral.append(message)

    # ---------------------------------------------------------------- what is sent

    def _payload(self, given: Given) -> dict[str, Any]:
        world, place = self._world, given.place
        name = given.user.name.lower()
        user = {"id": given.user.id, "username": name, "name": name, "team_id": given.user.team}
        body: dict[str, Any] = {
            "type": given.kind,
            "token": "not-used",
            "team": {"id": world.team, "domain": "lab"},
            "enterprise": None,
            "is_enterprise_install": False,
            "user": user,
            "api_app_id": world.app_id,
        }
        if given.kind != "view_closed":
            body["trigger_id"] = world.triggers.add(given)
        if place is not None:
            named = {"id": place.id, "name": NAMED.get(place.kind, place.name)}
            body |= {"channel": named, "response_url": self._url(given)}
        return body

    def _begin(self, kind: str, user: User, place: Place | None, message: Message | None = None) -> Given:
        given = Given(self._world.id("X"), user, place, message, kind, at=self._world.clock())
        given.show = self._answered
        self.given[given.id] = given
        return given

    def _url(self, given: Given) -> str:
        return f"{self.base}actions/{given.id}"

    def _send(self, kind: str, body: dict[str, Any], given: Given) -> None:
        self.last = (kind, body)
        if self.deliver is None:
            raise CannotDo("The app listens nowhere.")
        self.deliver(kind, body, given)


def _no(error: str, status: int) -> web.Response:
    return web.json_response({"ok": False, "error": error}, status=status)
