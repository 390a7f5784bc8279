"""What people see while a turn runs: that it runs, and its text as it is written. Best effort, never late."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from adapters.base import Adapter, Live, Open, Settled, Working
from agent.protocol.bell import Activity, LiveText
from agent.protocol.messages import Route
from bot import log
from bot.lanes import Lanes
from bot.redaction import redact
from bot.screening import UNSEEN, screened
from bot.session import Session

MAX_LIVE_CHARS: Final = 200_000
MAX_NEWS: Final = 10_000
"""What is kept for a channel that shows nothing; no conversation has so much to be told at once."""
MAX_RUN_CHARS: Final = 8_192
"""The end of a live text that could be the beginning of a secret is not shown yet; when it is longer than this, no
more is shown at all, and the rest comes with the answer."""
_RUN: Final = re.compile(rf"[A-Za-z0-9_.~+/=\[\];?{UNSEEN}-]*+")
"""What secrets of known shape are made of, and what may stand between without being seen. A word of any other script
ends such a run."""
CATCH_UP_SECONDS: Final = 1.0
"""How long a channel that shows live text slowly may hold up what comes after it."""
OVERLAP_CHARS: Final = 512
"""How far back a growing text is looked at again: looking at all of it each time would take ever longer."""

_log = log.get("roost.presence")


@dataclass
class _Stream:
    """The live text of one turn."""

    route: Route
    turn_id: str
    answers: str
    text: str = ""
    shown: int = 0
    """How much of it was found fit to be shown."""
    broken: bool = False


@dataclass
class _News:
    """What is still to be shown for one session; newer live text replaces older."""

    live: Live | None = None
    updates: list[Working | Settled | Open] = field(default_factory=list)


class Presence:
    """Passes on what an adapter may show, one update at a time for each session."""

    name = "presence"

    def __init__(self, adapters: Mapping[str, Adapter]) -> None:
        self._adapters = adapters
        self._streams: dict[str, _Stream] = {}
        self._news: dict[str, _News] = {}
        self._lanes: Lanes[str] = Lanes("presence", self._show, self._failed)

    async def run(self) -> None:
        """Until cancelled."""
        await self._lanes.run()

    def live(self, session: Session, frame: LiveText) -> None:
        """More text of a turn. Where it belongs is what the host knows, not what the frame says."""
        message = session.unfinished.get(frame.turn_id)
        if message is None:
            return
        stream = self._streams.get(session.id)
        if stream is None or stream.turn_id != frame.turn_id or frame.offset == 0:
            stream = self._streams[session.id] = _Stream(message.route, frame.turn_id, message.event_id)
        if stream.broken:
            return
        stream.broken = frame.offset != len(stream.text) or frame.offset + len(frame.text) > MAX_LIVE_CHARS
        if stream.broken:
            return
        stream.text += frame.text
        end = presentable(stream.text, stream.shown)
        stream.broken = end < stream.shown
        if not stream.broken and end > stream.shown:
            stream.shown = end
            self._show_more(session, stream)

    async def catch_up(self, session: Session) -> None:
        """Returns when all live text of the session is shown, or after a while: what is said next, and is not the
        answer itself, comes after it. So does the last word, which nothing follows any more that could make it a
        secret."""
        stream = self._streams.get(session.id)
        if stream is not None and not stream.broken and stream.shown < len(stream.text):
            end = stream.text[max(0, stream.shown - OVERLAP_CHARS) :]
            if screened(end) == end:
                stream.shown = len(stream.text)
                self._show_more(session, stream)
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_SECONDS):
                await self._lanes.settle(session.id)

    def activity(self, session: Session, frame: Activity) -> None:
        """What a turn is doing, in words."""
        message = session.unfinished.get(frame.turn_id)
        if message is not None:
            self.working(session, message.route, on=True, progress=frame.progress)

    def working(self, session: Session, route: Route, *, on: bool, progress: str | None = None) -> None:
        """A turn begins or goes on at `route`, or nothing does any more."""
        self._add(session, Working(route, on, progress and redact(progress)))

    def still_open(self, session_id: str, update: Open) -> None:
        """A question of an earlier service waits for its answer."""
        self._news.setdefault(session_id, _News()).updates.append(update)
        self._lanes.kick(session_id)

    def settled(self, session: Session, update: Settled) -> None:
        """An event came to its end; everything that answers it is out."""
        stream = self._streams.get(session.id)
        # By now the text of the next turn may be coming in.
        if stream is not None and stream.turn_id not in session.unfinished:
            del self._streams[session.id]
        elif stream is not None and stream.shown and not stream.broken:
            self._show_more(session, stream)
        self._add(session, update)

    def _show_more(self, session: Session, stream: _Stream) -> None:
        """What an earlier turn has written, and was not sent yet, is to stand above it."""
        message, oldest = session.unfinished.get(stream.turn_id), session.oldest()
        if message is None or session.expected or (oldest is not None and oldest.seq < message.seq):
            return
        live = stream.text[: stream.shown]
        self._of(session).live = Live(stream.route, stream.turn_id, live, stream.answers)
        self._lanes.kick(session.id)

    def _add(self, session: Session, update: Working | Settled) -> None:
        """A newer word about work takes the place of an older one. An adapter that hangs is told the newest."""
        updates = self._of(session).updates
        before = updates[-1] if updates else None
        if isinstance(update, Working) and isinstance(before, Working) and before.route == update.route:
            updates.pop()
        elif len(updates) >= MAX_NEWS:
            del updates[0]
        updates.append(update)
        self._lanes.kick(session.id)

    def _of(self, session: Session) -> _News:
        return self._news.setdefault(session.id, _News())

    async def _show(self, session_id: str) -> None:
        news = self._news.pop(session_id, None)
        if news is None:
            return
        for update in (*([news.live] if news.live else []), *news.updates):
            adapter = self._adapters.get(update.route.channel)
            if adapter is None:
                continue
            try:
                await adapter.show(update)
            except Exception:
                # It must not raise; where it does, the end of the turn behind this update is still told.
                _log.exception("an update could not be shown", session=session_id)

    def _failed(self, session_id: str, error: Exception) -> None:
        _log.warning("an update could not be shown", exc_info=error, session=session_id)


def presentable(text: str, shown: int = 0) -> int:
    """How much of a live text can be shown now: not the last word, which may become a secret, and nothing any
    more once it holds one, which is -1. The first `shown` characters were found to hold none."""
    end = len(text) - _open_run(text[-MAX_RUN_CHARS - 1 :])
    if len(text) - end > MAX_RUN_CHARS:
        return -1
    looked_at = text[max(0, shown - OVERLAP_CHARS) : max(end, shown)]
    return max(end, shown) if screened(looked_at) == looked_at else -1


def _open_run(tail: str) -> int:
    """How long the run is in which a text ends."""
    found = _RUN.match(tail[::-1])
    return found.end() if found else 0
