"""Interactions: commands, buttons, menus and forms become events, and are answered where only their person sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import discord

from adapters.base import OVER, Answered, Event, Host, Question, Receipt, SendFailed
from adapters.discord import commands, ids, normalize
from adapters.discord.client import Client, Timing
from adapters.discord.normalize import Place
from adapters.discord.question import (
    FORM_FIELD,
    Pressed,
    answered,
    form,
    named,
    parse_custom_id,
    text_form,
)
from adapters.discord.replying import (
    CHOICES,
    DONE,
    EPHEMERAL,
    FORM,
    LATER,
    LATER_UPDATE,
    NOT_FOR_YOU,
    UPDATE,
    Replying,
)
from adapters.discord.rest import Rest
from adapters.discord.threads import HAD_THREAD, Threads
from adapters.text import shown_name

ASK_PREFIX: Final = "ra:"
"""The form of "Ask Roost about this": the channel and the message follow."""

NOT_READ: Final = "This could not be read; please reload Discord and try again."
NOT_THERE: Final = "The message is not there any more, or I may not read it."
BROKEN: Final = "That went wrong; an admin finds the reason in the log."
ASKED: Final = "I answer in <#{place}>."
WHAT: Final = "What do you want to know about it?"

_log = logging.getLogger("roost.discord")


class Interactions:
    """`place_of` says where a channel's conversation is, `fetch` gets what is attached to a message."""

    def __init__(
        self,
        client: Client,
        rest: Rest,
        host: Host,
        threads: Threads,
        timing: Timing,
        place_of: Callable[[normalize.Where, int], Place | None],
        fetch: normalize.Fetch,
    ) -> None:
        self._client = client
        self._rest = rest
        self._host = host
        self._threads = threads
        self._replying = Replying(rest, timing)
        self._place_of = place_of
        self._fetch = fetch

    async def handle(self, given: discord.Interaction) -> None:
        """Answers it, whatever it is."""
        data: Any = given.data or {}
        try:
            match given.type:
                case discord.InteractionType.application_command if (
                    data.get("type") == commands.MESSAGE_COMMAND
                ):
                    await self._menu(given, data)
                case discord.InteractionType.application_command:
                    await self._command(given, *commands.invoked(data))
                case discord.InteractionType.autocomplete:
                    await self._complete(given, data)
                case discord.InteractionType.component:
                    await self._pressed(given, data)
                case discord.InteractionType.modal_submit:
                    await self._entered(given, data)
        except ValueError as exc:
            _log.warning("an interaction could not be read: %s", exc)
            await self._replying.say(given, NOT_READ)
        except SendFailed as exc:
            _log.warning("an interaction could not be answered: %s", exc)
        except Exception:
            _log.exception("an interaction could not be dealt with")
            await self._replying.say(given, BROKEN)

    # ---------------------------------------------------------------- commands

    async def _command(self, given: discord.Interaction, name: str, arguments: dict[str, str]) -> None:
        receipt, later = await self._replying.in_time(
            given, self._host.receive(self._event(given, "command", command=name, arguments=arguments)), LATER
        )
        await self._replying.answer(given, receipt, later=later)

    async def _complete(self, given: discord.Interaction, data: Any) -> None:
        name, arguments = commands.invoked(data)
        option, typed = commands.focused(data)
        event = self._event(
            given, "complete", command=name, arguments={**arguments, option: typed}, completing=option
        )
        receipt = await self._host.receive(event)
        await self._rest.respond(
            given.id, given.token, CHOICES, {"choices": commands.suggestions(receipt.data)}
        )

    async def _menu(self, given: discord.Interaction, data: Any) -> None:
        pointed = commands.pointed(data)
        message = int(pointed.message["id"])
        if pointed.name == commands.ASK:
            custom_id = f"{ASK_PREFIX}{given.channel_id}:{message}"
            asking = text_form(custom_id, title=commands.ASK, label=WHAT)
            await self._rest.respond(given.id, given.token, FORM, asking)
            return
        has_thread = bool(
            pointed.message.get("thread") or int(pointed.message.get("flags") or 0) & HAD_THREAD
        )
        event = self._event(given, "command", about=message if has_thread else None, command="stop")
        receipt, later = await self._replying.in_time(given, self._host.receive(event), LATER)
        await self._replying.answer(given, receipt, later=later)

    # ---------------------------------------------------------------- questions

    async def _pressed(self, given: discord.Interaction, data: Any) -> None:
        pressed = parse_custom_id(str(data.get("custom_id", "")))
        if pressed is None:
            raise ValueError("a component that is none of ours was pressed")
        if pressed.kind == "form":
            asked = Question(pressed.question_id, "Answer", "", ())
            await self._rest.respond(given.id, given.token, FORM, form(asked))
            return
        index = pressed.index if pressed.kind == "option" else _chosen(data)
        await self._answered(given, pressed, _label(given.message, index), choice=index)

    async def _entered(self, given: discord.Interaction, data: Any) -> None:
        custom_id, text = str(data.get("custom_id", "")), _entered_text(data)
        if custom_id.startswith(ASK_PREFIX):
            await self._ask(given, custom_id.removeprefix(ASK_PREFIX), text)
            return
        pressed = parse_custom_id(custom_id)
        if pressed is None or pressed.kind != "form":
            raise ValueError("a form that is none of ours was filled in")
        await self._answered(given, pressed, text, choice=None)

    async def _answered(
        self, given: discord.Interaction, pressed: Pressed, text: str, *, choice: int | None
    ) -> None:
        event = self._event(given, "answer", question_id=pressed.question_id, text=text, choice=choice)
        receipt, later = await self._replying.in_time(given, self._host.receive(event), LATER_UPDATE)
        if receipt.state not in ("accepted", "duplicate"):
            await self._replying.tell(given, receipt.text or NOT_FOR_YOU, later=later)
            await self._close(given, receipt)
            return
        shown = given.message
        if shown is None:
            await self._replying.tell(given, DONE, later=later)
            return
        draft = answered(shown.content, text, by=named(given.user.display_name))
        if not later:
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

    # ---------------------------------------------------------------- "Ask Roost about this"

    async def _ask(self, given: discord.Interaction, key: str, text: str) -> None:
        known = ids.part_of(key)
        if known is None:
            raise ValueError("a form about no message was filled in")
        await self._rest.respond(given.id, given.token, LATER, {"flags": EPHEMERAL})
        if not _may_read(given, known[0]):
            await self._replying.tell(given, NOT_THERE, later=True)
            return
        try:
            data: Any = await self._rest.message(*known)
        except SendFailed as exc:
            _log.info("a message that is asked about cannot be read: %s", exc)
            await self._replying.tell(given, NOT_THERE, later=True)
            return
        channel = self._client.get_partial_messageable(known[0])
        about = discord.Message(state=self._client._connection, channel=channel, data=data)
        place, me = self._place_of(given.channel, known[1]), self._client.user
        if place is None or me is None:
            raise ValueError("it was asked in a channel that is not known")
        event = self._event(
            given,
            "message",
            place=place,
            text=text,
            mentions_bot=True,
            direct=place.direct,
            reply_to=(shown_name(about.author.display_name), normalize.text_of(about, me)),
            remote=normalize.files_of(about, self._fetch),
        )
        receipt = await self._host.receive(event)
        if receipt.state != "accepted":
            await self._replying.tell(given, receipt.text or NOT_FOR_YOU, later=True)
            return
        if place.opens:
            self._threads.begin(place.route, text)
        where = await self._threads.ready(place.route)
        await self._replying.tell(given, ASKED.format(place=where), later=True)

    # ---------------------------------------------------------------- what they share

    def _event(
        self,
        given: discord.Interaction,
        kind: Any,
        *,
        place: Place | None = None,
        about: int | None = None,
        **more: Any,
    ) -> Event:
        """The surface says who it is and where; nothing that was entered does. Raises ValueError."""
        if place is None:
            found = self._place_of(given.channel, about or 0)
            if found is None:
                raise ValueError("it came from a channel that is not known")
            route = found.route
            if found.opens and about is None:
                route = ids.route(int(route.platform_id))
        else:
            route = place.route
        return Event(
            id=f"{ids.NAME}:interaction:{given.id}",
            kind=kind,
            route=route,
            sender=normalize.sender(given.user),
            created_at=ids.made_at(given.id),
            **more,
        )


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


def _may_read(given: discord.Interaction, channel: int) -> bool:
    """Whether what was said in a channel is for whoever filled in a form there: its id came back from them, and the
    bot would read for them what they may not."""
    history = given.guild_id is None or given.permissions.read_message_history
    return channel == given.channel_id and history


def _entered_text(data: Any) -> str:
    """What was entered into the field of a form. Raises ValueError."""
    for row in data.get("components") or ():
        for field in (row.get("component"), *(row.get("components") or ())):
            if isinstance(field, dict) and field.get("custom_id") == FORM_FIELD:
                return str(field.get("value", ""))
    raise ValueError("a form came without what was entered")
