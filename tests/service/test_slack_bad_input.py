"""What nobody should send and somebody does, on Slack, over the wire: texts, names, files, events, deliveries."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from adapters import queues
from adapters.slack.fetching import BROKEN, NO_SCOPE, NOWHERE, TOO_LARGE
from adapters.slack.question import text_form
from adapters.slack.replying import NOT_FOR_YOU
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message, Place
from tests.service.conftest import House
from tests.service.slack_town import QUICK, Town, wirings
from tests.service.test_actions import rule

MIB: Final = 1024 * 1024
END: Final = "the end."
LONG: Final = "0123456789 " * 3636 + END


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with SlackServer(ack_seconds=1.0) as slack:
        yield Town(house, slack)


def seen(town: Town) -> list[Mapping[str, Any]]:
    """What agents were told by people."""
    rows = town.house.query("SELECT content FROM inbox WHERE kind = 'chat' ORDER BY seq")
    return [json.loads(row["content"]) for row in rows]


def whispers(town: Town, place: Place) -> list[str]:
    """What only Ada sees there."""
    return [each.shown for each in place.ephemeral if each.only_for is town.ada]


def left_on_disk(town: Town) -> list[Path]:
    """Files of people that nobody has accepted."""
    return [path for path in (town.house.data / "incoming").rglob("*") if path.is_file()]


async def still_there(town: Town) -> None:
    """Whatever has happened before, Ada is answered."""
    assert await town.answer_to("still there?") == "You said: still there?"


# ---------------------------------------------------------------- texts and names


async def test_40000_characters_are_refused_with_a_sentence_for_their_writer_alone(town: Town) -> None:
    town.house.limits = {"message_chars": 30_000}
    async with town.open():
        asked = town.ask(LONG)
        await town.until(lambda: town.general.ephemeral)
        assert asked.replies == [] and seen(town) == []
        await still_there(town)
        (told,) = whispers(town, town.general)
        assert told == f"This message has {len(LONG):,} characters; the limit is 30,000. Send it as a file."


async def test_a_message_of_30000_characters_is_answered_whole(town: Town) -> None:
    dm, text = town.slack.dm(town.ada), LONG[-30_000:]
    town.house.wirings = wirings({"streaming": False})
    async with town.open():
        asked = town.ada.say(dm, text)
        await town.until(lambda: asked.replies and asked.reply_texts[-1].endswith(END))
        read = "".join("".join(asked.reply_texts).split())
        assert read == "".join(f"You said: {text}".split())


async def test_names_that_nobody_sees_or_that_turn_the_line_are_made_harmless(town: Town) -> None:
    town.ada.name = "\u200b\u202eada\u2066\u200d\n\x1b[31m"
    town.bob.name = "\u200b\u2060\u202e"
    async with town.open():
        asked = town.ada.say(town.general, "hello", mention=[town.slack.bot, town.bob])
        await town.until(lambda: asked.replies)
        (heard,) = seen(town)
        assert not set("\u200b\u202e\u2066\u2060\n\x1b") & set(heard["sender"] + heard["text"])
        assert heard["text"] == "@somebody hello"


async def test_half_of_a_character_is_no_reason_to_lose_a_message(town: Town) -> None:
    async with town.open():
        asked = town.ada.say(town.general, "x", mention=[town.slack.bot])
        body = next(each for each in town.slack.world.told if each["event"]["type"] == "message")
        ts = town.slack.world.ts()
        text = f"{town.slack.bot.mention} half \ud83d and \x00 nothing"
        town.slack.hub.event(
            {**body, "event_id": "Ev0HALF", "event": {**body["event"], "ts": ts, "text": text}}
        )
        await town.until(lambda: asked.replies)
        await town.house.until(lambda: len(seen(town)) == 2)
        assert "half \ufffd and \ufffd nothing" in [each["text"] for each in seen(town)]


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    "where", ["http://127.0.0.1:{port}/x", "https://slack.com@127.0.0.1:{port}/x", "//x/y"]
)
async def test_the_token_goes_to_no_other_host(town: Town, where: str, unused_tcp_port: int) -> None:
    heard: list[Mapping[str, str]] = []

    async def record(request: web.Request) -> web.Response:
        heard.append(dict(request.headers))
        return web.Response(body=b"x")

    other = web.Application()
    other.router.add_route("*", "/{tail:.*}", record)
    runner = web.AppRunner(other)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
        async with town.open():
            message = Message(town.general, town.slack.world.ts(), town.ada, f"{town.slack.bot.mention} look")
            file = town.slack.world.store(town.ada, "a.txt", b"x", "text/plain", town.slack.interactions.base)
            file.url = where.format(port=unused_tcp_port)
            message.files, message.subtype = [file], "file_share"
            town.slack.world.post(message)
            await town.until(lambda: whispers(town, town.general))
            assert whispers(town, town.general) == [f"a.txt could not be fetched: {NOWHERE}."]
            assert heard == [] and left_on_disk(town) == []
            await still_there(town)
    finally:
        await runner.cleanup()


async def test_nobody_is_followed_to_another_host_with_the_token(town: Town) -> None:
    async with town.open():
        file = town.slack.world.store(town.ada, "a.txt", b"x", "text/plain", town.slack.interactions.base)
        message = Message(town.general, town.slack.world.ts(), town.ada, f"{town.slack.bot.mention} look")
        message.files, message.subtype = [file], "file_share"
        town.slack.world.scopes.discard("files:read")
        town.slack.world.post(message)
        await town.until(lambda: whispers(town, town.general))
        assert whispers(town, town.general) == [f"a.txt could not be fetched: {NO_SCOPE}."]
        assert left_on_disk(town) == []


async def test_a_file_that_is_too_large_is_refused_by_what_slack_says_of_it(town: Town) -> None:
    async with town.open():
        town.ada.say(
            town.general,
            "look",
            mention=[town.slack.bot],
            files=[("big.bin", b"x", "application/octet-stream")],
            promised=100 * MIB,
        )
        await town.until(lambda: whispers(town, town.general))
        assert whispers(town, town.general) == ["big.bin is too large: a file can have 25 MiB."]
        await still_there(town)


async def test_a_file_that_is_larger_than_slack_said_is_refused_and_leaves_nothing(town: Town) -> None:
    town.house.limits = {"attachment_mb": 1}
    async with town.open():
        data = b"x" * (2 * MIB)
        town.ada.say(
            town.general,
            "look",
            mention=[town.slack.bot],
            files=[("big.bin", data, "application/octet-stream")],
            promised=10,
        )
        await town.until(lambda: whispers(town, town.general))
        assert whispers(town, town.general) == [f"big.bin could not be fetched: {TOO_LARGE}."]
        assert left_on_disk(town) == []
        await still_there(town)


async def test_a_file_that_breaks_off_or_does_not_come_is_refused(town: Town) -> None:
    town.timing = replace(QUICK, fetch_silence=0.3)
    async with town.open():
        town.slack.fail("download", "stall", seconds=1.0)
        town.slack.fail("download", "status", status=404)
        dm = town.slack.dm(town.ada)
        for count, name in enumerate(("slow.bin", "gone.bin"), 1):
            town.ada.say(dm, "look", files=[(name, b"x" * 1000, "application/octet-stream")])
            await town.until(lambda count=count: len(dm.ephemeral) == count)
        assert whispers(town, dm) == [
            f"slow.bin could not be fetched: {BROKEN}.",
            "gone.bin could not be fetched: Slack does not give it out (404).",
        ]
        assert left_on_disk(town) == []


BAD_NAMES: Final = {
    "../../../etc/cron.d/roost": "roost",
    "..\\..\\windows\\win.ini": "win.ini",
    "annual\u202egpj.exe": "annualgpj.exe",
    "a\r\nX-Evil: 1.txt": "a X-Evil: 1.txt",
    "..": "file",
    "\u200b": "file",
}


async def test_no_name_of_a_file_leads_anywhere_or_looks_like_another(town: Town) -> None:
    async with town.open():
        message = Message(town.general, town.slack.world.ts(), town.ada, f"{town.slack.bot.mention} look")
        message.subtype = "file_share"
        for number, name in enumerate(BAD_NAMES):
            base = town.slack.interactions.base
            file = town.slack.world.store(town.ada, str(number), b"PK\x03\x04", "text/plain", base)
            file.name = name
            message.files.append(file)
        town.slack.world.post(message)
        await town.until(lambda: message.replies)
        (heard,) = seen(town)
        assert [each["name"] for each in heard["attachments"]] == list(BAD_NAMES.values())


# ---------------------------------------------------------------- programs, and Slack's own words


async def test_other_bots_and_what_slack_says_itself_are_not_heard(town: Town) -> None:
    other = town.slack.person("Other", bot=True)
    town.general.join(other)
    town.house.wirings = wirings({"strangers": "answer"})
    async with town.open():
        other.say(town.general, "hello", mention=[town.slack.bot])
        dm = town.slack.dm(town.ada)
        for subtype in ("channel_join", "channel_topic", "bot_add", "reminder_add", "something_new"):
            town.ada.say(dm, "hello", subtype=subtype)
        await still_there(town)
        assert not any(each.replies for each in (*town.general.messages[:-1], *dm.messages))
        assert len(seen(town)) == 1


async def test_where_bots_are_heard_they_are_heard_so_often_and_no_more(town: Town) -> None:
    other = town.slack.person("Other", bot=True)
    town.general.join(other)
    town.house.wirings = wirings({"bots": True, "bot_messages": 2, "engage": "all", "threads": False})
    async with town.open():
        for text in ("one", "two", "three", "four"):
            other.say(town.general, text)
            await town.house.until_quiet_everywhere()
        town.ada.say(town.general, "enough")
        await town.until(lambda: "You said: enough" in "".join(town.general.texts))
        assert [each.get("bot", False) for each in seen(town)] == [True, True, False]


# ---------------------------------------------------------------- deliveries


async def test_what_is_crowded_out_is_not_acknowledged_and_comes_again(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "MAX_WAITING", 1)
    town.timing = replace(QUICK, acknowledge=5.0)
    async with town.open():
        town.slack.fail("users.info", "slow", seconds=0.5)
        one, two = town.ask("one"), town.ask("two")
        await town.answers(one, "You said: one")
        await town.answers(two, "You said: two")
        assert max(each.tries for each in town.slack.hub.envelopes) > 1


async def test_a_retry_minutes_later_is_answered_where_it_is_the_only_delivery_and_once(
    house: House,
) -> None:
    async with SlackServer() as slack:
        town = Town(house, slack, mode="http")
        async with town.open():
            asked = town.ask("before")
            await town.answers(asked, "You said: before")
        missed = town.ask("missed")
        await town.until(lambda: all(len(each.answers) == 2 for each in slack.push.deliveries[-2:]))
        house.clock_ahead_ms += 6 * 60_000
        async with town.open():
            for each in slack.push.deliveries[:2]:
                body = json.dumps(each.body)
                status, _ = await slack.push.post(body, "application/json", more={"Retry-Num": "3"})
                assert status == 200
            await slack.push.pass_time(60)
            await slack.push.pass_time(300)
            await town.answers(missed, "You said: missed")
            await house.until_quiet_everywhere()
            assert missed.reply_texts == ["You said: missed"]
            assert asked.reply_texts == ["You said: before"]


# ---------------------------------------------------------------- commands, claims, strangers


async def test_a_command_that_takes_long_is_answered_where_its_address_is_no_more(town: Town) -> None:
    town.timing = replace(QUICK, defer=0.0)
    async with town.open():
        given = town.ada.command("status", town.general)
        given.answers = 99
        await town.until(lambda: given.texts or whispers(town, town.general))
        assert (given.texts or whispers(town, town.general))[0]


async def test_a_code_that_is_guessed_makes_nobody_the_owner(town: Town) -> None:
    async with town.open():
        texts = []
        for number in range(12):
            given = town.bob.command(f"claim guess-{number}", town.general)
            await town.until(lambda given=given: given.texts)
            texts.append(given.text)
        asked = town.bob.say(town.general, "!claim guess")
        await town.until(lambda: town.general.ephemeral)
        assert asked.replies == []
        assert town.house.query("SELECT 1 FROM roles WHERE user_id = ?", town.bob.id) == []
        assert not any("owner now" in each for each in texts), texts


async def test_what_a_stranger_says_is_answered_by_a_sentence_where_the_wiring_says_so(town: Town) -> None:
    town.house.wirings = wirings({"strangers": "refuse"})
    async with town.open():
        asked = town.bob.say(town.general, "hello", mention=[town.slack.bot])
        await town.until(lambda: [each for each in town.general.ephemeral if each.only_for is town.bob])
        assert asked.replies == [] and seen(town) == []


# ---------------------------------------------------------------- what is pressed


ASKS: Final = {
    "match": "ask",
    "steps": [
        {
            "do": "tool",
            "name": "ask_user_question",
            "arguments": {"title": "Colour", "question": "Which one?", "options": ["Red", "Green"]},
        },
        {"do": "result", "text": "{tool}"},
    ],
}


async def test_whoever_has_no_role_answers_nothing_and_no_forged_id_does(town: Town) -> None:
    town.house.script(ASKS, rule("never", "x"))
    async with town.open():
        asked = town.ask("ask")
        await town.until(lambda: any(each.labels for each in asked.replies))
        question = next(each for each in asked.replies if each.labels)
        pressed = town.bob.click(question, "Red")
        await town.until(lambda: pressed.acked and (pressed.texts or town.general.ephemeral))
        told = [*pressed.texts, *(each.shown for each in town.general.ephemeral)]
        assert told == [NOT_FOR_YOU]
        (element,) = (each for each in question.blocks[-1]["elements"] if each["text"]["text"] == "Red")
        own = element["action_id"].split(":", 2)[2]
        for action in (
            "",
            "rq:99:" + own,
            "rq:-1:" + own,
            "rq:0:nobody's",
            "rs:" + own,
            "rm:nobody's",
            "rq:0:" + "x" * 5_000,
            "rq:0:../../../etc\x00",
        ):
            town.slack.interactions.act(town.ada, question, {"type": "button", "action_id": action})
        for selected in ({"value": "99"}, {"value": "x"}, {"value": None}, {}):
            forged = {"type": "static_select", "action_id": f"rs:{own}", "selected_option": selected}
            town.slack.interactions.act(town.ada, question, forged)
        for note in ("", "x", "C0:1.2:3", "{}", f"{town.general.id}:{question.ts}:x"):
            for callback in ("", "ask_roost", "rm:nobody's", "other"):
                view = text_form(callback, title="t", label="l", private_metadata=note)
                view |= {"id": "V0", "hash": town.slack.world.ts()}
                town.slack.interactions.submit(town.ada, view, "Green")
        await still_there(town)
        assert question.labels == ["Red", "Green"], "the question is open still"
        town.ada.click(question, "Red")
        await town.until(lambda: any("Red" in text for text in asked.reply_texts[1:]))


async def test_nothing_that_is_made_up_by_another_program_is_taken_for_slack(town: Town) -> None:
    """There is no port in Socket Mode, and the addresses that are given out once are Slack's."""
    async with town.open():
        async with (
            aiohttp.ClientSession() as session,
            session.get(town.slack.hub.url.replace("ws:", "http:")) as no,
        ):
            assert no.status == 403
        await still_there(town)
