"""What is sent to Discord for a reply: it keeps to the limits, loses nothing, and is the same for every try."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.base import Edit, Outgoing, OutgoingFile, Question, Reaction, SendFailed
from adapters.discord.draft import MESSAGE_UNITS, SUPPRESS_EMBEDS, Draft
from adapters.discord.question import (
    NOBODY_ANSWERED,
    Pressed,
    answered,
    components,
    form,
    named,
    parse_custom_id,
    question_texts,
)
from adapters.discord.render import EMPTY, IN_THE_FILE, arguments, emoji_path, live, parts
from adapters.text import utf16_units
from agent.protocol.messages import Card, CardField, Route

HERE = Route(channel="discord", platform_id="1")
MIB = 2**20
QUESTION_ID = "q-1"
NOBODY: dict[str, Any] = {"parse": [], "replied_user": False}


def reply(text: str = "", **more: Any) -> Outgoing:
    return Outgoing("out-1", HERE, text, session="s1", **more)


def drafts(outgoing: Outgoing, *, max_file_bytes: int = 10 * MIB, **more: Any) -> list[Draft]:
    return arguments(outgoing, max_file_bytes=max_file_bytes, **more)


def contents(outgoing: Outgoing, **more: Any) -> list[str]:
    return [draft.content for draft in drafts(outgoing, **more)]


def paragraphs(count: int) -> str:
    """A text of so many messages."""
    return "\n\n".join(f"{number} " + "word " * 350 for number in range(count))


def ask(
    *options: str, title: str = "Colour", question: str = "Which one?", question_id: str = QUESTION_ID
) -> Question:
    return Question(question_id, title, question, options)


# ---------------------------------------------------------------- answers


def test_a_short_answer_is_one_message_that_notifies_nobody() -> None:
    (draft,) = drafts(reply("Hello <@1>, see https://discord.com/channels/1/2/3 <t:1700000000:R>"))
    assert draft == Draft("Hello <@1>, see https://discord.com/channels/1/2/3 <t:1700000000:R>")
    assert draft.body() == {
        "content": draft.content,
        "embeds": [],
        "components": [],
        "flags": SUPPRESS_EMBEDS,
        "allowed_mentions": NOBODY,
    }


def test_what_a_place_allows_is_allowed_in_every_message() -> None:
    for draft in drafts(reply(paragraphs(3)), people=True, previews=True):
        assert draft.allowed_mentions == {"parse": ["users"], "replied_user": False}
        assert draft.flags == 0


def test_only_the_first_message_replies() -> None:
    first, *others = drafts(reply(paragraphs(3)), reference="77")
    assert first.body()["message_reference"] == {"message_id": "77", "fail_if_not_exists": False}
    assert all(draft.reference is None and "message_reference" not in draft.body() for draft in others)


def test_nobody_is_called_by_everyone() -> None:
    assert contents(reply("@everyone @here")) == ["@\u200beveryone @\u200bhere"]


def test_a_table_is_laid_out() -> None:
    assert contents(reply("| a | b |\n|---|---|\n| 1 | 2 |")) == ["```\na    b\n---  ---\n1    2\n```"]


@pytest.mark.parametrize("count", [1, 6])
def test_a_few_messages_need_no_file(count: int) -> None:
    assert [draft.file for draft in drafts(reply(paragraphs(count)))] == [None] * count


@pytest.mark.parametrize("count", [7, 12])
def test_a_longer_answer_comes_as_a_file_as_well(count: int) -> None:
    *messages, last = drafts(reply(paragraphs(count)))
    assert len(messages) == count and all(draft.content for draft in messages)
    assert last.file == OutgoingFile("answer.md", "text/markdown", paragraphs(count).encode())
    assert last.content == ""


def test_of_a_very_long_answer_only_the_beginning_is_shown() -> None:
    *messages, last = drafts(reply(paragraphs(13)))
    assert [draft.content[:2] for draft in messages[:6]] == [f"{number} " for number in range(6)]
    assert [draft.content for draft in messages[6:]] == [IN_THE_FILE]
    assert last.file is not None and last.file.data == paragraphs(13).encode()


def test_a_long_answer_comes_in_several_files_where_they_have_to_be_small() -> None:
    files = [draft.file for draft in drafts(reply(paragraphs(13)), max_file_bytes=10_000) if draft.file]
    assert [file.name for file in files] == ["answer-1.md", "answer-2.md", "answer-3.md"]
    assert all(len(file.data) <= 10_000 for file in files)
    assert b"\n\n".join(file.data for file in files).split() == paragraphs(13).encode().split()


def test_where_no_file_may_be_sent_all_of_a_long_answer_is_shown() -> None:
    shown = drafts(reply(paragraphs(20)), max_file_bytes=0)
    assert len(shown) == 20 and not any(draft.file for draft in shown)


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_reply_is_seen(text: str) -> None:
    assert contents(reply(text)) == [EMPTY]


# ---------------------------------------------------------------- files


def test_each_file_is_a_message_of_its_own() -> None:
    files = [OutgoingFile("a.png", "image/png", b"a"), OutgoingFile("b.txt", "text/plain", b"b")]
    assert [(draft.content, draft.file) for draft in drafts(reply("See:", files=files))] == [
        ("See:", None),
        ("", files[0]),
        ("", files[1]),
    ]
    assert [draft.file for draft in drafts(reply(files=files))] == files


@pytest.mark.parametrize(
    ("size", "limit", "said"),
    [
        (31_600_000, 10 * MIB, "(The file big.bin has 30.2 MiB; this server takes 10 MiB.)"),
        (10 * MIB + 1, 10 * MIB, "(The file big.bin has 10.1 MiB; this server takes 10 MiB.)"),
        (1, 0, "(The file big.bin is missing: this place takes no files.)"),
    ],
)
def test_a_file_that_is_too_large_is_named(size: int, limit: int, said: str) -> None:
    file = OutgoingFile("big.bin", "application/octet-stream", bytes(size))
    assert contents(reply(files=[file]), max_file_bytes=limit) == [said]


def test_the_name_of_a_missing_file_does_no_harm() -> None:
    file = OutgoingFile("\u202e@everyone\n\x1b" + "x" * 300, "text/plain", b"x")
    (said,) = contents(reply(files=[file]), max_file_bytes=0)
    assert "@everyone" not in said and "\u202e" not in said and "\n" not in said and len(said) < 160


# ---------------------------------------------------------------- cards


def card(title: str = "Build", text: str = "", *fields: tuple[str, str]) -> Card:
    return Card(title=title, text=text, fields=[CardField(name=name, value=value) for name, value in fields])


def test_a_card_is_an_embed_in_the_place_of_the_text() -> None:
    (draft,) = drafts(
        reply("Build: ok", card=card("Build", "All *well*.", ("Branch", "main"), ("Empty", "")))
    )
    assert draft.content == "" and draft.flags == 0
    assert draft.embeds == [
        {
            "title": "Build",
            "description": "All *well*.",
            "fields": [{"name": "Branch", "value": "main"}, {"name": "Empty", "value": "\u200b"}],
        }
    ]


def test_what_has_no_room_on_a_card_comes_as_text() -> None:
    fields = [(f"name {number}", "v" * 900) for number in range(8)]
    first, *others = drafts(reply(card=card("Build", "", *fields)))
    assert [field["name"] for field in first.embeds[0]["fields"]] == [f"name {number}" for number in range(6)]
    assert [draft.content for draft in others] == [
        f"**name 6**\n{'v' * 900}\n\n**name 7**\n{'v' * 900}",
    ]
    assert all(draft.flags == SUPPRESS_EMBEDS for draft in others)


WIDE = st.text(st.sampled_from("a🐓 日`*\n"), min_size=1, max_size=60).map(lambda text: text * 40)


@given(WIDE, WIDE, st.lists(st.tuples(WIDE, WIDE), max_size=25))
@example("🐓" * 256, "🐓" * 4_000, [("🐓" * 256, "🐓" * 1_024)] * 25)
@example(" ", " ", [])
def test_a_card_keeps_to_the_limits_and_loses_nothing(
    title: str, text: str, fields: list[tuple[str, str]]
) -> None:
    cut = [(name[:256], value[:1_024]) for name, value in fields]
    shown = drafts(reply(card=card(title[:256], text[:4_000], *cut)))
    everything = ""
    for draft in shown:
        assert utf16_units(draft.content) <= MESSAGE_UNITS
        for each in draft.embeds:
            sizes = [(utf16_units(f["name"]), utf16_units(f["value"])) for f in each.get("fields", [])]
            assert len(sizes) <= 25 and all(name <= 256 and value <= 1_024 for name, value in sizes)
            assert utf16_units(each.get("title", "")) <= 256
            assert utf16_units(each.get("description", "")) <= 4_096
            texts = [each.get("title", ""), each.get("description", "")]
            texts += itertools.chain(*((f["name"], f["value"]) for f in each.get("fields", [])))
            assert sum(map(utf16_units, texts)) <= 6_000 and all(map(str.strip, filter(None, texts)))
            everything += "".join(texts)
        everything += draft.content + (draft.file.data.decode() if draft.file else "")
    for letter in "a🐓日":
        there = sum(each.count(letter) for each in (title[:256], text[:4_000], *itertools.chain(*cut)))
        assert everything.count(letter) >= there


# ---------------------------------------------------------------- questions


def buttons(rows: Sequence[dict[str, Any]]) -> list[list[tuple[str, str]]]:
    return [[(each["label"], each["custom_id"]) for each in row["components"]] for row in rows]


def test_a_few_options_are_buttons() -> None:
    (draft,) = drafts(reply(question=ask("Red", "Blue")))
    assert draft.content == "**Colour**\nWhich one?"
    assert buttons(draft.components) == [[("Red", "rq:0:q-1"), ("Blue", "rq:1:q-1")]]
    assert [len(row) for row in buttons(components(ask(*"abcdefghij")))] == [5, 5]


@pytest.mark.parametrize("options", [tuple("abcdefghijk"), ("x" * 81,)])
def test_many_options_or_long_ones_are_a_menu(options: tuple[str, ...]) -> None:
    (draft,) = drafts(reply(question=ask(*options)))
    ((menu,),) = (row["components"] for row in draft.components)
    assert menu["custom_id"] == "rs:q-1"
    assert [(each["label"], each["value"]) for each in menu["options"]] == [
        (option, str(index)) for index, option in enumerate(options)
    ]


def test_an_option_that_no_label_holds_stands_in_the_text() -> None:
    (draft,) = drafts(reply(question=ask("short", "x" * 200)))
    ((menu,),) = (row["components"] for row in draft.components)
    assert [each["label"] for each in menu["options"]] == ["short", "x" * 99 + "…"]
    assert draft.content.endswith(f"\n\n1. short\n2. {'x' * 200}")


def test_a_question_without_options_opens_a_form() -> None:
    (draft,) = drafts(reply(question=ask()))
    assert buttons(draft.components) == [[("Answer", "rm:q-1")]]
    shown = form(ask(title="T" * 60))
    assert (shown["custom_id"], shown["title"]) == ("rm:q-1", "T" * 44 + "…")


def test_the_components_stand_under_the_last_message_of_a_long_question() -> None:
    *before, last = drafts(reply(question=ask("Yes", question="word " * 799)))
    assert before and not any(draft.components for draft in before) and last.components
    assert "".join(draft.content for draft in [*before, last]).count("word") == 799


def test_a_question_with_text_and_files_shows_all() -> None:
    file = OutgoingFile("a", "text/plain", b"a")
    shown = drafts(reply("First.", question=ask("Yes"), files=[file]))
    assert [(draft.content, bool(draft.components), draft.file) for draft in shown] == [
        ("First.", False, None),
        ("**Colour**\nWhich one?", True, None),
        ("", False, file),
    ]


def test_an_empty_option_can_be_pressed() -> None:
    assert buttons(components(ask(" ", "a\nb"))) == [[("1", "rq:0:q-1"), ("a b", "rq:1:q-1")]]


@pytest.mark.parametrize(
    "question", [ask("a", question_id="x" * 96), ask(question_id="x" * 98), ask(*map(str, range(26)))]
)
def test_a_question_that_discord_cannot_show_is_refused(question: Question) -> None:
    with pytest.raises(SendFailed) as failed:
        drafts(reply(question=question))
    assert failed.value.retry_after is None


@pytest.mark.parametrize(
    ("custom_id", "pressed"),
    [
        ("rq:0:q-1", Pressed("option", "q-1", 0)),
        ("rq:24:a:b", Pressed("option", "a:b", 24)),
        ("rs:q-1", Pressed("menu", "q-1")),
        ("rm:q\n1", Pressed("form", "q\n1")),
        ("rq:01:q", None),
        ("rq:-1:q", None),
        ("rq:100:q", None),
        ("rq:²:q", None),
        ("rq::q", None),
        ("rq:1:", None),
        ("rs:", None),
        ("rx:q", None),
        ("", None),
        ("stop", None),
    ],
)
def test_custom_ids_are_read(custom_id: str, pressed: Pressed | None) -> None:
    assert parse_custom_id(custom_id) == pressed


@given(st.text(min_size=1, max_size=90), st.integers(0, 24))
def test_custom_ids_are_read_as_they_were_written(question_id: str, count: int) -> None:
    question = ask(*map(str, range(count)), question_id=question_id)
    try:
        rows = components(question)
    except SendFailed:
        assert utf16_units(question_id) > 90
        return
    ids = [each["custom_id"] for row in rows for each in row["components"]]
    assert all(utf16_units(each) <= 100 for each in ids)
    read = [parse_custom_id(each) for each in ids]
    if count == 0:
        assert read == [Pressed("form", question_id)]
    elif count > 10:
        assert read == [Pressed("menu", question_id)]
    else:
        assert read == [Pressed("option", question_id, index) for index in range(count)]


def test_who_answered_what_is_shown_and_nothing_can_be_pressed() -> None:
    (content,) = question_texts(ask("Red"))
    draft = answered(content, "Red *and*\n@everyone", by=named("Ada\u202e _L_"))
    assert draft.content == (
        "**Colour**\nWhich one?\n\n**Ada \\_L\\_** answered: Red \\*and\\* \\@\u200beveryone"
    )
    assert draft.components == []
    assert answered(content, None).content.endswith(f"\n\n{NOBODY_ANSWERED}")


@given(st.text(max_size=4_000), st.text(max_size=500), st.text(max_size=5_000))
@example("x" * 4_000, "*" * 500, "*" * 5_000)
@example("x" * 1_980, "*" * 500, "*" * 5_000)
def test_the_answer_has_room_under_every_question(question: str, name: str, answer: str) -> None:
    asked = ask(question=question)
    draft = answered(question_texts(asked)[-1], answer, by=named(name))
    assert utf16_units(draft.content) <= MESSAGE_UNITS
    assert draft.content.startswith(question_texts(asked)[-1])


# ---------------------------------------------------------------- edits and reactions


def test_an_edit_replaces_what_stands_there() -> None:
    edited = reply(paragraphs(2), edit=Edit(["11", "12", "13"], 3))
    assert [
        (draft.content[:2], draft.replaces, draft.removes) for draft in drafts(edited, reference="7")
    ] == [
        ("0 ", "11", False),
        ("1 ", "12", False),
        ("", "13", True),
    ]
    assert drafts(edited, reference="7")[0].body()["attachments"] == []
    grown = reply(paragraphs(2), edit=Edit(["11"], 3))
    assert [draft.replaces for draft in drafts(grown)] == ["11", None]


def test_a_long_edit_has_its_file_behind_it() -> None:
    shown = drafts(reply(paragraphs(13), edit=Edit(["11"], 3)))
    assert [draft.replaces for draft in shown] == ["11"] + [None] * 7
    assert shown[-1].file is not None and shown[-2].content == IN_THE_FILE


@pytest.mark.parametrize(
    ("emoji", "path"),
    [
        ("👍", "👍"),
        (" ❤️ ", "❤️"),
        ("1️⃣", "1️⃣"),
        ("<:party:123456789012345678>", "party:123456789012345678"),
        ("<a:party:123456789012345678>", "party:123456789012345678"),
        ("party:123456789012345678", "party:123456789012345678"),
    ],
)
def test_a_reaction_is_an_emoji_in_a_path(emoji: str, path: str) -> None:
    assert drafts(reply(reaction=Reaction(emoji, 3, message="11"))) == [Draft(reaction=path)]


@pytest.mark.parametrize("emoji", ["", " ", "thumbsup", ":thumbsup:", "../../1", "👍/@me", "?", "12"])
def test_what_is_no_emoji_is_refused(emoji: str) -> None:
    with pytest.raises(SendFailed) as failed:
        emoji_path(emoji)
    assert failed.value.retry_after is None


# ---------------------------------------------------------------- all of them

TEXTS = st.lists(
    st.sampled_from(
        [
            "word ",
            "x" * 900,
            "\n\n",
            "```py\n",
            "```\n",
            "🐓" * 500,
            "| a | b |\n|---|---|\n| 1 | 2 |\n",
            "@here ",
        ]
    ),
    max_size=40,
).map("".join)


@given(TEXTS, st.sampled_from([0, 2_000, 10 * MIB]), st.lists(st.integers(0, 3_000), max_size=2))
def test_the_same_reply_gives_the_same_messages(text: str, limit: int, sizes: list[int]) -> None:
    outgoing = reply(text, files=[OutgoingFile("f", "text/plain", bytes(size)) for size in sizes])
    shown = drafts(outgoing, max_file_bytes=limit)
    assert shown == drafts(outgoing, max_file_bytes=limit)
    for index, (draft, part) in enumerate(zip(shown, parts(outgoing, shown), strict=True)):
        assert utf16_units(draft.content) <= MESSAGE_UNITS
        assert bool(draft.content) != bool(draft.file)
        assert draft.file is None or len(draft.file.data) <= limit
        assert (part.index, part.text, part.file) == (index, draft.content, draft.file)


# ---------------------------------------------------------------- while it is written


def test_a_fence_is_closed_for_show() -> None:
    assert live("Look:\n```py\nprint(") == ["Look:\n```py\nprint(\n```"]


@pytest.mark.parametrize("text", ["", "\n", "Look:\n``"])
def test_what_is_nothing_yet_is_not_shown(text: str) -> None:
    assert "".join(live(text)).strip() in ("", "Look:")


@given(
    st.lists(
        st.sampled_from(["word ", "A sentence. ", "\n\n", "\n", "- item ", "x" * 300, "1. one", "```py\n"]),
        max_size=120,
    )
)
def test_what_is_complete_stays_while_text_is_appended(fragments: list[str]) -> None:
    text = "".join(fragments)
    complete: list[str] = []
    for end in range(0, len(text) + 1, 97):
        shown = live(text[:end])
        assert shown[: len(complete)] == complete
        complete = shown[:-1]
    assert all(utf16_units(each) <= MESSAGE_UNITS for each in live(text))


def test_a_live_text_ends_as_it_is_sent() -> None:
    text = paragraphs(4) + "\n```py\ncode\n```"
    assert live(text) == contents(reply(text))


# ---------------------------------------------------------------- the footer


def test_a_footer_stands_in_small_print_beneath_the_last_text_and_above_the_files() -> None:
    out = replace(reply("well"), footer="mock · 1.2k tokens · $0.04", files=[OutgoingFile("a", "b/c", b"d")])
    text, file = drafts(out)
    assert text.content == "well\n-# mock · 1.2k tokens · $0.04" and file.file is not None


def test_a_footer_calls_nobody_and_is_one_line_of_plain_text() -> None:
    (text,) = drafts(replace(reply("well"), footer="@everyone\n<@1> *a_b*"))
    assert text.content == "well\n-# \\@\N{ZERO WIDTH SPACE}everyone \\<\\@1\\> \\*a\\_b\\*"


def test_a_footer_without_room_is_a_message_of_its_own() -> None:
    full, footer = drafts(replace(reply("x" * 2_000), footer="small"))
    assert (full.content, footer.content) == ("x" * 2_000, "-# small")


def test_a_footer_stands_beneath_a_card() -> None:
    shown, footer = drafts(replace(reply(""), card=Card(title="t", text="u"), footer="small"))
    assert shown.embeds and footer.content == "-# small"


def test_a_changed_text_keeps_its_footer() -> None:
    first, gone = drafts(replace(reply("new"), edit=Edit(["1:2", "1:3"], 7), footer="small"))
    assert first.content == "new\n-# small" and first.replaces == "1:2" and gone.removes
