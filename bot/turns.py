"""What becomes of a turn that its container did not finish: a pure decision, and the rows that carry it out."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from agent.protocol.mailbox import StatusChange
from agent.protocol.messages import MessageIn
from bot.db import deliveries, inbox, usage
from bot.session import Session

GAVE_UP: Final = (
    "Sorry, I could not answer this: the agent stopped {tries} times while it worked on it. "
    "Please try again, or say it differently."
)
NO_ROOM: Final = (
    "Sorry, I could not answer this: the disk of this conversation is full. Please ask an admin to make room,"
    " and then say it again."
)
TOO_LARGE: Final = (
    "Sorry, I had to stop: the files of this conversation take up more than the {mb} MiB that they may."
    " An admin can make room in its folder, or allow more with disk_mb in the limits of the agent."
)
TOO_MANY_FILES: Final = (
    "Sorry, I had to stop: this conversation has more than the {files:,} files and folders that it may."
    " An admin can remove some of them, or allow more with files in the limits of the agent."
)
OUT_OF_MEMORY: Final = (
    "Sorry, I could not answer this: the agent needed more memory than it may use, {tries} times. Please ask for less"
    " at once, or ask an admin to allow more with memory_mb in the limits of the agent."
)
MISFIT: Final = (
    "Sorry, I could not answer this: the agent does not fit this version of Roost."
    " An admin makes its image anew with `roost image build`."
)
MISCONFIGURED: Final = (
    "Sorry, I could not answer this: the agent is not configured properly."
    " An admin finds the reason with `roost config check`, and in the log of this conversation."
)
UNREADABLE: Final = "Sorry, I could not answer this: the message could not be read."
STOPPED: Final = "Stopped."


@dataclass(frozen=True)
class Policy:
    """How often a turn is tried and how long to wait between; `base_ms` doubles with every try."""

    max_tries: int = 5
    base_ms: int = 5_000


@dataclass(frozen=True)
class Again:
    """Try once more at `at`, in epoch milliseconds."""

    tries: int
    at: int


@dataclass(frozen=True)
class GiveUp:
    """That was the last try."""

    tries: int


def verdict(oldest: MessageIn, *, clean: bool, now: int, policy: Policy) -> Again | GiveUp:
    """What to do with the oldest message that a container left unfinished when it ended.

    One that left of its own accord leaves nothing half done: the first time, the next one starts at once.
    """
    tries = oldest.tries + 1
    if tries >= policy.max_tries:
        return GiveUp(tries)
    wait = 0 if clean and oldest.tries == 0 else policy.base_ms * 2**oldest.tries
    return Again(tries, now + wait)


def waits_ms(message: MessageIn, *, now: int, policy: Policy) -> int:
    """For how long the message is still held back. A time that is further away than any wait can be was set
    before the clock was put back: it has come."""
    left = (message.process_after or 0) - now
    longest = policy.base_ms * 2 ** max(0, message.tries - 1)
    return left if 0 < left <= longest else 0


def again(db: sqlite3.Connection, message: MessageIn, decided: Again) -> None:
    """Keeps the count."""
    inbox.retry(db, message.id, tries=decided.tries, process_after=decided.at)


def give_up(
    db: sqlite3.Connection, session: Session, messages: list[MessageIn], text: str, *, now: int
) -> None:
    """Fails the messages and keeps what is said about it, once a place, in one transaction."""
    places = {message.route: message for message in messages if message.trigger}
    said = {
        route: deliveries.add_notice(db, session.id, route, text, now=now, answers=message.event_id)
        for route, message in places.items()
    }
    asked = next((message for message in messages if message.trigger), None)
    if asked is not None:
        usage.ended(db, session.id, asked.id, seconds=session.marks.seconds(asked.id), now=now)
    for message in messages:
        notice = said.get(message.route)
        inbox.fail(db, session.id, [message.id], error=text, now=now, notice=notice)


def remember(session: Session, message: MessageIn, decided: Again) -> None:
    """The same in memory, and on its way into inbound.db; unless it was done after all in the meantime."""
    if message.id not in session.unfinished:
        return
    session.unfinished[message.id] = message.model_copy(
        update={"tries": decided.tries, "process_after": decided.at}
    )
    session.waiting.changes.append(
        StatusChange(message.id, "pending", tries=decided.tries, process_after=decided.at)
    )


def forget(session: Session, messages: list[MessageIn]) -> None:
    """The failed messages leave memory, and inbound.db with the next post."""
    session.notice_waits()
    # One run too many may have failed.
    session.schedules_changed()
    for message in messages:
        session.end(message, turn_id=None, ok=False)
        session.waiting.changes.append(StatusChange(message.id, "failed", tries=message.tries))
