"""Texts for people: where they are cut, how their tables are laid out, and what is made harmless in them."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.lines import GUARD, Size
from adapters.tables import MAX_TABLES, columns, tables_as_code
from adapters.text import (
    MIN_LIMIT,
    escaped,
    pieces,
    shortened,
    shown_name,
    split,
    utf8_bytes,
    utf16_units,
    without_mass_mentions,
)

FAMILY = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}"
FLAG = "\U0001f1e9\U0001f1ea"
FENCE = re.compile(
    r"(?P<lead>[ \t]*(?:>[ \t]*)*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(?P<mark>`{3,}|~{3,})(?P<info>.*)"
)
_PLAIN = (
    "word",
    "a sentence. ",
    "Other! ",
    " ",
    "\n",
    "\n\n",
    "- item\n",
    "  - inner\n",
    "# head\n",
    "x" * 90,
    "> ",
)
_LETTERS = ("é" * 40, "e\u0301" * 40, FAMILY * 9, "日本語。", FLAG * 20, "**bold** ", "`code` ")
_FENCES = (
    "```\n",
    "```py\n",
    "````\n",
    "~~~\n",
    "\n```\n",
    "```",
    "`",
    "> ```\n",
    "   ```\n",
    "- ```js\n",
    "``` x\n",
)
_TABLES = (
    "| a | b |\n|---|---|\n| 1 | 2 |\n",
    "| 1 | 2 |\n" * 9,
    "a  b\n-  -\nc  d\n",
    "~~~ ```\n",
    "1. one\n",
)
PLAIN = st.sampled_from([*_PLAIN, *_LETTERS])
MARKED = st.sampled_from([*_PLAIN, *_LETTERS, *_FENCES, *_TABLES])
MARKDOWN = st.one_of(st.lists(MARKED, max_size=60).map("".join), st.text(max_size=600))
LIMITS = st.integers(MIN_LIMIT, 400)
SIZES = st.sampled_from([utf16_units, utf8_bytes])


def seen(text: str) -> str:
    """The characters that a reader sees, whatever stands between them; the items of a list may be counted anew."""
    return "".join(re.sub(r"\d", "", text.replace(GUARD, "")).split())


def left_open(text: str) -> str:
    """The mark of a fence that the text leaves open."""
    mark, quoted = "", False
    for line in text.split("\n"):
        inner = line.lstrip(" \t>" if quoted else " \t").rstrip()
        found = FENCE.match(line)
        if mark:
            if len(inner) >= len(mark) and not inner.strip(mark[0]):
                mark = ""
        elif found and not (found["mark"][0] == "`" and "`" in found["info"]):
            mark, quoted = found["mark"], ">" in found["lead"]
    return mark


def holds_in_order(whole: str, part: str) -> bool:
    rest = iter(whole)
    return all(character in rest for character in part)


# ---------------------------------------------------------------- cutting


@given(MARKDOWN, LIMITS, SIZES)
@example("```" + "x" * 150 + "`" + "y" * 90, 100, utf16_units)
@example("````" + "\n```" * 60, 100, utf16_units)
@example("```\n" + "a" * 94 + " ```\nb\n```", 100, utf16_units)
@example("`" * 150, 100, utf16_units)
@example("> ```\n> code\nsaid\n" * 9, 100, utf16_units)
def test_nothing_is_lost_and_every_piece_reads_by_itself(text: str, limit: int, size: Size) -> None:
    cut = split(text, limit, size)
    assert holds_in_order(seen("".join(cut)), seen(text))
    for piece in cut:
        assert size(piece) <= limit
        assert piece.strip() and not left_open(piece)
        assert split(piece, limit, size) == [piece]


@given(st.lists(PLAIN, max_size=80).map("".join), LIMITS)
def test_a_text_without_fences_is_only_cut(text: str, limit: int) -> None:
    cut = "".join(split(text, limit))
    # A quotation that is cut goes on as one.
    assert seen(cut).replace(">", "") == seen(text).replace(">", "")


@given(st.lists(st.one_of(PLAIN, st.sampled_from(["```\n", "1. x\n"])), max_size=80), LIMITS, st.data())
def test_a_piece_that_is_followed_by_another_stays_while_lines_are_appended(
    fragments: list[str], limit: int, data: st.DataObject
) -> None:
    whole = "".join(fragments).split("\n")
    early = split("\n".join(whole[: data.draw(st.integers(0, len(whole)))]), limit)
    assert split("\n".join(whole), limit)[: max(0, len(early) - 1)] == early[:-1]


@pytest.mark.parametrize("text", ["", " \n\t\n", "\n" * 5_000, " \n" * 5_000])
def test_a_text_with_nothing_in_it_has_no_pieces(text: str) -> None:
    assert split(text, 100) == []


def test_a_short_text_stays_as_it_is() -> None:
    text = "# Head\n\n1. one\n1. two\n\n```py\nx\n```\n\n| a |\n|---|\n| b |"
    assert split(text, 2_000) == [text]


def test_a_limit_that_holds_no_fence_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        split("text", MIN_LIMIT - 1)


def test_a_fence_is_closed_and_opened_again_with_what_it_says() -> None:
    code = "\n".join(f"line {number}" for number in range(40))
    first, *others = split(f"```py title\n{code}\n```\nend", 200)
    assert first.startswith("```py title\nline 0\n") and first.endswith("\n```")
    assert all(each.startswith("```py title\nline ") for each in others)
    assert others[-1].endswith("line 39\n```\nend")


def test_a_fence_that_fits_is_not_cut() -> None:
    fence = "```\n" + "code\n" * 12 + "```"
    assert split("word " * 12 + "\n" + fence, 110) == [("word " * 12).strip(), fence]


def test_a_fence_within_an_item_loses_its_indentation_where_its_item_is_missing() -> None:
    code = "\n".join(f"      line {number}" for number in range(20))
    first, second, *_ = split(f"- item\n\n    ```py\n{code}\n    ```", 150)
    assert first.startswith("- item") and "\n    ```py\n      line 0\n" in first
    assert second.startswith("```py\n  line ")


def test_a_quoted_fence_stays_quoted() -> None:
    text = "> ```\n" + "".join(f"> line {number}\n" for number in range(20)) + "after"
    cut = split(text, 100)
    assert all(each.startswith("> ```\n> line ") for each in cut)
    assert all(each.endswith("\n> ```") for each in cut[:-1]) and cut[-1].endswith("\n> ```\nafter")


def test_a_quotation_goes_on_as_one() -> None:
    first, *others = split("> " + "word " * 60, 100)
    assert first.startswith("> word") and all(each.startswith("> word") for each in others)


def test_what_is_no_fence_does_not_become_one_when_a_line_is_cut() -> None:
    text = "a" * 97 + " ``` b"
    assert split(text, 100) == ["a" * 97, f"{GUARD}``` b"]
    assert split("x" * 99 + " # no heading", 100)[1] == f"{GUARD}# no heading"


def test_a_list_is_cut_between_items_and_counted_on() -> None:
    items = [f"1. item {number} with a second sentence. Here.\n   And more of it." for number in range(9)]
    cut = split("\n".join(items), 200)
    assert [each.split(" ")[0] for each in cut] == ["1.", "4.", "7."]
    assert cut[1].split("\n")[2].startswith("5. item 4")


def test_a_list_that_counts_itself_stays_as_it_is() -> None:
    text = "\n".join(f"{number}. item" for number in range(1, 60))
    assert "\n".join(split(text, 100)) == text


def test_a_heading_stays_with_what_follows() -> None:
    cut = split("word " * 15 + "\n\n# Head\n\n" + "more " * 10, 110)
    assert cut[1].startswith("# Head\n\nmore")


def test_a_table_that_is_cut_has_its_header_again() -> None:
    rows = "".join(f"| {number} | value |\n" for number in range(40))
    for table in ("| n | v |\n|---|---|\n", "| n | v |\n|:-:|--:|\n"):
        cut = split(f"text\n\n{table}{rows}", 200)
        assert len(cut) > 3 and all(table in each for each in cut)


def test_a_table_laid_out_as_code_has_its_header_again() -> None:
    rows = "".join(f"| {number} | value |\n" for number in range(40))
    cut = split(tables_as_code(f"| number | word |\n|---|---|\n{rows}"), 200)
    assert len(cut) > 2
    assert all(each.startswith("```\nnumber  word\n------  -----\n") for each in cut)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("one two. " * 30, "one two. " * 10 + "one two."),
        ("word " * 30, ("word " * 20).strip()),
        ("文。" * 80, "文。" * 50),
        ("https://example.org/" + "a" * 70 + " b " * 20, "https://example.org/" + "a" * 70 + " b " * 3),
    ],
)
def test_a_long_line_is_cut_between_sentences_or_words(text: str, first: str) -> None:
    assert split(text, 100)[0] == first.strip()


@pytest.mark.parametrize(
    "letter", [FAMILY, "e\u0301", "\U0001f1e9\U0001f1ea", "\N{THUMBS UP SIGN}\U0001f3fd", "❤\ufe0f"]
)
@pytest.mark.parametrize("limit", [100, 101, 102, 103])
def test_no_letter_is_cut_that_is_written_with_several_characters(letter: str, limit: int) -> None:
    for piece in split(letter * 200, limit):
        assert piece == letter * (len(piece) // len(letter))


def test_a_letter_without_an_end_is_cut_all_the_same() -> None:
    cut = split("e" + "\u0301" * 1_000, 100)
    assert max(map(len, cut)) == 100 and sum(map(len, cut)) == 1_001


def test_only_what_is_asked_for_is_cut() -> None:
    cut = pieces("word " * 1_000_000, 2_000)
    assert len(next(cut)) <= 2_000


# ---------------------------------------------------------------- tables

TABLE = """\
before

