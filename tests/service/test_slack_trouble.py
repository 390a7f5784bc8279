"""What Slack refuses, over the wire: tokens, scopes, Socket Mode, a call; limits and failures in mid-call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from adapters.base import NoSecret
from adapters.slack.errors import SENTENCES
from tests.fakes.slack_api import How
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message, Place
from tests.service.conftest import House
from tests.service.slack_town import QUICK, Town, wirings
from tests.service.slack_trouble import until_told
from tests.service.test_actions import rule

BOT_REFUSED: Final = "Slack does not take the bot's token: install the app to the workspace again"
APP_REFUSED: Final = "Slack does not take the app-level token: generate one with the scope connections:write"
SLOW: Final = rule("slow", {"do": "stall", "seconds": 0.7}, "done at last")
REPLIES: Final = "SELECT * FROM dead_letters WHERE kind = 'reply'"
POST: Final = "chat.postMessage"


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    house.script(SLOW)
    async with SlackServer() as slack:
        yield Town(house, slack)


def spoken(words: Sequence[str]) -> dict[str, Any]:
    """An answer that is written word by word."""
    pause = {"do": "stall", "seconds": 0.05}
    steps = [step for word in words for step in ({"do": "delta", "text": word}, pause)]
    return rule("speak", *steps, "".join(words))


async def letter(town: Town) -> dict[str, Any]:
    """The only reply that could not be delivered, once it is kept."""
    await town.house.until(lambda: len(town.house.query(REPLIES)) == 1)
    return dict(town.house.query(REPLIES)[0])


async def turn_in(town: Town, place: Place) -> Message:
    """A question whose turn has begun."""
    asked = town.ada.say(place, "slow, please", mention=[town.slack.bot])
    sql = "SELECT 1 FROM inbox WHERE kind = 'chat' AND state = 'posted'"
    await town.house.until(lambda: len(town.house.query(sql)) == 1)
    return asked


# ---------------------------------------------------------------- what an operator has to mend


@pytest.mark.parametrize("how", ["revoke", "uninstall", "deny"])
async def test_a_token_that_is_taken_away_is_said_and_its_answers_come_when_it_is_back(
    town: Town, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with town.open():
        asked = await turn_in(town, town.general)
        if how == "deny":
            town.slack.deny("token_revoked")
        else:
            getattr(town.slack, how)()
        await until_told(town, BOT_REFUSED)
        town.slack.deny("")
        await until_told(town, None)
        await town.answers(asked, "done at last")
        assert await town.answer_to("and now?") == "You said: and now?"
        assert town.house.query(REPLIES) == []
        assert town.slack.bot_token not in caplog.text and "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("invalid_auth", APP_REFUSED),
        ("not_allowed_token_type", APP_REFUSED),
        (
            "internal_error",
            "Slack cannot be reached (Slack is in trouble (internal_error)); it is tried again",
        ),
    ],
)
async def test_what_no_connection_is_given_for_is_said_until_there_is_one(
    town: Town, error: str, sentence: str
) -> None:
    town.slack.hub.refuses = error
    async with town.house.open(town.adapter()):
        await until_told(town, sentence)
        town.slack.hub.refuses = ""
        await until_told(town, None)
        assert town.slack.hub.connections


async def test_a_trouble_with_one_of_two_connections_is_over_when_that_is_there(town: Town) -> None:
    async with town.open():
        await town.until(lambda: len(town.slack.hub.connections) == 2)
        town.slack.hub.refuses = "internal_error"
        town.slack.hub.connections[0].drop()
        await until_told(town, "Slack is in trouble")
        assert await town.answer_to("by the other one") == "You said: by the other one"
        town.slack.hub.refuses = ""
        await until_told(town, None)


async def test_the_bots_token_in_the_place_of_the_apps_is_said(town: Town) -> None:
    town.settings = {"app_token": lambda: town.slack.bot_token}
    async with town.house.open(town.adapter()):
        await until_told(town, APP_REFUSED)


async def test_a_token_that_is_gone_is_said_and_asked_for_again(town: Town) -> None:
    there: list[str] = []

    def read() -> str:
        if not there:
            raise NoSecret("[slack] there is no app-level token.")
        return there[0]

    town.settings = {"app_token": read}
    async with town.house.open(town.adapter()):
        await until_told(town, "there is no app-level token.")
        there.append(town.slack.app_token)
        await until_told(town, None)


async def test_socket_mode_that_is_switched_off_is_said_and_not_tried_hotly(town: Town) -> None:
    async with town.open():
        await town.until(lambda: len(town.slack.hub.connections) == 2)
        before = town.slack.hub.opened
        await town.slack.hub.disconnect("link_disabled")
        await until_told(town, "Socket Mode is switched off, without which nothing is heard")
        assert town.slack.hub.opened == before
        await until_told(town, None)
        assert await town.answer_to("and now?") == "You said: and now?"


async def test_connections_that_end_at_once_are_not_opened_hotly(town: Town) -> None:
    async with town.open():
        await town.until(lambda: len(town.slack.hub.connections) == 2)
        before = len(town.slack.called("apps.connections.open"))
        for _ in range(4):
            await town.until(lambda: len(town.slack.hub.connections) == 2)
            town.slack.hub.drop_all()
            await town.until(lambda: not town.slack.hub.connections)
        opened = town.slack.called("apps.connections.open")[before:]
        assert opened[-1].at - opened[0].at >= QUICK.again * 2
        assert await town.answer_to("and now?") == "You said: and now?"


# ---------------------------------------------------------------- places that are shut during a turn


@pytest.mark.parametrize("how", ["archive", "remove", "scope", "read_only"])
async def test_an_answer_that_may_not_be_posted_any_more_is_kept_with_what_to_do(
    town: Town, how: str
) -> None:
    other = town.slack.channel("other")
    other.join(town.ada)
    async with town.open():
        asked = await turn_in(town, town.general)
        match how:
            case "archive":
                town.general.archive()
            case "remove":
                town.general.remove(town.slack.bot)
            case "scope":
                town.slack.refuse("missing_scope", POST, "chat.startStream")
            case _:
                town.slack.refuse("restricted_action", POST, "chat.startStream")
        reasons = {
            "archive": SENTENCES["is_archived"],
            "remove": SENTENCES["not_in_channel"],
            "scope": "the app lacks the scope one; `roost slack check` says how to add it",
            "read_only": SENTENCES["restricted_action"],
        }
        assert (await letter(town))["reason"] == reasons[how]
        await town.house.until_quiet_everywhere()
        town.slack.refuse("", POST, "chat.startStream")
        assert asked.replies == []
        assert await town.answer_to("elsewhere", place=other) == "You said: elsewhere"


async def test_somebody_whose_account_is_deactivated_costs_nobody_else_anything(town: Town) -> None:
    dm = town.slack.dm(town.ada)
    async with town.open():
        await turn_in(town, dm)
        for method in (POST, "chat.startStream"):
            town.slack.fail(method, error="user_disabled", where={"channel": dm.id}, times=20)
        assert (await letter(town))["reason"] == SENTENCES["user_disabled"]
        assert await town.answer_to("and here?") == "You said: and here?"


# ---------------------------------------------------------------- failures of a call


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("how", "status"),
    [("status", 502), ("error", 0), ("reset_before", 0), ("reset_after", 0), ("garbled", 0)],
)
async def test_a_failure_in_mid_post_leaves_the_answer_there_once(
    town: Town, how: How, status: int, streaming: bool
) -> None:
    town.house.wirings = wirings({"streaming": streaming})
    async with town.open():
        fault = town.slack.fail("chat.*" if streaming else POST, how, status=status)
        asked = town.ask("go")
        await town.answers(asked, "You said: go")
        await town.house.until_quiet_everywhere()
        assert asked.reply_texts == ["You said: go"] and fault.met == 1


async def test_an_api_that_is_slow_is_waited_for(town: Town) -> None:
    async with town.open():
        fault = town.slack.fail("*", "slow", seconds=0.6, times=12)
        asked = town.ask("go")
        await town.answers(asked, "You said: go")
        assert fault.met > 0


async def test_a_call_without_an_answer_is_given_up_and_looked_for(town: Town) -> None:
    town.timing = replace(QUICK, call=1.0)
    town.house.wirings = wirings({"streaming": False})
    async with town.open():
        fault = town.slack.fail(POST, "stall")
        asked = town.ask("go")
        await town.answers(asked, "You said: go")
        await town.house.until_quiet_everywhere()
        assert asked.reply_texts == ["You said: go"] and fault.met == 1


@pytest.mark.parametrize("method", ["chat.startStream", "chat.appendStream", "chat.stopStream"])
async def test_limits_during_a_stream_cost_a_pause_and_nothing_else(town: Town, method: str) -> None:
    words = [f"word{number} " for number in range(20)]
    town.house.script(spoken(words))
    async with town.open():
        town.slack.fail(method, "limited", seconds=1.0)
        asked = town.ask("speak")
        await town.answers(asked, "".join(words).strip())
        await town.house.until_quiet_everywhere()
        assert town.house.query(REPLIES) == []
        assert len(asked.replies) == 1


# ---------------------------------------------------------------- texts that Slack does not take


@pytest.mark.parametrize("error", ["invalid_blocks", "msg_too_long"])
async def test_an_answer_that_is_not_taken_as_it_is_laid_out_comes_in_words(town: Town, error: str) -> None:
    text = "**Because** of\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    town.house.script(rule("table", text))
    town.house.wirings = wirings({"streaming": False})
    async with town.open():
        town.slack.fail(POST, error=error)
        asked = town.ask("table")
        await town.until(lambda: asked.replies)
        assert "Because" in asked.replies[0].text and not asked.replies[0].blocks
        await town.house.until_quiet_everywhere()
        assert town.house.query(REPLIES) == []


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_table_of_300_rows_is_there_row_for_row(town: Town, streaming: bool) -> None:
    rows = "\n".join(f"| item-{number} | {number} |" for number in range(300))
    town.house.script(rule("table", f"All:\n\n| name | count |\n|---|---|\n{rows}\n\nThat is all."))
    town.house.wirings = wirings({"streaming": streaming})
    async with town.open():
        asked = town.ask("table")
        await town.until(lambda: any(each.files for each in asked.replies))
        await town.house.until_quiet_everywhere()
        ((file,),) = [each.files for each in asked.replies if each.files]
        assert [line.split(",")[0] for line in file.data.decode().split()[1:]] == [
            f"item-{number}" for number in range(300)
        ]
        assert "That is all." in asked.reply_texts[0]
        assert town.house.query(REPLIES) == []
