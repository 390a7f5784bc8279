"""Pressing: buttons, menus and forms of questions. An agent's question is answered, and says so for all to see; with a
button of the service's own a command is given, and only who has pressed it is told what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import discord

from adapters.base import AGAIN, CARD, OVER, Answered, Event, Host, Question, Receipt, SendFailed
from adapters.discord.question import Pressed, answered, form, named, parse_custom_id
from adapters.discord.replying import DONE, FORM, LATER, LATER_UPDATE, NOT_FOR_YOU, UPDATE, Replying
from adapters.discord.rest import Rest

MakeEvent = Callable[..., Event]
"""Makes an event of an interaction, a kind and what else belongs to it."""
FORM_OF: Final = "Answer"

_log = logging.getLogger("roost.discord")


class Pressing:
    """`event` makes the events: the surface says who it is and where."""

    def __init__(self, rest: Rest, host: Host, replying: Replying, event: MakeEvent) -> None:
        self._rest = rest
        self._host = host
        self._replying = replying
        self._event = event

    async def pressed(self, given: discord.Interaction, data: Any) -> None:
        """A button or a menu. Raises ValueError, SendFailed."""
        pressed = parse_custom_id(str(data.get("custom_id", "")))
        if pressed is None:
            raise ValueError("a component that is none of ours was pressed")
        if pressed.kind == "form":
            asked = Question(pressed.question_id, FORM_OF, "", ())
            await self._rest.respond(given.id, given.token, FORM, form(asked))
            return
        index = pressed.index if pressed.kind == "option" else _chosen(data)
        await self._dealt_with(given, pressed, _label(given.message, index), choice=index)

    async def entered(self, given: discord.Interaction, custom_id: str, text: str) -> None:
        """A form with a free answer. Raises ValueError, SendFailed."""
        pressed = parse_custom_id(custom_id)
        if pressed is None or pressed.kind != "form":
            raise ValueError("a form that is none of ours was filled in")
        await self._dealt_with(given, pressed, text, choice=None)

    async def _dealt_with(
        self, given: discord.Interaction, pressed: Pressed, text: str, *, choice: int | None
    ) -> None:
        event = self._event(given, "answer", question_id=pressed.question_id, text=text, choice=choice)
        if pressed.question_id.startswith(CARD):
            await self._ordered(given, event)
        else:
            await self._answered(given, event, text)

    # ---------------------------------------------------------------- the service's own buttons

    async def _ordered(self, given: discord.Interaction, event: Event) -> None:
        """The buttons stay for the others, until the service takes them away. What only its person sees has its place
        taken by what came of it."""
        alone = given.message is not None and given.message.flags.ephemeral
        kind = LATER_UPDATE if alone else LATER
        receipt, put_off = await self._replying.in_time(given, self._host.receive(event), kind)
        # What may work at the next try can be pressed again.
        if alone and (receipt.state == "accepted" or (receipt.text and receipt.data != AGAIN)):
            await self._replying.replace(given, receipt, put_off=put_off)
        else:
            await self._replying.answer(given, receipt, put_off=put_off)

    # ---------------------------------------------------------------- questions of agents

    async def _answered(self, given: discord.Interaction, event: Event, text: str) -> None:
        receipt, put_off = await self._replying.in_time(given, self._host.receive(event), LATER_UPDATE)
        if receipt.state not in ("accepted", "duplicate"):
            await self._replying.tell(given, receipt.text or NOT_FOR_YOU, put_off=put_off)
            await self._close(given, receipt)
            return
        shown = given.message
        if shown is None:
            await self._replying.tell(given, DONE, put_off=put_off)
            return
        draft = answered(shown.content, text, by=named(given.user.display_name))
        if put_off is None:
            try:
                await self._rest.respond(given.id, given.token, UPDATE, draft.body())
                return
            except SendFailed as exc:
                # The answer counts, however late it could be shown.
                _log.info("an answer is shown by an edit: %s", exc)
        await self._rest.edit(shown.channel.id, shown.id, draft)

    async def _close(self, given: discord.Interaction, refused: Receipt) -> None:
        """A question that is over has nothing to press, whoever was killed before that was shown."""
        shown = given.message
        if shown is None:
            return
        draft = None
        if isinstance(refused.data, Answered):
            by = f"<@{refused.data.by}>" if refused.data.by else ""
            draft = answered(shown.content, refused.data.text, by=by)
        elif refused.data == OVER:
            draft = answered(shown.content, None)
        if draft is not None:
            await self._rest.edit(shown.channel.id, shown.id, draft)


def _chosen(data: Any) -> int:
    """The option of a menu. Raises ValueError."""
    values = data.get("values") or []
    if len(values) != 1 or not str(values[0]).isdecimal():
        raise ValueError("nothing was chosen")
    return int(values[0])


def _label(message: discord.Message | None, index: int | None) -> str:
    """What stands on the option, as far as it can be read off the message."""
    for row in message.components if message is not None else ():
        for each in getattr(row, "children", ()):
            if isinstance(each, discord.Button) and str(each.custom_id).startswith(f"rq:{index}:"):
                return each.label or str(index)
            if isinstance(each, discord.SelectMenu):
                return next(
                    (option.label for option in each.options if option.value == str(index)), str(index)
                )
    return str(index)
