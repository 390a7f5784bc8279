"""The command that sets what holds for a whole place: channel set."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, Final

from pydantic import Field

from adapters.offers import Suggestion
from bot import place_editing
from bot.commands import wiring_options
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.place_names import AtPlace, Target, looked_up, named, scope
from bot.commands.registry import Asked, Command, Invocation, Reply, Scope
from bot.db import audit, places
from bot.db.cards import Option
from bot.errors import CommandFailed
from bot.place_settings import PlaceSettings

STRANGERS: Final = "strangers"
"""No setting of the place, but of every wiring that it has."""
SERVICE: Final = frozenset({"approvals"})
"""What is about all agents: what any of them asks for is shown there."""
NONE: Final = "none"
KEYS: Final = (STRANGERS, *PlaceSettings.model_fields)
UNKNOWN: Final = "There is no setting {key} of a place; there are: {known}."
_FLAGS: Final = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}


async def keys(_: Context, asked: Asked) -> list[Suggestion]:
    """The settings of a place."""
    found = {STRANGERS: "What people without a role meet with, for every agent that serves here."}
    found |= {name: field.description or "" for name, field in PlaceSettings.model_fields.items()}
    return [Suggestion(key, f"{key}: {text}") for key, text in found.items() if asked.typed.lower() in key]


async def values(_: Context, asked: Asked) -> list[Suggestion]:
    """What the named setting may be."""
    key = asked.given.get("key", "")
    if key == STRANGERS:
        known = ["ignore", "refuse", "ask", "answer"]
    elif key.startswith("retention_"):
        known = ["7", "30", "90", "365", NONE]
    else:
        known = ["on", "off", NONE] if key in PlaceSettings.model_fields else []
    return [Suggestion(each, each) for each in known if asked.typed.lower() in each]


class Set(AtPlace):
    """A setting of a place."""

    key: Annotated[str, Completes(keys)] = Field(min_length=1, max_length=60, description="the setting")
    value: Annotated[str, Completes(values)] = Field(
        min_length=1, max_length=100, description=f"on, off, a number of days; {NONE}: as elsewhere"
    )


async def set_(context: Context, invocation: Invocation, given: Set) -> Reply:
    """Changes what holds for a whole place."""
    key = given.key.strip().lower().replace("-", "_")
    if key not in KEYS:
        raise CommandFailed(UNKNOWN.format(key=given.key[:40], known=", ".join(KEYS)))
    target = await looked_up(context, invocation, given.place)
    if key == STRANGERS:
        return await _strangers(context, invocation, target, given.value.strip().lower())
    return await _configure(context, invocation, target, key, _value(given.value))


async def _configure(context: Context, invocation: Invocation, target: Target, key: str, value: Any) -> Reply:
    now = context.clock()

    def work(db: sqlite3.Connection) -> tuple[Any, Any]:
        before, after = place_editing.configure(db, target.route, key, value, now=now)
        if before != after:
            audit.record(
                db,
                invocation.by,
                "channel set",
                target.subject,
                now=now,
                before={key: before},
                after={key: after},
            )
        return before, after

    before, after = await context.db.write(work)
    await context.wirings.refresh(context.db)
    text = f"{target}: {key} is {wiring_options.said(after)} now; it was {wiring_options.said(before)}."
    data = {"place": str(target), "before": {key: before}, "after": {key: after}}
    return _reply(text, target, data, key, before)


async def _strangers(context: Context, invocation: Invocation, target: Target, value: str) -> Reply:
    """The same of every agent that serves there."""
    now, configured = context.clock(), context.wirings.configured_at(target.route)
    route = target.route

    def work(db: sqlite3.Connection) -> tuple[list[str], dict[str, str]]:
        taken = place_editing.take_over(db, route, configured, default_too=True, now=now)
        before: dict[str, str] = {}
        for each in places.get(db, route.channel, route.platform_id).wirings:
            settings = dict(places.wiring(db, route.channel, route.platform_id, each.agent) or {})
            made = place_editing.checked(route, each.agent, {**settings, STRANGERS: value})
            before[each.agent] = each.strangers
            places.wire(db, route.channel, route.platform_id, each.agent, made, now=now)
            audit.record(
                db, invocation.by, "channel set", target.subject, now=now, agent=each.agent,
                before={STRANGERS: each.strangers}, after={STRANGERS: value},
            )  # fmt: skip
        if not before:
            raise CommandFailed(f"Nobody serves {target}, so nobody meets anybody there.")
        return taken, before

    taken, before = await context.db.write(work)
    await context.wirings.refresh(context.db)
    text = f"{target}: people without a role meet with {value} now, for {' and '.join(before)}."
    data = {
        "place": str(target),
        "before": before,
        "after": dict.fromkeys(before, value),
        "taken_over": taken,
    }
    was = set(before.values())
    return _reply(text, target, data, STRANGERS, was.pop() if len(was) == 1 else None)


def _reply(text: str, target: Target, data: dict[str, Any], key: str, before: Any) -> Reply:
    arguments = {"place": str(target).replace("/", ":"), "key": key, "value": wiring_options.said(before)}
    undo = [] if key == STRANGERS and before is None else [Option("Undo", "channel set", arguments)]
    return Reply(f"{text}\n{target.remark}" if target.remark else text, data, undo)


def _value(text: str) -> Any:
    """What somebody has written, as the settings have it; whether it fits is for them to say."""
    word = text.strip().lower()
    return None if word == NONE else _FLAGS.get(word, word)


async def about(context: Context, invocation: Invocation, given: Set) -> Scope:
    """All agents of the place; what is about every agent takes a role everywhere."""
    if given.key.strip().lower() in SERVICE:
        return Scope(None)
    served = context.wirings.at(named(context, invocation, given.place).route)
    return scope(served, invocation, all_=True)


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "channel set",
        "what holds for a whole place: strangers, approvals, retention",
        Set,
        set_,
        level="admin",
        about=about,
        changes=True,
    ),
)
