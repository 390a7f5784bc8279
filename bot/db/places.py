"""The places and wirings tables: what admins have set for a place in the chat, and which agents serve it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from bot import log
from bot.config_wiring import WiringConfig
from bot.engage import Wiring

_LIVING: Final = (
    "SELECT * FROM wirings WHERE agent NOT IN (SELECT name FROM agents WHERE deleted_at IS NOT NULL)"
)

_log = log.get("roost.places")


@dataclass(frozen=True)
class Place:
    """A row of places with its wirings. One that is `wired` is served by these alone, also where there are none;
    another one as config.toml has it. `settings` hold for all its agents; which there are, PlaceSettings says."""

    channel: str
    platform_id: str
    name: str | None = None
    wired: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    wirings: Sequence[Wiring] = ()


def all_(db: sqlite3.Connection) -> dict[tuple[str, str], Place]:
    """Every place that admins have set something for. An agent that was deleted serves nowhere, until it is brought
    back."""
    wirings: dict[tuple[str, str], list[Wiring]] = {}
    for row in db.execute(f"{_LIVING} ORDER BY wired_at, agent"):
        if (wiring := _wiring(row)) is not None:
            wirings.setdefault((row["channel"], row["platform_id"]), []).append(wiring)
    found = {}
    for row in db.execute("SELECT * FROM places"):
        key = row["channel"], row["platform_id"]
        found[key] = Place(
            *key,
            name=row["name"],
            wired=bool(row["wired"]),
            settings=json.loads(row["settings"]),
            wirings=tuple(wirings.get(key, ())),
        )
    return found


def get(db: sqlite3.Connection, channel: str, platform_id: str) -> Place:
    """What is set for a place; nothing is a place as well."""
    return all_(db).get((channel, platform_id), Place(channel, platform_id))


def put(db: sqlite3.Connection, place: Place, *, now: int) -> None:
    """Keeps what is set for a place, but for its wirings."""
    db.execute(
        "INSERT INTO places VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (channel, platform_id) DO UPDATE SET"
        " name = ?3, wired = ?4, settings = ?5, changed_at = ?6",
        (place.channel, place.platform_id, place.name, place.wired, json.dumps(dict(place.settings)), now),
    )


def served_by(db: sqlite3.Connection, agent: str) -> list[tuple[str, str]]:
    """The places that admins have wired to an agent, also to one that was deleted."""
    rows = db.execute(
        "SELECT channel, platform_id FROM wirings WHERE agent = ? ORDER BY channel, platform_id", (agent,)
    )
    return [(row["channel"], row["platform_id"]) for row in rows]


def wiring(db: sqlite3.Connection, channel: str, platform_id: str, agent: str) -> Mapping[str, Any] | None:
    """What differs from the defaults in the wiring of one agent in a place; None: it has none there."""
    row = db.execute(
        "SELECT settings FROM wirings WHERE channel = ? AND platform_id = ? AND agent = ?",
        (channel, platform_id, agent),
    ).fetchone()
    return None if row is None else json.loads(row["settings"])


def differing(db: sqlite3.Connection, names: Mapping[tuple[str, str], str]) -> bool:
    """Whether one of these places has a row with another name, or none."""
    rows = db.execute("SELECT channel, platform_id, name FROM places")
    return any(names.get((row["channel"], row["platform_id"]), row["name"]) != row["name"] for row in rows)


def rename(db: sqlite3.Connection, names: Mapping[tuple[str, str], str]) -> None:
    """What these places are called now, as far as they have rows. Nobody has decided that: it is no change of
    theirs."""
    db.executemany(
        "UPDATE places SET name = ? WHERE channel = ? AND platform_id = ?",
        [(name, *key) for key, name in names.items()],
    )


def wire(
    db: sqlite3.Connection,
    channel: str,
    platform_id: str,
    agent: str,
    settings: Mapping[str, Any],
    *,
    now: int,
) -> None:
    """Has an agent serve a place; `settings` are the fields of WiringConfig that differ from their defaults. One that
    serves there already keeps its rank among the others."""
    db.execute(
        "INSERT INTO wirings VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (channel, platform_id, agent) DO UPDATE SET"
        " settings = ?4",
        (channel, platform_id, agent, json.dumps(dict(settings)), now),
    )


def unwire(db: sqlite3.Connection, channel: str, platform_id: str, agent: str) -> bool:
    """Whether it served there until now."""
    changed = db.execute(
        "DELETE FROM wirings WHERE channel = ? AND platform_id = ? AND agent = ?",
        (channel, platform_id, agent),
    )
    return changed.rowcount == 1


def _wiring(row: sqlite3.Row) -> Wiring | None:
    """What an older or a newer Roost has written must not keep the service from starting: it fails closed."""
    try:
        given = {"channel": row["channel"], "place": row["platform_id"], "agent": row["agent"]}
        return WiringConfig.model_validate({**given, **json.loads(row["settings"])}).wiring(row["agent"])
    except (ValidationError, ValueError) as exc:
        _log.error("a wiring of %s/%s is not understood: %s", row["channel"], row["platform_id"], exc)
        return None
