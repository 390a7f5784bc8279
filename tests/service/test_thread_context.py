"""What was said in a thread before the agent was called into it, from the platform to what the agent reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.base import Event, Receipt, Said, Sender
from agent.protocol.messages import Quote, Route
from bot import beforehand
from tests.fakes.platform import PERSON
from tests.service.conftest import House
from tests.service.test_intake import MEMBER, STRANGER, chats, event, serving

THREAD = Route(channel="slack", platform_id="C1", thread_id="1.5")
TOLD = [Said("Bob", "It is down."), Said("Carol", "Since <noon>?")]
QUOTES = [Quote(sender="Bob", text="It is down."), Quote(sender="Carol", text="Since <noon>?")]


class Thread:
    """A thread on a platform, and how often it was read."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.reads = 0
        self.is_read = asyncio.Event()
        self.may_go_on = asyncio.Event()
        if not hangs:
            self.may_go_on.set()

    async def before(self) -> Sequence[Said]:
        self.reads += 1
        self.is_read.set()
        await self.may_go_on.wait()
        return TOLD

    def said(self, text: str, *, by: Sender = MEMBER, route: Route = THREAD) -> Event:
        return event(text, by=by, route=route, before=self.before)


async def test_the_first_message_in_a_thread_brings_what_was_said_before(tmp_path: Path) -> None:
    thread = Thread()
    async with serving(tmp_path / "data") as app:
        first = thread.said("What now?")
        assert await app.intake.receive(first) == Receipt("accepted")
        assert (await app.intake.receive(first)).state == "duplicate"
        assert await app.intake.receive(thread.said("And then?")) == Receipt("accepted")
        assert [(chat.text, chat.before) for chat in await chats(app)] == [
            ("What now?", QUOTES),
            ("And then?", []),
        ]
        assert thread.reads == 1, "it is read for the first message alone"


async def test_nothing_is_read_for_a_stranger_or_for_what_is_not_for_the_agent(tmp_path: Path) -> None:
    thread = Thread()
    async with serving(tmp_path / "data") as app:
        assert (await app.intake.receive(thread.said("psst", by=STRANGER))).state == "dropped"
        among_others = event("I think so", route=THREAD, before=thread.before, direct=False)
        assert (await app.intake.receive(among_others)).state == "dropped"
        assert thread.reads == 0 and await chats(app) == []


async def test_bot_db_is_free_while_a_thread_is_read(tmp_path: Path) -> None:
    thread = Thread(hangs=True)
    async with serving(tmp_path / "data") as app:
        slow = asyncio.create_task(app.intake.receive(thread.said("What now?")))
        await asyncio.wait_for(thread.is_read.wait(), 20)
        # Whoever is quicker has begun the conversation: theirs is the first message.
        assert await app.intake.receive(event("Me first", route=THREAD)) == Receipt("accepted")
        thread.may_go_on.set()
        assert await asyncio.wait_for(slow, 20) == Receipt("accepted")
        assert [(chat.text, chat.before) for chat in await chats(app)] == [
            ("Me first", []),
            ("What now?", []),
        ]


async def test_a_thread_that_cannot_be_read_costs_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(beforehand, "READ_SECONDS", 0.05)
    async with serving(tmp_path / "data") as app:
        assert await app.intake.receive(Thread(hangs=True).said("What now?")) == Receipt("accepted")
        (chat,) = await chats(app)
        assert (chat.text, chat.before) == ("What now?", [])
    assert "not read in time" in caplog.text


async def test_the_agent_reads_it_once_as_data(house: House) -> None:
    house.script({"steps": [{"do": "result", "text": "{prompt}"}]})
    thread = Thread()
    async with house.open() as platform:
        route = Route(channel=platform.name, platform_id="p1", thread_id="t1")
        for number, text in enumerate(("What now?", "And then?")):
            told = Event(
                id=f"e{number}",
                kind="message",
                route=route,
                sender=PERSON,
                created_at=1,
                text=text,
                direct=True,
                before=thread.before,
            )
            assert (await platform.hand_in(told)).state == "accepted"
            await platform.replies(number + 1, thread="t1")
        first, second = platform.texts(thread="t1")
    assert (
        '<thread><said by="Bob">It is down.</said><said by="Carol">Since &lt;noon&gt;?</said></thread>'
        in first
    )
    assert first.index("</thread>") < first.index("What now?") and "It is down." not in second
