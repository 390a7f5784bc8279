"""Whom a text names for sure, and whom it does not."""

from __future__ import annotations

import pytest

from bot.commands import refs
from bot.commands.refs import Ref
from bot.errors import CommandFailed

KNOWN = {"discord", "slack", "terminal"}


@pytest.mark.parametrize(
    ("channel", "text", "found"),
    [
        ("discord", "<@1>", (Ref("discord", "1"), "person")),
        ("discord", "<@!1>", (Ref("discord", "1"), "person")),
        ("discord", "<@&2>", (Ref("discord", "2"), "group")),
        ("discord", "12", (Ref("discord", "12"), "person")),
        ("discord", "group:12", (Ref("discord", "12"), "group")),
        ("discord", "person:12", (Ref("discord", "12"), "person")),
        ("control", "discord:12", (Ref("discord", "12"), "person")),
        ("control", "discord:group:12", (Ref("discord", "12"), "group")),
        ("slack", "<!subteam^S12|@ops>", (Ref("slack", "S12"), "group")),
        ("slack", "<@U12|ann>", (Ref("slack", "U12"), "person")),
        ("slack", "S123", (Ref("slack", "S123"), "group")),
        ("slack", "U123", (Ref("slack", "U123"), "person")),
        ("control", "slack:S123", (Ref("slack", "S123"), "group")),
    ],
)
def test_either_a_person_or_a_group(channel: str, text: str, found: tuple[Ref, str]) -> None:
    assert refs.who(text, channel=channel, known=KNOWN) == found


@pytest.mark.parametrize(
    ("channel", "text"),
    [
        ("discord", "ada"),
        ("discord", "@ada"),
        ("discord", "group:ops"),
        ("discord", "<#3>"),
        ("control", "12"),
        ("control", "<@1>"),
        ("control", "group:12"),
        ("slack", "ops"),
        ("slack", "C123"),
    ],
)
def test_a_name_is_nobodys(channel: str, text: str) -> None:
    with pytest.raises(CommandFailed, match="names are not taken"):
        refs.who(text, channel=channel, known=KNOWN)
