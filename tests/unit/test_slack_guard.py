"""What an agent posts calls nobody whom the wiring does not allow, and no link passes for another one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack.guard import GUARD, disguises, guarded

MENTION = re.compile(r"<[@#!](?!--|doctype)|@(?:here|channel|everyone|group)\b", re.IGNORECASE)
PIECES = st.sampled_from(
    [
        "<!channel>",
        "<!here|x>",
        "<@U1>",
        "<#C1|x>",
        "<!subteam^S1>",
        "<!date^1^{date}|x>",
        "@",
        "here",
        "channel",
        "@everyone",
        "<",
        "!",
        "&lt;",
        "`",
        "```",
        "\n",
        "[a.com](https://b.com)",
        "\\",
        " ",
        "word",
        "|",
        ">",
    ]
)


@pytest.mark.parametrize(
    "text",
    [
        "<!channel>",
        "<!here|here>",
        "<!everyone>",
        "<!subteam^S012>",
        "<!date^0^{date}|@channel>",
        "<@U012>",
        "<@U012|boss>",
        "<#C012|general>",
        "&lt;!channel&gt;",
        "&#60;!channel&#x3e;",
        "<\\!channel>",
        "`<!channel>`",
        "@channel @HERE @Everyone",
        "<https://evil.example|https://bank.com>",
    ],
)
def test_a_mention_is_words_with_a_space_that_nobody_sees(text: str) -> None:
    shown = guarded(text)
    assert shown.replace(GUARD, "") == text
    assert not MENTION.search(shown) and not re.search(r"<https?:[^>]*\|", shown)
    assert shown != text


def test_people_may_be_called_where_the_wiring_says_so_but_nobody_else() -> None:
    assert guarded("<@U012|the boss> look", people=True) == "<@U012> look"
    assert guarded("<!channel> <!subteam^S1> @here", people=True) == (
        f"<{GUARD}!channel> <{GUARD}!subteam^S1> @{GUARD}here"
    )


def test_code_and_words_that_call_nobody_stay_as_they_are() -> None:
    text = "a < b, `x<y>`, <!DOCTYPE html>, <!-- c -->, me@there.com, @hereby, [docs](https://a.b/c), <https://a.b>"
    assert guarded(text) == text


@given(st.lists(PIECES, max_size=20).map("".join), st.booleans())
def test_nothing_that_calls_everybody_is_left_and_nothing_is_lost(text: str, people: bool) -> None:
    shown = guarded(text, people=people)
    assert not re.search(r"<(?:!(?:here|channel|everyone|subteam|date))|@(?:here|channel|everyone)\b", shown)
    if not people:
        assert not MENTION.search(shown)
        assert shown.replace(GUARD, "") == text
        assert guarded(shown) == shown


@pytest.mark.parametrize(
    ("label", "target"),
    [
        ("https://bank.com", "https://evil.example"),
        ("bank.com", "https://evil.example"),
        ("**bank.com**", "https://evil.example"),
        ("ba\u200bnk.com", "https://evil.example"),
        ("www.bank.py", "https://evil.example"),
        ("bank\uff0ecom", "https://evil.example"),
        ("bank.com", "https://bank.com@evil.example"),
        ("bank.com", "https://bank.com.evil.example"),
        ("bank.com", "https://bank.com:" + "x" * 400 + "@evil.example"),
        ("log in at bank.com/login", "https://evil.example"),
    ],
)
def test_a_label_that_names_another_host_is_shown_beside_the_address(label: str, target: str) -> None:
    assert disguises(label, target)
    assert guarded(f"[{label}]({target})") == f"[{label}]({GUARD}{target})".replace(f"({GUARD}", f"{GUARD}(")


@pytest.mark.parametrize(
    ("label", "target"),
    [
        ("the docs", "https://docs.python.org/3"),
        ("render.py", "https://git.example/render.py"),
        ("asyncio.gather", "https://docs.python.org/3"),
        ("bank.com", "https://www.bank.com/login"),
        ("https://bank.com/login", "https://bank.com/login?x=1"),
        ("v1.2.3", "https://git.example"),
    ],
)
def test_an_honest_label_stays(label: str, target: str) -> None:
    assert guarded(f"[{label}]({target})") == f"[{label}]({target})"


@pytest.mark.parametrize(
    "label", [r"bank.com\\", r"\\bank.com", r"bank.com \] x", r"bank.com \[ x", "bank.com `[` x"]
)
def test_a_label_cannot_hide_behind_what_is_no_bracket(label: str) -> None:
    assert f"]{GUARD}(" in guarded(f"See [this] and [{label}](https://evil.example)")


def test_a_label_cannot_hide_in_brackets_in_length_or_in_a_definition() -> None:
    assert GUARD in guarded("[a [b [bank.com] c] d](https://evil.example)")
    assert GUARD in guarded(f"[{'x' * 2_000} bank.com](https://evil.example)")
    assert guarded("[bank.com][1]\n\n[1]: https://evil.example") == (
        f"[bank.com][1]\n\n[1]{GUARD}: https://evil.example"
    )
