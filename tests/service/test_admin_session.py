"""The same administration session, by two surfaces: it comes to the same."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from bot import control_client
from tests.service import admin_session
from tests.service.admins import done
from tests.service.conftest import House

IDS = {"person": "u77", "place": "p70", "other": "p71"}


def state(house: House) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(house.data / "bot.db")) as db:
        return admin_session.state(db, channel="fake", **IDS)


def new_house(root: Path) -> House:
    house = House(root)
    house.agents = {"helper": house.agent}
    return house


async def test_it_comes_to_the_same_by_the_command_line_and_in_a_channel(tmp_path: Path) -> None:
    by_socket, in_channel = new_house(tmp_path / "a"), new_house(tmp_path / "b")
    steps = admin_session.session(**{name: f"fake:{value}" for name, value in IDS.items()})
    async with by_socket.open():
        for words, given in steps:
            await control_client.ask(by_socket.data / "control.sock", words.split(), given)
    async with in_channel.open() as p:
        for words, given in steps:
            await done(p, words, at="p1", **given)
    found = state(by_socket)
    assert found == state(in_channel)
    assert sorted((row["name"], row["deleted_at"]) for row in found["agents"]) == [
        ("gone", True),
        ("reviewer", False),
        ("twin", False),
    ]
    assert sorted((row["platform_id"], row["agent"]) for row in found["wirings"]) == [
        ("{other}", "reviewer"),
        ("{place}", "reviewer"),
    ]
    assert [row["name"] for row in found["destinations"]] == ["news"]
    assert [(row["user_id"], row["agent"], row["role"]) for row in found["roles"]] == [
        ("{person}", "reviewer", "admin")
    ]
    assert "made-up" not in str(found["audit"]) and len(found["audit"]) >= len(steps)
    by_socket.close()
    in_channel.close()
