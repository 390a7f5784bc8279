"""Views in the fake Slack: forms that open by a trigger, and the Home tab."""

from __future__ import annotations

from typing import Any, Final

from tests.fakes import slack_blocks as blocks
from tests.fakes.slack_calls import Call, Methods, wrong
from tests.fakes.slack_forms import kept
from tests.fakes.slack_refusals import Refused


def _view(call: Call, *kinds: str) -> dict[str, Any]:
    view = call.json("view")
    if not isinstance(view, dict):
        raise wrong("missing required field: view")
    blocks.check_view(view)
    if view["type"] not in kinds:
        raise wrong(f"must be of type {' or '.join(kinds)} [json-pointer:/view/type]")
    return view


def open_view(call: Call) -> dict[str, Any]:
    """views.open: once for each trigger, within three seconds of it."""
    view = _view(call, "modal")
    opened = call.world.triggers.open(call.text("trigger_id"), view)
    call.world.changed()
    return {"view": opened}


def update_view(call: Call) -> dict[str, Any]:
    """views.update."""
    view = _view(call, "modal", "home")
    opened = call.world.triggers.replace(call.text("view_id"), view, seen=call.text("hash"))
    call.world.changed()
    return {"view": opened}


def publish(call: Call) -> dict[str, Any]:
    """views.publish: the Home tab of one person."""
    world, user = call.world, call.world.users.get(call.needed("user_id"))
    if user is None or user.is_bot:
        raise wrong("invalid `user_id` [json-pointer:/user_id]")
    view = _view(call, "home")
    if not world.has_home:
        raise Refused("not_enabled")
    old = world.homes.get(user.id, {})
    if call.text("hash") not in ("", str(old.get("hash", ""))):
        raise Refused("hash_conflict")
    world.homes[user.id] = kept(world, view, str(old.get("id") or world.id("V")))
    world.changed()
    return {"view": world.homes[user.id]}


METHODS: Final[Methods] = {"views.open": open_view, "views.update": update_view, "views.publish": publish}
