"""Too much at once and too late on Discord, over the wire: floods, a reconnect with what was missed, late answers."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from typing import Final

import pytest

from agent.protocol.clock import now_ms
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Place
from tests.service.conftest import House
from tests.service.test_actions import rule, use
from tests.service.test_discord_bad_input import answers
from tests.service.town import Town, wirings

FLOOD: Final = 200
FLOOD_SECONDS: Final = 60.0
"""A busy machine makes many small turns of it, and Discord takes one message of a channel in a second."""
BURST: Final = 50
STORM: Final = 500
CHANNELS: Final = 20
SAID: Final = re.compile(r"Yousaid:(\d+)")
LATE_MS: Final = 4_000
"""Discord waits for three seconds."""


class Clock:
    """Discord's, which a test can set forward."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return now_ms() + self.ahead_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def town(house: House, clock: Clock) -> AsyncIterator[Town]:
    async with DiscordServer(clock=clock) as discord:
        yield Town(house, discord)


def repeated(town: Town, place: Place) -> list[int]:
    """The numbers that the agent has repeated in a place, in their order, wherever its answers were cut."""
    return [int(each) for each in SAID.findall("".join("".join(answers(town, place)).split()))]


# ---------------------------------------------------------------- floods


async def test_200_messages_in_a_second_in_one_channel_are_all_answered_in_their_order(town: Town) -> None:
    town.house.wirings = wirings({"engage": "all", "threads": False, "streaming": False})
    town.house.limits = {"backlog": 2 * FLOOD}
    async with town.open():
        for number in range(FLOOD):
            town.ada.say(town.general, str(number))
        await town.discord.until(lambda: len(repeated(town, town.general)) == FLOOD, seconds=FLOOD_SECONDS)
        assert repeated(town, town.general) == list(range(FLOOD))
        await town.house.until_quiet_everywhere()
        assert town.discord.limited == []


async def test_200_messages_in_a_second_in_twenty_channels_are_answered_in_the_order_of_each(
    town: Town,
) -> None:
    places = [town.lab.channel(f"room-{number}") for number in range(CHANNELS)]
    town.house.wirings = wirings({"engage": "all", "threads": False, "streaming": False})
    numbers = list(range(FLOOD // CHANNELS))
    async with town.open():
        for number in numbers:
            for place in places:
                town.ada.say(place, str(number))
        await town.until(lambda: all(len(repeated(town, place)) == len(numbers) for place in places))
        assert [repeated(town, place) for place in places] == [numbers] * CHANNELS
        await town.house.until_quiet_everywhere()
        assert town.discord.limited == []


async def test_what_was_missed_comes_all_at_once_after_a_reconnect_and_nothing_is_lost(town: Town) -> None:
    town.house.wirings = wirings({"threads": False, "streaming": False})
    async with town.open():
        town.ada.say(town.general, "1", mention=[town.discord.bot])
        await town.until(lambda: repeated(town, town.general) == [1])
        asked = [1]
        town.discord.hub.drop()
        for number in range(STORM):
            town.bob.say(town.general, f"chat {number}")
            if number % 100 == 0:
                asked.append(number)
                town.ada.say(town.general, str(number), mention=[town.discord.bot])
        await town.until(lambda: len(repeated(town, town.general)) == len(asked))
        assert repeated(town, town.general) == asked
        (session,) = town.discord.hub.sessions
        assert len(session.resumes) == 1
        await town.house.until_quiet_everywhere()
        assert town.house.states() == {"done": len(asked)}


async def test_a_burst_that_discord_has_held_back_is_taken_in_its_order(town: Town) -> None:
    town.house.wirings = wirings({"engage": "all", "threads": False, "streaming": False})
    async with town.open():
        town.discord.hub.hold()
        for number in range(BURST):
            town.ada.say(town.general, str(number))
        town.discord.hub.release()
        await town.until(lambda: len(repeated(town, town.general)) == BURST)
        assert repeated(town, town.general) == list(range(BURST))


async def test_one_channel_that_cannot_be_read_after_a_gap_keeps_no_other_from_being_read(town: Town) -> None:
    odd, other = town.lab.channel("odd"), town.lab.channel("other")
    town.house.wirings = wirings({"threads": False, "streaming": False})
    async with town.open():
        town.ada.say(other, "1", mention=[town.discord.bot])
        await town.until(lambda: repeated(town, other) == [1])
    for place in (odd, other):
        town.ada.say(place, "2", mention=[town.discord.bot])
    broken = town.discord.fail("GET", f"/channels/{odd.id}/messages", status=200, body=[{"id": "1"}], times=9)
    async with town.open():
        await town.until(lambda: broken.met)
        await town.until(lambda: repeated(town, other) == [1, 2])


# ---------------------------------------------------------------- interactions that are answered too late


async def test_a_button_whose_answer_comes_too_late_counts_and_the_message_shows_it(
    town: Town, clock: Clock
) -> None:
    ask = use("ask_user_question", title="Tea", question="Tea or coffee?", options=["Tea", "Coffee"])
    town.house.script(rule("ask", ask, "You want {tool}"))
    dm = town.discord.dm(town.ada)
    async with town.open():
        town.ada.say(dm, "ask me")
        await town.until(lambda: any(each.components for each in dm.messages))
        question = next(each for each in dm.messages if each.components)
        town.discord.hub.hold()
        pressed = town.ada.click(question, "Tea")
        clock.ahead_ms += LATE_MS
        town.discord.hub.release()
        await town.until(lambda: any("You want" in each for each in answers(town, dm)))
        assert "Tea" in answers(town, dm)[-1]
        await town.until(lambda: not question.components)
        assert "**Ada** answered: Tea" in question.text
        assert pressed.callback is None, "Discord has not waited"


async def test_a_command_whose_answer_comes_too_late_is_logged_and_the_next_one_is_answered(
    town: Town, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    dm = town.discord.dm(town.ada)
    async with town.open():
        await town.until(
            lambda: any(each.method == "PUT" and "/commands" in each.path for each in town.discord.requests)
        )
        town.discord.hub.hold()
        given = town.ada.command("status", dm)
        clock.ahead_ms += LATE_MS
        with caplog.at_level(logging.WARNING, "roost.discord"):
            town.discord.hub.release()
            await town.until(lambda: any(each.path.endswith("/callback") for each in town.discord.requests))
            await town.house.until(lambda: "could not be answered" in caplog.text)
        assert given.callback is None
        assert (await town.ada.command("status", dm).answer()).text
