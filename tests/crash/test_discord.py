"""A few of the rounds of `make crash DISCORD=1`, and a judge who sees what he should on the server."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash import stories
from tests.crash.nursery import Nursery
from tests.crash.plan import Life, Round, Say, Wait
from tests.crash.town import DiscordTown
from tests.fakes.discord_things import Message

POINTS = (
    "event-received",
    "inbox-committed:2+missed",
    "inbox-committed+asked",
    "after-send",
    "sent-recorded:4",
    "thread-opened",
    "stream-posted:2+tale",
    "begun+both",
    "gap-read",
)
SEEDS = range(2)
AT_ONCE = 3


async def test_what_stands_on_discord_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    named = {plan.name.removeprefix("discord:"): plan for plan in stories.rounds()}
    plans = [*(named[point] for point in POINTS), *(stories.round_of(seed) for seed in SEEDS)]
    slots, found = asyncio.Semaphore(AT_ONCE), list[str]()

    async def play(plan: Round, nursery: Nursery) -> None:
        async with slots:
            root = Path(tempfile.mkdtemp(dir=tmp_path))
            found.extend(f"{plan.name}: {each}" for each in await DiscordTown(plan, root, nursery).run())

    async with Nursery() as nursery:
        await asyncio.gather(*(play(plan, nursery) for plan in plans))
    assert found == []


def test_every_story_has_a_name_of_its_own() -> None:
    names = [plan.name for plan in stories.rounds()]
    assert len(names) == len(set(names))


# ---------------------------------------------------------------- the judge


def _in_bot_db(town: DiscordTown, sql: str) -> None:
    with closing(sqlite3.connect(town.data / "bot.db")) as db, db:
        db.execute(sql)


def _answer(town: DiscordTown) -> Message:
    return town.chat.standing()[0]


def _again(town: DiscordTown) -> None:
    answer = _answer(town)
    world = town.chat.server.world
    world.post(world.draft(answer.place, answer.author, answer.content))


def _cut(town: DiscordTown) -> None:
    _answer(town).content = _answer(town).content.replace("w3 ", "")


def _gone(town: DiscordTown) -> None:
    _answer(town).is_deleted = True


def _elsewhere(town: DiscordTown) -> None:
    answer, dm = _answer(town), town.chat.server.dm(town.chat.ada)
    _in_bot_db(
        town, f"UPDATE deliveries SET platform_id = replace(platform_id, '{answer.place.id}:', '{dm.id}:')"
    )
    for each in town.chat.standing():
        each.place.history.remove(each)
        dm.history.append(each)
        each.place = dm


def _noted(town: DiscordTown) -> None:
    _in_bot_db(town, "INSERT INTO notes VALUES ('discord:stream:t', '{}', 0)")


def _other_words(town: DiscordTown) -> None:
    town.chat.server.violations.append("POST /nowhere")


TAMPERINGS: dict[str, tuple[Callable[[DiscordTown], None], str]] = {
    "said again": (_again, "was answered 2 times"),
    "not whole": (_cut, "is not whole"),
    "gone": (_gone, "was recorded as sent and is not"),
    "elsewhere": (_elsewhere, "was answered in"),
    "noted": (_noted, "discord:stream:t is still noted"),
    "another wire": (_other_words, "the wire: POST /nowhere"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
async def test_the_judge_sees_what_was_tampered_with_on_the_server(tmp_path: Path, name: str) -> None:
    plan = Round("plain", [Life((Say("stream"), Wait("answered"), Say("hello")), end="go on")])
    async with Nursery() as nursery:
        town = DiscordTown(plan, tmp_path / "town", nursery)
        town.root.mkdir()
        assert await town.run() == []
    tamper, said = TAMPERINGS[name]
    tamper(town)
    assert any(said in each for each in town.verdict()), town.verdict()
    shutil.rmtree(town.root)
