"""The host's end of a session, on a real inbound.db."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from adapters.base import Settled
from agent.protocol.mailbox import MailboxGone, StatusChange
from agent.protocol.messages import (
    ChatIn,
    ContentIn,
    Edited,
    InKind,
    MessageIn,
    Note,
    Quote,
    Receipt,
    Route,
    Schedule,
    SystemIn,
)
from bot.folder import DAMAGED_KEPT, FOLDER_MODES, MAX_TOLD, Outbox
from bot.removal import remove
from bot.session import ACTIONS_DONE, ACTIONS_MS, Session
from bot.turns import Again, remember
from tests.fakes import hostile
from tests.fakes.rooms import HOME, accept, room


def inbound(session: Session, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(session.workspace.inbound)) as db:
        return db.execute(sql).fetchall()


def receipt(out_id: str) -> Receipt:
    return Receipt(message_out_id=out_id, seq=1, status="sent", at=1)


async def test_what_is_accepted_while_it_is_rebuilt_waits_for_the_next_post(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        one = await accept(session, "one")
        rebuilding = asyncio.create_task(session.rebuild([], []))
        await asyncio.sleep(0)
        two = await accept(session, "two")
        assert await rebuilding == [one.id]
        assert await session.post() == [two.id]
        assert inbound(session, "SELECT id FROM messages_in ORDER BY seq") == [(one.id,), (two.id,)]


async def test_a_rebuild_that_fails_keeps_what_waited(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        one = await accept(session, "one")
        session.root.write_text("in the way")
        with pytest.raises(OSError):
            await session.rebuild([], [])
        session.root.unlink()
        assert session.waiting.messages == [one]
        assert await session.rebuild([], []) == [one.id]


async def test_opening_says_what_has_ended_since(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        ended, tried = await accept(session, "ended"), await accept(session, "tried")
        await session.rebuild([], [])
        await session.close()
        # Decided, and then the service was killed before it could say so.
        session.end(ended, turn_id=None, ok=False)
        remember(session, tried, Again(2, 77))
        session.waiting.changes.clear()
        await session.open()
        assert inbound(session, "SELECT id, status, tries, process_after FROM messages_in ORDER BY seq") == [
            (ended.id, "completed", 0, None),
            (tried.id, "pending", 2, 77),
        ]


@pytest.mark.parametrize("name", FOLDER_MODES)
async def test_a_folder_that_is_gone_is_noticed(tmp_path: Path, name: str) -> None:
    async with room(tmp_path) as session:
        await session.rebuild([], [])
        shutil.rmtree(session.root / name)
        session.waiting.changes.append(StatusChange("nothing", "completed"))
        with pytest.raises(MailboxGone):
            await session.post()
        assert session.waiting.changes
        await session.close()
        with pytest.raises(MailboxGone):
            await session.open()
        assert await session.lost() is (name in ("out", "home", "work"))
        await session.rebuild([], [])
        assert not await session.lost()


async def test_a_receipt_is_told_once_and_forgotten_when_it_has_served(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        await session.rebuild([], [])
        for _ in range(2):
            session.receipt(receipt("a"))
        assert len(session.waiting.receipts) == 1
        await session.post()
        await session.close()
        await session.open()
        assert session.receipted == {"a"}
        session.forget_pruned({"a"})
        assert not session.waiting
        session.forget_pruned({"b"})
        await session.post()
        assert inbound(session, "SELECT * FROM delivered") == []


async def test_what_was_pruned_before_it_was_told_need_not_be(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        await session.rebuild([], [])
        session.receipt(receipt("told"))
        await session.post()
        for number in range(10 * MAX_TOLD):
            session.receipt(receipt(f"{number}"))
            session.forget_pruned({"told"})
        assert not session.waiting
        session.receipt(receipt("kept"))
        session.forget_pruned({"kept"})
        assert [each.message_out_id for each in session.waiting.receipts] == ["kept"]
        assert session.waiting.forgotten == ["told"] and not session.waiting.is_long
        session.waiting.forgotten += ["x"] * MAX_TOLD
        assert session.waiting.is_long


async def test_an_end_waits_for_the_replies_of_its_turn(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        held, out = Settled(HOME, "e1", "t1", ok=True), Settled(HOME, "e2", "t2", ok=True)
        failed, late = Settled(HOME, "e3", None, ok=False), Settled(HOME, "e4", "t4", ok=True)
        session.endings = [held, out, failed, late]
        session.held, session.has_notices = {"t1"}, True
        assert session.take_settled([held, out, failed]) == [out]
        session.held, session.has_notices = set(), False
        assert session.take_settled([held, failed]) == [held, failed]
        assert session.endings == [late] and not session.at_rest


async def test_only_so_many_damaged_outboxes_are_kept(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        await session.rebuild([], [])
        for number in range(DAMAGED_KEPT + 2):
            (session.workspace.outbox / "mark").write_text(str(number))
            for old in await session.put_aside(str(number)):
                assert remove(old)
            assert list(session.workspace.outbox.iterdir()) == []
        kept = sorted(path.name for path in (session.root / "damaged").iterdir())
        assert kept == [str(number) for number in range(2, DAMAGED_KEPT + 2)]


async def test_a_damaged_outbox_of_any_depth_is_put_aside(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        await session.rebuild([], [])
        for number in range(DAMAGED_KEPT + 1):
            hostile.deepen(session.workspace.outbox, 1_500)
            session.damage = "it is no database"
            for old in await session.put_aside(str(number)):
                assert remove(old)
            assert session.damage is None
        assert len(list((session.root / "damaged").iterdir())) == DAMAGED_KEPT
        for left in (session.root / "damaged").iterdir():
            remove(left)


@pytest.mark.parametrize("name", ["out", "home", "work"])
async def test_a_folder_that_became_a_link_is_made_anew(tmp_path: Path, name: str) -> None:
    target = tmp_path / "precious"
    target.mkdir(mode=0o700)
    async with room(tmp_path) as session:
        await session.rebuild([], [])
        shutil.rmtree(session.root / name)
        (session.root / name).symlink_to(target)
        await session.rebuild([], [])
        assert target.stat().st_mode & 0o777 == 0o700
        assert not (session.root / name).is_symlink()
        assert (session.root / name).stat().st_mode & 0o777 == FOLDER_MODES[name]


async def test_what_asks_for_no_turn_keeps_nobody_awake(tmp_path: Path) -> None:
    async with room(tmp_path) as session:
        message = await accept(session, "one")
        assert not session.at_rest
        session.unfinished[message.id] = message.model_copy(update={"trigger": False})
        assert session.at_rest


def test_an_older_runner_is_given_what_it_can_read_in_its_order() -> None:
    def row(seq: int, content: ContentIn) -> MessageIn:
        kind: InKind = "system" if isinstance(content, SystemIn) else "chat"
        route = Route(channel="fake", platform_id="p1")
        return MessageIn(
            id=f"m{seq}", seq=seq, event_id=f"e{seq}", kind=kind, created_at=1, route=route, content=content
        )

    plain, later = ChatIn(sender="Ada", text="hi"), SystemIn(system=Note(text="noted"))
    called = ChatIn(sender="Ada", text="why?", before=[Quote(sender="Bob", text="It is down.")])
    edited = SystemIn(system=Edited(seq=2, text="ho", by="Ada"))
    rows = [row(2, plain), row(4, edited), row(6, plain), row(8, called), row(10, plain), row(12, later)]
    now, then = Outbox(messages=rows).split(outdated=True)
    assert [each.seq for each in now.messages] == [2, 6]
    assert [each.seq for each in then.messages] == [4, 8, 10, 12]


def test_schedules_that_could_not_be_written_give_way_to_newer_ones_only() -> None:
    tick = Schedule(
        series_id="s", prompt="tick", recurrence=None, timezone=None, status="paused", next_at=None
    )
    assert Outbox(schedules=[tick]).before(Outbox()).schedules == [tick]
    assert Outbox(schedules=[tick]).before(Outbox(schedules=[])).schedules == []
    assert Outbox(schedules=[]) and not Outbox().before(Outbox())


async def test_so_many_actions_are_done_in_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]
    monkeypatch.setattr("bot.session.steady_ms", lambda: now[0])
    async with room(tmp_path) as session:
        assert [session.may_act() for _ in range(ACTIONS_DONE + 2)].count(True) == ACTIONS_DONE
        now[0] = ACTIONS_MS
        assert session.may_act()
