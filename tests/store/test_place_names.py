"""The names of places: kept where admins have set something, whenever an adapter tells of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from agent.protocol.messages import Route
from bot.db import places
from bot.db.engine import Database, open_database
from bot.db.places import Place
from bot.engage import Wiring
from bot.place_names import PlaceNames
from bot.wirings import Configured, Wirings

ROUTE = Route(channel="discord", platform_id="7")


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(tmp_path / "bot.db")
    await opened.write(partial(places.put, place=Place("discord", "7", settings={"a": 1}), now=5))
    yield opened
    await opened.close()


def wirings() -> Wirings:
    return Wirings(Configured(Wiring("assistant"), {}, {}))


async def row(db: Database) -> Place:
    return await db.read(lambda db: places.get(db, "discord", "7"))


async def test_a_place_that_admins_have_set_gets_its_name_and_keeps_what_is_set(db: Database) -> None:
    known = wirings()
    names = PlaceNames(db, known)
    names.note("discord", "7", "general", gone=False)
    names.note("discord", "8", "elsewhere", gone=False)
    await names.write()
    assert await row(db) == Place("discord", "7", name="general", settings={"a": 1})
    here = known.place(ROUTE)
    assert here is not None and here.name == "general"
    assert await db.read(places.all_) == {("discord", "7"): await row(db)}
    assert names.of("discord", "8") == "elsewhere" and names.of("discord", "9") is None


async def test_what_is_deleted_says_so_under_its_last_name(db: Database) -> None:
    names = PlaceNames(db, wirings())
    names.note("discord", "7", "general", gone=False)
    names.note("discord", "7", "lobby", gone=False)
    names.note("discord", "7", None, gone=True)
    names.note("discord", "7", None, gone=True)
    names.note("discord", "8", None, gone=True)
    await names.write()
    assert (await row(db)).name == "lobby (deleted)"
    assert names.of("discord", "8") == "a channel (deleted)"


async def test_what_is_known_is_not_written_again(db: Database) -> None:
    names = PlaceNames(db, wirings())
    names.note("discord", "7", "general", gone=False)
    await names.write()
    await db.write(lambda db: db.execute("UPDATE places SET name = NULL"))
    names.note("discord", "7", "general", gone=False)
    await names.write()
    assert (await row(db)).name is None
