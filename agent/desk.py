"""The desk: what the tools of a running turn may use, and what waits for a person, for the host or for a tool."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from agent.protocol.clock import Clock
from agent.protocol.mailbox import AgentEnd, Draft
from agent.protocol.messages import ActionResult, Answer, ContentOut, OutKind, Route, Schedule
from agent.protocol.workspace import Workspace

TOOL_KEY: Final = "tool"
"""Key of session_state: the tool in flight, {name, deadline}; the host leaves a quiet turn alone until then."""
QUICK_MS: Final = 2_000
"""A tool of the provider's that is done by then is not worth a commit that declares it."""

_A = TypeVar("_A", Answer, ActionResult)


@dataclass(frozen=True)
class _Tool:
    """A tool in flight, in epoch milliseconds."""

    name: str
    begun: int
    deadline: int


class Desk:
    """One per runner. The loop says which turn runs; the tools write through the loop's own connection."""

    def __init__(self, end: AgentEnd, workspace: Workspace, clock: Clock, ring: Callable[[], None]) -> None:
        self._end = end
        self._ring = ring
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._results: dict[str, asyncio.Future[ActionResult]] = {}
        self._tools: dict[str, _Tool] = {}
        self._declared: _Tool | None = None
        self._origin: Route | None = None
        self._turn_id: str | None = None
        self._reply_to: str | None = None
        self._catch_up: Callable[[], None] = lambda: None
        self.workspace = workspace
        self.clock = clock
        self._destinations: Mapping[str, Route] = {}
        self.has_sent = False
        """Whether a tool of the running turn has sent anything."""
        # A runner that died while a tool waited has left its excuse for being silent.
        end.stage(TOOL_KEY, None)

    @property
    def destinations(self) -> Mapping[str, Route]:
        """The other places that may be written to, as it is now: an admin may have added one during the turn."""
        found = self._end.destinations()
        if found is not None:
            self._destinations = {each.name: each.route for each in found}
        return self._destinations

    @property
    def origin(self) -> Route:
        """Where the running turn was asked for."""
        if self._origin is None:
            raise RuntimeError("a tool was called while no turn runs")
        return self._origin

    @property
    def busy(self) -> bool:
        """Whether a tool is at work, or waits for somebody."""
        return bool(self._tools)

    def open(
        self, route: Route, *, turn_id: str, reply_to: str, catch_up: Callable[[], None] = lambda: None
    ) -> None:
        """A turn begins: what the tools send belongs to it. `catch_up` lets out what was written before that."""
        self._origin, self._turn_id, self._reply_to = route, turn_id, reply_to
        self.has_sent = False
        self._catch_up = catch_up

    def new_id(self) -> str:
        """An id for a message that is about to be sent, so that its files can be put in place first."""
        return uuid.uuid4().hex

    def send(self, content: ContentOut, *, kind: OutKind, route: Route, message_id: str | None = None) -> int:
        """Writes one message at once and returns its seq. Raises MailboxError."""
        self._catch_up()
        draft = Draft(
            content=content,
            kind=kind,
            route=route,
            in_reply_to=self._reply_to,
            turn_id=self._turn_id,
            id=message_id or self.new_id(),
        )
        seq = self._end.reply(draft).seq
        self.has_sent = True
        self._ring()
        return seq

    def schedules(self) -> list[Schedule] | None:
        """What is to happen in this session, the next first; None when it cannot be told now."""
        return self._end.schedules()

    async def answer(self, question_id: str, deadline_ms: int) -> Answer | None:
        """Waits for a person until `deadline_ms` on the clock; None when nobody answered."""
        tool = _Tool("ask_user_question", 0, deadline_ms)
        return await self._wait(self._answers, question_id, tool)

    async def result(self, message_id: str, deadline_ms: int) -> ActionResult | None:
        """Waits until `deadline_ms` for what the host has to say about an action; None when it said nothing."""
        return await self._wait(self._results, message_id, _Tool("action", self.clock(), deadline_ms))

    def deliver(self, system: Answer | ActionResult) -> bool:
        """Hands it to the tool that waits for it; False when none does."""
        if isinstance(system, Answer):
            return _hand(self._answers.get(system.question_id), system)
        return _hand(self._results.get(system.message_id), system)

    def begun(self, call_id: str, name: str, seconds: float) -> None:
        """A tool of the provider's own is at work for so long at most."""
        now = self.clock()
        self._tools[call_id] = _Tool(name, now, now + int(seconds * 1000))

    def ended(self, call_id: str | None = None) -> None:
        """It is done; None: all that the provider had at work are."""
        waiting = self._answers.keys() | self._results.keys()
        for each in [call_id] if call_id is not None else self._tools.keys() - waiting:
            self._tools.pop(each, None)

    @property
    def untold_ms(self) -> int | None:
        """How long until there is something to declare; None: there is nothing to come."""
        fresh = [tool.begun for tool in self._tools.values() if self._declared is None]
        return None if not fresh else max(0, min(fresh) + QUICK_MS - self.clock())

    def tend(self) -> None:
        """Declares what has been at work for long enough to be worth it, and takes back what is done. A provider
        may have several tools at once: the one that may take longest speaks for them. Raises MailboxError."""
        old_enough = self.clock() - QUICK_MS
        last = max(self._tools.values(), key=lambda tool: tool.deadline, default=None)
        worth_it = last is None or any(tool.begun <= old_enough for tool in self._tools.values())
        if last == self._declared or not worth_it:
            return
        tool = None if last is None else json.dumps({"name": last.name, "deadline": last.deadline})
        self._declared = last
        self._end.stage(TOOL_KEY, tool)
        self._end.hold((), turn_id=self._turn_id or "")
        self._ring()

    async def _wait(self, waiting: dict[str, asyncio.Future[_A]], key: str, tool: _Tool) -> _A | None:
        future: asyncio.Future[_A] = asyncio.get_running_loop().create_future()
        waiting[key] = future
        self._tools[key] = tool
        try:
            self.tend()
            async with asyncio.timeout((tool.deadline - self.clock()) / 1000):
                system: _A = await future
                return system
        except TimeoutError:
            return None
        finally:
            del waiting[key], self._tools[key]
            self.tend()


def _hand(future: asyncio.Future[_A] | None, system: _A) -> bool:
    if future is None or future.done():
        return False
    future.set_result(system)
    return True
