"""One query of the provider, from its first batch until it has been idle for long enough.

While the query runs, follow-ups of the same thread are pushed into it and become turns of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from agent import formatter
from agent.batching import Batch, follow_ups, interrupts, waits_for_its_own_turn
from agent.desk import Desk
from agent.protocol import bell, failpoint
from agent.protocol.mailbox import AgentEnd, MailboxError
from agent.protocol.mailbox.inbound_reader import Inbox
from agent.protocol.messages import Answer, Interrupt, MessageIn, SystemIn
from agent.protocol.settings import AgentSettings
from agent.providers import base
from agent.turns import Turn, Turns

RETRY_SECONDS: Final = (1.0, 5.0)
"""How long to wait before a prompt is tried again after a passing failure of the provider."""
MAX_OPEN_TURNS: Final = 4
"""What comes while so many turns are open makes one turn together, when one of them has ended."""
ABORT_SECONDS: Final = 2.0
"""How long a provider may take to abort a query, and again to let go of it: the host waits for five."""
FRESH_START: Final = "(I could not recall our earlier conversation; this is a fresh start.)\n\n"
NO_ANSWER: Final = "Sorry, the agent ended without an answer. Please ask again."

_log = logging.getLogger("roost.conversation")


class Surroundings(Protocol):
    """What a conversation needs of the loop that it runs in."""

    end: AgentEnd
    desk: Desk
    settings: AgentSettings
    provider: base.AgentProvider
    changed: asyncio.Event
    stopping: asyncio.Event
    leaving: bool
    continuation_key: str

    def look(self) -> Inbox | None: ...

    def ring(self, frame: bell.AgentFrame) -> None: ...

    def poll_seconds(self, *, active: bool) -> float: ...


class Failed(Exception):
    """The provider gave up on what it was asked; `error` says how, `invalid` that its memory is gone."""

    def __init__(self, error: base.Error, *, invalid: bool) -> None:
        super().__init__(error.message)
        self.error = error
        self.invalid = invalid


class Conversation:
    """Runs one query. Whatever the provider does, it ends in visible replies or in pending messages."""

    def __init__(self, around: Surroundings, batch: Batch, *, outdated: Sequence[str] = ()) -> None:
        """`outdated` are rows that will be done with when the batch is answered."""
        self._a = around
        self._route = batch.route
        self._now = asyncio.get_running_loop().time
        self._destinations = around.end.destinations()
        routes = {place.name: place.route for place in self._destinations}
        around.desk.destinations = routes
        self._turns = Turns(
            around.end,
            around.desk,
            around.ring,
            origin=batch.route,
            destinations=routes,
            first=Turn(list(batch.messages), self._now(), list(outdated)),
        )
        self._stopped = False
        self._ending = False
        self._last_event = self._now()

    async def run(self) -> None:
        """Returns when the query has ended. Raises MailboxError when the mailbox is of no use any more, and
        ProviderError when the provider is not to be stopped."""
        for pause in (*RETRY_SECONDS, None):
            try:
                await self._run_query()
            except Failed as failure:
                if pause is not None and await self._worth_another_try(failure, pause):
                    continue
                self._conclude(_clean(failure.error.message).strip() or NO_ANSWER)
            else:
                self._conclude(NO_ANSWER)
            return

    async def _run_query(self) -> None:
        """One query for everything that is open. Raises Failed, MailboxError, ProviderError."""
        try:
            query = self._a.provider.query(self._input())
        except Exception as exc:
            raise self._failed(exc) from exc
        failpoint.hit("agent-asked")
        pump = asyncio.create_task(self._pump(query), name="provider events")
        watch = asyncio.create_task(self._watch(query), name="inbox watch")
        try:
            await asyncio.wait({pump, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _finish_off(query, pump, watch)
        for task in (watch, pump):
            if not task.cancelled():
                task.result()

    def _conclude(self, why: str) -> None:
        """A runner that leaves leaves what is unanswered pending; else nothing stays unsaid."""
        if not self._turns or self._a.stopping.is_set():
            return
        if self._stopped:
            self._turns.stop()
        else:
            self._turns.give_up(why)

    async def _pump(self, query: base.AgentQuery) -> None:
        try:
            async for event in query.events:
                self._last_event = self._now()
                self._a.end.beat()
                self._take(event)
        except (Failed, MailboxError):
            raise
        except Exception as exc:
            raise self._failed(exc) from exc

    def _failed(self, error: Exception) -> Failed:
        """Whatever a provider raises is the provider's failure, and a person waits for an answer."""
        _log.error("the provider failed", exc_info=error)
        if isinstance(error, base.ProviderError):
            text = str(error)
        else:
            text = f"Sorry, the agent failed ({type(error).__name__}: {error}). Please try again."
        return Failed(base.Error(text), invalid=self._a.provider.is_session_invalid(error))

    def _take(self, event: base.Event) -> None:
        match event:
            case base.Init(continuation):
                self._a.end.stage(self._a.continuation_key, continuation)
                if self._turns.current.held:
                    self._a.end.hold((), turn_id=self._turns.current.id)
            case base.Delta(text):
                self._turns.stream(_clean(text))
                failpoint.hit("agent-delta")
            case base.Result(text, _, answered):
                failpoint.hit("agent-answering")
                self._turns.answer(_clean(text or ""), answered)
                # Whoever waits on the bell has a new patience now.
                self._a.changed.set()
            case base.Error():
                raise Failed(event, invalid=self._a.provider.is_session_invalid(event))
            case base.Progress(message):
                self._turns.say_active(progress=_clean(message)[:500])
            case base.Activity():
                pass

    async def _watch(self, query: base.AgentQuery) -> None:
        """Follow-ups, claims and the idle end, until the query is to be aborted."""
        inbox: Inbox | None = Inbox()
        while True:
            # An idle end that is due is no reason to spin while nobody can tell whether it is one.
            seconds = self._a.poll_seconds(active=True) if inbox is None else self._patience()
            await self._rung(seconds)
            if self._a.stopping.is_set():
                return
            self._turns.hold(begun_before=self._now() - self._a.settings.claim_ms / 1000)
            inbox = self._a.look()
            if inbox is None:
                continue
            self._take_system(inbox)
            if self._stopped:
                return
            if not self._ending:
                self._take_follow_ups(inbox, query)

    async def _rung(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._a.changed.wait()
        self._a.changed.clear()

    def _patience(self) -> float:
        """Seconds until there is something to do even if nobody rings."""
        settings, now = self._a.settings, self._now()
        due = [now + self._a.poll_seconds(active=True)]
        due += [turn.begun + settings.claim_ms / 1000 for turn in self._turns if not turn.held]
        if not self._turns and not self._ending:
            due.append(self._last_event + settings.idle_ms / 1000)
        return max(0.0, min(due) - now)

    def _take_system(self, inbox: Inbox) -> None:
        """Answers for the tools that wait, and interrupts, both out of order."""
        taken = self._turns.taken()
        for row in inbox.system:
            if not self._turns or row.id in taken or not isinstance(row.content, SystemIn):
                continue
            system, turn = row.content.system, self._turns.current
            if isinstance(system, Answer) and self._a.desk.deliver(system):
                turn.extra.append(row.id)
            elif isinstance(system, Interrupt) and system.turn_id in (None, *(t.id for t in self._turns)):
                turn.extra.append(row.id)
                self._stopped = True
            elif isinstance(system, Interrupt):
                # The turn that it means has ended in the meantime.
                self._a.end.finish({row.id: "completed"}, turn_id=turn.id)
                self._a.ring(bell.Changed())

    def _take_follow_ups(self, inbox: Inbox, query: base.AgentQuery) -> None:
        taken = self._turns.taken()
        room = len(self._turns) < MAX_OPEN_TURNS and not self._a.leaving and not self._a.end.crowded()
        fresh = follow_ups(inbox.messages, self._route, taken) if room else ()
        if fresh:
            self._push(fresh, query)
        elif not self._turns:
            waits = waits_for_its_own_turn(inbox.messages, self._route, taken) or interrupts(inbox.system)
            idle = self._now() - self._last_event >= self._a.settings.idle_ms / 1000
            if waits or self._a.leaving or (idle and not self._a.desk.busy):
                self._ending = True
                query.end()

    def _push(self, messages: Sequence[MessageIn], query: base.AgentQuery) -> None:
        try:
            query.push(self._prompt(messages))
        except base.ProviderError:
            # It has ended by itself just now; the messages stay pending, for the next one.
            self._ending = True
            query.end()
        else:
            self._turns.append(Turn(list(messages), self._now()))

    async def _worth_another_try(self, failure: Failed, pause: float) -> bool:
        """Prepares a second query for the same messages, where that can help."""
        end, key = self._a.end, self._a.continuation_key
        if not self._turns or self._given_up:
            return False
        if failure.invalid and end.state(key) is not None:
            end.stage(key, None)
            self._turns.foreword = FRESH_START
        elif failure.error.retryable:
            self._turns.say_active(progress="The model is busy; trying again.")
            await self._pause(pause)
        else:
            return False
        self._turns.merge()
        return not self._given_up

    @property
    def _given_up(self) -> bool:
        return self._stopped or self._a.stopping.is_set()

    async def _pause(self, seconds: float) -> None:
        """Waits for as long as somebody still wants the answer."""
        until = self._now() + seconds
        while not self._given_up and self._now() < until:
            await self._rung(min(until - self._now(), self._a.poll_seconds(active=True)))
            inbox = self._a.look()
            if inbox is not None:
                self._take_system(inbox)

    def _input(self) -> base.QueryInput:
        settings = self._a.settings
        instructions = formatter.instructions(
            settings.assistant_name, self._destinations, settings.instructions
        )
        return base.QueryInput(
            prompt=self._prompt([message for turn in self._turns for message in turn.messages]),
            continuation=self._a.end.state(self._a.continuation_key),
            cwd=settings.work,
            system_context=base.SystemContext(instructions),
        )

    def _prompt(self, messages: Sequence[MessageIn]) -> base.Prompt:
        return formatter.prompt(messages, files=self._a.settings.workspace.received)


async def _finish_off(query: base.AgentQuery, pump: asyncio.Task[None], watch: asyncio.Task[None]) -> None:
    """Ends what still runs of a query. Raises ProviderError when the provider does not let go of it: then
    only the end of the process helps."""
    watch.cancel()
    running: set[asyncio.Task[None]] = {pump, watch}
    if not pump.done() or pump.cancelled() or pump.exception() is not None:
        running.add(asyncio.create_task(_abort(query), name="abort"))
    for _ in range(2):
        _, running = await asyncio.wait(running, timeout=ABORT_SECONDS)
        if not running:
            return
        for task in running:
            task.cancel()
    raise base.ProviderError("The provider does not stop.")


async def _abort(query: base.AgentQuery) -> None:
    try:
        await query.abort()
    except Exception:
        _log.exception("the provider failed to abort")


def _clean(text: str) -> str:
    """Half of a surrogate pair is no text: neither SQLite nor the bell can carry it."""
    return text.encode("utf-8", "replace").decode()
