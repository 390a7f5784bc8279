"""Commands about how an agent serves a place: list, show, set, reset."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import Field

from agent.protocol.messages import Route
from bot import place_editing
from bot.access import may
from bot.commands import shown, wiring_options
from bot.commands.agent_names import AgentChoice
from bot.commands.channel import NOT_THERE, TAKEN_OVER
from bot.commands.context import Context
from bot.commands.place_names import AtPlace, Target, looked_up, named, scope
from bot.commands.refs import PlaceName
from bot.commands.registry import Command, Invocation, Parameters, Reply, Scope
from bot.commands.wiring_options import AgentAt, How
from bot.config_wiring import settings_of
from bot.db import audit, places
from bot.db.cards import Option
from bot.engage import Wiring
from bot.errors import CommandFailed

NOTHING_GIVEN: Final = (
    "Say what is to be otherwise, such as engage or strangers; `{command}` shows how it is."
)


class Which(Parameters):
    """A place, or all of them."""

    place: PlaceName | None = Field(None, description="the channel; left out: all of them")


class Reset(AtPlace):
    """An agent in a place, or the place as a whole."""

    agent: AgentChoice = Field("", max_length=60, description="the agent; left out: the whole place")
    yes: bool = Field(False, description="do it; else only say what would be done")


async def list_wirings(context: Context, invocation: Invocation, given: Which) -> Reply:
    """Who serves which place, one line for each."""
    if given.place is None:
        routes = [
            Route(channel=channel, platform_id=each) for channel, each in context.wirings.known_places()
        ]
    else:
        routes = [named(context, invocation, given.place).route]
    found = [(route, each) for route in routes for each in context.wirings.at(route)]
    mine = [(route, each) for route, each in found if may(invocation.standing.of(each.agent), "admin")]
    data = [_data(route, each) for route, each in mine]
    lines = [["PLACE", "AGENT", "HOW"]]
    lines += [
        [shown.place(route), each.agent, wiring_options.in_words(settings_of(each))] for route, each in mine
    ]
    return Reply(shown.table(lines) if data else "No place is wired.", data)


async def show(context: Context, invocation: Invocation, given: AgentAt) -> Reply:
    """How an agent serves a place, every setting."""
    target = await looked_up(context, invocation, given.place)
    wiring = context.wirings.by_agent(target.route, given.agent)
    if wiring is None:
        raise CommandFailed(NOT_THERE.format(agent=given.agent, place=target))
    data, own = _data(target.route, wiring), settings_of(wiring)
    lines = [["SETTING", "VALUE", ""]]
    lines += [
        [name, wiring_options.said(value), "" if name in own else "default"]
        for name, value in data["settings"].items()
    ]
    return Reply(f"{given.agent} in {target}\n{shown.table(lines)}", data)


async def set_(context: Context, invocation: Invocation, given: How) -> Reply:
    """Changes how an agent serves a place, only what is given."""
    target = await looked_up(context, invocation, given.place)
    wanted = given.given
    if not wanted:
        listing = invocation.spelled(f"wiring show {given.agent}")
        raise CommandFailed(NOTHING_GIVEN.format(command=listing))
    now, configured = context.clock(), context.wirings.configured_at(target.route)

    def work(db: sqlite3.Connection) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
        taken = place_editing.take_over(
            db, target.route, configured, default_too=_is_default(configured, given.agent), now=now
        )
        found = places.wiring(db, target.route.channel, target.route.platform_id, given.agent)
        if found is None:
            raise CommandFailed(NOT_THERE.format(agent=given.agent, place=target))
        made = place_editing.checked(target.route, given.agent, {**found, **wanted})
        before, after = _difference(wiring_options.whole(found), wiring_options.whole(made))
        if after:
            _write(db, target, given.agent, made, now=now)
            _record(db, invocation, "wiring set", target, given.agent, before, after, now=now)
        return taken, before, after

    taken, before, after = await context.db.write(work)
    await context.wirings.refresh(context.db)
    data = {"place": str(target), "agent": given.agent, "before": before, "after": after, "taken_over": taken}
    told = [
        f"{name} is {wiring_options.said(each)} now; it was {wiring_options.said(before[name])}."
        for name, each in after.items()
    ]
    text = [f"{given.agent} in {target}:", *(told or ["it is so already."])]
    arguments = {"place": _spelled(target), "agent": given.agent, **wiring_options.arguments(before)}
    undo = [Option("Undo", "wiring set", arguments)] if after else []
    return Reply(_lines([" ".join(text)], taken, target), data, undo)


async def reset(context: Context, invocation: Invocation, given: Reset) -> Reply:
    """Has an agent serve a place as config.toml, or the default, has it; or the whole place."""
    target = await looked_up(context, invocation, given.place)
    return await (_reset_one if given.agent else _reset_all)(context, invocation, given, target)


async def _reset_one(context: Context, invocation: Invocation, given: Reset, target: Target) -> Reply:
    now, configured = context.clock(), context.wirings.configured_at(target.route)
    to = next((settings_of(each) for each in configured if each.agent == given.agent and each.wired), {})
    there = context.wirings.by_agent(target.route, given.agent)
    if there is None:
        raise CommandFailed(NOT_THERE.format(agent=given.agent, place=target))
    if not given.yes:
        text = f"{given.agent} would serve {target} so again: {wiring_options.in_words(to)}."
        return _unconfirmed(invocation, given, target, text)

    def work(db: sqlite3.Connection) -> tuple[dict[str, Any], dict[str, Any]]:
        place_editing.take_over(
            db, target.route, configured, default_too=_is_default(configured, given.agent), now=now
        )
        found = places.wiring(db, target.route.channel, target.route.platform_id, given.agent)
        if found is None:
            raise CommandFailed(NOT_THERE.format(agent=given.agent, place=target))
        before, after = _difference(wiring_options.whole(found), wiring_options.whole(to))
        _write(db, target, given.agent, to, now=now)
        _record(db, invocation, "wiring reset", target, given.agent, before, after, now=now)
        return before, after

    before, after = await context.db.write(work)
    await context.wirings.refresh(context.db)
    data = {"place": str(target), "agent": given.agent, "before": before, "after": after}
    text = f"{given.agent} serves {target} so again: {wiring_options.in_words(to)}."
    arguments = {"place": _spelled(target), "agent": given.agent, **wiring_options.arguments(before)}
    return Reply(text, data, [Option("Undo", "wiring set", arguments)] if before else [])


async def _reset_all(context: Context, invocation: Invocation, given: Reset, target: Target) -> Reply:
    now, route = context.clock(), target.route
    found = context.wirings.place(route)
    if found is None or not found.wired:
        raise CommandFailed(f"Who serves {target} was not changed in the chat.")
    then = [each.agent for each in context.wirings.configured_at(route)]
    if not given.yes:
        text = f"{target} would be served by {' and '.join(then)} again, as config.toml has it."
        return _unconfirmed(invocation, given, target, text)

    def work(db: sqlite3.Connection) -> list[str]:
        place = places.get(db, route.channel, route.platform_id)
        before = {each.agent: settings_of(each) for each in place.wirings}
        for agent in before:
            places.unwire(db, route.channel, route.platform_id, agent)
        places.put(db, replace(place, wired=False), now=now)
        audit.record(
            db,
            invocation.by,
            "wiring reset",
            target.subject,
            now=now,
            before=before,
            after={"as": "config.toml"},
        )
        return list(before)

    was = await context.db.write(work)
    await context.wirings.refresh(context.db)
    text = f"{target} is served by {' and '.join(then)} again, as config.toml has it."
    return Reply(text, {"place": str(target), "was": was, "agents": then})


def _unconfirmed(invocation: Invocation, given: Reset, target: Target, text: str) -> Reply:
    fields = {"place": _spelled(target), "yes": "true", **({"agent": given.agent} if given.agent else {})}
    again = f"Nothing has changed yet; to do it, say the same with {invocation.option('yes')}."
    data = {"place": str(target), "agent": given.agent or None, "reset": False}
    return Reply(f"{text}\n{again}", data, [Option("Yes, reset it", "wiring reset", fields)])


def _is_default(configured: Sequence[Wiring], agent: str) -> bool:
    """Whether the agent serves there only because nobody has decided who does."""
    return any(each.agent == agent and not each.wired for each in configured)


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    changed = [name for name in after if after[name] != before[name]]
    return {name: before[name] for name in changed}, {name: after[name] for name in changed}


def _write(
    db: sqlite3.Connection, target: Target, agent: str, settings: Mapping[str, Any], *, now: int
) -> None:
    places.wire(db, target.route.channel, target.route.platform_id, agent, settings, now=now)


def _record(
    db: sqlite3.Connection,
    invocation: Invocation,
    action: str,
    target: Target,
    agent: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    now: int,
) -> None:
    subject = f"wiring:{target}:{agent}"
    audit.record(
        db, invocation.by, action, subject, now=now, agent=agent, before=dict(before), after=dict(after)
    )


def _lines(text: list[str], taken: Sequence[str], target: Target) -> str:
    if taken:
        text = [*text, TAKEN_OVER.format(agents=", ".join(taken))]
    return "\n".join([*text, *([target.remark] if target.remark else [])])


def _spelled(target: Target) -> str:
    return f"{target.route.channel}:{target.route.platform_id}"


def _data(route: Route, wiring: Wiring) -> dict[str, Any]:
    return {
        "place": shown.place(route),
        "channel": route.channel,
        "platform_id": route.platform_id,
        "agent": wiring.agent,
        "decided": wiring.wired,
        "settings": wiring_options.whole(settings_of(wiring)),
    }


async def about_list(_: Context, invocation: Invocation, __: Which) -> Scope:
    """Whoever is an admin of any agent may list; each sees their own."""
    return Scope.of_any(invocation.standing)


async def about(_: Context, __: Invocation, given: AgentAt) -> Scope:
    """The agent that is named."""
    return Scope(given.agent)


async def about_reset(context: Context, invocation: Invocation, given: Reset) -> Scope:
    """The agent that is named; without one all that serve there, and those that config.toml would have serve."""
    if given.agent:
        return Scope(given.agent)
    route = named(context, invocation, given.place).route
    return scope([*context.wirings.at(route), *context.wirings.configured_at(route)], invocation, all_=True)


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "wiring list", "who serves which place, and how", Which, list_wirings, level="admin", about=about_list
    ),
    Command("wiring show", "how an agent serves a place", AgentAt, show, level="admin", about=about),
    Command(
        "wiring set",
        "change how an agent serves a place",
        How,
        set_,
        level="admin",
        about=about,
        changes=True,
    ),
    Command(
        "wiring reset",
        "have a place be as config.toml has it",
        Reset,
        reset,
        level="admin",
        about=about_reset,
        changes=True,
    ),
)
