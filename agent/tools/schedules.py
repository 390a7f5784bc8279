"""Having things done later, once or again and again."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from agent.protocol.messages import (
    ChangeTask,
    Id,
    Label,
    Schedule,
    ScheduleTask,
    Script,
    Text,
    UpdateTask,
    When,
)
from agent.tools.actions import act
from agent.tools.base import Desk, Parameters, Refused, Tool

SHOWN_CHARS: Final = 200
_PROMPT: Final = "What you will be asked to do then; it will be all that you know of it"
_WHEN: Final = 'Once: "in 10 minutes", "tomorrow at 9:30", "monday at 8", "2026-11-23 08:00"'
_RECURRENCE: Final = (
    'Again and again: "every monday at 8", "every weekday at 9:15", "daily at 8", "every 2 hours", or a cron'
    " pattern of five fields"
)
_ZONE: Final = 'The IANA name of the time zone that is meant, for instance "Europe/Athens"'
_SCRIPT: Final = (
    "A script that runs first, each time, without you; it can find that there is nothing to do, and then you are"
    " not asked"
)


class ScheduleIt(Parameters):
    """Arguments of schedule_task."""

    prompt: Annotated[Text, Field(min_length=1, description=_PROMPT)]
    when: Annotated[When | None, Field(description=_WHEN)] = None
    recurrence: Annotated[When | None, Field(description=_RECURRENCE)] = None
    timezone: Annotated[Label | None, Field(description=_ZONE)] = None
    script: Annotated[Script | None, Field(description=_SCRIPT)] = None


class UpdateIt(Parameters):
    """Arguments of update_task."""

    id: Annotated[Id, Field(description="Of the schedule, from list_tasks")]
    prompt: Annotated[Text | None, Field(min_length=1, description=_PROMPT)] = None
    when: Annotated[When | None, Field(description=_WHEN)] = None
    recurrence: Annotated[When | None, Field(description=_RECURRENCE)] = None
    timezone: Annotated[Label | None, Field(description=_ZONE)] = None
    script: Annotated[Script | None, Field(description="Another script; an empty one takes it away")] = None


class TaskId(Parameters):
    """A schedule."""

    id: Annotated[Id, Field(description="Of the schedule, from list_tasks")]


class Nothing(Parameters):
    """No arguments."""


def schedule_task(desk: Desk) -> Tool[ScheduleIt]:
    """Makes a schedule."""

    async def run(given: ScheduleIt) -> str:
        if (given.when is None) == (given.recurrence is None):
            raise Refused("Give either `when`, for once, or `recurrence`, for again and again.")
        return await act(desk, ScheduleTask(**given.model_dump()))

    return Tool(
        "schedule_task",
        "Have yourself asked to do something in this conversation at a time, once or again and again.",
        ScheduleIt,
        run,
    )


def list_tasks(desk: Desk) -> Tool[Nothing]:
    """Lists the schedules of the conversation."""

    async def run(_: Nothing) -> str:
        found = desk.schedules()
        if found is None:
            raise Refused("The list cannot be read at this moment; try again.")
        return "\n".join(map(_line, found)) or "Nothing is scheduled in this conversation."

    return Tool("list_tasks", "What is scheduled in this conversation, the next one first.", Nothing, run)


def update_task(desk: Desk) -> Tool[UpdateIt]:
    """Changes a schedule."""

    async def run(given: UpdateIt) -> str:
        changes = given.model_dump(exclude={"id"})
        if all(value is None for value in changes.values()):
            raise Refused("Give what is to be changed: prompt, when, recurrence, timezone or script.")
        if given.when is not None and given.recurrence is not None:
            raise Refused("Give either `when`, for once, or `recurrence`, for again and again.")
        return await act(desk, UpdateTask(series_id=given.id, **changes))

    return Tool("update_task", "Change what is scheduled; what you leave out stays as it is.", UpdateIt, run)


def pause_task(desk: Desk) -> Tool[TaskId]:
    """Lets a schedule rest."""
    return _change(desk, "pause_task", "Let a schedule rest until it is resumed.")


def resume_task(desk: Desk) -> Tool[TaskId]:
    """Lets a schedule go on."""
    return _change(desk, "resume_task", "Let a paused schedule go on; what it missed is not made up for.")


def cancel_task(desk: Desk) -> Tool[TaskId]:
    """Ends a schedule."""
    return _change(desk, "cancel_task", "End a schedule for good.")


def _change(
    desk: Desk, name: Literal["pause_task", "resume_task", "cancel_task"], description: str
) -> Tool[TaskId]:
    async def run(given: TaskId) -> str:
        return await act(desk, ChangeTask(action=name, series_id=given.id))

    return Tool(name, description, TaskId, run)


def _line(schedule: Schedule) -> str:
    when = schedule.recurrence or "at a time that cannot be told any more"
    state = (
        schedule.status if schedule.next_at is None else f"next {_time(schedule.next_at, schedule.timezone)}"
    )
    prompt = " ".join(schedule.prompt.split())
    shown = prompt if len(prompt) <= SHOWN_CHARS else prompt[: SHOWN_CHARS - 1] + "…"
    return f"{schedule.series_id}: {when}; {state}: {shown}"


def _time(at: int, zone: str | None) -> str:
    """A container may lack the zones that the host has."""
    try:
        place: tzinfo = UTC if zone in (None, "UTC") else ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        place = UTC
    return datetime.fromtimestamp(at / 1000, place).strftime("%Y-%m-%d %H:%M %Z")
