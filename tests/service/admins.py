"""Commands of admins, given in a place of the fake platform as a channel with typed options gives them."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from adapters.base import Event, Receipt, Sender
from agent.protocol.clock import now_ms
from bot.db import audit, people
from bot.db.audit import SERVICE, Entry
from bot.db.people import EVERYWHERE, Role
from tests.fakes.platform import PERSON, FakePlatform
from tests.service.conftest import House

ADMIN: Final = Sender("u5", "Alma")
"""Of one agent, where a test says so."""
MEMBER: Final = Sender("u6", "Max")


async def give(
    p: FakePlatform, command: str, /, *, by: Sender = PERSON, at: str = "p1", **arguments: Any
) -> Receipt:
    """Gives a command, its options by their names."""
    event = Event(p.new_id(), "command", p.route(at), by, now_ms(), command=command, arguments=arguments)
    return await p.hand_in(event)


async def done(p: FakePlatform, command: str, /, **more: Any) -> Receipt:
    """The same, and it is done."""
    receipt = await give(p, command, **more)
    assert receipt.state == "accepted", receipt.text
    return receipt


async def refused(p: FakePlatform, command: str, /, **more: Any) -> str:
    """The same, and it is refused with this sentence."""
    receipt = await give(p, command, **more)
    assert receipt.state == "refused", receipt
    return receipt.text or ""


async def press(
    p: FakePlatform, receipt: Receipt, label: str, *, by: Sender = PERSON, at: str = "p1"
) -> Receipt:
    """Presses a button beneath what a command has answered."""
    assert receipt.ask is not None
    event = Event(
        p.new_id(),
        "answer",
        p.route(at),
        by,
        now_ms(),
        text=label,
        question_id=receipt.ask.id,
        choice=list(receipt.ask.options).index(label),
    )
    return await p.hand_in(event)


async def grant(house: House, who: Sender, role: Role, agent: str = EVERYWHERE) -> None:
    """Gives somebody a role on the fake platform."""
    work = partial(people.grant, channel="fake", user_id=who.id, role=role, agent=agent, now=1)
    await house.app.db.write(work)


async def audited(house: House, limit: int = 100) -> list[Entry]:
    """What the audit has of what people have done, the newest first."""
    found = await house.app.db.read(lambda db: audit.newest(db, limit))
    return [each for each in found if each.surface != SERVICE.surface]
