"""What stands in the place of something that a channel does not take: people are told, nothing is left out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from adapters.base import Outgoing
from adapters.discord.draft import MESSAGE_UNITS, Draft
from adapters.discord.errors import MISSING_PERMISSIONS, TOO_LARGE
from adapters.text import shown_name, split, without_mass_mentions
from agent.protocol.messages import Card

NO_FILE: Final = "(The file {name} is missing: {why}.)"
MAY_NOT_ATTACH: Final = "the bot may not attach files here"
FILE_TOO_LARGE: Final = "it is larger than this server takes"


def instead(draft: Draft, outgoing: Outgoing, code: int | None) -> Sequence[Draft]:
    """The drafts that say the same after Discord has refused one with a `code`; none where it says nothing of what the
    draft carries beside its words."""
    if draft.file is not None and code in (MISSING_PERMISSIONS, TOO_LARGE):
        name = without_mass_mentions(shown_name(draft.file.name)) or "?"
        why = FILE_TOO_LARGE if code == TOO_LARGE else MAY_NOT_ATTACH
        return [replace(draft, file=None, content=NO_FILE.format(name=name, why=why))]
    if draft.embeds and code == MISSING_PERMISSIONS:
        words = outgoing.text or (_words(outgoing.card) if outgoing.card is not None else "")
        texts = split(without_mass_mentions(words), MESSAGE_UNITS)
        return [replace(draft, embeds=[], content=text) for text in texts]
    return ()


def _words(card: Card) -> str:
    lines = [f"**{card.title}**", card.text, *(f"{each.name}: {each.value}" for each in card.fields)]
    return "\n".join(line for line in lines if line)
