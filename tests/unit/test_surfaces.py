"""How a command is spelled on each surface, against the commands that there are."""

from __future__ import annotations

from bot import surfaces
from bot.commands import ALL

SINGLE = {each.name for each in ALL if " " not in each.name}


def test_what_follows_a_command_of_one_word_is_no_part_of_its_name() -> None:
    assert {each.name for each in ALL if each.name in SINGLE and each.usage != each.name} == surfaces.ALONE


def test_a_usage_on_discord_begins_with_what_discord_lists() -> None:
    for each in ALL:
        listed = f"/roost {each.name}" if each.name in SINGLE else f"/roost-{each.name}"
        assert surfaces.spelled("discord", each.usage).startswith(listed)
