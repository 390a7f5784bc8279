"""The terminal's adapter between a fake service and the seats that people sit in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base import (
    Absent,
    Edit,
    Live,
    Open,
    Outgoing,
    OutgoingFile,
    Question,
    Reaction,
    Receipt,
    Sender,
    SendFailed,
    Settled,
    Working,
)
from adapters.terminal import KEPT_BYTES, NOBODY_THERE, OPEN_QUESTIONS, QUOTES, TerminalAdapter, files, wire
from adapters.terminal.seat import LIVE_ROOM, MAX_WAITING, MAX_WAITING_BYTES, Seat
from agent.protocol.messages import Route
from tests.fakes.host import TIMEOUT_SECONDS, FakeHost

ROUTE = Route(channel="terminal", platform_id="local")
NOW = 1_700_000_000_000


@pytest.fixture
def adapter(tmp_path: Path) -> TerminalAdapter:
    return TerminalAdapter(
        downloads=tmp_path / "downloads",
        incoming=tmp_path / "incoming",
        person=Sender("1000", "Ada"),
        clock=lambda: NOW,
    )


@asynccontextmanager
async def running(adapter: TerminalAdapter, host: FakeHost | None = None) -> AsyncIterator[FakeHost]:
    host = host or FakeHost()
    task = asyncio.create_task(adapter.run(host))
    await asyncio.sleep(0)
    try:
        yield host
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def take(seat: Seat) -> wire.SeatFrame:
    frame = await asyncio.wait_for(seat.next(), TIMEOUT_SECONDS)
    assert frame is not None
    return frame


def waiting(seat: Seat) -> list[wire.SeatFrame]:
    """What waits at a seat; ends it."""
    seat.finish()

    async def rest() -> list[wire.SeatFrame]:
        return [frame async for frame in seat]

    coroutine = rest()
    try:
        coroutine.send(None)
    except StopIteration as done:
        frames: list[wire.SeatFrame] = done.value
        return frames
    raise AssertionError("a finished seat makes its reader wait")


async def put(adapter: TerminalAdapter, outgoing: Outgoing) -> None:
    for part in adapter.render(outgoing):
        await adapter.send(part)


def reply(text: str, **rest: object) -> Outgoing:
    return Outgoing(id=f"out-{text}", route=ROUTE, text=text, **rest)  # type: ignore[arg-type]


async def test_a_message_becomes_an_event_and_gets_its_receipt_and_its_end(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        seat = adapter.sit()
        await seat.handle(wire.Say(id="7", text="hi\x00"))
        event = await host.event()
        assert (event.kind, event.route, event.text) == ("message", ROUTE, "hi\N{REPLACEMENT CHARACTER}")
        assert (event.direct, event.mentions_bot, event.created_at) == (True, True, NOW)
        assert event.sender == Sender("1000", "Ada")
        assert event.id.startswith("terminal:")
        await put(adapter, reply("hello", answers=event.id, turn_id="t"))
        await adapter.show(Settled(ROUTE, event.id, "t", ok=True))
        assert waiting(seat) == [
            wire.Receipt(id="7", state="accepted"),
            wire.Shown(text="hello", turn_id="t", own=True),
            wire.Settled(id="7", turn_id="t", ok=True),
        ]


async def test_the_end_may_come_before_the_receipt(adapter: TerminalAdapter) -> None:
    class Quick(FakeHost):
        async def receive(self, event: object) -> Receipt:
            await adapter.show(Settled(ROUTE, event.id, None, ok=True))  # type: ignore[attr-defined]
            return Receipt("accepted")

    async with running(adapter, Quick()):
        seat = adapter.sit()
        await seat.handle(wire.Say(id="1", text="hi"))
        assert [type(frame) for frame in waiting(seat)] == [wire.Settled, wire.Receipt]


async def test_a_refused_message_says_why_and_never_settles(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        seat = adapter.sit()
        host.receipts.append(Receipt("refused", "You may not."))
        await seat.handle(wire.Say(id="1", text="hi"))
        await adapter.show(Settled(ROUTE, host.events[0].id, None, ok=True))
        assert waiting(seat) == [wire.Receipt(id="1", state="refused", text="You may not.")]


async def test_what_is_said_before_the_service_runs_waits_for_it(adapter: TerminalAdapter) -> None:
    seat = adapter.sit()
    said = asyncio.create_task(seat.handle(wire.Say(id="1", text="early")))
    await asyncio.sleep(0)
    assert not said.done()
    async with running(adapter) as host:
        assert (await host.event()).text == "early"
        assert host.presences == [("terminal", "local")]
        await said
    assert await take(seat) == wire.Receipt(id="1", state="accepted")
    assert await seat.next() is None


async def test_files_are_staged_for_the_service_and_removed_after(
    adapter: TerminalAdapter, tmp_path: Path
) -> None:
    old = tmp_path / "incoming" / "terminal" / "killed"
    old.mkdir(parents=True)
    (tmp_path / "incoming" / "of-others").touch()
    async with running(adapter) as host:
        seat = adapter.sit()
        attached = [
            wire.File(name=name, media_type="text/plain", data=b"x") for name in ("../a.txt", "a.txt")
        ]
        await seat.handle(wire.Say(id="1", text="look", files=attached))
        event = await host.event()
        assert [(file.name, file.media_type) for file in event.files] == [("a.txt", "text/plain")] * 2
        assert event.files[0].path != event.files[1].path
        assert host.files[event.id] == {"a.txt": b"x"}
        assert sorted(path.name for path in (tmp_path / "incoming").rglob("*")) == ["of-others", "terminal"]


async def test_files_that_cannot_be_staged_refuse_the_message(
    adapter: TerminalAdapter, tmp_path: Path
) -> None:
    (tmp_path / "incoming").touch()
    async with running(adapter) as host:
        seat = adapter.sit()
        await seat.handle(wire.Say(id="1", text="look", files=[wire.File(name="a", data=b"x")]))
        receipt = await take(seat)
        assert isinstance(receipt, wire.Receipt)
        assert receipt.state == "refused"
        assert host.events == []


async def test_commands_and_stop_reach_the_service(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        seat = adapter.sit("other")
        host.receipts.append(Receipt("accepted", "All is well.", {"up": True}))
        await seat.handle(wire.Command(id="1", name="status", arguments={"a": "b"}))
        event = await host.event()
        assert (event.kind, event.command, event.arguments) == ("command", "status", {"a": "b"})
        host.receipts.append(Receipt("accepted", "Nothing is running.", {"stopped": False}))
        await seat.handle(wire.Stop(id="2"))
        event = await host.event()
        assert (event.kind, event.command, event.route.platform_id) == ("command", "stop", "other")
        host.receipts.append(Receipt("accepted", "Stopping.", {"stopped": True}))
        await seat.handle(wire.Stop(id="3"))
        assert waiting(seat) == [
            wire.Receipt(id="1", state="accepted", text="All is well.", data={"up": True}),
            wire.Receipt(id="2", state="accepted", text="Nothing is running.", data={"stopped": False}),
            wire.Receipt(id="3", state="accepted", data={"stopped": True}),
        ]


QUESTION = Question("q1", "Colour", "Which?", ["Red", "Green"])


async def test_a_question_is_answered_by_typing(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        seat = adapter.sit()
        await put(adapter, reply("", question=QUESTION, turn_id="t"))
        asked = wire.Question(title="Colour", question="Which?", options=["Red", "Green"])
        assert await take(seat) == wire.Shown(turn_id="t", question=asked)
        for number, text in enumerate(["neither", "2", "2"]):
            await seat.handle(wire.Say(id=str(number), text=text))
        assert [(e.kind, e.text, e.question_id) for e in host.events] == [
            ("message", "neither", ""),
            ("answer", "Green", "q1"),
            ("message", "2", ""),
        ]
        assert waiting(seat) == [
            wire.Receipt(
                id="0",
                state="accepted",
                text="A question is still open: answer 1 or 2, or /stop. Your message comes after it.",
            ),
            wire.Settled(id="1"),
            wire.Receipt(id="1", state="accepted"),
            wire.Receipt(id="2", state="accepted"),
        ]


async def test_any_text_answers_a_question_without_options(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        seat = adapter.sit()
        await put(adapter, reply("", question=Question("q2", "", "Your name?", [])))
        await seat.handle(wire.Say(id="1", text=" Ada "))
        assert [(e.kind, e.text) for e in host.events] == [("answer", "Ada")]


async def test_a_question_ends_with_its_turn(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        seat = adapter.sit()
        await put(adapter, reply("", question=QUESTION, turn_id="t"))
        await adapter.show(Settled(ROUTE, "somebody's", "t", ok=False))
        await seat.handle(wire.Say(id="1", text="1"))
        assert [e.kind for e in host.events] == ["message"]


async def test_a_question_that_nobody_can_answer_is_ended(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        once = adapter.sit(once=True)
        await once.handle(wire.Say(id="1", text="ask"))
        asked_by = await host.event()
        await put(adapter, reply("", question=QUESTION, turn_id="t", answers=asked_by.id))
        await take(once), await take(once)
        once.close()
        ended = await host.event()
        assert (ended.kind, ended.question_id, ended.text) == ("answer", "q1", NOBODY_THERE)

        adapter.sit(once=True)
        again = replace(QUESTION, id="q2")
        await put(adapter, reply("again", question=again, turn_id="t", answers=asked_by.id))
        assert (await host.event()).question_id == "q2"
        assert waiting(adapter.sit()) == []


async def test_a_question_stays_open_where_somebody_else_watches(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        once, watching = adapter.sit(once=True), adapter.sit()
        await once.handle(wire.Say(id="1", text="ask"))
        asked_by = await host.event()
        await put(adapter, reply("", question=QUESTION, turn_id="t", answers=asked_by.id))
        once.close()
        await watching.handle(wire.Say(id="1", text="1"))
        assert (await host.event()).text == "Red"


async def test_an_answer_that_is_not_taken_is_a_message(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        seat = adapter.sit()
        for number in range(3):
            await put(adapter, reply(f"{number}", question=Question(f"q{number}", "", "Well?", [])))
        host.receipts += [Receipt("refused", "This question is not open any more."), Receipt("accepted")]
        await seat.handle(wire.Say(id="1", text="important"))
        assert [(e.kind, e.text) for e in host.events] == [("answer", "important"), ("message", "important")]
        assert [f for f in waiting(seat) if not isinstance(f, wire.Shown)] == [
            wire.Receipt(id="1", state="accepted")
        ]


async def test_a_question_is_open_until_its_time_and_only_so_many_are(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        seat = adapter.sit()
        await put(adapter, reply("late", question=Question("late", "", "Well?", [], expires_at=NOW)))
        await seat.handle(wire.Say(id="1", text="hello"))
        assert [e.kind for e in host.events] == ["message"]
        for number in range(2 * OPEN_QUESTIONS):
            asked = Question(f"q{number}", "", "Well?", [], expires_at=NOW + 1)
            await put(adapter, reply(f"{number}", question=asked))
        for number in range(2 * OPEN_QUESTIONS):
            await seat.handle(wire.Say(id=f"a{number}", text="yes"))
        assert [e.kind for e in host.events].count("answer") == OPEN_QUESTIONS


async def test_nobody_there_is_absent_until_somebody_sits(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        with pytest.raises(Absent):
            await put(adapter, reply("early"))
        seat = adapter.sit()
        assert host.presences == [("terminal", "local")]
        await put(adapter, reply("now"))
        seat.close()
        seat.close()
        with pytest.raises(Absent):
            await put(adapter, reply("late"))


async def test_everybody_in_a_conversation_sees_it_and_nobody_else(adapter: TerminalAdapter) -> None:
    async with running(adapter):
        here, there, elsewhere = adapter.sit(), adapter.sit(), adapter.sit("other")
        await put(adapter, reply("hello"))
        await adapter.show(Working(ROUTE, on=True, progress="reading"))
        expected = [wire.Shown(text="hello"), wire.Working(on=True, progress="reading")]
        assert waiting(here) == waiting(there) == expected
        assert waiting(elsewhere) == []
        assert waiting(adapter.sit()) == [wire.Working(on=True, progress="reading")]


async def test_a_once_seat_sees_only_what_answers_it(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        everything, once = adapter.sit(), adapter.sit(once=True)
        await once.handle(wire.Say(id="1", text="hi"))
        event = await host.event()
        await adapter.show(Live(ROUTE, "t", "mi"))
        await put(adapter, reply("other"))
        await put(adapter, reply("mine", answers=event.id, turn_id="t"))
        await adapter.show(Settled(ROUTE, event.id, "t", ok=True))
        assert waiting(once) == [
            wire.Receipt(id="1", state="accepted"),
            wire.Shown(text="mine", turn_id="t", own=True),
            wire.Settled(id="1", turn_id="t"),
        ]
        assert [f.text for f in waiting(everything) if isinstance(f, wire.Shown)] == ["other", "mine"]


async def test_a_once_seat_is_shown_the_turn_that_answered_it_for_another(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        once = adapter.sit(once=True)
        await once.handle(wire.Say(id="1", text="me too"))
        event = await host.event()
        await put(
            adapter, reply("both", answers="another event", turn_id="t", ends=("another event", event.id))
        )
        await adapter.show(Settled(ROUTE, event.id, "t", ok=True))
        assert waiting(once)[1:] == [
            wire.Shown(text="both", turn_id="t", own=True),
            wire.Settled(id="1", turn_id="t"),
        ]
        assert waiting(adapter.sit()) == []


async def test_a_once_seat_does_not_take_what_is_for_somebody_else(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        once = adapter.sit(once=True)
        await once.handle(wire.Say(id="1", text="hi"))
        event = await host.event()
        with pytest.raises(Absent) as caught:
            await put(adapter, reply("unrelated", answers="another event", ends=("another event",)))
        assert caught.value.others_may_pass
        await put(adapter, reply("mine", answers=event.id))
        assert [f.text for f in waiting(once) if isinstance(f, wire.Shown)] == ["mine"]


async def test_a_once_seat_that_was_answered_gets_nothing_else_of_its_turn(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        seats = [adapter.sit(once=True) for _ in range(2)]
        events = []
        for seat in seats:
            await seat.handle(wire.Say(id="1", text="hi"))
            events.append(await host.event())
        for number, event in enumerate(events):
            await put(adapter, reply(f"to {number}", answers=event.id, turn_id="t"))
        for event in events:
            await adapter.show(Settled(ROUTE, event.id, "t", ok=True))
        for number, seat in enumerate(seats):
            assert [f.text for f in waiting(seat) if isinstance(f, wire.Shown)] == [f"to {number}"]


async def test_what_a_lost_terminal_did_not_read_waits_for_the_next(adapter: TerminalAdapter) -> None:
    async with running(adapter):
        seat = adapter.sit()
        await put(adapter, reply("one"))
        await put(adapter, reply("two"))
        await take(seat)
        seat.close()
        assert waiting(adapter.sit()) == [wire.Shown(text="two")]


async def test_live_text_comes_in_pieces_that_make_the_whole(adapter: TerminalAdapter) -> None:
    async with running(adapter):
        early = adapter.sit()
        await adapter.show(Live(ROUTE, "t", "one "))
        late = adapter.sit()
        for text in ("one two", "one two", "one three", "next"):
            turn = "u" if text == "next" else "t"
            await adapter.show(Live(ROUTE, turn, text))
        assert waiting(early) == [
            wire.Live(turn_id="t", offset=0, text="one "),
            wire.Live(turn_id="t", offset=4, text="two"),
            wire.Live(turn_id="t", offset=0, text="one three"),
            wire.Live(turn_id="u", offset=0, text="next"),
        ]
        assert waiting(late)[0] == wire.Live(turn_id="t", offset=0, text="one two")


async def test_a_slow_seat_loses_live_text_first_and_then_itself(adapter: TerminalAdapter) -> None:
    async with running(adapter):
        slow = adapter.sit()
        for length in range(1, 2 * LIVE_ROOM):
            await adapter.show(Live(ROUTE, "t", "x" * length))
        frames = [await take(slow) for _ in range(LIVE_ROOM)]
        assert all(isinstance(frame, wire.Live) for frame in frames)
        await adapter.show(Live(ROUTE, "t", "x" * 2 * LIVE_ROOM))
        assert await take(slow) == wire.Live(turn_id="t", offset=LIVE_ROOM, text="x" * LIVE_ROOM)
        for number in range(MAX_WAITING):
            assert not slow.closed
            await put(adapter, reply(str(number)))
        assert slow.closed
        with pytest.raises(Absent):
            await put(adapter, reply("more"))
        assert waiting(adapter.sit())[-1] == wire.Shown(text=str(MAX_WAITING - 1))


async def test_a_seat_is_bound_by_what_its_frames_take(adapter: TerminalAdapter) -> None:
    async with running(adapter):
        slow = adapter.sit()
        large = "\U0001f600" * (MAX_WAITING_BYTES // 16)
        sent = 0
        while not slow.closed:
            await put(adapter, reply(f"{sent}{large}"))
            sent += 1
        assert sent == 4
        missed = adapter._rooms["local"].missed
        assert missed.bytes <= KEPT_BYTES
        # The newest are kept, and room is made for one that is larger than all of it.
        assert [shown.text[0] for shown in missed] == ["1", "2", "3"]
        missed.append(wire.Shown(text="\U0001f600" * KEPT_BYTES))
        assert len(missed) == 1


async def test_progress_without_end_closes_no_seat(adapter: TerminalAdapter) -> None:
    async with running(adapter):
        slow = adapter.sit()
        for number in range(2 * MAX_WAITING):
            await adapter.show(Working(ROUTE, on=True, progress=f"{number}"))
        await put(adapter, reply("done"))
        await adapter.show(Working(ROUTE, on=False))
        assert waiting(slow) == [
            wire.Working(on=True, progress=f"{2 * MAX_WAITING - 1}"),
            wire.Shown(text="done"),
            wire.Working(on=False),
        ]


async def test_a_reply_is_its_text_and_then_its_files(adapter: TerminalAdapter, tmp_path: Path) -> None:
    file = OutgoingFile("../../a.txt", "text/plain", b"x")
    outgoing = reply("here", files=[file, file], notice=True)
    assert [part.index for part in adapter.render(outgoing)] == [0, 1, 2]
    assert adapter.render(outgoing) == adapter.render(outgoing)
    assert len(adapter.render(reply(""))) == 1
    assert len(adapter.render(reply("", files=[file]))) == 1
    async with running(adapter):
        seat = adapter.sit()
        await put(adapter, outgoing)
        downloads = tmp_path / "downloads"
        assert waiting(seat) == [
            wire.Shown(text="here", notice=True),
            wire.Shown(files=[str(downloads / "a.txt")], notice=True),
            wire.Shown(files=[str(downloads / "a-2.txt")], notice=True),
        ]
        assert (downloads / "a-2.txt").read_bytes() == b"x"


async def test_a_file_that_cannot_be_saved_is_tried_again(adapter: TerminalAdapter, tmp_path: Path) -> None:
    (tmp_path / "downloads").touch()
    async with running(adapter):
        seat = adapter.sit()
        with pytest.raises(SendFailed) as caught:
            await put(adapter, reply("", files=[OutgoingFile("a", "text/plain", b"x")]))
        assert caught.value.retry_after is not None
        assert waiting(seat) == []


async def test_what_agents_send_does_not_fill_the_disk(
    adapter: TerminalAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "DOWNLOADS_BYTES", 8)
    async with running(adapter):
        adapter.sit()
        some = [OutgoingFile("a", "text/plain", b"xxxxx")] * 3
        with pytest.raises(SendFailed, match="it is full"):
            await put(adapter, reply("", files=some))
        assert len(list((tmp_path / "downloads").iterdir())) == 2
        monkeypatch.setattr(files, "DOWNLOADS_BYTES", 2**30)
        monkeypatch.setattr(files, "DOWNLOADS", 2)
        with pytest.raises(SendFailed, match="it is full"):
            await put(adapter, reply("", files=some))


async def test_the_end_of_the_service_ends_the_seats_after_their_last_words(adapter: TerminalAdapter) -> None:
    async with running(adapter):
        seat = adapter.sit()
        await put(adapter, reply("last"))
    assert await take(seat) == wire.Shown(text="last")
    assert await seat.next() is None


# ---------------------------------------------------------------- edits and reactions


async def test_an_edit_is_one_message_whatever_it_replaces(adapter: TerminalAdapter) -> None:
    async with running(adapter):
        seat = adapter.sit()
        await put(adapter, replace(reply("a first text " + "x" * 100), id="out"))
        edit = Edit(["out:0", "out:1"], 3)
        ids = [await adapter.send(part) for part in adapter.render(reply("new", edit=edit))]
        assert ids == ["out:0", None]
        assert [frame.about for frame in waiting(seat) if isinstance(frame, wire.Shown)] == [
            None,
            wire.About(quote="a first text " + "x" * 26 + "…"),
        ]


async def test_what_was_said_is_remembered_for_a_while(adapter: TerminalAdapter) -> None:
    async with running(adapter):
        seat = adapter.sit()
        for number in range(QUOTES + 1):
            await put(adapter, replace(reply(f"text {number}"), id=f"o{number}"))
        for number in (0, 1, QUOTES):
            await put(adapter, reply("", reaction=Reaction("ok", 3, message=f"o{number}:0")))
        quotes = [f.about.quote for f in waiting(seat) if isinstance(f, wire.Shown) and f.about]
        assert quotes == ["", "text 1", f"text {QUOTES}"]


async def test_a_question_of_an_earlier_service_is_shown_again_and_answered(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        await adapter.show(Open(ROUTE, QUESTION, "t"))
        seat = adapter.sit()
        asked = wire.Question(title="Colour", question="Which?", options=["Red", "Green"])
        assert await take(seat) == wire.Shown(turn_id="t", question=asked)
        await seat.handle(wire.Say(id="1", text="red"))
        assert [(e.kind, e.text, e.question_id) for e in host.events] == [("answer", "Red", "q1")]
        await adapter.show(Open(ROUTE, QUESTION, "t"))
        await adapter.show(Settled(ROUTE, "e", "t", ok=True))
        await seat.handle(wire.Say(id="2", text="red"))
        assert host.events[-1].kind == "message", "its turn is over"
