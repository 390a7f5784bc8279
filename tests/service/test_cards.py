"""Cards and approvals in the whole service: shown, pressed, decided, carried out, and closed for all to see."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from adapters.base import DIRECT, Receipt, Sender
from bot import approvals, cards
from bot.db import people
from bot.db.approvals import ApprovalRecord
from bot.db.cards import Option
from bot.errors import CommandFailed
from bot.ordering import NO_CARD, SETTLED
from tests.fakes.platform import PART_CHARS, PERSON, FakePlatform, refusal
from tests.service.conftest import House

ADMIN: Final = Sender("u2", "Bo")
OTHER: Final = Sender("u3", "Cy")
STRANGER: Final = Sender("u9", "Zed")
ASKED: Final = "Install ffmpeg?"
HOUR_MS: Final = 3_600_000


@dataclass
class Shop:
    """An effect that remembers what it was called with; it can be told to fail or to hang."""

    done: list[str] = field(default_factory=list)
    fails: str | None = None
    hangs: asyncio.Event | None = None

    async def sell(self, approval: ApprovalRecord) -> str:
        """Installs it."""
        if self.hangs is not None:
            await self.hangs.wait()
        self.done.append(approval.id)
        if self.fails is not None:
            raise CommandFailed(self.fails)
        return f"Installed {approval.effect['package']}."


def open_shop(house: House, shop: Shop) -> None:
    """The next service carries out approvals of the kind "install"."""
    house.effects["install"] = shop.sell


async def ask(
    house: House,
    *,
    agent: str = "assistant",
    details: str = "",
    choices: Sequence[str] = (approvals.APPROVE,),
    level: Literal["admin", "owner"] = "admin",
    package: str = "ffmpeg",
    place: str | None = "p1",
    **more: Any,
) -> ApprovalRecord:
    """Somebody asks for something in a place."""

    def work(db: sqlite3.Connection) -> tuple[ApprovalRecord, list[str]]:
        return approvals.ask(
            db,
            kind="install",
            agent=agent,
            asked_by="u1",
            summary=ASKED,
            details=details,
            effect={"package": package},
            now=house.now(),
            route=None if place is None else house.platform.route(place),
            choices=choices,
            level=level,
            **more,
        )

    found, kicked = await house.app.db.write(work)
    house.app.context.cards.deliver(kicked)
    return found


async def let(house: House, person: Sender, role: people.Role, agent: str = "") -> None:
    """Gives somebody a role."""
    await house.app.db.write(
        lambda db: people.grant(db, "fake", person.id, role, now=house.now(), agent=agent)
    )


async def closed(p: FakePlatform, place: str, said: str) -> str:
    """The text that has taken the place of a card, once it says that."""

    def found() -> list[str]:
        parts = [part.text for part in p.sent if part.replaces and part.outgoing.route.platform_id == place]
        return [text for text in parts if said in text]

    await p.until(lambda: bool(found()))
    return found()[-1]


def state(house: House) -> str:
    """Of the last approval."""
    return str(house.query("SELECT state FROM approvals ORDER BY created_at DESC, rowid DESC LIMIT 1")[0][0])


OWNER_DM: Final = f"{DIRECT}{PERSON.id}"


async def test_an_admin_is_asked_directly_and_decides_once_for_all_to_see(house: House) -> None:
    shop = Shop()
    open_shop(house, shop)
    async with house.open() as p:
        await let(house, ADMIN, "admin", "assistant")
        await ask(house, details="apt-get install ffmpeg", announced=True)
        await p.until(lambda: len(p.texts(OWNER_DM)) == 1 and len(p.texts("@u2")) == 1)
        assert p.texts("@u2") == [f"**{ASKED}**\n\napt-get install ffmpeg"]
        card = p.card(place="@u2")
        assert card.options == ("Approve", "Deny")

        receipt = await p.press(card, "Approve", place="@u2", by=ADMIN)
        assert receipt.state == "accepted" and receipt.text == f"Approved: {ASKED}"
        for place in (OWNER_DM, "@u2"):
            text = await closed(p, place, "Installed")
            assert text == f"**{ASKED}**\n\napt-get install ffmpeg\n\nApproved by Bo. Installed ffmpeg."
        assert await p.replies(1) == [f"{ASKED} An admin has allowed it. Installed ffmpeg."]
        assert shop.done == [str(house.query("SELECT id FROM approvals")[0][0])]
        assert state(house) == "done"

        again = await p.press(p.card(place=OWNER_DM), "Deny", place=OWNER_DM)
        assert (again.state, again.text) == (
            "refused",
            SETTLED.format(outcome="Approved by Bo. Installed ffmpeg."),
        )
        actions = [row[0] for row in house.query("SELECT action FROM audit ORDER BY number")]
        assert actions[-2:] == ["approval approve", "approval done"]


async def test_whoever_may_not_learns_nothing_and_changes_nothing(house: House) -> None:
    house.agents = {"assistant": house.agent, "other": house.agent}
    async with house.open() as p:
        await let(house, OTHER, "admin", "other")
        await let(house, ADMIN, "member")
        found = await ask(house)
        await p.replies(1, place=OWNER_DM)
        card = p.card(place=OWNER_DM)
        for person in (STRANGER, OTHER, ADMIN):
            for button in (0, 1, 2, -1):
                receipt = await p.press(card.id, button, place=OWNER_DM, by=person)
                assert receipt.state in ("refused", "dropped")
                assert ASKED not in (receipt.text or "")
            for command in ("approval show", "approval approve", "approval deny"):
                receipt = await p.order(command, by=person, id=found.id)
                assert receipt.state in ("refused", "dropped") and ASKED not in (receipt.text or "")
        assert (await p.press(card.id, 0, place=OWNER_DM, by=STRANGER)) == Receipt("dropped")
        assert (await p.order("approval list", by=OTHER)).data == []
        assert (await p.press("card:never-was", 0)) == Receipt("refused", NO_CARD)
        assert (await p.press("card:never-was", 0, by=STRANGER)) == Receipt("refused", NO_CARD)
        assert state(house) == "open"
        # When it is settled they learn no more.
        await p.press(card, "Deny", place=OWNER_DM)
        for person in (STRANGER, ADMIN):
            assert (await p.press(card, "Approve", by=person)) == Receipt("refused", NO_CARD)


async def test_a_role_that_was_taken_away_does_not_count_any_more(house: House) -> None:
    async with house.open() as p:
        await let(house, ADMIN, "admin")
        await ask(house)
        await p.replies(1, place="@u2")
        await house.app.db.write(lambda db: people.revoke(db, "fake", ADMIN.id))
        assert (await p.press(p.card(place="@u2"), "Approve", place="@u2", by=ADMIN)).state == "dropped"
        assert state(house) == "open"


async def test_of_two_who_press_at_the_same_time_one_decides(house: House) -> None:
    shop = Shop()
    open_shop(house, shop)
    async with house.open() as p:
        await let(house, ADMIN, "admin")
        await ask(house)
        await p.replies(1, place="@u2")
        await p.replies(1, place=OWNER_DM)
        receipts = await asyncio.gather(
            p.press(p.card(place="@u2"), "Approve", place="@u2", by=ADMIN),
            p.press(p.card(place=OWNER_DM), "Approve", place=OWNER_DM),
            p.press(p.card(place=OWNER_DM), "Deny", place=OWNER_DM),
        )
        assert sorted(each.state for each in receipts) == ["accepted", "refused", "refused"]
        await closed(p, "@u2", " by ")
        assert (
            len(house.query("SELECT 1 FROM audit WHERE action IN ('approval approve', 'approval deny')")) == 1
        )
        assert len(shop.done) <= 1


async def test_what_is_approved_is_carried_out_after_a_restart(house: House) -> None:
    shop, stuck = Shop(), Shop(hangs=asyncio.Event())
    open_shop(house, stuck)
    async with house.open() as p:
        await ask(house)
        await p.replies(1, place=OWNER_DM)
        await p.press(p.card(place=OWNER_DM), "Approve", place=OWNER_DM)
        await closed(p, OWNER_DM, "Approved by Ada.")
        assert state(house) == "approved"
    assert stuck.done == []
    open_shop(house, shop)
    async with house.open() as p:
        assert await closed(p, OWNER_DM, "Installed") == f"**{ASKED}**\n\nApproved by Ada. Installed ffmpeg."
        assert len(shop.done) == 1 and state(house) == "done"


async def test_a_card_of_an_earlier_service_can_be_pressed(house: House) -> None:
    async with house.open() as p:
        await ask(house, choices=("Once", "Always"))
        await p.replies(1, place=OWNER_DM)
        card = p.card(place=OWNER_DM)
    shop = Shop(fails="there is no such package")
    open_shop(house, shop)
    async with house.open() as p:
        assert (await p.press(card, "Always", place=OWNER_DM)).state == "accepted"
        text = await closed(p, OWNER_DM, "failed")
        assert text == f"**{ASKED}**\n\nAlways by Ada. It failed: there is no such package"
        assert state(house) == "failed"
        listed = await p.order("approval list", state="failed")
        assert listed.data[0]["choice"] == "Always"


async def test_what_nobody_decides_expires_and_says_so(house: House) -> None:
    async with house.open() as p:
        await ask(house, expires_ms=HOUR_MS, announced=True)
        await p.replies(1, place=OWNER_DM)
        card = p.card(place=OWNER_DM)
        house.clock_ahead_ms = 2 * HOUR_MS
        late = await p.press(card, "Approve", place=OWNER_DM)
        assert (late.state, late.text) == ("refused", SETTLED.format(outcome=cards.OVER))
        assert (await p.order("approval approve", id=house.query("SELECT id FROM approvals")[0][0])).text == (
            approvals.OVER
        )
        await house.app.context.approvals.expire()
        assert await closed(p, OWNER_DM, cards.OVER) == f"**{ASKED}**\n\n{cards.OVER}"
        assert await p.replies(1) == [f"Nobody has decided in time: {ASKED}"]
        assert [row["action"] for row in house.query("SELECT action FROM audit ORDER BY number")][
            -1
        ] == "approval expire"


async def test_what_was_never_shown_is_not_edited_into_nothing(house: House) -> None:
    async with house.open() as p:
        p.absent.add(OWNER_DM)
        found = await ask(house)
        await p.until(lambda: bool(p.tried))
        assert (await p.order("approval deny", id=found.id[:4])).text == f"Denied: {ASKED}"
        p.absent.clear()
        await p.come(OWNER_DM)
        assert await closed(p, OWNER_DM, "Denied") == f"**{ASKED}**\n\nDenied by Ada."
        await house.until(lambda: not house.query("SELECT 1 FROM notices"))


async def test_what_the_platform_never_took_is_closed_without_a_word(house: House) -> None:
    async with house.open() as p:
        p.failures = [refusal(retry_after=None)]
        found = await ask(house)
        await house.until(lambda: bool(house.query("SELECT 1 FROM dead_letters")))
        await p.order("approval deny", id=found.id)
        await house.until(lambda: not house.query("SELECT 1 FROM notices"))
        assert p.sent == []
        listed = await p.order("deadletter list")
        assert listed.data[0]["kind"] == "notice" and ASKED in (listed.text or "")


async def test_a_card_that_is_settled_while_it_is_on_its_way_is_closed_behind_it(house: House) -> None:
    async with house.open() as p:
        p.block(OWNER_DM)
        found = await ask(house)
        await p.until(lambda: bool(p.tried))
        await p.order("approval deny", id=found.id)
        p.free(OWNER_DM)
        assert await closed(p, OWNER_DM, "Denied")
        assert [bool(part.replaces) for part in p.sent] == [False, True]


async def test_a_long_effect_is_shown_whole_and_closed_whole(house: House) -> None:
    shop = Shop()
    long = "x" * (3 * PART_CHARS)
    open_shop(house, shop)
    async with house.open() as p:
        await ask(house, details=long)
        await p.until(lambda: "".join(p.texts(OWNER_DM)) == f"**{ASKED}**\n\n{long}")
        await p.press(p.card(place=OWNER_DM), "Approve", place=OWNER_DM)
        await closed(p, OWNER_DM, "Installed")
        edits: dict[str, str] = {}
        for part in p.sent:
            edits[part.replaces or f"{part.outgoing.id}:{part.index}"] = part.text
        assert "".join(edits.values()) == f"**{ASKED}**\n\n{long}\n\nApproved by Ada. Installed ffmpeg."

        huge = "y" * approvals.CARD_CHARS
        found = await ask(house, details=huge, package="other")
        said = f"characters; `/roost approval show {found.id}` has all of them.)"
        await p.until(lambda: any(said in text for text in p.texts(OWNER_DM)))
        shown = await p.order("approval show", id=found.id)
        assert huge in (shown.text or "") and shown.ask is not None


async def test_an_approval_whose_agent_is_gone_is_withdrawn(house: House) -> None:
    async with house.open() as p:
        found = await ask(house, agent="ghost")
        await p.replies(1, place=OWNER_DM)
        receipt = await p.press(p.card(place=OWNER_DM), "Approve", place=OWNER_DM)
        assert receipt.text == "The agent ghost is not there any more. Nothing is done."
        await closed(p, OWNER_DM, "not there any more")
        assert state(house) == "withdrawn"
        assert (await p.order("approval deny", id=found.id)).state == "refused"


async def test_the_agent_that_has_asked_is_told_at_once(house: House) -> None:
    house.script({"match": "Installed", "steps": [{"do": "result", "text": "now I can"}]})
    shop = Shop()
    open_shop(house, shop)
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        session = house.session_id()
        await ask(house, session=session)
        await p.replies(1, place=OWNER_DM)
        await p.press(p.card(place=OWNER_DM), "Approve", place=OWNER_DM)
        await p.until(lambda: "now I can" in p.texts())


async def test_what_lies_in_the_house_sessions_is_nobodys_conversation(house: House) -> None:
    async with house.open() as p:
        await ask(house)
        await p.replies(1, place=OWNER_DM)
        assert (await p.order("session list")).data == []
        assert house.query("SELECT agent FROM sessions WHERE platform_id = ?", OWNER_DM)[0][0] == "(roost)"
        status = await p.order("status")
        assert status.state == "accepted"
        made = await p.order("backup create")
        assert made.state == "accepted", made.text
        assert not (house.data / "sessions").exists() or not list((house.data / "sessions").iterdir())
        session = house.query("SELECT id FROM sessions")[0][0]
        assert (await p.order("session show", id=session)).state == "refused"
    async with house.open() as p:
        assert (await p.order("trace list")).state in ("accepted", "refused")


async def test_buttons_beneath_an_answer_are_pressed_once(house: House) -> None:
    async with house.open() as p:
        found = await ask(house)
        shown = await p.order("approval show", id=found.id)
        assert shown.ask is not None and list(shown.ask.options) == ["Approve", "Deny"]
        receipts = await asyncio.gather(
            p.press(shown.ask, "Deny"), p.press(shown.ask, "Deny"), p.press(shown.ask, "Deny")
        )
        assert sorted(each.state for each in receipts) == ["accepted", "refused", "refused"]
        late = await p.press(shown.ask, "Approve")
        assert late.text == SETTLED.format(outcome="“Deny” was pressed.")


async def test_a_card_of_one_doing_says_what_was_done(house: House) -> None:
    async with house.open() as p:
        route = p.route("p1")
        options = [Option("Show", "session list", after="Ada has looked.")]
        show = partial(cards.show, text="Look?", options=options, subject="look:1")
        kicked = await house.app.db.write(
            lambda db: show(db, route, expires_at=house.now() + HOUR_MS, now=house.now())
        )
        house.app.context.cards.deliver([kicked])
        await p.replies(1)
        assert (await p.press(p.card(), "Show", by=STRANGER)).state == "dropped"
        assert (await p.press(p.card(), "Show")).state == "accepted"
        assert await closed(p, "p1", "looked") == "Look?\n\nAda has looked."
