"""Groups: which user groups somebody is in, by their ids. A role can be given to a group, so that much is certain:
nobody is in one because it could not be read.

Slack's events do not say it. All groups are read at once (its documentation, usergroups.list, which is Tier 2), from
time to time and whenever Slack tells of a change (subteam_created, subteam_updated, subteam_members_changed); no
message waits for that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.base import SendFailed
from adapters.slack import ids
from adapters.slack.errors import error_of
from adapters.slack.web import Web
from adapters.text import shown_name

READ_SECONDS: Final = 600.0
"""Between two reads, where Slack tells of no change."""
SETTLE_SECONDS: Final = 3.0
"""From a change to a read: more than one person joins at a time, and 20 reads a minute are allowed."""
FIRST_SECONDS: Final = 3.0
"""How long a login waits for the first read."""
AGAIN_SECONDS: Final = 60.0
"""After a read that has failed."""
TRUSTED_SECONDS: Final = 3_600.0
"""For so long what was read last counts, where nothing newer can be had."""
NONE_THERE: Final = frozenset(
    {
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "plan_upgrade_required",
        "unknown_method",
        "user_is_restricted",
    }
)
"""After these there are no groups, and there is nothing to be tried again soon: the scope is not granted, or the
workspace's plan has none. Slack's documentation, the errors of usergroups.list."""

_log = logging.getLogger("roost.slack")


@dataclass(frozen=True)
class Group:
    """A user group with those who are in it. `handle` is what it is mentioned by, and decides nothing."""

    id: str
    handle: str
    users: frozenset[str]


class Groups:
    """Of one workspace. `clock` is a steady one, in seconds."""

    def __init__(self, web: Web, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._web = web
        self._clock = clock
        self._known: dict[str, Group] = {}
        self._read_at: float | None = None
        self._due = asyncio.Event()
        self._told = ""

    def of(self, user: str) -> tuple[str, ...]:
        """The ids of those that somebody is in, as far as that is known for certain."""
        return tuple(sorted(each.id for each in self.all() if user in each.users))

    def all(self) -> Iterable[Group]:
        """Those that are known; none where what was read last is too old to count."""
        if self._read_at is None or self._clock() - self._read_at > TRUSTED_SECONDS:
            return ()
        return self._known.values()

    async def begin(self) -> None:
        """Reads them before anybody is heard, if Slack answers in time."""
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                await self._read()
        except TimeoutError:
            _log.warning("user groups are not read in time, and are read later")
            self._due.set()

    async def keep(self) -> None:
        """Reads them again and again, until cancelled."""
        wait = READ_SECONDS if self._read_at is not None else AGAIN_SECONDS
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._due.wait()
                await asyncio.sleep(SETTLE_SECONDS)
            except TimeoutError:
                pass
            self._due.clear()
            wait = READ_SECONDS if await self._read() else AGAIN_SECONDS

    def look_again(self) -> None:
        """Something may have changed of which nobody was told."""
        self._due.set()

    def changed(self, told: Mapping[str, Any]) -> None:
        """Slack tells of a change: who is out is out at once, and the rest is read."""
        self._due.set()
        gone = told.get("removed_users")
        known = self._known.get(str(told.get("subteam_id", "")))
        if known is not None and isinstance(gone, list):
            self._known[known.id] = Group(known.id, known.handle, known.users - set(map(str, gone)))
        group = told.get("subteam")
        if not isinstance(group, Mapping) or (known := self._known.get(str(group.get("id", "")))) is None:
            return
        if _is_over(group):
            del self._known[known.id]
            return
        users = group.get("users")
        # Of a large group Slack tells of the first 500 alone. Its documentation, subteam_updated.
        if isinstance(users, list) and str(group.get("user_count")) == str(len(users)):
            self._known[known.id] = Group(known.id, known.handle, known.users & set(map(str, users)))

    async def _read(self) -> bool:
        """Whether nothing more is to be had for now."""
        try:
            answer = await self._web.call("usergroups.list", include_users=True)
        except SendFailed as exc:
            if error_of(exc) not in NONE_THERE:
                _log.warning("user groups cannot be read; what is known of them counts for an hour: %s", exc)
                return False
            self._tell(f"nobody is in a user group: {exc}")
            self._known, self._read_at = {}, self._clock()
            return True
        found = [_group(each) for each in answer.get("usergroups") or () if isinstance(each, Mapping)]
        self._known = {each.id: each for each in found if each is not None}
        self._read_at = self._clock()
        self._told = ""
        return True

    def _tell(self, text: str) -> None:
        """Once for each time that it begins to be so."""
        if text != self._told:
            self._told = text
            _log.info(text)


def _group(told: Mapping[str, Any]) -> Group | None:
    """None for one that is switched off, or of another organisation."""
    group_id, users = str(told.get("id", "")), told.get("users")
    if not ids.is_id(group_id) or _is_over(told) or told.get("is_external"):
        return None
    inside = frozenset(map(str, users)) if isinstance(users, list) else frozenset()
    return Group(group_id, shown_name(str(told.get("handle") or told.get("name") or group_id)), inside)


def _is_over(told: Mapping[str, Any]) -> bool:
    return bool(told.get("date_delete"))
