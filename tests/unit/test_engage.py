from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from adapters.base import Event, Manners, Sender
from agent.protocol.messages import Route
from bot.engage import Answer, Facts, Ignore, Mode, Strangers, Wiring, asks_for_session, decide

YES_AND_NO = (False, True)


def event(
    *, direct: bool = False, mentioned: bool = False, others: bool = False, thread: bool = False
) -> Event:
    return Event(
        id="e",
        kind="message",
        route=Route(channel="slack", platform_id="C1", thread_id="1.5" if thread else None),
        sender=Sender("7", "Ada"),
        created_at=1,
        text="hello",
        direct=direct,
        mentions_bot=mentioned,
        mentions_others=others,
    )


def test_the_table_below_knows_every_mode() -> None:
    assert set(get_args(Mode)) == {"mention", "mention-sticky", "all", "pattern"}
    assert set(get_args(Strangers)) == {"ignore", "refuse", "ask", "answer"}


@pytest.mark.parametrize("mode", get_args(Mode))
def test_who_is_answered(mode: Mode) -> None:
    for direct, mentioned, others, thread, session in product(YES_AND_NO, repeat=5):
        said = event(direct=direct, mentioned=mentioned, others=others, thread=thread)
        in_its_thread = mode == "mention-sticky" and thread and session and not others
        answered = direct or mentioned or mode == "all" or in_its_thread
        decided = decide(said, Wiring("assistant", mode), Facts(session))
        assert decided == (Answer() if answered else Ignore("not_addressed")), (said, session)


@pytest.mark.parametrize("mode", get_args(Mode))
def test_the_session_is_asked_for_where_it_decides(mode: Mode) -> None:
    for direct, mentioned, others, thread in product(YES_AND_NO, repeat=4):
        said = event(direct=direct, mentioned=mentioned, others=others, thread=thread)
        wiring = Wiring("assistant", mode)
        matters = decide(said, wiring, Facts(False)) != decide(said, wiring, Facts(True))
        assert asks_for_session(said, wiring) == matters


def test_without_a_word_about_it_a_mention_is_needed_and_nobody_strange_is_heard() -> None:
    wiring = Wiring("assistant")
    assert (wiring.mode, wiring.strangers, wiring.bots, wiring.bot_messages) == (
        "mention-sticky",
        "ignore",
        False,
        5,
    )
    assert wiring.manners == Manners()
