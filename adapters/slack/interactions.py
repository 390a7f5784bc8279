"""Interactions: commands, buttons, menus and forms become events, and are answered where only their person sees it.

Slack waits three seconds for each (its documentation, Handling user interaction): what takes longer goes on by itself.
None of these raises.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from adapters.base import Event, Host, NotSaved, Receipt
from adapters.slack import commands, forms, ids, normalize
from adapters.slack.acts import (
    BROKEN,
    NOT_READ,
    Act,
    Acts,
    Body,
    of_command,
    of_form,
    of_home,
    of_interaction,
    read_note,
)
from adapters.slack.answering import NOT_OPENED, Answering
from adapters.slack.asked import Asked
from adapters.slack.asking import CALLBACK, Asking, asking, is_asked
from adapters.slack.commands import Given, Several, Told, Unfinished
from adapters.slack.filling import Filling
from adapters.slack.groups import Groups
from adapters.slack.heeded import Heeded
from adapters.slack.normalize import Me, Place
from adapters.slack.once import Once
from adapters.slack.question import entered, parse_action_id
from adapters.slack.replying import NOT_FOR_YOU, Page, ephemeral, laid_out, said
from adapters.slack.tabs import Tabs
from adapters.slack.timing import Timing
from adapters.slack.web import Web
from agent.protocol.clock import Clock, now_ms
from agent.protocol.messages import Route

COMMANDS_KEPT: Final = 1_000
"""Whose answers are remembered, for Slack to be told once more where it delivers them again."""
NOTHING_RUNS: Final = "Nothing is running here."
UNSAVED: Final = "Roost cannot save anything now, so the command was not run; try again in a minute."

_log = logging.getLogger("roost.slack")


class Interactions:
    """`fetch` gets what is attached to a message; `prompts` are suggested to whoever opens a conversation; `resumed` is
    told where a question was answered."""

    def __init__(
        self,
        web: Web,
        host: Host,
        asked: Asked,
        timing: Timing,
        groups: Groups,
        fetch: normalize.Fetch,
        me: Me,
        *,
        agent_view: bool,
        resumed: Callable[[Route], None],
        prompts: Sequence[tuple[str, str]] = (),
        clock: Clock = now_ms,
    ) -> None:
        self._host = host
        self._clock = clock
        self._acts = Acts(
            web, host, asked, timing, groups, me, agent_view=agent_view, resumed=resumed, clock=clock
        )
        self._answering = Answering(self._acts)
        self._asking = Asking(self._acts, fetch)
        self._filling = Filling(self._acts)
        self._tabs = Tabs(self._acts, prompts)
        self._heeded = Heeded(host.notes)
        self._once = Once()
        self._running: OrderedDict[str, asyncio.Task[list[Page]]] = OrderedDict()

    async def close(self) -> None:
        """Ends what still goes on."""
        await self._acts.close()

    # ---------------------------------------------------------------- commands

    async def command(self, body: Body) -> dict[str, Any] | None:
        """A slash command: what Slack is to show its person, where that is known in time."""
        try:
            act = of_command(body)
        except ValueError as exc:
            _log.warning("a command could not be read: %s", exc)
            return ephemeral({"text": NOT_READ})
        task = self._running.get(act.id)
        is_first = task is None
        if task is None:
            task = self._running[act.id] = self._acts.keep(self._run(act, str(body.get("text") or "")))
            while len(self._running) > COMMANDS_KEPT:
                self._running.popitem(last=False)
        if await self._acts.in_time(task) and not task.cancelled() and len(task.result()) <= 1:
            return ephemeral(task.result()[0]) if task.result() else None
        if is_first:
            self._acts.go_on(act, self._later(act, task))
        return None

    async def _run(self, act: Act, text: str) -> list[Page]:
        """What the person is told, in pages: in none where a form was opened."""
        try:
            found = commands.parse(text, self._host.commands())
            if isinstance(found, Told):
                return laid_out(found.text)
            if isinstance(found, Unfinished | Several):
                await self._form(act, found)
                return []
            receipt = await self._given(act, found)
            return self._filling.instead(found, receipt) or laid_out(said(receipt), receipt.ask)
        except Exception:
            _log.exception("a command could not be dealt with", extra={"event_id": act.id})
            return laid_out(BROKEN)

    async def _form(self, act: Act, meant: Unfinished | Several) -> None:
        if isinstance(meant, Several):
            await self._filling.choose(act, meant)
        else:
            await self._filling.open(act, meant)

    async def _later(self, act: Act, task: asyncio.Task[list[Page]]) -> None:
        if pages := await task:
            await self._acts.replying.tell(act.spot, "", pages=pages)

    async def _given(self, act: Act, given: Given) -> Receipt:
        return await self._acts.receive(act, "command", command=given.name, arguments=dict(given.arguments))

    async def spoken(self, event: Event, place: Place, text: str) -> bool:
        """Whether a message was a command, `@roost status` or `!status`: then it is dealt with. `text` is what was said
        with the ids in it."""
        if event.sender.is_bot:
            return False
        given = commands.spoken(text, self._host.commands(), addressed=event.mentions_bot)
        if given is None:
            return False
        thread = None if place.opens else place.route.thread_id
        act = Act(event.id, event.sender.id, "", place.route.platform_id, thread=thread)
        await self._acts.within(act, self._heed(act, given, event))
        return True

    async def _heed(self, act: Act, given: Given | Unfinished, event: Event) -> None:
        try:
            if not await self._heeded.first(event.id):
                return
        except NotSaved:
            await self._acts.replying.tell(act.spot, UNSAVED)
            return
        if isinstance(given, Unfinished):
            await self._filling.told(act, given)
            return
        receipt = await self._given(act, given)
        # What begins with "!" may have been meant for another bot.
        if receipt.text or receipt.state == "accepted" or event.mentions_bot:
            await self._acts.replying.tell(act.spot, said(receipt), ask=receipt.ask)

    async def stop(self, channel: str, thread: str | None, user: str, event_id: str) -> None:
        """The stop button of Slack's own."""
        act = Act(f"{ids.NAME}:event:{event_id}", user, "", channel, thread=thread)
        await self._acts.within(act, self._stop(act))

    async def _stop(self, act: Act) -> None:
        receipt = await self._given(act, Given("stop"))
        stopped = isinstance(receipt.data, Mapping) and receipt.data.get("stopped")
        if receipt.state != "accepted" or not stopped:
            otherwise = NOTHING_RUNS if receipt.state == "accepted" else NOT_FOR_YOU
            await self._acts.replying.tell(act.spot, receipt.text or otherwise)

    # ---------------------------------------------------------------- questions and the shortcut

    async def pressed(self, body: Body) -> None:
        """A button or a menu."""
        act, actions = self._first(body), body.get("actions")
        if act is None:
            return
        action = actions[0] if isinstance(actions, Sequence) and actions else None
        if self._tabs.is_ours(body) and isinstance(action, Mapping):
            await self._acts.within(act, self._tabs.pressed(act, action))
            return
        message, container = body.get("message"), body.get("container")
        if not isinstance(message, Mapping) and isinstance(container, Mapping):
            # Of what one person alone sees Slack keeps nothing that it could tell.
            message = {} if container.get("is_ephemeral") else None
        if not isinstance(action, Mapping) or not isinstance(message, Mapping):
            await self._acts.within(act, self._unread(act))
            return
        if str(action.get("action_id", "")).startswith(forms.FILL_IN):
            await self._acts.within(act, self._filling.pressed(act, action))
            return
        await self._acts.within(act, self._answering.pressed(act, action, message))

    async def shortcut(self, body: Body) -> None:
        """Something from the menu of a message."""
        act = self._first(body)
        if act is None:
            return
        if body.get("callback_id") != CALLBACK:
            await self._acts.within(act, self._unread(act))
            return
        await self._acts.within(act, self._answering.open(act, asking(act)))

    async def entered(self, body: Body) -> dict[str, Any] | None:
        """A form: what Slack is to show in it, where it is not taken."""
        view = body.get("view")
        try:
            if not isinstance(view, Mapping):
                raise ValueError("there is no form")
            question = parse_action_id(str(view.get("callback_id") or ""))
            is_command = self._filling.is_ours(view)
            if is_command:
                act = self._filling.act_of(body, view)
            else:
                act = of_form(body, read_note(str(view.get("private_metadata") or "")))
            if not is_command and not is_asked(view) and (question is None or question.kind != "form"):
                raise ValueError("a form that is none of ours was filled in")
        except ValueError as exc:
            _log.warning("a form could not be read: %s", exc)
            return None
        if not self._once.first(act.id):
            return None
        if is_command:
            task = self._acts.keep(self._filling.entered(act, view))
        elif question is not None:
            task = self._acts.keep(self._answering.filled_in(act, question, view))
        else:
            self._acts.go_on(act, self._asking.ask(act, entered(view)))
            return None
        if not await self._acts.in_time(task):
            self._acts.go_on(act, self._taken_late(act, task))
            return None
        return await self._outcome(act, task)

    async def _outcome(self, act: Act, task: asyncio.Task[dict[str, Any] | None]) -> dict[str, Any] | None:
        try:
            return await task
        except Exception:
            _log.exception("a form could not be dealt with", extra={"event_id": act.id})
            await self._acts.replying.tell(act.spot, BROKEN)
            return None

    async def _taken_late(self, act: Act, task: asyncio.Task[dict[str, Any] | None]) -> None:
        """The form is closed by now."""
        wrong = await self._outcome(act, task)
        if wrong is not None:
            told = wrong.get("errors") or {"": NOT_OPENED}
            await self._acts.replying.tell(act.spot, " ".join(map(str, told.values())))

    async def typed(self, body: Body) -> list[dict[str, Any]]:
        """Something is typed into a field: what that offers, and nothing where it takes longer than Slack waits."""
        task = self._acts.keep(self._suggested(body))
        return task.result() if await self._acts.in_time(task) else []

    async def _suggested(self, body: Body) -> list[dict[str, Any]]:
        try:
            return await self._filling.suggest(body)
        except ValueError as exc:
            _log.warning("what is typed could not be read: %s", exc)
        except Exception:
            _log.exception("nothing could be offered for what is typed")
        return []

    async def _unread(self, act: Act) -> None:
        raise ValueError(f"nobody knows what was pressed in {act.channel}")

    def _first(self, body: Body) -> Act | None:
        """What was done, unless that is not to be read or was delivered before."""
        try:
            act = of_home(body) if self._tabs.is_ours(body) else of_interaction(body)
        except ValueError as exc:
            _log.warning("an interaction could not be read: %s", exc)
            return None
        return act if self._once.first(act.id) else None

    # ---------------------------------------------------------------- the app's own tabs

    async def home(self, user: str) -> None:
        """Somebody has opened the Home tab."""
        if ids.is_id(user):
            act = Act(f"{ids.NAME}:interaction:home:{user}:{self._clock()}", user, "", user)
            await self._acts.within(act, self._tabs.open(act))

    async def prompts(self, channel: str) -> None:
        """Somebody has opened the conversation with the bot."""
        if ids.is_id(channel):
            act = Act(f"{ids.NAME}:interaction:prompts:{channel}", "", "", channel)
            await self._acts.within(act, self._tabs.suggest(channel))
