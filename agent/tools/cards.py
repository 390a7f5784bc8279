"""Cards: what is looked at rather than read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from agent.protocol.messages import (
    MAX_CARD_FIELDS,
    MAX_CARD_NAME_CHARS,
    MAX_CARD_TEXT_CHARS,
    MAX_CARD_VALUE_CHARS,
    Card,
    CardField,
    ChatOut,
    Text,
)
from agent.tools.base import Desk, Parameters, To, Tool, destination


class Named(Parameters):
    """A named value."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_CARD_NAME_CHARS)]
    value: Annotated[str, Field(max_length=MAX_CARD_VALUE_CHARS)]


class SendCard(Parameters):
    """Arguments of send_card."""

    title: Annotated[str, Field(min_length=1, max_length=MAX_CARD_NAME_CHARS)]
    text: Annotated[str, Field(max_length=MAX_CARD_TEXT_CHARS)] = ""
    fields: Annotated[
        Sequence[Named], Field(max_length=MAX_CARD_FIELDS, description="Values, each with a name")
    ] = ()
    fallback_text: Annotated[
        Text, Field(min_length=1, description="The same as plain text, for a channel that has no cards")
    ]
    to: To = None


def send_card(desk: Desk) -> Tool[SendCard]:
    """Sends a card at once."""

    async def run(given: SendCard) -> str:
        route = destination(desk, given.to)
        card = Card(
            title=given.title,
            text=given.text,
            fields=[CardField(name=each.name, value=each.value) for each in given.fields],
        )
        seq = desk.send(ChatOut(text=given.fallback_text, card=card), kind="chat", route=route)
        return f"Sent as message #{seq}."

    return Tool(
        "send_card",
        "Send a card: a title, a text and named values, for a state or a result that people look at.",
        SendCard,
        run,
    )
