"""What is struck out of settings before people are shown them."""

from __future__ import annotations

from typing import Any

import pytest

from bot.striking import STRUCK, struck


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"env": {"API_KEY": "a", "LEVEL": "1"}}, {"env": {"API_KEY": STRUCK, "LEVEL": "1"}}),
        ({"headers": {"Authorization": "Basic abc"}}, {"headers": {"Authorization": STRUCK}}),
        (
            {"githubToken": "x", "keyboard": "de", "monkey": "y"},
            {"githubToken": STRUCK, "keyboard": "de", "monkey": "y"},
        ),
        ({"args": ["--token", "x", "-v"]}, {"args": ["--token", STRUCK, "-v"]}),
        ({"args": ["--api-key=x", "--level=1"]}, {"args": [f"--api-key={STRUCK}", "--level=1"]}),
        ({"args": ["--password", "--verbose"]}, {"args": ["--password", "--verbose"]}),
        (
            {"url": "https://u:pw@a.org/?token=x&page=2"},
            {"url": f"https://u:{STRUCK}@a.org/?token={STRUCK}&page=2"},
        ),
        ({"a": ["sk-ant-" + "a1B2" * 10]}, {"a": ["[redacted api key]"]}),
        ({"a": [{"secret": "x"}, 1, None]}, {"a": [{"secret": STRUCK}, 1, None]}),
        ({"token": ""}, {"token": ""}),
    ],
)
def test_what_looks_like_a_secret_is_struck_out(value: dict[str, Any], shown: dict[str, Any]) -> None:
    assert struck(value) == shown
