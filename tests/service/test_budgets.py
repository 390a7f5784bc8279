"""Budgets in the whole service: real runners whose words are priced, a fake platform, a clock that the test holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from adapters.base import DIRECT, Event, Part, Receipt, Sender
from agent.protocol.clock import now_ms
from bot import money
from bot.db import people
from tests.fakes.gateway import KEY
from tests.fakes.messages_api import Call, Chosen, MessagesApi, Rule, Say, Step
from tests.fakes.platform import PERSON, FakePlatform
from tests.service.conftest import House

BOB = Sender("u2", "Bob")
PRICED: dict[str, Any] = {"mock": {"input": 1_000.0, "output": 1_000.0}}
"""A cent for ten words, said or heard."""
TEN_WORDS = "one two three four five six seven eight nine ten"
"""Costs 2.3 cents with its answer: it is echoed behind two words."""
COST = 22_000
HOUR = 3_600_000


def priced(house: House, *budgets: dict[str, Any], **usage: Any) -> None:
    house.money = {"gateway": {"prices": PRICED}, "budgets": list(budgets), "usage": usage}


async def command(
    p: FakePlatform, text: str, *, who: Sender = PERSON, place: str = "p1", **arguments: str
) -> Receipt:
    """Gives a command, in words."""
    name, _, rest = text.partition(" ")
    given = {"text": rest, **arguments} if rest else arguments
    return await p.hand_in(
        Event(p.new_id(), "command", p.route(place), who, now_ms(), command=name, arguments=given)
    )


async def say(p: FakePlatform, text: str, *, by: Sender = BOB, place: str = "p1") -> Receipt:
    return await p.hand_in(Event(p.new_id(), "message", p.route(place), by, now_ms(), text=text, direct=True))


async def press(p: FakePlatform, part: Part, choice: int, *, by: Sender = PERSON) -> Receipt:
    """Presses a button of a card where it was shown."""
    question = part.outgoing.question
    assert question is not None
    return await p.hand_in(
        Event(
            p.new_id(),
            "answer",
            part.outgoing.route,
            by,
            now_ms(),
            question_id=question.id,
            choice=choice,
        )
    )


def cards(p: FakePlatform) -> list[Part]:
    return [each for each in p.sent if each.outgoing.question is not None]


def used(house: House) -> dict[str, int]:
    rows = house.query("SELECT person, sum(usd_micros) AS usd FROM usage GROUP BY person ORDER BY person")
    return {row["person"]: row["usd"] for row in rows}


def reserved(house: House) -> int:
    sums = house.query("SELECT (SELECT count(*) FROM reservations) + (SELECT count(*) FROM reserved) AS left")
    return int(sums[0]["left"])


async def let_in(house: House) -> None:
    await house.app.db.write(lambda db: people.grant(db, "fake", BOB.id, "member", now=0))


async def test_a_turn_is_written_down_with_its_end_and_told_to_who_may_know(house: House) -> None:
    priced(house)
    async with house.open() as p:
        await let_in(house)
        await say(p, TEN_WORDS)
        await p.say("short", place="p2")
        await p.ends(1)
        await p.ends(1, place="p2")
        rows = house.query("SELECT * FROM usage WHERE model = '' AND platform_id = 'p1'")
        (message,) = house.query("SELECT id, turn_id FROM inbox WHERE sender_id = 'u2'")
        assert [(row["turn_id"], row["person"], row["agent"]) for row in rows] == [
            (message["id"], "fake:u2", "assistant")
        ]
        assert used(house) == {"fake:u1": 4_000, "fake:u2": COST}
        mine = await command(p, "usage", who=BOB)
        assert mine.data["total"]["usd"] == COST / money.MICROS and mine.data["person"] == "fake:u2"
        assert mine.data["total"]["turns"] == 1
        refused = await command(p, "usage", who=BOB, person="fake:u1")
        assert (refused.state, refused.text) == (
            "refused",
            "You can see your own usage only; an admin sees that of others.",
        )
        everything = await command(p, "usage", who=PERSON, by="person")
        assert [each["name"] for each in everything.data["lines"]] == ["fake:u2", "fake:u1"]
        by_model = await command(p, "usage", by="model", since="7d")
        assert [(each["name"], each["input_tokens"]) for each in by_model.data["lines"]] == [("mock", 11)]
        status = await command(p, "status")
        assert status.text is not None and "Today: $0.0260 for 2 turns." in status.text
        assert (await command(p, "status", who=BOB)).data["today"] is None


async def test_a_budget_ends_a_conversation_and_its_button_lets_it_go_on(house: House) -> None:
    priced(house, {"subject": "person:*", "day_usd": 0.02})
    async with house.open() as p:
        await let_in(house)
        assert (await say(p, TEN_WORDS)).state == "accepted"
        await p.ends(1)
        refused = await say(p, "and now?")
        assert refused.state == "refused" and refused.text is not None
        assert refused.text.startswith(
            "The budget of today for you is used up ($0.02); it begins again at 00:00 UTC. An admin can extend it"
        )
        await say(p, "hello?")
        # One card in the place and one for the admin, however many were refused.
        await p.until(lambda: len(cards(p)) == 2)
        here, there = cards(p)
        assert {here.outgoing.route.platform_id, there.outgoing.route.platform_id} == {"p1", DIRECT + "u1"}
        question = here.outgoing.question
        assert question is not None
        assert list(question.options) == ["Extend by half ($0.01)", "Extend by the same again ($0.02)"]
        assert (await press(p, here, 1, by=BOB)).state == "refused"
        assert house.query("SELECT count(*) FROM budget_kept")[0][0] == 2
        pressed = await press(p, here, 1)
        assert pressed.state == "accepted", pressed.text
        await p.until(lambda: "You said: and now?" in p.texts())
        await house.until_quiet()
        await p.until(lambda: any("Extended by $0.02 by Ada." in each.outgoing.text for each in p.sent))
        assert (await press(p, there, 0)).state == "refused"
        (row,) = house.query("SELECT actor, action, before, after FROM audit WHERE action = 'budget extend'")
        assert row["actor"] == "u1" and '"usd": 0.04' in row["after"]
        await house.until(lambda: not house.query("SELECT 1 FROM budget_kept"))
        await house.until_quiet()
        await house.until(lambda: reserved(house) == 0)


async def test_most_of_it_is_told_once(house: House) -> None:
    priced(house, {"subject": "channel:fake:p1", "day_usd": 0.05})
    async with house.open() as p:
        for count in range(1, 4):
            await p.say("one two three four five")
            await p.ends(count)
        # Three turns of 1.2 cents are 72 %, four are 96 %.
        assert not [text for text in p.texts() if "% of the budget" in text]
        await p.say("one two three four five")
        await p.until(lambda: any("% of the budget" in text for text in p.texts()))
        await p.ends(4)
        said = [text for text in p.texts() if "% of the budget" in text]
        assert said == ["96 % of the budget of today for the channel fake:p1 is spent: $0.0480 of $0.05."]
        assert (await p.say("x")).state == "accepted"
        await p.ends(5)
        assert len([text for text in p.texts() if "% of the budget" in text]) == 1


async def test_two_at_once_do_not_both_pass_the_last_cent(house: House) -> None:
    house.script({"match": "wait", "steps": [{"do": "stall", "seconds": 60}]})
    priced(house, {"subject": "bot", "day_usd": 0.01})
    async with house.open() as p:
        await let_in(house)
        assert (await say(p, "wait", place="p1")).state == "accepted"
        later = await say(p, "what is it?", place="p2")
        assert later.state == "refused" and later.text == (
            "What is left of the budget of today for all agents together is set aside for what I answer right now."
            " Your message is kept, and answered if there is something left."
        )
        assert cards(p) == []
        await p.at_work()
        await p.interrupt()
        # What was set aside is free again.
        assert await p.replies(1, place="p2") == ["You said: what is it?"]
        await house.until_quiet("p2")
        await house.until(lambda: reserved(house) == 0)


async def test_a_day_begins_anew_and_what_was_refused_is_over(house: House, tmp_path: Path) -> None:
    priced(house, {"subject": "agent:assistant", "day_usd": 0.01}, {"subject": "bot", "month_usd": 100})
    file = tmp_path / "note.txt"
    file.write_text("words")
    async with house.open() as p:
        await p.say(TEN_WORDS)
        await p.ends(1)
        refused = await p.say("a file", files=[("note.txt", file)])
        assert refused.state == "refused"
        (kept,) = house.query("SELECT message_id FROM budget_kept")
        folder = house.data / "incoming" / kept["message_id"]
        assert [each.read_text() for each in folder.iterdir()] == ["words"]
        house.clock_ahead_ms = 24 * HOUR
        assert (await p.say("good morning")).state == "accepted"
        await house.until(lambda: not house.query("SELECT 1 FROM budget_kept"))
        await house.until(lambda: not folder.exists())
        await p.ends(2)
        assert "You said: a file" not in p.texts()
        spent = house.query(
            "SELECT subject, spent_micros FROM budget_periods WHERE period = 'day' ORDER BY begins"
        )
        assert [tuple(row) for row in spent] == [("agent:assistant", COST), ("agent:assistant", 6_000)]


async def test_a_restart_forgives_nothing_and_keeps_what_waits(house: House, tmp_path: Path) -> None:
    priced(house, {"subject": "bot", "day_usd": 0.01})
    file = tmp_path / "note.txt"
    file.write_text("words")
    async with house.open() as p:
        await p.say(TEN_WORDS)
        await p.ends(1)
        assert (await p.say("look", files=[("note.txt", file)])).state == "refused"
    house.platform = FakePlatform()
    async with house.open() as p:
        assert (await p.say("again")).state == "refused"
        extended = await command(p, "budget extend bot day 5")
        assert extended.state == "accepted", extended.text
        assert extended.data["limit_usd"] == 5.01
        await p.until(lambda: any("You said: again" in text for text in p.texts()))
        assert any("I received note.txt (5 bytes)." in text for text in p.texts())
        await house.until_quiet()
        assert reserved(house) == 0


async def test_what_waits_and_comes_again_when_there_is_room_is_answered_once(house: House) -> None:
    priced(house, {"subject": "bot", "day_usd": 0.01})
    async with house.open() as p:
        await p.say(TEN_WORDS)
        await p.ends(1)
        # Nobody has heard that it is kept: the service is killed before it says so, and then somebody extends.
        assert (await p.say("and now?", event_id="e1")).state == "refused"
        assert (await p.say("and then?", event_id="e2")).state == "refused"
        subject = "UPDATE budget_periods SET extended_micros = 5000000 WHERE subject = 'bot'"
        await house.app.db.write(lambda db: db.execute(subject))
        assert (await p.say("and now?", event_id="e1")).state == "duplicate"
        await p.until(lambda: "You said: and then?" in p.texts())
        await house.until_quiet()
        assert p.texts().count("You said: and now?") == 1
        assert house.query("SELECT 1 FROM budget_kept") == []
        await house.until(lambda: reserved(house) == 0)


async def test_a_schedule_waits_for_a_budget_and_runs_once(house: House) -> None:
    priced(house, {"subject": "bot", "day_usd": 0.01})
    async with house.open() as p:
        await p.say(TEN_WORDS)
        await p.ends(1)
        made = await command(p, "schedule create yes every hour: Say what is due")
        assert made.state == "accepted", made.text
        for hours in (1, 2):
            house.clock_ahead_ms = hours * HOUR
            house.app.context.schedules.have_changed(house.session_id())
            await house.until(
                lambda: bool(house.query("SELECT 1 FROM series WHERE next_at > ?", house.now()))
            )
        await p.until(lambda: any("was not run" in text for text in p.texts()))
        assert len([text for text in p.texts() if "was not run" in text]) == 1
        assert (await command(p, "budget extend bot day 1")).state == "accepted"
        await p.until(lambda: "The task is due: Say what is due" in p.texts())
        await house.until_quiet()
        rows = house.query("SELECT person FROM usage WHERE model = '' ORDER BY at")
        assert [row["person"] for row in rows] == ["fake:u1", "fake:u1"]


async def test_budgets_are_set_and_taken_away_in_the_chat(house: House) -> None:
    priced(house, {"subject": "bot", "day_usd": 1})
    async with house.open() as p:
        await let_in(house)
        assert (await command(p, "budget set bot day 3", who=BOB)).state == "refused"
        made = await command(p, "budget set fake:u9 day 3")
        assert made.state == "refused" and made.text is not None and "is no budget" in made.text
        made = await command(p, "budget set person:fake:u2 month 3.5")
        assert made.text == "The budget of the person fake:u2 is $3.50 for each month now."
        assert made.ask is not None and made.ask.options == ["Take it back"]
        assert (await command(p, "budget set here day 2")).data[0]["subject"] == "channel:fake:p1"
        own = await command(p, "budget show me", who=BOB)
        assert own.text is not None and own.text.startswith(
            "the person fake:u2, this month: $0.00 of $3.50 spent (0 %)"
        )
        assert (await command(p, "budget show bot", who=BOB)).state == "refused"
        listed = await command(p, "budget list")
        assert [(each["subject"], each["period"]) for each in listed.data] == [
            ("bot", "day"),
            ("channel:fake:p1", "day"),
            ("person:fake:u2", "month"),
        ]
        asked = await command(p, "budget unset bot day")
        assert asked.data == {"removed": False} and asked.ask is not None
        assert ("bot", "day") in house.app.context.budgets.all
        gone = await command(p, "budget unset", subject="bot", period="day", yes="true")
        assert gone.data == {"removed": True}, gone.text
        assert ("bot", "day") not in house.app.context.budgets.all
        audits = house.query("SELECT action FROM audit WHERE subject LIKE 'budget:%' ORDER BY number")
        assert [row["action"] for row in audits] == ["budget set", "budget set", "budget unset"]
    async with house.open():
        assert ("bot", "day") not in house.app.context.budgets.all


async def test_what_an_answer_has_cost_stands_beneath_its_last_part(house: House) -> None:
    priced(house, footer=True)
    async with house.open() as p:
        await p.say(TEN_WORDS)
        await p.say("nothing here", place="p2")
        await p.ends(1)
        (part,) = [each for each in p.sent if each.outgoing.route.platform_id == "p1"]
        found = re.fullmatch(r"22 tokens · \$0\.0220 · \d+\.\d s", part.outgoing.footer or "")
        assert found is not None, part.outgoing.footer
        await p.ends(1, place="p2")
        changed = await command(p, "channel set footer false", place="p2")
        assert changed.state == "accepted", changed.text
        await p.say("and again", place="p2")
        await p.ends(2, place="p2")
        assert [
            each.outgoing.footer is None for each in p.sent if each.outgoing.route.platform_id == "p2"
        ] == [
            False,
            True,
        ]


async def test_what_waits_can_be_changed_and_taken_back(house: House) -> None:
    priced(house, {"subject": "bot", "day_usd": 0.01})
    async with house.open() as p:
        await p.say(TEN_WORDS)
        await p.ends(1)
        for event_id in ("e1", "e2"):
            assert (await p.say(f"as {event_id} was", event_id=event_id)).state == "refused"
        assert (await p.say("as e1 was", event_id="e1")).state != "accepted"
        assert (await p.edit("e1", "as it is", by=BOB)).state == "dropped"
        assert (await p.edit("e1", "as it is")).state == "accepted"
        assert (await p.delete("e2")).state == "accepted"
        assert (await command(p, "budget extend bot day 1")).state == "accepted"
        await p.until(lambda: "You said: as it is" in p.texts())
        await house.until_quiet()
        assert not any("as e2 was" in text or "as e1 was" in text for text in p.texts())


async def test_a_colleague_is_paid_by_the_person_behind_it_and_refused_like_anybody(house: House) -> None:
    ask = {"do": "result", "text": '<message to="helper">look it up please</message>'}
    house.agents = {
        "boss": {
            **house.agent,
            "provider_options": {"script": [{"match": "go", "steps": [ask]}]},
            "destinations": [
                {"name": "helper", "channel": "agent", "platform_id": "helper"},
            ],
        },
        "helper": house.agent,
    }
    priced(house)
    async with house.open() as p:
        await let_in(house)
        await say(p, "go")
        await house.until(
            lambda: bool(house.query("SELECT 1 FROM usage WHERE agent = 'helper' AND usd_micros > 0"))
        )
        (row,) = house.query("SELECT DISTINCT person, channel, platform_id FROM usage WHERE agent = 'helper'")
        assert tuple(row) == ("fake:u2", "fake", "p1")
        await house.until_quiet_everywhere()
        made = await command(p, "budget set helper day 0.001")
        assert made.state == "accepted", made.text
        await say(p, "go")
        # What cannot be said to an agent is kept like everything that cannot be delivered.
        sql = "SELECT 1 FROM dead_letters WHERE reason LIKE 'The budget of today for this agent is used up%'"
        await house.until(lambda: bool(house.query(sql)))


@pytest.mark.claude
async def test_a_budget_ends_in_the_middle_of_a_turn_and_the_conversation_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real CLI behind the real gateway, which meters what the model's server says."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    look: list[Step | Chosen] = [Call("Bash", {"command": "echo looked"}), Say("I have looked.")]
    async with MessagesApi([Rule("look", look), Rule("", [Say("Good.")])]) as api:
        house.agent |= {"provider": "claude", "model": "claude-sonnet-5", "model_url": api.url}
        house.backend["allow_unsandboxed"] = True
        house.money = {"budgets": [{"subject": "person:*", "day_usd": 0.0001}]}
        async with house.open() as p:
            await p.say("look around")
            ended = (
                "(I stopped here: the budget of today for this person is used up ($0.0001); it begins again at"
                " 00:00 UTC.)"
            )
            await p.until(lambda: ended in p.texts())
            await p.until(lambda: bool(cards(p)))
            await house.until_quiet()
            refused = await p.say("and then?")
            assert refused.state == "refused"
            assert (await command(p, "budget extend me day 10")).state == "accepted"
            await p.until(lambda: "Good." in p.texts())
            await house.until_quiet()
            rows = house.query(
                "SELECT model, sum(usd_micros) AS usd, sum(input_tokens) AS read FROM usage WHERE person = 'fake:u1'"
                " AND model != '' GROUP BY model"
            )
            assert rows and all(row["usd"] > 0 and row["read"] > 0 for row in rows)
            assert house.query("SELECT count(DISTINCT turn_id) FROM usage")[0][0] == 2
            await house.until(lambda: reserved(house) == 0)
        house.kill_runners()
