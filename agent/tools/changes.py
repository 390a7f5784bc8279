"""What can be done to a message that is there: put another text in its place, react to it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from agent.protocol.messages import AddReaction, EditMessage, Seq, Text
from agent.tools.actions import act
from agent.tools.base import Desk, Parameters, Tool


def _number(given: Any) -> Any:
    """A model writes it as it has read it: 5, "5" or "#5"."""
    said = re.fullmatch(r"#?([0-9]{1,16})", given.strip()) if isinstance(given, str) else None
    return given if said is None else int(said[1])


Number = Annotated[Seq, BeforeValidator(_number)]


class Edit(Parameters):
    """Arguments of edit_message."""

    message: Annotated[Number, Field(description="The number of a message of yours: 5 for message #5")]
    text: Annotated[Text, Field(min_length=1, description="All of its new text")]


class React(Parameters):
    """Arguments of add_reaction."""

    message: Annotated[
        Number, Field(description="The id of a person's message, or the number of one of yours")
    ]
    emoji: Annotated[str, Field(min_length=1, max_length=64, description="One emoji, or its name")]


def edit_message(desk: Desk) -> Tool[Edit]:
    """Puts another text in the place of a message that was sent."""

    async def run(given: Edit) -> str:
        return await act(desk, EditMessage(message=given.message, text=given.text))

    return Tool(
        "edit_message",
        "Put another text in the place of a message that you have sent with a tool, for instance to show how far"
        " you are. Only your own messages, only their text.",
        Edit,
        run,
    )


def add_reaction(desk: Desk) -> Tool[React]:
    """Reacts to a message."""

    async def run(given: React) -> str:
        return await act(desk, AddReaction(message=given.message, emoji=given.emoji))

    return Tool(
        "add_reaction",
        "Put an emoji on a message of this conversation: where a sign says as much as a sentence.",
        React,
        run,
    )
