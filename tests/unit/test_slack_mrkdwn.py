"""What a person reads of markdown where Slack takes only mrkdwn."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack.guard import guarded
from adapters.slack.live import live
from adapters.slack.mrkdwn import messages, mrkdwn, notification, weight
from adapters.text import utf16_units


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**bold** __bold__ *it* _it_ ~~gone~~ ***both***", "*bold* *bold* _it_ _it_ ~gone~ *_both_*"),
        ("# One\n### **Two** #", "*One*\n*Two*"),
        ("- a\n  - b\n* [x] c\n1. d", "• a\n  ◦ b\n• ☑ c\n1. d"),
        ("> **so**\n> - x", "> *so*\n> • x"),
        ("[a *b*](https://x.y/?a&b) <https://x.y>", "<https://x.y/?a&amp;b|a _b_> <https://x.y>"),
        ("see https://x.y/z, so", "see <https://x.y/z>, so"),
        ("![pic](https://x.y/p.png)", "<https://x.y/p.png|pic>"),
        ("`a < b **c**` & 2 * 3 * 4", "`a &lt; b **c**` &amp; 2 * 3 * 4"),
        ("```py\nif a < b: **c**\n```\nend", "```\nif a &lt; b: **c**\n```\nend"),
        ("```\nnever closed", "```\nnever closed\n```"),
        ("a snake_case_name \\*no\\*", "a snake_case_name *no*"),
        ("<@U012> <!channel> <#C012>", "<@U012> &lt;!channel&gt; <#C012>"),
        ("---\n\nx", "———\n\nx"),
        ("[x](javascript:alert)", "[x](javascript:alert)"),
        ("[a|b>c](https://x.y)", "<https://x.y|a¦b&gt;c>"),
    ],
)
def test_markdown_is_what_mrkdwn_has_for_it(text: str, shown: str) -> None:
    assert mrkdwn(text) == shown


def test_a_table_is_code() -> None:
    assert mrkdwn("| a | b |\n|---|---|\n| 1 | <2> |") == "```\na    b\n---  ---\n1    &lt;2&gt;\n```"


def test_a_notification_is_the_beginning_and_says_that_there_is_more() -> None:
    assert notification("short", 200) == "short"
    shown = notification("**word** " * 1_000, 500)
    assert 300 < utf16_units(shown) <= 500 and shown.endswith("\n…")


WRITTEN = st.lists(
    st.sampled_from(
        [
            "&",
            "<",
            ">",
            "**",
            "*",
            "`",
            "```\n",
            "[a](https://b.c)",
            "[",
            "](https://x",
            "<@U1>",
            "<!here>",
            "|",
            "\n",
            "# ",
            "- ",
            "> ",
            "https://a.b/&&",
            "word",
            " ",
            "\\",
            "~~",
            "__",
            "_",
            "\U0001f600",
            "<https://a.b|c>",
        ]
    ),
    max_size=40,
).map("".join)


@given(WRITTEN)
def test_nothing_but_links_and_people_is_markup_of_slacks_own(text: str) -> None:
    shown = mrkdwn(text)
    inner = re.sub(r"<(?:@[UW]\w+|#C\w+|https?://[^<>|]+(?:\|[^<>|]*)?)>", "", shown)
    assert "<" not in inner
    assert re.search(r"&(?!amp;|lt;|gt;)", shown) is None
    assert "<!" not in shown
    if not re.search(r"[|\n#`]", text):
        assert utf16_units(shown) <= weight(text) + 4


@given(WRITTEN.map(lambda text: text * 20))
def test_all_of_it_comes_in_pieces_that_fit(text: str) -> None:
    assert all(0 < utf16_units(each) <= 500 for each in messages(text, 500))


@pytest.mark.parametrize(
    "text",
    [
        *(
            each * 20_000
            for each in (
                "[",
                "](",
                "[a",
                "`",
                "*",
                "**a ",
                "<",
                "_",
                "[[a]",
                "@",
                "<@U",
                "](x",
                "~~a",
                "[a.b](",
                "| a\n",
            )
        ),
        "[" + "[a]" * 300 + "x" * 100_000,
        "a](https://x " * 5_000,
        "[" * 40_000 + "x](" * 40_000,
        "[" * 40_000 + "x](" * 40_000,
        "\\" * 50_000,
    ],
)
def test_it_takes_time_in_proportion_to_the_text(text: str) -> None:
    began = time.process_time()
    guarded(text)
    live(text)
    notification(text, 3_000)
    messages(text[:12_000], 4_000)
    assert time.process_time() - began < 2.0
