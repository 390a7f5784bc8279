"""Posting: one part of a reply becomes a message, an edit, a reaction; once, also where a first try may have arrived.

Discord knows a second try by its nonce for some minutes. After that the channel itself is asked: what stands there
already is not said again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from adapters.base import Part, SendFailed
from adapters.discord import ids
from adapters.discord.draft import Draft
from adapters.discord.errors import ARCHIVED, ChannelGone, MessageGone, code_of
from adapters.discord.instead import instead
from adapters.discord.rest import Rest
from adapters.discord.streams import Stream, Streams
from adapters.discord.threads import Threads
from adapters.discord.typing import Typing
from agent.protocol.clock import Clock
from agent.protocol.messages import Route

NONCE_MS: Final = 100_000
"""Discord says "the past few minutes" (documentation, Create Message); two are the least that has been seen."""
MARGIN_MS: Final = 30_000
"""Clocks differ."""
PAGES: Final = 3
"""How far back a channel is read at most."""
NOT_OURS: Final = "this message cannot be found again on Discord"
BELOW: Final = "\n\n"

_log = logging.getLogger("roost.discord")


class Posting:
    """`me` is the bot's own id, known when it is logged in."""

    def __init__(
        self, rest: Rest, threads: Threads, streams: Streams, typing: Typing, *, clock: Clock
    ) -> None:
        self._rest = rest
        self._threads = threads
        self._streams = streams
        self._typing = typing
        self.me = 0
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
            place = await self._threads.ready(route)
            sent = await self._put(part, draft, place)
            if last:
                await self._clear(part, place)
            return sent
        except ChannelGone:
            if part.outgoing.notice and route.thread_id is not None:
                # Where the answer was to stand is no place any more; whoever asked may still read the channel.
                return await self._put(part, draft, await self._instead(route))
            return await self._put(part, draft, await self._threads.again(route))

    async def _instead(self, route: Route) -> int:
        try:
            return await self._threads.again(route)
        except ChannelGone:
            return int(route.platform_id)

    async def _put(self, part: Part, draft: Draft, place: int) -> str:
        try:
            message = await self._put_draft(part, draft, place)
        except SendFailed as exc:
            first, *more = instead(draft, part.outgoing, code_of(exc)) or (None,)
            if first is None:
                raise
            _log.warning("words stand in the place of what channel %s does not take: %s", place, exc)
            message = await self._put_draft(part, first, place)
            for number, each in enumerate(more, start=1):
                nonce = ids.nonce(part.outgoing.session, part.outgoing.id, f"{part.index}.{number}")
                await self._rest.post(place, each, nonce=nonce)
        self._streams.pause(place)
        return ids.part_id(place, message)

    async def _put_draft(self, part: Part, draft: Draft, place: int) -> int:
        stream = None if draft.file is not None else await self._streams.claim(part.outgoing)
        if stream is not None and stream.place in (None, place):
            if part.outgoing.notice and stream.shown and part.index == 0:
                draft = _below(stream, draft)
            return await self._into_stream(part, draft, place, stream)
        message = await self._post(part, draft, place)
        self._streams.passed(part.outgoing, place)
        return message

    async def _into_stream(self, part: Part, draft: Draft, place: int, stream: Stream) -> int:
        """A part of the final text takes the place of live text, as far as there is any."""
        index = len(stream.ids) - 1 if part.outgoing.notice and stream.ids and part.index == 0 else part.index
        if index == len(stream.ids) and stream.posting:
            # An earlier service was about to post one more, and nobody knows whether it did.
            found = await self._begun(place, stream)
            stream.posting = False
            if found is not None:
                stream.ids.append(found)
        if index < len(stream.ids):
            shown = stream.ids[index]
            if self._streams.stands(stream, index, draft):
                self._streams.shown(stream, index, shown, place)
                return shown
            await self._streams.turn(place)
            try:
                await self._awake(place, lambda: self._rest.edit(place, shown, draft))
            except MessageGone:
                pass
            else:
                self._streams.shown(stream, index, shown, place)
                return shown
        message = await self._post(part, draft, place)
        self._streams.shown(stream, index, message, place)
        return message

    async def _clear(self, part: Part, place: int) -> None:
        stream = await self._streams.claim(part.outgoing)
        if stream is None or stream.place != place:
            return
        if stream.posting and (found := await self._begun(place, stream)) is not None:
            stream.ids.append(found)
        stream.posting = False
        await self._streams.whole(stream)

    async def _begun(self, place: int, stream: Stream) -> int | None:
        nonce = stream.nonce(len(stream.ids))
        for each in await self._ours(place, stream.began_at):
            if each.get("nonce") == nonce or (not stream.ids and _answers(each, stream.answers)):
                return int(each["id"])
        return None

    async def _post(self, part: Part, draft: Draft, place: int) -> int:
        out = part.outgoing
        if part.since is not None and self._clock() - part.since > NONCE_MS:
            found = await self._find(part, draft, place)
            if found is not None:
                return found
        answers = ids.referred(out.answers, place) if part.index == 0 else None
        nonce = ids.nonce(out.session, out.id, str(part.index))
        return await self._typing.before(
            out.route, lambda: self._rest.post(place, draft, nonce=nonce, answers=answers)
        )

    async def _find(self, part: Part, draft: Draft, place: int) -> int | None:
        """The message that an earlier try has made, where there is one."""
        assert part.since is not None  # noqa: S101 - see _post
        nonce = ids.nonce(part.outgoing.session, part.outgoing.id, str(part.index))
        for each in await self._ours(place, part.since):
            if each.get("nonce") == nonce or _is(each, draft):
                _log.info("a part was there already: %s", ids.part_id(place, int(each["id"])))
                return int(each["id"])
        return None

    async def _ours(self, place: int, since: int) -> Sequence[Mapping[str, Any]]:
        """What the bot itself has said there since, the newest first."""
        oldest, before = ids.first_at(since - MARGIN_MS), None
        found: list[Mapping[str, Any]] = []
        for _ in range(PAGES):
            page = await self._rest.latest(place, before=before)
            found += [
                each for each in page if int(each["author"]["id"]) == self.me and int(each["id"]) >= oldest
            ]
            if not page or int(page[-1]["id"]) < oldest:
                break
            before = int(page[-1]["id"])
        return found

    async def _replace(self, part: Part, draft: Draft, replaces: str) -> str | None:
        known = ids.part_of(replaces)
        if known is None:
            raise SendFailed(NOT_OURS, retry_after=None)
        place, message = known
        if draft.removes:
            try:
                await self._rest.delete(place, message)
            except MessageGone:
                _log.debug("a message was gone before it was taken away: %s", replaces)
            return None
        await self._awake(place, lambda: self._rest.edit(place, message, draft))
        return replaces

    async def _react(self, part: Part, emoji: str) -> None:
        wanted = part.outgoing.reaction
        known = None
        if wanted is not None:
            known = ids.part_of(wanted.message) if wanted.message else ids.message_of(wanted.event or "")
        if known is None:
            raise SendFailed(NOT_OURS, retry_after=None)
        place, message = known
        await self._awake(place, lambda: self._rest.react(place, message, emoji))

    async def _awake(self, place: int, change: Callable[[], Awaitable[None]]) -> None:
        """A thread that is archived takes new messages, and is open again; for anything else it has to be opened."""
        try:
            await change()
        except SendFailed as exc:
            if code_of(exc) != ARCHIVED:
                raise
            try:
                await self._rest.reopen(place)
            except SendFailed as refused:
                raise (exc if refused.retry_after is None else refused) from exc.__cause__
            await change()


def _below(stream: Stream, draft: Draft) -> Draft:
    """What was written of an answer stays above the word that nothing more comes, where there is room."""
    text = stream.shown[-1] + BELOW + draft.content
    return replace(draft, content=text) if len(text.encode("utf-16-le")) // 2 <= 2_000 else draft


def _answers(message: Mapping[str, Any], event: str | None) -> bool:
    referred = (message.get("message_reference") or {}).get("message_id")
    said = ids.message_of(event) if event else None
    return said is not None and referred == str(said[1])


def _is(message: Mapping[str, Any], draft: Draft) -> bool:
    """Whether the message says what the draft does."""
    files = [each.get("filename") for each in message.get("attachments", ())]
    wanted = [] if draft.file is None else [draft.file.name]
    if files != wanted or message.get("content", "").strip() != draft.content.strip():
        return False
    return len(message.get("embeds", ())) >= len(draft.embeds) and bool(
        draft.content or files or draft.embeds
    )
