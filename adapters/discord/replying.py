"""Replying: what an interaction is answered, in time, where only its person sees it.

Discord waits three seconds for a first answer (documentation, Receiving and Responding to Interactions). What takes
longer is put off within one, and answered later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

import discord

from adapters.base import OutgoingFile, Receipt, SendFailed
from adapters.discord.answers import answered
from adapters.discord.client import Timing
from adapters.discord.draft import SUPPRESS_EMBEDS, mentions
from adapters.discord.question import components
from adapters.discord.rest import Rest
from adapters.text import without_mass_mentions

MESSAGE: Final = 4
LATER: Final = 5
LATER_UPDATE: Final = 6
UPDATE: Final = 7
CHOICES: Final = 8
FORM: Final = 9
"""Kinds of a first answer: documentation, Interaction Callback Type."""
EPHEMERAL: Final = 1 << 6
"""Only its person sees it: documentation, Message Flags."""

NOT_FOR_YOU: Final = "You may not do this here; whoever runs me can let you in."
DONE: Final = "Done."

_log = logging.getLogger("roost.discord")


class Replying:
    """Knows which call answers an interaction that was not answered yet, or was put off."""

    def __init__(self, rest: Rest, timing: Timing) -> None:
        self._rest = rest
        self._timing = timing

    async def in_time(
        self, given: discord.Interaction, work: Coroutine[Any, Any, Receipt], kind: int
    ) -> tuple[Receipt, int | None]:
        """What comes of it, and the kind of answer by which that was put off meanwhile: this one, or None."""
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._timing.defer)
            if not done:
                data = {"flags": EPHEMERAL} if kind == LATER else None
                try:
                    await self._rest.respond(given.id, given.token, kind, data)
                except SendFailed as exc:
                    _log.warning("an interaction was answered too late: %s", exc)
            return await task, None if done else kind
        except BaseException:
            task.cancel()
            raise

    async def answer(self, given: discord.Interaction, receipt: Receipt, *, put_off: int | None) -> None:
        """What came of a command, in a few messages or a file, with its buttons beneath the last. Raises SendFailed."""
        (first, *rest), file = _bodies(receipt)
        if file is not None:
            if put_off is None:
                await self._rest.respond(given.id, given.token, LATER, {"flags": EPHEMERAL})
            if put_off == LATER_UPDATE:
                await self._rest.follow_up(given.application_id, given.token, first, file)
            else:
                await self._rest.complete(given.application_id, given.token, first, file)
        else:
            await self._put(given, first, put_off=put_off)
        for body in rest:
            await self._rest.follow_up(given.application_id, given.token, body)

    async def replace(self, given: discord.Interaction, receipt: Receipt, *, put_off: int | None) -> None:
        """The same in the place of the message that was pressed, which only its person sees. Raises SendFailed."""
        (first, *rest), file = _bodies(receipt)
        first = {"components": [], **first}
        if put_off is None and file is not None:
            await self._rest.respond(given.id, given.token, LATER_UPDATE)
        if put_off is None and file is None:
            await self._rest.respond(given.id, given.token, UPDATE, first)
        else:
            await self._rest.complete(given.application_id, given.token, first, file)
        for body in rest:
            await self._rest.follow_up(given.application_id, given.token, body)

    async def say(self, given: discord.Interaction, text: str) -> None:
        """Best effort, after something went wrong."""
        try:
            await self.tell(given, text, put_off=None)
        except SendFailed as exc:
            _log.debug("an interaction could not be answered: %s", exc)

    async def tell(self, given: discord.Interaction, text: str, *, put_off: int | None) -> None:
        """Says it. Raises SendFailed."""
        await self._put(given, _ephemeral(text), put_off=put_off)

    async def _put(self, given: discord.Interaction, body: dict[str, Any], *, put_off: int | None) -> None:
        if put_off is None:
            await self._rest.respond(given.id, given.token, MESSAGE, body)
        elif put_off == LATER_UPDATE:
            # What was put off is the change of the message that was pressed, which stays as it is.
            await self._rest.follow_up(given.application_id, given.token, body)
        else:
            await self._rest.complete(given.application_id, given.token, body)


def _bodies(receipt: Receipt) -> tuple[list[dict[str, Any]], OutgoingFile | None]:
    """The messages that say what came of it, at least one, and the file that goes with the first."""
    answer = answered(receipt.text or (DONE if receipt.state == "accepted" else NOT_FOR_YOU))
    bodies = [_ephemeral(page) for page in answer.pages]
    if receipt.ask is not None:
        bodies[-1]["components"] = components(receipt.ask)
    return bodies, answer.file


def _ephemeral(text: str) -> dict[str, Any]:
    """Text that only its person sees."""
    return {
        "content": without_mass_mentions(text),
        "flags": EPHEMERAL | SUPPRESS_EMBEDS,
        "allowed_mentions": mentions(people=False),
    }
