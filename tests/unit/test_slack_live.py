"""What is shown of an unfinished answer is only added to, and never more than is shown of the whole one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.slack.kit import MESSAGE_CHARS
from adapters.slack.render import addition, drafts, live
from adapters.text import utf16_units
from tests.unit.test_slack_render import reply

ANSWER = """# Results

Some *emphasis*, **bold words**, `code`, ~~gone~~ and [a link](https://a.example/x_(y)) by <@U012>.

- one
- two with `a | b`

```python
print("x | y")
```

| name | count |
| :--- | ----: |
| a    | 1     |

And *so* on.
"""


def growing(text: str, step: int = 1) -> list[str]:
    return [text[:end] for end in range(0, len(text) + 1, step)]


def test_an_answer_is_only_added_to_while_it_is_written() -> None:
    shown = ""
    for text in growing(ANSWER):
        added = addition(shown, text, people=True)
        assert added is not None, text
        shown += added
    (draft,) = drafts(reply(ANSWER), people=True)
    assert shown == draft.blocks[0]["text"]
    assert shown.endswith('print("x | y")\n```')


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello **wor", "Hello"),
        ("Hello **bold** there", "Hello **bold**"),
        ("See [two words](https://a.ex", "See"),
        ("See [x](https://a.example) now", "See [x](https://a.example)"),
        ("Ask <@U01", "Ask"),
        ("Run `rm -rf", "Run"),
        ("Run:\n\n```sh\nls\n", "Run:"),
        ("Run:\n\n```sh\nls\n```\n", "Run:\n\n```sh\nls\n```"),
        ("Counts:\n\n| a | b |\n", "Counts:"),
        ("Counts:\n\n| a | b |\n|--", "Counts:"),
        ("Counts:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nafter that", "Counts:"),
        ("a | b is no table\nas one can see\n", "a | b is no table\nas one can see"),
        ("List:\n-", "List:"),
        ("", ""),
    ],
)
def test_nothing_is_shown_that_may_become_something_else(text: str, shown: str) -> None:
    assert live(text) == shown


def test_a_stream_carries_what_the_first_message_does() -> None:
    text = "\n\n".join(f"{number} " + "word " * 150 for number in range(40))
    assert utf16_units(live(text)) <= MESSAGE_CHARS
    assert live(text) == drafts(reply(text))[0].markdown


def test_a_text_that_was_changed_is_not_added_to() -> None:
    assert addition("Hello there", "Goodbye to all.\n") is None
    assert addition("", "Good") == ""


WRITTEN = st.lists(
    st.sampled_from(
        [
            "word ",
            "a",
            "\n",
            "\n\n",
            "**",
            "*",
            "`",
            "```\n",
            "| a | b |\n",
            "|---|---|\n",
            "- ",
            "# ",
            "[x](https://a.b)",
            "[",
            "](",
            "<@U1>",
            "<",
            "@here ",
            "> ",
            "1. ",
            "~~",
            "_",
            "\\",
            "|",
        ]
    ),
    max_size=30,
).map("".join)


@given(WRITTEN, st.integers(0, 100))
@example("a\n\n| a | b |\n|---|---|\n", 3)
@example("| a | b |\n|---|---|\n|---|---|\n", 0)
@example("a\n\n| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 2_000, 3)
def test_what_is_shown_is_the_beginning_of_the_first_message(text: str, end: int) -> None:
    whole = drafts(reply(text))[0]
    beginning = whole.blocks[0].get("text", "")
    shown = live(text)
    assert beginning.startswith(shown) or shown == "", (beginning, shown)
    assert utf16_units(live(text[:end])) <= MESSAGE_CHARS
    added = addition(shown, text)
    assert added == ""
