"""Commands about the audit: audit list, show, export. Nobody can change it, and nobody can shorten it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from pydantic import Field

from adapters.offers import Suggestion
from adapters.terminal.text import plain
from bot import since
from bot.commands import refs, scopes, shown
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.registry import Asked, Command, Invocation, Parameters, Reply, Scope
from bot.db import audit
from bot.db.audit import Entry, Filter
from bot.errors import CommandFailed

LISTED: Final = 30
MAX_LISTED: Final = 1_000
EXPORTED: Final = 20_000
"""So many rows go into one export."""
EXPORT_BYTES: Final = 4 * 2**20
"""What every platform takes as one file, and the control socket as one line."""
VALUE_CHARS: Final = 2_000
"""So much of a value is shown; `audit export` has all of it."""
TOO_MUCH: Final = (
    "This is too much for one answer: {count:,} rows. Say until {until} for the first part, and then since it for"
    " the next."
)
_PEOPLE_ELSEWHERE: Final = frozenset({"control", "agent", "roost"})
"""Surfaces that are no platforms: the command line, agents, the service itself."""


async def actions(context: Context, asked: Asked) -> list[Suggestion]:
    """What was ever done."""
    found = await context.db.read(audit.actions)
    groups = sorted({each.split()[0] for each in found} - set(found))
    return [Suggestion(each, each) for each in (*found, *groups) if asked.typed.lower() in each]


class Span(Parameters):
    """From when to when."""

    since: str = Field("", max_length=40, description=f"not before this: {since.EXAMPLES}")
    until: str = Field("", max_length=40, description="not after this, likewise")


class Which(Parameters):
    """Which rows of the audit."""

    actor: str = Field(
        "", max_length=refs.MAX_CHARS, description="by whom: a mention or an id, roost, or an agent's name"
    )
    action: Annotated[str, Completes(actions)] = Field(
        "", max_length=60, description="what was done: agent set, or agent for all such"
    )
    subject: str = Field(
        "", max_length=200, description="to what it was done: agent:helper, or agent for all"
    )
    agent: Annotated[str, Completes(scopes.own_agents)] = Field(
        "", max_length=100, description="about this agent only"
    )
    since: str = Field("", max_length=40, description=f"not before this: {since.EXAMPLES}")
    until: str = Field("", max_length=40, description="not after this, likewise")
    limit: int = Field(
        LISTED, ge=1, le=MAX_LISTED, description=f"how many at most, the newest; {LISTED} if left out"
    )


class Number(Parameters):
    """A row of the audit."""

    number: int = Field(ge=1, description="the number of the row")


async def list_entries(context: Context, invocation: Invocation, given: Which) -> Reply:
    """Who has changed what, the newest on top: an admin of one agent sees what is about that agent."""
    which = _filter(context, invocation, given)
    found = await context.db.read(lambda db: (audit.newest(db, given.limit, which), audit.count(db, which)))
    entries, count = found
    if not entries:
        return Reply("There is nothing of that in the audit.", [])
    rows = [["NUMBER", "AT", "WHO", "WHAT", "TO WHAT"], *map(_row, entries)]
    more = f"{len(entries)} of {count:,}, the newest on top. " if count > len(entries) else ""
    hint = f"{more}`{invocation.spelled('audit show NUMBER')}` has what it was before."
    return Reply(f"{shown.table(rows)}\n\n{hint}", [_data(each) for each in entries])


async def about_entry(context: Context, _: Invocation, given: Number) -> Scope:
    """Its agent."""
    return Scope((await _find(context, given.number)).agent)


async def show(context: Context, _: Invocation, given: Number) -> Reply:
    """One row, with what was changed."""
    entry = await _find(context, given.number)
    place = "/".join(each for each in (entry.platform_id, entry.thread_id) if each)
    lines = [
        f"{entry.number}: {entry.action} {entry.subject}",
        f"at: {shown.iso(entry.at)}",
        f"by: {entry.actor_name} ({entry.surface}:{entry.actor})" + (f" in {place}" if place else ""),
        *([f"agent: {entry.agent}"] if entry.agent else []),
        *difference(entry.before, entry.after),
    ]
    return Reply("\n".join(plain(line) for line in lines), _data(entry))


async def export(context: Context, invocation: Invocation, given: Span) -> Reply:
    """The rows of a time as lines of JSON, the oldest first."""
    begin, end = _span(context, given.since, given.until)
    which = Filter(agents=scopes.administered(invocation.standing), since=begin, until=end)
    entries = await context.db.read(lambda db: audit.oldest(db, EXPORTED + 1, which))
    lines, size = list[str](), 0
    for entry in entries[:EXPORTED]:
        line = json.dumps(_data(entry))
        size += len(line) + 1
        if size > EXPORT_BYTES:
            break
        lines.append(line)
    if len(lines) < len(entries):
        count = await context.db.read(lambda db: audit.count(db, which))
        until = shown.iso(entries[max(0, len(lines) - 1)].at)
        raise CommandFailed(TOO_MUCH.format(count=count, until=until))
    return Reply("\n".join(lines) or "There is nothing of that in the audit.", None)


def difference(before: Any, after: Any) -> list[str]:
    """What was changed, a line for each value that is another one now. Pure."""
    old, new = dict(_flat("", before)), dict(_flat("", after))
    lines: list[str] = []
    for name in dict.fromkeys((*old, *new)):
        label = f"{name}: " if name else ""
        if name in old and name in new and old[name] == new[name]:
            lines.append(f"  {label}{old[name]}")
            continue
        lines += [f"- {label}{old[name]}"] if name in old else []
        lines += [f"+ {label}{new[name]}"] if name in new else []
    return lines


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    if value is None and not name:
        return []
    if isinstance(value, dict) and value:
        return [
            pair for key, each in value.items() for pair in _flat(f"{name}.{key}" if name else str(key), each)
        ]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > VALUE_CHARS:
        text = f"{text[:VALUE_CHARS]}… ({len(text):,} characters)"
    return [(name, text)]


def _filter(context: Context, invocation: Invocation, given: Which) -> Filter:
    begin, end = _span(context, given.since, given.until)
    surface, actor = _actor(context, invocation, given.actor)
    return Filter(
        actor=actor,
        surface=surface,
        action=" ".join(given.action.split()) or None,
        subject=given.subject.strip() or None,
        agents=scopes.narrowed(invocation.standing, given.agent),
        since=begin,
        until=end,
    )


def _actor(context: Context, invocation: Invocation, text: str) -> tuple[str | None, str | None]:
    """The surface and the id of whom a text names; what is no person of a platform is taken as it stands."""
    if not text:
        return None, None
    surface, _, rest = text.partition(":")
    if rest and surface in _PEOPLE_ELSEWHERE:
        return surface, rest
    if text in ("roost", "operator") or text in context.roster:
        return None, text
    ref = refs.parse(text, "person", channel=invocation.channel, known=set(context.channels))
    return ref.channel, ref.id


def _span(context: Context, begin: str, end: str) -> tuple[int | None, int | None]:
    now, zone = context.now(), context.schedules.config.timezone
    first = since.begins(begin, now=now, timezone=zone) if begin else None
    last = since.ends(end, now=now, timezone=zone) if end else None
    if first is not None and last is not None and last < first:
        raise CommandFailed("This time ends before it begins: since has to be earlier than until.")
    return first, last


async def _find(context: Context, number: int) -> Entry:
    found = await context.db.read(lambda db: audit.get(db, number))
    if found is None:
        raise CommandFailed(f"There is no row {number} in the audit.")
    return found


def _row(entry: Entry) -> list[str]:
    who = f"{entry.actor_name} ({entry.surface}:{entry.actor})"
    return [str(entry.number), shown.iso(entry.at), who, entry.action, entry.subject]


def _data(entry: Entry) -> dict[str, Any]:
    return {**vars(entry), "at": shown.iso(entry.at)}


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command("audit list", "who has changed what", Which, list_entries, level="admin", about=scopes.about_any),
    Command(
        "audit show",
        "one change, with what it was before",
        Number,
        show,
        level="admin",
        about=about_entry,
    ),
    Command(
        "audit export",
        "the audit as lines of JSON",
        Span,
        export,
        level="admin",
        about=scopes.about_any,
    ),
)
