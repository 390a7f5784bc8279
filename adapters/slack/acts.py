"""Acts: what somebody does on Slack otherwise than by a message, read, handed in as an event, and seen through.

Who it is and where comes from the surface, never from anything that was entered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.base import Event, EventKind, Host, Receipt, Sender, SendFailed
from adapters.slack import ids
from adapters.slack.asked import Asked, Asker
from adapters.slack.groups import Groups
from adapters.slack.normalize import Me, Message, thread_of
from adapters.slack.people import UNKNOWN, People
from adapters.slack.question import is_card
from adapters.slack.replying import Replying, Spot
from adapters.slack.timing import Timing
from adapters.slack.web import Web
from agent.protocol.clock import Clock
from agent.protocol.messages import Route

Body = Mapping[str, Any]
NOT_READ: Final = "This could not be read; please reload Slack and try again."
BROKEN: Final = "That went wrong; an admin finds the reason in the log."

_log = logging.getLogger("roost.slack")


@dataclass(frozen=True)
class Act:
    """One act: its event's id, who did it from which workspace, and where. `message` is the ts of the message that it
    was done to, and `thread` that of the thread in which it was."""

    id: str
    user: str
    team: str
    channel: str = ""
    message: str = ""
    thread: str | None = None
    response_url: str = ""
    trigger: str = ""

    @property
    def spot(self) -> Spot:
        """Where its person is told what came of it."""
        return Spot(self.channel, self.user, self.thread, self.response_url)

    @property
    def route(self) -> Route:
        """Where it was done."""
        return ids.route(self.channel, self.thread)


def of_command(body: Body) -> Act:
    """A slash command. Raises ValueError."""
    trigger = str(body.get("trigger_id") or "")
    return Act(
        f"{ids.NAME}:interaction:{trigger or body.get('response_url', '')}",
        _id(body.get("user_id")),
        str(body.get("team_id") or ""),
        _id(body.get("channel_id")),
        response_url=str(body.get("response_url") or ""),
        trigger=trigger,
    )


def of_interaction(body: Body) -> Act:
    """Something that was pressed or chosen at a message. Raises ValueError."""
    message, container = _table(body, "message"), _table(body, "container")
    ts = str(message.get("ts") or container.get("message_ts") or body.get("message_ts") or "")
    thread = thread_of({"thread_ts": container.get("thread_ts"), **message, "ts": ts})
    channel = _table(body, "channel").get("id") or container.get("channel_id")
    if not ids.is_ts(ts):
        raise ValueError("it was done to no message")
    return _by(body, channel=_id(channel), message=ts, thread=thread)


def of_home(body: Body) -> Act:
    """Something that was pressed in the Home tab, which is no place but its person's. Raises ValueError."""
    return _by(body, channel=_id(_table(body, "user").get("id")))


def of_suggestion(body: Body, channel: str, thread: str | None, *, at: int) -> Act:
    """Something that is being typed into a form which was opened there, at a time in epoch milliseconds. Raises
    ValueError."""
    act = _by(body, channel=channel, thread=thread)
    return replace(act, id=f"{ids.NAME}:interaction:typing:{act.user}:{at}")


def of_form(body: Body, where: tuple[str, str, str | None]) -> Act:
    """A form that was filled in, about a message where one is named. Raises ValueError."""
    channel, message, thread = where
    return _by(body, channel=channel, message=message, thread=thread)


def noted(act: Act) -> str:
    """What a form is about, for its private metadata."""
    return ":".join(filter(None, (act.channel, act.message, act.thread)))


def read_note(note: str) -> tuple[str, str, str | None]:
    """The channel, the message and the thread that a form is about. Raises ValueError."""
    channel, _, rest = note.partition(":")
    ts, _, thread = rest.partition(":")
    if ids.is_id(channel) and ids.is_ts(ts) and (not thread or ids.is_ts(thread)):
        return channel, ts, thread or None
    raise ValueError("a form about no message was filled in")


