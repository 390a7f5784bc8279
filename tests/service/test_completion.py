"""What an option of a command is completed with while somebody types it, on the whole service."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import Event, Receipt, Sender
from adapters.offers import Suggestion
from agent.protocol.clock import now_ms
from bot.db import people, pool
from tests.fakes.platform import PERSON, FakePlatform, refusal
from tests.service.conftest import House

NOBODY = Receipt("dropped", data=[])
MEMBER, STRANGER = Sender("u2", "Max"), Sender("u3", "Sam")


async def typing(
    p: FakePlatform,
    command: str,
    completing: str,
    typed: str = "",
    *,
    by: Sender = PERSON,
    place: str = "p1",
    **others: Any,
) -> Receipt:
    arguments = {completing: typed, **others}
    return await p.hand_in(
        Event(
            id=p.new_id(),
            kind="complete",
            route=p.route(place),
            sender=by,
            created_at=now_ms(),
            command=command,
            arguments=arguments,
            completing=completing,
        )
    )


async def suggested(
    p: FakePlatform, command: str, completing: str, typed: str = "", **more: Any
) -> list[str]:
    """The values, which are also what their labels begin with."""
    receipt = await typing(p, command, completing, typed, **more)
    assert receipt.state == "accepted" and receipt.text is None
    assert all(isinstance(each, Suggestion) and each.label.startswith(each.value) for each in receipt.data)
    return [each.value for each in receipt.data]


async def ordered(p: FakePlatform, name: str, place: str = "p1", **arguments: Any) -> Any:
    """A command as a channel with typed options gives it."""
    receipt = await p.hand_in(
        Event(
            id=p.new_id(),
            kind="command",
            route=p.route(place),
            sender=PERSON,
            created_at=now_ms(),
            command=name,
            arguments=arguments,
        )
    )
    assert receipt.state == "accepted", receipt.text
    return receipt.data


async def a_member(house: House) -> None:
    await house.app.db.write(lambda db: people.grant(db, "fake", MEMBER.id, "member", now=1))


async def test_sessions_of_the_place_come_first(house: House) -> None:
    async with house.open() as p:
        await house.app.db.write(lambda db: pool.make(db, "assistant", now=1))
        for place in ("p1", "p2", "p3"):
            await p.say("hello", place=place)
            await p.replies(1, place=place)
        ids = {place: house.session_id(place) for place in ("p1", "p2", "p3")}
        found = await suggested(p, "session show", "id")
        assert found == [ids["p1"], ids["p3"], ids["p2"]], "then those that were active last"
        receipt = await typing(p, "session show", "id", place="p2")
        assert [each.label.split("  ")[1:] for each in receipt.data] == [
            ["here", "active just now"],
            ["fake/p3", "active just now"],
            ["fake/p1", "active just now"],
        ]
        assert await suggested(p, "session show", "id", ids["p2"][:5].upper()) == [ids["p2"]]
        assert await suggested(p, "trace", "session", "FAKE/P3", message="#2") == [ids["p3"]]
        assert await suggested(p, "session show", "id", "nothing like it") == []
        assert await suggested(p, "schedule list", "session", "a") == ["all", *found]
        assert house.states() == {"done": 3}, "what is typed is no message"


async def test_schedules_are_completed(house: House) -> None:
    async with house.open() as p:
        await a_member(house)
        report = {"when": "every monday at 9", "prompt": "Report", "yes": "true"}
        daily = (await ordered(p, "schedule create", order="yes daily at 8: Water"))["id"]
        weekly = (await ordered(p, "schedule create", "p2", **report))["id"]
        assert await suggested(p, "schedule show", "id", place="p2") == [weekly, daily]
        assert await suggested(p, "schedule run", "id", "water", place="p2") == [daily]
        (found,) = (await typing(p, "schedule run", "id", "monday")).data
        assert found.label.startswith(f"{weekly}  Monday 9:00 ") and found.label.endswith("  Report")
        await ordered(p, "schedule pause", id=daily)
        (label,) = [each.label for each in (await typing(p, "schedule resume", "id", "paused")).data]
        assert label == f"{daily}  paused  Water"
        assert await suggested(p, "schedule show", "id", by=MEMBER) == [daily], "of their own conversation"
        assert await suggested(p, "schedule show", "id", by=MEMBER, place="p3") == []
        assert await typing(p, "schedule run", "id", by=MEMBER) == NOBODY
        assert await suggested(p, "schedule list", "session", by=MEMBER) == []
        await house.app.db.write(lambda db: db.execute("UPDATE series SET recurrence = '{}'"))
        assert await suggested(p, "schedule cancel", "id") == [daily, weekly], (
            "it can be cancelled all the same"
        )


async def test_dead_letters_are_completed(house: House) -> None:
    async with house.open() as p:
        assert await suggested(p, "deadletter replay", "id") == []
        p.failures += [refusal(retry_after=None)]
        await p.say("one")
        await p.ends(1)
        (letter,) = (
            str(row["id"]) for row in house.query("SELECT id FROM dead_letters WHERE kind = 'reply'")
        )
        assert await suggested(p, "deadletter show", "id") == [letter]
        assert await suggested(p, "deadletter replay", "id") == ["all", letter]
        assert await suggested(p, "deadletter drop", "id", "said: one") == [letter]
        await ordered(p, "deadletter drop", id=letter, yes="true")
        assert await suggested(p, "deadletter show", "id") == []


async def test_models_are_completed(house: House) -> None:
    house.agents = {"assistant": {"model": "large"}}
    async with house.open() as p:
        assert await suggested(p, "model", "name") == ["default", "large"]
        assert await suggested(p, "model", "name", "LAR") == ["large"]


async def test_a_stranger_hears_nothing(house: House) -> None:
    async with house.open() as p:
        await p.say("hello")
        await p.replies(1)
        for command, option in (("session show", "id"), ("claim", "code"), ("nothing", "id")):
            receipt = await typing(p, command, option, by=STRANGER)
            assert receipt.text is None and receipt.data == []
        assert await typing(p, "session show", "id", by=STRANGER) == NOBODY


@pytest.mark.parametrize(("command", "option"), [("session", "id"), ("nothing", "id"), ("", "")])
async def test_what_is_no_command_has_no_suggestions(house: House, command: str, option: str) -> None:
    async with house.open() as p:
        assert await typing(p, command, option) == NOBODY


async def test_an_option_without_suggestions_has_none(house: House) -> None:
    async with house.open() as p:
        assert await typing(p, "schedule create", "when", "mon") == Receipt("accepted", data=[])
        assert await typing(p, "session show", "nothing") == Receipt("accepted", data=[])
        assert await typing(p, "status", "") == Receipt("accepted", data=[])
