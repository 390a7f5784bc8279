"""Forms for the long options of commands: what they look like, and what they come back as.

A form holds all that it is about in its custom id, so that it can be filled in after a restart:

    rc:<command>?<options>      a command with what was given to it, as in the query of an address
    rn:<number>                 the same where it is longer than Discord remembers: the text lies in the notes
    ra:<channel>:<message>      "Ask Roost about this"
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from adapters.base import Notes, NotSaved
from adapters.discord import ids
from adapters.discord.question import CUSTOM_ID_CHARS, FORM_UNITS, text_field, text_form
from adapters.offers import CommandInfo, OptionInfo
from adapters.text import shortened, utf16_units
from agent.protocol.clock import Clock

ASK_PREFIX: Final = "ra:"
GIVE_PREFIX: Final = "rc:"
NOTED_PREFIX: Final = "rn:"
NOTES: Final = f"{ids.NAME}:form:"
KEPT_MS: Final = 86_400_000
"""So long a form that was opened can be sent, where what it is about lies in the notes."""
MAX_FIELDS: Final = 5
"""Of a form. Discord's documentation, Modal."""
GONE: Final = "This form is too old; please give the command again."

_log = logging.getLogger("roost.discord")


def left_out(infos: Sequence[CommandInfo], command: str, given: Mapping[str, str]) -> list[OptionInfo]:
    """The long options of a command that were not given, as many as a form has room for."""
    specs = (spec for info in infos for spec in info.specs if spec.name == command)
    options = (option for spec in specs for option in spec.options)
    return [each for each in options if each.long and not given.get(each.name)][:MAX_FIELDS]


def command_form(custom_id: str, command: str, options: Sequence[OptionInfo]) -> dict[str, Any]:
    """The data of the answer that opens a form for these options."""
    fields = [
        text_field(
            option.name,
            label=shortened(option.summary[:1].upper() + option.summary[1:], FORM_UNITS),
            required=option.required,
            most=option.max_chars,
        )
        for option in options
    ]
    return text_form(custom_id, title=shortened(command, FORM_UNITS), fields=fields)


def entered(data: Mapping[str, Any]) -> dict[str, str]:
    """What was entered into the fields of a form, by their ids. A field that was left empty is left out."""
    return {name: text for name, text in _fields(data) if text}


def _fields(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for row in data.get("components") or ():
        for field in (row.get("component"), *(row.get("components") or ())):
            if isinstance(field, dict) and isinstance(field.get("custom_id"), str):
                yield field["custom_id"], str(field.get("value") or "")


class Forms:
    """Makes custom ids for commands that wait for a form, and reads them again."""

    def __init__(self, notes: Notes, clock: Clock) -> None:
        self._notes = notes
        self._clock = clock

    async def custom_id(self, command: str, given: Mapping[str, str]) -> str:
        """For a command and what was given to it. Raises NotSaved."""
        text = f"{command}?{urlencode(given)}"
        if utf16_units(GIVE_PREFIX + text) <= CUSTOM_ID_CHARS:
            return GIVE_PREFIX + text
        key = f"{self._clock()}:{secrets.token_urlsafe(12)}"
        await self._notes.put(NOTES + key, text)
        return NOTED_PREFIX + key

    async def read(self, custom_id: str) -> tuple[str, dict[str, str]] | None:
        """The command and what was given to it; None where nobody knows any more. Raises ValueError for what is none
        of ours, NotSaved."""
        text: str | None
        if custom_id.startswith(GIVE_PREFIX):
            text = custom_id.removeprefix(GIVE_PREFIX)
        elif custom_id.startswith(NOTED_PREFIX):
            text = await self._notes.get(NOTES + custom_id.removeprefix(NOTED_PREFIX))
        else:
            raise ValueError("a form that is none of ours was filled in")
        if text is None:
            return None
        command, _, given = text.partition("?")
        return command, dict(parse_qsl(given, keep_blank_values=True))

    async def used(self, custom_id: str) -> None:
        """A form was sent, and is gone."""
        if custom_id.startswith(NOTED_PREFIX):
            await self._drop(NOTES + custom_id.removeprefix(NOTED_PREFIX))

    async def forget(self) -> None:
        """Drops what belongs to forms that nobody has sent. Raises NotSaved."""
        for key in await self._notes.all(NOTES):
            made = key.removeprefix(NOTES).partition(":")[0]
            if not made.isdecimal() or int(made) < self._clock() - KEPT_MS:
                await self._notes.drop(key)

    async def _drop(self, key: str) -> None:
        try:
            await self._notes.drop(key)
        except NotSaved:
            _log.warning("what a form was about is kept for a day", exc_info=True)
