"""Who is served where, on the whole service: which agent, threads, strangers, other bots, and a channel in trouble."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from adapters.base import Event, Manners, Receipt, Sender
from agent.protocol.clock import now_ms
from bot import control_client
from bot.access import NOT_LET_IN
from tests.fakes.platform import PERSON, FakePlatform
from tests.service.conftest import House

STRANGER = Sender("u9", "Sam")
BOTS = (Sender("b1", "Build", is_bot=True), Sender("b2", "Deploy", is_bot=True))
SECRET = "sk-" + "ant-" + "api03-" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY"
ACCEPTED, DROPPED = Receipt("accepted"), Receipt("dropped")


async def say(
    p: FakePlatform,
    text: str,
    *,
    by: Sender = PERSON,
    place: str = "p1",
    thread: str | None = None,
    direct: bool = False,
    mention: bool = False,
    others: bool = False,
) -> Receipt:
    """Says something in a place that several people share."""
    return await p.hand_in(
        Event(
            id=p.new_id(),
            kind="message",
            route=p.route(place, thread),
            sender=by,
            created_at=now_ms(),
            text=text,
            direct=direct,
            mentions_bot=mention,
            mentions_others=others,
        )
    )


async def command(p: FakePlatform, name: str, *, by: Sender, place: str = "p1") -> Receipt:
    return await p.hand_in(Event(p.new_id(), "command", p.route(place), by, now_ms(), command=name))


# ---------------------------------------------------------------- which agent, and what is for it


async def test_each_place_has_the_agent_of_its_wiring(house: House) -> None:
    answers = {
        name: {"script": [{"steps": [{"do": "result", "text": f"I am {name}"}]}]}
        for name in ("ann", "bob", "cleo")
    }
    house.agents = {name: {**house.agent, "provider_options": script} for name, script in answers.items()}
    house.wirings = [
        {"channel": "fake", "agent": "bob"},
        {"channel": "fake", "place": "p2", "agent": "cleo", "streaming": False},
    ]
    other = FakePlatform("other")
    async with house.open(other) as p:
        for place in ("p1", "p2"):
            assert await say(p, "who?", place=place, mention=True) == ACCEPTED
        assert await other.say("who?") == ACCEPTED
        assert await p.replies(1) == ["I am bob"]
        assert await p.replies(1, place="p2") == ["I am cleo"]
        assert await other.replies(1) == ["I am ann"]
        # A command is about the conversation of that agent.
        assert (await command(p, "clear", by=PERSON, place="p2")).state == "accepted"
        assert house.app.context.agent_of(p.route("p2", "t1")) == "cleo"
        assert house.app.intake.manners(p.route("p1")) == Manners()
        assert house.app.intake.manners(p.route("p2")) == Manners(streaming=False)


async def test_a_thread_that_the_agent_talks_in_sticks(house: House) -> None:
    async with house.open() as p:
        assert await say(p, "first", thread="t1") == DROPPED
        assert await say(p, "second", thread="t1", mention=True) == ACCEPTED
        assert await say(p, "third", thread="t1") == ACCEPTED
        assert await say(p, "to Bob", thread="t1", others=True) == DROPPED
        assert await say(p, "to Bob and you", thread="t1", others=True, mention=True) == ACCEPTED
        assert await say(p, "elsewhere", thread="t2") == DROPPED
        assert await say(p, "in the channel") == DROPPED
        assert await say(p, "you in the channel", mention=True) == ACCEPTED
        assert await say(p, "in the channel again") == DROPPED, "only a thread sticks"
        await p.replies(1)
        await house.until_quiet_everywhere()
    async with house.open() as p:
        assert await say(p, "fourth", thread="t1") == ACCEPTED, "it sticks beyond a restart"
        await house.until_quiet_everywhere()


async def test_a_mention_or_nothing_at_all_is_needed_where_the_wiring_says_so(house: House) -> None:
    house.wirings = [
        {"channel": "fake", "place": "p1", "engage": "mention"},
        {"channel": "fake", "place": "p2", "engage": "all"},
    ]
    async with house.open() as p:
        assert await say(p, "first", thread="t1", mention=True) == ACCEPTED
        assert await say(p, "second", thread="t1") == DROPPED
        assert await say(p, "third", place="p2") == ACCEPTED
        assert await p.replies(1, place="p2") == ["You said: third"]
        await house.until_quiet_everywhere()


# ---------------------------------------------------------------- strangers


async def test_a_stranger_is_ignored_unless_the_wiring_says_otherwise(house: House) -> None:
    async with house.open() as p:
        assert await say(p, "hello", by=STRANGER, direct=True) == DROPPED
        assert await command(p, "status", by=STRANGER) == DROPPED
        assert not house.query("SELECT 1 FROM inbox")


async def test_a_stranger_is_refused_in_one_sentence_now_and_then(house: House) -> None:
    house.wirings = [{"channel": "fake", "strangers": "refuse"}]
    async with house.open() as p:
        assert await say(p, "not for the bot", by=STRANGER) == DROPPED
        assert await say(p, "hello", by=STRANGER, direct=True) == Receipt("refused", NOT_LET_IN)
        assert await say(p, "hello?", by=STRANGER, mention=True) == Receipt("refused")
        other = Sender("u8", "Kim")
        assert await say(p, "hello", by=other, mention=True) == Receipt("refused", NOT_LET_IN)
        for _ in range(2):
            # Nobody but them sees what a command answers.
            assert await command(p, "session list", by=STRANGER) == Receipt("refused", NOT_LET_IN)
        assert (await command(p, "whoami", by=STRANGER)).text == ("You are Sam (fake:u9), stranger.")
        house.clock_ahead_ms = 11 * 60_000
        assert await say(p, "hello again", by=STRANGER, mention=True) == Receipt("refused", NOT_LET_IN)
        assert not house.query("SELECT 1 FROM inbox")


async def test_a_stranger_is_answered_like_a_member_in_that_place(house: House) -> None:
    house.wirings = [{"channel": "fake", "place": "p1", "strangers": "answer"}]
    async with house.open() as p:
        assert await say(p, "not for the bot", by=STRANGER) == DROPPED
        assert await say(p, "hello", by=STRANGER, mention=True) == ACCEPTED
        assert await p.replies(1) == ["You said: hello"]
        assert await say(p, "hello", by=STRANGER, place="p2", direct=True) == DROPPED
        assert (await command(p, "stop", by=STRANGER)).text == "Nothing is running."
        assert (await command(p, "whoami", by=STRANGER)).text == (
            "You are Sam (fake:u9), stranger.\nStrangers are answered in this place."
        )
        helped = (await command(p, "help", by=STRANGER)).text or ""
        assert "/roost clear" in helped and "/roost session" not in helped
        refused = await command(p, "session list", by=STRANGER)
        assert refused == Receipt("refused", "This command is for people with the role admin.")
        await house.until_quiet()


# ---------------------------------------------------------------- other bots


@pytest.mark.parametrize("kind", ["the default", "bots"])
async def test_a_bot_is_heard_where_the_wiring_says_so(house: House, kind: str) -> None:
    house.wirings = [{"channel": "fake", "bots": kind == "bots"}]
    async with house.open() as p:
        heard = await say(p, "done", by=BOTS[0], mention=True)
        assert heard == (ACCEPTED if kind == "bots" else DROPPED)
        assert await command(p, "status", by=BOTS[0]) == DROPPED
        itself = Sender("me", "Roost", is_bot=True, is_self=True)
        assert await say(p, "my own words", by=itself, mention=True) == DROPPED
        if kind == "bots":
            assert await p.replies(1) == ["You said: done"]
            (row,) = house.query("SELECT content FROM inbox WHERE kind = 'chat'")
            assert json.loads(row["content"])["bot"] is True, "the agent is told so"
            await house.until_quiet()


async def test_two_bots_that_answer_each_other_come_to_an_end(house: House) -> None:
    """Each reply of ours is answered by one of two others, until one of them is not heard any more."""
    house.wirings = [{"channel": "fake", "bots": True, "bot_messages": 3}]

    async def loop(p: FakePlatform) -> int:
        count = 0
        async with asyncio.timeout(60):
            while (
                await say(p, f"turn {count}", by=BOTS[count % 2], thread="t1", mention=count == 0) == ACCEPTED
            ):
                count += 1
                await p.replies(len(p.texts(thread="t1")) + 1, thread="t1")
        return count

    async with house.open() as p:
        assert await loop(p) == 3
        assert await loop(p) == 0, "silence stays"
        assert await say(p, "elsewhere", by=BOTS[0], thread="t2", mention=True) == ACCEPTED
        before = len(p.texts(thread="t1"))
        assert await say(p, "go on", thread="t1") == ACCEPTED
        await p.replies(before + 1, thread="t1")
        assert await loop(p) == 3
        await house.until_quiet_everywhere()
    async with house.open() as p:
        assert await loop(p) == 0, "a restart is nobody's word"


async def test_many_messages_of_bots_at_once_are_counted_one_by_one(house: House) -> None:
    house.wirings = [{"channel": "fake", "bots": True}]
    async with house.open() as p:
        receipts = await asyncio.gather(*(say(p, str(n), by=BOTS[n % 2], mention=True) for n in range(20)))
        assert sorted(each.state for each in receipts) == ["accepted"] * 5 + ["dropped"] * 15
        await house.until_quiet()


async def test_a_bot_is_told_nothing_that_it_could_answer(house: House) -> None:
    house.wirings = [{"channel": "fake", "bots": True}]
    house.limits = {"message_chars": 10}
    async with house.open() as p:
        assert await say(p, "x" * 11, by=BOTS[0], mention=True) == Receipt("refused")
        assert (await say(p, "x" * 11, mention=True)).text is not None


# ---------------------------------------------------------------- a channel in trouble


async def test_a_channel_in_trouble_is_shown_until_it_works_again(house: House) -> None:
    async def status() -> Any:
        return await control_client.ask(house.data / "control.sock", ["status"], None)

    figure = 'roost_channel_trouble{channel="fake"}'
    async with house.open() as p:
        answer = await status()
        assert (answer.data["troubles"], answer.data["metrics"][figure]) == ([], 0)
        house.app.intake.trouble(p.name, f"Discord refuses the token {SECRET}.")
        answer = await status()
        line = "Discord refuses the token [redacted api key]."
        assert "\nThe channel fake has not worked since 20" in answer.text and answer.text.endswith(line)
        (trouble,) = answer.data["troubles"]
        assert (trouble["channel"], trouble["text"]) == ("fake", line) and trouble["since"].startswith("20")
        assert answer.data["metrics"][figure] == 1
        asked = await command(p, "status", by=PERSON)
        assert line in str(asked.text), "an owner is told in a channel as well"
        house.app.intake.trouble(p.name, None)
        answer = await status()
        assert (answer.data["troubles"], answer.data["metrics"][figure]) == ([], 0)
        assert "does not work" not in answer.text
