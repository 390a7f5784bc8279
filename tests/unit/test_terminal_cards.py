"""The service's own buttons at a terminal, and what is written to its person directly."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from adapters.base import Absent, Edit, Outgoing, Question, Receipt, Sender
from adapters.terminal import TerminalAdapter, wire
from adapters.terminal.client import Client
from adapters.terminal.printer import Printer
from agent.protocol.messages import Route
from tests.fakes.host import FakeHost
from tests.unit.test_terminal_adapter import put, reply, running, take, waiting

NOW = 1_700_000_000_000
ROUTE = Route(channel="terminal", platform_id="local")
CARD = Question("card:abc", "", "May Bob talk to me?", ["Allow", "Deny"], expires_at=NOW + 1_000)
SHOWN = wire.Question(title="", question="May Bob talk to me?", options=["Allow", "Deny"], card=True)


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.ms = NOW

    def __call__(self) -> int:
        return self.ms


def made(tmp_path: Path, clock: HandClock | None = None) -> TerminalAdapter:
    return TerminalAdapter(
        downloads=tmp_path / "downloads",
        incoming=tmp_path / "incoming",
        person=Sender("1000", "Ada"),
        clock=clock or HandClock(),
    )


@pytest.fixture
def adapter(tmp_path: Path) -> TerminalAdapter:
    return made(tmp_path)


def card(question: Question = CARD) -> Outgoing:
    return Outgoing(id="notice", route=ROUTE, text="", question=question, notice=True)


def settled(text: str) -> Outgoing:
    return Outgoing(id="after", route=ROUTE, text=text, notice=True, edit=Edit(["notice:0"], 0))


@pytest.mark.parametrize("said", ["2", "deny", " Deny "])
async def test_a_card_is_pressed_by_its_number_or_its_words_and_stays(
    adapter: TerminalAdapter, said: str
) -> None:
    async with running(adapter) as host:
        seat = adapter.sit()
        await put(adapter, card())
        for number in range(2):
            host.receipts.append(Receipt("accepted", "Denied."))
            await seat.handle(wire.Say(id=str(number), text=said))
            event = await host.event()
            assert (event.kind, event.question_id, event.choice) == ("answer", "card:abc", 1)
            assert (event.text, event.direct, event.sender.id) == ("Deny", True, "1000")
        frames = waiting(seat)
        assert frames[0] == wire.Shown(notice=True, question=SHOWN)
        assert frames[1:3] == [
            wire.Settled(id="0"),
            wire.Receipt(id="0", state="accepted", text="Denied."),
        ]


async def test_other_words_are_a_message(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        seat = adapter.sit()
        await put(adapter, card())
        await seat.handle(wire.Say(id="1", text="who is Bob?"))
        assert (await host.event()).kind == "message"
        (receipt,) = [each for each in waiting(seat) if isinstance(each, wire.Receipt)]
        assert receipt.text is None


async def test_what_is_settled_cannot_be_pressed_any_more(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        seat = adapter.sit()
        await put(adapter, card())
        await put(adapter, settled("Denied by Ada."))
        await seat.handle(wire.Say(id="1", text="1"))
        assert (await host.event()).kind == "message"
        assert host.notes.texts == {}
        later = adapter.sit()
        assert waiting(later) == []


async def test_a_card_that_is_overdue_is_a_message_like_any_other(tmp_path: Path) -> None:
    clock = HandClock()
    adapter = made(tmp_path, clock)
    async with running(adapter) as host:
        seat = adapter.sit()
        await put(adapter, card())
        clock.ms += 1_000
        await seat.handle(wire.Say(id="1", text="1"))
        assert (await host.event()).kind == "message"


async def test_who_comes_later_is_shown_what_is_open(adapter: TerminalAdapter) -> None:
    async with running(adapter) as host:
        with pytest.raises(Absent):
            await put(adapter, card())
        once = adapter.sit(once=True)
        with pytest.raises(Absent):
            await put(adapter, card())
        seat = adapter.sit()
        await put(adapter, card())
        assert [type(each) for each in waiting(seat)] == [wire.Shown]
        assert waiting(adapter.sit()) == [wire.Shown(notice=True, question=SHOWN)]
        await once.handle(wire.Say(id="1", text="1"))
        assert (await host.event()).kind == "message"


async def test_a_card_outlives_the_service(tmp_path: Path) -> None:
    host = FakeHost()
    first = made(tmp_path)
    async with running(first, host):
        first.sit()
        await put(first, card())
    clock = HandClock()
    second = made(tmp_path, clock)
    early = second.sit()
    async with running(second, host):
        assert await take(early) == wire.Shown(notice=True, question=SHOWN)
        await early.handle(wire.Say(id="1", text="allow"))
        event = await host.event()
        assert (event.question_id, event.choice) == ("card:abc", 0)
    clock.ms += 1_000
    async with running(made(tmp_path, clock), host):
        assert host.notes.texts == {}


async def test_what_a_command_offers_can_be_pressed_until_something_else_is_said(
    adapter: TerminalAdapter,
) -> None:
    offered = Question("card:offer", "", "", ["Yes, delete it"])
    async with running(adapter) as host:
        seat = adapter.sit()
        host.receipts += [
            Receipt("accepted", "This would delete it.", ask=offered),
            Receipt("accepted", "Gone."),
        ]
        await seat.handle(wire.Command(id="1", name="agent", arguments={"text": "delete"}))
        await seat.handle(wire.Say(id="2", text="1"))
        assert [each.kind for each in host.events] == ["command", "answer"]
        assert host.events[1].question_id == "card:offer" and host.events[0].direct
        # It takes the place of what was offered, also where nothing is offered any more.
        await seat.handle(wire.Say(id="3", text="1"))
        assert host.events[2].kind == "message"
        ask = wire.Question(title="", question="", options=["Yes, delete it"], card=True)
        assert waiting(seat)[0] == wire.Receipt(
            id="1", state="accepted", text="This would delete it.", ask=ask
        )


async def test_what_is_for_the_person_comes_in_the_main_conversation(adapter: TerminalAdapter) -> None:
    direct = Route(channel="terminal", platform_id="@1000")
    said = Outgoing(id="hello", route=direct, text="Somebody waits.", notice=True)
    async with running(adapter) as host:
        with pytest.raises(Absent):
            await put(adapter, said)
        adapter.sit("elsewhere")
        assert host.presences == [("terminal", "elsewhere")]
        seat = adapter.sit()
        assert host.presences[1:] == [("terminal", "local"), ("terminal", "@1000")]
        await put(adapter, said)
        assert waiting(seat) == [wire.Shown(text="Somebody waits.", notice=True)]


async def test_a_footer_comes_with_the_first_part(adapter: TerminalAdapter) -> None:
    async with running(adapter):
        seat = adapter.sit()
        await put(adapter, reply("well", footer="mock · $0.04"))
        assert waiting(seat) == [wire.Shown(text="well", footer="mock · $0.04")]


class Nowhere:
    """A link on which nothing comes."""

    async def send(self, frame: wire.ClientFrame) -> None:
        raise AssertionError

    def __aiter__(self) -> Nowhere:
        return self

    async def __anext__(self) -> wire.SeatFrame:
        raise StopAsyncIteration


def test_a_card_what_is_offered_and_a_footer_are_printed() -> None:
    out, err = io.StringIO(), io.StringIO()
    client = Client(Nowhere())
    printer = Printer(client, out, err)
    for frame in (
        wire.Shown(text="well", footer="mock\x1b[2J · $0.04", own=True),
        wire.Receipt(id="1", state="accepted", text="This would delete it.", ask=SHOWN),
        wire.Shown(notice=True, question=SHOWN, own=True),
    ):
        printer.show(frame)
    asked = "May Bob talk to me?\n  1. Allow\n  2. Deny\nAnswer with a number or its words.\n"
    assert out.getvalue() == f"well\nmock · $0.04\nThis would delete it.\n{asked}{asked}"
    assert not client.asking
