"""Replying: what somebody who did something is told, in time, where only they see it.

Slack waits three seconds for a first answer, and takes five more within half an hour at the address that came along
(its documentation, Handling user interaction). An address that is used up, or refused, is no reason to be silent: an
ephemeral message says the same. Of a place in which the bot is not, only the address is heard.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import aiohttp

from adapters.base import Receipt, SendFailed
from adapters.slack.errors import translated
from adapters.slack.guard import guarded
from adapters.slack.mrkdwn import messages
from adapters.slack.timing import Timing
from adapters.slack.web import Web
from adapters.tables import columns_as_code, tables_as_code

PAGE_CHARS: Final = 3_500
"""Slack's documentation, chat.postMessage: 4,000 are advised."""
MOST_PAGES: Final = 5
"""As many as the address takes."""
READ_CHARS: Final = 200_000
"""Of an answer that is laid out: far more than MOST_PAGES show."""
MORE: Final = (
    "_This answer goes on; all of it is shown by the command line `roost`, on the machine of the service._"
)
NOTHING: Final = "There is nothing to say about this."
NOT_FOR_YOU: Final = "You may not do this here; whoever runs me can let you in."
DONE: Final = "Done."
NOT_ANSWERED: Final = "Slack did not take an answer ({status})"

_log = logging.getLogger("roost.slack")


@dataclass(frozen=True)
class Spot:
    """Where somebody is told something: in a channel, or a thread in it, or at the address that came along."""

    channel: str
    user: str
    thread: str | None = None
    response_url: str = ""


class Replying:
    """Tells people what came of what they did."""

    def __init__(self, web: Web, timing: Timing) -> None:
        self._web = web
        self._timing = timing

    async def tell(self, spot: Spot, text: str, *, pages: Sequence[str] = ()) -> None:
        """Says it, by whatever way there is, in pages that were laid out already or that are laid out now. Best effort:
        what nobody could be told is in the log."""
        for page in pages or laid_out(text):
            await self._page(spot, page)

    async def _page(self, spot: Spot, page: str) -> None:
        # In a thread the address would answer beside it.
        ways = (
            [self._by_address, self._by_message]
            if spot.thread is None
            else [self._by_message, self._by_address]
        )
        for way in ways:
            try:
                if await way(spot, page):
                    return
            except SendFailed as exc:
                _log.info("somebody is told in another way: %s", exc, extra={"place": spot.channel})
        _log.warning("somebody could not be told what became of what they did", extra={"place": spot.channel})

    async def _by_message(self, spot: Spot, page: str) -> bool:
        if not spot.channel or not spot.user:
            return False
        await self._web.call(
            "chat.postEphemeral", channel=spot.channel, user=spot.user, thread_ts=spot.thread, text=page
        )
        return True

    async def _by_address(self, spot: Spot, page: str) -> bool:
        if not spot.response_url:
            return False
        timeout = aiohttp.ClientTimeout(total=self._timing.call)
        body = {**ephemeral(page), "replace_original": False}
        with translated():
            async with (
                aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.post(spot.response_url, json=body, allow_redirects=False) as answer,
            ):
                status = answer.status
                await answer.read()
        if status != 200:
            raise SendFailed(NOT_ANSWERED.format(status=status), retry_after=None)
        return True


def said(receipt: Receipt) -> str:
    """What somebody is told of what became of their command."""
    return receipt.text or (DONE if receipt.state in ("accepted", "duplicate") else NOT_FOR_YOU)


def laid_out(text: str) -> list[str]:
    """An answer as the texts of a few messages, at least one; tables are code, as only that keeps their columns."""
    markdown = tables_as_code(columns_as_code(guarded(text[:READ_CHARS])))
    found = list(islice(messages(markdown, PAGE_CHARS), MOST_PAGES + 1))
    if len(found) <= MOST_PAGES and len(text) <= READ_CHARS:
        return found or [NOTHING]
    return [*found[: MOST_PAGES - 1], f"{found[MOST_PAGES - 1]}\n{MORE}"]


def ephemeral(text: str) -> dict[str, Any]:
    """Text that only its person sees, as an answer to Slack."""
    return {"response_type": "ephemeral", "text": text}
