"""Where a session may write."""

from __future__ import annotations

import pytest

from agent.protocol.messages import Destination, Route
from bot.destinations import allowed

HOME = Route(channel="fake", platform_id="home", thread_id="t")
OPS = Destination(name="ops", display_name="Ops", route=Route(channel="fake", platform_id="ops"))
ASKED = Route(channel="fake", platform_id="asked")


@pytest.mark.parametrize(
    ("route", "may"),
    [
        (HOME, True),
        (OPS.route, True),
        (ASKED, True),
        (HOME.model_copy(update={"thread_id": None}), False),
        (HOME.model_copy(update={"thread_id": "other"}), False),
        (HOME.model_copy(update={"channel": "other"}), False),
        (OPS.route.model_copy(update={"thread_id": "t"}), False),
        (Route(channel="fake", platform_id="elsewhere"), False),
    ],
)
def test_allowed(route: Route, may: bool) -> None:
    assert allowed(HOME, [OPS], [ASKED], route) is may
