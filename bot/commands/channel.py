"""Commands about places: list, show, wire, unwire."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from pydantic import Field

from agent.protocol.messages import Route
from bot import place_editing, place_settings
from bot.access import may
from bot.commands import shown, wiring_options
from bot.commands.agent_names import AgentChoice, existing
from bot.commands.context import Context
from bot.commands.place_names import HERE, AtPlace, Target, about_any, looked_up, named, scope
from bot.commands.registry import Command, Invocation, NoParameters, Reply, Scope
from bot.commands.wiring_options import How
from bot.config_wiring import settings_of
from bot.db import audit, places
from bot.db import sessions as rows
from bot.db.cards import Option
from bot.engage import Wiring
from bot.errors import CommandFailed

LISTED: Final = 200
TAKEN_OVER: Final = (
    "What config.toml has for this place ({agents}) was taken over:"
    " from now on only what is set in the chat counts here."
)
ALREADY: Final = "{agent} serves {place} already; `{command}` changes how."
NOT_THERE: Final = "{agent} does not serve {place}."
NOBODY: Final = "Nobody answers there now."


class Unwire(AtPlace):
    """An agent in a place, or all of them."""

    agent: AgentChoice = Field("", max_length=60, description="the agent; left out: all that serve there")


async def list_channels(context: Context, invocation: Invocation, _: NoParameters) -> Reply:
    """Every place that is wired or has been talked in, with who serves it."""
    active = await context.db.read(lambda db: rows.active_places(db, LISTED))
    at = {(channel, platform_id): last for channel, platform_id, last in active}
    found = [
        _place(context, Route(channel=channel, platform_id=platform_id), at.get((channel, platform_id)))
        for channel, platform_id in [
            *at,
            *(each for each in context.wirings.known_places() if each not in at),
        ]
    ]
    standing = invocation.standing
    data = [
        each
        for each in found
        if may(standing.everywhere, "admin")
        or any(may(standing.of(wiring["agent"]), "admin") for wiring in each["wirings"])
    ]
    lines = [["PLACE", "NAME", "AGENTS", "LAST ACTIVE", "BY"]]
    lines += [
        [
            each["place"],
            each["name"] or "",
            ", ".join(f"{w['agent']} ({w['settings']['engage']})" for w in each["wirings"]) or "nobody",
            each["last_active"] or "",
            each["by"],
        ]
        for each in data
    ]
    return Reply(shown.table(lines) if data else "No place is wired, and nobody has talked yet.", data)


async def show(context: Context, invocation: Invocation, given: AtPlace) -> Reply:
    """One place: who serves it, how, and what holds for all of it."""
    target = await looked_up(context, invocation, given.place)
    data = _place(context, target.route, None)
    lines = [f"{data['place']}{' ' + data['name'] if data['name'] else ''} ({data['by']})"]
    lines += [
        f"{each['agent']}: {wiring_options.in_words(each['settings'])}" for each in data["wirings"]
    ] or [NOBODY]
    lines += [f"{name}: {wiring_options.said(value)}" for name, value in data["settings"].items()]
    return Reply("\n".join([*lines, *([target.remark] if target.remark else [])]), data)


async def wire(context: Context, invocation: Invocation, given: How) -> Reply:
    """Has an agent serve a place."""
    existing(context, invocation, given.agent)
    target = await looked_up(context, invocation, given.place)
    change = invocation.spelled(f"wiring set {target.route.channel}:{target.route.platform_id} {given.agent}")
    now, configured = context.clock(), context.wirings.configured_at(target.route)
    # Whoever may command one agent only takes no place away from another that serves it because nobody has decided.
    keep = any(not may(invocation.standing.of(each.agent), "admin") for each in configured)

    def work(db: sqlite3.Connection) -> list[str]:
        taken = place_editing.take_over(db, target.route, configured, default_too=keep, now=now)
        if places.wiring(db, *_key(target), given.agent) is not None:
            raise CommandFailed(ALREADY.format(agent=given.agent, place=target, command=change))
        made = place_editing.wire(db, target.route, given.agent, given.given, now=now)
        audit.record(
            db, invocation.by, "channel wire", target.subject, now=now, agent=given.agent,
            after={"agent": given.agent, **made, **({"taken_over": taken} if taken else {})},
        )  # fmt: skip
        return taken

    taken = await context.db.write(work)
    await context.wirings.refresh(context.db)
    wiring = context.wirings.by_agent(target.route, given.agent)
    settings = {} if wiring is None else settings_of(wiring)
    text = [f"{given.agent} serves {_there(given.place, target)} now: {_engages(wiring)}."]
    undo = Option("Undo", "channel unwire", {"place": str(target).replace("/", ":"), "agent": given.agent})
    data = {"place": str(target), "agent": given.agent, "settings": settings, "taken_over": taken}
    return _answer(text, taken, target, data, [undo])


async def unwire(context: Context, invocation: Invocation, given: Unwire) -> Reply:
    """Has an agent, or all of them, serve a place no more."""
    target = await looked_up(context, invocation, given.place)
    now, configured = context.clock(), context.wirings.configured_at(target.route)

    def work(db: sqlite3.Connection) -> tuple[list[str], dict[str, Any]]:
        taken = place_editing.take_over(db, target.route, configured, default_too=True, now=now)
        there = [each.agent for each in places.get(db, *_key(target)).wirings]
        going = [given.agent] if given.agent else there
        if not set(going) & set(there):
            agent = given.agent or "Anybody"
            raise CommandFailed(NOT_THERE.format(agent=agent, place=_there(given.place, target)))
        gone = {}
        for agent in going:
            gone[agent] = dict(places.wiring(db, *_key(target), agent) or {})
            places.unwire(db, *_key(target), agent)
            audit.record(
                db, invocation.by, "channel unwire", target.subject, now=now, agent=agent,
                before={"agent": agent, **gone[agent]},
            )  # fmt: skip
        return taken, gone

    taken, gone = await context.db.write(work)
    await context.wirings.refresh(context.db)
    left = [each.agent for each in context.wirings.at(target.route)]
    place = str(target).replace("/", ":")
    text = [
        f"{' and '.join(gone)} {'serves' if len(gone) == 1 else 'serve'} {_there(given.place, target)} no more.",
        f"{' and '.join(left)} {'does' if len(left) == 1 else 'do'}." if left else NOBODY,
    ]
    undo = [
        Option(
            f"Wire {agent} again",
            "channel wire",
            {"place": place, "agent": agent, **wiring_options.arguments(settings)},
        )
        for agent, settings in gone.items()
    ]
    data = {"place": str(target), "unwired": list(gone), "left": left, "taken_over": taken}
    return _answer(text, [each for each in taken if each not in gone], target, data, undo)


def _key(target: Target) -> tuple[str, str]:
    return target.route.channel, target.route.platform_id


def _there(text: str, target: Target) -> str:
    return "this place" if text.lower() == HERE else str(target)


def _engages(wiring: Wiring | None) -> str:
    """What it takes to be answered, in words."""
    if wiring is None:
        return "nothing is for it"
    return {
        "mention": "what mentions the bot is for it",
        "mention-sticky": "what mentions the bot is for it, and then all of that thread",
        "all": "everything that is said there is for it",
        "pattern": f"what mentions the bot is for it, and what fits {wiring.pattern}",
    }.get(wiring.mode, wiring.mode)


def _answer(
    text: list[str], taken: Sequence[str], target: Target, data: dict[str, Any], buttons: Sequence[Option]
) -> Reply:
    if taken:
        text = [*text, TAKEN_OVER.format(agents=", ".join(taken))]
    if target.remark:
        text = [*text, target.remark]
    return Reply("\n".join(text), data, buttons)


def _place(context: Context, route: Route, last_active: int | None) -> dict[str, Any]:
    key = route.channel, route.platform_id
    place, wirings = context.wirings.place(route), context.wirings.at(route)
    settings = context.wirings.settings(route)
    by_chat = place is not None and place.wired
    decided = any(each.wired for each in wirings)
    return {
        "place": shown.place(route),
        "channel": route.channel,
        "platform_id": route.platform_id,
        "name": context.place_names.of(*key) or (None if place is None else place.name),
        "by": "wired in the chat" if by_chat else "config.toml" if decided else "nobody has decided",
        "last_active": None if last_active is None else shown.iso(last_active),
        "wirings": [
            {"agent": each.agent, "settings": wiring_options.whole(settings_of(each))} for each in wirings
        ],
        "settings": settings.model_dump(mode="json") if settings != place_settings.NOTHING else {},
    }


async def about_list(_: Context, invocation: Invocation, __: NoParameters) -> Scope:
    """Whoever is an admin of any agent may list; each sees where it serves."""
    return Scope.of_any(invocation.standing)


async def about_agent(_: Context, __: Invocation, given: How) -> Scope:
    """The agent that is wired."""
    return Scope(given.agent)


async def about_unwired(context: Context, invocation: Invocation, given: Unwire) -> Scope:
    """The agent that is named; without one all that serve there."""
    if given.agent:
        return Scope(given.agent)
    served = context.wirings.at(named(context, invocation, given.place).route)
    return scope(served, invocation, all_=True)


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "channel list",
        "the places, and who serves them",
        NoParameters,
        list_channels,
        level="admin",
        about=about_list,
    ),
    Command("channel show", "who serves a place, and how", AtPlace, show, level="admin", about=about_any),
    Command(
        "channel wire",
        "have an agent serve a place",
        How,
        wire,
        level="admin",
        about=about_agent,
        changes=True,
    ),
    Command(
        "channel unwire",
        "have an agent serve a place no more",
        Unwire,
        unwire,
        level="admin",
        about=about_unwired,
        changes=True,
    ),
)
