"""The audit: every command that changes something leaves a row."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import pytest

from adapters.base import Receipt, Sender
from agent.protocol.messages import AskQuestion
from bot import commands
from bot.db import people, questions, sessions
from tests.fakes.platform import FakePlatform, refusal
from tests.service.conftest import House
from tests.service.test_cards import ask

OTHER: Final = Sender("u3", "Cy")

Drive = Callable[[House, FakePlatform], Awaitable[Receipt]]
"""Gives a command so that it succeeds; what it needs is made first."""


def given(command: str, **arguments: Any) -> Drive:
    """One that needs nothing."""

    async def drive(_: House, p: FakePlatform) -> Receipt:
        return await p.order(command, **arguments)

    return drive


async def _approve(house: House, p: FakePlatform) -> Receipt:
    return await p.order("approval approve", id=(await ask(house)).id)


async def _deny(house: House, p: FakePlatform) -> Receipt:
    return await p.order("approval deny", id=(await ask(house)).id)


def in_conversation(command: str, *, by_id: bool = False, **arguments: Any) -> Drive:
    """Where something was said before."""

    async def drive(house: House, p: FakePlatform) -> Receipt:
        await p.say("hello")
        await p.ends(1)
        more: dict[str, Any] = {"id": house.session_id()} if by_id else {}
        return await p.order(command, **more, **arguments)

    return drive


def of_a_letter(command: str, **arguments: Any) -> Drive:
    """Where something could not be delivered."""

    async def drive(house: House, p: FakePlatform) -> Receipt:
        p.failures = [refusal(retry_after=None)]
        await p.say("hello")
        await house.until(lambda: bool(house.query("SELECT 1 FROM dead_letters")))
        return await p.order(command, id=house.query("SELECT id FROM dead_letters")[0][0], **arguments)

    return drive


def of_a_schedule(command: str, *before: str, **arguments: Any) -> Drive:
    """Where there is one."""

    async def drive(house: House, p: FakePlatform) -> Receipt:
        await p.order("schedule create", when="daily at 8", prompt="say", yes="true")
        series_id = house.query("SELECT id FROM series")[0][0]
        for each in before:
            assert (await p.order(each, id=series_id)).state == "accepted"
        return await p.order(command, id=series_id, **arguments)

    return drive


def of_a_question(command: str, **arguments: Any) -> Drive:
    """Where an agent has asked one."""

    async def drive(house: House, p: FakePlatform) -> Receipt:
        question = {"question_id": "q1", "title": "Color", "question": "Which one?", "options": ["red"]}
        asked = AskQuestion(**question, expires_at=house.now() + 60_000)  # type: ignore[arg-type]

        def ask_it(db: sqlite3.Connection) -> None:
            session = sessions.resolve(db, "assistant", p.route("p1"), 1)
            questions.ask(db, session.id, "out", p.route("p1"), asked, now=house.now())

        await house.app.db.write(ask_it)
        return await p.order(command, id="q1", **arguments)

    return drive


def after(*before: tuple[str, dict[str, Any]], then: str, **arguments: Any) -> Drive:
    """Where these commands were given before."""

    async def drive(_: House, p: FakePlatform) -> Receipt:
        for command, given_before in before:
            done = await p.order(command, **given_before)
            assert done.state == "accepted", done.text
        return await p.order(then, **arguments)

    return drive


def with_role(command: str, role: people.Role, **arguments: Any) -> Drive:
    """Where somebody has this role."""

    async def drive(house: House, p: FakePlatform) -> Receipt:
        await house.app.db.write(lambda db: people.grant(db, "fake", OTHER.id, role, now=1))
        return await p.order(command, **arguments)

    return drive


def claiming(command: str) -> Drive:
    async def drive(house: House, p: FakePlatform) -> Receipt:
        def make(db: sqlite3.Connection) -> str:
            people.revoke(db, "fake", "u1")
            return people.new_code(db, "fake", now=1)

        return await p.order(command, code=await house.app.db.write(make))

    return drive


async def _undeny(house: House, p: FakePlatform) -> Receipt:
    await house.app.db.write(lambda db: people.deny(db, "fake", OTHER.id, now=1))
    return await p.order("member undeny", who="fake:u3")


_HELPER: Final[tuple[str, dict[str, Any]]] = ("agent create", {"name": "helper"})
_WIRED: Final[tuple[str, dict[str, Any]]] = ("channel wire", {"agent": "assistant", "place": "fake:p7"})

_BUDGET: Final[tuple[str, dict[str, Any]]] = (
    "budget set",
    {"subject": "bot", "period": "day", "usd": "5"},
)

DRIVES: Final[Mapping[str, Drive]] = {
    "agent create": given("agent create", name="helper"),
    "agent delete": after(_HELPER, then="agent delete", name="helper", yes="true"),
    "agent egress": after(_HELPER, then="agent egress", name="helper", action="add", host="example.com"),
    "agent mcp": after(
        _HELPER,
        then="agent mcp",
        name="helper",
        action="add",
        server="notes",
        definition='{"command": "notes"}',
    ),
    "agent packages": after(
        _HELPER, then="agent packages", name="helper", action="add", kind="apt", package="ffmpeg"
    ),
    "agent restore": after(
        _HELPER, ("agent delete", {"name": "helper", "yes": "true"}), then="agent restore", name="helper"
    ),
    "agent set": after(_HELPER, then="agent set", name="helper", key="effort", value="low"),
    "agent unset": after(
        _HELPER,
        ("agent set", {"name": "helper", "key": "effort", "value": "low"}),
        then="agent unset",
        name="helper",
        key="effort",
    ),
    "budget extend": after(_BUDGET, then="budget extend", subject="bot", period="day", usd="1"),
    "budget set": given("budget set", subject="bot", period="day", usd="5"),
    "budget unset": after(_BUDGET, then="budget unset", subject="bot", period="day", yes="true"),
    "channel set": given("channel set", key="retention_messages_days", value="30", place="fake:p7"),
    "channel unwire": after(_WIRED, then="channel unwire", place="fake:p7"),
    "channel wire": given("channel wire", agent="assistant", place="fake:p7"),
    "destination add": given("destination add", agent="assistant", name="news", place="fake:p7"),
    "destination remove": after(
        ("destination add", {"agent": "assistant", "name": "news", "place": "fake:p7"}),
        then="destination remove",
        agent="assistant",
        name="news",
    ),
    "privacy forget": in_conversation("privacy forget", yes="true"),
    "session delete": in_conversation("session delete", by_id=True, yes="true"),
    "session restart": in_conversation("session restart", by_id=True),
    "wiring reset": after(_WIRED, then="wiring reset", place="fake:p7", yes="true"),
    "wiring set": after(_WIRED, then="wiring set", place="fake:p7", agent="assistant", engage="all"),
    "approval approve": _approve,
    "approval deny": _deny,
    "backup create": given("backup create"),
    "claim": claiming("claim"),
    "clear": in_conversation("clear"),
    "deadletter drop": of_a_letter("deadletter drop", yes="true"),
    "deadletter replay": of_a_letter("deadletter replay"),
    "member add": given("member add", who="fake:u3"),
    "member remove": with_role("member remove", "member", who="fake:u3"),
    "member undeny": _undeny,
    "model": in_conversation("model", name="other"),
    "owner claim": claiming("owner claim"),
    "owner add": given("owner add", who="fake:u3"),
    "owner remove": with_role("owner remove", "owner", who="fake:u3", yes="true"),
    "question answer": of_a_question("question answer", answer="red"),
    "question cancel": of_a_question("question cancel", yes="true"),
    "role grant": given("role grant", who="fake:u3", role="admin"),
    "role revoke": with_role("role revoke", "admin", who="fake:u3", yes="true"),
    "schedule cancel": of_a_schedule("schedule cancel", yes="true"),
    "schedule create": given("schedule create", when="daily at 8", prompt="say", yes="true"),
    "schedule pause": of_a_schedule("schedule pause"),
    "schedule resume": of_a_schedule("schedule resume", "schedule pause"),
    "schedule run": of_a_schedule("schedule run"),
    "session clear": in_conversation("session clear", by_id=True, yes="true"),
    "session stop": in_conversation("session stop", by_id=True),
}
"""One for each command that changes something: whoever adds a command adds it here as well."""
ELSEWHERE: Final = {"agent mount": "on Docker, test_docker_mounts.py", "owner code": "test_audit.py"}
"""Those that need more than a conversation, and where they are tested."""
CHANGING: Final = sorted(each.name for each in commands.ALL if each.changes)


def test_no_command_that_changes_something_is_left_out() -> None:
    assert set(CHANGING) == set(DRIVES) | set(ELSEWHERE)


@pytest.mark.parametrize("name", sorted(DRIVES))
async def test_every_command_that_changes_something_leaves_a_row(house: House, name: str) -> None:
    async with house.open() as p:
        receipt = await DRIVES[name](house, p)
        assert receipt.state == "accepted", receipt.text
        rows = house.query("SELECT * FROM audit WHERE action = ? AND surface = 'fake'", name)
        assert [row["actor"] for row in rows] == ["u1"], [
            dict(row) for row in house.query("SELECT * FROM audit")
        ]
        assert rows[0]["actor_name"] == "Ada" and rows[0]["platform_id"] == "p1" and rows[0]["subject"]
