"""Staying connected to Slack: connections that end, die or go deaf, what is said meanwhile, and what comes twice."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest

from tests.fakes.slack_connections import Connection
from tests.fakes.slack_server import SlackServer
from tests.service.conftest import House
from tests.service.slack_town import QUICK, Town, wirings


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with SlackServer(ack_seconds=1.0) as slack:
        yield Town(house, slack)


def _always(connection: Connection, _those: list[Connection]) -> Connection:
    return connection


async def connected(town: Town, count: int = 2) -> None:
    await town.until(lambda: len(town.slack.hub.connections) == count)


async def test_there_are_several_connections_and_each_event_is_answered_once(town: Town) -> None:
    async with town.open():
        await connected(town)
        for number, connection in enumerate(town.slack.hub.connections):
            town.slack.hub.choose = partial(_always, connection)
            asked = town.ask(f"number {number}")
            await town.answers(asked, f"You said: number {number}")


async def test_a_connection_that_is_about_to_end_is_replaced_before_it_does(town: Town) -> None:
    async with town.open():
        await connected(town)
        old = list(town.slack.hub.connections)
        most = 0

        def gone() -> bool:
            nonlocal most
            most = max(most, len(town.slack.hub.connections))
            return not set(old) & set(town.slack.hub.connections)

        await town.slack.hub.disconnect("refresh_requested")
        asked = town.ask("in the middle")
        await town.until(gone)
        assert most > 2
        await town.answers(asked, "You said: in the middle")
        await connected(town)


async def test_connections_that_break_are_made_anew_and_nothing_said_meanwhile_is_lost(town: Town) -> None:
    async with town.open():
        await connected(town)
        town.slack.hub.refuses = "internal_error"
        town.slack.hub.drop_all()
        await connected(town, 0)
        asked = town.ask("while nobody listens")
        town.slack.hub.refuses = ""
        await town.answers(asked, "You said: while nobody listens")
        town.slack.hub.refuses = "internal_error"
        town.slack.hub.drop_all()
        await connected(town, 0)
        follow = town.ada.say(town.general, "in the thread as well", thread=asked)
        town.slack.hub.refuses = ""
        await town.until(lambda: len(asked.replies) == 3)
        assert asked.replies[1] is follow
        assert asked.replies[2].shown == "You said: in the thread as well"


async def test_a_silent_connection_is_noticed_and_replaced(town: Town) -> None:
    async with town.open():
        await connected(town)
        silent = list(town.slack.hub.connections)
        for each in silent:
            each.silent = True
        await town.until(lambda: not set(silent) & set(town.slack.hub.connections))
        assert await town.answer_to("still there?") == "You said: still there?"


async def test_connections_that_are_open_and_deaf_are_noticed_by_what_they_have_not_told(
    house: House,
) -> None:
    async with SlackServer() as slack:
        town = Town(house, slack, timing=replace(QUICK, silence=0.5))
        async with town.open():
            await connected(town)
            deaf = list(slack.hub.connections)
            for each in deaf:
                each.deaf = True
            asked = town.ask("can you hear me?")
            await town.answers(asked, "You said: can you hear me?")
            await town.until(lambda: not set(deaf) & set(slack.hub.connections))


async def test_what_is_delivered_twice_is_answered_once(town: Town) -> None:
    async with town.open():
        await connected(town)
        asked = town.ask("once")
        await town.answers(asked, "You said: once")
        for envelope in list(town.slack.hub.envelopes):
            town.slack.hub.again(envelope)
            await town.slack.hub.twice(envelope)
        assert await town.answer_to("afterwards") == "You said: afterwards"
        assert asked.reply_texts == ["You said: once"]


async def test_what_was_said_while_the_service_was_down_is_answered_and_the_place_is_told(
    house: House,
) -> None:
    async with SlackServer() as slack:
        town = Town(house, slack, timing=replace(QUICK, gap_told=0.0))
        async with town.open():
            asked = town.ask("before")
            await town.answers(asked, "You said: before")
        missed = town.ask("missed")
        more = town.ada.say(town.general, "and in the thread", thread=asked)
        async with town.open():
            await town.answers(missed, "You said: missed")
            await town.until(
                lambda: any("answering 1 missed message." in text for text in town.general.texts)
            )
            await town.until(
                lambda: any(each.shown == "You said: and in the thread" for each in asked.replies)
            )
            assert more in asked.replies
            told = next(text for text in town.general.texts if "offline" in text)
            assert told.startswith("I was offline <!date^")


async def test_what_was_added_to_a_thread_that_began_while_nobody_listened_is_answered(town: Town) -> None:
    async with town.open():
        await town.answers(town.ask("before"), "You said: before")
    missed = town.ask("missed")
    town.ada.say(town.general, "and more", thread=missed)
    async with town.open():
        await town.until(lambda: any("and more" in each.shown for each in missed.replies[1:]))


async def test_an_event_that_takes_long_is_put_down_and_acknowledged_in_time(town: Town) -> None:
    async with town.open():
        await connected(town)
        town.slack.fail("files.info", "stall")
        asked = town.ada.say(
            town.general,
            "read this",
            mention=[town.slack.bot],
            files=[("data.csv", b"1,2\n", "text/csv")],
            access="check_file_info",
        )

        def told() -> list[float | None]:
            kinds = ("message", "app_mention")
            events = [each for each in town.slack.hub.envelopes if each.payload["event"]["type"] in kinds]
            return [each.acked for each in events]

        await town.until(lambda: told() and None not in told())
        assert max(each or 0 for each in told()) < 3.0
        assert not asked.replies
    # The service has ended before the file was there; the next one takes the message up.
    async with town.open():
        await town.until(lambda: asked.replies)
        assert [
            each.read_bytes() for each in town.house.folder(town.general.id).glob("in/files/*/*data.csv")
        ] == [b"1,2\n"]


async def test_whom_the_bot_has_refused_is_not_told_again_by_the_next_service(house: House) -> None:
    house.wirings = wirings({"strangers": "refuse"})
    async with SlackServer() as slack:
        town = Town(house, slack)
        async with town.open():
            town.bob.say(town.general, "hello", mention=[slack.bot])
            await town.until(lambda: town.general.ephemeral)
            await town.until(lambda: all(each.acked for each in slack.hub.envelopes if each.tries))
        async with town.open():
            # After a gap the minute before it is read once more.
            await town.until(lambda: slack.called("conversations.history"))
            assert await town.answer_to("now") == "You said: now"
            assert len(town.general.ephemeral) == 1


async def test_what_people_say_is_not_in_the_log_even_where_it_tells_everything(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    # The libraries' own loggers are kept from that by bot.log; what they are given must not be another one.
    with caplog.at_level(logging.DEBUG, logger="roost"):
        async with town.open():
            asked = town.ask("the secret plan")
            await town.answers(asked, "You said: the secret plan")
    assert caplog.records
    assert "secret plan" not in caplog.text
    assert "ticket=" not in caplog.text


async def test_the_library_changes_no_log_but_its_own(town: Town) -> None:
    async with town.open():
        await town.answers(town.ask("hello"), "You said: hello")
        levels = {name: logging.getLogger(name).level for name in ("", "roost", "roost.slack")}
    assert levels == {"": logging.WARNING, "roost": logging.NOTSET, "roost.slack": logging.NOTSET}
