"""Who gives and takes which role, on the whole service: by ids, for one agent or for all, with its row in the audit."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import CARD, Event, Receipt, Sender
from adapters.offers import Suggestion
from agent.protocol.clock import now_ms
from agent.protocol.messages import Route
from bot.app import App, running_app
from bot.commands.granting import needed, strictest
from bot.commands.registry import Scope
from bot.config import Config
from bot.db import audit, people
from bot.db.audit import SERVICE, Entry
from bot.db.people import Seen, Standing
from bot.surfaces import spelled
from tests.fakes.backend import FakeBackend
from tests.fakes.platform import FakePlatform

OWNER, ADMIN, OF_HELPER, BOB = Sender("1", "Olga"), Sender("2", "Al"), Sender("3", "Hal"), Sender("42", "Bob")
PLACE = Route(channel="discord", platform_id="100")


def by_people(db: sqlite3.Connection) -> list[Entry]:
    """What the audit has of people: at its start the service itself makes the terminal's user an owner."""
    return [each for each in audit.newest(db, 9) if each.surface != SERVICE.surface]


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    config = Config.model_validate(
        {"service": {"data_dir": tmp_path / "data"}, "agents": {"helper": {}, "other": {}}}
    )
    platforms = [FakePlatform("discord"), FakePlatform("slack")]
    async with running_app(config, adapters=platforms, backend=FakeBackend()) as app:
        await app.db.write(lambda db: people.grant(db, "discord", OWNER.id, "owner", now=1))
        await app.db.write(lambda db: people.grant(db, "discord", ADMIN.id, "admin", now=1))
        await app.db.write(
            lambda db: people.grant(db, "discord", OF_HELPER.id, "admin", now=1, agent="helper")
        )
        yield app


async def give(app: App, command: str, text: str = "", *, by: Sender = OWNER, **named: Any) -> Receipt:
    event = Event(
        id=f"e{now_ms()}",
        kind="command",
        route=PLACE,
        sender=by,
        created_at=1,
        command=command,
        arguments={"text": text, **named},
    )
    return await app.intake.receive(event)


async def does(app: App, command: str, text: str = "", **more: Any) -> Receipt:
    receipt = await give(app, command, text, **more)
    assert receipt.state == "accepted", receipt.text
    return receipt


async def refused(app: App, command: str, text: str = "", **more: Any) -> str:
    receipt = await give(app, command, text, **more)
    assert receipt.state == "refused", receipt
    return receipt.text or ""


async def of(app: App, user: str, channel: str = "discord", groups: tuple[str, ...] = ()) -> Standing:
    return await app.db.read(lambda db: people.standing(db, channel, user, groups))


async def press(app: App, receipt: Receipt, *, by: Sender = OWNER, choice: int = 0) -> Receipt:
    assert receipt.ask is not None and receipt.ask.id.startswith(CARD)
    event = Event(
        id=f"p{now_ms()}",
        kind="answer",
        route=PLACE,
        sender=by,
        created_at=1,
        question_id=receipt.ask.id,
        choice=choice,
    )
    return await app.intake.receive(event)


# ---------------------------------------------------------------- giving and taking


async def test_a_member_of_one_agent_is_made_and_undone(app: App) -> None:
    made = await does(app, "role grant", "<@42> member helper", by=OF_HELPER)
    assert made.text == (
        "discord:42 is a member for the agent helper now."
        f" To undo it: `{spelled('discord', 'role revoke discord:42 helper')}`."
    )
    assert await of(app, BOB.id) == Standing(None, {"helper": "member"})
    (row, *_) = await app.db.read(lambda db: audit.newest(db, 1))
    assert (row.actor, row.surface, row.action, row.subject, row.agent, row.before, row.after) == (
        OF_HELPER.id,
        "discord",
        "role grant",
        "person:discord:42",
        "helper",
        {"role": None},
        {"role": "member"},
    )
    undone = await press(app, made, by=OF_HELPER)
    assert undone.text is not None and undone.text.startswith(
        "discord:42 is not a member for the agent helper"
    )
    assert not (await of(app, BOB.id)).known
    assert undone.ask is not None, "and that can be undone as well"
    assert (await press(app, undone, by=OF_HELPER)).state == "accepted"
    assert await of(app, BOB.id) == Standing(None, {"helper": "member"})


