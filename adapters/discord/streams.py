"""Streams: an answer is shown while it is written, in messages that its final text then takes over.

What is begun is noted before it is posted, so that a service that is started anew knows which messages a final text
belongs into. All of it is best effort: what is not shown comes with the answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapters.base import Live, Manners, Notes, NotSaved, Outgoing, SendFailed
from adapters.discord import ids
from adapters.discord.client import Timing
from adapters.discord.draft import SUPPRESS_EMBEDS, Draft, mentions
from adapters.discord.render import live
from adapters.discord.rest import Rest
from adapters.discord.threads import Threads
from adapters.discord.typing import Typing
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import Route

KEY: Final = f"{ids.NAME}:stream:"
KEPT_MS: Final = 7 * 86_400_000
"""A stream whose turn has not ended by then never will."""
MAX_ENDED: Final = 1_000
MAX_FAILURES: Final = 3
MAX_PLACES: Final = 1_000
"""Of which it is kept when they may be changed again; a pause is over long before so many others had one."""

_log = logging.getLogger("roost.discord")


@dataclass
class Stream:
    """The messages of one turn's live text. `text` is None for one of an earlier service."""

    turn_id: str
    route: Route
    answers: str | None
    began_at: int
    text: str | None = None
    place: int | None = None
    ids: list[int] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    posting: bool = False
    """Whether one more may be there, of which nobody knows the id."""
    task: asyncio.Task[None] | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    claimed_by: tuple[str, str] | None = None
    """Whose text stands there now: a reply, by its session and id."""
    used: int = 0
    """How many of the messages hold a part of it."""
    above: list[int] = field(default_factory=list)
    """Messages of it that something else of the same turn now stands below: what comes next is shown below that, and
    then these go."""
    left_at: str = ""
    """The text as it was then."""
    by_notice: bool = False
    """What has claimed it is not an answer: nothing of it goes."""

    def nonce(self, index: int) -> str:
        """By which Discord knows the message with this part of it; another one after it was begun anew below."""
        return ids.nonce("stream", self.turn_id, str(index), self.left_at)

    def note(self) -> str:
        """What is kept of it."""
        return json.dumps(
            {
                "route": self.route.model_dump(),
                "answers": self.answers,
                "at": self.began_at,
                "place": self.place,
                "ids": self.ids,
                "above": self.above,
                "posting": self.posting,
            }
        )

    @classmethod
    def from_note(cls, turn_id: str, text: str) -> Stream:
        """The reverse. Raises ValueError, KeyError, TypeError for what is none."""
        kept = json.loads(text)
        return cls(
            turn_id,
            Route.model_validate(kept["route"]),
            kept["answers"],
            int(kept["at"]),
            place=kept["place"],
            ids=[int(each) for each in kept["ids"]],
            above=[int(each) for each in kept["above"]],
            posting=bool(kept["posting"]),
        )


def belongs(out: Outgoing, stream: Stream) -> bool:
    """Whether this reply is what the stream was the beginning of; other messages of the same turn stand beside it."""
    if out.edit is not None or out.reaction is not None or out.question is not None or out.card is not None:
        return False
    if out.notice:
        # The turn came to nothing: what says so takes the place of what there was of an answer.
        return stream.answers is not None and out.answers == stream.answers
    if out.turn_id != stream.turn_id or not out.text.strip():
        return False
    if stream.text is None or out.ends:
        return True
    streamed, final = stream.text.strip(), out.text.strip()
    return final.startswith(streamed) or streamed.startswith(final)


