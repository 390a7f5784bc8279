from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.protocol.messages import Route
from agent.routing import Addressed, LiveText, address

ORIGIN = Route(channel="discord", platform_id="origin", thread_id="t")
OPS = Route(channel="discord", platform_id="ops")
DEV = Route(channel="slack", platform_id="dev")
LONG_NAME = "n" * 100
DESTINATIONS = {"ops": OPS, "dev.team": DEV, "here": ORIGIN, LONG_NAME: DEV}

# Every answer, and the replies in it: (name or None, text).
CASES: list[tuple[str, list[tuple[str | None, str]]]] = [
    ("hello", [(None, "hello")]),
    ("  hello\n", [(None, "hello")]),
    ("", []),
    (" \n", []),
    ('<message to="ops">up</message>', [("ops", "up")]),
    ("<message to='ops'>up</message>", [("ops", "up")]),
    ('< message\n to = " ops " > up < / message >', [("ops", "up")]),
    (f'<message to="{LONG_NAME}">up</message>', [(LONG_NAME, "up")]),
    (
        'a <message to="ops">b</message> c <message to="dev.team">d</message> e',
        [(None, "a\n\nc\n\ne"), ("ops", "b"), ("dev.team", "d")],
    ),
    ('<message to="ops">b</message>\nthen a', [("ops", "b"), (None, "then a")]),
    (
        '<message to="ops">1</message> x <message to="ops">2</message>',
        [("ops", "1"), (None, "x"), ("ops", "2")],
    ),
    ('<message to="here">again</message> and here', [("here", "again"), (None, "and here")]),
    ('<message to="ops"> </message>hi', [(None, "hi")]),
    # no tag at all
    ('<message to="nobody">b</message> c', [(None, '<message to="nobody">b</message> c')]),
    ("<message to=\"ops'>b</message>", [(None, "<message to=\"ops'>b</message>")]),
    ("<message>b</message>", [(None, "<message>b</message>")]),
    ("a </message> b </internal> c", [(None, "a </message> b </internal> c")]),
    ("1 < 2 <b>bold</b> <message", [(None, "1 < 2 <b>bold</b> <message")]),
    ("<messages to='ops'>", [(None, "<messages to='ops'>")]),
    # not closed
    ('a <message to="ops">b\nc', [(None, "a"), ("ops", "b\nc")]),
    ('<message to="ops">b <message to="dev.team">c</message>', [("ops", "b"), ("dev.team", "c")]),
    ("<internal>oops, all of it", [(None, "oops, all of it")]),
    ('a <internal>b <message to="ops">c</message>', [(None, "a b"), ("ops", "c")]),
    ("<internal>a</internal><internal>b", [(None, "b")]),
    # internal
    ("<internal>hm</internal>", []),
    ("\n<internal>hm</internal> <internal>\nso\n</internal>\n", []),
    ("a<internal>hm</internal>b", [(None, "ab")]),
    ('<message to="ops">a<internal>hm</internal></message>', [("ops", "a")]),
    ('<message to="ops"><internal>hm</internal></message>', []),
    ('<internal>to <message to="ops">x</message></internal>y', [(None, "y")]),
    ("<internal>```</internal> a <internal>b</internal>", [(None, "a")]),
    # fences
    ('```\n<message to="ops">x</message>\n```', [(None, '```\n<message to="ops">x</message>\n```')]),
    (
        "```xml\n<internal>x</internal>\n```\n<internal>y</internal>",
        [(None, "```xml\n<internal>x</internal>\n```")],
    ),
    ('  ```\n```\n<message to="ops">x</message>', [(None, "```\n```"), ("ops", "x")]),
    ('<message to="ops">```\n</message>\n```</message>a', [("ops", "```\n</message>\n```"), (None, "a")]),
    (
        '````\n```\n<internal>\n````\n<message to="ops">x',
        [(None, "````\n```\n<internal>\n````"), ("ops", "x")],
    ),
    (
        '```\n```py\n<internal>\n```\n<message to="ops">x',
        [(None, "```\n```py\n<internal>\n```"), ("ops", "x")],
    ),
    ('```one line``` <message to="ops">x</message>', [(None, "```one line```"), ("ops", "x")]),
    ('a ``` is no fence <message to="ops">x', [(None, "a ``` is no fence"), ("ops", "x")]),
    ('see: <message to="ops">```\n</message>\n```', [(None, "see:"), ("ops", "```\n</message>\n```")]),
    ('`` ```\n<message to="ops">x', [(None, "`` ```"), ("ops", "x")]),
    ('``\n<message to="ops">x', [(None, "``"), ("ops", "x")]),
    ('```\nx = "```"\n<internal>\n```\n<internal>y</internal>', [(None, '```\nx = "```"\n<internal>\n```')]),
    ('```\n<message to="ops">x</message>', [(None, '```\n<message to="ops">x</message>')]),
]
ANSWERS = [answer for answer, _ in CASES]


