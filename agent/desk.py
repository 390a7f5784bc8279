"""The desk: what the tools of a running turn may use, and the questions that wait for an answer."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from agent.protocol.clock import Clock
from agent.protocol.mailbox import AgentEnd, Draft
from agent.protocol.messages import Answer, ContentOut, OutKind, Route
from agent.protocol.workspace import Workspace

TOOL_KEY: Final = "tool"
"""Key of session_state: the tool in flight, {name, deadline}; the host leaves a quiet turn alone until then."""


class Desk:
    """One per runner. The loop says which turn runs; the tools write through the loop's own connection."""

    def __init__(self, end: AgentEnd, workspace: Workspace, clock: Clock, ring: Callable[[], None]) -> None:
        self._end = end
        self._ring = ring
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._deadlines: dict[str, int] = {}
        self._origin: Route | None = None
        self._turn_id: str | None = None
        self._reply_to: str | None = None
        self._catch_up: Callable[[], None] = lambda: None
        self.workspace = workspace
        self.clock = clock
        self.destinations: Mapping[str, Route] = {}
        # A runner that died while a tool waited has left its excuse for being silent.
        end.stage(TOOL_KEY, None)

    @property
    def origin(self) -> Route:
        """Where the running turn was asked for."""
        if self._origin is None:
            raise RuntimeError("a tool was called while no turn runs")
        return self._origin

    @property
    def busy(self) -> bool:
        """Whether a tool waits for a person."""
        return bool(self._waiting)

    def open(
        self, route: Route, *, turn_id: str, reply_to: str, catch_up: Callable[[], None] = lambda: None
    ) -> None:
        """A turn begins: what the tools send belongs to it. `catch_up` lets out what was written before that."""
        self._origin, self._turn_id, self._reply_to = route, turn_id, reply_to
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
        self._ring()
        return seq

    async def answer(self, question_id: str, deadline_ms: int) -> Answer | None:
        """Waits for a person until `deadline_ms` on the clock; None when nobody answered."""
        future = self._waiting[question_id] = asyncio.get_running_loop().create_future()
        self._deadlines[question_id] = deadline_ms
        try:
            self._declare()
            async with asyncio.timeout((deadline_ms - self.clock()) / 1000):
                answer: Answer = await future
                return answer
        except TimeoutError:
            return None
        finally:
            del self._waiting[question_id], self._deadlines[question_id]
            self._declare()

    def deliver(self, answer: Answer) -> bool:
        """Hands an answer to the tool that waits for it; False when none does."""
        future = self._waiting.get(answer.question_id)
        if future is None or future.done():
            return False
        future.set_result(answer)
        return True

    def _declare(self) -> None:
        """A provider may call several tools at once: the one that may take longest speaks for them."""
        last = max(self._deadlines.values(), default=None)
        tool = None if last is None else json.dumps({"name": "ask_user_question", "deadline": last})
        self._end.stage(TOOL_KEY, tool)
        self._end.hold((), turn_id=self._turn_id or "")
        self._ring()
