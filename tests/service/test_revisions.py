"""What people edit, delete and react to, on the whole service with real runners."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from functools import partial
from typing import Any

from adapters.base import Receipt, Sender
from bot.db import inbox, people, traces
from bot.db.accounts import Accounts, accounts
from bot.revisions import TOLD_MS
from tests.fakes.platform import FakePlatform
from tests.service.conftest import House

STRANGER = Sender("u9", "Sam")
OTHER = Sender("u2", "Max")
SHOW = {"match": "show", "steps": [{"do": "result", "text": "{prompt}"}]}
ASK = {
    "match": "ask",
    "steps": [
        {
            "do": "tool",
            "name": "ask_user_question",
            "arguments": {"title": "Well?", "question": "Which?", "options": ["red", "blue"]},
        },
        {"do": "result", "text": "answer: {text}"},
    ],
}
REVISED = {"match": "has edited|was deleted", "steps": [{"do": "result", "text": "revised: {text}"}]}
SILENT = {"match": "was deleted", "steps": [{"do": "result", "text": ""}]}
ACCEPTED, DROPPED, DUPLICATE = Receipt("accepted"), Receipt("dropped"), Receipt("duplicate")


def rows_in(house: House) -> int:
    """How many rows the agent's inbox has."""
    with closing(sqlite3.connect(f"file:{house.workspace().inbound}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM messages_in").fetchone()[0])


async def posted(house: House, count: int) -> None:
    await house.until(lambda: rows_in(house) == count)


def claims(house: House) -> dict[str, str]:
    """What the runner says in its outbox of each row."""
    with closing(sqlite3.connect(f"file:{house.workspace().outbound}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT message_id, status FROM processing_ack").fetchall())


def row_of(house: House, event_id: str) -> str:
    (row,) = house.query("SELECT id FROM inbox WHERE event_id = ?", event_id)
    return str(row["id"])


async def begun(house: House, event_id: str) -> None:
    """The runner has told its provider."""
    await house.until(lambda: row_of(house, event_id) in claims(house))


def told(house: House) -> list[dict[str, Any]]:
    """What the agent is told of by rows of the host's own."""
    rows = house.query("SELECT content FROM inbox WHERE kind = 'system' ORDER BY seq")
    return [json.loads(row["content"])["system"] for row in rows]


def open_rows(house: House) -> int:
    return len(house.query("SELECT 1 FROM inbox WHERE state IN ('accepted', 'posted')"))


async def all_over(house: House) -> Accounts:
    """Once every row has come to its end."""
    await house.until(lambda: open_rows(house) == 0)
    return await house.app.db.read(accounts)


async def reply(platform: FakePlatform, event_id: str) -> str:
    """The whole of what answers an event."""
    await platform.until(lambda: any(each.event_id == event_id for each in platform.settled()))
    return "".join(part.text for part in platform.sent if part.outgoing.answers == event_id)


async def asleep_on_its_feet(house: House, platform: FakePlatform) -> None:
    """A runner that lives and sees nothing until `wake`."""
    await platform.say("hello")
    await platform.ends(1)
    house.suspend()


def wake(house: House) -> None:
    os.killpg(house.runner(), signal.SIGCONT)


# ---------------------------------------------------------------- before its turn


async def test_what_was_edited_before_its_turn_reads_as_it_was_edited_last(house: House) -> None:
    house.script(SHOW)
    async with house.open() as platform:
        await asleep_on_its_feet(house, platform)
        await platform.say("one", event_id="e1")
        await platform.say("show", event_id="e2")
        assert await platform.edit("e1", "two") == ACCEPTED
        assert await platform.edit("e1", "three <b>") == ACCEPTED
        await posted(house, 5)
        wake(house)
        answer = await reply(platform, "e2")
        await all_over(house)
    assert "three &lt;b&gt;" in answer and "two" not in answer and "edited" not in answer
    assert answer.count("<message ") == 2


