"""What agents have asked, seen and answered by commands."""

from __future__ import annotations

from typing import Final

import pytest

from adapters.base import Sender
from bot.db import people
from tests.fakes.platform import FakePlatform
from tests.service.conftest import House
from tests.service.test_actions import rule, use

MEMBER: Final = Sender("u2", "Bo")
STRANGER: Final = Sender("u9", "Zed")
ASK: Final = rule(
    "ask",
    use("ask_user_question", title="Color", question="Which one?", options=["red", "blue"]),
    "it was {tool}",
)


async def asked(house: House, p: FakePlatform, place: str = "p1") -> str:
    """An agent has asked; the id of its question."""
    await p.say("ask", place=place)
    await p.until(
        lambda: any(part.outgoing.question for part in p.sent if part.outgoing.route == p.route(place))
    )
    found = house.query("SELECT id FROM questions WHERE platform_id = ? ORDER BY asked_at DESC", place)
    return str(found[0]["id"])


async def test_a_question_is_listed_shown_and_answered_elsewhere(house: House) -> None:
    house.script(ASK)
    async with house.open() as p:
        question = await asked(house, p)
        listed = await p.order("question list", at="p5")
        assert [each["id"] for each in listed.data] == [question] and "Which one?" in (listed.text or "")
        shown = await p.order("question show", id=question[:6], at="p5")
        assert shown.ask is not None and list(shown.ask.options) == ["red", "blue"]
        pressed = await p.press(shown.ask, "blue", place="p5")
        assert pressed.text == "Answered: blue"
        await p.until(lambda: any("it was" in text and "blue" in text for text in p.texts()))
        await p.until(lambda: "Color\n\nWhich one?\n\nAnswered by Ada: blue" in p.texts())
        assert next(part for part in p.sent if "Answered by Ada" in part.text).replaces
        assert (await p.order("question list")).text == "No agent waits for an answer."
        assert (await p.order("question answer", id=question, answer="red")).state == "refused"
        (row,) = house.query("SELECT * FROM audit WHERE action = 'question answer'")
        assert row["agent"] == "assistant" and row["actor"] == "u1"


async def test_a_member_answers_where_it_was_asked_and_a_stranger_nowhere(house: House) -> None:
    house.script(ASK)
    async with house.open() as p:
        await house.app.db.write(lambda db: people.grant(db, "fake", MEMBER.id, "member", now=1))
        question = await asked(house, p)
        assert (await p.order("question list", by=STRANGER)).state == "dropped"
        assert (await p.order("question answer", id=question, answer="red", by=STRANGER)).state == "dropped"
        assert (await p.order("question list", by=MEMBER, at="p5")).data == []
        unknown = await p.order("question answer", id=question, answer="red", by=MEMBER, at="p5")
        assert "There is no question" in (unknown.text or "")
        assert (await p.order("question cancel", id=question, yes="true", by=MEMBER)).state == "refused"
        assert [each["id"] for each in (await p.order("question list", by=MEMBER)).data] == [question]
        answered = await p.order("question answer", id=question, answer="something else", by=MEMBER)
        assert answered.state == "accepted"
        await p.until(lambda: any("something else" in text and "it was" in text for text in p.texts()))


async def test_a_question_that_is_cancelled_is_answered_by_nobody(house: House) -> None:
    house.script(ASK)
    async with house.open() as p:
        question = await asked(house, p)
        would = await p.order("question cancel", id=question)
        assert would.ask is not None and (await p.order("question list")).data
        assert (await p.press(would.ask, "Yes, cancel it")).state == "accepted"
        await p.until(lambda: any("Cancelled by Ada" in text for text in p.texts()))
        await p.ends(1)
        late = await p.answer(question, "red")
        assert (late.state, late.text) == ("refused", "This question is not open any more.")


async def test_many_questions_of_others_hide_none_from_who_may_answer(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.commands.question.LISTED", 2)
    house.script(ASK)
    async with house.open() as p:
        await house.app.db.write(lambda db: people.grant(db, "fake", MEMBER.id, "member", now=1))
        for place in ("p2", "p3"):
            await asked(house, p, place)
        question = await asked(house, p)
        listed = await p.order("question list", by=MEMBER)
        assert [each["id"] for each in listed.data] == [question]
