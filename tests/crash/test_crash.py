"""A few of the rounds of `make crash`, so that what they find is found early; and a judge who sees what he should."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash import chance, judge, points
from tests.crash.nursery import Nursery
from tests.crash.plan import Life, Round, Say, Wait
from tests.crash.platform import Platform
from tests.crash.world import World

POINTS = (
    "event-received",
    "inbox-committed",
    "inbound-mid-commit",
    "container-started",
    "acks-folded",
    "after-send",
    "sent-recorded",
    "session-adopted",
    "agent-finish-mid-commit",
    "agent-finished",
)
SEEDS = range(5)
AT_ONCE = 3


async def test_what_was_accepted_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    named = {plan.name: plan for plan in points.rounds()}
    plans = [*(named[point] for point in POINTS), *(chance.round_of(seed) for seed in SEEDS)]
    slots, found = asyncio.Semaphore(AT_ONCE), list[str]()

    async def play(plan: Round, nursery: Nursery) -> None:
        async with slots:
            root = Path(tempfile.mkdtemp(dir=tmp_path))
            found.extend(f"{plan.name}: {each}" for each in await World(plan, root, nursery).run())

    async with Nursery() as nursery:
        await asyncio.gather(*(play(plan, nursery) for plan in plans))
    assert found == []


# ---------------------------------------------------------------- the judge


def _wire(world: World) -> Platform:
    assert isinstance(world.platform, Platform)
    return world.platform


def _in_bot_db(sql: str) -> Callable[[World], None]:
    def tamper(world: World) -> None:
        with closing(sqlite3.connect(world.data / "bot.db")) as db, db:
            db.execute(sql)

    return tamper


def _again(world: World) -> None:
    _wire(world).wire.append(_wire(world).wire[0])


def _another_answer(world: World) -> None:
    _wire(world).wire.append(replace(_wire(world).wire[-1], out_id="another"))


def _note_lost(world: World) -> None:
    note = next(sent for sent in _wire(world).wire if sent.text.startswith(judge.NOTE))
    _wire(world).wire.remove(note)


def _other_order(world: World) -> None:
    _wire(world).wire.reverse()


def _edit_of_nothing(world: World) -> None:
    wire = _wire(world).wire
    number = next(number for number, sent in enumerate(wire) if sent.replaces is not None)
    wire[number] = replace(wire[number], replaces="w0")


def _silence(world: World) -> None:
    del _wire(world).wire[-1]


def _litter(world: World) -> None:
    (world.data / "sessions" / "x.tmp").touch()


def _orphan(world: World) -> None:
    (session,) = (world.data / "sessions").iterdir()
    (session / "out/files" / ("0" * 32)).mkdir(parents=True)


TAMPERINGS: dict[str, tuple[Callable[[World], None], str]] = {
    "lost": (_in_bot_db("DELETE FROM inbox WHERE seq = 2"), "was acknowledged and has 0 rows"),
    "never ended": (_in_bot_db("UPDATE inbox SET state = 'posted' WHERE seq = 2"), "is posted"),
    "failed": (_in_bot_db("UPDATE inbox SET state = 'failed' WHERE seq = 2"), "has failed"),
    "not recorded": (_in_bot_db("DELETE FROM deliveries WHERE part = 0"), "is not delivered"),
    "sent again": (_again, "went out twice for no reason"),
    "two answers": (_another_answer, "was answered 2 times"),
    "no answer": (_silence, "is done and not answered"),
    "recorded and never sent": (_note_lost, "was recorded as sent and is not"),
    "sent and never recorded": (
        _in_bot_db("DELETE FROM deliveries WHERE seq = (SELECT min(seq) FROM deliveries)"),
        "was sent and not recorded",
    ),
    "another order": (_other_order, "answered in the order"),
    "never told": (
        _in_bot_db("DELETE FROM inbox WHERE event_id LIKE 'action:%'"),
        "nobody was told of action:",
    ),
    "told and never done": (
        _in_bot_db("UPDATE deliveries SET kind = 'text', edits = NULL WHERE kind = 'edit'"),
        "was told and never done",
    ),
    "edited into nothing": (_edit_of_nothing, "replaces w0, which is nothing"),
    "left over": (_litter, "x.tmp is left over"),
    "an orphan": (_orphan, "is nobody's"),
}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A round in which nobody was killed and nothing is wrong."""

    async def play() -> World:
        async with Nursery() as nursery:
            plan = Round(
                "plain",
                [Life((Say("edit"), Wait("answered"), Say("hello"), Say("tool"), Say("hello")), end="go on")],
            )
            world = World(plan, tmp_path_factory.mktemp("plain"), nursery)
            assert await world.run() == []
        return world

    return asyncio.run(play())


@pytest.mark.parametrize("name", TAMPERINGS)
def test_the_judge_sees_what_was_tampered_with(played: World, tmp_path: Path, name: str) -> None:
    world = World(played.plan, tmp_path, Nursery())
    shutil.copytree(played.data, world.data, ignore=shutil.ignore_patterns("*.sock"))
    _wire(world).events = dict(_wire(played).events)
    _wire(world).wire = list(_wire(played).wire)
    _wire(world).ids = dict(_wire(played).ids)
    assert world.verdict() == []
    tamper, said = TAMPERINGS[name]
    tamper(world)
    assert any(said in each for each in world.verdict()), world.verdict()
