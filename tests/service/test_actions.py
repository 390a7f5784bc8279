"""What an agent asks of the host, through real runners: edits, reactions, cards, schedules, reports, questions."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any, Final

import pytest

from adapters.base import Event, Open, Sender
from agent.protocol.clock import now_ms
from bot import actions, control_client, delivery
from bot.answers import ANSWERED, EXPIRED
from bot.db import deliveries as rows
from bot.db import people
from bot.db.accounts import accounts
from bot.session import REFUSALS_TOLD
from tests.fakes.platform import PART_CHARS, FakePlatform, refusal
from tests.service.conftest import House

BACKENDS = ("process", "docker")

SECRET: Final = "sk-ant-" + "a1B2" * 10
NO: Final = refusal(retry_after=None)
LONG: Final = "x" * (PART_CHARS + 1)


def rule(match: str, *steps: Mapping[str, Any] | str) -> dict[str, Any]:
    """A rule of the mock's; a text is a result."""
    return {
        "match": match,
        "steps": [{"do": "result", "text": each} if isinstance(each, str) else dict(each) for each in steps],
    }


def use(name: str, **arguments: Any) -> dict[str, Any]:
    """A step that calls a tool."""
    return {"do": "tool", "name": name, "arguments": arguments}


SEND: Final = use("send_message", text="working")
EDIT: Final = rule("edit", SEND, use("edit_message", message="{sent}", text="done {text}"), "{tool}")


def results(house: House) -> list[tuple[bool, str]]:
    """What the agents were told of their actions."""
    found = house.query("SELECT content FROM inbox WHERE event_id LIKE 'action:%' ORDER BY seq")
    told = [json.loads(row["content"])["system"] for row in found]
    return [(each["ok"], each["text"]) for each in told]


def deliveries(house: House, kind: str) -> list[sqlite3.Row]:
    return house.query("SELECT * FROM deliveries WHERE kind = ? ORDER BY seq, part", kind)


async def write(
    house: House, content: Mapping[str, Any], *, seq: int, place: str = "p1", **columns: Any
) -> str:
    """Puts an action into the session's outbound.db by force, as whoever has taken over its container could."""
    out_id = f"forged-{seq}"
    values = {"channel": "fake", "platform_id": "p1", "id": out_id, **columns}
    with closing(sqlite3.connect(house.workspace(place).outbound, timeout=10)) as db, db:
        db.execute(
            "INSERT INTO messages_out (id, seq, in_reply_to, kind, created_at, deliver_after, turn_id, channel,"
            " platform_id, thread_id, content) VALUES (?, ?, NULL, 'action', 1, NULL, NULL, ?, ?, NULL, ?)",
            (values["id"], seq, values["channel"], values["platform_id"], json.dumps({"do": content})),
        )
    return str(values["id"])


async def dealt_with(house: House, out_id: str, place: str = "p1") -> str | None:
    """Why the host has not done it, None when it has; once it has come to an end."""
    session_id = house.session_id(place)
    session = await house.app.sessions.get(session_id)
    found: list[sqlite3.Row] = []

    def ended() -> bool:
        found[:] = house.query("SELECT * FROM deliveries WHERE out_id = ? AND state != 'waiting'", out_id)
        return bool(found)

    _delivery_of(house).kick(session.id)
    await house.until(ended)
    return None if found[0]["error"] is None else str(found[0]["error"])


def _delivery_of(house: House) -> delivery.Delivery:
    found: delivery.Delivery = house.app.intake._delivery
    return found


# ---------------------------------------------------------------- edits


async def test_a_message_is_edited_where_it_stands(house: House) -> None:
    house.script(EDIT)
    async with house.open() as p:
        await p.say("edit", thread="t1")
        assert await p.replies(3, thread="t1") == ["working", "done edit", "Message #3 is edited."]
        first, second, _ = p.sent
        assert second.replaces == f"{first.outgoing.id}:0"
        assert second.outgoing.edit is not None and second.outgoing.edit.number == 3
        await house.until_quiet()
        assert results(house) == [(True, "Message #3 is edited.")]
        await house.until(lambda: house.states() == {"done": 1})


