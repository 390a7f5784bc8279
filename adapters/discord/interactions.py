"""Interactions: commands, buttons, menus and forms become events, and are answered where only their person sees it.

Discord waits three seconds for a first answer (documentation, Receiving and Responding to Interactions). What takes
longer is put off within one, and answered later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

import discord

from adapters.base import OVER, Answered, Event, Host, Question, Receipt, SendFailed
from adapters.discord import commands, ids, normalize
from adapters.discord.answers import answered
from adapters.discord.client import Client, Timing
from adapters.discord.draft import MESSAGE_UNITS, SUPPRESS_EMBEDS, Draft, mentions
from adapters.discord.normalize import Place
from adapters.discord.question import FORM_FIELD, NOBODY_ANSWERED, Pressed, form, parse_custom_id
from adapters.discord.rest import Rest
from adapters.discord.threads import Threads
from adapters.text import escaped, shortened, shown_name, without_mass_mentions

MESSAGE: Final = 4
LATER: Final = 5
LATER_UPDATE: Final = 6
UPDATE: Final = 7
CHOICES: Final = 8
FORM: Final = 9
"""Kinds of a first answer: documentation, Interaction Callback Type."""
EPHEMERAL: Final = 1 << 6
ASK_PREFIX: Final = "ra:"
"""The form of "Ask Roost about this": the channel and the message follow."""
ASK_FORM_TITLE: Final = "Ask Roost about this"
ASK_UNITS: Final = 4_000
ANSWER_UNITS: Final = 300

NOT_FOR_YOU: Final = "You may not do this here; an admin can give you a role."
NOT_READ: Final = "This could not be read; please reload Discord and try again."
NOT_THERE: Final = "The message is not there any more, or I may not read it."
BROKEN: Final = "That went wrong; an admin finds the reason in the log."
DONE: Final = "Done."
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
        self._timing = timing
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
            await self._say(given, NOT_READ)
        except SendFailed as exc:
            _log.warning("an interaction could not be answered: %s", exc)
        except Exception:
            _log.exception("an interaction could not be dealt with")
            await self._say(given, BROKEN)

    # ---------------------------------------------------------------- commands

    async def _command(self, given: discord.Interaction, name: str, arguments: dict[str, str]) -> None:
        receipt, later = await self._in_time(
            given, self._host.receive(self._event(given, "command", command=name, arguments=arguments)), LATER
        )
        await self._answer(given, receipt, later=later)

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
            await self._rest.respond(given.id, given.token, FORM, _ask_form(custom_id))
            return
        has_thread = bool(pointed.message.get("thread") or int(pointed.message.get("flags") or 0) & 1 << 5)
        event = self._event(given, "command", about=message if has_thread else None, command="stop")
        receipt, later = await self._in_time(given, self._host.receive(event), LATER)
        await self._answer(given, receipt, later=later)

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
        receipt, later = await self._in_time(given, self._host.receive(event), LATER_UPDATE)
        if receipt.state not in ("accepted", "duplicate"):
            await self._tell(given, receipt.text or NOT_FOR_YOU, later=later)
            if isinstance(receipt.data, Answered) and given.message is not None:
                # Whoever took that answer was killed before it was shown.
                draft = Draft(_closed(given.message.content, f"<@{receipt.data.by}>", receipt.data.text))
                await self._rest.edit(given.message.channel.id, given.message.id, draft)
            if receipt.data == OVER and given.message is not None:
                closed = shortened(f"{given.message.content}\n\n{NOBODY_ANSWERED}", MESSAGE_UNITS)
                await self._rest.edit(given.message.channel.id, given.message.id, Draft(closed))
            return
        shown = given.message
        if shown is None:
            await self._tell(given, DONE, later=later)
            return
        by = escaped(shown_name(given.user.display_name)) or "Somebody"
        draft = Draft(_closed(shown.content, by, text))
        if not later:
            try:
                await self._rest.respond(given.id, given.token, UPDATE, draft.body())
                return
            except SendFailed as exc:
                # The answer counts, however late it could be shown.
                _log.info("an answer is shown by an edit: %s", exc)
        await self._rest.edit(shown.channel.id, shown.id, draft)

    # ---------------------------------------------------------------- "Ask Roost about this"

    async def _ask(self, given: discord.Interaction, key: str, text: str) -> None:
        known = ids.part_of(key)
        if known is None:
            raise ValueError("a form about no message was filled in")
        await self._rest.respond(given.id, given.token, LATER, {"flags": EPHEMERAL})
        if not _may_read(given, known[0]):
            await self._tell(given, NOT_THERE, later=True)
            return
        try:
            about = await self._client.get_partial_messageable(known[0]).fetch_message(known[1])
        except discord.HTTPException:
            await self._tell(given, NOT_THERE, later=True)
            return
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
            await self._tell(given, receipt.text or NOT_FOR_YOU, later=True)
            return
        if place.opens:
            self._threads.begin(place.route, text)
        where = await self._threads.ready(place.route)
        await self._tell(given, ASKED.format(place=where), later=True)

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

    async def _in_time(
        self, given: discord.Interaction, work: Coroutine[Any, Any, Receipt], kind: int
    ) -> tuple[Receipt, bool]:
        """What comes of it, and whether that was put off meanwhile, by an answer of this kind."""
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._timing.defer)
            if not done:
                data = {"flags": EPHEMERAL} if kind == LATER else None
                try:
                    await self._rest.respond(given.id, given.token, kind, data)
                except SendFailed as exc:
                    _log.warning("an interaction was answered too late: %s", exc)
            return await task, not done
        except BaseException:
            task.cancel()
            raise

    async def _answer(self, given: discord.Interaction, receipt: Receipt, *, later: bool) -> None:
        text = receipt.text or (DONE if receipt.state == "accepted" else NOT_FOR_YOU)
        answer = answered(text)
        first, *rest = answer.pages
        if answer.file is not None:
            if not later:
                await self._rest.respond(given.id, given.token, LATER, {"flags": EPHEMERAL})
            await self._rest.complete(given.application_id, given.token, _ephemeral(first), answer.file)
            return
        await self._tell(given, first, later=later)
        for page in rest:
            await self._rest.follow_up(given.application_id, given.token, _ephemeral(page))

    async def _say(self, given: discord.Interaction, text: str) -> None:
        """Best effort, after something went wrong."""
        try:
            await self._tell(given, text, later=False)
        except SendFailed as exc:
            _log.debug("an interaction could not be answered: %s", exc)

    async def _tell(self, given: discord.Interaction, text: str, *, later: bool) -> None:
        """Raises SendFailed."""
        if later and given.message is not None:
            # What was put off there is the change of the message that was pressed.
            await self._rest.follow_up(given.application_id, given.token, _ephemeral(text))
        elif later:
            await self._rest.complete(given.application_id, given.token, _ephemeral(text))
        else:
            await self._rest.respond(given.id, given.token, MESSAGE, _ephemeral(text))


def _ephemeral(text: str) -> dict[str, Any]:
    """Text that only its person sees."""
    return {
        "content": without_mass_mentions(text),
        "flags": EPHEMERAL | SUPPRESS_EMBEDS,
        "allowed_mentions": mentions(people=False),
    }


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


def _closed(content: str, by: str, answer: str) -> str:
    """A question with its answer, and nothing to press any more."""
    words = escaped(shortened(shown_name(answer, ANSWER_UNITS), ANSWER_UNITS))
    said = without_mass_mentions(f"**{by}** answered: {words}")
    return shortened(f"{shortened(content, MESSAGE_UNITS - len(said) * 2 - 4)}\n\n{said}", MESSAGE_UNITS)


def _may_read(given: discord.Interaction, channel: int) -> bool:
    """Whether what was said in a channel is for whoever filled in a form there: its id came back from them, and the
    bot would read for them what they may not."""
    history = given.guild_id is None or given.permissions.read_message_history
    return channel == given.channel_id and history


def _ask_form(custom_id: str) -> dict[str, Any]:
    entered = {
        "type": 4,
        "custom_id": FORM_FIELD,
        "style": 2,
        "required": True,
        "min_length": 1,
        "max_length": ASK_UNITS,
    }
    return {
        "custom_id": custom_id,
        "title": ASK_FORM_TITLE,
        "components": [{"type": 18, "label": WHAT, "component": entered}],
    }


def _entered_text(data: Any) -> str:
    """What was entered into the field of a form. Raises ValueError."""
    for row in data.get("components") or ():
        for field in (row.get("component"), *(row.get("components") or ())):
            if isinstance(field, dict) and field.get("custom_id") == FORM_FIELD:
                return str(field.get("value", ""))
    raise ValueError("a form came without what was entered")
