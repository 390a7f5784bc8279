"""The command `conversations`: what somebody has talked about with the agent, and where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Sender
from agent.protocol.messages import Route
from bot.app import App
from bot.commands.conversations import LISTED, NOTHING, TITLE_CHARS, UNTITLED
from tests.service.test_intake import MEMBER, OWNER, STRANGER, command, event, serving


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with serving(tmp_path / "data") as app:
        yield app


def at(place: str, thread: str | None = None) -> Route:
    return Route(channel="slack", platform_id=place, thread_id=thread)


async def say(app: App, text: str, where: Route, *, by: Sender = MEMBER, name: str = "") -> None:
    told = event(
        text, by=by, route=where, id=name or f"slack:{where.platform_id}:{where.thread_id}:{text[:20]}"
    )
    assert (await app.intake.receive(told)).state == "accepted"


async def listed(app: App, *, by: Sender = MEMBER) -> tuple[str, list[dict[str, Any]]]:
    receipt = await app.intake.receive(command("conversations", by=by))
    assert receipt.state == "accepted" and receipt.text is not None
    return receipt.text, receipt.data


async def test_ones_own_conversations_are_listed_by_their_first_words(app: App) -> None:
    assert await listed(app) == (NOTHING, [])
    await say(app, "The door\nis stuck", at("C1", "1.5"))
    await say(app, "Not mine", at("C2"), by=OWNER)
    await say(app, "Mine, " + "word " * 50, at("D1"))
    await say(app, "again", at("C1", "1.5"))
    text, data = await listed(app)
    assert [(each["place"], each["thread"]) for each in data] == [("C1", "1.5"), ("D1", None)]
    assert all(each["channel"] == "slack" and each["at"].endswith("+00:00") for each in data)
    first, second = (each["title"] for each in data)
    assert first == "The door is stuck"
    assert second.startswith("Mine, word") and len(second) == TITLE_CHARS
    header, *lines = text.splitlines()
    assert header.split() == ["TITLE", "LAST", "ACTIVE", "PLACE"]
    assert lines[0].startswith("The door is stuck ") and lines[0].endswith("slack/C1/1.5")


async def test_a_title_is_ones_own_words_as_they_stand_now(app: App) -> None:
    await say(app, "a secret of mine", at("C1", "1"), by=OWNER)
    await say(app, "my password", at("C1", "1"), name="e1")
    await say(app, "What now?", at("C1", "1"), name="e2")
    assert (await listed(app))[1][0]["title"] == "my password"
    await app.intake.receive(event("my passport", kind="edit", about="e1", id="e3", route=at("C1", "1")))
    assert (await listed(app))[1][0]["title"] == "my passport"
    await app.intake.receive(event(kind="delete", about="e1", id="e4", route=at("C1", "1")))
    assert (await listed(app))[1][0]["title"] == "What now?"
    await app.intake.receive(event(kind="delete", about="e2", id="e5", route=at("C1", "1")))
    assert (await listed(app))[1][0]["title"] == UNTITLED


async def test_the_newest_are_listed_and_for_those_with_a_role(app: App) -> None:
    for number in range(LISTED + 2):
        await say(app, f"question {number}", at("C1", str(number)))
    _, data = await listed(app)
    assert len(data) == LISTED and "question 0" not in {each["title"] for each in data}
    assert (await app.intake.receive(command("conversations", by=STRANGER))).state == "dropped"