async def test_an_edit_that_grows_and_shrinks_finds_all_of_its_parts(house: House) -> None:
    steps = [
        SEND,
        use("edit_message", message="{sent}", text=LONG),
        use("edit_message", message="{sent}", text="b"),
    ]
    house.script(rule("edit", *steps, use("edit_message", message="{sent}", text="c"), "end"))
    async with house.open() as p:
        await p.say("edit")
        await p.ends(1)
        texts = [(part.text, part.replaces) for part in p.sent]
        first, added = (f"{part.outgoing.id}:{part.index}" for part in (p.sent[0], p.sent[2]))
        assert texts == [
            ("working", None),
            (LONG[:PART_CHARS], first),
            ("x", None),
            ("b", first),
            ("", added),
            ("c", first),
            ("end", None),
        ]


async def test_what_cannot_be_edited_is_refused(house: House) -> None:
    house.script(
        rule("unknown", use("edit_message", message=99, text="x"), "{tool}"),
        rule("mine", use("edit_message", message="{id}", text="x"), "{tool}"),
        rule("question", use("edit_message", message=3, text="x"), "{tool}"),
        rule(
            "file", use("send_file", path="made"), use("edit_message", message="{sent}", text="x"), "{tool}"
        ),
        rule("ask", use("ask_user_question", title="t", question="q", timeout_seconds=1), "{tool}"),
    )
    async with house.open() as p:
        await p.say("ask")
        await p.ends(1)
        (house.workspace().work / "made").write_text("made")
        said = []
        for text in ("unknown", "mine", "question", "file"):
            before = len(p.texts())
            await p.say(text)
            await p.replies(before + 1)
            said.append(p.texts()[-1].removeprefix("edit_message was not done. "))
        assert said[0] == actions.UNKNOWN.format(number=99)
        assert "somebody else's" in said[1]
        assert said[2] == actions.NO_TEXT.format(number=3)
        assert "has no text" in said[3]
        assert [ok for ok, _ in results(house)] == [False] * 4
        assert house.query("SELECT 1 FROM dead_letters") == []
        await house.until_quiet()
        assert (await house.app.db.read(accounts)).failed == 0, "what was asked is answered all the same"


async def test_an_edit_that_the_channel_refuses_is_told_and_kept(house: House) -> None:
    house.script(EDIT)
    async with house.open() as p:
        p.failures += [None, NO]
        await p.say("edit")
        assert (await p.replies(2))[1] == (
            "edit_message was not done. The channel did not take it: the platform said no."
        )
        await p.ends(1)
        assert [ok for ok, _ in results(house)] == [False]
        assert [row["state"] for row in deliveries(house, "edit")] == ["failed"]
        (letter,) = house.query("SELECT * FROM dead_letters")
        shown = await control_client.ask(
            house.data / "control.sock", ["deadletter", "show", letter["id"]], None
        )
        assert "in the place of message #3:\ndone edit" in shown.text
        await control_client.ask(house.data / "control.sock", ["deadletter", "replay", letter["id"]], None)
        await p.replies(3)
        assert p.sent[-1].replaces == f"{p.sent[0].outgoing.id}:0"
        await house.until(lambda: house.query("SELECT state FROM dead_letters")[0]["state"] == "replayed")
        assert len(results(house)) == 1
        assert [row["edits"] for row in deliveries(house, "edit")] == [3]


async def test_an_edit_waits_for_its_channel_and_is_told_once(house: House) -> None:
    house.script(EDIT)
    async with house.open() as p:
        p.failures += [None, refusal(), refusal()]
        await p.say("edit")
        assert (await p.replies(3))[1:] == ["done edit", "Message #3 is edited."]
        await p.ends(1)
        assert results(house) == [(True, "Message #3 is edited.")]


async def test_secrets_are_taken_out_of_everything(house: House) -> None:
    card = use(
        "send_card",
        title=f"t {SECRET}",
        text=SECRET,
        fields=[{"name": SECRET, "value": SECRET}],
        fallback_text=SECRET,
    )
    house.script(
        rule(
            "all",
            SEND,
            use("edit_message", message="{sent}", text=f"it is {SECRET}"),
            use("add_reaction", message="{id}", emoji=SECRET),
            card,
            use("schedule_task", prompt=SECRET, when="in 1 hours"),
            "end",
        )
    )
    async with house.open() as p:
        await p.say("all")
        await p.ends(1)
        assert SECRET not in repr(p.tried)
        assert "[redacted api key]" in p.texts()[1]
        assert not any(part.outgoing.reaction for part in p.sent)
        (shown,) = [part.outgoing.card for part in p.sent if part.outgoing.card]
        assert shown.title == "t [redacted api key]" and shown.fields[0].value == "[redacted api key]"
        assert house.query("SELECT prompt FROM series")[0]["prompt"] == "[redacted api key]"


