"""The adapter itself: connects, has what comes heard, sends what it is given."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.base import (
    Absent,
    Host,
    Live,
    Manners,
    Open,
    Outgoing,
    Part,
    SendFailed,
    Settled,
    Update,
    Working,
)
from adapters.connecting import keep_connected
from adapters.slack import ids, intakes, render
from adapters.slack.asked import Asked
from adapters.slack.directs import Directs
from adapters.slack.draft import Draft
from adapters.slack.errors import ChannelGone
from adapters.slack.fetching import Fetcher
from adapters.slack.groups import Groups
from adapters.slack.interactions import Interactions
from adapters.slack.listening import Listening
from adapters.slack.normalize import Me
from adapters.slack.places import Places
from adapters.slack.posting import Posting
from adapters.slack.question import is_card
from adapters.slack.session import UNREACHABLE, is_lasting, outcome, sentence, who_am_i
from adapters.slack.sockets import Sockets
from adapters.slack.status import Status
from adapters.slack.streams import Streams
from adapters.slack.timing import Timing
from adapters.slack.watch import watch
from adapters.slack.web import Web
from agent.protocol.clock import Clock, now_ms
from agent.protocol.messages import Route

API_URL: Final = "https://slack.com/api/"
PATH: Final = "/slack/events"
DRAFTS_KEPT: Final = 256
DRAFTS_BYTES: Final = 128 * 1024 * 1024
"""Of all drafts that are kept; only those that were asked for last are kept whatever their size."""
OFFLINE: Final = "the bot is not connected to Slack"

_log = logging.getLogger("roost.slack")


@dataclass(frozen=True)
class Settings:
    """What the operator says of it. The secrets are asked for at each new connection, and raise NoSecret."""

    bot_token: Callable[[], str]
    app_token: Callable[[], str] | None = None
    """For Socket Mode."""
    signing_secret: Callable[[], str] | None = None
    """For HTTP."""
    mode: Literal["socket", "http"] = "socket"
    api_url: str = API_URL
    sockets: int = 2
    host: str = "127.0.0.1"
    port: int = 3000
    path: str = PATH
    agent_view: bool = True
    """Whether direct conversations are in the agent view, in which each question begins a thread."""
    prompts: Sequence[tuple[str, str]] = ()
    """What is suggested to whoever opens a conversation with the bot: a title, and what is said for them."""
    timing: Timing = field(default_factory=Timing)


class SlackAdapter:
    """Implements adapters.base.Adapter."""

    name = ids.NAME

    def __init__(self, settings: Settings, *, clock: Clock = now_ms) -> None:
        self._settings = settings
        timing = settings.timing
        self._clock = clock
        self._asked = Asked()
        self._web = Web()
        self._status = Status(self._web, self._asked, timing)
        self._streams = Streams(
            self._web, self._status, self._asked, timing, manners=self._manners, clock=clock
        )
        self._posting = Posting(self._web, self._streams, self._status, clock=clock)
        self._groups = Groups(self._web)
        self._places = Places(self._web)
        self._directs = Directs(self._web)
        self._listening = Listening(
            self._web,
            self._asked,
            timing,
            self._groups,
            self._places,
            agent_view=settings.agent_view,
            stopped=self._streams.stopped,
            revoked=self._revoke,
            titled=self._status.title,
            asked_there=self._status.heard,
            clock=clock,
        )
        self._drafts: OrderedDict[tuple[str, str], tuple[Outgoing, list[Draft]]] = OrderedDict()
        self._host: Host | None = None
        self._online = asyncio.Event()
        self._revoked = asyncio.Event()
        self._refused: set[str] = set()
        """Places for which there was something to send while nobody was logged in."""
        self._filling: set[asyncio.Task[None]] = set()

    # ---------------------------------------------------------------- adapters.base.Adapter

    async def run(self, host: Host) -> None:
        """Connects and hands in events until cancelled. What an operator can mend is told to the host, and tried
        again with patience: no answer of Slack's ends the service."""
        self._host = host
        async with AsyncExitStack() as stack:
            fetcher = Fetcher(self._web, self._settings.api_url, self._settings.timing)
            stack.push_async_callback(fetcher.close)
            stack.push_async_callback(self._close)
            timing = self._settings.timing
            await keep_connected(
                lambda: outcome(lambda: self._connect(host, fetcher)),
                lambda text: host.trouble(self.name, text),
                again=timing.again,
                longest=timing.longest,
                mended=timing.mended,
            )

    def render(self, outgoing: Outgoing) -> list[Part]:
        """See Adapter."""
        return render.parts(outgoing, self._drafts_of(outgoing))

    async def send(self, part: Part) -> str | None:
        """See Adapter. Raises SendFailed."""
        place = part.outgoing.route.platform_id
        try:
            async with asyncio.timeout(self._settings.timing.online):
                await self._online.wait()
        except TimeoutError as exc:
            self._refused.add(place)
            raise Absent(OFFLINE) from exc
        try:
            drafts = self._drafts_of(part.outgoing)
            draft, *more = drafts[part.index :]
            last = draft.file is None and all(each.file is not None for each in more)
            there = await self._directs.resolved(part)
            sent = await self._posting.send(there, draft, last=last)
            await self._streams.later(there.outgoing)
        except SendFailed as exc:
            if isinstance(exc, ChannelGone):
                self._directs.forget(part.outgoing.route)
            if not self._web.is_denied and not isinstance(exc, Absent):
                raise
            # It costs no try, and goes out as soon as there is a way again.
            self._refused.add(place)
            raise Absent(str(exc)) from exc
        if part.index == len(drafts) - 1:
            self._drafts.pop((part.outgoing.session, part.outgoing.id), None)
            await self._over(part.outgoing)
        return sent

    async def show(self, update: Update) -> None:
        """See Adapter."""
        if not self._online.is_set():
            return
        match update:
            case Live():
                # Whoever writes waits for nobody any more.
                self._status.resume(update.route)
                if self._manners(update.route).streaming:
                    self._streams.show(update)
            case Working(on=True):
                self._status.begin(update.route)
            case Working():
                await self._status.end(update.route)
            case Settled(turn_id=str(turn_id)):
                await self._streams.end(turn_id)
            case Settled() | Open():
                pass

    # ---------------------------------------------------------------- adapters.slack.sockets.Counted

    def on_open(self) -> None:
        """A connection is there."""
        is_first = self._listening.gaps.opened()
        if self._host is None:
            return
        self._host.trouble(self.name, None)
        if is_first:
            self._groups.look_again()
            self._offer(self._host)
            task = asyncio.create_task(self._listening.gaps.fill(), name="slack gap")
            self._filling.add(task)
            task.add_done_callback(self._filled)

    def on_closed(self, quiet_seconds: float) -> None:
        """A connection is gone, which had been quiet for so long."""
        self._listening.gaps.closed(quiet_seconds)

    def on_refused(self, reason: SendFailed) -> None:
        """None can be had now."""
        if self._host is not None:
            text = sentence(reason) if is_lasting(reason) else UNREACHABLE.format(reason=reason)
            self._host.trouble(self.name, text)

    # ---------------------------------------------------------------- the connection

    async def _connect(self, host: Host, fetcher: Fetcher) -> None:
        """One login, and what belongs to it, until it ends. Raises SendFailed, NoSecret, NotSaved, NoPort."""
        settings, timing = self._settings, self._settings.timing
        token = settings.bot_token()
        self._revoked.clear()
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
            )
            client = AsyncWebClient(
                token,
                settings.api_url,
                timeout=int(timing.call),
                session=session,
                retry_handlers=[],
            )
            self._web.use(client)
            stack.callback(self._web.use, None)
            fetcher.use(token)
            me = await who_am_i(self._web)
            await self._streams.recall(host.notes)
            await self._status.recall(host.notes)
            await self._listening.gaps.recall(host.notes)
            await self._groups.begin()
            stack.push_async_callback(self._use(host, me, fetcher).close)
            await self._listening.recall()
            self._online.set()
            stack.callback(self._online.clear)
            self._offer(host)
            stack.push_async_callback(self._listening.gaps.note)
            await _first_to_end(
                *self._ways_in(client, me),
                self._listening.keep(),
                self._listening.gaps.keep(),
                self._groups.keep(),
                self._places.keep(host),
                self._web.until_denied(),
                self._until_revoked(),
            )

    def _use(self, host: Host, me: Me, fetcher: Fetcher) -> Interactions:
        settings = self._settings
        interactions = Interactions(
            self._web,
            host,
            self._asked,
            settings.timing,
            self._groups,
            fetcher.fetch,
            me,
            agent_view=settings.agent_view,
            resumed=self._status.resume,
            prompts=settings.prompts,
            clock=self._clock,
        )
        self._listening.use(host, me, fetcher, interactions)
        return interactions

    def _ways_in(self, client: AsyncWebClient, me: Me) -> Sequence[Coroutine[Any, Any, None]]:
        """Raises NoSecret."""
        settings = self._settings
        if settings.mode == "http":
            assert settings.signing_secret is not None  # noqa: S101 - the configuration asks for it
            secret = settings.signing_secret()
            app = intakes.build(client, me, self._listening, signing_secret=secret)
            return [self._serve(intakes.by_http(app, settings.path, signing_secret=secret))]
        assert settings.app_token is not None  # noqa: S101 - likewise
        app = intakes.build(client, me, self._listening)
        sockets = Sockets(
            settings.sockets, settings.app_token, client, intakes.by_socket(app), self, settings.timing
        )
        gaps, listening = self._listening.gaps, self._listening
        looking = watch(gaps, lambda: listening.event_at, sockets.replace, settings.timing, clock=self._clock)
        return [sockets.run(), looking]

    async def _serve(self, server: aiohttp.web.Application) -> None:
        """Raises NoPort."""

        async def forever() -> None:
            self.on_open()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.on_closed(0.0)

        await intakes.serve(server, self._settings.host, self._settings.port, forever)

    async def _until_revoked(self) -> None:
        await self._revoked.wait()

    def _revoke(self) -> None:
        """The next login says what is the matter."""
        self._revoked.set()

    def _offer(self, host: Host) -> None:
        """What could not be sent may be tried again."""
        refused, self._refused = self._refused, set()
        for place in refused:
            host.present(self.name, place)

    def _filled(self, task: asyncio.Task[None]) -> None:
        self._filling.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("what was missed could not be read", exc_info=error)

    async def _close(self) -> None:
        for task in list(self._filling):
            task.cancel()
        await asyncio.gather(*self._filling, return_exceptions=True)
        await self._listening.close()
        await self._status.close()
        await self._streams.close()

    # ---------------------------------------------------------------- small things

    async def _over(self, out: Outgoing) -> None:
        """All of a reply is out. Whoever is asked something is waited for; that nothing runs any more is for the
        service to say, which may have begun another turn."""
        if out.question is not None and not is_card(out.question.id):
            await self._status.suspend(out.route)

    def _drafts_of(self, outgoing: Outgoing) -> list[Draft]:
        """Cut once for all parts of a reply. Raises SendFailed."""
        key = (outgoing.session, outgoing.id)
        kept = self._drafts.get(key)
        if kept is not None and kept[0] == outgoing:
            return kept[1]
        manners = self._manners(outgoing.route)
        drafts = render.drafts(outgoing, people=manners.mentions, previews=manners.previews)
        self._drafts[key] = (outgoing, drafts)
        self._drafts.move_to_end(key)
        kept_bytes = sum(_bytes(each) for _, each in self._drafts.values())
        while len(self._drafts) > 1 and (len(self._drafts) > DRAFTS_KEPT or kept_bytes > DRAFTS_BYTES):
            kept_bytes -= _bytes(self._drafts.popitem(last=False)[1][1])
        return drafts

    def _manners(self, route: Route) -> Manners:
        return Manners() if self._host is None else self._host.manners(route)


def _bytes(drafts: Sequence[Draft]) -> int:
    """About how much memory they take."""
    return sum(
        2 * len(each.text) + len(each.markdown) + (len(each.file.data) if each.file is not None else 0)
        for each in drafts
    )


async def _first_to_end(*works: Coroutine[Any, Any, None]) -> None:
    """Until the first of them ends; the others end with it. Raises what it has raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
