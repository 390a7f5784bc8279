"""Cards on Discord: an embed, and as text what has no room in it."""

from __future__ import annotations

from typing import Any, Final

from adapters.tables import tables_as_code
from adapters.text import shortened, shown_name, split, utf16_units, without_mass_mentions
from agent.protocol.messages import Card

TITLE_UNITS: Final = 256
DESCRIPTION_UNITS: Final = 4_096
FIELDS: Final = 25
NAME_UNITS: Final = 256
VALUE_UNITS: Final = 1_024
EMBED_UNITS: Final = 6_000
"""Of all texts of an embed together: https://docs.discord.com/developers/resources/message, Embed Limits. All are
counted in UTF-16 units, which is the safe way."""
NOTHING: Final = "\N{ZERO WIDTH SPACE}"
"""Discord takes no empty name or value."""


def embed(card: Card) -> tuple[dict[str, Any] | None, str]:
    """The embed, None where there is nothing to see in it, and the text that does not fit into it."""
    rest: list[str] = []
    shown: dict[str, Any] = {}
    title = " ".join(without_mass_mentions(card.title).split())
    if title:
        shown["title"] = shortened(title, TITLE_UNITS)
        rest += [f"**{title}**"] if shown["title"] != title else []
    first, *more = split(tables_as_code(without_mass_mentions(card.text)), DESCRIPTION_UNITS) or [""]
    if first:
        shown["description"] = first
        rest += more
    left = EMBED_UNITS - utf16_units(shown.get("title", "")) - utf16_units(first)
    fields, unfit = _fields(card, left)
    if fields:
        shown["fields"] = fields
    return shown or None, "\n\n".join(rest + unfit)


def _fields(card: Card, left: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The fields that fit into `left` units, and the others as text: in their order from the first that does not."""
    fields: list[dict[str, Any]] = []
    unfit: list[str] = []
    for each in card.fields:
        name = shown_name(without_mass_mentions(each.name), NAME_UNITS * 2) or NOTHING
        value = without_mass_mentions(each.value).strip() or NOTHING
        size = utf16_units(name) + utf16_units(value)
        fits = utf16_units(name) <= NAME_UNITS and utf16_units(value) <= VALUE_UNITS and size <= left
        if unfit or not fits or len(fields) == FIELDS:
            unfit.append(f"**{name}**\n{value}")
        else:
            fields.append({"name": name, "value": value})
            left -= size
    return fields, unfit
