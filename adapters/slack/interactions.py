"""Interactions: commands, buttons, menus and forms become events, and are answered where only their person sees it.

Who did it is what Slack says with it, and never what stands in a text. What Slack delivers twice is done once.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

from adapters.base import OVER, Answered, Event, Host, Question, Receipt, Sender, SendFailed
from adapters.slack import commands, home, ids, normalize, reading
from adapters.slack.asked import Asked, Asker
from adapters.slack.draft import Draft
from adapters.slack.fetching import Fetcher
from adapters.slack.normalize import Me, Place
from adapters.slack.once import Once
from adapters.slack.people import People
from adapters.slack.question import (
    FORM_FIELD,
    Pressed,
    answered,
    entered,
    form,
    parse_action_id,
    text_form,
)
from adapters.slack.replying import NOT_FOR_YOU, Person, Replying, answer_of, payload
from adapters.slack.stream import body as arguments
from adapters.slack.timing import Timing
from adapters.slack.web import Web
from agent.protocol.clock import Clock
from agent.protocol.messages import Route

ASK: Final = "ask_roost"
"""The callback id of "Ask Roost", in the menu of a message and of its form."""
NOT_READ: Final = "This could not be read; please try again."
NOT_THERE: Final = "I may not read that message; invite me to the channel first: /invite"
BROKEN: Final = "That went wrong; an admin finds the reason in the log."
TOO_LATE: Final = "Slack has closed the form before it could open; please press again."
ASKED: Final = "I answer in the thread of that message."
WHAT: Final = "What do you want to know about it?"
PROMPTS_TITLE: Final = "How can I help?"
NOTHING_TO_STOP: Final = "Nothing runs here that could be stopped."

Body = Mapping[str, Any]
_log = logging.getLogger("roost.slack")


class Interactions:
    """Of one login, as `me`. `prompts` are suggested in a conversation that has just been opened."""

    def __init__(
        self,
        web: Web,
        host: Host,
        people: People,
        asked: Asked,
        once: Once,
        replying: Replying,
        fetcher: Fetcher,
        me: Me,
        timing: Timing,
        *,
        prompts: Sequence[tuple[str, str]],
        clock: Clock,
    ) -> None:
        self._web = web
        self._host = host
        self._people = people
        self._asked = asked
        self._once = once
        self._replying = replying
        self._fetcher = fetcher
        self._me = me
        self._timing = timing
        self._prompts = prompts
        self._clock = clock
        self._tasks: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Ends what is being dealt with."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---------------------------------------------------------------- commands

    async def command(self, body: Body) -> dict[str, Any] | None:
        """The slash command. Returns what Slack shows with the acknowledgement."""
        key, channel, user = _text(body, "trigger_id"), _text(body, "channel_id"), _text(body, "user_id")
        if not self._once.first(f"command:{key}"):
            return None
        given = commands.parse(_text(body, "text"), self._host.commands())
        if isinstance(given, commands.Wrong):
            return payload(given.sentence)
        who = Person(user, channel, url=_text(body, "response_url"))
        event = await self._command_event(f"{ids.NAME}:interaction:{key}", ids.route(channel), user, given)
        work = self._begin(self._host.receive(event))
        receipt = await self._replying.in_time(work)
        if receipt is None:
            self._begin(self._tell_later(who, work))
            return None
        first, *more = answer_of(receipt)
        if more:
            self._begin(self._replying.tell(who, more))
        return payload(first)

    async def spoken(self, event: Event, place: Place) -> bool:
        """Whether a message is a command: by its mark, or said to the bot by name. Then it was dealt with."""
        infos = self._host.commands()
        given = commands.marked(event.text, infos)
        if given is None and (event.mentions_bot or place.direct):
            given = commands.addressed(event.text, infos)
        if given is None:
            return False
        if not self._once.first(event.id):
            return True
        thread = None if place.opens else place.route.thread_id
        who = Person(event.sender.id, place.route.platform_id, thread)
        if isinstance(given, commands.Wrong):
            self._begin(self._replying.tell(who, [given.sentence]))
            return True
        made = Event(
            id=event.id,
            kind="command",
            route=ids.route(place.route.platform_id, thread),
            sender=event.sender,
            created_at=event.created_at,
            command=given.name,
            arguments=dict(given.arguments),
        )
        self._begin(self._tell_later(who, self._begin(self._host.receive(made))))
        return True

    async def stop(self, channel: str, thread: str | None, user: str, event_id: str) -> None:
        """The stop button that Slack shows while an agent works."""
        given = commands.Command("stop")
        event = await self._command_event(
            f"{ids.NAME}:event:{event_id}", ids.route(channel, thread), user, given
        )
        receipt = await self._host.receive(event)
        stopped = isinstance(receipt.data, Mapping) and receipt.data.get("stopped")
        if receipt.state == "accepted" and stopped:
            return
        text = NOTHING_TO_STOP if receipt.state == "accepted" else receipt.text or NOT_FOR_YOU
        await self._replying.tell(Person(user, channel, thread), [text])

    async def _tell_later(self, who: Person, work: asyncio.Task[Receipt]) -> None:
        await self._replying.tell(who, answer_of(await work))

    async def _command_event(self, key: str, route: Route, user: str, given: commands.Command) -> Event:
        return Event(
            id=key,
            kind="command",
            route=route,
            sender=await self._sender(user),
            created_at=self._clock(),
            command=given.name,
            arguments=dict(given.arguments),
        )

    # ---------------------------------------------------------------- questions

    async def pressed(self, body: Body) -> None:
        """A button, or an option of a menu."""
        actions = body.get("actions") or ()
        action = actions[0] if actions and isinstance(actions[0], Mapping) else {}
        pressed = parse_action_id(_text(action, "action_id"))
        message = body.get("message")
        if pressed is None or not isinstance(message, Mapping):
            _log.info("something was pressed that is none of ours")
            return
        if pressed.kind == "form":
            await self._open_form(body, pressed, message)
            return
        if self._once.first(f"action:{_text(body, 'trigger_id')}"):
            self._begin(self._choose(body, action, pressed, message))

    async def _open_form(self, body: Body, pressed: Pressed, message: Body) -> None:
        channel = _text(body.get("channel") or {}, "id")
        about = json.dumps(
            {"channel": channel, "ts": _text(message, "ts"), "thread": _text(message, "thread_ts")}
        )
        asked = Question(pressed.question_id, "Answer", "", ())
        await self._open(body, form(asked, private_metadata=about))

    async def _choose(self, body: Body, action: Body, pressed: Pressed, message: Body) -> None:
        try:
            index = pressed.index if pressed.kind == "option" else _chosen(action)
        except ValueError as exc:
            _log.warning("what was chosen could not be read: %s", exc)
            return
        channel, user = _text(body.get("channel") or {}, "id"), _text(body.get("user") or {}, "id")
        thread = _text(message, "thread_ts") or None
        who = Person(user, channel, thread, _text(body, "response_url"))
        label = _label(action)
        receipt = await self._answer(body, who, pressed.question_id, text=label, choice=index)
        if receipt.state not in ("accepted", "duplicate"):
            await self._replying.tell(who, [receipt.text or NOT_FOR_YOU])
        await self._close_question(receipt, channel, message, label, user)

    async def _answer(self, body: Body, who: Person, question: str, **more: Any) -> Receipt:
        key = _text(body, "trigger_id") or _text(body.get("view") or {}, "id")
        event = Event(
            id=f"{ids.NAME}:interaction:{key}",
            kind="answer",
            route=ids.route(who.channel, who.thread),
            sender=await self._sender(who.user),
            created_at=self._clock(),
            question_id=question,
            **more,
        )
        return await self._host.receive(event)

    async def _close_question(
        self, receipt: Receipt, channel: str, message: Body, answer: str, user: str
    ) -> None:
        """A question that is over has nothing to press, whoever was killed before that was shown."""
        blocks, text = message.get("blocks") or (), _text(message, "text")
        draft: Draft | None = None
        if receipt.state in ("accepted", "duplicate"):
            draft = answered(blocks, text, answer, by=_mention(user))
        elif isinstance(receipt.data, Answered):
            draft = answered(blocks, text, receipt.data.text, by=_mention(receipt.data.by))
        elif receipt.data == OVER:
            draft = answered(blocks, text, None)
        if draft is None:
            return
        try:
            await self._web.call("chat.update", channel=channel, ts=_text(message, "ts"), **arguments(draft))
        except SendFailed as exc:
            _log.warning("it cannot be shown that a question is answered: %s", exc)

    # ---------------------------------------------------------------- forms

    async def entered(self, body: Body) -> dict[str, Any] | None:
        """A form was sent off. Returns what is wrong with it, for Slack to show."""
        view = body.get("view") or {}
        text, about = entered(view), _about(view)
        if not text.strip() or about is None:
            return _wrong(NOT_READ)
        if not self._once.first(f"view:{_text(view, 'id')}:{_text(view, 'hash')}"):
            return None
        callback = _text(view, "callback_id")
        pressed = parse_action_id(callback)
        if callback == ASK:
            work = self._begin(self._ask(body, about, text))
        elif pressed is not None and pressed.kind == "form":
            work = self._begin(self._fill(body, about, pressed, text))
        else:
            return _wrong(NOT_READ)
        done, _ = await asyncio.wait({work}, timeout=self._timing.defer)
        return _wrong(work.result()) if done and work.result() else None

    async def _fill(self, body: Body, about: Mapping[str, str], pressed: Pressed, text: str) -> str:
        """Answers a question in words. Returns what is wrong."""
        user = _text(body.get("user") or {}, "id")
        who = Person(user, about["channel"], about["thread"] or None)
        receipt = await self._answer(body, who, pressed.question_id, text=text)
        message = await reading.message(self._web, about["channel"], about["ts"], about["thread"] or None)
        if message is not None:
            await self._close_question(receipt, about["channel"], message, text, user)
        return "" if receipt.state in ("accepted", "duplicate") else receipt.text or NOT_FOR_YOU

    async def shortcut(self, body: Body) -> None:
        """ "Ask Roost", in the menu of a message."""
        message = body.get("message")
        if _text(body, "callback_id") != ASK or not isinstance(message, Mapping):
            return
        about = json.dumps(
            {
                "channel": _text(body.get("channel") or {}, "id"),
                "ts": _text(message, "ts"),
                "thread": _text(message, "thread_ts"),
            }
        )
        await self._open(body, text_form(ASK, title="Ask Roost", label=WHAT, private_metadata=about))

    async def _ask(self, body: Body, about: Mapping[str, str], text: str) -> str:
        """Asks about a message. Returns what is wrong."""
        message = await reading.message(self._web, about["channel"], about["ts"], about["thread"] or None)
        if message is None:
            return NOT_THERE
        user = _text(body.get("user") or {}, "id")
        people = await self._people.of([user, *normalize.named_in(message)])
        said = normalize.said(message, self._me, people)
        event = Event(
            id=f"{ids.NAME}:interaction:{_text(body.get('view') or {}, 'id')}",
            kind="message",
            route=ids.route(about["channel"], about["thread"] or about["ts"]),
            sender=await self._sender(user),
            created_at=self._clock(),
            text=text,
            direct=ids.is_direct(about["channel"]),
            mentions_bot=True,
            reply_to=(said.name, said.text),
            remote=normalize.files_of(await self._fetcher.known(message), self._fetcher.fetch),
        )
        self._asked.note(event.id, Asker(user, _text(body.get("user") or {}, "team_id") or self._me.team))
        receipt = await self._host.receive(event)
        if receipt.state != "accepted":
            return receipt.text or NOT_FOR_YOU
        who = Person(user, about["channel"], about["thread"] or None)
        self._begin(self._replying.tell(who, [ASKED]))
        return ""

    async def _open(self, body: Body, view: Mapping[str, Any]) -> None:
        try:
            await self._web.call("views.open", trigger_id=_text(body, "trigger_id"), view=view)
        except SendFailed as exc:
            _log.warning("a form could not be opened: %s", exc)
            user, channel = body.get("user") or {}, body.get("channel") or {}
            who = Person(_text(user, "id"), _text(channel, "id"), url=_text(body, "response_url"))
            self._begin(self._replying.tell(who, [TOO_LATE]))

    # ---------------------------------------------------------------- what is opened

    async def home(self, user: str, channel: str) -> None:
        """The Home tab of somebody."""
        if not ids.is_id(user) or not ids.is_id(channel):
            return
        given = commands.Command("conversations")
        event = await self._command_event(f"{ids.NAME}:home:{user}", ids.route(channel), user, given)
        receipt = await self._host.receive(event)
        found = receipt.data if isinstance(receipt.data, Sequence) else []
        shown = home.view(found if receipt.state == "accepted" else None, workspace=self._me.url)
        try:
            await self._web.call("views.publish", user_id=user, view=shown)
        except SendFailed as exc:
            _log.warning("a Home tab cannot be shown: %s", exc)

    async def prompts(self, channel: str) -> None:
        """What is suggested at the top of a conversation with the bot."""
        if not self._prompts or not ids.is_id(channel):
            return
        prompts = [{"title": title, "message": message} for title, message in self._prompts]
        try:
            await self._web.call(
                "assistant.threads.setSuggestedPrompts",
                channel_id=channel,
                title=PROMPTS_TITLE,
                prompts=prompts,
            )
        except SendFailed as exc:
            _log.info("nothing can be suggested in a conversation: %s", exc)

    # ---------------------------------------------------------------- small things

    async def _sender(self, user: str) -> Sender:
        return normalize.person(user, await self._people.of([user]))

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name="slack interaction")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("an interaction could not be dealt with", exc_info=error)


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _wrong(text: str) -> dict[str, Any]:
    return {"response_action": "errors", "errors": {FORM_FIELD: text}}


def _chosen(action: Body) -> int:
    """The option of a menu. Raises ValueError."""
    value = _text(action.get("selected_option") or {}, "value")
    if not value.isdecimal() or len(value) > 3:
        raise ValueError("nothing was chosen")
    return int(value)


def _label(action: Body) -> str:
    """What stands on what was pressed."""
    shown = (action.get("selected_option") or action).get("text") or {}
    return _text(shown, "text") or "?"


def _mention(user: str) -> str:
    return f"<@{user}>" if ids.is_id(user) else ""


def _about(view: Body) -> Mapping[str, str] | None:
    """Which message a form is about: Slack gives back what the form was opened with."""
    try:
        told = json.loads(_text(view, "private_metadata") or "{}")
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    channel, ts, thread = (_text(told, each) for each in ("channel", "ts", "thread"))
    known = ids.part_of(f"{channel}:{ts}") is not None and (not thread or ids.is_ts(thread))
    return {"channel": channel, "ts": ts, "thread": thread} if known else None
