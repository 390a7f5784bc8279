"""Showing: the message of one stream is begun, added to, changed and ended, by the calls that its place has.

What is needed for the answers themselves is left to them: of each minute, and of what has to be ended again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from adapters.base import Manners, SendFailed
from adapters.slack import ids
from adapters.slack.asked import Asked
from adapters.slack.errors import NOT_STREAMING, STREAMING, MessageGone, error_of, is_ambiguous
from adapters.slack.methods import METHODS
from adapters.slack.said import carried, live_metadata, readable
from adapters.slack.status import State, Status
from adapters.slack.stream import Stream, body, of_markdown, words
from adapters.slack.web import RESERVE, Web
from agent.protocol import failpoint
from agent.protocol.messages import Route

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


class Showing:
    """Of all `streams`, by their turns. `note` writes down what is known of one, and raises NotSaved."""

    def __init__(
        self,
        web: Web,
        status: Status,
        asked: Asked,
        *,
        streams: Mapping[str, Stream],
        manners: Callable[[Route], Manners],
        note: Callable[[Stream], Awaitable[None]],
    ) -> None:
        self._web = web
        self._status = status
        self._asked = asked
        self._streams = streams
        self._manners = manners
        self._note = note
        self._lacking: dict[bool, float] = {}
        """Until when nothing is streamed, on the steady clock: in direct conversations, and in channels."""

    def method(self, stream: Stream, wanted: str) -> str:
        """By what the next change is made."""
        if stream.ts is None:
            return "chat.startStream" if self._can_stream(stream) else "chat.postMessage"
        grows = stream.is_open and stream.shown is not None and wanted.startswith(stream.shown)
        return "chat.appendStream" if grows else "chat.update"

    async def change(self, stream: Stream, wanted: str, method: str) -> None:
        """Makes the next change, by this method. Raises SendFailed, NotSaved."""
        if method == "chat.appendStream":
            await self._append(stream, wanted)
        elif method == "chat.update":
            await self._edit(stream, wanted)
        else:
            await self._begin(stream, wanted, method)

    async def found(self, stream: Stream) -> None:
        """Finds the message that an earlier service was about to begin, where there is one. Raises SendFailed."""
        if not stream.posting:
            return
        for each in await readable(self._web, stream.channel, stream.thread, since=stream.began_at):
            noted = carried(each)
            # What is streamed bears nothing of ours before its end.
            streamed = noted is None and words(str(each.get("text", ""))).startswith(stream.begun_with)
            mine = streamed or noted == live_metadata(stream.turn_id)
            if mine and each["ts"] not in stream.above:
                stream.ts, stream.is_open, stream.shown = str(each["ts"]), noted is None, None
        stream.posting = False

    async def stop(
        self,
        stream: Stream,
        *,
        more: str | None = None,
        below: Sequence[Mapping[str, Any]] | None = None,
        metadata: Mapping[str, Any] | None = None,
        state: State | None = None,
    ) -> bool:
        """Ends the stream, with so much text `more` and what stands `below` it, and gives its session a `state` where
        that has one. False where it had ended already, and nothing has changed. Raises SendFailed."""
        if not stream.is_open:
            return False
        try:
            await self._web.call(
                "chat.stopStream",
                channel=stream.channel,
                ts=stream.ts,
                markdown_text=more or None,
                blocks=below or None,
                metadata=metadata,
                session_status=state or self._status.session(stream.route),
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

    async def take_away(self, stream: Stream, messages: Sequence[str]) -> None:
        """Takes messages away that showed it before, as far as that can be done."""
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

    def _can_stream(self, stream: Stream) -> bool:
        if stream.by_edits or stream.thread is None or self._asked.by(stream.answers) is None:
            return False
        # What is begun has to be ended: where too many are at once, the others are shown by edits.
        to_end = self._count(is_open=True)
        if self.wait("chat.startStream", stream) or self._web.spare("chat.stopStream", needed=to_end):
            return False
        return self._lacking.get(ids.is_direct(stream.channel), 0.0) <= time.monotonic()

    def wait(self, method: str, stream: Stream) -> float:
        """In how many seconds the next change may be made by this method."""
        return self._web.spare(method, place=stream.channel, needed=self._needed(method))

    def _needed(self, method: str) -> int:
        """How many calls of a method must be left for the answers themselves."""
        if method == "chat.update":
            return RESERVE + self._count(is_open=False)
        return RESERVE if method == "chat.postMessage" else 0

    def pause(self, method: str) -> float:
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
        await self.take_away(stream, gone)
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
            await self.stop(stream)
            stream.by_edits = True
            await self._note(stream)
            if stream.ts is None:
                return
        before, stream.shown = stream.shown, None
        try:
            await self._web.call(
                "chat.update",
                live=True,
                needed=self._needed("chat.update"),
                channel=stream.channel,
                ts=stream.ts,
                metadata=live_metadata(stream.turn_id),
                **body(of_markdown(wanted)),
            )
        except SendFailed as exc:
            stream.shown = None if is_ambiguous(exc) else before
            raise
        failpoint.hit("stream-edited")
        stream.shown = wanted
