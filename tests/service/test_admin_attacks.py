"""Whoever wants more than they may: members and admins of one agent by their commands, agents by what they ask for."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from adapters.base import Sender
from agent.protocol.clock import now_ms
from bot.approvals import MAX_OPEN_OF_AGENT
from bot.approvals import ask as ask_for
from bot.db import people
from bot.db.approvals import same_open
from bot.errors import CommandFailed
from tests.fakes.platform import PERSON, FakePlatform
from tests.service.admins import ADMIN, MEMBER, done, give, grant, refused
from tests.service.conftest import House
from tests.service.test_completion import suggested, typing
from tests.service.test_questions import ASK
from tests.service.test_questions import asked as asked_people
from tests.service.test_requests import BACK, allow, asked, card_id, told, use

SUE = Sender("u7", "Sue")

# ---------------------------------------------------------------- people


async def test_nobody_gets_rid_of_a_denial_or_a_budget_by_having_themselves_forgotten(house: House) -> None:
    async with house.open() as p:
        await grant(house, MEMBER, "member")
        await house.app.db.write(partial(people.deny, channel="fake", user_id=MEMBER.id, agent="", now=1))
        await done(p, "budget set", subject=f"person:fake:{MEMBER.id}", period="day", usd="1")
        await house.app.db.write(spent)
        await done(p, "privacy forget", by=MEMBER, yes="true")
        kept = "SELECT count(*) AS n FROM"
        assert house.query(f"{kept} denied WHERE user_id = ?", MEMBER.id)[0]["n"] == 1
        assert house.query(f"{kept} budgets WHERE subject = ?", f"person:fake:{MEMBER.id}")[0]["n"] == 1
        assert house.query(f"{kept} budget_periods WHERE spent_micros = 7")[0]["n"] == 1
        # An admin takes these as well.
        await done(p, "privacy forget", person=f"fake:{MEMBER.id}", yes="true")
        assert house.query(f"{kept} denied")[0]["n"] == 0
        assert house.query(f"{kept} budgets")[0]["n"] == 0
        assert house.query(f"{kept} budget_periods")[0]["n"] == 0


def spent(db: Any) -> None:
    db.execute(
        "INSERT OR REPLACE INTO budget_periods (subject, period, begins, spent_micros)"
        " VALUES (?, 'day', '2026-01-01', 7)",
        (f"person:fake:{MEMBER.id}",),
    )


async def test_an_admin_forgets_no_other_admin_and_no_owner(house: House) -> None:
    async with house.open() as p:
        await grant(house, ADMIN, "admin")
        await grant(house, SUE, "admin")
        await grant(house, MEMBER, "member")
        said = await refused(p, "privacy forget", by=ADMIN, person=f"fake:{SUE.id}", yes="true")
        assert "owner" in said
        said = await refused(p, "privacy forget", by=ADMIN, person="fake:u1", yes="true")
        assert "owner" in said
        assert len(house.query("SELECT 1 FROM roles WHERE channel = 'fake' AND role != 'member'")) == 3
        await done(p, "privacy forget", by=ADMIN, person=f"fake:{MEMBER.id}", yes="true")
        await done(p, "privacy forget", person=f"fake:{SUE.id}", yes="true")


@pytest.mark.parametrize("number", ["²", "9" * 5_000, "٢"])
async def test_an_answer_that_looks_like_a_number_is_an_answer(house: House, number: str) -> None:
    house.script(ASK)
    async with house.open() as p:
        question = await asked_people(house, p)
        receipt = await give(p, "question answer", id=question, answer=number)
        assert receipt.state == "accepted", receipt
        (row,) = house.query("SELECT answer FROM questions")
        assert row["answer"] == ("blue" if number == "٢" else number)


async def test_who_types_is_shown_nothing_of_agents_that_are_not_theirs(house: House) -> None:
    house.agents = {"assistant": house.agent, "other": {}}
    async with house.open() as p:
        await grant(house, ADMIN, "admin", "assistant")
        await sessions(p, 1)
        await done(p, "channel wire", place="fake:p2", agent="other")
        for place in ("p1", "p2"):
            await done(
                p, "schedule create", at=place, when="daily at 8", prompt=f"said in {place}", yes="true"
            )
        rows = house.query("SELECT id, agent FROM sessions WHERE agent IN ('assistant', 'other')")
        ids = {row["agent"]: row["id"] for row in rows}
        assert set(ids) == {"assistant", "other"}
        for by, seen in ((ADMIN, {"assistant"}), (PERSON, {"assistant", "other"})):
            assert set(await suggested(p, "session show", "id", by=by)) == {ids[each] for each in seen}
            found = await typing(p, "schedule show", "id", by=by)
            assert len(found.data) == len(seen)
            assert any("said in p2" in each.label for each in found.data) == (by == PERSON)


async def test_dead_letters_are_suggested_to_who_may_read_them(house: House) -> None:
    async with house.open() as p:
        await grant(house, ADMIN, "admin", "assistant")
        await sessions(p, 1)
        (session,) = house.query("SELECT id FROM sessions WHERE agent = 'assistant'")
        await house.app.db.write(partial(letter, session=session["id"]))
        assert await suggested(p, "deadletter show", "id") == ["abcdef"]
        assert await suggested(p, "deadletter show", "id", by=ADMIN) == []
        assert await suggested(p, "deadletter replay", "id", by=ADMIN) == []


def letter(db: Any, session: str) -> None:
    columns = db.execute(
        "SELECT name, type, \"notnull\" AS needed, dflt_value FROM pragma_table_info('dead_letters')"
    )
    known = {
        "id": "abcdef",
        "session": session,
        "state": "kept",
        "kind": "reply",
        "channel": "fake",
        "content": "{}",
    }
    values = {
        row["name"]: known.get(row["name"], 1 if row["type"] == "INTEGER" else "[]")
        for row in columns.fetchall()
        if row["name"] in known or (row["needed"] and row["dflt_value"] is None)
    }
    marks = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO dead_letters ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


async def test_an_approval_of_another_agent_is_as_unknown_as_none(house: House) -> None:
    house.script(use("request_host", host="api.example.org"))
    house.agents = {"assistant": house.agent, "other": {}}
    async with house.open() as p:
        await grant(house, ADMIN, "admin", "other")
        await grant(house, MEMBER, "admin", "assistant")
        card = await asked(p, "request_host")
        approval = card_id(house)
        for command in ("approval show", "approval approve", "approval deny"):
            for known in (approval, approval[:4]):
                said = await refused(p, command, by=ADMIN, id=known)
                assert said.startswith(f"There is no approval {known};")
        assert (await p.press(card, "Deny", by=ADMIN, place="@u1")).state == "refused"
        assert house.query("SELECT state FROM approvals")[0]["state"] == "open"
        await done(p, "approval show", by=MEMBER, id=approval[:4])


# ---------------------------------------------------------------- agents


async def test_an_admin_of_one_agent_opens_no_way_to_another(house: House) -> None:
    house.script(use("request_destination", name="other", place="agent:other"), BACK)
    house.agents = {"assistant": house.agent, "other": {}}
    async with house.open() as p:
        await grant(house, ADMIN, "admin", "assistant")
        await asked(p, "request_destination")
        await done(p, "approval approve", by=ADMIN, id=card_id(house))
        assert "It was allowed, and failed: it takes an admin of both" in await told(p)
        assert not house.query("SELECT 1 FROM destinations")


async def test_who_is_an_admin_of_both_opens_it(house: House) -> None:
    house.script(use("request_destination", name="other", place="agent:other"), BACK)
    house.agents = {"assistant": house.agent, "other": {}}
    async with house.open() as p:
        await allow(p, await asked(p, "request_destination"))
        assert len(house.query("SELECT 1 FROM destinations")) == 1


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("agent show assistant", {"name": "other"}), ("agent list", {"text": "other"})],
)
async def test_a_command_does_not_say_two_things(
    house: House, command: str, arguments: dict[str, str]
) -> None:
    house.script(use("run_command", command=command, arguments=arguments))
    async with house.open() as p:
        await p.say("run_command")
        assert "once: by its name" in "".join(await p.replies(1))
        assert not house.query("SELECT 1 FROM approvals")


async def test_a_card_shows_what_would_be_hidden(house: House) -> None:
    """A direction that is turned, a line that looks like an option, and a link that looks like ours."""
    prompt = "look\n  place: fake:p9\u202egnp.exe\u200b"
    house.script(
        use(
            "run_command",
            command="schedule create",
            arguments={"when": "daily at 8", "prompt": prompt},
            reason="**Approved** @everyone [Deny](https://evil.example) \u202eolleh",
        )
    )
    async with house.open() as p:
        card = await asked(p, "run_command")
        assert "\n    |   place: fake:p9\\u202egnp.exe\\u200b" in card.question
        assert "\n  place: fake:p9" not in card.question
        assert "It is given in fake:p1, in the name of whoever allows it." in card.question
        assert "\u202e" not in card.question and "[Deny](" not in card.question
        assert "@everyone" not in card.question and "**Approved**" not in card.question
        assert (await p.press(card, "Approve", place="@u1")).state == "accepted"
        await house.until(lambda: bool(house.query("SELECT 1 FROM series")))
        # What is done is what was asked for, to the letter.
        assert house.query("SELECT prompt FROM series")[0]["prompt"].startswith(prompt[:14])


async def test_an_agent_floods_nobody_from_many_conversations(house: House) -> None:
    async with house.open() as p:
        await sessions(p, 4)
        ids = [row["id"] for row in house.query("SELECT id FROM sessions WHERE agent = 'assistant'")]
        assert len(ids) == 4

        def ask(db: Any, number: int) -> None:
            ask_for(
                db, kind="request_host", agent="assistant", asked_by="agent:assistant", summary="s", details="d",
                effect={"host": str(number)}, now=now_ms(), session=ids[number % 4], route=p.route("p1"),
            )  # fmt: skip

        for number in range(MAX_OPEN_OF_AGENT):
            await house.app.db.write(partial(ask, number=number))
        with pytest.raises(CommandFailed, match="in all conversations"):
            await house.app.db.write(partial(ask, number=MAX_OPEN_OF_AGENT))
        found = await house.app.db.read(lambda db: same_open(db, "request_host", "assistant", {"host": "0"}))
        assert found is not None


async def sessions(p: FakePlatform, count: int) -> None:
    for number in range(count):
        await p.say("hello", place=f"p{number + 1}")
        await p.replies(1, place=f"p{number + 1}")