async def test_a_place_that_was_taken_away_is_out_of_reach(house: House) -> None:
    ops = {"name": "ops", "channel": "fake", "platform_id": "ops"}
    house.agent["destinations"] = [ops]
    house.script(
        rule("send", use("send_message", text="to ops", to="ops"), "sent"),
        rule("edit", use("edit_message", message=3, text="again"), "{tool}"),
    )
    async with house.open() as p:
        await p.say("send")
        await p.replies(1, place="ops")
        await p.ends(1)
        await p.say("edit")
        assert await p.replies(2, place="ops") == ["to ops", "again"]
        await house.until_quiet()
        await house.app.containers.stop_idle()
    house.agent["destinations"] = []
    async with house.open() as p:
        before = len(p.texts())
        await p.say("edit")
        await p.replies(before + 1)
        assert p.texts()[-1] == f"edit_message was not done. {actions.NOT_THERE.format(number=3)}"
        assert len(p.texts("ops")) == 2


async def test_a_session_cannot_reach_into_another(house: House) -> None:
    async with house.open() as p:
        await p.say("one", place="p1")
        await p.say("two", place="p2")
        await asyncio.gather(p.ends(1, place="p1"), p.ends(1, place="p2"))
        await house.app.containers.stop_idle()
        edit = {"action": "edit_message", "message": 1, "text": "stolen"}
        theirs = house.query("SELECT seq FROM deliveries WHERE session = ?", house.session_id("p2"))[0]["seq"]
        own = house.query("SELECT seq FROM deliveries WHERE session = ?", house.session_id("p1"))[0]["seq"]
        assert theirs == own, "the numbers are the same, so that a mistake would be seen"
        out_id = await write(house, {**edit, "message": own}, seq=101, platform_id="p2")
        assert "may not write there" in str(await dealt_with(house, out_id))
        out_id = await write(house, {**edit, "message": own}, seq=103)
        assert await dealt_with(house, out_id) is None
        (edited,) = [part for part in p.sent if part.replaces]
        (said,) = [part for part in p.sent if part.outgoing.route == p.route("p1") and not part.replaces]
        assert (edited.outgoing.route, edited.replaces) == (p.route("p1"), f"{said.outgoing.id}:0")
        out_id = await write(house, {"action": "cancel_task", "series_id": "abc"}, seq=105)
        assert "There is no schedule abc here" in str(await dealt_with(house, out_id))


# ---------------------------------------------------------------- reactions, cards


async def test_a_reaction_goes_on_a_persons_message_and_on_an_own_one(house: House) -> None:
    house.script(
        rule(
            "react",
            SEND,
            use("add_reaction", message="{id}", emoji="👍"),
            use("add_reaction", message="#{sent}", emoji=" eyes "),
            "{tool}",
        ),
        rule("bad", use("add_reaction", message="{id}", emoji="two words"), "{tool}"),
    )
    async with house.open() as p:
        await p.say("react", event_id="e1", thread="t1")
        assert (await p.replies(4, thread="t1"))[3] == "eyes is on message #3."
        first, second = [part.outgoing.reaction for part in p.sent if part.outgoing.reaction]
        assert first is not None and (first.emoji, first.event, first.message) == ("👍", "e1", None)
        assert second is not None and second.event is None
        assert (second.emoji, second.message) == ("eyes", f"{p.sent[0].outgoing.id}:0")
        await p.say("bad")
        assert await p.replies(1) == [f"add_reaction was not done. {actions.NO_EMOJI}"]


async def test_a_card_reaches_the_channel_with_its_words(house: House) -> None:
    fields = [{"name": "Took", "value": "3 min"}]
    house.script(
        rule("card", use("send_card", title="Build", fields=fields, fallback_text="Build: 3 min"), "end")
    )
    async with house.open() as p:
        await p.say("card")
        assert await p.replies(2) == ["Build: 3 min", "end"]
        card = p.sent[0].outgoing.card
        assert card is not None and (card.title, card.fields[0].value) == ("Build", "3 min")
        await house.until(lambda: [len(deliveries(house, kind)) for kind in ("card", "text")] == [1, 1])


