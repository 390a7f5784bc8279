"""Commands about approvals: approval list, show, approve, deny."""

from __future__ import annotations

import json
import sqlite3
from typing import Annotated, Any, Final

from pydantic import Field

from adapters.offers import Suggestion
from bot import approvals
from bot.access import may
from bot.commands import shown
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.registry import Asked, Command, Invocation, NoParameters, Parameters, Reply, Scope
from bot.db import approvals as rows
from bot.db.approvals import ApprovalRecord
from bot.errors import CommandFailed
from bot.striking import struck

LISTED: Final = 50


async def suggested(context: Context, asked: Asked) -> list[Suggestion]:
    """The open approvals that whoever asks may decide."""
    found = await context.db.read(lambda db: rows.listed(db, LISTED))
    return [
        Suggestion(each.id, f"{each.id} {each.summary}")
        for each in found
        if each.state == "open"
        and each.id.startswith(asked.typed)
        and may(asked.invocation.standing.of(each.agent), each.level)
    ]


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
    """The approval whose id begins so. Raises CommandFailed."""
    found = await context.db.read(lambda db: rows.by_prefix(db, prefix))
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandFailed(f"More than one approval begins with {prefix}; give more of its id.")
    raise CommandFailed(approvals.GONE.format(id=prefix, listing=invocation.spelled("approval list")))


async def about(context: Context, invocation: Invocation, given: ApprovalId) -> Scope:
    """Its agent, and the role that it takes."""
    found = await find(context, invocation, given.id)
    return Scope(found.agent, found.level)


async def list_approvals(context: Context, invocation: Invocation, _: NoParameters) -> Reply:
    """What waits for a decision, and what was decided last."""
    found = await context.db.read(lambda db: rows.listed(db, LISTED))
    mine = [each for each in found if may(invocation.standing.of(each.agent), "admin")]
    data = [_data(each) for each in mine]
    lines = [
        ["ID", "STATE", "AGENT", "WHAT"],
        *([each.id, each.state, each.agent, each.summary] for each in mine),
    ]
    return Reply(shown.table(lines) if mine else "Nothing waits for a decision.", data)


async def show(context: Context, invocation: Invocation, given: ApprovalId) -> Reply:
    """One approval with everything that it would do."""
    found = await find(context, invocation, given.id)
    data = _data(found)
    text = [f"{name}: {value}" for name, value in data.items() if value is not None and name != "effect"]
    return Reply("\n".join([*text, json.dumps(data["effect"], indent=2, ensure_ascii=False)]), data)


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
    now = context.clock()

    def work(db: sqlite3.Connection) -> tuple[ApprovalRecord, list[str]]:
        return approvals.decide(db, found.id, choice, by=invocation.by, now=now)

    settled, kicked = await context.db.write(work)
    context.cards.deliver(kicked)
    context.approvals.decided(settled)
    return Reply(f"{settled.state.capitalize()}: {settled.summary}", _data(settled))


def _data(found: ApprovalRecord) -> dict[str, Any]:
    return {
        "id": found.id,
        "kind": found.kind,
        "state": found.state,
        "agent": found.agent,
        "summary": found.summary,
        "asked_by": found.asked_by,
        "choices": list(found.choices),
        "choice": found.choice,
        "decided_by": found.decided_by,
        "outcome": found.outcome,
        "created_at": shown.iso(found.created_at),
        "expires_at": shown.iso(found.expires_at),
        "effect": struck(dict(found.effect)),
    }


async def about_any(_: Context, invocation: Invocation, __: NoParameters) -> Scope:
    """Whoever is an admin of any agent may list; each sees what they may decide."""
    return Scope.of_any(invocation.standing)


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "approval list",
        "what waits for a decision",
        NoParameters,
        list_approvals,
        level="admin",
        about=about_any,
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
