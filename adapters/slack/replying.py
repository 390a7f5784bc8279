"""Replying: what somebody is told alone, in answer to what they have done, within the time that Slack waits.

What is ready in time goes with the acknowledgement. The rest goes to the address that came along, five times within
half an hour (Slack's documentation, Handling user interaction), and where that is none any more to the person in the
channel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import aiohttp
import yarl

from adapters.base import Receipt, SendFailed
from adapters.columns import pages
from adapters.slack import kit
from adapters.slack.guard import guarded
from adapters.slack.render import message
from adapters.slack.timing import Timing
from adapters.slack.web import Web

PAGE_CHARS: Final = 11_000
MOST_PAGES: Final = 4
"""Of the answers that an address takes one is left for what else there is to say."""
MORE: Final = "There is more than can be shown here: `roost` on the service's own machine tells all of it."
NOT_FOR_YOU: Final = "You may not do this here; an admin can give you a role."
DONE: Final = "Done."
HOOKS: Final = "hooks.slack.com"

_log = logging.getLogger("roost.slack")


@dataclass(frozen=True)
class Person:
    """Who is told, and where: `thread` where they are in one, `url` the address that came along, "" without one."""

    user: str
    channel: str
    thread: str | None = None
    url: str = ""


class Replying:
    """`origin` is where the API is: an address there, or one of Slack's own, is answered at, and no other."""

    def __init__(self, web: Web, api_url: str, timing: Timing) -> None:
        self._web = web
        self._origin = yarl.URL(api_url).origin()
        self._timing = timing

    async def in_time(self, work: asyncio.Task[Receipt]) -> Receipt | None:
        """What comes of it, if it does before Slack has waited long enough; the work goes on."""
        done, _ = await asyncio.wait({work}, timeout=self._timing.defer)
        return work.result() if done else None

    async def tell(self, who: Person, texts: Sequence[str]) -> None:
        """Best effort: says it to the person alone."""
        for text in texts:
            body = payload(text)
            if who.url and await self._answer(who.url, body):
                continue
            await self._whisper(who, body)

    async def _whisper(self, who: Person, body: Mapping[str, Any]) -> None:
        try:
            await self._web.call(
                "chat.postEphemeral",
                channel=who.channel,
                user=who.user,
                thread_ts=who.thread,
                text=body["text"],
                blocks=body["blocks"],
            )
        except SendFailed as exc:
            _log.warning("somebody could not be told what came of what they did: %s", exc)

    async def _answer(self, address: str, body: Mapping[str, Any]) -> bool:
        """Whether the address has taken it."""
        url = yarl.URL(address)
        if not url.is_absolute() or not (url.origin() == self._origin or url.host == HOOKS):
            return False
        timeout = aiohttp.ClientTimeout(total=self._timing.call)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(url, json=body, allow_redirects=False) as response,
            ):
                if response.status == 200:
                    return True
                _log.info("an address for answers takes no more: %s", response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            _log.info("an address for answers cannot be reached: %s", exc)
        return False


def answer_of(receipt: Receipt) -> list[str]:
    """The texts by which somebody is told what came of a command, at least one."""
    text = receipt.text or (DONE if receipt.state == "accepted" else NOT_FOR_YOU)
    begun = list(islice(pages(text, PAGE_CHARS), MOST_PAGES + 1)) or [DONE]
    return begun if len(begun) <= MOST_PAGES else [*begun[: MOST_PAGES - 1], MORE]


def payload(text: str) -> dict[str, Any]:
    """A text for one person's eyes."""
    draft = message([kit.markdown(guarded(text) or DONE)])
    return {
        "response_type": "ephemeral",
        "replace_original": False,
        "text": draft.text,
        "blocks": draft.blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }
