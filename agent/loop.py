"""The runner's loop: claim, prompt, provider, route, reply, finish; and again until told to leave."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Sequence
from typing import Final

from agent import knowledge
from agent.batching import Batch, forgotten_by, interrupts, next_batch, stopped_unbegun
from agent.conversation import Conversation, system_context
from agent.desk import Desk
from agent.protocol import bell, failpoint
from agent.protocol.mailbox import AgentEnd, Draft
from agent.protocol.mailbox.inbound_reader import Inbox
from agent.protocol.messages import AckStatus, ChatOut, MessageIn, SetModel, SystemIn
from agent.protocol.settings import AgentSettings
from agent.providers.base import AgentProvider, Prepares, Prompt, QueryInput
from agent.revisions import Revised, revise
from agent.turns import STOPPED

NOT_NOW_SECONDS: Final = 0.02
"""How soon to look again when inbound.db could not be read at this moment."""
QUIET_SECONDS: Final = 5.0
"""How long inbound.db stays closed for a pause that does not come."""
NO_COMMAND: Final = "This agent's provider knows no {command}."

_COMPLETED: Final[AckStatus] = "completed"

_log = logging.getLogger("roost.loop")


class Loop:
    """One per runner. Everything in it happens on one thread; only the provider may have others."""

    def __init__(self, end: AgentEnd, provider: AgentProvider, settings: AgentSettings, desk: Desk) -> None:
        self.end = end
        self.provider = provider
        self.settings = settings
        self.desk = desk
        self.changed = asyncio.Event()
        self.stopping = asyncio.Event()
        self.leaving = False
        self.continuation_key = f"continuation:{settings.provider}"
        self.model_key = f"model:{settings.provider}"
        self.briefed_key = f"briefed:{settings.provider}"
        self._now = asyncio.get_running_loop().time
        self._bell = bell.BellAgent(settings.workspace.bell, self._heard)
        self._in_turn = False
        self._quiet_until = 0.0
        self._unreadable = False
        self._due_at: int | None = None
        self._alone_since: float | None = None

    async def run(self) -> None:
        """Until `stop`. Raises MailboxError when the session is of no use any more, and ProviderError when
        its provider is."""
        ringing = asyncio.create_task(self._bell.run(), name="bell")
        preparing: asyncio.Task[None] | None = None
        try:
            # What is written before the bell hangs is not heard live, and a gap mutes the whole answer.
            await self._bell.tried.wait()
            if self.settings.warm == "client":
                preparing = asyncio.create_task(self._prepare(), name="prepare")
            while not (self.stopping.is_set() or self.leaving):
                self.changed.clear()
                inbox = self.look()
                revised = None if inbox is None else self.revised(inbox)
                step = None if revised is None else self._tend(revised)
                if isinstance(step, Batch) and self.end.crowded():
                    # Its answer would be one more that nobody can be given; it stays pending.
                    step = None
                if revised is not None and isinstance(step, Batch):
                    await self._converse(step, revised)
                elif step is None:
                    await self._wait()
        finally:
            for task in (ringing, *([preparing] if preparing else ())):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _prepare(self) -> None:
        """Has the provider ready for a conversation that begins; one that goes on has something to resume."""
        provider, settings = self.provider, self.settings
        if not isinstance(provider, Prepares) or self.end.state(self.continuation_key) is not None:
            return
        known = await knowledge.gather(settings.folder, settings.work, notes=False)
        opening = QueryInput(
            prompt=Prompt(""),
            continuation=None,
            cwd=settings.work,
            system_context=system_context(settings, self.end.destinations() or [], known),
        )
        await provider.prepare(opening)

    def stop(self) -> None:
        """Leave soon: a turn in progress is given up and will be done again."""
        self.stopping.set()
        failpoint.hit("agent-told-to-leave")
        self.changed.set()

    def look(self) -> Inbox | None:
        """What there is to do, rows that cannot be decoded being failed on the way; None: not now.
        Raises MailboxError."""
        quiet = self._now() < self._quiet_until
        inbox = None if quiet else self.end.look()
        self._unreadable = inbox is None and not quiet
        self._due_at = None if inbox is None else inbox.due_at
        if inbox is None:
            # Whoever cannot read goes on being alive; and a folder that was taken away is noticed.
            self.end.beat()
        elif inbox.undecodable:
            _log.error("messages that cannot be decoded: %s", ", ".join(inbox.undecodable))
            self.end.finish(dict.fromkeys(inbox.undecodable, "failed"), turn_id=inbox.undecodable[0])
            self.ring(bell.Changed())
        return inbox

    def ring(self, frame: bell.AgentFrame) -> None:
        """Says something to the host, if it listens."""
        self._bell.ring(frame)

    def poll_seconds(self, *, active: bool) -> float:
        """How long to wait when nobody rings: short without a bell, long beneath one that works, and never
        beyond a retry that comes due."""
        settings = self.settings
        if self._unreadable:
            return NOT_NOW_SECONDS
        poll_ms = settings.poll_active_ms if active else settings.poll_idle_ms
        if self._bell.connected:
            poll_ms = settings.poll_slow_ms
        if self._due_at is not None:
            poll_ms = min(poll_ms, max(1, self._due_at - self.desk.clock()))
        return poll_ms / 1000

    def revised(self, inbox: Inbox, *, taken: Collection[str] = (), begun: Collection[int] = ()) -> Revised:
        """The inbox as it reads now; what was withdrawn and not begun with is done with. Raises MailboxError."""
        revised = revise(inbox, taken=taken, begun=begun)
        if revised.withdrawn:
            self.end.finish(dict.fromkeys(revised.withdrawn, _COMPLETED), turn_id=revised.withdrawn[0])
            self.ring(bell.Changed())
        return revised

    def _tend(self, revised: Revised) -> Batch | MessageIn | None:
        """Deals with what needs no provider, and returns what does."""
        inbox = revised.inbox
        if asked_to_stop := interrupts(inbox.system):
            self._stop_unbegun(asked_to_stop[0], revised)
            return asked_to_stop[0]
        step = next_batch(inbox.messages)
        if isinstance(step, MessageIn):
            done = self._carry_out(step, inbox)
            self.end.finish({row.id: _COMPLETED for row in done}, turn_id=step.id)
            self.ring(bell.Changed())
        elif (
            step is not None and step.command is not None and not self.provider.supports_native_slash_commands
        ):
            self._refuse(step)
            return step.messages[0]
        return step

    def _carry_out(self, order: MessageIn, inbox: Inbox) -> Sequence[MessageIn]:
        """Stages what is to be kept of an order, and returns the rows that are done with thereby."""
        if isinstance(order.content, SystemIn) and isinstance(order.content.system, SetModel):
            self.end.stage(self.model_key, order.content.system.model)
            return [order]
        self.end.stage(self.continuation_key, None)
        return [order, *forgotten_by(order, inbox.messages)]

    def _refuse(self, batch: Batch) -> None:
        """Nobody would understand the command, least of all as a text for the model."""
        (asked,) = batch.messages
        text = NO_COMMAND.format(command=batch.command)
        draft = Draft(ChatOut(text=text), "chat", batch.route, in_reply_to=asked.id, turn_id=asked.id)
        self.end.finish({asked.id: _COMPLETED}, [draft], turn_id=asked.id)
        self.ring(bell.Changed())

    def _stop_unbegun(self, interrupt: MessageIn, revised: Revised) -> None:
        stopped = stopped_unbegun(interrupt, revised.inbox.messages)
        places = {message.route: message.id for message in stopped}
        drafts = [
            Draft(ChatOut(text=STOPPED), "chat", to, in_reply_to=asked, turn_id=interrupt.id)
            for to, asked in places.items()
        ]
        acks = {row.id: _COMPLETED for row in (*stopped, interrupt)}
        acks |= dict.fromkeys(revised.spent_on(stopped), _COMPLETED)
        self.end.finish(acks, drafts, turn_id=interrupt.id)
        self.ring(bell.Changed())

    async def _converse(self, batch: Batch, revised: Revised) -> None:
        self._in_turn = True
        outdated = [*revised.inbox.outdated, *revised.spent_on(batch.messages)]
        try:
            await Conversation(self, batch, outdated=outdated).run()
        finally:
            self._in_turn = False

    async def _wait(self) -> None:
        self.end.compact()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.poll_seconds(active=False)):
                await self.changed.wait()
            return
        self._leave_if_abandoned()

    def _leave_if_abandoned(self) -> None:
        """Without a service there is nobody to stop a runner that has nothing to do."""
        now = self._now()
        if self._bell.connected:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since >= self.settings.abandoned_ms / 1000:
            _log.info("no service has been there for long; leaving")
            self.stop()

    def _heard(self, frame: bell.HostFrame) -> None:
        match frame:
            case bell.CloseInbound():
                if not self._in_turn:
                    self.end.close_inbound()
                    self._quiet_until = self._now() + QUIET_SECONDS
                self.ring(bell.Quiet(busy=self._in_turn))
            case bell.Leave():
                self.leaving = True
                self.changed.set()
            case bell.Changed() | bell.InterruptTurn():
                # An interrupt is a row as well; the frame only makes us look at once.
                self._quiet_until = 0.0
                self.changed.set()
