from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from adapters.base import Event, Manners, Sender
from agent.protocol.messages import Route
from bot import engage
from bot.engage import (
    SHARED,
    Answer,
    Facts,
    Ignore,
    Mode,
    SessionMode,
    Strangers,
    Wiring,
    asks_for_session,
    conversation,
    decide,
    meant,
    named,
    pattern_fault,
    together,
)

YES_AND_NO = (False, True)
FITS = (False, True, None)


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
    assert set(get_args(SessionMode)) == {"thread", "channel", "agent"}


@pytest.mark.parametrize("sessions", get_args(SessionMode))
@pytest.mark.parametrize("mode", get_args(Mode))
def test_who_is_answered(mode: Mode, sessions: SessionMode) -> None:
    """What a conversation is decides nothing about what is for the agent: the facts say where it was asked before."""
    wiring = Wiring("assistant", mode, pattern="x", sessions=sessions)
    for direct, mentioned, others, thread, session, is_meant in product(YES_AND_NO, repeat=6):
        for fits, name in product(FITS, (None, "assistant", "other")):
            said = event(direct=direct, mentioned=mentioned, others=others, thread=thread)
            called = direct or mentioned
            in_its_thread = mode == "mention-sticky" and thread and session and not others and not called
            itself = mode == "all" or (mode == "pattern" and fits is True) or in_its_thread
            answered = name == "assistant" if called and name else (called and is_meant) or itself
            decided = decide(said, wiring, Facts(session, is_meant, name, fits))
            assert isinstance(decided, Answer) == answered, (said, session, is_meant, name, fits)


def test_why_it_is_not_for_the_agent() -> None:
    mention, plain = event(mentioned=True), event()
    assert decide(plain, Wiring("a"), Facts()) == Ignore("not_addressed")
    assert decide(mention, Wiring("a"), Facts(named="b")) == Ignore("names_another_agent")
    assert decide(mention, Wiring("a"), Facts(meant=False)) == Ignore("means_another_agent")
    assert decide(plain, Wiring("a", "pattern"), Facts(fits=None)) == Ignore("pattern_failed")
    assert decide(plain, Wiring("a", "pattern"), Facts(fits=False)) == Ignore("not_addressed")


@pytest.mark.parametrize("mode", get_args(Mode))
def test_the_session_is_asked_for_where_it_decides(mode: Mode) -> None:
    for direct, mentioned, others, thread in product(YES_AND_NO, repeat=4):
        said = event(direct=direct, mentioned=mentioned, others=others, thread=thread)
        wiring = Wiring("assistant", mode)
        matters = decide(said, wiring, Facts(False)) != decide(said, wiring, Facts(True))
        assert asks_for_session(said, wiring) == matters


def test_whom_a_mention_without_a_name_means() -> None:
    everything, first, second = Wiring("log", "all"), Wiring("one", "mention"), Wiring("two", "pattern")
    assert meant([everything, first, second]) == "one"
    assert meant([everything, first, second], {"two", "log"}) == "two"
    assert meant([everything, first, second], {"log"}) == "one"
    assert meant([everything]) == "log"
    assert meant([]) is None


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("helper: what now?", "helper"),
        ("Helper, what now?", "helper"),
        ("@helper what now?", "helper"),
        ("@helper", "helper"),
        (", helper: hello", "helper"),
        ("helper : hello", "helper"),
        ("@helper-2 hello", "helper-2"),
        ("helper-2: hello", "helper-2"),
        ("helper what now?", None),
        ("@helpers hello", None),
        ("ask helper: what now?", None),
        ("", None),
    ],
)
def test_whom_a_message_names(text: str, agent: str | None) -> None:
    assert named(text, ["helper", "helper-2"]) == agent


def test_what_one_conversation_is() -> None:
    thread = Route(channel="slack", platform_id="C1", thread_id="1.5")
    elsewhere = Route(channel="discord", platform_id="7")
    assert conversation(Wiring("a"), thread) == thread
    assert conversation(Wiring("a", sessions="channel"), thread) == Route(channel="slack", platform_id="C1")
    shared = Wiring("a", sessions="agent")
    assert conversation(shared, thread) == conversation(shared, elsewhere)
    assert conversation(shared, thread).channel == SHARED
    assert conversation(shared, thread) != conversation(Wiring("b", sessions="agent"), thread)


def test_several_agents_do_what_all_of_them_may() -> None:
    loud, quiet = Manners(mentions=True, previews=True), Manners(threads=False, streaming=False)
    assert together([Wiring("a", manners=loud)]) == loud
    assert together([Wiring("a", manners=loud), Wiring("b", manners=quiet)]) == Manners(streaming=False)
    assert together([]) == Manners()
    assert not together([Wiring("a", manners=loud, sessions="channel")]).threads
    assert not together([Wiring("a", manners=loud, sessions="agent")]).threads


def test_without_a_word_about_it_a_mention_is_needed_and_nobody_strange_is_heard() -> None:
    wiring = Wiring("assistant")
    assert (wiring.mode, wiring.strangers, wiring.bots, wiring.bot_messages) == (
        "mention-sticky",
        "ignore",
        False,
        5,
    )
    assert wiring.manners == Manners()


def test_what_is_wrong_with_a_pattern_is_one_sentence() -> None:
    assert pattern_fault(r"\bRST-\d{1,5}\b|deploy") is None
    for bad in ("(", r"(\w+\s?)*$", "((((a{100}){100}){100}){100})", r"(?<=x", "[z-a]"):
        fault = pattern_fault(bad)
        assert fault is not None and fault.startswith("This pattern cannot be used: ") and "\n" not in fault
    assert engage.pattern_fault(r"(x+x+)+y") is not None