async def test_a_card_that_could_not_be_delivered_is_replayed_as_a_card(house: House) -> None:
    house.script(rule("card", use("send_card", title="Build", fallback_text="words"), "end"))
    async with house.open() as p:
        p.failures += [NO]
        await p.say("card")
        await p.ends(1)
        (letter,) = house.query("SELECT id FROM dead_letters")
        await control_client.ask(house.data / "control.sock", ["deadletter", "replay", letter["id"]], None)
        await p.until(lambda: any(part.outgoing.card for part in p.sent))


# ---------------------------------------------------------------- schedules


async def test_an_agent_schedules_changes_and_cancels(house: House) -> None:
    house.script(
        rule(
            "plan",
            use("schedule_task", prompt="look", recurrence="every monday at 8 Europe/Athens", script="true"),
            "{tool}",
        ),
        rule("list", use("list_tasks"), "{tool}"),
    )
    async with house.open() as p:
        await p.say("plan")
        (answer,) = await p.replies(1)
        await p.ends(1)
        (kept,) = house.query("SELECT * FROM series")
        assert answer.startswith(f"Scheduled as {kept['id']}: Monday 8:00 Europe/Athens; next: Monday ")
        assert kept["created_by"] == f"agent:{house.session_id()}" and kept["script"] == "true"
        assert (kept["catch_up"], kept["max_failures"]) == ("once", 3)
        await p.say("list")
        assert (await p.replies(2))[1].startswith(f"{kept['id']}: Monday 8:00 Europe/Athens; next ")


async def test_a_task_is_changed_paused_resumed_and_cancelled(house: House) -> None:
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        await house.app.containers.stop_idle()
        plan = {"action": "schedule_task", "prompt": "look", "recurrence": "daily at 8"}
        assert await dealt_with(house, await write(house, plan, seq=101)) is None
        (kept,) = house.query("SELECT id FROM series")
        change = {"series_id": kept["id"]}
        wrong = [
            ({"action": "update_task", **change}, "Say what is to be changed."),
            ({"action": "update_task", **change, "when": "every 2 hours"}, "say it as the recurrence"),
            ({"action": "update_task", **change, "recurrence": "tomorrow at 8"}, "say it as when"),
            ({"action": "update_task", **change, "recurrence": "every 5 seconds"}, "too often"),
            ({"action": "update_task", **change, "timezone": "Mars/Base"}, "Mars/Base"),
            ({"action": "update_task", **change, "prompt": "x" * 20_001}, "the limit is 20,000"),
            ({**plan, "recurrence": None}, "Say either when"),
            ({**plan, "prompt": " "}, "Say what is to be done."),
            ({"action": "resume_task", **change}, "is not paused"),
        ]
        for number, (asked, why) in enumerate(wrong):
            assert why in str(await dealt_with(house, await write(house, asked, seq=103 + 2 * number))), asked
        seq = 103 + 2 * len(wrong)
        steps = [
            (
                {"action": "update_task", **change, "prompt": "look again", "timezone": "Europe/Athens"},
                "active",
            ),
            ({"action": "update_task", **change, "recurrence": "every 2 hours", "script": "true"}, "active"),
            ({"action": "pause_task", **change}, "paused"),
            ({"action": "update_task", **change, "recurrence": "daily at 9", "script": ""}, "paused"),
            ({"action": "resume_task", **change}, "active"),
            ({"action": "cancel_task", **change}, "cancelled"),
        ]
        found = []
        for asked, status in steps:
            assert await dealt_with(house, await write(house, asked, seq=seq)) is None, asked
            (row,) = house.query("SELECT * FROM series")
            assert row["status"] == status
            assert (row["next_at"] is not None) == (status == "active")
            found.append(row)
            seq += 2
        assert found[0]["prompt"] == "look again" and "0 8 * * *" in found[0]["recurrence"]
        assert "Europe/Athens" in found[0]["recurrence"] and found[1]["script"] == "true"
        assert found[3]["script"] is None and "0 9 * * *" in found[5]["recurrence"]
        assert len(results(house)) == len(wrong) + len(steps) + 1