async def test_what_was_withdrawn_before_its_turn_is_never_seen(house: House) -> None:
    house.script(SHOW)
    async with house.open() as platform:
        await asleep_on_its_feet(house, platform)
        await platform.say("secret", event_id="e1")
        await platform.say("show", event_id="e2")
        await platform.edit("e1", "other secret")
        assert await platform.delete("e1") == ACCEPTED
        await posted(house, 5)
        wake(house)
        answer = await reply(platform, "e2")
        assert await all_over(house) == Accounts(accepted=3, delivered=3, failed=0, dead=0, open=0)
        assert [each.event_id for each in platform.settled() if each.event_id == "e1"] == ["e1"]
    assert "secret" not in answer and "deleted" not in answer


async def test_the_only_message_that_is_withdrawn_costs_no_turn(house: House) -> None:
    async with house.open() as platform:
        await asleep_on_its_feet(house, platform)
        await platform.say("secret", event_id="e1")
        await platform.delete("e1")
        await posted(house, 3)
        wake(house)
        await platform.until(lambda: any(each.event_id == "e1" for each in platform.settled()))
        await all_over(house)
        await platform.until(lambda: not platform.working())
        gone = await house.app.db.read(lambda db: inbox.found(db, "e1", 1))
        marks = await house.app.db.read(lambda db: traces.of(db, gone[0].message.id))
        assert "withdrawn" in [mark.step for mark in marks]
        assert platform.texts() == ["You said: hello"]
        assert house.runners(), "and its runner is as well as before"


async def test_what_is_withdrawn_while_nobody_runs_starts_nobody(house: House) -> None:
    house.backend["max_awake"] = 1
    house.script(ASK)
    async with house.open() as platform:
        await platform.say("ask", place="p2")
        await platform.until(lambda: any(part.outgoing.question for part in platform.sent))
        staged = house.data / "staged"
        staged.write_text("secret")
        await platform.say("secret", event_id="e1", files=[("secret.txt", staged)])
        await platform.edit("e1", "secrets")
        assert await platform.delete("e1") == ACCEPTED
        await platform.ends(1)
        await house.until(
            lambda: (
                not house.query(
                    "SELECT 1 FROM inbox WHERE channel = 'fake' AND platform_id = 'p1' AND state != 'done'"
                )
            )
        )
        assert len(house.runners()) == 1 and not platform.texts()
        assert not list((house.data / "incoming").glob("*/*"))
        assert (await house.app.db.read(accounts)).open == 1
    assert not list(house.folder().glob("in/files/*"))


# ---------------------------------------------------------------- during its turn


async def test_an_edit_during_its_turn_is_told_to_the_turn(house: House) -> None:
    house.script(REVISED, ASK, SHOW)
    async with house.open() as platform:
        await platform.say("ask", event_id="e1")
        await platform.until(lambda: any(part.outgoing.question for part in platform.sent))
        question = next(part.outgoing.question for part in platform.sent if part.outgoing.question)
        assert await platform.edit("e1", "tell", event_id="e2") == ACCEPTED
        await begun(house, "e2")
        await platform.answer(question.id, "red")
        _, first, second = await platform.replies(3)
        await all_over(house)
        assert first == "answer: ask"
        assert second.startswith("revised: Ada has edited message #2;") and second.endswith("\ntell")
        assert platform.sent[-1].outgoing.answers == "e1", "which people see answered"
        await platform.say("show", event_id="e3")
        assert "edited" not in await reply(platform, "e3"), "it is not told again"


async def test_a_provider_that_forgets_is_told_of_the_change_again(house: House) -> None:
    lost = {"do": "error", "message": "lost", "classification": "invalid_session"}
    house.script({"match": "has edited", "steps": [lost]}, ASK)
    async with house.open() as platform:
        await platform.say("ask", event_id="e1")
        await platform.until(lambda: any(part.outgoing.question for part in platform.sent))
        question = next(part.outgoing.question for part in platform.sent if part.outgoing.question)
        await platform.edit("e1", "tell", event_id="e2")
        await begun(house, "e2")
        await platform.answer(question.id, "red")
        assert (await platform.replies(3))[1:] == ["answer: ask", "lost"]
        assert platform.sent[-1].outgoing.answers == "e1"
        await all_over(house)


