"""Interactions: commands, buttons, menus and forms become events, and are answered where only their person sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import discord

from adapters.base import Event, Host, NotSaved, SendFailed
from adapters.discord import commands, forms, ids, normalize
from adapters.discord.client import Client, Timing
from adapters.discord.forms import Forms
from adapters.discord.layout import ASK, MESSAGE_COMMAND
from adapters.discord.normalize import Place
from adapters.discord.pressing import Pressing
from adapters.discord.question import FORM_FIELD, text_field, text_form
from adapters.discord.replying import CHOICES, EPHEMERAL, FORM, LATER, NOT_FOR_YOU, Replying
from adapters.discord.rest import Rest
from adapters.discord.threads import HAD_THREAD, Threads
from adapters.text import shown_name
from agent.protocol.clock import Clock

NOT_READ: Final = "This could not be read; please reload Discord and try again."
NOT_KEPT: Final = "Roost cannot save anything now; please try again in a moment."
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
        clock: Clock,
    ) -> None:
        self._client = client
        self._rest = rest
        self._host = host
        self._threads = threads
        self._replying = Replying(rest, timing)
        self._pressing = Pressing(rest, host, self._replying, self._event)
        self._forms = Forms(host.notes, clock)
        self._place_of = place_of
        self._fetch = fetch

    async def handle(self, given: discord.Interaction) -> None:
        """Answers it, whatever it is."""
        data: Any = given.data or {}
        try:
            match given.type:
                case discord.InteractionType.application_command if data.get("type") == MESSAGE_COMMAND:
                    await self._menu(given, data)
                case discord.InteractionType.application_command:
                    await self._command(given, *commands.invoked(data))
                case discord.InteractionType.autocomplete:
                    await self._complete(given, data)
                case discord.InteractionType.component:
                    await self._pressing.pressed(given, data)
                case discord.InteractionType.modal_submit:
                    await self._entered(given, data)
        except ValueError as exc:
            _log.warning("an interaction could not be read: %s", exc)
            await self._replying.say(given, NOT_READ)
        except SendFailed as exc:
            _log.warning("an interaction could not be answered: %s", exc)
        except NotSaved:
            _log.warning("what a form is about cannot be kept or read", exc_info=True)
            await self._replying.say(given, NOT_KEPT)
        except Exception:
            _log.exception("an interaction could not be dealt with")
            await self._replying.say(given, BROKEN)

    # ---------------------------------------------------------------- commands

    async def _command(self, given: discord.Interaction, name: str, arguments: dict[str, str]) -> None:
        asked = forms.left_out(self._host.commands(), name, arguments)
        if not asked:
            await self._give(given, name, arguments)
            return
        custom_id = await self._forms.custom_id(name, arguments)
        await self._rest.respond(given.id, given.token, FORM, forms.command_form(custom_id, name, asked))

    async def _give(self, given: discord.Interaction, name: str, arguments: dict[str, str]) -> None:
        receipt, put_off = await self._replying.in_time(
            given, self._host.receive(self._event(given, "command", command=name, arguments=arguments)), LATER
        )
        await self._replying.answer(given, receipt, put_off=put_off)

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
        if pointed.name == ASK:
            custom_id = f"{forms.ASK_PREFIX}{given.channel_id}:{message}"
            asking = text_form(custom_id, title=ASK, fields=[text_field(FORM_FIELD, label=WHAT)])
            await self._rest.respond(given.id, given.token, FORM, asking)
            return
        has_thread = bool(
            pointed.message.get("thread") or int(pointed.message.get("flags") or 0) & HAD_THREAD
        )
        event = self._event(given, "command", about=message if has_thread else None, command="stop")
        receipt, put_off = await self._replying.in_time(given, self._host.receive(event), LATER)
        await self._replying.answer(given, receipt, put_off=put_off)

    async def _entered(self, given: discord.Interaction, data: Any) -> None:
        custom_id, texts = str(data.get("custom_id", "")), forms.entered(data)
        if custom_id.startswith(forms.ASK_PREFIX):
            await self._ask(given, custom_id.removeprefix(forms.ASK_PREFIX), _only(texts))
        elif custom_id.startswith((forms.GIVE_PREFIX, forms.NOTED_PREFIX)):
            found = await self._forms.read(custom_id)
            if found is None:
                await self._replying.tell(given, forms.GONE, put_off=None)
                return
            name, arguments = found
            await self._give(given, name, {**arguments, **texts})
            await self._forms.used(custom_id)
        else:
            await self._pressing.entered(given, custom_id, _only(texts))

    # ---------------------------------------------------------------- "Ask Roost about this"

    async def _ask(self, given: discord.Interaction, key: str, text: str) -> None:
        known = ids.part_of(key)
        if known is None:
            raise ValueError("a form about no message was filled in")
        await self._rest.respond(given.id, given.token, LATER, {"flags": EPHEMERAL})
        if not _may_read(given, known[0]):
            await self._replying.tell(given, NOT_THERE, put_off=LATER)
            return
        try:
            data: Any = await self._rest.message(*known)
        except SendFailed as exc:
            _log.info("a message that is asked about cannot be read: %s", exc)
            await self._replying.tell(given, NOT_THERE, put_off=LATER)
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
            await self._replying.tell(given, receipt.text or NOT_FOR_YOU, put_off=LATER)
            return
        if place.opens:
            self._threads.begin(place.route, text)
        where = await self._threads.ready(place.route)
        await self._replying.tell(given, ASKED.format(place=where), put_off=LATER)

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
            more.setdefault("direct", found.direct)
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


def _may_read(given: discord.Interaction, channel: int) -> bool:
    """Whether what was said in a channel is for whoever filled in a form there: its id came back from them, and the
    bot would read for them what they may not."""
    history = given.guild_id is None or given.permissions.read_message_history
    return channel == given.channel_id and history


def _only(texts: Mapping[str, str]) -> str:
    """What was entered into the field of a form that has one. Raises ValueError."""
    if FORM_FIELD not in texts:
        raise ValueError("a form came without what was entered")
    return texts[FORM_FIELD]
