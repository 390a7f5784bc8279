"""How much the fake Slack takes: calls in a minute, messages in a second, blocks, views; and its faults."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from tests.contracts.slack_rig import Rig, serving
from tests.fakes.slack_rules import POSTS_AT_ONCE

PLAIN: Final = {"type": "plain_text", "text": "x"}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with serving(limits="none") as made:
        yield made


@pytest.fixture
async def strict() -> AsyncIterator[Rig]:
    async with serving() as made:
        yield made


def button(text: str = "Go", **more: Any) -> dict[str, Any]:
    """A button."""
    return {"type": "button", "text": {"type": "plain_text", "text": text}, **more}


def menu(count: int, **more: Any) -> dict[str, Any]:
    """A menu with so many options."""
    options = [{"text": PLAIN, "value": str(number), **more} for number in range(count)]
    return {"type": "static_select", "action_id": "menu", "options": options}


def actions(*elements: dict[str, Any]) -> list[dict[str, Any]]:
    """A block of these."""
    return [{"type": "actions", "elements": list(elements)}]


def table(rows: int, columns: int, text: str = "x") -> list[dict[str, Any]]:
    """A table of so many cells."""
    return [{"type": "table", "rows": [[{"type": "raw_text", "text": text}] * columns] * rows}]


def section(count: int) -> list[dict[str, Any]]:
    """A section of so many characters."""
    return [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * count}}]


GOOD: Final = {
    "markdown": [{"type": "markdown", "text": "x" * 6000}] * 2,
    "section": section(3000),
    "fifty": section(1) * 50,
    "header": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 150}}],
    "button": actions(button("x" * 75, value="v" * 2000, action_id="a" * 255, style="danger")),
    "menu": actions(menu(100)),
    "table": table(100, 20),
    "input": [{"type": "input", "label": PLAIN, "element": {"type": "plain_text_input", "multiline": True}}],
}
BAD: Final[dict[str, tuple[list[dict[str, Any]], str, str]]] = {
    "markdown": ([{"type": "markdown", "text": "x" * 6001}] * 2, "msg_blocks_too_long", ""),
    "no markdown": ([{"type": "markdown", "text": ""}], "invalid_blocks", "/blocks/0"),
    "section": (section(3001), "invalid_blocks", "/blocks/0/text/text"),
    "fifty-one": (section(1) * 51, "invalid_blocks", "/blocks"),
    "header": (
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
        "invalid_blocks",
        "/blocks/0/text/text",
    ),
    "mrkdwn header": (
        [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}],
        "invalid_blocks",
        "/blocks/0/text/text",
    ),
    "button text": (actions(button("x" * 76)), "invalid_blocks", "/blocks/0/elements/0"),
    "button value": (actions(button(value="v" * 2001)), "invalid_blocks", "/blocks/0/elements/0"),
    "button style": (actions(button(style="blue")), "invalid_blocks", "/blocks/0/elements/0"),
    "same action": (
        actions(button(action_id="a"), button(action_id="a")),
        "invalid_blocks",
        "/blocks/0/elements/1/action_id",
    ),
    "no actions": (actions(), "invalid_blocks", "/blocks/0/elements"),
    "options": (actions(menu(101)), "invalid_blocks", "/blocks/0/elements/0"),
    "option value": (actions(menu(1, value="v" * 151)), "invalid_blocks", "/blocks/0/elements/0"),
    "same block": (
        [{"type": "divider", "block_id": "b"}] * 2,
        "invalid_blocks",
        "/blocks/1/block_id",
    ),
    "rows": (table(101, 1), "invalid_blocks", "/blocks/0/rows"),
    "columns": (table(1, 21), "invalid_blocks", "/blocks/0/rows/0"),
    "cells": (table(100, 20, "x" * 6), "invalid_blocks", "/blocks/0/rows"),
    "empty cell": (table(1, 1, ""), "invalid_blocks", "/blocks/0/rows/0/0/text"),
    "two tables": (table(1, 1) * 2, "invalid_attachments", ""),
    "unknown": ([{"type": "hologram"}], "invalid_blocks", "/blocks/0/type"),
}


# -------------------------------------------------------------------- blocks and views


@pytest.mark.parametrize("name", GOOD)
async def test_blocks_at_their_limits_are_taken(rig: Rig, name: str) -> None:
    await rig.client.chat_postMessage(channel=rig.general.id, text="x", blocks=GOOD[name])
    ids = [each["block_id"] for each in rig.general.messages[0].blocks]
    assert len(set(ids)) == len(GOOD[name])


@pytest.mark.parametrize("name", BAD)
async def test_blocks_beyond_their_limits_are_not(rig: Rig, name: str) -> None:
    blocks, error, where = BAD[name]
    given = {"channel": rig.general.id, "text": "x", "blocks": blocks}
    for method in ("chat.postMessage", "chat.update"):
        said = await rig.client.chat_postMessage(channel=rig.general.id, text="x")
        answer = await rig.raw(method, {**given, "ts": said["ts"]})
        assert answer["error"] == error
        told = " ".join(answer.get("response_metadata", {}).get("messages", ()))
        assert not where or f"[json-pointer:{where}]" in told
    assert rig.general.texts == ["x", "x"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "page"},
        {"title": {"type": "plain_text", "text": "x" * 25}},
        {"submit": None},
        {"private_metadata": "x" * 3001},
        {"callback_id": "x" * 256},
        {"blocks": section(1) * 101},
        {"blocks": [{"type": "markdown", "text": "x"}]},
    ],
)
async def test_a_form_has_limits_of_its_own(rig: Rig, wrong: dict[str, Any]) -> None:
    form = {
        "type": "modal",
        "title": PLAIN,
        "submit": PLAIN,
        "blocks": [{"type": "input", "label": PLAIN, "element": {"type": "plain_text_input"}}],
    }
    answer = await rig.raw("views.open", {"trigger_id": "none", "view": form | wrong})
    assert answer["error"] == "invalid_arguments"
    assert (await rig.raw("views.open", {"trigger_id": "none", "view": form}))["error"].endswith("trigger_id")


async def test_a_long_text_is_cut(rig: Rig) -> None:
    await rig.client.chat_postMessage(channel=rig.general.id, text="x" * 50_000)
    assert rig.general.texts == ["x" * 40_000]


# -------------------------------------------------------------------- rates


async def test_a_channel_takes_one_message_a_second(strict: Rig) -> None:
    other = strict.slack.channel("other")
    for number in range(POSTS_AT_ONCE):
        await strict.client.chat_postMessage(channel=strict.general.id, text=str(number))
    with pytest.raises(SlackApiError) as error:
        await strict.client.chat_postMessage(channel=strict.general.id, text="too many")
    assert (error.value.response.status_code, error.value.response["error"]) == (429, "ratelimited")
    assert error.value.response.headers["Retry-After"] == "1"
    await strict.client.chat_postMessage(channel=other.id, text="elsewhere")
    assert (len(strict.general.messages), len(strict.slack.limited)) == (POSTS_AT_ONCE, 1)


async def test_a_method_takes_so_many_calls_a_minute(strict: Rig) -> None:
    said = strict.ada.say(strict.general, "why?")
    given = {"channel": strict.general.id, "ts": said.ts, "markdown_text": "x"}
    answers = [await strict.raw("chat.stopStream", given) for _ in range(21)]
    assert [each["error"] for each in answers] == ["message_not_owned_by_app"] * 20 + ["ratelimited"]
    assert (await strict.raw("chat.appendStream", given))["error"] == "message_not_owned_by_app"


# -------------------------------------------------------------------- faults


async def test_slack_says_no_on_purpose(rig: Rig) -> None:
    fault = rig.slack.fail("chat.*", "error", "fatal_error", times=2, after=1, more={"needed": "x"})
    for error in ("", "fatal_error", "fatal_error", ""):
        answer = await rig.raw("chat.postMessage", {"channel": rig.general.id, "text": error or "said"})
        assert answer.get("error", "") == error
    assert (rig.general.texts, fault.met) == (["said", "said"], 2)
    rig.slack.fail("chat.postMessage", "error", "is_archived", where={"text": "this one"})
    assert (await rig.raw("chat.postMessage", {"channel": rig.general.id, "text": "another"}))["ok"]
    assert not (await rig.raw("chat.postMessage", {"channel": rig.general.id, "text": "this one"}))["ok"]


async def test_a_method_can_be_shut_for_a_while(rig: Rig) -> None:
    rig.slack.fail("chat.update", "limited", seconds=0.2)
    began = time.monotonic()
    statuses = []
    while time.monotonic() - began < 5 and 200 not in statuses:
        with pytest.raises(SlackApiError) as error:
            await rig.client.chat_update(channel=rig.general.id, ts="1.000001", text="x")
        statuses.append(error.value.response.status_code)
    assert statuses[0] == 429
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(("how", "done"), [("reset_before", 0), ("reset_after", 1)])
async def test_a_connection_is_cut_before_or_after_it_is_done(rig: Rig, how: Any, done: int) -> None:
    rig.slack.fail("chat.postMessage", how)
    with pytest.raises(aiohttp.ClientError):
        await rig.client.chat_postMessage(channel=rig.general.id, text="x")
    assert (len(rig.general.messages), rig.slack.requests[-1].status) == (done, 0)


async def test_an_answer_is_slow_half_or_none(rig: Rig) -> None:
    given = {"channel": rig.general.id, "text": "x"}
    for how in ("slow", "slow_body"):
        began = time.monotonic()
        rig.slack.fail("chat.postMessage", how, seconds=0.1)
        assert (await rig.raw("chat.postMessage", given))["ok"]
        assert time.monotonic() - began >= 0.1
    rig.slack.fail("chat.postMessage", "stall")
    with pytest.raises(TimeoutError):
        async with rig.session.post(
            f"{rig.slack.api_url}chat.postMessage",
            json=given,
            headers={"Authorization": f"Bearer {rig.slack.bot_token}"},
            timeout=aiohttp.ClientTimeout(total=0.2),
        ):
            pass
    assert len(rig.general.messages) == 3


@pytest.mark.parametrize(("how", "status"), [("status", 503), ("garbled", 200)])
async def test_what_answers_is_not_slack(rig: Rig, how: Any, status: int) -> None:
    rig.slack.fail("auth.test", how, status=503)
    header = {"Authorization": f"Bearer {rig.slack.bot_token}"}
    async with rig.session.post(f"{rig.slack.api_url}auth.test", headers=header) as answer:
        assert (answer.status, answer.content_type) == (status, "text/html")


async def test_a_token_is_taken_away(rig: Rig) -> None:
    rig.slack.revoke()
    assert rig.heard()[-1]["type"] == "tokens_revoked"
    assert (await rig.raw("auth.test", {}))["error"] == "token_revoked"
    rig.slack.deny("")
    rig.slack.uninstall()
    assert rig.heard()[-1]["type"] == "app_uninstalled"
    assert (await rig.raw("auth.test", {}))["error"] == "account_inactive"
