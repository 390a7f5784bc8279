"""When the host looks although nobody rang."""

from __future__ import annotations

import pytest

from bot.polling import Facts, is_due


@pytest.mark.parametrize(
    ("connected", "busy", "seconds", "due"),
    [
        (False, True, 0.49, False),
        (False, True, 0.5, True),
        (False, False, 0.99, False),
        (False, False, 1.0, True),
        (True, True, 4.9, False),
        (True, True, 5.0, True),
        (True, False, 59.9, False),
        (True, False, 60.0, True),
    ],
)
def test_a_runner_is_looked_at_often_without_a_bell_and_seldom_with_one(
    connected: bool, busy: bool, seconds: float, due: bool
) -> None:
    assert is_due(Facts(connected, busy, seconds)) is due
