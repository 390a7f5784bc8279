"""A flood: it is answered or refused in words, and nobody else notices."""

from __future__ import annotations

import asyncio

from bot.acceptance import TOO_MUCH_EVERYWHERE, TOO_MUCH_HERE
from bot.gate import OF_ONE_PLACE
from tests.service.conftest import House

FLOOD = 2_000
BACKLOG = 200


async def test_a_flood_in_one_channel_does_not_stop_another(house: House) -> None:
    house.script(
        {"match": "flood", "steps": [{"do": "stall", "seconds": 0.5}, {"do": "result", "text": "ok"}]}
    )
    async with house.open() as p:
        await p.say("hello", place="quiet")
        await p.ends(1, place="quiet")
        pouring = asyncio.gather(*(p.say(f"flood {number}", place="loud") for number in range(FLOOD)))
        await asyncio.sleep(0)
        quiet = await p.say("and now?", place="quiet")
        assert quiet.state == "accepted"
        assert (await p.replies(2, place="quiet"))[1] == "You said: and now?"
        assert len(p.settled("loud")) < BACKLOG, "it was answered before the flood was through"
        receipts = await pouring
        accepted = [receipt for receipt in receipts if receipt.state == "accepted"]
        refused = [receipt for receipt in receipts if receipt.state == "refused"]
        assert len(accepted) + len(refused) == FLOOD and len(accepted) >= BACKLOG
        assert 1 <= len([receipt for receipt in refused if receipt.text]) <= 2
        await p.ends(len(accepted), place="loud")
    assert house.states() == {"done": len(accepted) + 2}


async def test_what_is_too_much_is_refused_in_words_and_taken_when_there_is_room(house: House) -> None:
    house.limits["backlog"] = 3
    house.script({"match": "slow", "steps": [{"do": "stall", "seconds": 600}]})
    async with house.open() as p:
        assert [(await p.say("slow")).state for _ in range(3)] == ["accepted"] * 3
        receipt = await p.say("more", event_id="more")
        assert (receipt.state, receipt.text) == ("refused", TOO_MUCH_HERE.format(count=3))
        assert (await p.say("even more")).text is None, "it was said a moment ago"
        assert (await p.say("hello", place="p2")).state == "accepted", "another place has room"
        await p.replies(1, place="p2")
        # A full conversation can still be stopped, and then it takes what it refused.
        await p.at_work()
        assert await p.interrupt()
        await p.ends(3)
        assert (await p.say("more", event_id="more")).state == "accepted"
        assert (await p.replies(2))[-1] == "You said: more"
    assert house.states() == {"done": 5}


async def test_the_whole_service_takes_only_so_much(house: House) -> None:
    house.limits["backlog_total"] = 2
    house.script({"match": "slow", "steps": [{"do": "stall", "seconds": 600}]})
    async with house.open() as p:
        for place in ("p1", "p2"):
            await p.say("slow", place=place)
        assert (await p.say("hello", place="p3")).text == TOO_MUCH_EVERYWHERE
        assert not house.query("SELECT 1 FROM sessions WHERE platform_id = 'p3'"), "nothing is left of it"
    # It counts what an earlier service has left.
    async with house.open() as p:
        assert (await p.say("hello", place="p3")).text == TOO_MUCH_EVERYWHERE
        await p.interrupt(place="p1")
        await p.ends(1, place="p1")
        assert (await p.say("hello", place="p3")).state == "accepted"
        await p.replies(1, place="p3")


async def test_only_so_much_can_be_cleared_and_stopped(house: House) -> None:
    house.script({"match": "slow", "steps": [{"do": "stall", "seconds": 600}]})
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        session = house.session_id()
        for _ in range(3 * OF_ONE_PLACE):
            await house.app.context.operations.clear(session)
        rows = house.query("SELECT 1 FROM inbox WHERE kind = 'system'")
        assert len(rows) == 1
        await asyncio.gather(*(house.app.context.operations.interrupt(session) for _ in range(5)))
        assert len(house.query("SELECT 1 FROM inbox WHERE kind = 'system'")) == 2
        await p.ends(1)