async def test_a_deletion_during_its_turn_is_told_to_the_turn(house: House) -> None:
    house.script(SILENT, ASK)
    async with house.open() as platform:
        await platform.say("ask", event_id="e1")
        await platform.until(lambda: any(part.outgoing.question for part in platform.sent))
        question = next(part.outgoing.question for part in platform.sent if part.outgoing.question)
        assert await platform.delete("e1", event_id="e2") == ACCEPTED
        await begun(house, "e2")
        await platform.answer(question.id, "red")
        await all_over(house)
        assert platform.texts()[1:] == ["answer: ask"], "and silence is not made up for"


# ---------------------------------------------------------------- afterwards


async def test_what_was_edited_deleted_or_reacted_to_afterwards_is_context(house: House) -> None:
    house.script(SHOW)
    async with house.open() as platform:
        await platform.say("one", event_id="e1")
        await platform.say("two", event_id="e2")
        await platform.until(lambda: len(platform.settled()) >= 2)
        await all_over(house)
        mine = f"{platform.sent[0].outgoing.id}:0"
        assert await platform.edit("e1", "uno & <due>") == ACCEPTED
        assert await platform.delete("e2") == ACCEPTED
        assert await platform.react(mine, "👍") == ACCEPTED
        assert await platform.react(mine, "👍", taken_back=True) == ACCEPTED
        await platform.say("show", event_id="e3")
        answer = await reply(platform, "e3")
        await all_over(house)
        await platform.say("show again", event_id="e4")
        again = await reply(platform, "e4")
    context = answer[answer.index("<context>") : answer.index("</context>")]
    assert 'message="2" from="Ada">uno &amp; &lt;due&gt;</edited>' in context
    assert 'message="4"></deleted>' in context
    assert 'from="Ada">👍</reaction>' in context
    assert 'from="Ada" taken-back="true">👍</reaction>' in context
    assert "<context>" not in again


async def test_nobody_is_woken_for_what_comes_afterwards(house: House) -> None:
    async with house.open() as platform:
        await platform.say("one", event_id="e1")
        await platform.ends(1)
        await all_over(house)
        await house.app.containers.stop(house.session_id())
        await platform.edit("e1", "uno")
        await platform.react(f"{platform.sent[0].outgoing.id}:0", "👍")
        await house.until(lambda: open_rows(house) == 2)
        await house.app.posting.settle(house.session_id())
        assert not house.runners()


async def test_what_does_not_matter_is_dropped(house: House) -> None:
    async with house.open() as platform:
        await platform.say("one", event_id="e1")
        await platform.ends(1)
        mine = f"{platform.sent[0].outgoing.id}:0"
        assert await platform.edit("e1", "one") == DROPPED, "nothing has changed"
        assert await platform.edit("e1", "uno", by=STRANGER) == DROPPED
        await house.app.db.write(partial(people.grant, channel="fake", user_id="u2", role="member", now=0))
        assert await platform.edit("e1", "uno", by=OTHER) == DROPPED, "it is not their own"
        assert await platform.edit("nothing", "uno") == DROPPED
        assert await platform.delete("nothing") == DROPPED
        assert await platform.delete("e1", by=STRANGER) == DROPPED
        assert await platform.react(mine, "👍", by=STRANGER) == DROPPED
        assert await platform.react("nothing", "👍") == DROPPED
        assert await platform.react(mine, "👍", place="p2") == DROPPED, "it is somewhere else"
        assert await platform.react(mine, " ") == DROPPED
        assert not told(house)
        assert await platform.edit("e1", "uno", event_id="e2") == ACCEPTED
        assert await platform.edit("e1", "uno") == DROPPED, "the agent knows already"
        assert await platform.edit("e1", "uno", event_id="e2") == DUPLICATE
        assert await platform.edit("e1", "one") == ACCEPTED, "and back again"
        assert await platform.delete("e1", event_id="e3") == ACCEPTED
        assert await platform.delete("e1") == DROPPED
        assert await platform.delete("e1", event_id="e3") == DUPLICATE
        assert await platform.edit("e1", "due") == DROPPED, "nothing is left to be edited"
        assert await platform.react(mine, "👍", event_id="e4") == ACCEPTED
        assert await platform.react(mine, "👍", event_id="e4") == DUPLICATE
    assert [each["type"] for each in told(house)] == ["edited", "edited", "withdrawn", "reacted"]


