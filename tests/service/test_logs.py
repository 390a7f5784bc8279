"""What the log says of a message that does not come through: whose it is, and why."""

from __future__ import annotations

from typing import Any

import pytest

from bot.turns import GAVE_UP
from tests.service.conftest import House

BACKENDS = ("process", "docker")


def lines(caplog: pytest.LogCaptureFixture, start: str) -> list[dict[str, Any]]:
    said = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [line for line in said if str(line["event"]).startswith(start)]


async def test_tries_and_their_end_are_told_with_ids_and_reason(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.script({"match": "crash", "steps": [{"do": "kill"}]})
    house.turns["max_tries"] = 2
    async with house.open() as p:
        await p.say("crash")
        await p.ends(1)
        (message,) = house.query("SELECT id FROM inbox WHERE trigger = 1")
        ids = (house.session_id(), message["id"])
        tries = lines(caplog, f"a try is used up: its container ended, exit code {house.killed}")
        assert [(t["session"], t["message"], t["level"]) for t in tries] == [(*ids, "warning")] * 2
        (end,) = lines(caplog, f"a message is given up: {GAVE_UP.format(tries=2)}")
        assert (end["session"], end["message"], end["level"]) == (*ids, "error")


async def test_whatever_happens_on_the_way_of_a_message_names_it(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.platform.failures.append(RuntimeError("a fault of its own"))
    async with house.open() as p:
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]
        (message,) = house.query("SELECT id FROM inbox WHERE trigger = 1")
        (line,) = lines(caplog, "an adapter failed")
        assert (line["session"], line["message"]) == (house.session_id(), message["id"])
