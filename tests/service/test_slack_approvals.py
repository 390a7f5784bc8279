"""Approvals on Slack, in the whole service: asked in a direct conversation and on the Home tab, decided by a button."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from adapters.slack import ids
from bot import approvals
from bot.db import people
from bot.db.approvals import ApprovalRecord
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message
from tests.service.conftest import House
from tests.service.slack_town import Town


class Shop:
    """An effect that remembers what it was called with."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def sell(self, approval: ApprovalRecord) -> str:
        """Installs it."""
        self.done.append(str(approval.effect["package"]))
        return f"Installed {approval.effect['package']}."


@pytest.fixture
def shop(house: House) -> Shop:
    made = Shop()
    house.effects["install"] = made.sell
    return made


@pytest.fixture
async def town(house: House, shop: Shop) -> AsyncIterator[Town]:
    async with SlackServer() as slack:
        yield Town(house, slack)


async def ask(town: Town, package: str = "cowsay") -> ApprovalRecord:
    """An agent asks for something."""

    def work(db: sqlite3.Connection) -> tuple[ApprovalRecord, list[str]]:
        return approvals.ask(
            db,
            kind="install",
            agent="assistant",
            asked_by=town.bob.id,
            summary=f"Install {package}?",
            details=f"It would run `apt-get install {package}`.",
            effect={"package": package},
            now=town.house.now(),
            route=ids.route(town.general.id),
        )

    app = town.house.app
    approval, kicked = await app.db.write(work)
    app.context.cards.deliver(kicked)
    return approval


async def card_of(town: Town) -> Message:
    """The card that Ada is shown."""
    place = town.slack.dm(town.ada)
    await town.until(lambda: any(each.labels for each in place.messages))
    return next(each for each in place.messages if each.labels)


async def test_who_owns_the_bot_is_asked_directly_and_decides_by_a_button(town: Town, shop: Shop) -> None:
    async with town.open():
        approval = await ask(town)
        card = await card_of(town)
        assert "Install cowsay?" in card.shown and card.labels == ["Approve", "Deny"]
        given = town.ada.click(card, "Approve")
        await town.until(lambda: given.texts)
        assert "Approved: Install cowsay?" in given.text
        await town.until(lambda: not card.labels)
        assert "Approved by Ada." in card.shown
        await town.house.until(lambda: shop.done == ["cowsay"])
        assert town.house.query("SELECT decided_by FROM approvals WHERE id = ?", approval.id)[0][0]


async def test_a_card_of_an_earlier_service_is_pressed(town: Town, shop: Shop) -> None:
    async with town.open():
        await ask(town)
        card = await card_of(town)
    async with town.open():
        town.ada.click(card, "Deny")
        await town.until(lambda: not card.labels)
        assert "Denied by Ada." in card.shown and shop.done == []


async def test_in_the_place_for_approvals_only_who_may_decides(town: Town, shop: Shop) -> None:
    async with town.open():
        await ask(town)
        card = await card_of(town)
        forged = {"type": "button", "action_id": card.blocks[-1]["elements"][0]["action_id"]}
        given = town.bob.interactions.act(town.bob, card, forged)
        await town.until(lambda: given.texts)
        assert card.labels == ["Approve", "Deny"] and shop.done == []


def tab(town: Town) -> str:
    return json.dumps(town.slack.homes.get(town.ada.id), ensure_ascii=False)


async def test_the_home_tab_has_what_waits_and_a_button_decides_it(town: Town, shop: Shop) -> None:
    async with town.open():
        for number in range(7):
            await ask(town, f"package{number}")
        town.ada.open_home()
        await town.until(lambda: "Waiting for a decision" in tab(town))
        assert "And 2 more" in tab(town)
        shown = town.slack.homes[town.ada.id]["blocks"]
        buttons = [each for each in shown if each["type"] == "actions"]
        assert [each["text"]["text"] for each in buttons[0]["elements"]] == ["Approve", "Deny"]
        town.ada.click_home("Approve")
        await town.until(lambda: "Approved: Install" in tab(town))
        await town.house.until(lambda: len(shop.done) == 1)
        assert "And 1 more" in tab(town)


async def test_a_stranger_sees_nothing_of_it_and_cannot_forge_a_button(town: Town, shop: Shop) -> None:
    async with town.open():
        approval = await ask(town)
        town.bob.open_home()
        await town.until(lambda: town.bob.id in town.slack.homes)
        assert "Waiting" not in json.dumps(town.slack.homes[town.bob.id])
        for value in (
            json.dumps({"command": "approval approve", "arguments": {"id": approval.id}}),
            "{",
            json.dumps({"command": 5}),
            None,
        ):
            await forged(town, value)
        assert shop.done == []
        (row,) = town.house.query("SELECT state FROM approvals")
        assert row["state"] == "open"


async def forged(town: Town, value: Any) -> None:
    """Bob presses a button in his Home tab that is not there."""
    given = town.slack.interactions._begin("block_actions", town.bob, None)
    view = town.slack.homes[town.bob.id]
    body = town.slack.interactions._payload(given) | {
        "actions": [{"type": "button", "action_id": "rh:0:0", "value": value}],
        "view": view,
        "container": {"type": "view", "view_id": view["id"]},
    }
    published = len(town.slack.called("views.publish"))
    town.slack.interactions._send("interactive", body, given)
    await town.until(lambda: given.acked)
    if value and value.startswith('{"command": "'):
        await town.until(lambda: len(town.slack.called("views.publish")) > published)


async def test_an_admin_of_the_agent_by_a_user_group_decides(town: Town, shop: Shop) -> None:
    ops = town.slack.usergroup("ops", town.bob)
    async with town.open():
        await town.house.app.db.write(
            partial(
                people.grant_group, channel="slack", group_id=ops.id, role="admin", agent="assistant", now=0
            )
        )
        await ask(town)
        card = await card_of(town)
        forged = {"type": "button", "action_id": card.blocks[-1]["elements"][0]["action_id"]}
        given = town.bob.interactions.act(town.bob, card, forged)
        await town.until(lambda: given.texts)
        assert "Approved" in given.text
        ops.remove(town.bob)
        again = town.bob.command("approval list", town.general)
        await town.until(lambda: again.texts)
        assert "cowsay" not in again.text
