"""People: Slack tells of an event by whose id it was, and an agent is told names.

Names decide nothing, so one that cannot be had in time is no reason to wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from adapters.base import SendFailed
from adapters.slack.web import Web
from adapters.text import shown_name

KEPT_SECONDS: Final = 3600.0
FAILED_SECONDS: Final = 60.0
MAX_KEPT: Final = 10_000
MAX_AT_ONCE: Final = 20
"""Of one message: whoever names more people is read with the ids of the others."""
LONGEST_SECONDS: Final = 1.0
"""An event is acknowledged within three."""
SOMEBODY: Final = "somebody"

_log = logging.getLogger("roost.slack")


@dataclass(frozen=True)
class Known:
    """What Slack tells of a person."""

    name: str
    is_bot: bool = False


UNKNOWN: Final = Known(SOMEBODY)


class People:
    """Asks Slack for each person once an hour. Its documentation, users.info."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._known: OrderedDict[str, tuple[float, Known]] = OrderedDict()

    async def of(self, users: Iterable[str]) -> Mapping[str, Known]:
        """What is known of these, as far as Slack tells it in time."""
        now = time.monotonic()
        wanted = list(dict.fromkeys(users))[:MAX_AT_ONCE]
        missing = [each for each in wanted if self._until(each) < now]
        if missing:
            tasks = [asyncio.create_task(self._ask(each), name="slack person") for each in missing]
            await asyncio.wait(tasks, timeout=LONGEST_SECONDS)
        return {each: self._known[each][1] for each in wanted if each in self._known}

    def _until(self, user: str) -> float:
        return self._known[user][0] if user in self._known else 0.0

    async def _ask(self, user: str) -> None:
        try:
            told = (await self._web.call("users.info", user=user)).get("user") or {}
        except SendFailed as exc:
            _log.info("a person's name cannot be had: %s", exc)
            known = self._known[user][1] if user in self._known else UNKNOWN
            self._keep(user, known, FAILED_SECONDS)
            return
        profile = told.get("profile") or {}
        names = (
            profile.get("display_name"),
            profile.get("real_name"),
            told.get("real_name"),
            told.get("name"),
        )
        name = next(
            (shown for each in names if isinstance(each, str) and (shown := shown_name(each))), SOMEBODY
        )
        self._keep(user, Known(name, bool(told.get("is_bot"))), KEPT_SECONDS)

    def _keep(self, user: str, known: Known, seconds: float) -> None:
        self._known[user] = (time.monotonic() + seconds, known)
        self._known.move_to_end(user)
        while len(self._known) > MAX_KEPT:
            self._known.popitem(last=False)