async def test_an_agent_holds_so_many_schedules_and_no_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.tasks.MAX_HELD", 2)
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        await house.app.containers.stop_idle()
        plan = {"action": "schedule_task", "prompt": "look", "recurrence": "daily at 8"}
        said = [await dealt_with(house, await write(house, plan, seq=seq)) for seq in (101, 103, 105)]
        assert said[:2] == [None, None] and "2 schedules of yours already" in str(said[2])


async def test_a_scheduled_task_runs_with_its_script(house: House) -> None:
    house.script(
        rule("^plan", use("schedule_task", prompt="do it", when="in 1 seconds", script="true"), "{tool}")
    )
    async with house.open() as p:
        await p.say("plan")
        await p.until(lambda: "The task is due: do it" in "".join(p.texts()))
        (row,) = house.query("SELECT content FROM inbox WHERE kind = 'task'")
        assert json.loads(row["content"])["script"] == "true"
        await house.until(lambda: house.query("SELECT status FROM series")[0]["status"] == "finished")


async def test_a_flood_of_plans_is_stopped(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        await house.app.containers.stop_idle()
        session = await house.app.sessions.get(house.session_id())
        while session.may_act():
            pass
        plan = {"action": "schedule_task", "prompt": "look", "recurrence": "daily at 8"}
        for number in range(REFUSALS_TOLD + 2):
            out_id = await write(house, plan, seq=101 + 2 * number)
            assert await dealt_with(house, out_id) == actions.TOO_MANY
        assert house.query("SELECT 1 FROM series") == []
        assert len(results(house)) == REFUSALS_TOLD, "every word is a row"


# ---------------------------------------------------------------- reports


async def test_a_problem_is_shown_until_the_agent_works_again(house: House) -> None:
    async def status() -> Any:
        return await control_client.ask(house.data / "control.sock", ["status"], None)

    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        await house.app.containers.stop_idle()
        report = {"action": "report", "problem": "the key is refused", "detail": f"401\x1b[2J {SECRET}"}
        assert await dealt_with(house, await write(house, report, seq=101)) is None
        answer = await status()
        assert "The agent assistant has a problem since 20" in answer.text
        assert answer.text.endswith(": the key is refused. 401 [redacted api key]")
        (since,) = [each["since"] for each in answer.data["problems"]]
        await house.app.db.write(lambda db: people.grant(db, p.name, "u2", "member", now=0))
        event = Event(p.new_id(), "command", p.route("p1"), Sender("u2", "Bob"), now_ms(), command="status")
        asked_by_a_member = await p.hand_in(event)
        assert asked_by_a_member.state == "accepted" and "problem" not in str(asked_by_a_member.text)
        metrics = answer.data["metrics"]
        assert metrics['roost_agent_problem{agent="assistant"}'] == 1
        assert metrics['roost_reports_total{agent="assistant"}'] == 1
    async with house.open() as p:
        answer = await status()
        assert [each["since"] for each in answer.data["problems"]] == [since]
        assert answer.data["metrics"]['roost_agent_problem{agent="assistant"}'] == 1
        await p.say("and now")
        await p.ends(2)
        answer = await status()
        assert answer.data["problems"] == [] and "problem" not in answer.text
        assert answer.data["metrics"]['roost_agent_problem{agent="assistant"}'] == 0


# ---------------------------------------------------------------- questions

ASK: Final = use("ask_user_question", title="Colour", question="Which?", options=["red", "blue"])


async def test_an_answer_that_no_tool_waits_for_reaches_the_agent(house: House) -> None:
    house.script(rule("^ask", ASK, "{tool}"))
    async with house.open() as p:
        await p.say("ask")
        await p.until(lambda: bool(p.sent))
        question = p.sent[0].outgoing.question
        assert question is not None
        assert await p.interrupt()
        assert (await p.replies(2))[1] == "(Stopped.)"
        await house.until_quiet()
        runner = house.runner()
    os.kill(runner, signal.SIGKILL)
    async with house.open() as p:
        assert (await p.answer(question.id, "blue")).state == "accepted"
        assert (await p.replies(3))[2] == "I take note: blue"
        assert (await p.answer(question.id, "red")).text == ANSWERED
        await house.until_quiet()


async def test_a_question_that_the_runner_died_over_can_still_be_answered(house: House) -> None:
    house.script(rule("^ask", ASK, "{tool}"))
    async with house.open() as p:
        await p.say("ask")
        await p.until(lambda: bool(p.sent))
        runner = house.runner()
    with suppress(ProcessLookupError):
        os.kill(runner, signal.SIGKILL)
    async with house.open() as p:
        await p.until(lambda: len(p.sent) == 2)
        first, again = (part.outgoing.question for part in p.sent)
        assert first is not None and again is not None and first.id != again.id
        assert (await p.answer(first.id, "blue")).state == "accepted"
        assert (await p.answer(again.id, "red")).state == "accepted"
        assert (await p.replies(4))[2:] == ["Ada answered: red", "I take note: blue"]
        await house.until_quiet()


async def test_a_channel_is_reminded_of_what_is_still_open(house: House) -> None:
    house.script(rule("^ask", use("ask_user_question", title=SECRET, question="Which?"), "{tool}"))

    def reminders(p: FakePlatform) -> list[Open]:
        return [update for update in p.updates if isinstance(update, Open)]

    async with house.open() as p:
        await p.say("ask")
        await p.until(lambda: bool(p.sent))
        question = p.sent[0].outgoing.question
        assert question is not None and reminders(p) == []
    async with house.open() as p:
        await p.until(lambda: bool(reminders(p)))
        (reminder,) = reminders(p)
        assert (reminder.question, reminder.turn_id) == (question, p.sent[0].outgoing.turn_id)
        assert await p.interrupt()
        await p.replies(2)
        await house.until_quiet()
    p.updates.clear()
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        assert reminders(p) == []


async def test_a_question_that_has_expired_says_so(house: House) -> None:
    house.script(
        rule("^ask", use("ask_user_question", title="t", question="Which?", timeout_seconds=1), "{tool}")
    )
    async with house.open() as p:
        await p.say("ask")
        assert (await p.replies(2))[1] == "Nobody answered within 1 seconds."
        await p.ends(1)
        question = p.sent[0].outgoing.question
        assert question is not None
        late = await p.answer(question.id, "blue")
        assert (late.state, late.text) == ("refused", EXPIRED)
    async with house.open() as p:
        assert (await p.answer(question.id, "blue")).text == EXPIRED


async def test_a_question_cannot_be_open_for_ever_nor_take_another_ones_name(house: House) -> None:
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        await house.app.containers.stop_idle()
        ask = {
            "action": "ask_user_question", "question_id": "q", "title": "t", "question": "Well?", "options": [],
            "expires_at": 2**53,
        }  # fmt: skip
        assert await dealt_with(house, await write(house, ask, seq=101)) is None
        (kept,) = house.query("SELECT * FROM questions")
        assert kept["expires_at"] <= now_ms() + actions.MAX_QUESTION_MS
        assert await dealt_with(house, await write(house, ask, seq=103)) == actions.TAKEN
        assert len([part for part in p.sent if part.outgoing.question]) == 1


# ---------------------------------------------------------------- the books


async def test_what_the_disk_refuses_is_done_once_when_it_does_not(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "RETRY_SECONDS", 0.05)
    house.script(rule("plan", use("schedule_task", prompt="look", recurrence="daily at 8"), "{tool}"))
    async with house.open() as p:
        real: Callable[[sqlite3.Connection, str, str], bool] = rows.ended
        failed: list[str] = []

        def ended(db: sqlite3.Connection, session_id: str, out_id: str) -> bool:
            if len(failed) < 2:
                failed.append(out_id)
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR
                raise error
            return real(db, session_id, out_id)

        monkeypatch.setattr(rows, "ended", ended)
        await p.say("plan")
        (answer,) = await p.replies(1)
        assert answer.startswith("Scheduled as ")
        assert len(house.query("SELECT 1 FROM series")) == 1 and len(results(house)) == 1


async def test_the_way_of_an_action_can_be_traced(house: House) -> None:
    house.script(EDIT)
    async with house.open() as p:
        await p.say("edit", event_id="e1")
        await p.ends(1)
        told = await control_client.ask(house.data / "control.sock", ["trace", "e1"], None)
        assert "reply #5" in told.text
        platform: FakePlatform = p
        assert platform.settled()[0].ok