| Name | Amount | Note |
|:-----|-------:|:----:|
| apple \\| pear | 3 | `a \\| b` |
| 日本語 | 10 | **see** [here](https://example.org) |
| e\u0301 | | <br>x &amp; y |

after"""


def test_a_table_becomes_code_with_aligned_columns() -> None:
    assert tables_as_code(TABLE) == (
        "before\n\n```\n"
        "Name          Amount  Note\n"
        "------------  ------  --------------------------\n"
        "apple | pear       3  a | b\n"
        "日本語            10  see here (https://example.org)\n"
        "e\u0301                     x & y\n"
        "```\n\nafter"
    ).replace("--------------------------", "-" * len("see here (https://example.org)"))


def test_a_table_that_is_too_wide_becomes_a_list() -> None:
    text = "| Name | Note |\n|---|---|\n| a | " + "long " * 20 + "|\n| | b `c` |"
    assert tables_as_code(text, 60) == f"**Name:** a\n**Note:** {'long ' * 19}long\n\n**Note:** b `c`"


def test_a_wide_table_without_rows_keeps_its_names() -> None:
    assert tables_as_code("| one | two |\n|---|---|", 5) == "**one:** –\n**two:** –"


@pytest.mark.parametrize(
    "text",
    [
        "```\n| a |\n|---|\n| b |\n```",
        "no | table\nhere | neither",
        "| a | b |\n|---|",
        "| a |\n|---|\n| b | this would be lost |",
        "|---|---|",
        "a\n---\nb",
        "> | a |\n> |---|",
    ],
)
def test_what_is_no_table_stays(text: str) -> None:
    assert tables_as_code(text) == text


def test_a_pipe_in_code_ends_no_cell_where_that_makes_the_table_whole() -> None:
    assert "a|b  c\n" in tables_as_code("| x | y |\n|---|---|\n| `a|b` | c |\n")


def test_a_cell_ends_no_fence() -> None:
    laid_out = tables_as_code("| a |\n|---|\n| x ``` y |")
    assert laid_out.count("```") == 2 and not left_open(laid_out)


def test_many_tables_are_not_all_laid_out() -> None:
    text = "| a |\n|---|\n| b |\n\n" * (MAX_TABLES + 1)
    assert tables_as_code(text).endswith("```\n\n| a |\n|---|\n| b |\n\n")


CELL = st.text(st.sampled_from("ab`*[]()|\\日\u0301 ~<>&!"), max_size=12)


@given(st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=5), st.integers(5, 60))
def test_no_word_of_a_table_is_lost(rows: list[list[str]], width: int) -> None:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    text = "\n".join([lines[0], "|---|---|", *lines[1:]])
    laid_out = tables_as_code(text, width)
    assert Counter(filter(str.isalnum, text)) <= Counter(laid_out) and not left_open(laid_out)
    assert tables_as_code(laid_out, width) == laid_out


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), (FAMILY, 2), ("", 0)])
def test_columns(text: str, width: int) -> None:
    assert columns(text) == width


# ---------------------------------------------------------------- harmless


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ada", "Ada"),
        ("  Ada\n\t Lovelace ", "Ada Lovelace"),
        ("A\u202eda\u2066", "Ada"),
        ("A\u200bd\u200d \u2060 a\ufeff", "Ad a"),
        ("\x1b[31mred\x07", "[31mred"),
        ("\u3164\u115f", ""),
        ("Zoë 日本 🐓", "Zoë 日本 🐓"),
        ("x" * 200, "x" * 79 + "…"),
    ],
)
def test_shown_name(name: str, shown: str) -> None:
    assert shown_name(name) == shown


@given(st.text(), st.integers(1, 50))
def test_a_shown_name_is_one_short_line(name: str, limit: int) -> None:
    shown = shown_name(name, limit)
    assert utf16_units(shown) <= limit and shown == shown.strip() and len(shown.splitlines()) <= 1
    assert shown_name(shown, limit) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@everyone and @here", "@\u200beveryone and @\u200bhere"),
        ("@Everyone", "@\u200bEveryone"),
        ("<@1> @hereby me@example.org", "<@1> @hereby me@example.org"),
    ],
)
def test_nobody_is_called_by_a_mass_mention(text: str, shown: str) -> None:
    assert without_mass_mentions(text) == shown
    assert without_mass_mentions(shown) == shown


def test_markup_is_shown_as_it_is() -> None:
    assert escaped("*a* [b](c) `d`") == "\\*a\\* \\[b\\]\\(c\\) \\`d\\`"


@pytest.mark.parametrize(
    ("text", "limit", "cut"), [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("a🐓🐓", 4, "a🐓…")]
)
def test_shortened(text: str, limit: int, cut: str) -> None:
    assert shortened(text, limit) == cut
