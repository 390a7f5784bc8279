"""Status: shown in a conversation while a turn runs there, and not a moment longer.

Slack has had three ways for it, and which of them a workspace has is only known by trying: the status of an agent's
session, which comes with a button to stop it; the older status of a thread; and an emoji on what was asked. The first
stays until it is taken back, so it is noted before it is shown: a service that is started anew takes it back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass, field
from typing import Final, Literal

from adapters.base import Notes, NotSaved, SendFailed
from adapters.slack import ids
from adapters.slack.asked import Asked
from adapters.slack.errors import ChannelGone, error_of
from adapters.slack.timing import Timing
from adapters.slack.web import Busy, Web
from agent.protocol import failpoint
from agent.protocol.messages import Route

KEY: Final = f"{ids.NAME}:status:"
State = Literal["processing", "suspended", "active"]
"""Slack's documentation, agents.sessions.setStatus."""
Way = Literal["session", "thread", "reaction"]
WAYS: Final[tuple[Way, ...]] = ("session", "thread", "reaction")
"""The best first."""
LACKING: Final = frozenset(
    {
        "access_denied", "app_not_agent", "channel_type_not_supported", "deprecated_endpoint", "feature_not_enabled",
        "method_deprecated", "method_not_supported_for_channel_type", "missing_scope", "no_permission",
        "not_allowed", "not_allowed_token_type", "unknown_method",
    }
)  # fmt: skip
"""Errors that say a way cannot be had here at all; after any other the next one is taken this once."""
LACKING_SECONDS: Final = 3600.0
"""For so long it is not tried again: a workspace changes seldom."""
THINKING: Final = "is thinking..."
EMOJI: Final = "hourglass_flowing_sand"
TITLE_CHARS: Final = 200
"""Slack's documentation, agents.sessions.setStatus."""
END_SECONDS: Final = 2.0
"""How long the end of a turn waits for its status to be gone; then that goes on behind it."""
MAX_FAILURES: Final = 6
AGAIN_SECONDS: Final = 1.0
"""Before a try is made anew, and twice as long each time."""
MAX_KEPT: Final = 1_000
"""Titles, and messages that were heard."""

_log = logging.getLogger("roost.slack")


@dataclass
class _Sign:
    """What is shown at one route, and what is to be. `stands` is None where nothing is, and "unknown" where a call may
    have arrived or not."""

    route: Route
    event: str | None = None
    wanted: State = "processing"
    stands: State | Literal["unknown"] | None = None
    way: Way | None = None
    noted: bool = False
    again: bool = False
    """Whether it was begun more than once: what ends now may not be all that runs."""
    failures: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def thread(self) -> str | None:
        """The thread that it is shown in."""
        return self.route.thread_id

    @property
    def message(self) -> tuple[str, str] | None:
        """The message that asked, as far as is known: else the one that its thread begins with."""
        if self.event is not None:
            return ids.message_of(self.event)
        return None if self.thread is None else (self.route.platform_id, self.thread)


