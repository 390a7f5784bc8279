"""Cards on Slack: a header, sections and fields, and as text what has no room in these. Pure."""

from __future__ import annotations

from typing import Final

from adapters.slack import kit
from adapters.slack.guard import guarded
from adapters.slack.kit import Block
from adapters.slack.mrkdwn import escape, mrkdwn
from adapters.text import shortened, utf16_units
from agent.protocol.messages import Card

CARD_CHARS: Final = 11_000
"""Of all that stands on a card, as mrkdwn: less than Slack takes of a message."""


def card_blocks(card: Card, *, people: bool = False) -> tuple[list[Block], str]:
    """The blocks of a card, and the text that does not fit onto it, in markdown."""
    rest: list[str] = []
    made: list[Block] = []
    title = " ".join(guarded(card.title).split())
    if title:
        made.append(kit.header(title))
        rest += [f"**{title}**"] if utf16_units(title) > kit.HEADER_CHARS else []
    text = guarded(card.text, people=people)
    shown = kit.sections(text)
    left = CARD_CHARS - sum(utf16_units(each["text"]["text"]) for each in shown)
    if left >= 0:
        made += shown
    else:
        left = CARD_CHARS
        rest.append(text)
    fields, unfit = _fields(card, left, people=people)
    starts = range(0, len(fields), kit.FIELDS)
    made += [{"type": "section", "fields": fields[start : start + kit.FIELDS]} for start in starts]
    return made, "\n\n".join(rest + unfit)


def _fields(card: Card, left: int, *, people: bool) -> tuple[list[Block], list[str]]:
    """The fields that fit into `left` characters, and the others as text: in their order from the first that does
    not."""
    fields: list[Block] = []
    unfit: list[str] = []
    for each in card.fields:
        name = " ".join(guarded(each.name).split()) or kit.NOTHING
        value = guarded(each.value, people=people).strip() or kit.NOTHING
        words = f"*{escape(name)}*\n{mrkdwn(value)}"
        size = utf16_units(words)
        if unfit or size > min(kit.FIELD_CHARS, left):
            unfit.append(f"**{shortened(name, kit.FIELD_CHARS)}**\n{value}")
        else:
            fields.append(kit.words(words))
            left -= size
    return fields, unfit
