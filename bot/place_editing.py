"""What admins change of a place in the chat, each a piece of a transaction: which agents serve it, how, and what holds
for all of it.

The first change of who serves a place takes over what config.toml has for it; from then on the place is served by what
stands in bot.db alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError

from agent.protocol.messages import Route
from bot.config_errors import said
from bot.config_wiring import PLACED, WiringConfig, settings_of
from bot.db import places
from bot.engage import Wiring
from bot.errors import CommandFailed
from bot.place_settings import PlaceSettings

NOT_POSSIBLE: Final = "It cannot be so: {why}."

Settings = Mapping[str, Any]


def take_over(
    db: sqlite3.Connection, place: Route, configured: Sequence[Wiring], *, default_too: bool, now: int
) -> list[str]:
    """Has a place be served by what stands in bot.db alone, with what config.toml has for it (`configured`) to begin
    with; returns the agents whose wirings were taken over. What holds only because nobody has decided anything is taken
    over with `default_too`."""
    found = places.get(db, place.channel, place.platform_id)
    if found.wired:
        return []
    taken = [each for each in configured if each.wired or default_too]
    for number, each in enumerate(taken):
        # The time is their rank.
        places.wire(db, place.channel, place.platform_id, each.agent, settings_of(each), now=now + number)
    places.put(db, replace(found, wired=True), now=now)
    return [each.agent for each in taken]


def wire(db: sqlite3.Connection, place: Route, agent: str, settings: Settings, *, now: int) -> Settings:
    """Has an agent serve a place that was taken over, behind those that do; returns what differs from the defaults.
    Raises CommandFailed."""
    made = checked(place, agent, settings)
    rank = max(_ranks(db, place), default=0)
    places.wire(db, place.channel, place.platform_id, agent, made, now=max(now, rank + 1))
    return made


def checked(place: Route, agent: str, settings: Settings) -> dict[str, Any]:
    """The settings of a wiring that differ from the defaults. Raises CommandFailed where they cannot be."""
    given = {"channel": place.channel, "place": place.platform_id, "agent": agent}
    try:
        found = WiringConfig.model_validate({**settings, **given})
    except ValidationError as exc:
        raise CommandFailed(NOT_POSSIBLE.format(why=_why(exc))) from None
    return found.model_dump(exclude=set(PLACED), exclude_defaults=True)


def configure(db: sqlite3.Connection, place: Route, key: str, value: Any, *, now: int) -> tuple[Any, Any]:
    """Sets what holds for a whole place; None: as it is where nobody has said anything. Returns what it was and is.
    Raises CommandFailed."""
    found = places.get(db, place.channel, place.platform_id)
    settings = {name: each for name, each in found.settings.items() if name != key}
    try:
        after = getattr(PlaceSettings.model_validate({key: value} if value is not None else {}), key)
    except ValidationError as exc:
        raise CommandFailed(NOT_POSSIBLE.format(why=_why(exc))) from None
    before = found.settings.get(key)
    if value is not None:
        settings[key] = after
    places.put(db, replace(found, settings=settings), now=now)
    return before, settings.get(key)


def _ranks(db: sqlite3.Connection, place: Route) -> list[int]:
    rows = db.execute(
        "SELECT wired_at FROM wirings WHERE channel = ? AND platform_id = ?",
        (place.channel, place.platform_id),
    )
    return [row["wired_at"] for row in rows]


def _why(exc: ValidationError) -> str:
    error = exc.errors(include_input=False, include_url=False)[0]
    where, why = ".".join(str(each) for each in error["loc"]), said(error)
    gap = " " if why.startswith("should") else ": "
    return (f"{where}{gap}{why}" if where else why).removesuffix(".")
