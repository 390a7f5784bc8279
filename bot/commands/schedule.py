"""Commands about schedules: create, list, show, pause, resume, run, cancel, history."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final
from zoneinfo import ZoneInfo

from pydantic import Field

from adapters.terminal.text import plain
from agent.protocol.messages import MAX_TEXT_CHARS
from bot import planning
from bot.access import may
from bot.commands import completion, planned
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.refs import PlaceName
from bot.commands.registry import Command, Invocation, Parameters, Reply, Scope
from bot.commands.scopes import administered
from bot.db import series
from bot.db.cards import Option
from bot.db.series import CatchUp, Draft, SeriesRecord
from bot.db.sessions import SessionRecord
from bot.errors import CommandFailed
from bot.planning import Wish
from bot.recurrence import At, Cron, written

LISTED: Final = 200
WITH_BUTTONS: Final = 4
"""So many schedules are listed with what can be done to them beneath."""
SHOWN_TIMES: Final = 3
SHOWN_RUNS: Final = 20
SHOWN_CHARS: Final = 80
CREATE: Final = "schedule create [yes] WHEN: PROMPT"
EXAMPLE: Final = "schedule create every monday at 8: Say what is due this week"
_ORDER: Final = re.compile(r"(?P<yes>yes\s+)?(?P<when>\S.*?):\s+(?P<prompt>\S.*)", re.DOTALL | re.IGNORECASE)
"""A colon inside a time has no space behind it."""


class Create(Parameters):
    """What to do and when: in one sentence, or each by its name."""

    rest: ClassVar[str | None] = "order"

    order: str = Field(
        "",
        title="[yes] WHEN: PROMPT",
        description="all of it in one sentence: every monday at 8: Say what is due",
    )
    when: str = Field("", description="every monday at 8, in 10 minutes, or a cron pattern such as 0 8 * * 1")
    prompt: str = Field("", max_length=MAX_TEXT_CHARS, description="what the agent is told each time")
    session: Annotated[str, Completes(completion.sessions)] = Field(
        "", description="for which session; left out: for this conversation"
    )
    place: PlaceName | None = Field(
        None, description="where it runs and answers; left out: in this conversation"
    )
    timezone: str = Field("", description="such as Europe/Athens; left out: the configured one")
    catch_up: CatchUp = Field("once", description="what to do about runs that were missed; once if left out")
    count: int | None = Field(None, ge=1, description="how often at most")
    until: str = Field("", description="not after this date or time")
    yes: bool = Field(False, description="keep it; else only say what would be kept")


class SeriesId(Parameters):
    """A schedule, by its id or the beginning of it."""

    id: Annotated[str, Completes(completion.schedules)] = Field(
        min_length=1, description="the schedule's id, or the beginning of it"
    )


class Cancelled(SeriesId):
    """A schedule that is to end."""

    yes: bool = Field(False, description="do it; else only say what would end")


class Whose(Parameters):
    """A session by the beginning of its id, or all."""

    session: Annotated[str, Completes(completion.sessions_or_all)] = Field(
        "", description="of this session, or of all; left out: of this conversation"
    )


async def create(context: Context, invocation: Invocation, given: Create) -> Reply:
    """Shows what would be kept, and keeps it when that is confirmed."""
    when, prompt, confirmed = _order(invocation, given)
    # A pattern that comes seldom, or never, takes a while to be told apart.
    draft = await asyncio.to_thread(_draft, context, invocation, given, when, prompt)
    shown = planning.coming(draft.when, draft.next_at, SHOWN_TIMES, ends_at=draft.ends_at, count=draft.count)
    said = f"{draft.when.describe()}: {_line(prompt)}\nNext: {planning.in_words(draft.when, shown)}."
    data = {
        "when": draft.when.describe(),
        "prompt": prompt,
        "next": [_iso(at, draft.when.timezone) for at in shown],
    }
    # Who may not reach the session is told so before they confirm.
    where = await planned.home(context, invocation, given.session, given.place or "")
    if not confirmed:
        again = f"say the same with {invocation.option('yes')}"
        again += "." if given.when else f": `{invocation.spelled(f'schedule create yes {when}: …')}`"
        text = f"{said}\nNothing is kept yet; to keep it, {again}"
        return Reply(text, {"kept": False, **data}, _confirm(given, draft, when))
    if isinstance(where, SessionRecord):
        made = await context.schedules.create(where.id, draft, by=invocation.by)
    else:
        record = await context.begun_at(where)
        made = await context.schedules.create(record.id, draft, place=where, by=invocation.by)
    text = f"Schedule {made.id} is kept. {said}"
    return Reply(text, {"kept": True, **data, **_data(made)}, planned.buttons(made))


def _confirm(given: Create, draft: Draft, when: str) -> list[Option]:
    """What is kept is what was shown: a time that counts from now is told as the time that it came to."""
    if isinstance(draft.when, At):
        when = _iso(draft.when.at, draft.when.timezone)
    again = {
        "when": when,
        "prompt": draft.prompt,
        "session": given.session,
        "place": given.place or "",
        "timezone": draft.when.timezone,
        "catch_up": given.catch_up,
        "count": "" if given.count is None else str(given.count),
        "until": given.until,
        "yes": "true",
    }
    kept = {name: value for name, value in again.items() if value}
    return [Option("Confirm", "schedule create", kept), Option("Cancel", "", after="Nothing is kept.")]


async def list_schedules(context: Context, invocation: Invocation, given: Whose) -> Reply:
    """The schedules that may still run: of this conversation or, for an admin, of another or all."""
    session = await _sessions_meant(context, invocation, given.session)
    mine = administered(invocation.standing) if session is None else None
    found = await context.db.read(lambda db: series.listed(db, session, LISTED, agents=mine))
    lines = [f"{each.id}  {_state(each)}  {each.when.describe()}: {_line(each.prompt)}" for each in found]
    buttons: list[Option] = []
    if len(found) <= WITH_BUTTONS and may(invocation.role, "admin"):
        buttons = [each for one in found for each in planned.buttons(one, named=len(found) > 1)]
    return Reply("\n".join(lines) or "There are no schedules.", [_data(each) for each in found], buttons)


async def show(context: Context, invocation: Invocation, given: SeriesId) -> Reply:
    """One schedule."""
    found = await _find(context, invocation, given.id)
    data = _data(found)
    ends = [] if found.ends_at is None else [f"ends: {written(found.ends_at, found.when.timezone)}"]
    left = [] if found.remaining is None else [f"runs left: {found.remaining}"]
    coming = _coming(found)
    following = [f"next: {planning.in_words(found.when, coming)}"] if coming else []
    script = [f"script: {len(found.script):,} characters, run before the prompt"] if found.script else []
    lines = [
        f"{found.id}: {_state(found)}",
        f"when: {found.when.describe()}",
        *following,
        *left,
        *ends,
        f"after downtime: {found.catch_up}",
        f"failed in a row: {found.failures}",
        f"session: {found.session}",
        f"made by: {plain(found.created_by)}",
        *script,
        f"prompt: {plain(found.prompt)}",
    ]
    buttons = planned.buttons(found) if may(invocation.role, "admin") else []
    data["next"] = [_iso(at, found.when.timezone) for at in coming]
    return Reply("\n".join(lines), data, buttons)


async def pause(context: Context, invocation: Invocation, given: SeriesId) -> Reply:
    """Lets a schedule rest until it is resumed."""
    found = await _find(context, invocation, given.id)
    await context.schedules.pause(found.id, by=invocation.by)
    resumed = replace(found, status="paused")
    return Reply(
        f"Schedule {found.id} is paused.",
        {"id": found.id, "status": "paused"},
        planned.buttons(resumed),
    )


async def resume(context: Context, invocation: Invocation, given: SeriesId) -> Reply:
    """Lets a paused schedule go on."""
    found = await _find(context, invocation, given.id)
    next_at = await context.schedules.resume(found.id, by=invocation.by)
    zone = found.when.timezone
    return Reply(
        f"Schedule {found.id} goes on: {written(next_at, zone)}.",
        {"id": found.id, "status": "active", "next_at": _iso(next_at, zone)},
        planned.buttons(replace(found, status="active")),
    )


async def run(context: Context, invocation: Invocation, given: SeriesId) -> Reply:
    """Runs a schedule once, now."""
    found = await _find(context, invocation, given.id)
    await context.schedules.run_now(found.id, by=invocation.by)
    return Reply(f"Schedule {found.id} runs now; its times stay as they are.", {"id": found.id})


async def cancel(context: Context, invocation: Invocation, given: Cancelled) -> Reply:
    """Ends a schedule for good."""
    found = await _find(context, invocation, given.id)
    if found.status not in ("active", "paused"):
        raise CommandFailed(f"Schedule {found.id} has ended already.")
    if not given.yes:
        text = (
            f"Schedule {found.id} would end for good: {found.when.describe()}: {_line(found.prompt)}."
            f" To do it, say the same with {invocation.option('yes')}; to have it rest, pause it."
        )
        yes = Option("Yes, cancel it", "schedule cancel", {"id": found.id, "yes": "true"})
        return Reply(text, {"id": found.id, "status": found.status}, [yes, *planned.buttons(found)[:1]])
    await context.schedules.cancel(found.id, by=invocation.by)
    again = [_again(found, found.when.expression)] if isinstance(found.when, Cron) else []
    return Reply(f"Schedule {found.id} is cancelled.", {"id": found.id, "status": "cancelled"}, again)


def _again(found: SeriesRecord, pattern: str) -> Option:
    """The way back: another one of the same pattern."""
    given = {
        "when": pattern,
        "prompt": found.prompt,
        "session": found.session,
        "timezone": found.when.timezone,
        "catch_up": found.catch_up,
    }
    return Option("Make it again", "schedule create", given)


async def history(context: Context, invocation: Invocation, given: SeriesId) -> Reply:
    """The newest runs of a schedule."""
    found = await _find(context, invocation, given.id)
    runs = await context.db.read(lambda db: series.history(db, found.id, SHOWN_RUNS))
    zone = found.when.timezone
    lines = [f"{written(run.due_at, zone)}  {run.state}{'  by hand' if run.manual else ''}" for run in runs]
    data = [
        {
            "due_at": _iso(run.due_at, zone),
            "state": run.state,
            "manual": run.manual,
            "started_at": _iso(run.started_at, zone),
            "settled_at": None if run.settled_at is None else _iso(run.settled_at, zone),
        }
        for run in runs
    ]
    return Reply("\n".join(lines) or f"Schedule {found.id} has not run yet.", data)


def _order(invocation: Invocation, given: Create) -> tuple[str, str, bool]:
    """When, what, and whether it is confirmed. Raises CommandFailed."""
    if given.when:
        prompt = given.prompt or given.order
        if not prompt.strip():
            raise CommandFailed("Say what is to be done, with the option prompt.")
        return given.when, prompt, given.yes
    if given.prompt and not given.order:
        raise CommandFailed("Say when it is to be done, with the option when.")
    said = _ORDER.fullmatch(given.order)
    if said is None:
        raise CommandFailed(
            f"Usage: {invocation.spelled(CREATE)}, for example: {invocation.spelled(EXAMPLE)}"
        )
    return said["when"], said["prompt"], given.yes or said["yes"] is not None


def _draft(context: Context, invocation: Invocation, given: Create, when: str, prompt: str) -> Draft:
    """Raises CommandFailed."""
    wish = Wish(prompt, when, given.timezone, given.catch_up, given.count, given.until)
    by = f"{invocation.channel}:{invocation.actor.id}"
    return planning.draft(wish, context.schedules.config, created_by=by, now=context.clock())


async def _sessions_meant(context: Context, invocation: Invocation, asked: str) -> str | None:
    """The session whose schedules to list, None for all. Raises CommandFailed."""
    if asked == "all" or (not asked and invocation.route is None):
        return None
    if asked:
        return (await context.session(asked, invocation)).id
    return (await context.here(invocation.route)).id


async def _find(context: Context, invocation: Invocation, prefix: str) -> SeriesRecord:
    return await planned.find(context, invocation, prefix)


async def of_series(context: Context, invocation: Invocation, given: SeriesId) -> Scope:
    """The agent of the schedule."""
    return await planned.about(context, invocation, given.id)


async def of_list(context: Context, invocation: Invocation, given: Whose) -> Scope:
    """The agent of the conversation; other ones are for admins."""
    return await planned.about_list(context, invocation, given.session)


async def of_new(context: Context, invocation: Invocation, given: Create) -> Scope:
    """The agent of the conversation that it is for."""
    where = await planned.home(context, invocation, given.session, given.place or "")
    return Scope(planned.agent_of(context, where))


def _coming(found: SeriesRecord) -> list[int]:
    if found.next_at is None:
        return []
    return planning.coming(
        found.when, found.next_at, SHOWN_TIMES, ends_at=found.ends_at, count=found.remaining
    )


def _state(found: SeriesRecord) -> str:
    if found.next_at is None:
        return found.status
    return f"{found.status}, next {written(found.next_at, found.when.timezone)}"


def _data(found: SeriesRecord) -> dict[str, Any]:
    zone = found.when.timezone
    return {
        "id": found.id,
        "session": found.session,
        "status": found.status,
        "when": found.when.describe(),
        "recurrence": found.when.model_dump(),
        "timezone": zone,
        "next_at": None if found.next_at is None else _iso(found.next_at, zone),
        "prompt": found.prompt,
        "catch_up": found.catch_up,
        "remaining": found.remaining,
        "ends_at": None if found.ends_at is None else _iso(found.ends_at, zone),
        "failures": found.failures,
        "created_by": found.created_by,
        "script": found.script,
    }


def _iso(at: int, zone: str) -> str:
    return datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).isoformat(timespec="seconds")


def _line(text: str) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= SHOWN_CHARS else line[: SHOWN_CHARS - 1] + "…"


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "schedule create",
        "have something done at a time, once or again",
        Create,
        create,
        level="admin",
        about=of_new,
        changes=True,
    ),
    Command("schedule list", "the schedules of this conversation", Whose, list_schedules, about=of_list),
    Command("schedule show", "one schedule", SeriesId, show, about=of_series),
    Command(
        "schedule pause",
        "let a schedule rest",
        SeriesId,
        pause,
        level="admin",
        about=of_series,
        changes=True,
    ),
    Command(
        "schedule resume",
        "let a paused schedule go on",
        SeriesId,
        resume,
        level="admin",
        about=of_series,
        changes=True,
    ),
    Command(
        "schedule run",
        "run a schedule once, now",
        SeriesId,
        run,
        level="admin",
        about=of_series,
        changes=True,
    ),
    Command(
        "schedule cancel",
        "end a schedule for good",
        Cancelled,
        cancel,
        level="admin",
        about=of_series,
        changes=True,
    ),
    Command(
        "schedule history",
        "the newest runs of a schedule",
        SeriesId,
        history,
        level="admin",
        about=of_series,
    ),
)