async def test_groups_have_roles_on_both_platforms(app: App) -> None:
    assert (await does(app, "role grant", "<@&7> member")).data["who"] == "group:discord:7"
    assert (await of(app, BOB.id, groups=("7",))).everywhere == "member"
    await does(app, "role grant", "group:slack:S12 admin helper")
    assert (await of(app, "U11", "slack", ("S12",))).agents == {"helper": "admin"}
    shown = await does(app, "role list", "group:7")
    assert [(each["who"], each["role"], each["agent"]) for each in shown.data] == [
        ("group:discord:7", "member", None)
    ]
    taken = await does(app, "role revoke", "group:7")
    assert taken.text is not None and spelled("discord", "role grant group:discord:7 member") in taken.text
    assert not (await of(app, BOB.id, groups=("7",))).known
    assert "owners are people" in await refused(app, "role grant", "<@&7> owner")


@pytest.mark.parametrize("name", ["Bob", "@Bob", "<@Bob", "discord:Bob", "nowhere:42", "group:ops", "<#42>"])
async def test_names_are_not_taken(app: App, name: str) -> None:
    assert "names are not taken" in await refused(app, "role grant", who=name, role="member")
    assert not (await of(app, BOB.id)).known


@pytest.mark.parametrize(
    ("by", "words", "allowed"),
    [
        (OF_HELPER, "42 member helper", True),
        (OF_HELPER, "42 member other", False),
        (OF_HELPER, "42 member", False),
        (OF_HELPER, "42 admin helper", False),
        (OF_HELPER, "42 admin other", False),
        (OF_HELPER, "42 owner", False),
        (OF_HELPER, "2 member helper", True),
        (ADMIN, "42 member", True),
        (ADMIN, "42 admin other", True),
        (ADMIN, "42 admin", False),
        (ADMIN, "42 owner", False),
        (ADMIN, "3 member helper", True),
        (ADMIN, "1 member", False),
        (ADMIN, "2 owner", False),
        (OWNER, "42 admin", True),
        (OWNER, "42 owner", True),
        (BOB, "42 owner", False),
    ],
)
async def test_who_may_give_what(app: App, by: Sender, words: str, allowed: bool) -> None:
    before = await app.db.read(people.grants)
    receipt = await give(app, "role grant", words, by=by)
    assert (receipt.state == "accepted") == allowed, receipt.text
    if not allowed:
        assert await app.db.read(people.grants) == before
        assert await app.db.read(by_people) == []


@pytest.mark.parametrize(
    ("by", "words", "allowed"),
    [
        (OF_HELPER, "3 helper", False),
        (ADMIN, "3 helper", True),
        (ADMIN, "2", False),
        (ADMIN, "1", False),
        (OWNER, "2", True),
    ],
)
async def test_who_may_take_what(app: App, by: Sender, words: str, allowed: bool) -> None:
    receipt = await give(app, "role revoke", words, by=by, yes="true")
    assert (receipt.state == "accepted") == allowed, receipt.text


def test_what_it_takes() -> None:
    assert needed("owner", "") == needed("admin", "") == Scope(None, "owner")
    assert needed("admin", "a") == needed("member", "") == needed(None, "") == Scope(None, "admin")
    assert needed("member", "a") == needed(None, "a") == Scope("a", "admin")
    assert strictest(needed("member", "a"), needed("admin", "a")) == Scope(None, "admin")
    assert strictest(needed("owner", ""), needed(None, "")) == Scope(None, "owner")


async def test_the_last_owner_of_a_channel_stays_one(app: App) -> None:
    asked = await does(app, "role revoke", "1")
    assert asked.text is not None and "that is you" in asked.text and asked.data["done"] is False
    gone = await press(app, asked)
    assert gone.state == "refused" and gone.text is not None and "last owner on discord" in gone.text
    assert "last owner" in await refused(app, "role grant", "1 admin", yes="true")
    assert "last owner" in await refused(app, "owner remove", "1", yes="true")
    assert (await of(app, OWNER.id)).everywhere == "owner"
    await does(app, "owner add", "<@42>")
    assert [each["who"] for each in (await does(app, "owner list")).data] == [
        "discord:1",
        "discord:42",
        f"terminal:{app.terminal.person.id}",
    ]
    warned = await does(app, "owner remove", "42")
    assert warned.data["done"] is False and (await of(app, BOB.id)).everywhere == "owner"
    done = await press(app, warned)
    assert done.text is not None and done.text.startswith("discord:42 is not an owner any more")
    assert not (await of(app, BOB.id)).known
    assert "no owner" in await refused(app, "owner remove", "42", yes="true")


async def test_a_code_is_void_once_there_is_an_owner(app: App) -> None:
    code = await app.db.write(lambda db: people.new_code(db, "slack", now=1))
    await does(app, "owner add", "slack:U11")
    assert not await app.db.write(lambda db: people.claim(db, "slack", "U2", code, now=2))


