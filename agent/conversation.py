"""One query of the provider, from its first batch until it has been idle for long enough.

While the query runs, follow-ups of the same thread are pushed into it and become turns of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from agent import formatter, knowledge, scripts
from agent.batching import Batch, follow_ups, interrupts, waits_for_its_own_turn
from agent.desk import Desk
from agent.protocol import bell, failpoint
from agent.protocol.mailbox import AgentEnd, MailboxError
from agent.protocol.mailbox.inbound_reader import Inbox
from agent.protocol.messages import (
    ActionOut,
    ActionResult,
    Answer,
    ChatOut,
    Destination,
    Interrupt,
    MessageIn,
    Report,
    SystemIn,
    revised_by,
)
from agent.protocol.settings import AgentSettings
from agent.providers import base
from agent.revisions import Revised
from agent.turns import Turn, Turns

RETRY_SECONDS: Final = (1.0, 5.0, 30.0)
"""How long to wait before a prompt is tried again after a passing failure of the provider."""
MAX_WAIT_SECONDS: Final = 1_800.0
"""A provider that is not to be asked again for longer than this has failed."""
LONG_WAIT_SECONDS: Final = 10.0
WAIT_MARGIN_SECONDS: Final = 60.0
"""How long after its wait a provider may still be silent."""
WAITING: Final = "waiting"
MAX_DETAIL_CHARS: Final = 1_000
SCRIPT: Final = "task script"
BEAT_SECONDS: Final = 1.0
"""How often a sign of life goes out while a script runs."""
BUSY: Final = "The model is busy"
LONG_WAIT: Final = "{reason}; I will answer as soon as it lets me."
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
    model_key: str
    briefed_key: str

    def look(self) -> Inbox | None: ...

    def revised(self, inbox: Inbox, *, taken: Collection[str], begun: Collection[int]) -> Revised: ...

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
        self._destinations = around.end.destinations() or []
        routes = {place.name: place.route for place in self._destinations}
        self._turns = Turns(
            around.end,
            around.desk,
            around.ring,
            origin=batch.route,
            destinations=routes,
            first=Turn(list(batch.messages), self._now(), list(outdated)),
        )
        self._found: dict[str, scripts.Wake] = {}
        self._is_command = batch.command is not None
        self._briefs = False
        self._stopped = False
        self._ending = False
        self._last_event = self._now()
        self._told_to_wait: str | None = None

    async def run(self) -> None:
        """Returns when the query has ended. Raises MailboxError when the mailbox is of no use any more, and
        ProviderError when the provider is not to be stopped."""
        if brought := scripts.script_of(self._turns.current.messages):
            await self._run_script(*brought)
            if not self._turns or self._given_up:
                self._conclude(NO_ANSWER)
                return
        for pause in (*RETRY_SECONDS, None):
            try:
                await self._run_query()
            except Failed as failure:
                if pause is not None and await self._worth_another_try(failure, pause):
                    continue
                self._report(failure.error)
                self._conclude(_clean(failure.error.message).strip() or NO_ANSWER)
            else:
                self._conclude(NO_ANSWER)
            return

    async def _run_script(self, message_id: str, script: str) -> None:
        """Answers the turn with nothing where the script finds that there is nothing to do."""
        a, seconds = self._a, scripts.LIMITS.seconds + WAIT_MARGIN_SECONDS
        running = asyncio.create_task(scripts.run(script, a.settings.work, env=os.environ), name=SCRIPT)
        running.add_done_callback(lambda _: a.changed.set())
        a.desk.begun(SCRIPT, SCRIPT, seconds)
        try:
            while not (running.done() or self._given_up):
                await self._attend(BEAT_SECONDS)
            if not self._given_up:
                decided = scripts.verdict(_outcome(running))
                if isinstance(decided, scripts.Wake):
                    self._found[message_id] = decided
                else:
                    self._turns.pass_over()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            a.desk.ended(SCRIPT)
            a.desk.tend()
            # What came in the meantime was seen and left for the query.
            a.changed.set()

    async def _attend(self, seconds: float) -> None:
        """Waits for so long at most, and does what has to be done while no query runs."""
        claim_seconds = self._a.settings.claim_ms / 1000
        if not all(turn.held for turn in self._turns):
            seconds = min(seconds, claim_seconds)
        await self._rung(min(seconds, self._a.poll_seconds(active=True)))
        self._a.end.beat()
        self._turns.hold(begun_before=self._now() - claim_seconds)
        self._a.desk.tend()
        inbox = self._a.look()
        if inbox is not None:
            self._take_system(inbox)

    async def _run_query(self) -> None:
        """One query for everything that is open. Raises Failed, MailboxError, ProviderError."""
        try:
            query = self._a.provider.query(await self._input())
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

    def _report(self, error: base.Error) -> None:
        """What only an admin can mend is said to the host, once for each turn that fails of it."""
        if error.report and self._turns and not self._given_up:
            report = Report(problem=error.report, detail=_clean(error.message)[:MAX_DETAIL_CHARS])
            self._a.desk.send(ActionOut(do=report), kind="action", route=self._route)

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
                self._a.desk.ended(WAITING)
                self._turns.stream(_clean(text))
                failpoint.hit("agent-delta")
            case base.Result(text, usage, answered):
                self._a.desk.ended()
                failpoint.hit("agent-answering")
                if self._briefs:
                    self._a.end.stage(self._a.briefed_key, "yes")
                if self._a.settings.report_usage:
                    self._turns.used(usage)
                self._turns.answer(_clean(text or ""), answered)
                self._a.changed.set()
            case base.Error():
                self._a.desk.ended()
                raise Failed(event, invalid=self._a.provider.is_session_invalid(event))
            case base.Progress(message):
                self._turns.say_active(progress=_clean(message)[:500])
            case base.Waiting(reason, seconds):
                self._bear_with(_clean(reason), seconds)
            case base.ToolBegun(call_id, name, seconds):
                self._a.desk.begun(call_id, name, seconds)
                # Whoever waits on the bell has a new patience now.
                self._a.changed.set()
            case base.ToolEnded(call_id):
                self._a.desk.ended(call_id)
            case base.Activity():
                pass

    def _bear_with(self, reason: str, seconds: float) -> None:
        """The provider waits: the host must not take that for being stuck, and people are told of a long wait once."""
        margin = WAIT_MARGIN_SECONDS
        self._a.desk.begun(WAITING, "waiting", seconds + margin)
        self._turns.say_active(progress=f"{reason}; going on in {seconds:.0f} s.")
        if seconds >= LONG_WAIT_SECONDS and self._turns and self._told_to_wait != self._turns.current.id:
            self._told_to_wait = self._turns.current.id
            self._a.desk.send(ChatOut(text=LONG_WAIT.format(reason=reason)), kind="chat", route=self._route)

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
            self._a.desk.tend()
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
        if (untold := self._a.desk.untold_ms) is not None:
            due.append(now + untold / 1000)
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
            if isinstance(system, Answer | ActionResult) and self._a.desk.deliver(system):
                turn.extra.append(row.id)
            elif isinstance(system, Interrupt) and system.turn_id in (None, *(t.id for t in self._turns)):
                turn.extra.append(row.id)
                self._stopped = True
            elif isinstance(system, Interrupt):
                # The turn that it means has ended in the meantime.
                self._a.end.finish({row.id: "completed"}, turn_id=turn.id)
                self._a.ring(bell.Changed())

    def _take_follow_ups(self, inbox: Inbox, query: base.AgentQuery) -> None:
        taken, begun = self._turns.taken(), self._turns.begun()
        revised = self._a.revised(inbox, taken=taken, begun=begun)
        messages = revised.inbox.messages
        # What comes after a command gets a query of its own, with all that a command has no room for.
        full = self._a.leaving or self._is_command or self._a.end.crowded()
        room = len(self._turns) < MAX_OPEN_TURNS and not full
        fresh = follow_ups(messages, self._route, taken) if room else ()
        if room and revised.late:
            self._push_revision(revised.late, begun, query)
        elif fresh and not self._turns and self._moved():
            # They stay pending, for a query that is told where it may write now.
            self._ending = True
            query.end()
        elif fresh:
            asked = Turn(list(fresh), self._now(), revised.spent_on(fresh))
            self._push(self._prompt(fresh), asked, query)
        elif not self._turns:
            waits = waits_for_its_own_turn(messages, self._route, taken) or interrupts(inbox.system)
            over = waits or self._is_command or self._a.leaving
            idle = self._now() - self._last_event >= self._a.settings.idle_ms / 1000
            if over or (idle and not self._a.desk.busy):
                self._ending = True
                query.end()

    def _moved(self) -> bool:
        """Whether it may write to other places than it was told when the query began."""
        found = self._a.end.destinations()
        return found is not None and found != self._destinations

    def _push_revision(
        self, late: Sequence[MessageIn], begun: Mapping[int, str], query: base.AgentQuery
    ) -> None:
        """Tells of the newest change of one message; the older ones are done with thereby."""
        seq = revised_by(late[0])
        *older, newest = [row for row in late if revised_by(row) == seq]
        told = Turn([newest], self._now(), [row.id for row in older], answers=begun[seq or 0])
        self._push(formatter.revision(newest), told, query)
        # There may be others, and nobody rings for them.
        self._a.changed.set()

    def _push(self, prompt: base.Prompt, asked: Turn, query: base.AgentQuery) -> None:
        try:
            query.push(prompt)
        except base.ProviderError:
            # It has ended by itself just now; the messages stay pending, for the next one.
            self._ending = True
            query.end()
        else:
            self._turns.append(asked)

    async def _worth_another_try(self, failure: Failed, pause: float) -> bool:
        """Prepares a second query for the same messages, where that can help."""
        end, key = self._a.end, self._a.continuation_key
        if not self._turns or self._given_up:
            return False
        if failure.invalid and end.state(key) is not None:
            end.stage(key, None)
            self._turns.foreword = FRESH_START
        elif failure.error.retryable and (failure.error.retry_after or 0) <= MAX_WAIT_SECONDS:
            pause = max(pause, failure.error.retry_after or 0)
            self._bear_with(BUSY, pause)
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

    async def _input(self) -> base.QueryInput:
        settings, end = self._a.settings, self._a.end
        continuation = end.state(self._a.continuation_key)
        if continuation is None:
            end.stage(self._a.briefed_key, None)
        # A command has no room for notes: the first prompt after it has.
        owed = end.state(self._a.briefed_key) is None
        known = await knowledge.gather(settings.folder, settings.work, notes=owed)
        messages = [message for turn in self._turns for message in turn.messages]
        if any(message.trigger for message in messages):
            prompt = formatter.prompt(
                messages, files=settings.workspace.received, notes=known.notes, found=self._found
            )
        else:
            # What was asked is answered, and it was the word of its change that the provider has failed at.
            prompt, owed = formatter.revision(messages[-1]), False
        self._briefs = owed and not prompt.native
        return base.QueryInput(
            prompt=prompt,
            continuation=continuation,
            cwd=settings.work,
            system_context=system_context(settings, self._destinations, known),
            model=end.state(self._a.model_key),
        )

    def _prompt(self, messages: Sequence[MessageIn]) -> base.Prompt:
        return formatter.prompt(messages, files=self._a.settings.workspace.received)


def system_context(
    settings: AgentSettings, destinations: Sequence[Destination], known: knowledge.Knowledge
) -> base.SystemContext:
    """What a provider is told about itself: nothing of it is about one conversation, so that a client can be made
    before there is one."""
    return base.SystemContext(
        formatter.instructions(
            settings.assistant_name,
            destinations,
            settings.instructions,
            notes=settings.work / knowledge.NOTES,
            skills=known.skills,
            own=known.instructions,
        )
    )


def _outcome(running: asyncio.Task[scripts.Outcome]) -> scripts.Outcome:
    """Of a script that has ended; a machine that has no room to run one is no reason to end the runner."""
    error = running.exception()
    if error is None:
        return running.result()
    _log.error("a task's script could not be run", exc_info=error)
    return scripts.Outcome(failure=f"could not be run ({type(error).__name__}: {error})")


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
