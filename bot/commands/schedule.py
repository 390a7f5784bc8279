"""Commands about schedules: create, list, show, pause, resume, run, cancel, history."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final
from zoneinfo import ZoneInfo

from pydantic import Field

from adapters.terminal.text import plain
from agent.protocol.messages import MAX_TEXT_CHARS
from bot import planning
from bot.access import may
from bot.commands import completion
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.registry import Command, Invocation, Parameters, Reply
from bot.db import series
from bot.db.series import CatchUp, Draft, SeriesRecord
from bot.errors import CommandFailed
from bot.planning import Wish
from bot.recurrence import written

LISTED: Final = 200
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
    if not confirmed:
        # Who may not reach the session is told so before they confirm.
        if given.session:
            await context.session(given.session, invocation)
        again = f"say the same with {invocation.option('yes')}"
        again += "." if given.when else f": `{invocation.spelled(f'schedule create yes {when}: …')}`"
        return Reply(f"{said}\nNothing is kept yet; to keep it, {again}", {"kept": False, **data})
    session_id = await _session_for(context, invocation, given.session)
    place = None if given.session else invocation.route
    made = await context.schedules.create(session_id, draft, place=place)
    return Reply(f"Schedule {made.id} is kept. {said}", {"kept": True, **data, **_data(made)})


async def list_schedules(context: Context, invocation: Invocation, given: Whose) -> Reply:
    """The schedules that may still run: of this conversation or, for an admin, of another or all."""
    session = await _sessions_meant(context, invocation, given.session)
    found = await context.db.read(lambda db: series.listed(db, session, LISTED))
    lines = [f"{each.id}  {_state(each)}  {each.when.describe()}: {_line(each.prompt)}" for each in found]
    return Reply("\n".join(lines) or "There are no schedules.", [_data(each) for each in found])


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
    return Reply("\n".join(lines), {**data, "next": [_iso(at, found.when.timezone) for at in coming]})


async def pause(context: Context, invocation: Invocation, given: SeriesId) -> Reply:
    """Lets a schedule rest until it is resumed."""
    found = await _find(context, invocation, given.id)
    await context.schedules.pause(found.id)
    return Reply(f"Schedule {found.id} is paused.", {"id": found.id, "status": "paused"})


async def resume(context: Context, invocation: Invocation, given: SeriesId) -> Reply:
    """Lets a paused schedule go on."""
    found = await _find(context, invocation, given.id)
    next_at = await context.schedules.resume(found.id)
    zone = found.when.timezone
    return Reply(
        f"Schedule {found.id} goes on: {written(next_at, zone)}.",
        {"id": found.id, "status": "active", "next_at": _iso(next_at, zone)},
    )


async def run(context: Context, invocation: Invocation, given: SeriesId) -> Reply:
    """Runs a schedule once, now."""
    found = await _find(context, invocation, given.id)
    await context.schedules.run_now(found.id)
    return Reply(f"Schedule {found.id} runs now; its times stay as they are.", {"id": found.id})


async def cancel(context: Context, invocation: Invocation, given: SeriesId) -> Reply:
    """Ends a schedule for good."""
    found = await _find(context, invocation, given.id)
    await context.schedules.cancel(found.id)
    return Reply(f"Schedule {found.id} is cancelled.", {"id": found.id, "status": "cancelled"})


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


async def _session_for(context: Context, invocation: Invocation, prefix: str) -> str:
    """The session that a new schedule is for; a conversation that has none yet gets one. Raises
    CommandFailed."""
    if prefix:
        return (await context.session(prefix, invocation)).id
    route = invocation.route
    if route is None:
        raise CommandFailed(f"Say for which session; `{invocation.spelled('session list')}` shows them.")
    return (await context.begun_at(route)).id


async def _sessions_meant(context: Context, invocation: Invocation, asked: str) -> str | None:
    """The session whose schedules to list, None for all. Raises CommandFailed."""
    if not may(invocation.role, "admin") and asked:
        raise CommandFailed("Only an admin sees the schedules of other conversations.")
    if asked == "all" or (not asked and invocation.route is None):
        return None
    if asked:
        return (await context.session(asked, invocation)).id
    return (await context.here(invocation.route)).id


async def _find(context: Context, invocation: Invocation, prefix: str) -> SeriesRecord:
    """Who is no admin finds those of their own conversation only. Raises CommandFailed."""
    found = await context.db.read(lambda db: series.by_prefix(db, prefix))
    if not may(invocation.role, "admin"):
        here = await context.here(invocation.route)
        found = [each for each in found if each.session == here.id]
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandFailed(f"More than one schedule begins with {prefix}; give more of its id.")
    listing = invocation.spelled("schedule list")
    raise CommandFailed(f"There is no schedule {prefix}; `{listing}` shows them.")


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
    Command("schedule create", "have something done at a time, once or again", Create, create, level="admin"),
    Command("schedule list", "the schedules of this conversation", Whose, list_schedules),
    Command("schedule show", "one schedule", SeriesId, show),
    Command("schedule pause", "let a schedule rest", SeriesId, pause, level="admin"),
    Command("schedule resume", "let a paused schedule go on", SeriesId, resume, level="admin"),
    Command("schedule run", "run a schedule once, now", SeriesId, run, level="admin"),
    Command("schedule cancel", "end a schedule for good", SeriesId, cancel, level="admin"),
    Command("schedule history", "the newest runs of a schedule", SeriesId, history, level="admin"),
)