def home(answer: str) -> str:
    return next((reply.text for reply in address(answer, ORIGIN, DESTINATIONS) if reply.to is None), "")


def live(chunks: Sequence[str]) -> str:
    text = LiveText(DESTINATIONS)
    return "".join(text.feed(chunk) for chunk in chunks)


def cut(answer: str, places: Sequence[int]) -> list[str]:
    edges = [0, *sorted(place % (len(answer) + 1) for place in places), len(answer)]
    return [answer[a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize(("answer", "expected"), CASES, ids=ANSWERS)
def test_address(answer: str, expected: list[tuple[str | None, str]]) -> None:
    assert address(answer, ORIGIN, DESTINATIONS) == [
        Addressed(ORIGIN if to is None else DESTINATIONS[to], text, to) for to, text in expected
    ]


@pytest.mark.parametrize("answer", ANSWERS)
def test_live_text_agrees_wherever_the_answer_is_cut_twice(answer: str) -> None:
    final = home(answer)
    shown = {live(cut(answer, places)) for places in itertools.combinations(range(len(answer)), 2)}
    shown |= {live([answer]), live(list(answer))}
    assert all(final.startswith(text) for text in shown)
    assert len(shown) == 1


def test_every_chunking_of_short_answers() -> None:
    for answer in ["a<b", "``` <", "a  b \n", "<internal", '"</message>']:
        for flags in itertools.product((False, True), repeat=len(answer) - 1):
            places = [place for place, flag in enumerate(flags, 1) if flag]
            assert home(answer).startswith(live(cut(answer, places)))


FRAGMENTS = st.sampled_from(
    [
        '<message to="ops">',
        "<message to='dev.team' >",
        '<message to="nobody">',
        "</message>",
        "<internal>",
        "</internal>",
        "<",
        "<mess",
        "< /",
        ' to="ops">',
        "```",
        "``",
        "````",
        "`",
        "\n",
        "\r\n",
        " ",
        "    ",
        "py",
        "word",
        "é\u2028",
        "x" * 40,
        " " * 300,
    ]
)


@settings(deadline=None, max_examples=400)
@given(
    st.lists(FRAGMENTS | st.text(max_size=3), max_size=20).map("".join), st.lists(st.integers(0), max_size=30)
)
@example("a" + " " * 300 + "b", [150])
def test_live_text_is_how_the_reply_begins(answer: str, places: list[int]) -> None:
    final = home(answer)
    text, shown = LiveText(DESTINATIONS), ""
    for chunk in cut(answer, places):
        shown += text.feed(chunk)
        assert final.startswith(shown)


WORDS = st.text("abc <>&`\"'\n", max_size=12).map(lambda text: text.replace("`", "'") + ".")
PARTS = st.one_of(
    st.tuples(st.just("text"), WORDS),
    st.tuples(st.just("internal"), WORDS),
    st.tuples(st.just("ops"), WORDS),
    st.tuples(st.just("dev.team"), WORDS),
    st.tuples(st.just("fence"), st.sampled_from([*ANSWERS[:20], "<internal>", "</message>", "``"])),
)


@settings(deadline=None)
@given(st.lists(PARTS, max_size=8), st.lists(st.integers(0), max_size=20))
def test_a_well_formed_answer_is_delivered_whole_and_shown_whole(
    parts: list[tuple[str, str]], places: list[int]
) -> None:
    """Against a second reading: each part goes where it was meant, and live text misses but the end."""
    written: list[str] = []
    pieces: list[str] = [""]
    blocks: list[tuple[str, str]] = []
    for kind, text in parts:
        if kind in DESTINATIONS:
            written.append(f'<message to="{kind}">{text}</message>')
            blocks.append((kind, text.strip()))
            pieces.append("")
        elif kind == "internal":
            written.append(f"<internal>{text}</internal>")
        else:
            literal = text if kind == "text" else f"\n```\n{text}\n```\n"
            written.append(literal)
            pieces[-1] += literal
    answer = "".join(written)
    expected = "\n\n".join(piece.strip() for piece in pieces if piece.strip())
    replies = address(answer, ORIGIN, DESTINATIONS)
    assert [(reply.to, reply.text) for reply in replies if reply.to] == blocks
    assert [reply.text for reply in replies if reply.to is None] == ([expected] if expected else [])
    assert live([*cut(answer, places), "\n"]) == expected


def test_live_text_never_shows_what_is_hidden() -> None:
    answer = 'one <internal>SECRET</internal> two <message to="ops">SECRET</message> three <internal>SECRET'
    assert live(list(answer)) == "one  two\n\nthree"


def test_live_text_holds_back_no_more_than_it_must() -> None:
    text = LiveText(DESTINATIONS)
    assert text.feed("if a <") == "if a"
    assert text.feed(" b") == ""
    assert text.feed(" then <mess") == " < b then"
    assert text.feed("age to=") == ""
    assert text.feed("5>") == " <message to=5>"


@pytest.mark.parametrize(("spaces", "muted", "after"), [(256, False, " " * 256 + "b"), (257, True, "")])
def test_live_text_goes_silent_when_it_cannot_keep_up(spaces: int, muted: bool, after: str) -> None:
    text = LiveText(DESTINATIONS)
    assert text.feed("a" + " " * spaces) == "a"
    assert text.muted is muted
    assert text.feed("b") == after


def test_whitespace_before_a_block_is_nothing_to_keep_up_with() -> None:
    text = LiveText(DESTINATIONS)
    assert text.feed("a" + " " * 300 + '<message to="ops">x</message>') == "a"
    assert text.feed("b") == "\n\nb"


def steps(function: Callable[[], object]) -> int:
    """How many lines of Python run: a measure of work that knows no clock."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


HOSTILE = [
    "<",
    "< ",
    "`",
    "\n```",
    "<message ",
    '<message to="',
    '<message to="ops">',
    '<message to="nobody">',
    "<internal>",
    "</internal>",
    "<internal></internal",
    " ",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_work_grows_no_faster_than_the_answer(unit: str) -> None:
    def read(times: int) -> int:
        answer = unit * times
        chunks = [answer[at : at + 16] for at in range(0, len(answer), 16)]
        return steps(lambda: address(answer, ORIGIN, DESTINATIONS)) + steps(lambda: live(chunks))

    small = read(500)
    assert read(1000) <= 2 * small + 200


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_long_answer_of_anything_comes_to_an_end(unit: str) -> None:
    """What is not linear in the regular expressions takes many minutes here."""
    answer = unit * (2**18 // len(unit)) + "<internal>end</internal>."
    final = home(answer)
    assert final == "" or final.endswith(".")
    assert final.startswith(live([answer[: 2**17], answer[2**17 :]]))
