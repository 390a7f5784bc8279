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

from adapters.base import Receipt, SendFailed
from adapters.discord.answers import answered
from adapters.discord.client import Timing
from adapters.discord.draft import SUPPRESS_EMBEDS, mentions
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

    async def answer(self, given: discord.Interaction, receipt: Receipt, *, later: bool) -> None:
        """What came of a command, in a few messages or a file; `later` where it was put off. Raises SendFailed."""
        text = receipt.text or (DONE if receipt.state == "accepted" else NOT_FOR_YOU)
        answer = answered(text)
        first, *rest = answer.pages
        if answer.file is not None:
            if not later:
                await self._rest.respond(given.id, given.token, LATER, {"flags": EPHEMERAL})
            await self._rest.complete(given.application_id, given.token, _ephemeral(first), answer.file)
            return
        await self.tell(given, first, later=later)
        for page in rest:
            await self._rest.follow_up(given.application_id, given.token, _ephemeral(page))

    async def say(self, given: discord.Interaction, text: str) -> None:
        """Best effort, after something went wrong."""
        try:
            await self.tell(given, text, later=False)
        except SendFailed as exc:
            _log.debug("an interaction could not be answered: %s", exc)

    async def tell(self, given: discord.Interaction, text: str, *, later: bool) -> None:
        """Says it; `later` where the first answer was put off. Raises SendFailed."""
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
