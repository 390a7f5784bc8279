"""Which messages make a turn: pure decisions over what one look at the inbox shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from agent.protocol.messages import (
    MAX_TEXT_CHARS,
    ActionResult,
    ChatIn,
    Clear,
    Edited,
    Interrupt,
    MessageIn,
    Note,
    Reacted,
    Route,
    SetModel,
    SystemIn,
    TaskIn,
    Withdrawn,
    overheard,
)

MAX_PROMPT_CHARS: Final = MAX_TEXT_CHARS
"""What is said in one turn is no longer than this, unless one message alone is; the rest is the next turn's."""

_ORDERS: Final = (Clear, SetModel)
"""They ask for something but wake nobody: the loop carries them out when their turn comes."""


@dataclass(frozen=True)
class Batch:
    """The messages of one turn, in order, all for one route."""

    messages: tuple[MessageIn, ...]
    route: Route

    @property
    def command(self) -> str | None:
        """The provider's own command that this is, without what follows it."""
        first = self.messages[0].content
        return first.text.partition(" ")[0] if isinstance(first, ChatIn) and first.native else None


def next_batch(messages: Sequence[MessageIn]) -> Batch | MessageIn | None:
    """What to do next: a turn, or an order to be carried out first, or nothing."""
    first = next((m for m in messages if _asks(m)), None)
    if first is None:
        return None
    if _is(first, *_ORDERS):
        return first
    if _native(first) or _scripted(first) or first.tries:
        # One that has failed before runs alone: if it is the one that kills the agent, it takes nobody along.
        # One with a script may turn out to ask nothing.
        context = [m for m in _context(messages, first.route) if m.seq < first.seq]
        return Batch((*([] if _native(first) else context), first), first.route)
    ours = _up_to_a_bar([m for m in messages if m.seq >= first.seq])
    asked = _within_bounds([m for m in ours if _asks(m) and m.route == first.route and not m.tries])
    context = [m for m in _context(messages, first.route) if m.seq < asked[-1].seq]
    return Batch(tuple(sorted((*context, *asked), key=lambda m: m.seq)), first.route)


def follow_ups(messages: Sequence[MessageIn], route: Route, taken: Collection[str]) -> tuple[MessageIn, ...]:
    """What can be pushed into the running query of `route`: nothing that belongs to another thread or came after
    a message of one, which would wait for ever where this thread is never quiet, and nothing from behind an order,
    a provider's command or a task with a script. What has failed before stays alone, and so does a command."""
    if any(m.tries or _native(m) for m in messages if m.id in taken):
        return ()
    fresh = _up_to_a_bar([m for m in messages if m.id not in taken])
    pushed: list[MessageIn] = []
    for message in fresh:
        if _asks(message) and (message.route != route or message.tries or _is_full(pushed, message)):
            break
        if _asks(message) or _is_context(message, route):
            pushed.append(message)
    return tuple(pushed) if any(_asks(m) for m in pushed) else ()


def waits_for_its_own_turn(messages: Sequence[MessageIn], route: Route, taken: Collection[str]) -> bool:
    """Whether there is work that a running query of `route` cannot take, so that it must not idle on."""
    pushed = {m.id for m in follow_ups(messages, route, taken)}
    return any(_asks(m) for m in messages if m.id not in taken and m.id not in pushed)


def interrupts(rows: Sequence[MessageIn]) -> list[MessageIn]:
    """The rows that ask for a turn to be stopped."""
    return [row for row in rows if _is(row, Interrupt)]


def stopped_unbegun(interrupt: MessageIn, messages: Sequence[MessageIn]) -> list[MessageIn]:
    """What an interrupt stops that finds no turn running: what was asked before it. What is context only
    stays; and when it means a turn that is none of these, that one has ended in the meantime."""
    asked = [m for m in messages if m.trigger and not _is(m, *_ORDERS, Interrupt) and m.seq < interrupt.seq]
    system = interrupt.content.system if isinstance(interrupt.content, SystemIn) else None
    meant = system.turn_id if isinstance(system, Interrupt) else None
    return asked if meant is None or meant in {m.id for m in asked} else []


def forgotten_by(clear: MessageIn, messages: Sequence[MessageIn]) -> list[MessageIn]:
    """The context that a Clear takes along: it was said before it."""
    return [m for m in messages if not m.trigger and m.seq < clear.seq and not _is(m, *_ORDERS, Interrupt)]


def _asks(message: MessageIn) -> bool:
    return _is(message, *_ORDERS) or (message.trigger and not _is(message, Interrupt))


def _up_to_a_bar(messages: Sequence[MessageIn]) -> list[MessageIn]:
    bar = next((m.seq for m in messages if _is(m, *_ORDERS) or _native(m) or _scripted(m)), None)
    return [m for m in messages if bar is None or m.seq < bar]


def _within_bounds(messages: Sequence[MessageIn]) -> list[MessageIn]:
    """The first ones, as many as one prompt can hold."""
    taken: list[MessageIn] = []
    for message in messages:
        if _is_full(taken, message):
            break
        taken.append(message)
    return taken


def _is_full(taken: Sequence[MessageIn], message: MessageIn) -> bool:
    """Whether a prompt of these has no room for the message; there is always room for one that asks."""
    asked = any(_asks(m) for m in taken)
    return asked and sum(map(_chars, taken)) + _chars(message) > MAX_PROMPT_CHARS


def _chars(message: MessageIn) -> int:
    return len(message.content.text) if isinstance(message.content, ChatIn) else 0


def _context(messages: Sequence[MessageIn], route: Route) -> list[MessageIn]:
    return [m for m in messages if not m.trigger and _is_context(m, route)]


def _is_context(message: MessageIn, route: Route) -> bool:
    told = _is(message, ActionResult, Note, Edited, Withdrawn, Reacted)
    return told or (message.kind != "system" and (message.route == route or _stands_around(message, route)))


def _stands_around(message: MessageIn, route: Route) -> bool:
    """Whether it was overheard in the place in which the thread of `route` was begun."""
    around = Route(channel=route.channel, platform_id=route.platform_id)
    return overheard(message) and message.route == around


def _is(message: MessageIn, *kinds: type) -> bool:
    return isinstance(message.content, SystemIn) and isinstance(message.content.system, kinds)


def _native(message: MessageIn) -> bool:
    return isinstance(message.content, ChatIn) and message.content.native


def _scripted(message: MessageIn) -> bool:
    return isinstance(message.content, TaskIn) and bool(message.content.script)
