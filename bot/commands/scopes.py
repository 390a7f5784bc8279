"""Commands that show everybody their own part: what is an admin's of one agent, and what of all."""

from __future__ import annotations

from typing import Any, Final

from adapters.offers import Suggestion
from bot.access import may
from bot.commands.context import Context, Records
from bot.commands.registry import Asked, Invocation, Scope
from bot.db.people import Standing

ADMIN: Final = "admin"


def administered(standing: Standing) -> set[str] | None:
    """The agents of which somebody is an admin; None: of all of them, and of the service."""
    if may(standing.everywhere, ADMIN):
        return None
    return {agent for agent, role in standing.agents.items() if may(role, ADMIN)}


def narrowed(standing: Standing, agent: str) -> set[str] | None:
    """The same, of the one that was named where one was."""
    mine = administered(standing)
    if not agent:
        return mine
    return {agent} if mine is None or agent in mine else set()


async def about_any(_: Records, invocation: Invocation, __: Any) -> Scope:
    """Whoever is an admin of any agent may ask; each sees their own part."""
    return Scope.of_any(invocation.standing)


async def of_session(context: Records, invocation: Invocation, given: Any) -> Scope:
    """The agent of the session whose id, or the beginning of it, is the option `id`. Raises CommandFailed."""
    return Scope((await context.session(given.id, invocation)).agent)


async def own_agents(context: Context, asked: Asked) -> list[Suggestion]:
    """The agents of whoever is typing."""
    mine = administered(asked.invocation.standing)
    return [
        Suggestion(name, name)
        for name in sorted(context.roster)
        if asked.typed.lower() in name.lower() and (mine is None or name in mine)
    ]
