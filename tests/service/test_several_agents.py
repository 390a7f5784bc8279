"""Several agents and several places on the whole service: who answers where, before and after a restart."""

from __future__ import annotations

from pathlib import Path

from adapters.base import Event, IncomingFile, Receipt
from agent.protocol.clock import now_ms
from agent.protocol.messages import Route
from bot.db import inbox
from tests.fakes.platform import PERSON, FakePlatform, refusal
from tests.service.conftest import House

ACCEPTED, DROPPED = Receipt("accepted"), Receipt("dropped")
TOO_SLOW = "a" * 9_999 + "!"


def says(text: str) -> dict[str, object]:
    return {
        "idle_seconds": 0.3,
        "provider_options": {"script": [{"steps": [{"do": "result", "text": text}]}]},
    }


async def say(
    p: FakePlatform,
    text: str,
    *,
    place: str = "p1",
    thread: str | None = None,
    mention: bool = False,
    files: tuple[IncomingFile, ...] = (),
) -> Receipt:
    return await p.hand_in(
        Event(p.new_id(), "message", p.route(place, thread), PERSON, now_ms(), text=text,
              mentions_bot=mention, files=files)
    )  # fmt: skip


async def command(p: FakePlatform, name: str, *, place: str = "p1", thread: str | None = None) -> Receipt:
    return await p.hand_in(
        Event(p.new_id(), "command", p.route(place, thread), PERSON, now_ms(), command=name)
    )


def sent(p: FakePlatform) -> list[tuple[str, str | None, str]]:
    return [(e.outgoing.route.platform_id, e.outgoing.route.thread_id, e.text) for e in p.sent]


async def test_each_agent_gets_files_of_its_own(house: House, tmp_path: Path) -> None:
    house.agents = {"one": says("I am one"), "two": says("I am two")}
    house.wirings = [
        {"channel": "fake", "agent": "one", "engage": "all"},
        {"channel": "fake", "agent": "two", "engage": "all"},
    ]
    staged = tmp_path / "staged"
    staged.write_bytes(b"the same for both")
    async with house.open() as p:
        file = IncomingFile("notes.txt", "text/plain", staged)
        assert await say(p, "read this", files=(file,)) == ACCEPTED
        await p.replies(2)
        found = list(house.data.glob("sessions/*/in/files/*/*"))
        assert [each.read_bytes() for each in found] == [b"the same for both"] * 2
        assert len({each.stat().st_ino for each in found}) == 2
        assert not staged.exists() and not list((house.data / "incoming").glob("*/*"))


async def test_a_command_is_for_who_was_asked_there(house: House) -> None:
    house.agents = {"one": says("I am one"), "two": says("I am two")}
    house.wirings = [{"channel": "fake", "agent": "one"}, {"channel": "fake", "agent": "two"}]
    async with house.open() as p:
        assert (await command(p, "clear", thread="t")).state == "refused"
        assert await say(p, "two: hello", thread="t", mention=True) == ACCEPTED
        assert await p.replies(1, thread="t") == ["I am two"]
        cleared = await command(p, "clear", thread="t")
        (session,) = house.query("SELECT id, agent FROM sessions WHERE channel = 'fake'")
        assert cleared.state == "accepted" and cleared.data == {"session": session[0]}
        assert session[1] == "two"


async def test_stop_stops_whoever_works_here(house: House) -> None:
    slow = {
        "idle_seconds": 0.3,
        "provider_options": {"script": [{"steps": [{"do": "stall", "seconds": 600}]}]},
    }
    house.agents = {"one": says("I am one"), "two": slow}
    house.wirings = [{"channel": "fake", "agent": "one"}, {"channel": "fake", "agent": "two"}]
    async with house.open() as p:
        await say(p, "one: hello", thread="t", mention=True)
        await p.replies(1, thread="t")
        await say(p, "two: hello", thread="t", mention=True)
        await house.until(lambda: bool(house.query("SELECT 1 FROM inbox WHERE state = 'posted'")))
        assert (await command(p, "stop", thread="t")).data == {"stopped": True}
        await house.until_quiet_everywhere()


