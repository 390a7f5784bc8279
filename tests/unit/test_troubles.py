from __future__ import annotations

import logging

import pytest

from bot.metrics import Metrics
from bot.troubles import SHOWN_CHARS, Trouble, Troubles

SECRET = "sk-" + "ant-" + "api03-" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY"
FIGURE = 'roost_channel_trouble{channel="discord"}'


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def troubles(metrics: Metrics) -> Troubles:
    ticks = iter(range(100, 200))
    return Troubles(["discord", "slack"], metrics=metrics, clock=lambda: next(ticks))


def test_the_newest_sentence_stands_since_the_first(troubles: Troubles, metrics: Metrics) -> None:
    assert troubles.listed() == [] and metrics.snapshot()[FIGURE] == 0
    troubles.note("discord", "The token is refused.")
    troubles.note("slack", "There is no network.")
    troubles.note("discord", "There is no network.")
    assert troubles.listed() == [
        Trouble("discord", "There is no network.", 100),
        Trouble("slack", "There is no network.", 101),
    ]
    assert metrics.snapshot()[FIGURE] == 1
    troubles.note("discord", None)
    assert [each.channel for each in troubles.listed()] == ["slack"]
    assert metrics.snapshot()[FIGURE] == 0
    troubles.note("discord", "Again.")
    assert troubles.listed()[-1] == Trouble("discord", "Again.", 102), "it is another trouble"


def test_each_change_is_logged_once(troubles: Troubles, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for said in (None, "One.", "One.", "One.", "Two.", "Two.", None, None):
        troubles.note("discord", said)
    logged = [(each.levelname, each.getMessage()) for each in caplog.records]
    assert [(level, "does not work" in text, "works again" in text) for level, text in logged] == [
        ("ERROR", True, False),
        ("ERROR", True, False),
        ("INFO", False, True),
    ]


def test_a_sentence_is_one_short_line_without_secrets(troubles: Troubles) -> None:
    troubles.note("discord", f"The token {SECRET}\x1b[2J\n is \x07refused.")
    (trouble,) = troubles.listed()
    assert trouble.text == "The token [redacted api key] is refused."
    troubles.note("discord", "x" * (SHOWN_CHARS - 10) + f" {SECRET}" + " more" * 100)
    (trouble,) = troubles.listed()
    assert len(trouble.text) == SHOWN_CHARS and SECRET[:12] not in trouble.text
