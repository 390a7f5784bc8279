from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from adapters.base import Event, Sender
from agent.protocol.messages import Route
from bot.engage import Answer, Ignore, Mode, Wiring, decide


@pytest.mark.parametrize(
    ("mode", "direct", "mentioned"), list(product(get_args(Mode), (False, True), (False, True)))
)
def test_who_is_answered(mode: Mode, direct: bool, mentioned: bool) -> None:
    event = Event(
        id="e",
        kind="message",
        route=Route(channel="slack", platform_id="C1"),
        sender=Sender("7", "Ada"),
        created_at=1,
        text="hello",
        direct=direct,
        mentions_bot=mentioned,
    )
    answered = mode == "all" or direct or mentioned
    assert decide(event, Wiring("assistant", mode)) == (Answer() if answered else Ignore("not_addressed"))


def test_without_a_word_about_it_a_mention_is_needed() -> None:
    assert Wiring("assistant").mode == "mention"
