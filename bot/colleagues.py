"""Colleagues: how agents write to each other. Within the service it is a channel like those of the platforms: what one
agent sends there is delivered as a message in a conversation of the other, once, whenever the service is killed.

    session of A --"researcher"--> session of the researcher that belongs to it --its answer--> back into A's session

There is one such conversation for each pair of a session and an agent. What comes back is answered where A was asked.
Who may write to whom is said by destinations alone; what keeps two agents from talking for ever are `MAX_HOPS` messages
from agent to agent after one of a person's, and `MAX_AN_HOUR` from one session to another.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.base import Host, IncomingFile, Outgoing, OutgoingFile, Part, SendFailed, Update
from agent.protocol.clock import Clock
from agent.protocol.messages import Attachment, ChatIn, Route
from bot.budgets import Budgets
from bot.config_tables import LimitsConfig
from bot.db import backlog, errands, inbox
from bot.db import sessions as rows
from bot.db.engine import Database
from bot.db.errands import Errand
from bot.db.inbox import Accepted
from bot.db.sessions import SessionRecord
from bot.destinations import AGENT_CHANNEL
from bot.errors import DatabaseError
from bot.files import Refused, discard, take_in
from bot.money import Whose
from bot.outgoing import in_words
from bot.sessions import Sessions
from bot.signals import Signal

MAX_HOPS: Final = 8
MAX_AN_HOUR: Final = 60
HOUR_MS: Final = 3_600_000
KEPT_MS: Final = 30 * 24 * HOUR_MS
AGAIN_SECONDS: Final = 30.0
DIGEST_DIGITS: Final = 32
NOBODY: Final = "there is no agent {agent}"
YOURSELF: Final = "an agent does not write to itself"
TOO_FAR: Final = (
    "agents have passed this on {count} times since a person has spoken; answer who asked you instead"
)
TOO_OFTEN: Final = "you have written {count} messages to {agent} in the last hour; wait until it is over"
ONLY_WORDS: Final = (
    "another agent can be sent messages and files; ask it in words, and its answer comes as a message"
)
GONE: Final = "the conversation that asked is not there any more"


@dataclass(frozen=True)
class _Begun:
    """How a message between agents has begun: the errand that it goes on with, where there is one."""

    errand: Errand | None
    hops: int
    route: Route
    person: str | None


class Colleagues:
    """The adapter of the channel by which agents write to each other. It hears nobody: what comes back is sent."""

    name = AGENT_CHANNEL

    def __init__(
        self,
        db: Database,
        sessions: Sessions,
        agents: Container[str],
        limits: LimitsConfig,
        budgets: Budgets,
        *,
        incoming: Path,
        wake: Signal[str],
        clock: Clock,
    ) -> None:
        """`agents` are those of now; `incoming` is where files lie until their message is posted."""
        self._db = db
        self._sessions = sessions
        self._agents = agents
        self._limits = limits
        self._budgets = budgets
        self._incoming = incoming
        self._wake = wake
        self._clock = clock

    async def run(self, host: Host) -> None:
        """Until cancelled."""
        await asyncio.get_running_loop().create_future()

    def render(self, outgoing: Outgoing) -> list[Part]:
        """All of it at once. Raises SendFailed for what only people can be shown."""
        if outgoing.edit is not None or outgoing.reaction is not None or outgoing.question is not None:
            raise SendFailed(ONLY_WORDS, retry_after=None)
        text = outgoing.text
        if not text and outgoing.card is not None:
            text = in_words(outgoing.card)
        return [Part(outgoing, 0, text=text)]

    async def show(self, update: Update) -> None:
        """Nobody looks on."""

    async def send(self, part: Part) -> str | None:
        """Puts it into the other agent's conversation; what is there already is not put there twice. Raises
        SendFailed."""
        outgoing = part.outgoing
        message_id = inbox.new_id()
        folder = self._incoming / message_id
        accepted: Accepted | None = None
        try:
            attachments = await self._taken_in(outgoing.files, folder)
            accepted = await self._db.write(lambda db: self._accept(db, part, message_id, attachments))
        except Refused as exc:
            raise SendFailed(str(exc), retry_after=None) from exc
        except (DatabaseError, OSError) as exc:
            raise SendFailed(f"it could not be saved: {exc}", retry_after=AGAIN_SECONDS) from exc
        finally:
            if accepted is None and outgoing.files:
                await asyncio.to_thread(discard, (), folder)
        if accepted is not None:
            self._sessions.accepted(accepted.record, accepted.message)
            self._wake(accepted.record.id)
        return _event_id(outgoing)

    async def _taken_in(self, files: Sequence[OutgoingFile], folder: Path) -> list[Attachment]:
        """Raises Refused, OSError."""
        if not files:
            return []

        def work() -> list[Attachment]:
            # A folder like that of a message which was never accepted: the next service removes it.
            place = self._incoming / inbox.new_id()
            place.mkdir(parents=True)
            staged = [
                IncomingFile(file.name, file.media_type, place / str(n)) for n, file in enumerate(files)
            ]
            try:
                for file, at in zip(files, staged, strict=True):
                    at.path.write_bytes(file.data)
                return take_in(staged, folder, self._limits)
            finally:
                discard((), place)

        return await asyncio.to_thread(work)

    def _accept(
        self, db: sqlite3.Connection, part: Part, message_id: str, attachments: list[Attachment]
    ) -> Accepted | None:
        """None when it is there already. Raises SendFailed."""
        now, event_id = self._clock(), _event_id(part.outgoing)
        sender = rows.get(db, part.outgoing.session)
        if sender is None:
            raise SendFailed(GONE, retry_after=None)
        if inbox.known(db, event_id):
            return None
        begun = _begun(db, sender, part.outgoing.answers, now)
        receiver, is_answer = self._receiver(db, sender, part.outgoing.route, now)
        if not is_answer:
            self._bounded(db, sender, receiver, begun, now)
        if backlog.of(db, receiver.id) >= self._limits.backlog:
            raise SendFailed(f"{receiver.agent} has too much to do now", retry_after=AGAIN_SECONDS)
        asked = begun.errand if is_answer else None
        began = begun.errand.began if begun.errand is not None else begun.route
        person = f"{began.channel}:{begun.person}" if begun.person else ""
        whose = Whose(receiver.agent, (began.channel, began.platform_id), person)
        # What comes back ends what was begun, and is not kept from who has asked.
        refused = None if is_answer else self._budgets.reserve(db, message_id, whose, began)
        if refused is not None:
            raise SendFailed(refused.text.rstrip("."), retry_after=None)
        message = inbox.accept(
            db,
            receiver,
            message_id=message_id,
            event_id=event_id,
            kind="chat",
            content=ChatIn(sender=sender.agent, text=part.text, attachments=attachments, agent=True),
            # What comes back is answered where the question came from.
            route=receiver.route if asked is None or asked.sender != receiver.id else asked.route,
            created_at=now,
            now=now,
            sender_id=begun.person,
        )
        errands.add(
            db, Errand(event_id, sender.id, receiver.id, begun.hops, begun.route, began, begun.person, now)
        )
        errands.forget(db, now - KEPT_MS)
        return Accepted(receiver, message)

    def _receiver(
        self, db: sqlite3.Connection, sender: SessionRecord, route: Route, now: int
    ) -> tuple[SessionRecord, bool]:
        """The session that it goes to, and whether that is the one which has asked. Raises SendFailed."""
        agent, home = route.platform_id, sender.route
        asked_by = home.thread_id if home.channel == AGENT_CHANNEL and home.platform_id == agent else None
        if (back := route.thread_id or asked_by) is not None:
            found = rows.get(db, back)
            if found is None or found.agent != agent:
                raise SendFailed(GONE, retry_after=None)
            return found, True
        if agent == sender.agent:
            raise SendFailed(YOURSELF, retry_after=None)
        if agent not in self._agents:
            raise SendFailed(NOBODY.format(agent=agent), retry_after=None)
        own = Route(channel=AGENT_CHANNEL, platform_id=sender.agent, thread_id=sender.id)
        return rows.resolve(db, agent, own, now), False

    def _bounded(
        self, db: sqlite3.Connection, sender: SessionRecord, receiver: SessionRecord, begun: _Begun, now: int
    ) -> None:
        """Raises SendFailed. An answer always gets through, and what it answers has been counted."""
        if begun.hops > MAX_HOPS:
            raise SendFailed(TOO_FAR.format(count=begun.hops - 1), retry_after=None)
        if (count := errands.count(db, sender.id, receiver.id, now - HOUR_MS)) >= MAX_AN_HOUR:
            raise SendFailed(TOO_OFTEN.format(count=count, agent=receiver.agent), retry_after=None)


def _begun(db: sqlite3.Connection, sender: SessionRecord, answers: str | None, now: int) -> _Begun:
    """What the message goes on with: the errand that its turn was begun by; where a turn was begun by the service's own
    word, the newest one of its session."""
    entry = None if answers is None else inbox.of_event(db, sender.id, answers)
    errand = errands.get(db, answers)
    if errand is None and (entry is None or entry.message.kind == "system"):
        newest = errands.newest(db, sender.id)
        errand = newest if newest is not None and newest.at > now - HOUR_MS else None
    route = sender.route if entry is None else entry.message.route
    if errand is not None:
        return _Begun(errand, errand.hops + 1, route, errand.person)
    return _Begun(None, 1, route, None if entry is None else entry.sender_id)


def _event_id(outgoing: Outgoing) -> str:
    """The same for the same message, which its agent has named as it likes."""
    digest = hashlib.sha256(outgoing.id.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_DIGITS]
    return f"{AGENT_CHANNEL}:{outgoing.session}:{digest}"
