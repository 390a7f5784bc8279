"""Listening: what Slack delivers becomes events, in the order in which each channel heard it.

Slack is answered when an event is durable. One that takes longer than Slack waits, because of its files, is put down
in the notes first, and handed in again by the next service where this one does not live to.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from adapters.base import AGAIN, Event, Host, NotSaved, Receipt, SendFailed
from adapters.naming import title
from adapters.queues import Queues
from adapters.slack import context, ids, normalize, reading
from adapters.slack.asked import Asked, Asker
from adapters.slack.fetching import Fetcher
from adapters.slack.gaps import Gaps
from adapters.slack.groups import Groups
from adapters.slack.intakes import Body, NotTaken
from adapters.slack.interactions import Interactions
from adapters.slack.normalize import Me, Message, Place
from adapters.slack.once import Once
from adapters.slack.people import People
from adapters.slack.places import Places
from adapters.slack.shapes import is_for, is_told
from adapters.slack.timing import Timing
from adapters.slack.web import Web
from agent.protocol import failpoint
from agent.protocol.clock import Clock
from agent.protocol.messages import Route

PUT_DOWN: Final = f"{ids.NAME}:event:"
UNORDERED: Final = frozenset({"agent_session_stopped", "app_home_opened"})
CROWDED: Final = "too much waits"
UNSAVED: Final = "nothing can be saved now"

_log = logging.getLogger("roost.slack")


class Listening:
    """Implements adapters.slack.intakes.Heard. `stopped` is told which streams Slack has stopped, `revoked` that the
    app may be no more in its workspace, `titled` what a conversation that begins may be called, `asked_there` by which
    event somebody asks something."""

    def __init__(
        self,
        web: Web,
        asked: Asked,
        timing: Timing,
        groups: Groups,
        places: Places,
        *,
        agent_view: bool,
        stopped: Callable[[str, str, list[str]], Awaitable[None]],
        revoked: Callable[[], None],
        titled: Callable[[Route, str], None],
        asked_there: Callable[[Route, str], None],
        clock: Clock,
    ) -> None:
        self.gaps = Gaps(web, self._hand_in, timing, clock=clock)
        self.event_at = time.monotonic()
        """When Slack has last told of anything, on the steady clock."""
        self._web = web
        self._asked = asked
        self._timing = timing
        self._groups = groups
        self._places = places
        self._agent_view = agent_view
        self._stopped = stopped
        self._revoked = revoked
        self._titled = titled
        self._asked_there = asked_there
        self._clock = clock
        self._people = People(web)
        self._queues = Queues(ids.NAME)
        self._once = Once()
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self._put_down: dict[str, Body] = {}
        self._host: Host | None = None
        self._fetcher: Fetcher | None = None
        self._interactions: Interactions | None = None
        self._me: Me | None = None

    def use(self, host: Host, me: Me, fetcher: Fetcher, interactions: Interactions) -> None:
        """Who the bot is from now on, who is told of everything, and who fetches the files of it."""
        self._host, self._me, self._fetcher, self._interactions = host, me, fetcher, interactions

    async def close(self) -> None:
        """Ends what is being dealt with."""
        await self._queues.close()

    async def recall(self) -> None:
        """What an earlier service has put down. Raises NotSaved."""
        assert self._host is not None  # noqa: S101 - use has set it
        for key, text in (await self._host.notes.all(PUT_DOWN)).items():
            event_id = key.removeprefix(PUT_DOWN)
            try:
                body = json.loads(text)
            except ValueError:
                await self._host.notes.drop(key)
                continue
            self._put_down.setdefault(event_id, body)

    async def keep(self) -> None:
        """Hands in what was put down, now and from time to time, until cancelled."""
        while True:
            await self._again()
            await asyncio.sleep(self._timing.noted)

    async def _again(self) -> None:
        for event_id, body in list(self._put_down.items()):
            if event_id not in self._under_way:
                try:
                    await self._begin(event_id, body)
                except NotTaken as exc:
                    _log.warning("an event that was put down has to wait: %s", exc)

    # ---------------------------------------------------------------- called by the ways in

    async def on_event(self, body: Body) -> None:
        """Something has happened. Raises NotTaken."""
        self.event_at = time.monotonic()
        failpoint.hit("envelope-received")
        if self._me is None or not is_for(body, self._me.team):
            return
        event_id = str(body.get("event_id", ""))
        done = self._under_way.get(event_id) or self._begin_soon(event_id, body)
        if done is None:
            return
        try:
            async with asyncio.timeout(self._timing.acknowledge):
                await asyncio.shield(done)
        except TimeoutError:
            await self._set_down(event_id, body)

    async def on_command(self, body: Body) -> dict[str, Any] | None:
        """Somebody has given the slash command."""
        return None if self._interactions is None else await self._interactions.command(body)

    async def on_pressed(self, body: Body) -> None:
        """Somebody has pressed a button, or chosen from a menu."""
        if self._interactions is not None:
            await self._interactions.pressed(body)

    async def on_entered(self, body: Body) -> dict[str, Any] | None:
        """Somebody has filled in a form."""
        return None if self._interactions is None else await self._interactions.entered(body)

    async def on_typed(self, body: Body) -> list[dict[str, Any]]:
        """Somebody is typing into a field that offers something."""
        return [] if self._interactions is None else await self._interactions.typed(body)

    async def on_shortcut(self, body: Body) -> None:
        """Somebody has chosen something from the menu of a message."""
        if self._interactions is not None:
            await self._interactions.shortcut(body)

    # ---------------------------------------------------------------- one event at a time

    async def _begin(self, event_id: str, body: Body) -> None:
        done = self._begin_soon(event_id, body)
        if done is None:
            await self._take_up(event_id)

    def _begin_soon(self, event_id: str, body: Body) -> asyncio.Future[None] | None:
        """Puts it into its queue; None where there is nothing to do. Raises NotTaken."""
        told = body.get("event")
        if not isinstance(told, Mapping) or (work := self._work(event_id, told, body)) is None:
            return None
        if not is_told(told):
            _log.warning("an event of Slack's cannot be read, and is let be: %s", event_id)
            return None
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            try:
                await work()
            except NotTaken as exc:
                done.set_exception(exc)
            except Exception:
                # It would fail again each time that Slack delivers it.
                _log.exception("an event of Slack's could not be dealt with", extra={"event_id": event_id})
                done.set_result(None)
            else:
                done.set_result(None)
            finally:
                if not done.done():
                    done.cancel()
            failpoint.hit("event-dealt-with")
            if done.done() and not done.cancelled() and done.exception() is None:
                await self._take_up(event_id)

        if not self._queues.put(_place(told), run):
            self._once.forget(event_id)
            raise NotTaken(CROWDED)
        if event_id:
            self._under_way[event_id] = done
            done.add_done_callback(lambda _: self._under_way.pop(event_id, None))
        return done

    def _work(self, event_id: str, told: Message, body: Body) -> Callable[[], Awaitable[None]] | None:
        match told.get("type"):
            case "message" | "app_mention":
                return partial(self._message, told, str(body.get("team_id", "")))
            case "reaction_added" | "reaction_removed":
                return partial(self._reacted, told, event_id)
            case "subteam_created" | "subteam_updated" | "subteam_members_changed":
                self._groups.changed(told)
                return None
            case "channel_rename" | "group_rename" if self._host is not None:
                self._places.renamed(self._host, told)
                return None
            case "channel_deleted" | "group_deleted" if self._host is not None:
                self._places.deleted(self._host, told)
                return None
            case "channel_archive" | "channel_unarchive" | "group_archive" | "group_unarchive" if self._host:
                return partial(self._places.look, self._host, str(told.get("channel", "")))
            case "app_home_opened":
                return partial(self._opened, told)
            case "agent_session_stopped" if self._once.first(event_id):
                return partial(self._stop, told, event_id)
            case "app_uninstalled" | "tokens_revoked":
                _log.warning("Slack says that the app was uninstalled, or its token revoked")
                self._revoked()
                return None
            case _:
                return None

    async def _set_down(self, event_id: str, body: Body) -> None:
        """It takes longer than Slack waits: from here on it is ours to remember. Raises NotTaken."""
        if self._host is None or not event_id or event_id not in self._under_way:
            return
        self._put_down[event_id] = body
        try:
            await self._host.notes.put(PUT_DOWN + event_id, json.dumps(body))
        except NotSaved as exc:
            self._put_down.pop(event_id, None)
            raise NotTaken(UNSAVED) from exc
        failpoint.hit("event-put-down")
        if event_id not in self._under_way:
            await self._take_up(event_id)

    async def _take_up(self, event_id: str) -> None:
        """It was dealt with."""
        if self._put_down.pop(event_id, None) is None or self._host is None:
            return
        try:
            await self._host.notes.drop(PUT_DOWN + event_id)
        except NotSaved:
            _log.warning("an event that was dealt with stays noted, and is handed in again", exc_info=True)

    # ---------------------------------------------------------------- what comes in

    async def _message(self, told: Message, team: str) -> None:
        """Raises NotTaken."""
        channel, me = str(told.get("channel", "")), self._me
        if me is None or not ids.is_id(channel):
            return
        changed, before = told.get("message"), told.get("previous_message")
        match told.get("subtype"):
            case "message_changed" if isinstance(changed, Mapping):
                if changed.get("subtype") == "tombstone":
                    await self._deleted(channel, str(changed.get("ts", "")))
                elif not isinstance(before, Mapping) or before.get("text") != changed.get("text"):
                    await self._edited(changed, channel)
            case "message_deleted":
                if not (isinstance(before, Mapping) and normalize.is_mine(before, me)):
                    await self._deleted(channel, str(told.get("deleted_ts", "")))
            case _:
                await self._said(told, channel, team)

    async def _hand_in(self, message: Message, channel: str, heard: bool) -> Receipt | None:
        """A message that was read in a gap, and may have been `heard` before it. Raises NotTaken."""
        if not is_told(message):
            return None
        return await self._said(message, channel, str(message.get("team") or ""), heard=heard)

    async def _said(
        self, message: Message, channel: str, team: str, *, heard: bool = False
    ) -> Receipt | None:
        host, me, fetcher, interactions = self._host, self._me, self._fetcher, self._interactions
        if host is None or me is None or fetcher is None or interactions is None:
            return None
        if not normalize.is_spoken(message, me):
            return None
        place = self._place(message, channel)
        people = await self._people.of(normalize.named_in(message))
        message = await fetcher.known(message)
        event = self._grouped(normalize.event(message, channel, place, me, people, fetcher.fetch))
        if await interactions.spoken(event, place, normalize.words_of(message, me)):
            return None
        self._asked.note(event.id, Asker(event.sender.id, str(message.get("user_team") or team or me.team)))
        if place.opens or (event.mentions_bot and not place.direct):
            self._titled(place.route, title(event.text))
        receipt = await host.receive(self._with_thread(event, message, channel, me))
        match receipt.state:
            case "duplicate":
                # Who has accepted it may not have lived to keep where it was.
                await self.gaps.spoken(place.route)
                # It may have been edited in a gap, of which Slack tells nobody afterwards.
                await self._edited(message, channel)
            case "accepted":
                self._asked_there(place.route, event.id)
                await self.gaps.spoken(place.route)
            case "refused" if receipt.data == AGAIN:
                raise NotTaken(receipt.text or UNSAVED)
            case "refused" if receipt.text and not heard:
                # Nothing durable knows what was refused: whoever may have been told so is not told again.
                await self._refuse(event, place, receipt.text)
            case _:
                pass
        return receipt

    def _with_thread(self, event: Event, message: Message, channel: str, me: Me) -> Event:
        thread = normalize.thread_of(message)
        if thread is None:
            return event
        told = partial(context.before, self._web, self._people, me, channel, thread, str(message["ts"]))
        return replace(event, before=told)

    async def _refuse(self, event: Event, place: Place, text: str) -> None:
        """Best effort, and for their eyes alone: what was refused is with whoever wrote it."""
        if not self._once.first(f"refused:{event.id}"):
            # A message that names the bot comes twice, and nothing durable knows one that was refused.
            return
        try:
            await self._web.call(
                "chat.postEphemeral",
                channel=place.route.platform_id,
                user=event.sender.id,
                thread_ts=None if place.opens else place.route.thread_id,
                text=text,
            )
        except SendFailed as exc:
            _log.warning("nobody could be told that a message was refused: %s", exc)

    async def _edited(self, message: Message, channel: str) -> None:
        me = self._me
        if self._host is None or me is None or not normalize.is_spoken(message, me):
            return
        people = await self._people.of(normalize.named_in(message))
        event = normalize.edit(message, channel, self._place(message, channel), me, people)
        if event is not None:
            await self._received(self._grouped(event))

    async def _deleted(self, channel: str, ts: str) -> None:
        if ids.is_ts(ts):
            await self._received(normalize.deletion(channel, ts, self._clock()))

    async def _reacted(self, told: Message, event_id: str) -> None:
        if self._me is None:
            return
        people = await self._people.of([str(told.get("user") or "")])
        event = normalize.reaction(told, event_id, self._me, people)
        if event is None:
            return
        # In which thread its message stands Slack does not say.
        about = await reading.message(self._web, *event.about.split(":"))
        thread = normalize.thread_of(about) if about is not None else None
        event = self._grouped(replace(event, route=ids.route(event.route.platform_id, thread)))
        await self._received(event)

    async def _received(self, event: Event) -> None:
        """Raises NotTaken."""
        assert self._host is not None  # noqa: S101 - there is an event
        receipt = await self._host.receive(event)
        if receipt.state == "refused" and receipt.data == AGAIN:
            raise NotTaken(receipt.text or UNSAVED)

    async def _opened(self, told: Message) -> None:
        if self._interactions is None:
            return
        if told.get("tab") == "home":
            await self._interactions.home(str(told.get("user") or ""))
        else:
            await self._interactions.prompts(str(told.get("channel", "")))

    async def _stop(self, told: Message, event_id: str) -> None:
        """The stop button: Slack has stopped the streams itself, and nothing else. Its documentation,
        agent_session_stopped."""
        channel, thread = str(told.get("channel", "")), str(told.get("thread_ts") or "")
        user = str(told.get("user") or "")
        if self._interactions is None or not ids.is_id(channel) or not user:
            return
        streams = [str(each) for each in told.get("streaming_message_ts") or ()]
        await self._stopped(channel, thread, streams)
        await self._interactions.stop(channel, thread or None, user, event_id)

    # ---------------------------------------------------------------- small things

    def _grouped(self, event: Event) -> Event:
        """Its sender, with the groups that they are in."""
        return replace(event, sender=replace(event.sender, groups=self._groups.of(event.sender.id)))

    def _place(self, message: Message, channel: str) -> Place:
        assert self._host is not None  # noqa: S101 - somebody listens
        threads = self._host.manners(ids.route(channel)).threads
        thread = normalize.thread_of(message)
        return normalize.place_of(
            channel, str(message["ts"]), thread, threads=threads, agent_view=self._agent_view
        )


def _place(told: Message) -> str:
    """The channel of an event, whose events keep their order. A stop waits for nothing that was said before it."""
    item = told.get("item")
    channel = str(told.get("channel") or (item.get("channel") if isinstance(item, Mapping) else "") or "")
    return f"{told['type']}:{channel}" if told.get("type") in UNORDERED else channel
