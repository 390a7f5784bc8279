"""Posting: one part of a reply becomes a message, an edit, a reaction; once, also where a first try may have arrived.

Slack does not know a second try by itself. Each message carries of which reply it is a part (its metadata), and after a
try whose end nobody saw, the place is read before anything is said again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.base import Part, SendFailed
from adapters.slack import ids
from adapters.slack.draft import Draft
from adapters.slack.errors import (
    STREAMING,
    THREAD_ERRORS,
    MessageGone,
    error_of,
    is_ambiguous,
)
from adapters.slack.instead import instead
from adapters.slack.said import carried, metadata, readable
from adapters.slack.status import State, Status
from adapters.slack.stream import Stream, below, body
from adapters.slack.streams import Streams
from adapters.slack.uploads import Uploads, shows
from adapters.slack.web import Web
from agent.protocol import failpoint
from agent.protocol.clock import Clock

NOT_OURS: Final = "this message cannot be found again on Slack"
HALF: Final = "a part of it is there, and the rest is not: {why}"

_log = logging.getLogger("roost.slack")


class Posting:
    """Sends parts, one at a time for each reply."""

    def __init__(self, web: Web, streams: Streams, status: Status, *, clock: Clock) -> None:
        self._web = web
        self._streams = streams
        self._status = status
        self._uploads = Uploads(web)
        self._clock = clock

    async def send(self, part: Part, draft: Draft, *, last: bool) -> str | None:
        """Returns the id of the part; None for what was taken away. The `last` text of its reply leaves nothing behind
        of what was shown while it was written. Raises SendFailed."""
        if draft.reaction is not None:
            await self._react(part, draft.reaction)
            return None
        if draft.replaces is not None:
            return await self._replace(part, draft, draft.replaces)
        route = part.outgoing.route
        try:
            return await self._put(part, draft, route.thread_id, last=last)
        except SendFailed as exc:
            if part.outgoing.notice and route.thread_id is not None and error_of(exc) in THREAD_ERRORS:
                # Where the answer was to stand is no place any more; whoever asked may still read the channel.
                return await self._post(part, draft, None)
            raise

    async def _put(self, part: Part, draft: Draft, thread: str | None, *, last: bool) -> str:
        channel = part.outgoing.route.platform_id
        if draft.file is not None:
            return await self._upload(part, draft, thread)
        stream = await self._streams.claim(part.outgoing)
        if stream is None:
            sent = await self._post(part, draft, thread)
            self._streams.passed(part.outgoing)
            return sent
        if stream.posting:
            await self._streams.showing.found(stream)
        ts = None
        if part.index == 0 and stream.ts is not None:
            ts = await self._into_stream(part, draft, stream, last=last)
        sent = ids.part_id(channel, ts) if ts is not None else await self._post(part, draft, thread)
        if last:
            await self._streams.whole(stream)
        return sent

    # ---------------------------------------------------------------- into live text

    async def _into_stream(self, part: Part, draft: Draft, stream: Stream, *, last: bool) -> str | None:
        """The first part of the final text takes the place of live text. None where that is not there any more."""
        if part.outgoing.notice:
            draft = below(stream, draft)
        shown, whole = stream.shown, draft.markdown
        more = whole[len(shown) :] if shown is not None and whole and whole.startswith(shown) else None
        if stream.is_open:
            state = self._state_after(part, last=last)
            ended = await self._streams.showing.stop(
                stream,
                more=more,
                below=None if more is None else draft.below,
                metadata=metadata(part),
                state=state,
            )
            if ended and state is not None:
                self._status.told(part.outgoing.route, state)
            if ended and more is not None:
                return stream.ts
        elif shown is not None and whole and shown == whole and not draft.below:
            return stream.ts
        if stream.ts is None:
            return None
        try:
            await self._update(stream.channel, stream.ts, draft, metadata=metadata(part))
        except MessageGone:
            stream.ts = None
            return None
        except SendFailed as exc:
            await self._update_instead(part, draft, stream.channel, stream.ts, stream.thread, exc)
        stream.shown = whole or None
        return stream.ts

    def _state_after(self, part: Part, *, last: bool) -> State | None:
        """The status that the session is to have when the stream has ended: that is said in the same call."""
        out = part.outgoing
        now = self._status.session(out.route)
        over = last and out.ends and not out.files and self._status.ends(out.route)
        return "active" if now is not None and over else now

    # ---------------------------------------------------------------- new messages

    async def _post(self, part: Part, draft: Draft, thread: str | None) -> str:
        channel = part.outgoing.route.platform_id
        found = await self._found(part, thread)
        for each in found:
            if _number(part, each) == part.index:
                first = (carried(each) or {}).get("event_payload", {}).get("first")
                _log.info("a part was there already: %s", ids.part_id(channel, each["ts"]))
                return ids.part_id(channel, first if isinstance(first, str) else each["ts"])
        try:
            ts = await self._call(part, draft, thread, metadata(part))
        except SendFailed as exc:
            texts = instead(draft, error_of(exc))
            if not texts:
                raise
            _log.warning("words stand in the place of what channel %s does not take: %s", channel, exc)
            ts = await self._pieces(part, texts, thread, found)
        return ids.part_id(channel, ts)

    async def _pieces(
        self, part: Part, texts: Sequence[Draft], thread: str | None, found: Sequence[Mapping[str, Any]]
    ) -> str:
        """Several messages are one part: that it is there is said by the last of them alone."""
        first: str | None = None
        for number, each in enumerate(texts, start=1):
            noted = metadata(part, piece=number if number < len(texts) else 0)
            if number == len(texts) and first is not None:
                noted["event_payload"]["first"] = first
            already = next((old["ts"] for old in found if carried(old) == noted), None)
            try:
                ts = already or await self._call(part, each, thread, noted)
            except SendFailed as exc:
                if first is None or is_ambiguous(exc):
                    raise
                # The next try has to see what is there already.
                raise SendFailed(HALF.format(why=exc), retry_after=0) from exc
            first = first or ts
        assert first is not None  # noqa: S101 - there is always a text
        return first

    async def _call(self, part: Part, draft: Draft, thread: str | None, noted: Mapping[str, Any]) -> str:
        channel = part.outgoing.route.platform_id
        answer = await self._web.call(
            "chat.postMessage",
            place=channel,
            channel=channel,
            thread_ts=thread,
            metadata=noted,
            unfurl_links=draft.previews,
            unfurl_media=draft.previews,
            **body(draft),
        )
        failpoint.hit("message-posted")
        return str(answer.get("ts", ""))

    async def _found(self, part: Part, thread: str | None) -> Sequence[Mapping[str, Any]]:
        """What an earlier try may have left of this reply."""
        return [each for each in await self._said(part, thread) if _number(part, each) is not None]

    async def _said(self, part: Part, thread: str | None) -> Sequence[Mapping[str, Any]]:
        """What the bot has said there since the first try."""
        if part.since is None:
            return ()
        return await readable(self._web, part.outgoing.route.platform_id, thread, since=part.since)

    async def _upload(self, part: Part, draft: Draft, thread: str | None) -> str:
        assert draft.file is not None  # noqa: S101 - see _put
        channel = part.outgoing.route.platform_id
        for each in await self._said(part, thread):
            if shows(each, draft.file):
                _log.info("a file was there already: %s", ids.part_id(channel, each["ts"]))
                return ids.part_id(channel, each["ts"])
        key = (part.outgoing.session, part.outgoing.id, part.index)
        try:
            sent = await self._uploads.send(key, channel, thread, draft.file, comment=draft.text)
        except SendFailed as exc:
            told = instead(draft, error_of(exc))
            if not told:
                raise
            _log.warning("words stand in the place of a file that channel %s does not take: %s", channel, exc)
            sent = await self._post(part, told[0], thread)
        self._streams.passed(part.outgoing)
        return sent

    # ---------------------------------------------------------------- what stands there

    async def _replace(self, part: Part, draft: Draft, replaces: str) -> str | None:
        known = ids.part_of(replaces)
        if known is None:
            raise SendFailed(NOT_OURS, retry_after=None)
        channel, ts = known
        if draft.removes:
            try:
                await self._web.call("chat.delete", channel=channel, ts=ts)
            except MessageGone:
                _log.debug("a message was gone before it was taken away: %s", replaces)
            return None
        try:
            await self._update(channel, ts, draft)
        except SendFailed as exc:
            await self._update_instead(part, draft, channel, ts, part.outgoing.route.thread_id, exc)
        return replaces

    async def _update(
        self, channel: str, ts: str, draft: Draft, *, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Raises SendFailed."""
        arguments = {"channel": channel, "ts": ts, "metadata": metadata, **body(draft)}
        try:
            await self._web.call("chat.update", **arguments)
        except SendFailed as exc:
            if error_of(exc) not in STREAMING:
                raise
            # An earlier service has left it open.
            await self._web.call("chat.stopStream", channel=channel, ts=ts)
            await self._web.call("chat.update", **arguments)

    async def _update_instead(
        self, part: Part, draft: Draft, channel: str, ts: str, thread: str | None, refused: SendFailed
    ) -> None:
        """Words, where Slack does not take a message as it is: what has no room in it comes below."""
        first, *more = instead(draft, error_of(refused)) or (None,)
        if first is None:
            raise refused
        _log.warning("words stand in the place of what channel %s does not take: %s", channel, refused)
        await self._update(channel, ts, first, metadata=metadata(part))
        found = await self._found(part, thread)
        for number, each in enumerate(more, start=1):
            noted = metadata(part, piece=number)
            if not any(carried(old) == noted for old in found):
                await self._call(part, each, thread, noted)

    async def _react(self, part: Part, name: str) -> None:
        wanted = part.outgoing.reaction
        known = None
        if wanted is not None:
            known = ids.part_of(wanted.message) if wanted.message else ids.message_of(wanted.event or "")
        if known is None:
            raise SendFailed(NOT_OURS, retry_after=None)
        channel, ts = known
        try:
            await self._web.call("reactions.add", channel=channel, timestamp=ts, name=name)
        except SendFailed as exc:
            if error_of(exc) != "already_reacted":
                raise


def _number(part: Part, message: Mapping[str, Any]) -> object:
    """Which part of this reply a message is; None for one of something else."""
    payload = (carried(message) or {}).get("event_payload")
    if not isinstance(payload, Mapping):
        return None
    same = (payload.get("session"), payload.get("out")) == (part.outgoing.session, part.outgoing.id)
    return payload.get("part") if same else None
