"""Schedules in the chat: what is confirmed with a button, what can be pressed beneath one, whose they are, and the days
on which clocks change."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from adapters.base import Receipt, Sender
from bot.db import people
from tests.fakes.platform import FakePlatform
from tests.service.conftest import House

OTHER: Final = Sender("u3", "Cy")
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS


def at(said: str, zone: str) -> int:
    """A wall-clock time of a zone, in epoch milliseconds."""
    return round(datetime.fromisoformat(said).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


async def press(p: FakePlatform, receipt: Receipt, button: str, **more: Any) -> Receipt:
    """Presses a button beneath an answer."""
    assert receipt.ask is not None, receipt.text
    return await p.press(receipt.ask, button, **more)


def labels(receipt: Receipt) -> list[str]:
    """What can be pressed beneath an answer."""
    return [] if receipt.ask is None else list(receipt.ask.options)


async def test_a_schedule_is_confirmed_rested_and_ended_with_buttons(house: House) -> None:
    async with house.open() as p:
        asked = await p.order("schedule create", order="every monday at 8 Europe/Athens: Say what is due")
        assert labels(asked) == ["Confirm", "Cancel"] and not house.query("SELECT 1 FROM series")
        kept = await press(p, asked, "Confirm")
        assert kept.state == "accepted" and labels(kept) == ["Pause", "Run now", "Cancel"], kept.text
        assert (kept.data["prompt"], kept.data["timezone"]) == ("Say what is due", "Europe/Athens")
        assert kept.data["next"] == asked.data["next"]

        paused = await press(p, kept, "Pause")
        assert labels(paused) == ["Resume", "Run now", "Cancel"]
        assert (await p.order("schedule list")).data[0]["status"] == "paused"
        resumed = await press(p, paused, "Resume")
        ran = await press(p, resumed, "Run now")
        assert ran.state == "accepted"
        assert await p.replies(1)

        shown = await p.order("schedule show", id=kept.data["id"])
        assert labels(shown) == ["Pause", "Run now", "Cancel"]
        would = await press(p, shown, "Cancel")
        assert labels(would) == ["Yes, cancel it", "Pause"] and "would end for good" in (would.text or "")
        ended = await press(p, would, "Yes, cancel it")
        assert ended.data["status"] == "cancelled"
        again = await press(p, ended, "Make it again")
        assert again.data["next"] == asked.data["next"] and labels(again) == ["Confirm", "Cancel"]


async def test_nothing_is_kept_of_what_is_not_confirmed(house: House) -> None:
    async with house.open() as p:
        asked = await p.order("schedule create", when="daily at 8", prompt="hello")
        assert (await press(p, asked, "Cancel")).text == "Nothing is kept."
        late = await press(p, asked, "Confirm")
        assert late.state == "refused" and "Nothing is kept." in (late.text or "")
        assert not house.query("SELECT 1 FROM series")
        twice = await p.order("schedule create", when="daily at 8", prompt="hello")
        await asyncio.gather(press(p, twice, "Confirm"), press(p, twice, "Confirm"))
        assert len(house.query("SELECT 1 FROM series")) == 1


async def test_what_counts_from_now_is_kept_as_it_was_shown(house: House) -> None:
    async with house.open() as p:
        asked = await p.order("schedule create", when="in 10 minutes", prompt="hello")
        house.clock_ahead_ms += 5 * MINUTE_MS
        kept = await press(p, asked, "Confirm")
        assert kept.data["next"] == asked.data["next"]
        late = await p.order("schedule create", when="in 10 minutes", prompt="hello")
        house.clock_ahead_ms += 12 * MINUTE_MS
        refused = await press(p, late, "Confirm")
        assert refused.text == "This time is in the past: say one that is to come."


async def test_the_admin_of_an_agent_has_its_schedules_and_no_others(house: House) -> None:
    house.agents = {"assistant": house.agent, "other": house.agent}
    house.wirings = [{"channel": "fake", "place": "p2", "agent": "other"}]
    async with house.open() as p:
        await house.app.db.write(lambda db: people.grant(db, "fake", OTHER.id, "admin", now=1, agent="other"))
        mine = await p.order(
            "schedule create", place="fake:p2", when="daily at 8", prompt="x", yes="true", by=OTHER
        )
        assert mine.state == "accepted", mine.text
        theirs = await p.order("schedule create", when="daily at 8", prompt="x", yes="true")
        assert (
            await p.order("schedule create", when="daily at 8", prompt="x", yes="true", by=OTHER)
        ).state == "refused"
        for command in ("show", "pause", "resume", "run", "cancel", "history"):
            refused = await p.order(f"schedule {command}", id=theirs.data["id"], by=OTHER, at="p5")
            assert (refused.state, refused.text) == (
                "refused",
                f"There is no schedule {theirs.data['id']}; `/roost schedule list` shows them.",
            )
            assert (await p.order(f"schedule {command}", id=mine.data["id"], by=OTHER)).state == "accepted"
        listed = await p.order("schedule list", session="all", by=OTHER)
        assert [each["id"] for each in listed.data] == [mine.data["id"]]
        assert len((await p.order("schedule list", session="all")).data) == 2


async def test_a_schedule_made_for_another_place_answers_there(house: House) -> None:
    async with house.open() as p:
        event = await p.order("schedule create", order="yes daily at 8: hello", place="fake:p7")
        assert event.state == "accepted", event.text
        await press(p, event, "Run now")
        assert await p.replies(1, place="p7")
        assert p.texts("p1") == []


# ---------------------------------------------------------------- the days on which clocks change


@pytest.mark.parametrize(
    ("zone", "said", "begin", "due"),
    [
        pytest.param(
            "Europe/Athens",
            "daily at 3:30",
            "2027-03-26 12:00",
            ["2027-03-27 03:30", "2027-03-28 04:00", "2027-03-29 03:30"],
            id="in the spring gap at the next minute that there is",
        ),
        pytest.param(
            "America/New_York",
            "every sunday at 2:30",
            "2027-03-08 12:00",
            ["2027-03-14 03:00", "2027-03-21 02:30"],
            id="weekly likewise",
        ),
        pytest.param(
            "America/New_York",
            "daily at 1:30",
            "2027-11-06 12:00",
            ["2027-11-07 01:30", "2027-11-08 01:30"],
            id="in the autumn overlap once, the first time",
        ),
        pytest.param(
            "Europe/Athens",
            "every sunday at 3:30",
            "2027-10-30 12:00",
            ["2027-10-31 03:30", "2027-11-07 03:30"],
            id="weekly likewise, in autumn",
        ),
    ],
)
async def test_a_schedule_keeps_its_time_of_day_when_clocks_change(
    house: House, zone: str, said: str, begin: str, due: list[str]
) -> None:
    real = house.now()
    house.clock_ahead_ms = at(begin, zone) - real
    async with house.open() as p:
        kept = await p.order("schedule create", when=said, prompt="hello", timezone=zone, yes="true")
        assert kept.state == "accepted", kept.text
        times = [at(each, zone) for each in due]
        for number, moment in enumerate(times, start=1):
            # An hour and a half behind it, which in autumn is where the time is shown again.
            house.clock_ahead_ms += moment - house.now() + 1_000
            house.app.context.schedules.have_changed(kept.data["session"])
            await p.replies(number)
            house.clock_ahead_ms += 90 * MINUTE_MS
            house.app.context.schedules.have_changed(kept.data["session"])
            await house.until_quiet()
        runs = [row["due_at"] for row in house.query("SELECT due_at FROM runs ORDER BY due_at")]
        assert runs == times