class Status:
    """Best effort: what Slack refuses is let be until the next turn, except to take back what stands."""

    def __init__(self, web: Web, asked: Asked, timing: Timing) -> None:
        self._web = web
        self._asked = asked
        self._timing = timing
        self._signs: dict[Route, _Sign] = {}
        self._titles: dict[Route, str] = {}
        self._heard: dict[Route, str] = {}
        self._lacking: dict[tuple[Way, bool], float] = {}
        """Until when a way is not tried, on the steady clock: in direct conversations, and in channels."""
        self._notes: Notes | None = None
        self._closing = False

    async def recall(self, notes: Notes) -> None:
        """What an earlier service has left standing. It is taken back soon, unless a turn goes on there. Raises
        NotSaved."""
        self._notes, self._closing = notes, False
        for key, text in (await notes.all(KEY)).items():
            try:
                sign = _from_note(text)
            except (ValueError, KeyError, TypeError):
                await notes.drop(key)
                continue
            if sign.route not in self._signs:
                self._signs[sign.route] = sign
                self._start(sign, after=self._timing.status_again)

    def begin(self, route: Route, event: str | None = None) -> None:
        """A turn runs there, for this event where that is known, or for what was heard there last."""
        event = event or self._heard.get(route)
        sign = self._signs.get(route)
        if sign is None:
            sign = self._signs[route] = _Sign(route, event)
            self._want(sign, "processing", after=self._timing.status_begins)
            return
        sign.again = True
        if sign.wanted == "suspended" or (sign.task is not None and sign.task.done()):
            return
        if event is not None and sign.stands is None:
            sign.event = event
        self._want(sign, "processing", after=self._timing.status_begins)

    async def end(self, route: Route) -> None:
        """No turn runs there any more. Returns when nothing is shown, or after a while."""
        sign = self._signs.get(route)
        if sign is None:
            return
        self._want(sign, "active")
        if sign.task is not None:
            await asyncio.wait({sign.task}, timeout=END_SECONDS)

    async def suspend(self, route: Route) -> None:
        """The turn waits for somebody's answer, until it ends or is resumed: that it runs is known."""
        sign = self._signs.get(route)
        if sign is not None:
            self._want(sign, "suspended")

    def resume(self, route: Route) -> None:
        """It was answered: the turn goes on."""
        sign = self._signs.get(route)
        if sign is not None and sign.wanted == "suspended":
            self._want(sign, "processing")

    def title(self, route: Route, text: str) -> None:
        """What the conversation is to be called, if it is a new one."""
        _keep(self._titles, route, text[:TITLE_CHARS])

    def heard(self, route: Route, event: str) -> None:
        """Somebody has asked this: where there is no thread a sign can be on nothing else."""
        if route.thread_id is not None:
            return
        _keep(self._heard, route, event)
        sign = self._signs.get(route)
        if sign is not None and sign.event is None:
            sign.event = event

    def session(self, route: Route) -> State | None:
        """The status that its session has by our doing; None where it has none, or not by that way."""
        sign = self._signs.get(route)
        return sign.wanted if sign is not None and sign.way == "session" and sign.stands else None

    def ends(self, route: Route) -> bool:
        """Whether nothing else runs there than the turn that ends now, as far as is known."""
        sign = self._signs.get(route)
        return sign is None or not sign.again

    def told(self, route: Route, state: State) -> None:
        """Another call has given the session this status. Where another turn was begun meanwhile it is not what is
        wanted."""
        sign = self._signs.get(route)
        if sign is not None and sign.way == "session":
            sign.stands = state
            if not sign.again:
                sign.wanted = state
            sign.news.set()

    async def close(self) -> None:
        """Changes nothing any more. What stands is noted: turns go on while a service is started anew."""
        self._closing = True
        tasks = [sign.task for sign in self._signs.values() if sign.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._signs.clear()

    # ---------------------------------------------------------------- one sign

    def _want(self, sign: _Sign, state: State, *, after: float = 0.0) -> None:
        sign.wanted = state
        sign.news.set()
        self._start(sign, after=after)

    def _start(self, sign: _Sign, *, after: float = 0.0) -> None:
        if (sign.task is None or sign.task.done()) and not self._closing:
            name = f"slack status {sign.route.platform_id}"
            sign.news.clear()
            sign.task = asyncio.create_task(self._keep_up(sign, after), name=name)

    async def _keep_up(self, sign: _Sign, after: float) -> None:
        """Until nothing is to be shown and nothing is. What an earlier service has left goes after a while in which no
        turn has begun there."""
        left = sign.stands is not None
        try:
            if not await _news(sign, after) and left:
                sign.wanted = "active"
            while not await self._is_over(sign):
                await self._step(sign)
        except SendFailed as exc:
            _log.info("a status is not shown, or stays: %s", exc)
            if exc.retry_after is None:
                await self._forget(sign)
        except NotSaved:
            _log.warning("no status is shown: it cannot be noted", exc_info=True)
        finally:
            # One that could not be shown is not tried again before the turn has ended.
            if sign.wanted == "active" and self._signs.get(sign.route) is sign:
                del self._signs[sign.route]

    async def _is_over(self, sign: _Sign) -> bool:
        """Raises NotSaved."""
        if sign.wanted == "active" and sign.stands in (None, "active"):
            await self._forget(sign)
            # A turn may have begun meanwhile.
            return sign.wanted == "active"
        return False

    async def _step(self, sign: _Sign) -> None:
        """Waits until something else is wanted, or shows it. Raises SendFailed, NotSaved."""
        again = self._timing.status_again if sign.way == "thread" else None
        if sign.stands == sign.wanted and await _news(sign, again):
            return
        try:
            await self._show(sign, sign.wanted)
            sign.failures = 0
        except Busy as exc:
            await _news(sign, exc.retry_after)
        except SendFailed as exc:
            sign.failures += 1
            if exc.retry_after is None or sign.failures >= MAX_FAILURES:
                raise
            await _news(sign, max(exc.retry_after, AGAIN_SECONDS * 2 ** (sign.failures - 1)))

    async def _show(self, sign: _Sign, state: State) -> None:
        """Raises SendFailed, NotSaved."""
        if sign.way is not None:
            await self._by(sign.way, sign, state)
            return
        refused: SendFailed | None = None
        for way in self._ways(sign):
            try:
                await self._by(way, sign, state)
            except ChannelGone:
                raise
            except SendFailed as exc:
                if exc.retry_after is not None:
                    raise
                if error_of(exc) in LACKING:
                    _log.info("no status is shown by way of a %s for an hour: %s", way, exc)
                    self._lacking[way, _is_direct(sign)] = time.monotonic() + LACKING_SECONDS
                refused = exc
            else:
                return
        raise refused or SendFailed("there is no way to show a status here", retry_after=None)

    def _ways(self, sign: _Sign) -> list[Way]:
        now, direct = time.monotonic(), _is_direct(sign)
        found: list[Way] = [way for way in WAYS if self._lacking.get((way, direct), 0.0) <= now]
        if sign.thread is None:
            found = [way for way in found if way == "reaction"]
        return [way for way in found if way != "reaction" or sign.message is not None]

    async def _by(self, way: Way, sign: _Sign, state: State) -> None:
        """Raises SendFailed, NotSaved."""
        await self._note(sign, way)
        failpoint.hit("status-noted")
        before, sign.stands = sign.stands, "unknown"
        try:
            if way == "session":
                await self._session(sign, state)
            elif way == "thread":
                await self._thread(sign, state)
            else:
                await self._reaction(sign, state)
        except SendFailed as exc:
            if exc.retry_after != 0:
                sign.stands = before
            else:
                sign.way = way
            raise
        failpoint.hit("status-shown")
        sign.way, sign.stands = way, state

    async def _session(self, sign: _Sign, state: State) -> None:
        asker = self._asked.by(sign.event)
        if asker is None and sign.thread is not None:
            asker = self._asked.by(ids.event_id(sign.route.platform_id, sign.thread))
        is_new = state == "processing"
        await self._web.call(
            "agents.sessions.setStatus",
            live=is_new,
            needed=self._standing(),
            channel_id=sign.route.platform_id,
            thread_ts=sign.thread,
            status=state,
            title=self._titles.get(sign.route) if is_new else None,
            initiator_user_id=asker.user if asker is not None and is_new else None,
        )

    def _standing(self) -> int:
        """How many have to be taken back."""
        return sum(each.stands not in (None, "active") for each in self._signs.values())

    async def _thread(self, sign: _Sign, state: State) -> None:
        await self._web.call(
            "assistant.threads.setStatus",
            channel_id=sign.route.platform_id,
            thread_ts=sign.thread,
            status=THINKING if state == "processing" else "",
        )
        title = self._titles.pop(sign.route, None)
        if title and _is_direct(sign):
            try:
                await self._web.call(
                    "assistant.threads.setTitle",
                    channel_id=sign.route.platform_id,
                    thread_ts=sign.thread,
                    title=title,
                )
            except SendFailed as exc:
                _log.debug("a conversation has no title: %s", exc)

    async def _reaction(self, sign: _Sign, state: State) -> None:
        if sign.message is None:
            return
        channel, ts = sign.message
        adds = state == "processing"
        try:
            await self._web.call(
                "reactions.add" if adds else "reactions.remove", channel=channel, timestamp=ts, name=EMOJI
            )
        except SendFailed as exc:
            if error_of(exc) not in ("already_reacted", "no_reaction"):
                raise

    # ---------------------------------------------------------------- what is remembered

    async def _note(self, sign: _Sign, way: Way) -> None:
        if self._notes is not None and (not sign.noted or sign.way not in (None, way)):
            kept = {"route": sign.route.model_dump(), "event": sign.event, "way": way}
            await self._notes.put(_key(sign.route), json.dumps(kept))
            sign.noted = True

    async def _forget(self, sign: _Sign) -> None:
        if self._notes is not None and sign.noted:
            await self._notes.drop(_key(sign.route))
            sign.noted = False


async def _news(sign: _Sign, seconds: float | None) -> bool:
    """Waits for so long, or for ever; True as soon as something else may be wanted."""
    try:
        async with asyncio.timeout(seconds):
            await sign.news.wait()
    except TimeoutError:
        return False
    sign.news.clear()
    return True


def _keep(those: dict[Route, str], route: Route, text: str) -> None:
    """The oldest goes where there are too many."""
    those.pop(route, None)
    those[route] = text
    while len(those) > MAX_KEPT:
        del those[next(iter(those))]


def _from_note(text: str) -> _Sign:
    """Raises ValueError, KeyError, TypeError for what is none."""
    kept = json.loads(text)
    way: Way = WAYS[WAYS.index(kept["way"])]
    route = Route.model_validate(kept["route"])
    return _Sign(route, kept["event"], stands="unknown", way=way, noted=True)


def _key(route: Route) -> str:
    return f"{KEY}{route.platform_id}:{route.thread_id or ''}"


def _is_direct(sign: _Sign) -> bool:
    return ids.is_direct(sign.route.platform_id)