class Streams:
    """One for each turn that shows live text."""

    def __init__(
        self,
        rest: Rest,
        threads: Threads,
        typing: Typing,
        timing: Timing,
        *,
        manners: Callable[[Route], Manners],
        clock: Clock,
    ) -> None:
        self._manners = manners
        self._rest = rest
        self._threads = threads
        self._typing = typing
        self._timing = timing
        self._clock = clock
        self._streams: dict[str, Stream] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._next: dict[int, float] = {}
        """When a channel may be changed again, on the steady clock."""
        self._notes: Notes | None = None

    async def recall(self, notes: Notes) -> None:
        """What an earlier service has begun to show. Raises NotSaved."""
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
            else:
                self._streams.setdefault(turn_id, stream)

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
                stream.task = asyncio.create_task(self._pump(stream), name=f"discord stream {stream.turn_id}")

    def visible(self, route: Route) -> bool:
        """Whether an answer can be seen there that is being written; of one of an earlier service nobody knows."""
        return any(
            each.route == route and each.ids and not each.claimed_by and each.text is not None
            for each in self._streams.values()
        )

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

    def shown(self, stream: Stream, index: int, message: int, place: int) -> None:
        """The caller has put a part of the final text into a message of the stream's, or into a new one."""
        stream.place = place
        if index < len(stream.ids):
            stream.ids[index] = message
        else:
            stream.ids.append(message)
        stream.used = max(stream.used, index + 1)

    def draft(self, stream: Stream, text: str) -> Draft:
        """A piece of live text as it is sent."""
        manners = self._manners(stream.route)
        flags = 0 if manners.previews else SUPPRESS_EMBEDS
        return Draft(text, flags=flags, allowed_mentions=mentions(people=manners.mentions))

    def stands(self, stream: Stream, index: int, draft: Draft) -> bool:
        """Whether that is what a message of the stream's shows already."""
        return index < len(stream.shown) and draft == self.draft(stream, stream.shown[index])

    async def turn(self, place: int) -> None:
        """Returns when live text may be changed there again."""
        while (wait := self._next.get(place, 0.0) - time.monotonic()) > 0:  # noqa: ASYNC110 - it moves on
            await asyncio.sleep(wait)

    def pause(self, place: int) -> None:
        """Something else was sent there just now."""
        self._next.pop(place, None)
        self._next[place] = time.monotonic() + self._timing.edit
        while len(self._next) > MAX_PLACES:
            del self._next[next(iter(self._next))]

    def passed(self, out: Outgoing, place: int) -> None:
        """Something was sent there that is not the text of a stream: one of the same turn goes on below it, where
        people read on."""
        for stream in self._streams.values():
            if stream.turn_id == out.turn_id and stream.place == place and stream.claimed_by is None:
                stream.above += stream.ids
                stream.ids, stream.shown = [], []
                stream.left_at = stream.text or ""

    async def whole(self, stream: Stream) -> None:
        """All of the final text stands there: what is left of live text goes. Not only at the end of the turn, of
        which a service that is killed before is never told."""
        if stream.by_notice:
            return
        left, stream.above = stream.above + stream.ids[stream.used :], []
        del stream.ids[stream.used :]
        await self._take_away(stream, left)

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
        if stream.claimed_by is not None and not stream.by_notice:
            await self._take_away(stream, stream.above + stream.ids[stream.used :])
        if self._notes is not None and (stream.ids or stream.above or stream.posting):
            try:
                await self._notes.drop(KEY + turn_id)
            except NotSaved:
                _log.warning("a stream that has ended stays noted", exc_info=True)

    async def _take_away(self, stream: Stream, messages: Sequence[int]) -> None:
        for message in messages:
            try:
                if stream.place is not None:
                    await self._rest.delete(stream.place, message)
            except SendFailed as exc:
                _log.debug("a message of live text stays: %s", exc)

    async def close(self) -> None:
        """Shows nothing any more. What is noted stays."""
        for stream in list(self._streams.values()):
            await self._rest_of(stream)

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
        began = time.monotonic()
        while stream.claimed_by is None and stream.turn_id not in self._ended and stream.task is not None:
            wait = began + self._timing.first_text - time.monotonic()
            if stream.place is not None:
                wait = self._next.get(stream.place, 0.0) - time.monotonic()
            if wait > 0:
                await self._sleep(stream, wait)
                continue
            stream.news.clear()
            try:
                if not await self._step(stream):
                    await stream.news.wait()
            except SendFailed as exc:
                failures += 1
                if exc.retry_after is None or failures >= MAX_FAILURES:
                    _log.info("live text is not shown any more: %s", exc)
                    return
                await self._sleep(stream, max(exc.retry_after, self._timing.edit))
            except NotSaved:
                _log.warning("live text is not shown: what is begun cannot be noted", exc_info=True)
                return

    async def _sleep(self, stream: Stream, seconds: float) -> None:
        """For so long, or until the stream is to rest."""
        until = time.monotonic() + seconds
        while (
            stream.task is not None and stream.claimed_by is None and (left := until - time.monotonic()) > 0
        ):
            stream.news.clear()
            try:
                await asyncio.wait_for(stream.news.wait(), left)
            except TimeoutError:
                return

    async def _step(self, stream: Stream) -> bool:
        """Makes one change; False when everything is shown."""
        if stream.above and not stream.ids and stream.text == stream.left_at:
            return False
        wanted = live(stream.text or "")
        changed = next(
            (n for n, text in enumerate(wanted) if n >= len(stream.ids) or _differs(stream.shown, n, text)),
            None,
        )
        if changed is None:
            return False
        if stream.place is None:
            stream.place = await self._threads.ready(stream.route)
        draft = self.draft(stream, wanted[changed])
        if changed < len(stream.ids):
            await self._rest.edit(stream.place, stream.ids[changed], draft)
            failpoint.hit("stream-edited")
        else:
            await self._post(stream, changed, draft)
        stream.shown[changed:] = [wanted[changed]]
        self.pause(stream.place)
        return True

    async def _post(self, stream: Stream, index: int, draft: Draft) -> None:
        """Raises SendFailed, NotSaved."""
        assert self._notes is not None and stream.place is not None  # noqa: S101 - see show and _step
        stream.posting = True
        await self._notes.put(KEY + stream.turn_id, stream.note())
        failpoint.hit("stream-noted")
        nonce = stream.nonce(index)
        reference = ids.referred(stream.answers, stream.place) if index == 0 else None
        place = stream.place
        message = await self._typing.before(
            stream.route, lambda: self._rest.post(place, draft, nonce=nonce, answers=reference)
        )
        failpoint.hit("stream-posted")
        stream.ids.append(message)
        stream.posting = False
        # Nothing takes the sign away but a message, and what grows there shows well enough that it goes on.
        await self._typing.end(stream.route)
        gone, stream.above = stream.above, []
        await self._take_away(stream, gone)
        await self._notes.put(KEY + stream.turn_id, stream.note())


def _differs(shown: Sequence[str], index: int, text: str) -> bool:
    return index >= len(shown) or shown[index] != text
