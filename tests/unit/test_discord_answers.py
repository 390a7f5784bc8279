"""How what a command answers becomes messages of Discord."""

from __future__ import annotations

import pytest

from adapters.discord.answers import IN_THE_FILE, MOST_PAGES, NOTHING, answered, pages
from adapters.text import utf16_units

TABLE = "ID    STATE\nabc   idle\ndef1  asleep"


def test_a_sentence_is_one_page() -> None:
    assert pages("Nothing is running.") == ["Nothing is running."]
    assert answered("Nothing is running.").file is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TABLE, f"```\n{TABLE}\n```"),
        (f"Those:\n{TABLE}\nAnd no more.", f"Those:\n```\n{TABLE}\n```\nAnd no more."),
        ("head:\n  0 ms  one\n  part 1: sent", "head:\n```\n  0 ms  one\n  part 1: sent\n```"),
        ("one line  in columns", "one line  in columns"),
        ("a  b\n\nc  d", "a  b\n\nc  d"),
        (f"```\n{TABLE}\n```", f"```\n{TABLE}\n```"),
        ("id: abc\nstate: idle", "id: abc\nstate: idle"),
    ],
)
def test_columns_are_code(text: str, expected: str) -> None:
    assert pages(text) == [expected]


def test_what_somebody_has_said_does_not_end_the_block() -> None:
    (page,) = pages("abc  kept: ``` @everyone\ndef  kept: no")
    assert page.startswith("```\n") and page.endswith("\n```") and page.count("```") == 2
    assert "@everyone" not in page


def test_a_markdown_table_is_code() -> None:
    (page,) = pages("A list:\n\n| a | b |\n| --- | --- |\n| 1 | 2 |")
    assert "|" not in page and "```" in page


def rows(count: int) -> str:
    return "\n".join(f"{n:<8}  idle  the {n}. of the conversations in a place" for n in range(count))


def test_a_long_table_has_pages() -> None:
    text = rows(120)
    made = answered(text)
    assert made.file is None and 1 < len(made.pages) <= MOST_PAGES
    assert all(utf16_units(page) <= 2000 for page in made.pages)
    assert all(page.startswith("```\n") and page.endswith("\n```") for page in made.pages)
    inside = [line for page in made.pages for line in page.splitlines() if line != "```"]
    assert inside == text.splitlines()


def test_what_is_longer_is_a_file() -> None:
    text = rows(300) + "\n\N{BIRD}"
    made = answered(text)
    assert made.pages == [IN_THE_FILE] and made.file is not None
    assert (made.file.name, made.file.data.decode()) == ("answer.txt", text)
    assert len(pages(text)) > MOST_PAGES


def test_an_empty_answer_is_a_sentence() -> None:
    assert answered("").pages == [NOTHING]
