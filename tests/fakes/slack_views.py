"""Views in the fake Slack: forms that open by a trigger, and the Home tab."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.fakes import slack_blocks as blocks
from tests.fakes.slack_calls import Call, Methods
from tests.fakes.slack_refusals import Refused


def _view(call: Call) -> dict[str, Any]:
    given = call.given("view")
    view = json.loads(given) if isinstance(given, str) else given
    if not isinstance(view, dict):
        raise Refused("invalid_arguments")
    blocks.check_view(view)
    return view


def open_view(call: Call) -> dict[str, Any]:
    view = _view(call)
    opened = call.world.triggers.open(call.text("trigger_id"), view)
    call.world.changed()
    return {"view": opened}


def update_view(call: Call) -> dict[str, Any]:
    view = _view(call)
    opened = call.world.triggers.replace(call.text("view_id"), view)
    call.world.changed()
    return {"view": opened}


def publish(call: Call) -> dict[str, Any]:
    view = _view(call)
    user = call.text("user_id")
    if user not in call.world.users:
        raise Refused("user_not_found")
    if view["type"] != "home":
        raise Refused("invalid_arguments")
    call.world.homes[user] = view
    call.world.changed()
    return {"view": view}


METHODS: Final[Methods] = {"views.open": open_view, "views.update": update_view, "views.publish": publish}