class Acts:
    """Hands acts in, and sees through what takes longer than Slack waits."""

    def __init__(
        self,
        web: Web,
        host: Host,
        asked: Asked,
        timing: Timing,
        groups: Groups,
        me: Me,
        *,
        agent_view: bool,
        resumed: Callable[[Route], None],
        clock: Clock,
    ) -> None:
        self.web = web
        self.host = host
        self.replying = Replying(web, timing)
        self.people = People(web)
        self.groups = groups
        self.me = me
        self.agent_view = agent_view
        self.clock = clock
        self._resumed = resumed
        self._asked = asked
        self._timing = timing
        self._tasks: set[asyncio.Task[Any]] = set()

    async def receive(self, act: Act, kind: EventKind, *, route: Route | None = None, **more: Any) -> Receipt:
        """Hands it in as an event of its person's."""
        direct = bool(more.pop("direct", ids.is_direct(act.channel)))
        known = (await self.people.of([act.user])).get(act.user, UNKNOWN)
        event = Event(
            id=act.id,
            kind=kind,
            route=route or act.route,
            sender=Sender(act.user, known.name, is_bot=known.is_bot, groups=self.groups.of(act.user)),
            direct=direct,
            created_at=self.clock(),
            **more,
        )
        self._asked.note(event.id, Asker(act.user, act.team or self.me.team))
        receipt = await self.host.receive(event)
        if kind == "answer" and receipt.state == "accepted" and not is_card(event.question_id):
            self._resumed(event.route)
        return receipt

    async def within(self, act: Act, work: Coroutine[Any, Any, None]) -> None:
        """Returns when the work is done, or when Slack has to be answered: then it goes on by itself. Whatever goes
        wrong with it is told to its person."""
        await asyncio.wait({self.go_on(act, work)}, timeout=self._timing.defer)

    def go_on(self, act: Act, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """The same, without waiting."""
        return self.keep(self._guarded(act, work))

    def keep(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs something that does not raise, until it ends or `close`."""
        task = asyncio.create_task(work, name="slack interaction")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def in_time(self, task: asyncio.Task[Any]) -> bool:
        """Whether it is done before Slack has to be answered."""
        done, _ = await asyncio.wait({task}, timeout=self._timing.defer)
        return bool(done)

    async def close(self) -> None:
        """Ends what still goes on."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def message(self, act: Act) -> Message | None:
        """The message that something was done to, as it is now; None where it is not to be had."""
        method = "conversations.history" if act.thread is None else "conversations.replies"
        try:
            told = await self.web.call(
                method,
                channel=act.channel,
                oldest=act.message,
                latest=act.message,
                inclusive=True,
                limit=2,
                ts=act.thread,
            )
        except SendFailed as exc:
            _log.info("a message that somebody points at cannot be read: %s", exc)
            return None
        found = [each for each in told.get("messages") or () if isinstance(each, Mapping)]
        return next((each for each in found if each.get("ts") == act.message), None)

    async def _guarded(self, act: Act, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ValueError as exc:
            _log.warning("an interaction could not be read: %s", exc)
            await self.replying.tell(act.spot, NOT_READ)
        except SendFailed as exc:
            _log.warning("an interaction could not be answered: %s", exc)
        except Exception:
            _log.exception("an interaction could not be dealt with", extra={"event_id": act.id})
            await self.replying.tell(act.spot, BROKEN)


def _by(body: Body, **where: Any) -> Act:
    user = _table(body, "user")
    trigger = str(body.get("trigger_id") or "")
    return Act(
        f"{ids.NAME}:interaction:{trigger or body.get('action_ts') or body.get('response_url', '')}",
        _id(user.get("id")),
        str(user.get("team_id") or _table(body, "team").get("id") or ""),
        response_url=str(body.get("response_url") or ""),
        trigger=trigger,
        **where,
    )


def _table(body: Body, name: str) -> Mapping[str, Any]:
    value = body.get(name)
    return value if isinstance(value, Mapping) else {}


def _id(value: object) -> str:
    """Raises ValueError."""
    if isinstance(value, str) and ids.is_id(value):
        return value
    raise ValueError(f"{value!r} is no id")