async def test_roles_for_an_agent_that_there_is_not(app: App) -> None:
    assert await refused(app, "role grant", "42 member nobody") == (
        "There is no agent nobody; there are: helper, other."
    )
    text = await refused(app, "role grant", "42 member nobody", by=OF_HELPER)
    assert text == await refused(app, "role grant", "42 member nobody", by=OF_HELPER)
    assert "other" not in text, "an admin of one agent learns nothing of the others"
    await app.db.write(lambda db: people.grant(db, "discord", BOB.id, "member", now=1, agent="gone"))
    await does(app, "role revoke", "42 gone")


async def test_what_does_not_change_leaves_no_row(app: App) -> None:
    await does(app, "role grant", "42 member")
    again = await does(app, "role grant", "42 member")
    assert again.text == "discord:42 is a member already; nothing was changed."
    nothing = await does(app, "role revoke", "77")
    assert nothing.text == "discord:77 has no role; nothing was changed." and nothing.ask is None
    assert len(await app.db.read(by_people)) == 1


# ---------------------------------------------------------------- looking


async def test_an_admin_of_one_agent_sees_what_is_theirs(app: App) -> None:
    await does(app, "role grant", "42 member other")
    await does(app, "role grant", "43 member helper")
    assert {each["who"] for each in (await does(app, "role list", by=OF_HELPER)).data} == {
        "discord:3",
        "discord:43",
    }
    assert {each["who"] for each in (await does(app, "member list", by=OF_HELPER)).data} == {
        "discord:3",
        "discord:43",
    }
    listed = await does(app, "member list", "helper", by=OF_HELPER)
    assert "discord:42" not in {each["who"] for each in listed.data}
    assert "role admin for the agent other" in await refused(app, "member list", "other", by=OF_HELPER)
    assert (await does(app, "member show", "42", by=OF_HELPER)).data["roles"] == []
    assert [each["agent"] for each in (await does(app, "member show", "42")).data["roles"]] == ["other"]


async def test_members_in_short(app: App) -> None:
    await does(app, "member add", "42")
    assert "admin already" in await refused(app, "member add", "2")
    assert (await of(app, ADMIN.id)).everywhere == "admin"
    await does(app, "member add", "42 helper", by=OF_HELPER)
    gone = await does(app, "member remove", "42")
    assert gone.text is not None and gone.text.endswith("They are still: member for the agent helper.")
    assert spelled("discord", "role revoke discord:2") in await refused(app, "member remove", "2")
    await app.db.write(lambda db: people.deny(db, "discord", "50", agent="helper", now=1))
    shown = await does(app, "member show", "50")
    assert shown.data["denied"] == ["helper"] and shown.text is not None
    assert shown.text.splitlines() == [
        "discord:50: a stranger",
        "Denied: helper",
        "Last spoken: never",
    ]
    await does(app, "member undeny", "50 helper", by=OF_HELPER)
    assert "nothing was changed" in ((await does(app, "member undeny", "50 helper")).text or "")
    await app.db.write(lambda db: people.deny(db, "discord", "50", agent="helper", now=1))
    await does(app, "member add", "50 helper")
    assert not (await of(app, "50")).denied


async def test_everybody_is_told_who_they_are(app: App) -> None:
    await does(app, "role grant", "<@&7> member helper")
    ann = Sender("60", "Ann", groups=("7", "8"))
    told = await does(app, "whoami", by=ann)
    assert told.text is not None and told.text.splitlines() == [
        "You are Ann (discord:60), member.",
        "- member for the agent helper, through the group discord:7",
    ]
    assert told.data["roles"] == [{"role": "member", "agent": "helper", "group": "7"}]
    assert (await does(app, "whoami", by=BOB)).text == "You are Bob (discord:42), stranger."
    assert (await does(app, "whoami")).text == "You are Olga (discord:1), owner."


async def test_people_and_agents_are_completed_for_admins(app: App) -> None:
    await app.db.write(lambda db: people.saw(db, "discord", BOB.id, Seen("Bob")))

    async def completed(option: str, typed: str, by: Sender) -> list[str]:
        event = Event(
            id="c",
            kind="complete",
            route=PLACE,
            sender=by,
            created_at=1,
            command="role grant",
            arguments={option: typed},
            completing=option,
        )
        suggested: list[Suggestion] = (await app.intake.receive(event)).data
        return [each.value for each in suggested]

    assert await completed("who", "bo", OWNER) == ["discord:42"]
    everybody = ["discord:1", "discord:2", "discord:3", "discord:42", f"terminal:{app.terminal.person.id}"]
    assert await completed("who", "", ADMIN) == everybody
    assert await completed("who", "bo", BOB) == []
    assert await completed("agent", "", OWNER) == ["helper", "other"]
    assert await completed("agent", "", OF_HELPER) == ["helper"]