async def test_a_shared_conversation_answers_where_it_was_asked(house: House) -> None:
    house.wirings = [{"channel": "fake", "sessions": "agent"}]
    async with house.open() as p:
        assert await say(p, "one", mention=True) == ACCEPTED
        await p.replies(1)
        assert await say(p, "two", place="p2", thread="t", mention=True) == ACCEPTED
        await p.replies(1, place="p2", thread="t")
        assert sent(p) == [("p1", None, "You said: one"), ("p2", "t", "You said: two")]
        assert house.query(
            "SELECT DISTINCT agent, channel FROM sessions WHERE id IN (SELECT session FROM inbox)"
        )


async def test_what_could_not_be_sent_still_goes_where_it_was_asked_after_a_restart(house: House) -> None:
    """By then the question waits for nothing any more, and the place is not the conversation's own."""
    house.wirings = [{"channel": "fake", "sessions": "agent"}]
    house.delivery["max_attempts"] = 30
    async with house.open() as p:
        p.absent.add("p2")
        assert await say(p, "one", place="p2", thread="t", mention=True) == ACCEPTED
        await house.until(lambda: bool(house.query("SELECT 1 FROM inbox WHERE state = 'done'")))
        await house.until(lambda: bool(house.query("SELECT 1 FROM deliveries WHERE state = 'waiting'")))
        p.absent.clear()
    async with house.open() as p:
        await p.replies(1, place="p2", thread="t")
        assert sent(p) == [("p2", "t", "You said: one")]


async def test_what_the_service_says_itself_stands_where_it_was_asked(house: House) -> None:
    house.wirings = [{"channel": "fake", "sessions": "agent"}]
    house.delivery["max_attempts"] = 1
    async with house.open() as p:
        p.failures += [refusal()]
        await say(p, "one", place="p2", thread="t", mention=True)
        await p.replies(1, place="p2", thread="t")
        assert [(place, thread) for place, thread, _ in sent(p)] == [("p2", "t")]


async def test_a_schedule_of_a_shared_conversation_is_asked_for_where_it_was_made(house: House) -> None:
    house.wirings = [{"channel": "fake", "sessions": "agent"}]
    async with house.open() as p:
        await say(p, "one", place="p1", mention=True)
        await p.replies(1)
        event = Event(
            p.new_id(), "command", p.route("p2", "t"), PERSON, now_ms(), command="schedule create",
            arguments={"when": "in 1 minute", "prompt": "look", "yes": "true"},
        )  # fmt: skip
        made = await p.hand_in(event)
        assert made.state == "accepted", made
        run = Event(
            p.new_id(), "command", p.route("p2", "t"), PERSON, now_ms(), command="schedule run",
            arguments={"id": made.data["id"]},
        )  # fmt: skip
        told = await p.hand_in(run)
        assert told.state == "accepted", told
        await p.replies(1, place="p2", thread="t")
        assert sent(p)[-1][:2] == ("p2", "t")


async def test_a_pattern_that_fails_is_in_the_status_of_admins(house: House) -> None:
    pattern = r"^(a+)+\?$"
    house.wirings = [{"channel": "fake", "engage": "pattern", "pattern": "deploy"}]
    async with house.open() as p:
        assert await say(p, "we deploy") == ACCEPTED
        assert await say(p, "we rest") == DROPPED
        await p.replies(1)
        patterns = house.app.context.patterns
        assert await patterns.fit([pattern], TOO_SLOW) == {pattern: None}
        said = await command(p, "status")
        assert pattern in (said.text or "") and said.data["patterns"][0]["times"] == 1


async def test_what_was_overheard_is_told_and_settled(house: House) -> None:
    house.wirings = [{"channel": "fake", "others": "accumulate"}]
    house.script({"steps": [{"do": "result", "text": "{prompt}"}]})
    async with house.open() as p:
        assert await say(p, "lunch at noon") == DROPPED
        assert await say(p, "when?", mention=True) == ACCEPTED
        (said, *more) = await p.replies(1)
        assert "<context>" in said + "".join(more)
        await house.until_quiet_everywhere()
        await house.until(lambda: not house.query("SELECT 1 FROM inbox WHERE state != 'done'"))
        counted = await house.app.db.read(inbox.counts)
        assert counted["done"] == 1
        assert await house.app.db.read(lambda db: inbox.asked_at(db, "nobody")) is None
        assert isinstance(p.route("p1"), Route)
