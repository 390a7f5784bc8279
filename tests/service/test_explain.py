"""Why somebody is answered, or is not: what `explain` says is held against what then becomes of the very message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Event, Receipt, Sender
from agent.protocol.clock import now_ms
from agent.protocol.messages import Route
from bot.app import App, running_app
from bot.config import Config
from bot.db import budgets, people
from bot.db.people import Seen
from tests.fakes.backend import FakeBackend
from tests.fakes.platform import FakePlatform

OWNER, OF_HELPER = Sender("1", "Olga"), Sender("3", "Hal")
MEMBER, GROUPED, DENIED, STRANGER = (
    Sender("2", "Max"),
    Sender("4", "Gus", groups=("7",)),
    Sender("5", "Dan"),
    Sender("6", "Sam"),
)
WIRINGS: list[dict[str, Any]] = [
    {"channel": "discord", "place": "100", "agent": "helper", "strangers": "ask"},
    {"channel": "discord", "place": "200", "agent": "helper", "strangers": "refuse", "senders": "admins"},
    {"channel": "discord", "place": "300", "agent": "helper", "engage": "pattern", "pattern": "help\\w*"},
    {"channel": "discord", "place": "400", "agent": "helper", "engage": "all", "strangers": "answer"},
    {"channel": "discord", "place": "400", "agent": "other", "engage": "mention", "strangers": "ignore"},
]


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    config = Config.model_validate(
        {
            "service": {"data_dir": tmp_path / "data"},
            "agents": {"helper": {}, "other": {}},
            "wirings": WIRINGS,
        }
    )
    async with running_app(config, adapters=[FakePlatform("discord")], backend=FakeBackend()) as app:
        grants: list[Callable[[Any], None]] = [
            lambda db: people.grant(db, "discord", OWNER.id, "owner", now=1),
            lambda db: people.grant(db, "discord", OF_HELPER.id, "admin", now=1, agent="helper"),
            lambda db: people.grant(db, "discord", MEMBER.id, "member", now=1, by="1"),
            lambda db: people.grant_group(db, "discord", "7", "member", now=1, agent="helper"),
            lambda db: people.deny(db, "discord", DENIED.id, agent="helper", now=1),
            lambda db: people.saw(db, "discord", GROUPED.id, Seen("Gus", ("7",))),
        ]
        for each in grants:
            await app.db.write(each)
        yield app


async def explained(app: App, who: Sender, place: str, text: str = "hello", **more: Any) -> Receipt:
    by = more.pop("by", OWNER)
    event = Event(
        id=f"e{now_ms()}",
        kind="command",
        route=FakePlatform("discord").route("999"),
        sender=by,
        created_at=1,
        command="explain",
        arguments={"who": f"<@{who.id}>", "place": f"<#{place}>", "message": text, **more},
    )
    return await app.intake.receive(event)


def content(app: App) -> Callable[[Any], dict[str, list[Any]]]:
    def read(db: Any) -> dict[str, list[Any]]:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [tuple(row) for row in db.execute(f"SELECT * FROM {name}")] for name in names}

    return read


PEOPLE = (OWNER, OF_HELPER, MEMBER, GROUPED, DENIED, STRANGER)
CASES = list(product(PEOPLE, ("100", "200", "300", "400", "500"), ("hello", "helpful"), (False, True)))


@pytest.mark.parametrize("who", PEOPLE, ids=lambda who: who.name)
async def test_what_is_explained_is_what_becomes_of_it(app: App, who: Sender) -> None:
    cases = [case[1:] for case in CASES if case[0] == who]
    before = await app.db.read(content(app))
    explanations = [await explained(app, who, place, text, mention=mention) for place, text, mention in cases]
    assert await app.db.read(content(app)) == before, "it has no effect"
    for number, ((place, text, mention), told) in enumerate(zip(cases, explanations, strict=True)):
        assert told.state == "accepted", told.text
        route = FakePlatform("discord").route(place)
        event = Event(f"m{number}", "message", route, who, 1, text=text, mentions_bot=mention)
        receipt = await app.intake.receive(event)
        answered = any(each["answers"] for each in told.data)
        assert (receipt.state == "accepted") == answered, (place, text, mention, told.text, receipt)


@pytest.mark.parametrize(
    ("who", "place", "mention", "outcome", "step"),
    [
        (
            MEMBER,
            "100",
            True,
            "helper answers.",
            "Standing: member for helper: member for all agents, given on",
        ),
        (GROUPED, "100", True, "helper answers.", "through the group discord:7"),
        (
            MEMBER,
            "100",
            False,
            "helper does not answer: it is not for the agent",
            "If it named the bot: helper answers.",
        ),
        (
            STRANGER,
            "100",
            True,
            "until an admin has let them in",
            "Standing: no role for helper, a stranger.",
        ),
        (DENIED, "100", True, "an admin has denied them", "Denied: an admin does not want to be asked"),
        (MEMBER, "200", True, "only admins are heard there", "they are told"),
        (STRANGER, "400", False, "helper answers.", "what a member may in this place"),
        (STRANGER, "500", True, "until an owner has decided about this place", "nobody has wired the place"),
        (MEMBER, "500", True, "helper answers.", "nobody has wired the place, so the defaults hold"),
        (MEMBER, "300", False, "it is not for the agent", "what fits the pattern help"),
    ],
)
async def test_the_rule_is_named(
    app: App, who: Sender, place: str, mention: bool, outcome: str, step: str
) -> None:
    told = await explained(app, who, place, mention=mention)
    assert told.text is not None
    assert outcome in told.text.splitlines()[0] and step in told.text


async def test_an_admin_of_one_agent_reads_of_that_one(app: App) -> None:
    told = await explained(app, STRANGER, "400", by=OF_HELPER)
    assert [each["agent"] for each in told.data] == ["helper"]
    assert (await explained(app, STRANGER, "400", by=MEMBER)).state == "refused"
    assert (await explained(app, STRANGER, "400", by=STRANGER)).state == "dropped"


async def test_it_says_who_may_give_a_command(app: App) -> None:
    said = {}
    for who, command in product(
        (OWNER, OF_HELPER, MEMBER, STRANGER), ("agent set", "clear", "whoami", "backup")
    ):
        told = await explained(app, who, "100", command=command)
        said[who.name, command] = None if told.text is None else told.text.split(". ")[0]
    assert (
        said["Olga", "agent set"] == "They may give it about the service as a whole and about helper, other"
    )
    assert said["Hal", "agent set"] == "They may give it about helper"
    assert said["Max", "agent set"] == said["Sam", "clear"] == "They may not give it"
    assert said["Sam", "whoami"] == said["Max", "clear"] == said["Olga", "agent set"]
    assert (await explained(app, MEMBER, "100", command="nothing")).state == "refused"


async def test_a_budget_that_is_used_up_is_a_reason(app: App) -> None:
    before = await explained(app, MEMBER, "400")
    assert "budget" not in (before.text or "")

    await app.db.write(lambda db: budgets.put(db, "bot", "day", 1, now=1))
    await app.context.budgets.refresh()
    route = Route(channel="discord", platform_id="400")
    said = Event("e1", "message", route, MEMBER, now_ms(), text="hello")
    assert (await app.intake.receive(said)).state == "accepted"
    after = await explained(app, MEMBER, "400")
    assert "the budget of all agents together is used up" in (after.text or "")
