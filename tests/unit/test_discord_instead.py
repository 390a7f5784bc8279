"""What stands in the place of a file or a card that a channel does not take."""

from __future__ import annotations

from adapters.base import Outgoing, OutgoingFile
from adapters.discord import ids
from adapters.discord.draft import MESSAGE_UNITS, Draft
from adapters.discord.errors import MISSING_PERMISSIONS, TOO_LARGE
from adapters.discord.instead import instead
from adapters.text import utf16_units
from agent.protocol.messages import Card, CardField

FILE = OutgoingFile("@everyone \u202egpj.exe", "text/plain", b"x")
CARD = Card(title="Build", text="@here", fields=[CardField(name="took", value="3 min")])


def outgoing(text: str = "") -> Outgoing:
    return Outgoing("1", ids.route(1), text, card=CARD)


def test_a_file_is_named_harmlessly_and_the_rest_of_the_draft_stays() -> None:
    draft = Draft(file=FILE, reference="7")
    (said,) = instead(draft, outgoing(), MISSING_PERMISSIONS)
    assert said.content == "(The file @\u200beveryone gpj.exe is missing: the bot may not attach files here.)"
    assert (said.file, said.reference, said.flags) == (None, "7", draft.flags)
    (said,) = instead(draft, outgoing(), TOO_LARGE)
    assert "it is larger than this server takes" in said.content


def test_a_card_is_its_words_or_what_stands_on_it_in_as_many_messages_as_it_takes() -> None:
    draft = Draft(embeds=[{"title": "Build"}])
    assert [each.content for each in instead(draft, outgoing("In words."), MISSING_PERMISSIONS)] == [
        "In words."
    ]
    (said,) = instead(draft, outgoing(), MISSING_PERMISSIONS)
    assert said.content == "**Build**\n@\u200bhere\ntook: 3 min" and said.embeds == []
    long = instead(draft, outgoing("word " * 1_000), MISSING_PERMISSIONS)
    assert len(long) > 2 and all(utf16_units(each.content) <= MESSAGE_UNITS for each in long)


def test_what_is_refused_for_another_reason_or_has_nothing_but_words_is_left() -> None:
    assert instead(Draft("hello"), outgoing(), MISSING_PERMISSIONS) == ()
    assert instead(Draft(file=FILE), outgoing(), None) == ()
    assert instead(Draft(embeds=[{"title": "x"}]), outgoing(), TOO_LARGE) == ()
