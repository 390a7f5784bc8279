"""What the gateway meters is put down to whoever has begun the turn, and ends where a budget does."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from bot.config_money import BudgetConfig
from bot.db import budgets as rows
from bot.db import inbox, usage
from bot.db.audit import Actor
from tests.fakes.gateway import House, ask_for, gateway
from tests.fakes.messages_api import MessagesApi, Rule, Say

MODEL = "claude-sonnet-5"
ADA = Actor("u1", "Ada", "fake")


def agent(api: MessagesApi) -> dict[str, Any]:
    return {"model": MODEL, "model_url": api.url}


async def spent(house: House) -> list[tuple[str, str, str, int]]:
    """By turn: person, model, and micros. What nobody waits for is written by now."""
    await house.db.write(lambda db: None)
    found = await house.db.read(
        lambda db: db.execute(
            "SELECT turn_id, person, model, usd_micros FROM usage ORDER BY at, model"
        ).fetchall()
    )
    return [tuple(row) for row in found]


async def test_each_request_is_put_down_to_the_turn_that_ran_when_it_began(
    tmp_path: Path, api: MessagesApi
) -> None:
    api.rules = [Rule("", [Say("one two three", 0.2)])]
    async with gateway(tmp_path, agent(api)) as house:
        first = await house.asked("u1")
        slow = asyncio.create_task(house.ask(ask_for(stream=True)))
        async with api.answered:
            await asyncio.wait_for(api.answered.wait_for(lambda: bool(api.seen)), 10)
        # The turn ends while its request is under way still, and the next one begins.
        await house.db.write(partial(inbox.settle, session_id="s1", ids=[first.id], turn_id=first.id, now=1))
        session = house.sessions.loaded("s1")
        assert session is not None
        session.end(first, turn_id=first.id, ok=True)
        await house.db.write(partial(usage.ended, session_id="s1", message_id=first.id, seconds=2.0, now=1))
        second = await house.asked("u2")
        await house.ask(ask_for(model="claude-haiku-4-5"))
        assert (await slow).status == 200
        found = await spent(house)
        assert {(turn, person, model) for turn, person, model, _ in found} == {
            (first.id, "fake:u1", ""),
            (first.id, "fake:u1", MODEL),
            (second.id, "fake:u2", "claude-haiku-4-5"),
        }
        assert all(micros > 0 for _, _, model, micros in found if model)
        session.end(second, turn_id=second.id, ok=True)
        # Nothing runs: what a client does by itself belongs to the turn before.
        await house.ask()
        assert {turn for turn, *_ in await spent(house)} == {first.id, second.id}
        counted = house.metrics.snapshot()
        micros = sum(each for *_, each in await spent(house))
        assert round(counted['roost_usage_usd_total{agent="assistant"}'] * 1_000_000) == micros


async def test_a_turn_is_stopped_where_a_budget_ends_and_goes_on_when_it_is_extended(
    tmp_path: Path, api: MessagesApi
) -> None:
    budgets = [BudgetConfig(subject="person:*", day_usd=0.0001)]
    async with gateway(tmp_path, agent(api), budgets=budgets) as house:
        await house.asked("u1")
        await house.asked("u2", session="s2")
        assert (await house.ask()).status == 200
        stopped = await house.ask()
        assert stopped.error == (
            402,
            "billing_error",
            "The budget of today for this person is used up ($0.0001); it begins again at 00:00 UTC.",
        )
        assert stopped.headers["x-should-retry"] == "false" and house.refusals() == {"spend": 1.0}
        assert (await house.ask(session="s2")).status == 200
        budget = house.budgets.of("person:fake:u1", "day")
        assert budget is not None
        await house.db.write(lambda db: house.budgets.extend(db, budget, 1_000_000, ADA))
        assert (await house.ask()).status == 200


async def test_what_an_agent_may_spend_can_change_while_it_works(tmp_path: Path, api: MessagesApi) -> None:
    async with gateway(tmp_path, agent(api)) as house:
        await house.asked("u1")
        assert (await house.ask()).status == 200
        await house.db.write(
            partial(rows.put, subject="agent:assistant", period="month", usd_micros=10, now=0)
        )
        await house.budgets.refresh()
        assert (await house.ask()).status == 402
        await house.db.write(partial(rows.drop, subject="agent:assistant", period="month"))
        await house.budgets.refresh()
        assert (await house.ask()).status == 200
