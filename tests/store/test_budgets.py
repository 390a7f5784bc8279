"""Budgets and usage in bot.db: reservations that come back, sums that add up, days that end, and many at once."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from agent.protocol.messages import ChatIn, Route
from bot import money
from bot.budgets import LEAST_MICROS, Budgets
from bot.config_money import BudgetConfig
from bot.config_tables import AgentConfig
from bot.db import budgets as rows
from bot.db import inbox, people, sessions, usage
from bot.db.engine import Database, open_database
from bot.db.usage import Tokens, Wanted
from bot.gateway.refusals import Refusal
from bot.metrics import Metrics
from bot.money import MICROS, Whose

DAY = 86_400_000
START = 20_000 * DAY + 12 * 3_600_000
"""Noon of 2024-10-04."""
AGENTS = {"helper": AgentConfig(), "dear": AgentConfig(max_budget_usd=0.005)}


class Town:
    """A bot.db with some people, and a clock."""

    def __init__(self, db: Database, *budgets: BudgetConfig) -> None:
        self.db = db
        self.now = START
        self.metrics = Metrics()
        self.budgets = Budgets(db, list(budgets), AGENTS, metrics=self.metrics, clock=lambda: self.now)

    def accept(
        self, db: sqlite3.Connection, *, person: str = "u1", place: str = "p1", agent: str = "helper"
    ) -> str | None:
        """A message that wakes a turn; None: a budget has refused it."""
        route = Route(channel="fake", platform_id=place)
        record = sessions.resolve(db, agent, route, self.now)
        message_id = inbox.new_id()
        if self.budgets.reserve(db, message_id, Whose(agent, ("fake", place), f"fake:{person}"), route):
            return None
        inbox.accept(
            db,
            record,
            message_id=message_id,
            event_id=message_id,
            kind="chat",
            content=ChatIn(sender=person, text="hello"),
            route=route,
            created_at=self.now,
            now=self.now,
            sender_id=person,
        )
        return message_id

    def charge(self, db: sqlite3.Connection, message_id: str, micros: int) -> None:
        session = db.execute("SELECT session FROM inbox WHERE id = ?", (message_id,)).fetchone()[0]
        self.budgets.charge(db, session, message_id, "claude-sonnet-5", Tokens(1, 2, 3, 4), micros)

    def end(self, db: sqlite3.Connection, message_id: str, *, ok: bool = True) -> None:
        session = db.execute("SELECT session FROM inbox WHERE id = ?", (message_id,)).fetchone()[0]
        if ok:
            inbox.settle(db, session, [message_id], turn_id=message_id, now=self.now)
        else:
            inbox.fail(db, session, [message_id], error="", now=self.now)
        usage.ended(db, session, message_id, seconds=1.5, now=self.now)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = open_database(tmp_path / "bot.db")
    yield database
    await database.close()


def budget(subject: str, day: float | None = None, month: float | None = None) -> BudgetConfig:
    return BudgetConfig(subject=subject, day_usd=day, month_usd=month)


async def refused(town: Town, **whose: str) -> bool:
    return await town.db.write(lambda db: town.accept(db, **whose)) is None


async def test_each_budget_counts_for_those_that_it_is_for(database: Database) -> None:
    town = Town(
        database,
        budget("person:*", 0.01),
        budget("person:fake:u2", 5),
        budget("agent:dear", 0.01),
        budget("bot", 100, 100),
    )

    def work(db: sqlite3.Connection) -> None:
        for person, agent in (("u1", "helper"), ("u2", "helper"), ("u3", "dear")):
            message = town.accept(db, person=person, agent=agent)
            assert message is not None
            town.charge(db, message, 20_000)
            town.end(db, message)

    await database.write(work)
    assert await refused(town, person="u1") and not await refused(town, person="u2")
    assert await refused(town, person="u4", agent="dear") and not await refused(town, person="u4")
    counted = town.metrics.snapshot()
    assert counted['roost_budget_refusals_total{kind="person"}'] == 1
    assert counted['roost_budget_refusals_total{kind="agent"}'] == 1
    day = money.day_of(town.now)
    assert await database.read(lambda db: usage.spent(db, "bot", since=day, until=day)) == 60_000
    assert await database.read(lambda db: usage.spent(db, "channel:fake:p1", since=day, until=day)) == 60_000
    found = await database.read(lambda db: usage.by(db, "person", Wanted(day, day), 10))
    assert [(each.name, each.turns, each.usd_micros, each.seconds) for each in found] == [
        (f"fake:u{n}", 1, 20_000, 1.5) for n in (1, 2, 3)
    ]


async def test_a_budget_that_is_made_later_knows_what_was_spent_before(database: Database) -> None:
    before = Town(database)
    message = await database.write(before.accept)
    assert message is not None
    await database.write(lambda db: before.charge(db, message, 3 * MICROS))
    await database.write(lambda db: before.end(db, message))
    assert await refused(Town(database, budget("bot", month=3)))
    assert not await refused(Town(database, budget("bot", month=3.01)))


async def test_days_and_months_end_at_midnight_of_utc(database: Database) -> None:
    town = Town(database, budget("person:*", 1, 2))
    town.now = 1_706_745_599_000  # 2024-01-31 23:59:59
    message = await database.write(town.accept)
    assert message is not None
    await database.write(lambda db: town.charge(db, message, MICROS))
    assert await refused(town)
    town.now += 1_000
    # A request that ends on the new day is paid on that day, though its turn began before.
    await database.write(lambda db: town.charge(db, message, 500_000))
    await database.write(lambda db: town.end(db, message))
    assert not await refused(town)
    sums = await database.read(lambda db: [tuple(r) for r in db.execute(
        "SELECT period, begins, spent_micros FROM budget_periods ORDER BY 1, 2")])  # fmt: skip
    assert sums == [
        ("day", "2024-01-31", MICROS),
        ("day", "2024-02-01", 500_000),
        ("month", "2024-01-01", MICROS),
        ("month", "2024-02-01", 500_000),
    ]
    assert money.ends_at("month", "2024-01-31") == 1_706_745_600_000 == money.ends_at("day", "2024-01-31")
    assert money.again("month", "2024-12-31") == "on 1 January at 00:00 UTC"


async def test_a_reservation_shrinks_by_what_is_spent_and_no_cent_counts_twice(database: Database) -> None:
    town = Town(database, budget("bot", 1))
    message = await database.write(town.accept)
    assert message is not None

    async def state() -> tuple[int, int]:
        found = await database.write(
            lambda db: town.budgets.states(db, Whose("helper", ("fake", "p1")), money.day_of(town.now))
        )
        return found[0].spent, found[0].reserved

    assert await state() == (0, LEAST_MICROS)
    await database.write(lambda db: town.charge(db, message, 4_000))
    assert await state() == (4_000, LEAST_MICROS - 4_000)
    await database.write(lambda db: town.charge(db, message, 50_000))
    assert await state() == (54_000, 0)
    await database.write(lambda db: town.end(db, message))
    assert await state() == (54_000, 0)


async def test_the_estimate_is_what_turns_have_cost_and_never_more_than_one_may(database: Database) -> None:
    town = Town(database, budget("bot", 100))

    def work(db: sqlite3.Connection) -> list[int]:
        found = []
        for agent in ("helper", "dear"):
            for _ in range(25):
                message = town.accept(db, agent=agent)
                assert message is not None
                town.charge(db, message, 40_000)
                town.end(db, message)
            town.now += 20_000
            found.append(town.budgets.estimate(db, agent))
        return found

    assert await database.write(work) == [40_000, 5_000]


async def test_a_turn_is_stopped_once_all_is_spent_and_admins_are_told_once(database: Database) -> None:
    town = Town(database, budget("bot", month=1))
    await database.write(lambda db: people.grant(db, "fake", "u1", "owner", now=0))
    message = await database.write(town.accept)
    assert message is not None
    session = await database.read(lambda db: str(db.execute("SELECT session FROM inbox").fetchone()[0]))
    await town.budgets.check(session, message)
    # Two requests that are under way at once are both counted before the next one is looked at.
    for _ in range(2):
        database.later(lambda db: town.charge(db, message, 500_000))
    for _ in range(2):
        with pytest.raises(Refusal) as stopped:
            await town.budgets.check(session, message)
    assert stopped.value.message == (
        "The budget of this month for all agents together is used up ($1.00); it begins again on 1 November at"
        " 00:00 UTC."
    )
    cards = await database.read(lambda db: db.execute("SELECT platform_id FROM cards").fetchall())
    assert sorted(row["platform_id"] for row in cards) == ["@u1", "p1"]
    assert len(await town.budgets.said()) == 2 and await town.budgets.said() == []


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_nothing_stays_set_aside_when_nothing_runs(
    database: Database, seed: int
) -> None:
    chance = random.Random(seed)
    places = budget("channel:*", 0.08, 0.2)
    town = Town(database, budget("person:*", 0.05), places, budget("bot", 0.3), budget("agent:dear", 0.02))
    running: list[str] = []

    async def one() -> None:
        await asyncio.sleep(0)
        match chance.choice(("accept", "accept", "charge", "end", "fail", "roll back", "tomorrow", "anew")):
            case "accept":
                who, where = chance.choice(["u1", "u2", "u3"]), chance.choice(["p1", "p2"])
                agent = chance.choice(["helper", "dear"])
                made = await database.write(lambda db: town.accept(db, person=who, place=where, agent=agent))
                running.extend([made] if made else [])
            case "charge" if running:
                message, cost = chance.choice(running), chance.randrange(30_000)
                await database.write(lambda db: town.charge(db, message, cost))
            case "end" | "fail" as how if running:
                message = running.pop(chance.randrange(len(running)))
                await database.write(lambda db: town.end(db, message, ok=how == "end"))
            case "roll back":

                def broken(db: sqlite3.Connection) -> None:
                    town.accept(db)
                    raise RuntimeError("rolled back")

                with pytest.raises(RuntimeError):
                    await database.write(broken)
            case "tomorrow":
                town.now += chance.randrange(DAY)
            case "anew":
                await town.budgets.refresh()
            case _:
                pass

    for _ in range(30):
        await asyncio.gather(*(one() for _ in range(5)))
    for message in running:
        await database.write(partial(town.end, message_id=message, ok=chance.random() < 0.5))
    left = await database.read(
        lambda db: [
            db.execute(f"SELECT count(*) FROM {each}").fetchone()[0] for each in ("reservations", "reserved")
        ]
    )
    assert left == [0, 0]
    # What each period says is what usage adds up to.
    wrong = await database.read(_differences)
    assert wrong == []


def _differences(db: sqlite3.Connection) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for row in db.execute("SELECT * FROM budget_periods").fetchall():
        last = money.day_of(money.ends_at(row["period"], row["begins"]) - 1)
        counted = usage.spent(db, row["subject"], since=row["begins"], until=last)
        if counted != row["spent_micros"]:
            found.append(
                (row["subject"], row["period"], row["begins"], str(counted), str(row["spent_micros"]))
            )
    return found


async def test_of_many_at_once_one_gets_the_last_of_it(database: Database) -> None:
    town = Town(database, budget("bot", 0.025))
    made = await asyncio.gather(
        *(database.write(partial(town.accept, person=f"u{n}", place=f"p{n}")) for n in range(40))
    )
    accepted = [each for each in made if each is not None]
    # Three times a cent: the last one may go beyond, by no more than what it has set aside.
    assert len(accepted) == 3
    state = (await database.write(
        lambda db: town.budgets.states(db, Whose("helper", ("fake", "p1")), money.day_of(town.now))))[0]  # fmt: skip
    assert state.reserved - state.limit <= LEAST_MICROS


def test_what_is_kept_of_a_refused_message_is_all_of_it(db: sqlite3.Connection) -> None:
    route = Route(channel="fake", platform_id="p1", thread_id="t1")
    kept = rows.Kept("m1", "e1", "s1", "helper", "chat", route, "{}", "u1", "fake:u1", "bot", 1, 2, 3)
    assert rows.keep(db, kept) and not rows.keep(db, kept)
    assert rows.kept(db) == [kept] and rows.kept_count(db, "bot") == (1, 1)
    assert inbox.unfinished_ids(db) == {"m1"}
    assert rows.let_go(db, "m1") and not rows.let_go(db, "m1")
