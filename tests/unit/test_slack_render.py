"""What is sent to Slack for a reply: Slack takes all of it, nothing is lost, and it is the same for every try."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import Edit, Outgoing, OutgoingFile, Question, Reaction, SendFailed
from adapters.slack.draft import Draft
from adapters.slack.emoji import emoji_name
from adapters.slack.instead import instead
from adapters.slack.render import (
    EMPTY,
    FEW_MESSAGES,
    IN_THE_FILE,
    PLAIN_CHARS,
    TEXT_CHARS,
    drafts,
    parts,
    plainly,
)
from adapters.text import utf16_units
from agent.protocol.messages import Card, CardField, Route
from tests.fakes import slack_blocks

HERE = Route(channel="slack", platform_id="C1")
MIB = 2**20


def reply(text: str = "", **more: Any) -> Outgoing:
    return Outgoing("out-1", HERE, text, session="s1", **more)


def texts(made: Sequence[Draft]) -> list[str]:
    """The words of all markdown blocks, a message each."""
    return ["".join(each["text"] for each in draft.blocks if each["type"] == "markdown") for draft in made]


def taken(made: Sequence[Draft]) -> Sequence[Draft]:
    """All of them, when Slack takes each."""
    for draft in made:
        slack_blocks.check(draft.blocks)
        assert utf16_units(draft.text) <= PLAIN_CHARS
        assert draft.text or draft.file or draft.reaction or draft.removes
    return made


def table(rows: int, columns: int = 2, cell: str = "x") -> str:
    lines = ["| " + " | ".join(f"h{number}" for number in range(columns)) + " |", "|---" * columns + "|"]
    lines += ["| " + " | ".join([str(row), *[cell] * (columns - 1)]) + " |" for row in range(rows)]
    return "\n".join(lines)


def paragraphs(count: int) -> str:
    """A text of so many messages."""
    return "\n\n".join(f"{number} " + "word " * 2_200 for number in range(count))


# ---------------------------------------------------------------- answers


def test_an_answer_is_one_markdown_block_that_a_stream_can_carry() -> None:
    (draft,) = taken(drafts(reply("Some **bold** & <b>")))
    assert draft.markdown == "Some **bold** & <b>"
    assert draft.blocks == [{"type": "markdown", "text": draft.markdown}]
    assert draft.text == "Some *bold* &amp; &lt;b&gt;"
    assert not draft.previews and drafts(reply("x"), previews=True)[0].previews


def test_an_empty_answer_says_so() -> None:
    assert texts(taken(drafts(reply()))) == [EMPTY]


def test_a_long_answer_comes_as_a_file_as_well_and_of_a_very_long_one_only_the_beginning_is_shown() -> None:
    made = taken(drafts(reply(paragraphs(FEW_MESSAGES + 2))))
    assert len(made) == FEW_MESSAGES + 3 and made[-1].file is not None
    text = paragraphs(50)
    *shown, said, last = taken(drafts(reply(text)))
    assert len(shown) == FEW_MESSAGES and said.markdown == IN_THE_FILE
    assert last.file is not None and last.file.data.decode() == text
    none = drafts(reply(text), max_file_bytes=0)
    assert all(draft.file is None for draft in none)
    assert " ".join(texts(none)).split() == text.split()


def test_a_fence_that_is_cut_is_closed_and_opened_again() -> None:
    first, second = taken(drafts(reply("```python\n" + "x = 1  # a line\n" * 1_000 + "```")))
    assert first.markdown.endswith("\n```") and second.markdown.startswith("```python\n")


def test_the_records_hold_what_was_said() -> None:
    file = OutgoingFile("a.txt", "text/plain", b"x")
    made = drafts(reply("Hello", files=[file]))
    first, second = parts(reply("Hello"), made)
    assert (first.text, first.index, second.file) == ("Hello", 0, file)


# ---------------------------------------------------------------- tables


def test_a_table_is_one_of_slacks_own_between_the_words_around_it() -> None:
    text = "Before.\n\n| a | b | c |\n|---|--:|:-:|\n| **1** | | `x` |\n\nAfter."
    (draft,) = taken(drafts(reply(text)))
    before, shown, after = draft.blocks
    assert (before["text"], after["text"]) == ("Before.", "After.")
    assert [[cell["text"] for cell in row] for row in shown["rows"]] == [
        ["a", "b", "c"],
        ["1", "\u200b", "x"],
    ]
    assert [each["align"] for each in shown["column_settings"]] == ["left", "right", "center"]
    assert draft.markdown == "" and "a      b" in draft.text


def test_a_second_table_comes_in_a_message_of_its_own() -> None:
    made = taken(drafts(reply(f"{table(2)}\n\nbetween\n\n{table(3)}\n\nafter")))
    assert [[each["type"] for each in draft.blocks] for draft in made] == [
        ["table", "markdown"],
        ["table", "markdown"],
    ]


@pytest.mark.parametrize("text", [table(250), table(3, columns=30), table(50, cell="word " * 100)])
def test_a_table_that_is_too_large_comes_as_a_file_and_the_message_says_so(text: str) -> None:
    made = taken(drafts(reply(text)))
    *shown, last = made
    assert last.file is not None and last.file.name == "table.csv"
    rows = list(csv.reader(io.StringIO(last.file.data.decode("utf-8-sig"))))
    assert len(rows) == len(text.splitlines()) - 1
    assert f"The table has {len(rows) - 1} rows and {len(rows[0])} columns" in "".join(texts(shown))


def test_a_table_that_is_too_large_is_words_where_no_file_is_taken() -> None:
    made = taken(drafts(reply(table(250)), max_file_bytes=0))
    assert all(draft.file is None for draft in made)
    assert "249" in texts(made)[-1]


# ---------------------------------------------------------------- where blocks are refused


def test_a_draft_whose_blocks_are_refused_says_all_of_it_in_words() -> None:
    text = f"# Title\n\n{'word ' * 1_500}\n\n{table(20)}\n\nThe **end**."
    (draft,) = drafts(reply(text), previews=True)
    plain = plainly(draft)
    assert all(not each.blocks and each.previews and utf16_units(each.text) <= PLAIN_CHARS for each in plain)
    said = "\n".join(each.text for each in plain)
    assert said.count("word") == 1_500 and said.startswith("*Title*") and said.endswith("The *end*.")
    assert "19   x" in said
    assert list(instead(draft, "invalid_blocks")) == plain
    assert not instead(draft, "channel_not_found")


def test_only_the_first_takes_the_place_of_what_stood_there() -> None:
    edit = Edit(["C1:1.000001"], 1)
    (draft,) = drafts(reply("word " * 2_000, edit=edit))
    first, *more = plainly(draft)
    assert first.replaces == "C1:1.000001" and more and all(each.replaces is None for each in more)


# ---------------------------------------------------------------- files, edits, reactions, cards


def test_a_file_that_is_not_taken_is_named() -> None:
    def file(size: int) -> OutgoingFile:
        return OutgoingFile("../a <!here>.bin", "text/plain", b"x" * size)

    (sent,) = drafts(reply(files=[file(1)]))
    assert sent.file is not None and sent.file.name == "a <!here>.bin"
    (told,) = taken(drafts(reply(files=[file(2 * MIB)]), max_file_bytes=MIB))
    assert (
        told.markdown.endswith("is missing: it has 2 MiB, and Slack takes 1 MiB.)") and "<!" not in told.text
    )
    (told,) = drafts(reply(files=[file(0)]))
    assert "empty file" in told.markdown
    (told,) = instead(sent, "file_uploads_disabled")
    assert "this workspace takes no files" in told.markdown and "<!here" not in told.markdown


def test_an_edit_takes_the_places_of_the_old_text_and_takes_the_rest_away() -> None:
    ids = ["C1:1.000001", "C1:2.000001"]
    first, second = taken(drafts(reply("new", edit=Edit(ids, 1))))
    assert (first.markdown, first.replaces, first.removes) == ("new", ids[0], False)
    assert second.removes and second.replaces == ids[1]
    longer = drafts(reply(paragraphs(3), edit=Edit(ids, 1)))
    assert [each.replaces for each in longer] == [*ids, None]


@pytest.mark.parametrize(
    ("emoji", "name"),
    [
        ("👍", "+1"),
        ("👍🏽", "+1::skin-tone-4"),
        ("❤️", "heart"),
        ("❤", "heart"),
        ("#️⃣", "hash"),
        ("👨‍👩‍👧", "man-woman-girl"),
        ("🏳️‍🌈", "rainbow-flag"),
        (":Party_Parrot:", "party_parrot"),
        ("white_check_mark", "white_check_mark"),
    ],
)
def test_a_reaction_is_the_name_that_slack_knows(emoji: str, name: str) -> None:
    (draft,) = drafts(reply(reaction=Reaction(emoji, 1, message="C1:1.000001")))
    assert (draft.reaction, draft.blocks) == (name, [])


@pytest.mark.parametrize("emoji", ["", "no emoji", "x/../y", "👍👎", "::", "A"])
def test_what_is_no_emoji_cannot_be_sent(emoji: str) -> None:
    with pytest.raises(SendFailed, match="no emoji"):
        emoji_name(emoji)


def test_a_card_is_a_header_with_sections_and_fields() -> None:
    fields = [CardField(name=f"n{number}", value="**v** & w") for number in range(12)]
    (draft,) = taken(drafts(reply("words", card=Card(title="Build", text="It *works*.", fields=fields))))
    header, text, ten, two = draft.blocks
    assert (header["text"]["text"], text["text"]["text"]) == ("Build", "It _works_.")
    assert [len(ten["fields"]), len(two["fields"])] == [10, 2]
    assert ten["fields"][0]["text"] == "*n0*\n*v* &amp; w"
    assert draft.text.startswith("*Build*\nIt _works_.\n*n0*")


def test_what_has_no_room_on_a_card_comes_as_text() -> None:
    fields = [CardField(name=f"n{number}", value="&" * 1_000) for number in range(25)]
    made = taken(drafts(reply(card=Card(title="T" * 200, text="<" * 4_000, fields=fields))))
    said = "".join(texts(made))
    assert "T" * 200 in said and all(f"n{number}" in said for number in range(25))


# ---------------------------------------------------------------- everything

WORDS = st.lists(
    st.sampled_from(
        [
            table(3),
            table(120),
            "```\ncode\n```",
            "word " * 500,
            "&<>" * 300,
            "\n\n",
            "# h\n",
            "- x\n",
            "\U0001f600" * 200,
            "<!channel>",
            "[a](https://b.c)",
            "`",
            "**",
            "|",
            "\x00",
            "\ud800",
            "x" * 3_000,
        ]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=60, deadline=None)
@given(WORDS, st.sampled_from([0, 2_000, 10 * MIB]))
def test_slack_takes_whatever_an_agent_writes(text: str, max_file_bytes: int) -> None:
    made = taken(drafts(reply(text), max_file_bytes=max_file_bytes))
    assert made == drafts(reply(text), max_file_bytes=max_file_bytes)
    for draft in made:
        assert draft.file is None or len(draft.file.data) <= max_file_bytes
        assert draft.file is not None or utf16_units(draft.text) <= TEXT_CHARS + 2
        assert "<!channel>" not in draft.text and not re.search("<!channel", str(draft.blocks))
        for plain in plainly(draft):
            assert 0 < utf16_units(plain.text) <= PLAIN_CHARS


def test_a_question_is_the_last_message_before_the_files() -> None:
    asked = Question("q-1", "Colour", "Which?", ["red", "blue"])
    file = OutgoingFile("a.txt", "text/plain", b"x")
    first, second, third = taken(drafts(reply("Look.", question=asked, files=[file])))
    assert first.markdown == "Look." and third.file is not None
    assert [each["type"] for each in second.blocks] == ["section", "actions"]
    assert second.text == "*Colour*\nWhich?"
