"""Replying: what somebody who did something is told, in time, where only they see it.

Slack waits three seconds for a first answer, and takes five more within half an hour at the address that came along
(its documentation, Handling user interaction). An address that is used up, or refused, is no reason to be silent: an
ephemeral message says the same. Of a place in which the bot is not, only the address is heard.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import aiohttp

from adapters.base import Question, Receipt, SendFailed
from adapters.slack import kit
from adapters.slack.errors import translated
from adapters.slack.guard import guarded
from adapters.slack.mrkdwn import messages
from adapters.slack.question import elements
from adapters.slack.timing import Timing
from adapters.slack.web import Web
from adapters.tables import columns_as_code, tables_as_code

PAGE_CHARS: Final = 3_500
"""Slack's documentation, chat.postMessage: 4,000 are advised. With buttons beneath it a page is a section, which holds
less."""
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

Page = Mapping[str, Any]
"""One message: its `text`, and its `blocks` where there is something to press."""


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

    async def tell(
        self,
        spot: Spot,
        text: str,
        *,
        ask: Question | None = None,
        pages: Sequence[Page] = (),
        replaces: bool = False,
    ) -> None:
        """Says it, with buttons beneath it where there is an `ask`, by whatever way there is, in pages that were laid
        out already or that are laid out now. What `replaces` takes the place of what was pressed, which its person
        alone sees. Best effort: what nobody could be told is in the log."""
        for number, page in enumerate(pages or laid_out(text, ask)):
            await self._page(spot, page, replaces=replaces and number == 0)

    async def _page(self, spot: Spot, page: Page, *, replaces: bool) -> None:
        # In a thread the address would answer beside it, but for what is there already.
        by_address = replaces or spot.thread is None
        for is_by_address in (by_address, not by_address):
            try:
                if is_by_address and await self._by_address(spot, page, replaces=replaces):
                    return
                if not is_by_address and await self._by_message(spot, page):
                    return
            except SendFailed as exc:
                _log.info("somebody is told in another way: %s", exc, extra={"place": spot.channel})
        _log.warning("somebody could not be told what became of what they did", extra={"place": spot.channel})

    async def _by_message(self, spot: Spot, page: Page) -> bool:
        if not spot.channel or not spot.user:
            return False
        await self._web.call(
            "chat.postEphemeral", channel=spot.channel, user=spot.user, thread_ts=spot.thread, **page
        )
        return True

    async def _by_address(self, spot: Spot, page: Page, *, replaces: bool) -> bool:
        if not spot.response_url:
            return False
        timeout = aiohttp.ClientTimeout(total=self._timing.call)
        body = {**ephemeral(page), "replace_original": replaces}
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


def laid_out(text: str, ask: Question | None = None) -> list[Page]:
    """An answer as a few messages, at least one, with the buttons of `ask` beneath the last; tables are code, as only
    that keeps their columns."""
    pages = _pages(text, PAGE_CHARS if ask is None else kit.SECTION_CHARS - len(MORE) - 1)
    found: list[dict[str, Any]] = [{"text": page} for page in pages]
    if ask is not None:
        pressed = {"type": "actions", "elements": elements(ask)}
        found[-1]["blocks"] = [kit.section(pages[-1]), pressed]
    return list(found)


def _pages(text: str, limit: int) -> list[str]:
    markdown = tables_as_code(columns_as_code(guarded(text[:READ_CHARS])))
    found = list(islice(messages(markdown, limit), MOST_PAGES + 1))
    if len(found) <= MOST_PAGES and len(text) <= READ_CHARS:
        return found or [NOTHING]
    return [*found[: MOST_PAGES - 1], f"{found[MOST_PAGES - 1]}\n{MORE}"]


def ephemeral(page: Page) -> dict[str, Any]:
    """What only its person sees, as an answer to Slack."""
    return {"response_type": "ephemeral", **page}
