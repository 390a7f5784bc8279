"""What an entered line means, and which part of a streamed answer is still to be printed."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.offers import CommandInfo
from adapters.terminal.lines import (
    Attach,
    Help,
    Line,
    Message,
    Quit,
    ServiceCommand,
    StopTurn,
    Wrong,
    help_text,
    parse,
)
from adapters.terminal.stream import Stream
from agent.protocol.messages import MAX_TEXT_CHARS


@pytest.mark.parametrize(
    ("entered", "meaning"),
    [
        ("hello  there ", Message("hello  there ")),
        ("", None),
        (" \t", None),
        ("/help", Help()),
        ("/HELP ", Help()),
        ("/quit", Quit()),
        ("/stop", StopTurn()),
        ("/status", ServiceCommand("status")),
        ("/status verbose=yes the rest", ServiceCommand("status", {"verbose": "yes", "text": "the rest"})),
        ("/clear don't", ServiceCommand("clear", {"text": "don't"})),
        ("//comment", Message("//comment")),
        ("/etc/passwd", Message("/etc/passwd")),
        ("/etc/passwd what is it?", Message("/etc/passwd what is it?")),
        (" /help", Message(" /help")),
        ("/ help", Message("/ help")),
        ("/", Message("/")),
        ("/5 of them", Message("/5 of them")),
        ("/file a.txt", Attach("a.txt")),
        ("/file my file.txt", Attach("my file.txt")),
        ("/file 'my file.txt'", Attach("my file.txt")),
        ('/file "~/my file.txt" ', Attach("~/my file.txt")),
        ("/file my\\ file.txt", Attach("my file.txt")),
        ("/file don't.txt", Attach("don't.txt")),
        ("/file", Wrong("Name the file: /file PATH")),
        ("/clearx", Wrong("There is no command /clearx. Did you mean /clear?")),
        ("/statsu now", Wrong("There is no command /statsu. Did you mean /status?")),
        ("/xyzzy", Wrong("There is no command /xyzzy. /help lists the commands.")),
        ("a\ud800b\x00", Message("a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}")),
    ],
)
def test_a_line_has_one_meaning(entered: str, meaning: Line | None) -> None:
    assert parse(entered) == meaning


def test_the_service_may_have_other_commands() -> None:
    commands = [CommandInfo("usage", "what it costs")]
    assert parse("/usage", commands) == ServiceCommand("usage")
    assert isinstance(parse("/status", commands), Wrong)
    assert "/usage  what it costs" in help_text(commands)


def test_a_message_may_be_as_long_as_the_service_takes() -> None:
    assert parse("x" * MAX_TEXT_CHARS) == Message("x" * MAX_TEXT_CHARS)
    assert isinstance(parse("x" * (MAX_TEXT_CHARS + 1)), Wrong)


def _feed(stream: Stream, text: str, cuts: list[int]) -> str:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return "".join(stream.feed(start, text[start:end]) for start, end in itertools.pairwise(edges))


TEXT = st.text(alphabet="ab \n", min_size=1).filter(str.strip)


@given(TEXT, st.lists(st.integers(0, 50)), st.integers(0, 50))
def test_what_was_streamed_is_not_printed_again(final: str, cuts: list[int], cut: int) -> None:
    stream = Stream("t")
    lines = _feed(stream, final[:cut], cuts)
    missing = stream.finish(final)
    if not final[:cut].strip():
        assert missing is None
    else:
        assert missing is not None
        assert (lines + missing).strip() == final.strip()
    assert stream.partial == ""


@given(TEXT, TEXT, st.lists(st.integers(0, 50)))
def test_a_turn_may_give_a_second_answer(first: str, second: str, cuts: list[int]) -> None:
    stream = Stream("t")
    whole = first.strip() + "\n\n" + second.strip()
    lines = _feed(stream, whole, cuts)
    missing_first, missing_second = stream.finish(first), stream.finish(second)
    assert missing_first is not None
    assert missing_second is not None
    assert (lines + missing_first + missing_second).split() == whole.split()


def test_another_text_does_not_continue_the_stream() -> None:
    stream = Stream("t")
    assert stream.feed(0, "one\ntw") == "one\n"
    assert stream.finish("something else") is None
    assert stream.give_up() == "tw"
    assert stream.feed(6, "o") == ""
    assert stream.finish("one\ntwo") == "o"


def test_a_line_that_was_broken_off_is_not_ended_twice() -> None:
    stream = Stream("t")
    stream.feed(0, "Let me ask first.")
    assert stream.give_up() == "Let me ask first."
    assert stream.feed(17, "\n\nYou") == "\n"
    assert stream.finish("Let me ask first.\n\nYou said no.") == "You said no."

    stopped = Stream("t")
    stopped.feed(0, "One two")
    assert stopped.give_up() == "One two"
    assert stopped.finish("One two\n\n(Stopped.)") == "\n(Stopped.)"


def test_text_after_a_gap_waits_for_the_final() -> None:
    stream = Stream("t")
    stream.feed(0, "one ")
    assert stream.feed(8, "three\n") == ""
    assert stream.finish("one two three") == "one two three"
    assert stream.feed(4, "two three\n") == ""
