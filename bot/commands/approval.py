"""Commands about approvals: approval list, show, approve, deny."""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from typing import Annotated, Any, Final

from pydantic import Field

from adapters.offers import Suggestion
from bot import approvals
from bot.access import may
from bot.approvals import Step
from bot.commands import scopes, shown
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.registry import Asked, Command, Invocation, Parameters, Reply, Scope
from bot.db import approvals as rows
from bot.db.approvals import ApprovalRecord, State
from bot.db.cards import Option
from bot.errors import CommandFailed
from bot.striking import struck

LISTED: Final = 50
SUMMARY_CHARS: Final = 80


async def suggested(context: Context, asked: Asked) -> list[Suggestion]:
    """The open approvals that whoever asks may decide."""
    found = await context.db.read(lambda db: rows.listed(db, LISTED))
    return [
        Suggestion(each.id, f"{each.id} {each.summary}")
        for each in found
        if each.state == "open"
        and each.id.startswith(asked.typed)
        and may(asked.invocation.standing.of(each.agent or None), each.level)
    ]


class Which(Parameters):
    """Which approvals to list."""

    state: State | None = Field(
        None, description="open, approved, denied, expired, withdrawn, done or failed; all if left out"
    )
    agent: Annotated[str, Completes(scopes.own_agents)] = Field(
        "", max_length=100, description="of this agent only"
    )


class ApprovalId(Parameters):
    """An approval."""

    id: Annotated[str, Completes(suggested)] = Field(
        min_length=1, max_length=40, description="the approval's id, or the beginning of it"
    )


class Approve(ApprovalId):
    """How it is allowed."""

    choice: str | None = Field(
        None, max_length=100, description="how, where there are several ways; else the first of them"
    )


async def find(context: Context, invocation: Invocation, prefix: str) -> ApprovalRecord:
    """The approval whose id begins so, of the agents of whoever asks: another is as unknown as one that never was.
    Raises CommandFailed."""
    mine = scopes.administered(invocation.standing)
    found = await context.db.read(lambda db: rows.by_prefix(db, prefix, mine))
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandFailed(f"More than one approval begins with {prefix}; give more of its id.")
    raise CommandFailed(approvals.GONE.format(id=prefix, listing=invocation.spelled("approval list")))


async def about(context: Context, invocation: Invocation, given: ApprovalId) -> Scope:
    """Its agent, and the role that it takes."""
    found = await find(context, invocation, given.id)
    return Scope(found.agent or None, found.level)


async def list_approvals(context: Context, invocation: Invocation, given: Which) -> Reply:
    """What waits for a decision, and what was decided last: of the agents of whoever asks."""
    agents = scopes.narrowed(invocation.standing, given.agent)
    found = await context.db.read(lambda db: rows.listed(db, LISTED, agents=agents, state=given.state))
    lines = [
        ["ID", "STATE", "AGENT", "UNTIL", "WHAT"],
        *map(_row, found),
    ]
    if not found:
        nothing = "Nothing waits for a decision." if given == Which() else "There is no such approval."
        return Reply(nothing, [])
    hint = f"`{invocation.spelled('approval show ID')}` has all that one would do."
    return Reply(f"{shown.table(lines)}\n\n{hint}", [_data(each) for each in found])


async def show(context: Context, invocation: Invocation, given: ApprovalId) -> Reply:
    """One approval with everything that it would do, and what can be decided."""
    found = await find(context, invocation, given.id)
    data = _data(found)
    facts = [
        f"{name.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}"
        for name, value in data.items()
        if value not in (None, "") and name not in ("effect", "details", "summary")
    ]
    effect = json.dumps(data["effect"], indent=2, ensure_ascii=False)
    parts = [found.summary, found.details, "\n".join(facts), f"effect: {effect}"]
    buttons: list[Option] = []
    if found.state == "open" and may(invocation.standing.of(found.agent or None), found.level):
        buttons = approvals.buttons(found)
    return Reply("\n\n".join(part for part in parts if part), data, buttons)


async def approve(context: Context, invocation: Invocation, given: Approve) -> Reply:
    """Allows it."""
    found = await find(context, invocation, given.id)
    return await _decide(context, invocation, found, given.choice or found.choices[0])


async def deny(context: Context, invocation: Invocation, given: ApprovalId) -> Reply:
    """Refuses it."""
    return await _decide(context, invocation, await find(context, invocation, given.id), None)


async def _decide(
    context: Context, invocation: Invocation, found: ApprovalRecord, choice: str | None
) -> Reply:
    now, refusals = context.clock(), context.approvals.refusals
    if choice is not None and found.state == "open" and context.approvals.is_orphan(found):
        why = approvals.AGENT_GONE.format(agent=found.agent)
        withdraw = partial(
            approvals.withdraw, approval=found, why=why, by=invocation.by, now=now, refusals=refusals
        )
        await context.approvals.took(withdraw)
        raise CommandFailed(f"{why} Nothing is done.")

    def work(db: sqlite3.Connection) -> Step:
        return approvals.decide(db, found.id, choice, by=invocation.by, now=now, refusals=refusals)

    step = await context.approvals.took(work)
    settled = found if step is None else step.approval
    return Reply(f"{settled.state.capitalize()}: {settled.summary}", _data(settled))


def _data(found: ApprovalRecord) -> dict[str, Any]:
    return {
        "id": found.id,
        "kind": found.kind,
        "state": found.state,
        "agent": found.agent,
        "level": found.level,
        "summary": found.summary,
        "details": found.details,
        "asked_by": found.asked_by,
        "choices": list(found.choices),
        "choice": found.choice,
        "decided_by": found.decided_by,
        "outcome": found.outcome,
        "created_at": shown.iso(found.created_at),
        "expires_at": shown.iso(found.expires_at),
        "effect": struck(dict(found.effect)),
    }


def _row(found: ApprovalRecord) -> list[str]:
    until = shown.iso(found.expires_at) if found.state == "open" else "-"
    return [found.id, found.state, found.agent or "-", until, shown.beginning(found.summary, SUMMARY_CHARS)]


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "approval list",
        "what waits for a decision, and what was decided last",
        Which,
        list_approvals,
        level="admin",
        about=scopes.about_any,
    ),
    Command(
        "approval show",
        "one approval, with all that it would do",
        ApprovalId,
        show,
        level="admin",
        about=about,
    ),
    Command("approval approve", "allow it", Approve, approve, level="admin", about=about, changes=True),
    Command("approval deny", "refuse it", ApprovalId, deny, level="admin", about=about, changes=True),
)
