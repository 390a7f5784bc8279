"""What is kept of people and conversations: handed over, removed, and no longer kept than a place wants."""

from __future__ import annotations

import json
import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Event, Sender
from agent.protocol.clock import now_ms
from bot import approvals
from bot.db import people, places
from bot.db.places import Place
from bot.keeping import DAY_MS
from tests.fakes.platform import PERSON, FakePlatform
from tests.service.conftest import House

MAX = Sender("u2", "Max")
SAM = Sender("u9", "Sam")
SECRET = "the horse is called Aurora"  # noqa: S105 - it is what must not be found again


async def ordered(platform: FakePlatform, command: str, *, by: Sender = PERSON, **given: str) -> Any:
    receipt = await platform.order(command, by=by, **given)
    assert receipt.state == "accepted", receipt
    return receipt


def everywhere(house: House, words: str) -> list[str]:
    """The files below the data folder in which these words stand, but for bot.db's own log."""
    files = (path for path in house.data.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(house.data)) for path in files if words.encode() in path.read_bytes())


def rows_with(house: House, words: str) -> list[str]:
    """The tables of bot.db in which they stand."""
    tables = [row["name"] for row in house.query("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return sorted(
        name
        for name in tables
        if any(words in str(value) for row in house.query(f"SELECT * FROM {name}") for value in tuple(row))
    )


async def settled(house: House) -> None:
    """Until the runners have nothing to do."""
    await house.until(lambda: set(house.states()) <= {"done", "failed"})


async def set_place(house: House, **settings: Any) -> None:
    place = Place("fake", "p1", settings=settings)
    await house.app.db.write(partial(places.put, place=place, now=now_ms()))
    await house.app.context.wirings.refresh(house.app.db)


async def test_a_conversation_is_read_as_it_was_held(house: House) -> None:
    async with house.open() as platform:
        await platform.say("hello")
        await platform.replies(1)
        await platform.say("and now?")
        await platform.replies(2)
        await settled(house)
        told = await ordered(platform, "session transcript", id=house.session_id())
        assert [(each["who"], each["text"]) for each in told.data if each["who"] == PERSON.name] == [
            (PERSON.name, "hello"),
            (PERSON.name, "and now?"),
        ]
        assert "You said: hello" in {each["text"] for each in told.data}
        assert [each["number"] for each in told.data] == sorted(each["number"] for each in told.data)
        whole = json.loads((await ordered(platform, "session export", id=house.session_id())).text)
        assert whole["said"] == told.data and whole["messages"]["done"] == 2


async def test_a_conversation_that_is_restarted_answers_with_a_fresh_container(house: House) -> None:
    async with house.open() as platform:
        await platform.say("hello")
        await platform.replies(1)
        await settled(house)
        before = house.runner()
        await ordered(platform, "session restart", id=house.session_id())
        await platform.say("still there?")
        assert (await platform.replies(2))[-1] == "You said: still there?"
        assert house.runner() != before


async def test_a_conversation_is_removed_only_when_that_is_meant_and_then_whole(house: House) -> None:
    async with house.open() as platform:
        await platform.say(SECRET)
        await platform.replies(1)
        await settled(house)
        session = house.session_id()
        asked = await ordered(platform, "session delete", id=session)
        assert "cannot be undone" in (asked.text or "") and asked.ask is not None
        assert (house.data / "sessions" / session).is_dir()
        assert (await platform.press(asked.ask, 0)).state == "accepted"
        await house.until(lambda: not any((house.data / "erased").iterdir()))
        assert not (house.data / "sessions" / session).exists()
        assert house.query("SELECT 1 FROM sessions WHERE id = ?", session) == []
        await platform.say("who am I?")
        assert (await platform.replies(2))[-1] == "You said: who am I?"
        assert house.session_id() != session
    assert rows_with(house, SECRET) == []
    assert [each for each in everywhere(house, SECRET) if not each.startswith("bot.db")] == []
    audited = house.query("SELECT action, subject FROM audit WHERE action = 'session delete'")
    assert [tuple(row) for row in audited] == [("session delete", f"session:{session}")]


async def test_only_an_admin_removes_a_conversation(house: House) -> None:
    async with house.open() as platform:
        await house.app.db.write(lambda db: people.grant(db, "fake", MAX.id, "member", now=1))
        await platform.say("hello")
        await platform.replies(1)
        refused = await platform.order("session delete", by=MAX, id=house.session_id(), yes="true")
        assert refused.state == "refused" and "admin" in (refused.text or "")
        assert (house.data / "sessions" / house.session_id()).is_dir()


async def said_by(platform: FakePlatform, who: Sender, text: str, event_id: str, place: str = "p1") -> None:
    event = Event(
        id=event_id,
        kind="message",
        route=platform.route(place),
        sender=who,
        created_at=now_ms(),
        text=text,
        direct=True,
    )
    assert (await platform.hand_in(event)).state == "accepted"


async def test_a_person_has_what_is_kept_of_them_and_of_nobody_else(house: House) -> None:
    async with house.open() as platform:
        await house.app.db.write(lambda db: people.grant(db, "fake", MAX.id, "member", now=1))
        await platform.say("mine")
        await platform.replies(1)
        await said_by(platform, MAX, SECRET, "e-max")
        await platform.replies(2)
        await settled(house)
        own = json.loads((await ordered(platform, "privacy export", by=MAX)).text)
        assert [each["content"]["text"] for each in own["messages"]] == [SECRET]
        assert own["person"] == "fake:u2" and [each["role"] for each in own["roles"]] == ["member"]
        refused = await platform.order("privacy export", by=MAX, person=f"fake:{PERSON.id}")
        assert refused.state == "refused"
        of_max = json.loads((await ordered(platform, "privacy export", person="fake:u2")).text)
        assert of_max["messages"] == own["messages"]
        nobody = await platform.order("privacy export", by=SAM)
        assert nobody.state == "accepted" and json.loads(nobody.text or "")["messages"] == []


async def test_a_person_is_forgotten_and_what_others_have_said_is_not(house: House) -> None:
    async with house.open() as platform:
        await house.app.db.write(lambda db: people.grant(db, "fake", MAX.id, "member", now=1))
        await platform.say("what others say")
        await platform.replies(1)
        await said_by(platform, MAX, SECRET, "e-max")
        await said_by(platform, MAX, SECRET, "e-max-2", place="p2")
        await platform.replies(2)
        await platform.replies(1, place="p2")
        await settled(house)
        shared, alone = house.session_id(), house.session_id("p2")
        asked = await ordered(platform, "privacy forget", by=MAX)
        assert asked.data == {"person": "fake:u2", "forgotten": False, "messages": 2, "alone": 1, "shared": 1}
        assert len(rows_with(house, SECRET)) == 1
        done = await ordered(platform, "privacy forget", by=MAX, yes="true")
        assert done.data["forgotten"] is True
        await house.until(lambda: not any((house.data / "erased").iterdir()))
        assert rows_with(house, SECRET) == []
        assert house.query("SELECT 1 FROM sessions WHERE id = ?", alone) == []
        assert house.query("SELECT 1 FROM inbox WHERE sender_id = 'u2'") == []
        assert not (house.data / "sessions" / alone).exists()
        assert house.query("SELECT 1 FROM roles WHERE user_id = 'u2'") == []
        assert rows_with(house, "what others say") == ["inbox"]
        await platform.say("are you there?")
        assert (await platform.replies(3))[-1] == "You said: are you there?"
        await settled(house)
        assert house.session_id() == shared
    assert [each for each in everywhere(house, SECRET) if not each.startswith("bot.db")] == []


async def interrupted(house: House, on: str) -> None:
    """From now on a step fails that does this in bot.db, as if the service were killed before it."""
    stop = f"CREATE TRIGGER interrupted BEFORE {on} BEGIN SELECT RAISE(ABORT, 'interrupted'); END"
    await house.app.db.write(lambda db: db.execute(stop))


async def resumed(house: House) -> None:
    await house.app.db.write(lambda db: db.execute("DROP TRIGGER interrupted"))


async def test_who_is_forgotten_leaves_no_file_however_it_is_interrupted(
    house: House, tmp_path: Path
) -> None:
    async with house.open() as platform:
        await house.app.db.write(lambda db: people.grant(db, "fake", MAX.id, "owner", now=1))
        await said_by(platform, MAX, "what others say", "e-max")
        await platform.replies(1)
        (tmp_path / "photo").write_text(SECRET)
        await platform.say("look", files=[("photo.png", tmp_path / "photo")])
        await platform.replies(2)
        await settled(house)
        files = house.data / "sessions" / house.session_id() / "in" / "files"
        assert len(list(files.rglob("*photo.png"))) == 1
        await interrupted(house, "DELETE ON people")
        forget = {"person": f"fake:{PERSON.id}", "yes": "true"}
        with pytest.raises(sqlite3.IntegrityError):
            await platform.order("privacy forget", by=MAX, **forget)
        # The rows that name the files still say whose they are, so that they are found again.
        assert list(files.rglob("*photo.png")) == []
        assert len(house.query("SELECT 1 FROM inbox WHERE sender_id = ?", PERSON.id)) == 1
        await resumed(house)
        assert (await platform.order("privacy forget", by=MAX, **forget)).state == "accepted"
        assert house.query("SELECT 1 FROM inbox WHERE sender_id = ?", PERSON.id) == []


async def test_what_is_old_leaves_no_file_however_it_is_interrupted(house: House, tmp_path: Path) -> None:
    async with house.open() as platform:
        (tmp_path / "photo").write_bytes(b"pixels")
        await platform.say(SECRET, files=[("photo.png", tmp_path / "photo")])
        await platform.replies(1)
        await settled(house)
        await set_place(house, retention_messages_days=7)
        house.clock_ahead_ms = 8 * DAY_MS
        await interrupted(house, "UPDATE OF content ON inbox")
        with pytest.raises(sqlite3.IntegrityError):
            await house.app.keeping.prune()
        assert rows_with(house, SECRET) == ["inbox"]
        files = house.data / "sessions" / house.session_id() / "in" / "files"
        assert list(files.rglob("*photo.png")) == []
        await resumed(house)
        await house.app.keeping.prune()
        assert rows_with(house, SECRET) == []


async def test_what_people_delete_is_deleted_here_where_the_place_wants_that(
    house: House, tmp_path: Path
) -> None:
    photo = tmp_path / "photo"
    async with house.open() as platform:
        photo.write_bytes(b"pixels")
        await platform.say(f"kept {SECRET}", event_id="e1")
        await platform.replies(1)
        await settled(house)
        await platform.delete("e1")
        await house.until(lambda: len(house.query("SELECT 1 FROM inbox WHERE about IS NOT NULL")) == 1)
        assert rows_with(house, SECRET) == ["inbox"]
        await set_place(house, forget_deleted=True)
        await platform.say(SECRET, event_id="e2", files=[("photo.png", photo)])
        await platform.replies(2)
        await settled(house)
        (row,) = house.query("SELECT id FROM inbox WHERE event_id = 'e2'")
        files = house.data / "sessions" / house.session_id() / "in" / "files" / row["id"]
        assert os.listdir(files) == ["1-photo.png"]
        await platform.delete("e2")
        await house.until(lambda: not house.query("SELECT 1 FROM inbox WHERE content LIKE ?", f'%"{SECRET}%'))
        await house.until(lambda: not files.exists())


@pytest.mark.parametrize(
    ("setting", "gone"),
    [
        ("retention_messages_days", ["messages", "files"]),
        ("retention_transcripts_days", ["memory"]),
        ("retention_files_days", ["files"]),
    ],
)
async def test_a_place_keeps_things_for_as_long_as_it_says(
    house: House, tmp_path: Path, setting: str, gone: list[str]
) -> None:
    async with house.open() as platform:
        (tmp_path / "photo").write_bytes(b"pixels")
        await platform.say(SECRET, event_id="e1", files=[("photo.png", tmp_path / "photo")])
        await platform.replies(1)
        await settled(house)
        (row,) = house.query("SELECT id FROM inbox WHERE event_id = 'e1'")
        root = house.data / "sessions" / house.session_id()
        files, memory = root / "in" / "files" / row["id"], root / "home" / "transcript"
        memory.write_text(SECRET)

        def left() -> list[str]:
            words = house.query("SELECT 1 FROM inbox WHERE content LIKE ?", f"%{SECRET}%")
            there = {"messages": bool(words), "files": files.exists(), "memory": memory.exists()}
            return [name for name, is_there in there.items() if is_there]

        await set_place(house, **{setting: 7})
        house.clock_ahead_ms = 6 * DAY_MS
        await house.app.keeping.prune()
        assert left() == ["messages", "files", "memory"]
        house.clock_ahead_ms = 8 * DAY_MS
        await house.app.keeping.prune()
        assert left() == [each for each in ("messages", "files", "memory") if each not in gone]
        await platform.say("and now?")
        assert (await platform.replies(2))[-1] == "You said: and now?"


async def test_what_a_removed_conversation_had_asked_for_can_be_allowed_by_nobody(house: House) -> None:
    async with house.open() as platform:
        await platform.say("hello")
        await platform.replies(1)
        await settled(house)
        session, now = house.session_id(), now_ms()

        def ask(db: sqlite3.Connection) -> list[str]:
            return approvals.ask(
                db, kind="test", agent="assistant", asked_by="assistant", summary="May I?", details=SECRET,
                effect={"what": SECRET}, now=now, session=session, route=platform.route("p1"),
            )[1]  # fmt: skip

        house.app.context.cards.deliver(await house.app.db.write(ask))
        direct = f"@{PERSON.id}"
        await platform.until(lambda: any(SECRET in str(part.outgoing.question) for part in platform.sent))
        card = platform.card(place=direct)
        await ordered(platform, "session delete", id=session, yes="true")
        await platform.until(lambda: any("was removed" in text for text in platform.texts(direct)))
        assert (await platform.press(card, 0, place=direct)).state == "refused"
        assert rows_with(house, SECRET) == []


async def test_an_agent_cannot_have_what_lies_elsewhere_removed_with_its_memory(
    house: House, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir(mode=0o700)
    (precious / "key").write_text("k")
    async with house.open() as platform:
        await platform.say("hello")
        await platform.replies(1)
        await settled(house)
        link = house.data / "sessions" / house.session_id() / "work" / "conversations"
        link.symlink_to(precious)
        await house.app.context.erasing.forget(house.session_id())
        await house.until(lambda: not os.listdir(house.data / "erased"))
        assert not link.is_symlink()
        assert (precious / "key").read_text() == "k" and precious.stat().st_mode & 0o777 == 0o700
