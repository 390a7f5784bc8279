"""Streams: an answer is shown while it is written, in a message that its final text then takes over.

Where Slack streams, the message grows by what is added; a stream ends by our call, by the button that stops a turn,
and by its age. Everywhere else, and for the rest of a stream that can go on no more, the message is changed as a whole.
What is begun is noted first, so that a service that is started anew goes on with the same message and leaves no stream
open. All of it is best effort: what is not shown comes with the answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from adapters.base import Live, Manners, Notes, NotSaved, Outgoing, SendFailed
from adapters.slack import ids
from adapters.slack.asked import Asked
from adapters.slack.render import live
from adapters.slack.showing import Showing
from adapters.slack.status import Status
from adapters.slack.stream import Stream, belongs
from adapters.slack.timing import Timing
from adapters.slack.web import Busy, Web
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import Route

KEY: Final = f"{ids.NAME}:stream:"
KEPT_MS: Final = 7 * 86_400_000
"""A stream whose turn has not ended by then never will."""
MAX_ENDED: Final = 1_000
MAX_FAILURES: Final = 3
_log = logging.getLogger("roost.slack")


class Streams:
    """One for each turn that shows live text."""

    def __init__(
        self,
        web: Web,
        status: Status,
        asked: Asked,
        timing: Timing,
        *,
        manners: Callable[[Route], Manners],
        clock: Clock,
    ) -> None:
        self._timing = timing
        self._manners = manners
        self._clock = clock
        self._streams: dict[str, Stream] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self.showing = Showing(web, status, asked, streams=self._streams, manners=manners, note=self._note)
        """How one of them is changed."""
        self._notes: Notes | None = None

    async def recall(self, notes: Notes) -> None:
        """What an earlier service has begun to show. What it has left open is stopped. Raises NotSaved."""
        self._notes = notes
        now = self._clock()
        for key, text in (await notes.all(KEY)).items():
            turn_id = key.removeprefix(KEY)
            try:
                stream = Stream.from_note(turn_id, text)
            except (ValueError, KeyError, TypeError):
                await notes.drop(key)
                continue
            if now - stream.began_at > KEPT_MS:
                await notes.drop(key)
            elif turn_id not in self._streams:
                self._streams[turn_id] = stream
                if stream.is_open or stream.posting:
                    self._start(stream)

    def show(self, update: Live) -> None:
        """More of an answer."""
        if update.turn_id in self._ended or self._notes is None:
            return
        stream = self._streams.get(update.turn_id)
        if stream is None:
            stream = Stream(update.turn_id, update.route, update.answers, self._clock())
            self._streams[update.turn_id] = stream
        if stream.claimed_by is None:
            stream.text = update.text
            stream.news.set()
            if stream.task is None:
                self._start(stream)

    def visible(self, route: Route) -> bool:
        """Whether an answer can be seen there that is being written; of one of an earlier service nobody knows."""
        return any(
            each.route == route and each.ts is not None and not each.claimed_by and each.text is not None
            for each in self._streams.values()
        )

    async def stopped(self, channel: str, thread: str, messages: Sequence[str]) -> None:
        """Slack has ended the streams of these messages itself: somebody has stopped the turn."""
        for stream in self._streams.values():
            if stream.channel == channel and stream.thread == thread and stream.ts in messages:
                stream.is_open, stream.by_edits = False, True

    async def claim(self, out: Outgoing) -> Stream | None:
        """The stream that this reply is the end of, at rest: nothing is shown any more but what the caller sends.
        The same for every part and every try."""
        key = (out.session, out.id)
        for stream in self._streams.values():
            if stream.claimed_by == key or (stream.claimed_by is None and belongs(out, stream)):
                stream.claimed_by = key
                stream.by_notice = out.notice
                await self._rest_of(stream)
                failpoint.hit("stream-claimed")
                return stream
        return None

    def passed(self, out: Outgoing) -> None:
        """Something was sent that is not the text of a stream: one of the same turn goes on below it, where people
        read on."""
        for stream in self._streams.values():
            same = stream.turn_id == out.turn_id and stream.route == out.route
            if same and stream.claimed_by is None and stream.ts is not None:
                stream.above.append(stream.ts)
                stream.ts, stream.shown, stream.is_open = None, "", False
                stream.left_at = stream.text or ""

    async def whole(self, stream: Stream) -> None:
        """All of the final text stands there: what is left of live text goes. Not only at the end of the turn, of
        which a service that is killed before is never told."""
        if not stream.by_notice:
            left, stream.above = stream.above, []
            await self.showing.take_away(stream, left)

    async def later(self, out: Outgoing) -> None:
        """A turn is answered: one before it, of an earlier service, has come to its end."""
        for turn_id, stream in list(self._streams.items()):
            earlier = stream.text is None and stream.route == out.route and turn_id != out.turn_id
            if earlier and out.answers is not None and not out.notice:
                await self.end(turn_id)

    async def end(self, turn_id: str) -> None:
        """The turn has come to its end, and all that it says is out: what is left of live text goes."""
        self._ended[turn_id] = None
        while len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
        stream = self._streams.pop(turn_id, None)
        if stream is None:
            return
        await self._rest_of(stream)
        try:
            await self.showing.stop(stream)
        except SendFailed as exc:
            # It stays noted, and the next service stops it.
            _log.info("a stream stays open: %s", exc)
            return
        if stream.claimed_by is not None and not stream.by_notice:
            await self.showing.take_away(stream, stream.above)
        if self._notes is not None and stream.is_noted:
            try:
                await self._notes.drop(KEY + turn_id)
            except NotSaved:
                _log.warning("a stream that has ended stays noted", exc_info=True)

    async def close(self) -> None:
        """Shows nothing any more. What is noted stays."""
        for stream in list(self._streams.values()):
            await self._rest_of(stream)

    # ---------------------------------------------------------------- one stream

    def _start(self, stream: Stream) -> None:
        stream.task = asyncio.create_task(self._pump(stream), name=f"slack stream {stream.turn_id}")

    async def _rest_of(self, stream: Stream) -> None:
        task, stream.task = stream.task, None
        if task is None or task is asyncio.current_task():
            return
        stream.news.set()
        # A call that is cut off may arrive all the same, after what is sent next.
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, Exception):
            _log.error("live text was not shown", exc_info=outcome)

    async def _pump(self, stream: Stream) -> None:
        failures = 0
        stream.not_before = time.monotonic() + self._timing.first_text
        while self._goes_on(stream):
            stream.news.clear()
            try:
                wait = await self._step(stream)
                failures = failures if wait else 0
            except SendFailed as exc:
                failures += not isinstance(exc, Busy)
                if exc.retry_after is None or failures >= MAX_FAILURES:
                    _log.info("live text is not shown any more: %s", exc)
                    return
                wait = max(exc.retry_after, self._timing.edit)
            except NotSaved:
                _log.warning("live text is not shown: what is begun cannot be noted", exc_info=True)
                return
            if wait is None:
                await stream.news.wait()
            else:
                await self._sleep(stream, wait)

    def _goes_on(self, stream: Stream) -> bool:
        return stream.claimed_by is None and stream.turn_id not in self._ended and stream.task is not None

    async def _sleep(self, stream: Stream, seconds: float) -> None:
        """For so long, or until the stream is to rest."""
        until = time.monotonic() + seconds
        while self._goes_on(stream) and (left := until - time.monotonic()) > 0:
            stream.news.clear()
            try:
                async with asyncio.timeout(left):
                    await stream.news.wait()
            except TimeoutError:
                return

    async def _step(self, stream: Stream) -> float | None:
        """Makes one change, or says in how many seconds there may be one; None when everything is shown. Raises
        SendFailed, NotSaved."""
        if stream.posting:
            await self.showing.found(stream)
        if stream.is_open and stream.shown is None:
            # Nothing can be added where it is not known what stands there.
            await self.showing.stop(stream)
            await self._note(stream)
        wanted = self._wanted(stream)
        if wanted is None:
            return None
        method = self.showing.method(stream, wanted)
        wait = max(stream.not_before - time.monotonic(), self.showing.wait(method, stream))
        if wait > 0:
            return wait
        await self.showing.change(stream, wanted, method)
        own = self._timing.append if method == "chat.appendStream" else self._timing.edit
        stream.not_before = time.monotonic() + max(own, self.showing.pause(method))
        return 0.0

    def _wanted(self, stream: Stream) -> str | None:
        """What is to stand there; None when it does."""
        if stream.text is None or (stream.above and stream.ts is None and stream.text == stream.left_at):
            return None
        text = live(stream.text, people=self._manners(stream.route).mentions)
        return text if text and text != stream.shown else None

    async def _note(self, stream: Stream) -> None:
        """Raises NotSaved."""
        if self._notes is not None:
            stream.is_noted = True
            await self._notes.put(KEY + stream.turn_id, stream.note())
