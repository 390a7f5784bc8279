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
from typing import Any, Final

from adapters.base import Live, Manners, Notes, NotSaved, Outgoing, SendFailed
from adapters.slack import ids
from adapters.slack.asked import Asked
from adapters.slack.errors import NOT_STREAMING, STREAMING, MessageGone, error_of, is_ambiguous
from adapters.slack.methods import METHODS
from adapters.slack.render import live
from adapters.slack.said import carried, live_metadata, ours
from adapters.slack.status import Status
from adapters.slack.stream import Stream, belongs, body, of_markdown, words
from adapters.slack.timing import Timing
from adapters.slack.web import RESERVE, Busy, Web
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import Route

KEY: Final = f"{ids.NAME}:stream:"
KEPT_MS: Final = 7 * 86_400_000
"""A stream whose turn has not ended by then never will."""
MAX_ENDED: Final = 1_000
MAX_FAILURES: Final = 3
LACKING: Final = frozenset(
    {
        "access_denied", "channel_type_not_supported", "feature_not_enabled", "method_deprecated",
        "method_not_supported_for_channel_type", "missing_scope", "no_permission", "not_allowed",
        "not_allowed_token_type", "unknown_method",
    }
)  # fmt: skip
"""Errors that say that nothing is streamed here at all."""
LACKING_SECONDS: Final = 3600.0
"""For so long it is not tried again: a workspace changes seldom."""

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
        self._web = web
        self._status = status
        self._asked = asked
        self._timing = timing
        self._manners = manners
        self._clock = clock
        self._streams: dict[str, Stream] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._lacking: dict[bool, float] = {}
        """Until when nothing is streamed, on the steady clock: in direct conversations, and in channels."""
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

    async def stop(self, stream: Stream, *, more: str | None = None, **arguments: Any) -> bool:
        """Ends the stream, with so much text `more` and the arguments of chat.stopStream. False where it had ended
        already, and nothing has changed. Raises SendFailed."""
        if not stream.is_open:
            return False
        try:
            await self._web.call(
                "chat.stopStream",
                channel=stream.channel,
                ts=stream.ts,
                markdown_text=more or None,
                **arguments,
            )
        except SendFailed as exc:
            if is_ambiguous(exc) or exc.retry_after is not None:
                if is_ambiguous(exc):
                    stream.shown = None
                raise
            stream.is_open, stream.shown = False, None
            if isinstance(exc, MessageGone):
                stream.ts = None
            elif error_of(exc) not in NOT_STREAMING:
                _log.info("a stream was not ended: %s", exc)
            return False
        failpoint.hit("stream-stopped")
        stream.is_open = False
        if stream.shown is not None:
            stream.shown += more or ""
        return True

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
            await self._take_away(stream, left)

    async def found(self, stream: Stream) -> None:
        """Finds the message that an earlier service was about to begin, where there is one. Raises SendFailed."""
        if not stream.posting:
            return
        for each in await ours(self._web, stream.channel, stream.thread, since=stream.began_at):
            noted = carried(each)
            # What is streamed bears nothing of ours before its end.
            streamed = noted is None and words(str(each.get("text", ""))).startswith(stream.begun_with)
            mine = streamed or noted == live_metadata(stream.turn_id)
            if mine and each["ts"] not in stream.above:
                stream.ts, stream.is_open, stream.shown = str(each["ts"]), noted is None, None
        stream.posting = False

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
            await self.stop(stream, session_status=self._status.session(stream.route))
        except SendFailed as exc:
            # It stays noted, and the next service stops it.
            _log.info("a stream stays open: %s", exc)
            return
        if stream.claimed_by is not None and not stream.by_notice:
            await self._take_away(stream, stream.above)
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

    async def _take_away(self, stream: Stream, messages: Sequence[str]) -> None:
        for message in messages:
            try:
                await self._delete(stream.channel, message)
            except SendFailed as exc:
                _log.debug("a message of live text stays: %s", exc)

    async def _delete(self, channel: str, ts: str) -> None:
        try:
            await self._web.call("chat.delete", channel=channel, ts=ts)
        except SendFailed as exc:
            if error_of(exc) not in STREAMING:
                raise
            await self._web.call("chat.stopStream", channel=channel, ts=ts)
            await self._web.call("chat.delete", channel=channel, ts=ts)

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
            await self.found(stream)
        if stream.is_open and stream.shown is None:
            # Nothing can be added where it is not known what stands there.
            await self.stop(stream, session_status=self._status.session(stream.route))
            await self._note(stream)
        wanted = self._wanted(stream)
        if wanted is None:
            return None
        method = self._method(stream, wanted)
        wait = max(stream.not_before - time.monotonic(), self._spare(method, stream))
        if wait > 0:
            return wait
        pause = self._timing.edit
        if method == "chat.appendStream":
            pause = self._timing.append
            await self._append(stream, wanted)
        elif method == "chat.update":
            await self._edit(stream, wanted)
        else:
            await self._begin(stream, wanted, method)
        stream.not_before = time.monotonic() + max(pause, self._share(method))
        return 0.0

    def _wanted(self, stream: Stream) -> str | None:
        """What is to stand there; None when it does."""
        if stream.text is None or (stream.above and stream.ts is None and stream.text == stream.left_at):
            return None
        text = live(stream.text, people=self._manners(stream.route).mentions)
        return text if text and text != stream.shown else None

    def _method(self, stream: Stream, wanted: str) -> str:
        """By what the next change is made."""
        if stream.ts is None:
            return "chat.startStream" if self._can_stream(stream) else "chat.postMessage"
        grows = stream.is_open and stream.shown is not None and wanted.startswith(stream.shown)
        return "chat.appendStream" if grows else "chat.update"

    def _can_stream(self, stream: Stream) -> bool:
        if stream.by_edits or stream.thread is None or self._asked.by(stream.answers) is None:
            return False
        # What is begun has to be ended: where too many are at once, the others are shown by edits.
        to_end = self._count(is_open=True)
        if self._spare("chat.startStream", stream) or self._web.spare("chat.stopStream", needed=to_end):
            return False
        return self._lacking.get(ids.is_direct(stream.channel), 0.0) <= time.monotonic()

    def _spare(self, method: str, stream: Stream) -> float:
        """In how many seconds the next change may be made by this method."""
        return self._web.spare(method, place=stream.channel, needed=self._needed(method))

    def _needed(self, method: str) -> int:
        """How many calls of a method must be left for the answers themselves."""
        if method == "chat.update":
            return RESERVE + self._count(is_open=False)
        return RESERVE if method == "chat.postMessage" else 0

    def _share(self, method: str) -> float:
        """The seconds between two changes of one answer where several share what a minute allows."""
        streamed = method in ("chat.startStream", "chat.appendStream")
        count = self._count(is_open=streamed)
        a_minute = METHODS["chat.appendStream" if streamed else "chat.update"].a_minute
        return count * 60 / a_minute if count > 1 else 0.0

    def _count(self, *, is_open: bool) -> int:
        """How many answers are shown by a stream, or by edits."""
        return sum(each.ts is not None and each.is_open is is_open for each in self._streams.values())

    async def _begin(self, stream: Stream, wanted: str, method: str) -> None:
        """Raises SendFailed, NotSaved."""
        stream.posting, stream.begun_with = True, words(wanted)
        await self._note(stream)
        failpoint.hit("stream-noted")
        try:
            if method == "chat.startStream":
                answer = await self._start_stream(stream, wanted)
            else:
                answer = await self._post(stream, wanted)
        except SendFailed as exc:
            # Where nobody knows whether it was begun, the next step looks.
            stream.posting = is_ambiguous(exc)
            if method == "chat.startStream" and exc.retry_after is None:
                self._cannot(stream, exc)
                return
            raise
        failpoint.hit("stream-posted")
        stream.ts, stream.shown = str(answer.get("ts", "")), wanted
        stream.is_open, stream.posting = method == "chat.startStream", False
        gone, stream.above = stream.above, []
        await self._take_away(stream, gone)
        await self._note(stream)

    async def _start_stream(self, stream: Stream, wanted: str) -> dict[str, Any]:
        asker = self._asked.by(stream.answers)
        return await self._web.call(
            "chat.startStream",
            live=True,
            needed=self._needed("chat.startStream"),
            channel=stream.channel,
            thread_ts=stream.thread,
            recipient_user_id=asker.user if asker is not None else None,
            recipient_team_id=asker.team if asker is not None else None,
            markdown_text=wanted,
        )

    async def _post(self, stream: Stream, wanted: str) -> dict[str, Any]:
        draft = of_markdown(wanted, previews=self._manners(stream.route).previews)
        return await self._web.call(
            "chat.postMessage",
            place=stream.channel,
            live=True,
            channel=stream.channel,
            thread_ts=stream.thread,
            metadata=live_metadata(stream.turn_id),
            unfurl_links=draft.previews,
            unfurl_media=draft.previews,
            **body(draft),
        )

    def _cannot(self, stream: Stream, exc: SendFailed) -> None:
        stream.by_edits = True
        if error_of(exc) in LACKING:
            _log.info("answers are shown by edits for an hour: %s", exc)
            self._lacking[ids.is_direct(stream.channel)] = time.monotonic() + LACKING_SECONDS
        else:
            _log.info("an answer is shown by edits: %s", exc)

    async def _append(self, stream: Stream, wanted: str) -> None:
        """Raises SendFailed."""
        assert stream.shown is not None  # noqa: S101 - see _method
        try:
            await self._web.call(
                "chat.appendStream",
                live=True,
                needed=self._needed("chat.appendStream"),
                channel=stream.channel,
                ts=stream.ts,
                markdown_text=wanted[len(stream.shown) :],
            )
        except SendFailed as exc:
            if isinstance(exc, MessageGone):
                raise
            if is_ambiguous(exc):
                # It may stand there or not; the whole of it is put there next.
                stream.shown, stream.by_edits = None, True
            elif exc.retry_after is not None:
                raise
            elif error_of(exc) in NOT_STREAMING:
                stream.is_open, stream.by_edits = False, True
            else:
                _log.info("a stream goes on by edits: %s", exc)
                stream.shown, stream.by_edits = None, True
            return
        failpoint.hit("stream-appended")
        stream.shown = wanted

    async def _edit(self, stream: Stream, wanted: str) -> None:
        """Raises SendFailed, NotSaved."""
        if stream.is_open:
            await self.stop(stream, session_status=self._status.session(stream.route))
            stream.by_edits = True
            await self._note(stream)
            if stream.ts is None:
                return
        await self._web.call(
            "chat.update",
            live=True,
            needed=self._needed("chat.update"),
            channel=stream.channel,
            ts=stream.ts,
            metadata=live_metadata(stream.turn_id),
            **body(of_markdown(wanted)),
        )
        failpoint.hit("stream-edited")
        stream.shown = wanted

    async def _note(self, stream: Stream) -> None:
        """Raises NotSaved."""
        if self._notes is not None:
            stream.is_noted = True
            await self._notes.put(KEY + stream.turn_id, stream.note())