async def test_old_messages_that_have_ended_are_let_be(house: House) -> None:
    async with house.open() as platform:
        await platform.say("one", event_id="e1")
        await platform.ends(1)
        await all_over(house)
        house.clock_ahead_ms = TOLD_MS + 1_000
        assert await platform.edit("e1", "uno") == DROPPED
        assert await platform.delete("e1") == DROPPED


async def test_a_flood_of_what_nobody_reads_is_bounded(house: House, monkeypatch: Any) -> None:
    monkeypatch.setattr("bot.reactions.MAX_UNREAD", 2)
    monkeypatch.setattr("bot.revisions.MAX_UNREAD", 3)
    async with house.open() as platform:
        await platform.say("one", event_id="e1")
        await platform.ends(1)
        await all_over(house)
        mine = f"{platform.sent[0].outgoing.id}:0"
        states = [(await platform.react(mine, "👍")).state for _ in range(3)]
        assert states == ["accepted", "accepted", "dropped"]
        states = [(await platform.edit("e1", text)).state for text in ("a", "b")]
        assert states == ["accepted", "refused"]


# ---------------------------------------------------------------- whatever is killed


async def test_an_edit_outlives_its_runner_and_its_service(house: House) -> None:
    house.script(SHOW)
    async with house.open() as platform:
        await asleep_on_its_feet(house, platform)
        await platform.say("show one", event_id="e1")
        await platform.edit("e1", "show two")
        await posted(house, 3)
    house.kill()
    house.platform = FakePlatform()
    async with house.open() as platform:
        answer = await reply(platform, "e1")
        await all_over(house)
    assert "show two" in answer and "one" not in answer


async def test_a_turn_that_died_is_run_again_as_it_reads_now(house: House) -> None:
    house.script(ASK, SHOW)
    async with house.open() as platform:
        await platform.say("ask", event_id="e1")
        await platform.until(lambda: any(part.outgoing.question for part in platform.sent))
        await platform.edit("e1", "show", event_id="e2")
        await begun(house, "e2")
        house.kill()
        answer = await reply(platform, "e1")
        await all_over(house)
    assert ">show</message>" in answer


async def test_a_turn_that_died_is_not_run_again_for_what_was_withdrawn(house: House) -> None:
    house.script(ASK)
    async with house.open() as platform:
        await platform.say("ask", event_id="e1")
        await platform.until(lambda: any(part.outgoing.question for part in platform.sent))
        await platform.delete("e1", event_id="e2")
        await begun(house, "e2")
        house.kill()
        await all_over(house)
        await house.app.posting.settle(house.session_id())
        assert len(platform.texts()) == 1 and not house.runners()


async def test_an_outdated_runner_is_told_nothing_that_it_cannot_read(house: House) -> None:
    house.script(ASK, SHOW)
    async with house.open() as platform:
        await platform.say("ask", event_id="e1")
        await platform.until(lambda: any(part.outgoing.question for part in platform.sent))
        question = next(part.outgoing.question for part in platform.sent if part.outgoing.question)
    house.outdate()
    house.platform = FakePlatform()
    async with house.open() as platform:
        await platform.edit("e1", "uno")
        await house.app.posting.settle(house.session_id())
        assert rows_in(house) == 1
        await platform.answer(question.id, "red")
        await platform.replies(1)
        await posted(house, 3)
        await platform.say("show", event_id="e3")
        assert "uno</edited>" in await reply(platform, "e3")
