"""A few of the rounds of `make crash SLACK=1`, and a judge who sees what he should on the server."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from agent.protocol import failpoint
from tests.crash import slack_stories
from tests.crash.nursery import Nursery
from tests.crash.plan import Life, Round, Say, Wait
from tests.crash.town import SlackTown
from tests.fakes.slack_things import Message

POINTS = (
    "envelope-received+retry",
    "event-put-down",
    "inbox-committed+thread",
    "answer-taken+asked",
    "message-posted+notes",
    "stream-stopped",
    "file-shared+file",
    "drop",
    "gap-read",
)
SEEDS = range(1)
AT_ONCE = 3


async def test_what_stands_on_slack_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    told = {plan.name.removeprefix("slack:"): plan for plan in slack_stories.rounds()}
    plans = [*(told[point] for point in POINTS), *(slack_stories.round_of(seed) for seed in SEEDS)]
    slots, found = asyncio.Semaphore(AT_ONCE), list[str]()

    async def play(plan: Round, nursery: Nursery) -> None:
        async with slots:
            root = Path(tempfile.mkdtemp(dir=tmp_path))
            found.extend(f"{plan.name}: {each}" for each in await SlackTown(plan, root, nursery).run())

    async with Nursery() as nursery:
        await asyncio.gather(*(play(plan, nursery) for plan in plans))
    assert found == []


def test_every_story_has_a_name_of_its_own() -> None:
    names = [plan.name for plan in slack_stories.rounds()]
    assert len(names) == len(set(names))


# ---------------------------------------------------------------- the judge


def _in_bot_db(town: SlackTown, sql: str) -> None:
    with closing(sqlite3.connect(town.data / "bot.db")) as db, db:
        db.execute(sql)


def _answer(town: SlackTown) -> Message:
    return town.chat.standing()[0]


def _again(town: SlackTown) -> None:
    answer, world = _answer(town), town.chat.server.world
    more = Message(answer.place, world.ts(), answer.user, answer.text, answer.blocks, answer.thread)
    world.post(more)


def _cut(town: SlackTown) -> None:
    answer = _answer(town)
    answer.text, answer.blocks = answer.shown.replace("w3 ", ""), []


def _gone(town: SlackTown) -> None:
    town.chat.server.world.remove(_answer(town))


def _elsewhere(town: SlackTown) -> None:
    for each in town.chat.standing():
        each.thread = None


def _streams(town: SlackTown) -> None:
    _answer(town).streaming = True


def _works(town: SlackTown) -> None:
    next(iter(town.chat.server.sessions.values())).states.append("processing")


def _noted(town: SlackTown, kind: str) -> None:
    _in_bot_db(town, f"INSERT INTO notes VALUES ('slack:{kind}:t', '{{}}', 0)")


def _lost(town: SlackTown) -> None:
    """Something that Slack has, and nobody has heard."""
    _in_bot_db(town, "DELETE FROM inbox WHERE seq = (SELECT max(seq) FROM inbox)")


TAMPERINGS: Sequence[tuple[Callable[[SlackTown], None], str]] = (
    (_again, "was answered 2 times"),
    (_cut, "is not whole"),
    (_streams, "still streams"),
    (_works, "is still processing"),
    (lambda town: _noted(town, "stream"), "slack:stream:t is still noted"),
    (lambda town: _noted(town, "status"), "slack:status:t is still noted"),
    (lambda town: _noted(town, "event"), "slack:event:t is still noted"),
    (_elsewhere, "was answered in"),
    (_gone, "was recorded as sent and is not"),
    (_lost, "was acknowledged and has 0 rows"),
)


async def test_the_judge_sees_what_was_tampered_with_on_the_server(tmp_path: Path) -> None:
    plan = Round("plain", [Life((Say("stream"), Wait("answered"), Say("hello")), end="go on")])
    async with Nursery() as nursery:
        town = SlackTown(plan, tmp_path / "town", nursery)
        town.root.mkdir()
        assert await town.run() == []
    for tamper, said in TAMPERINGS:
        assert not any(said in each for each in town.verdict()), town.verdict()
        tamper(town)
        assert any(said in each for each in town.verdict()), town.verdict()
    shutil.rmtree(town.root)


@pytest.mark.parametrize("how", ["again", "retry", "refresh", "drop", "slow", "plain"])
def test_every_trick_has_a_story(how: str) -> None:
    acts = [act for plan in slack_stories.rounds() for life in plan.lives for act in life.acts]
    assert any(getattr(act, "how", None) == how for act in acts)


def test_every_point_of_its_own_has_a_story() -> None:
    points = {life.point for plan in slack_stories.rounds() for life in plan.lives if life.point is not None}
    assert {point.partition(":")[0] for point in points} >= failpoint.SLACK
