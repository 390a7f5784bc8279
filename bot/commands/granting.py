"""Giving and taking roles, for the commands that do: who is meant, what it takes, and the change with its audit."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

from adapters.offers import Suggestion
from bot.access import may
from bot.commands import refs
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.refs import Ref
from bot.commands.registry import MAX_SUGGESTIONS, Asked, Invocation, Reply, Scope
from bot.db import audit, people
from bot.db.cards import Option
from bot.db.people import EVERYWHERE, Role
from bot.errors import CommandFailed

LAST_OWNER: Final = (
    "{who} is the last owner on {channel}; make somebody else an owner first (`{add}`), or nobody could change"
    " anything there."
)
NO_OWNER_FOR_ONE: Final = (
    "An owner owns all of the bot: leave the agent out, or make them an admin of the agent."
)
NO_GROUP_OWNS: Final = "A group cannot own the bot: owners are people."
CHANGED: Final = "Somebody has changed this role at the same time, to one that you may not change."
GROUP: Final = "group:"
"""What the id of a group stands behind where it is no mention."""
_MENTIONED_GROUP: Final = re.compile(r"<(?:@&|!subteam\^)")
_NOTHING: Final[Role | None] = None


@dataclass(frozen=True)
class Who:
    """A person or a group of a platform."""

    ref: Ref
    is_group: bool = False

    def __str__(self) -> str:
        return f"{GROUP if self.is_group else ''}{self.ref}"

    @property
    def subject(self) -> str:
        """For the audit, and for a person who reads it: "person:discord:42"."""
        return f"{'group' if self.is_group else 'person'}:{self.ref}"


async def known_people(context: Context, asked: Asked) -> list[Suggestion]:
    """Those who have spoken, and those who have a role; for admins."""
    if not may(asked.invocation.standing.anywhere, "admin"):
        return []
    here = asked.invocation.channel
    found = await context.db.read(
        partial(people.suggested, typed=asked.typed, channel=here, limit=MAX_SUGGESTIONS)
    )
    named = [(f"{channel}:{user_id}", name) for channel, user_id, name in found]
    return [Suggestion(value, f"{value} {name}".rstrip()) for value, name in named]


async def agents(context: Context, asked: Asked) -> list[Suggestion]:
    """The agents of which whoever asks is an admin."""
    typed, standing = asked.typed.lower(), asked.invocation.standing
    return [
        Suggestion(each, each)
        for each in sorted(context.roster)
        if typed in each.lower() and may(standing.of(each), "admin")
    ]


WhoName = Annotated[str, Completes(known_people), refs.RefKind("who")]
Anybody = Annotated[str | None, Completes(known_people), refs.RefKind("who")]
AgentName = Annotated[str | None, Completes(agents)]


def who(context: Context, invocation: Invocation, text: str) -> Who:
    """Whom a text names. Raises CommandFailed."""
    is_group = text.startswith(GROUP) or _MENTIONED_GROUP.match(text) is not None
    kind: refs.Kind = "group" if is_group else "person"
    bare = text.removeprefix(GROUP).strip()
    return Who(refs.parse(bare, kind, channel=invocation.channel, known=set(context.channels)), is_group)


def needed(role: Role | None, agent: str) -> Scope:
    """What it takes to give or to take a role: owners and admins everywhere are made by owners, admins of one agent by
    admins of all, and members of an agent by its admins. Pure."""
    if role == "owner" or (role == "admin" and agent == EVERYWHERE):
        return Scope(None, "owner")
    return Scope(None if role == "admin" else agent or None, "admin")


def strictest(*scopes: Scope) -> Scope:
    """The one that takes most. Pure."""
    return max(scopes, key=lambda each: (each.level == "owner", each.agent is None))


async def scope(context: Context, whom: Who, role: Role | None, agent: str) -> Scope:
    """What it takes to give `role` in place of what they have now; None takes it away. Raises DatabaseError."""
    ref = whom.ref
    found = await context.db.read(
        lambda db: people.granted(db, ref.channel, ref.id, agent, is_group=whom.is_group)
    )
    now = _NOTHING if found is None else found.role
    return strictest(needed(role, agent), needed(now, agent))


@dataclass(frozen=True)
class Change:
    """What was a role, and what it is now."""

    whom: Who
    agent: str
    before: Role | None
    after: Role | None
    name: str = ""

    @property
    def who(self) -> str:
        """As it is told to people."""
        if self.whom.is_group:
            return f"The group {self.whom.ref}"
        return f"{self.name} ({self.whom.ref})" if self.name else str(self.whom.ref)


def change(
    db: sqlite3.Connection,
    whom: Who,
    role: Role | None,
    agent: str,
    *,
    invocation: Invocation,
    action: str,
    now: int,
) -> Change:
    """Gives `role` in place of what they have there, None takes it away; in this transaction, with its row in the
    audit. Raises CommandFailed."""
    ref, by = whom.ref, invocation.by
    found = people.granted(db, ref.channel, ref.id, agent, is_group=whom.is_group)
    seen = None if whom.is_group else people.sees(db, ref.channel, ref.id)
    changed = Change(
        whom, agent, None if found is None else found.role, role, "" if seen is None else seen.name
    )
    if changed.before == role:
        if role is not None and not whom.is_group:
            people.undeny(db, ref.channel, ref.id, agent)
        return changed
    _insist(db, changed, invocation)
    _put(db, changed, by=by.id, now=now)
    audit.record(
        db, by, action, whom.subject, now=now, agent=agent or None,
        before={"role": changed.before}, after={"role": role},
    )  # fmt: skip
    return changed


def _insist(db: sqlite3.Connection, changed: Change, invocation: Invocation) -> None:
    """What was decided before the transaction was decided about what was there then."""
    whom, wanted = changed.whom, needed(changed.before, changed.agent)
    if wanted.level is not None and not may(invocation.standing.of(wanted.agent), wanted.level):
        raise CommandFailed(CHANGED)
    if changed.after == "owner" and whom.is_group:
        raise CommandFailed(NO_GROUP_OWNS)
    if changed.after == "owner" and changed.agent:
        raise CommandFailed(NO_OWNER_FOR_ONE)
    if changed.before == "owner" and people.owners(db, whom.ref.channel) == [whom.ref.id]:
        add = invocation.spelled("owner add WHO")
        raise CommandFailed(LAST_OWNER.format(who=changed.who, channel=whom.ref.channel, add=add))


def _put(db: sqlite3.Connection, changed: Change, *, by: str, now: int) -> None:
    ref, role, agent = changed.whom.ref, changed.after, changed.agent
    match role, changed.whom.is_group:
        case None, True:
            people.revoke_group(db, ref.channel, ref.id, agent=agent)
        case None, False:
            people.revoke(db, ref.channel, ref.id, agent=agent)
        case (("admin" | "member"), True):
            people.grant_group(db, ref.channel, ref.id, role, now=now, agent=agent, by=by)
        case _:
            assert role is not None  # noqa: S101 - the other cases are above
            people.grant(db, ref.channel, ref.id, role, now=now, agent=agent, by=by)
            if role == "owner":
                people.void_code(db, ref.channel)


def told(changed: Change, invocation: Invocation) -> Reply:
    """What was changed, in a sentence, and how it is undone."""
    where = f" for the agent {changed.agent}" if changed.agent else ""
    data = {
        "who": str(changed.whom),
        "agent": changed.agent or None,
        "before": changed.before,
        "after": changed.after,
    }
    if changed.before == changed.after:
        has = f"is {_a(changed.after)}{where} already" if changed.after else f"has no role{where}"
        return Reply(f"{changed.who} {has}; nothing was changed.", data)
    if changed.after is None:
        text = f"{changed.who} is not {_a(changed.before)}{where} any more."
    else:
        instead = f", and not {_a(changed.before)}" if changed.before else ""
        text = f"{changed.who} is {_a(changed.after)}{where} now{instead}."
    undo = undoing(changed)
    words = " ".join((undo.command, *(each for name, each in undo.arguments.items() if name != "yes")))
    return Reply(f"{text} To undo it: `{invocation.spelled(words)}`.", data, buttons=[undo])


def undoing(changed: Change) -> Option:
    """The command that undoes it. Pure."""
    arguments = {"who": str(changed.whom)}
    if changed.before is not None:
        arguments["role"] = changed.before
    if changed.agent:
        arguments["agent"] = changed.agent
    command = "role revoke" if changed.before is None else "role grant"
    if changed.before is None and changed.after == "owner":
        arguments["yes"] = "true"
    return Option("Undo", command, arguments, after="Undone.")


def _a(role: Role | None) -> str:
    return "" if role is None else f"{'a' if role == 'member' else 'an'} {role}"
