"""What is known of an event before anybody decides upon it: who sent it, and for which agents of the place it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.base import Event
from adapters.terminal import TerminalAdapter
from agent.protocol.messages import Route
from bot import access, continuing, engage, surfaces
from bot.access import Allow, Ask, Drop, Facts, Level
from bot.db import held, people, sessions, targets
from bot.db.sessions import SessionRecord
from bot.engage import Answer, Ignore, Wiring

CONTROL: Final = surfaces.CONTROL
"""The surface that has no place."""

Fits = Mapping[str, bool | None]
"""Whether a message fits each pattern; None: nobody can tell, and neither can one say it of a pattern that is not
there."""
NOT_LOOKED: Final[Fits] = {}


@dataclass(frozen=True)
class Heard:
    """What one agent of a place makes of a message: whether it is for the agent, and whether its sender may."""

    wiring: Wiring
    facts: Facts
    engaged: Answer | Ignore
    decided: Allow | Ask | Drop

    @property
    def taken(self) -> bool:
        """Whether the agent answers it."""
        return isinstance(self.engaged, Answer) and isinstance(self.decided, Allow)


def facts(db: sqlite3.Connection, event: Event, wiring: Wiring, level: Level | None = None) -> Facts:
    """For `access.decide` about whatever is addressed to the agent; `level` is that of the command, where the event
    names one that there is."""
    standing = people.standing(db, event.route.channel, event.sender.id, event.sender.groups)
    unknown = event.kind == "message" and standing.of(wiring.agent) is None
    return Facts(
        standing,
        wiring.agent,
        level,
        strangers=wiring.strangers,
        senders=wiring.senders,
        bots=wiring.bots,
        admitted=unknown and held.is_admitted(db, event.id, wiring.agent),
        first_contact=unknown and _is_first_contact(db, event.route, wiring),
    )


def _is_first_contact(db: sqlite3.Connection, route: Route, wiring: Wiring) -> bool:
    """Whether an owner is asked about the place: nobody has wired it, and somebody owns the bot. At the terminal
    everybody is known."""
    if wiring.wired or route.channel in (TerminalAdapter.name, CONTROL):
        return False
    return people.has_owner(db, route.channel)


def judge(
    db: sqlite3.Connection, event: Event, wirings: Sequence[Wiring], fits: Fits = NOT_LOOKED
) -> list[Heard]:
    """What each agent of a place makes of a message, in their order. It reads alone, so that whoever wants to explain
    what becomes of a message may ask as well."""
    several = len(wirings) > 1
    called = event.direct or event.mentions_bot
    named = engage.named(event.text, [each.agent for each in wirings]) if called and several else None
    here = asked_here(db, event.route, wirings) if called and several else ()
    meant = engage.meant(wirings, here)
    heard = []
    for wiring in wirings:
        known = engage.Facts(
            has_session=engage.asks_for_session(event, wiring) and was_asked(db, wiring, event.route),
            meant=wiring.agent == meant,
            named=named,
            fits=None if wiring.pattern is None else fits.get(wiring.pattern),
        )
        engaged = engage.decide(event, wiring, known)
        about = facts(db, event, wiring)
        about = about if isinstance(engaged, Answer) else about.unaddressed()
        heard.append(Heard(wiring, about, engaged, access.decide(event, about)))
    return heard


def conversation(db: sqlite3.Connection, wiring: Wiring, route: Route) -> SessionRecord | None:
    """The conversation of an agent in which something at this place belongs, if there is one."""
    found = sessions.find(db, wiring.agent, engage.conversation(wiring, route))
    return found or continuing.beneath(db, wiring.agent, route)


def begun(db: sqlite3.Connection, wiring: Wiring, route: Route, *, now: int) -> SessionRecord:
    """The same; made where there is none. Only within `Database.write`."""
    found = conversation(db, wiring, route)
    return found or sessions.resolve(db, wiring.agent, engage.conversation(wiring, route), now)


def was_asked(db: sqlite3.Connection, wiring: Wiring, route: Route) -> bool:
    """Whether the agent has a conversation in this very place or thread."""
    found = conversation(db, wiring, route)
    if found is None:
        return False
    if found.route == route or targets.came_from(db, found.id, route):
        return True
    return continuing.beneath(db, wiring.agent, route) is not None


def asked_here(db: sqlite3.Connection, route: Route, wirings: Sequence[Wiring]) -> set[str]:
    """The agents that have a conversation in this thread; a place that is no thread is nobody's."""
    if route.thread_id is None:
        return set()
    return {each.agent for each in wirings if was_asked(db, each, route)}


def meant(db: sqlite3.Connection, route: Route, wirings: Sequence[Wiring]) -> Wiring | None:
    """Whom a command means that names no agent: the first that has a conversation here, or else the first."""
    if len(wirings) > 1:
        here = [each for each in wirings if was_asked(db, each, route)]
        return next(iter(here), wirings[0])
    return next(iter(wirings), None)
