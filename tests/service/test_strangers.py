"""People whom nobody knows yet: an admin is asked, and what they have said waits meanwhile. On the whole service, with
a platform in front that exists only here; the containers are doubles where nobody has to answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from adapters.base import DIRECT, Event, Part, Receipt, RemoteFile, Said, Sender
from agent.protocol.clock import now_ms
from agent.protocol.messages import ChatIn
from bot import strangers
from bot.access import ASKED, NOT_LET_IN
from bot.app import App, running_app
from bot.config import Config
from bot.db import approvals, audit, held, people, places
from bot.db.inbox import Entry
from bot.letting_in import LettingIn
from bot.strangers import ALLOW, ALLOW_ONCE, DENIED, LET_IN, MAX_ASKED, MAX_HELD, NOT_DECIDED, WIRE
from tests.fakes.backend import FakeBackend
from tests.fakes.platform import FakePlatform
from tests.service.conftest import House
from tests.service.test_intake import eventually, rows

OWNER, ADMIN, SAM, SUE = Sender("1", "Olga"), Sender("2", "Al"), Sender("9", "Sam"), Sender("10", "Sue")
DROPPED = Receipt("dropped")


@dataclass
class Scene:
    """The service, its platform and its clock."""

    app: App
    p: FakePlatform
    clock: list[int] = field(default_factory=lambda: [0])

    async def say(self, text: str = "hello", *, by: Sender = SAM, place: str = "dm9", **more: Any) -> Receipt:
        fields = {"direct": place.startswith("dm"), "mentions_bot": not place.startswith("dm"), **more}
        event_id = fields.pop("id", None) or self.p.new_id()
        thread = fields.pop("thread", None)
        return await self.p.hand_in(
            Event(event_id, "message", self.p.route(place, thread), by, now_ms(), text=text, **fields)
        )

    async def cards(self, count: int = 1, to: str = f"{DIRECT}1") -> list[Part]:
        """The cards that were shown there, once there are so many."""

        def shown() -> list[Part]:
            there = [each for each in self.p.sent if each.outgoing.route.platform_id == to]
            return [each for each in there if each.outgoing.question is not None and each.index == 0]

        await self.p.until(lambda: len(shown()) >= count)
        return shown()

    async def press(self, card: Part, label: str, *, by: Sender = OWNER) -> Receipt:
        asked = card.outgoing.question
        assert asked is not None
        event = Event(
            self.p.new_id(),
            "answer",
            card.outgoing.route,
            by,
            now_ms(),
            question_id=asked.id,
            choice=list(asked.options).index(label),
        )
        return await self.p.hand_in(event)

    async def told(self, place: str, text: str) -> None:
        """Returns when a text stands in a place."""
        await self.p.until(lambda: any(text in each for each in self.p.texts(place)))

    async def accepted(self, *texts: str) -> list[Entry]:
        """Returns when just these messages were accepted."""

        async def are() -> bool:
            return said(await rows(self.app)) == list(texts)

        try:
            await eventually(are)
        except TimeoutError:
            raise AssertionError(said(await rows(self.app))) from None
        return await rows(self.app)

    async def settled(self) -> None:
        """Returns when nothing that was decided is still to be carried out."""

        async def are() -> bool:
            count = "SELECT count(*) FROM approvals WHERE state = 'approved'"
            return await self.app.db.read(lambda db: db.execute(count).fetchone()[0] == 0)

        await eventually(are)

    async def waiting(self) -> list[str]:
        return await self.app.db.read(
            lambda db: [each[0] for each in db.execute("SELECT event_id FROM held ORDER BY at, rowid")]
        )

    async def states(self) -> list[str]:
        return await self.app.db.read(
            lambda db: [each[0] for each in db.execute("SELECT state FROM approvals ORDER BY created_at, id")]
        )


def said(entries: Sequence[Entry]) -> list[str]:
    contents = [each.message.content for each in entries]
    return [each.text for each in contents if isinstance(each, ChatIn)]


@asynccontextmanager
async def serving(
    data: Path, *wirings: dict[str, Any], clock: list[int] | None = None
) -> AsyncIterator[Scene]:
    """One with an owner and an admin of the agent on the platform."""
    config = Config.model_validate(
        {
            "service": {"data_dir": data},
            "agents": {"helper": {}, "other": {}},
            "wirings": [{"channel": "fake", **each} for each in wirings],
        }
    )
    platform = FakePlatform()
    ahead = [0] if clock is None else clock
    async with running_app(
        config, adapters=[platform], backend=FakeBackend(), clock=lambda: now_ms() + ahead[0]
    ) as app:
        await app.db.write(lambda db: people.grant(db, "fake", OWNER.id, "owner", now=1))
        yield Scene(app, platform, ahead)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def scene(data: Path) -> AsyncIterator[Scene]:
    """Where an admin is asked about strangers everywhere."""
    async with serving(data, {"strangers": "ask", "agent": "helper"}) as scene:
        yield scene


# ---------------------------------------------------------------- an admin is asked


async def test_a_stranger_waits_and_an_admin_reads_what_they_said(scene: Scene) -> None:
    text = "May I *ask* you something, @everyone?\n[click](https://evil.example)"
    assert await scene.say(text) == Receipt("refused", ASKED)
    (card,) = await scene.cards()
    asked = card.outgoing.question
    assert asked is not None and list(asked.options) == [ALLOW_ONCE, ALLOW, "Deny"]
    assert asked.question.startswith("**Sam (fake:9) wants to talk to the agent helper**\n\nWhere: fake/dm9,")
    assert "> May I \\*ask\\* you something, \\@\u200beveryone?\n> \\[click\\]" in asked.question
    assert await rows(scene.app) == [], "nothing was done with it"
    assert len(await scene.waiting()) == 1


async def test_what_was_allowed_once_is_answered_and_no_more(scene: Scene) -> None:
    await scene.say("one")
    assert await scene.say("two") == DROPPED, "they are told once"
    (card,) = await scene.cards()
    await scene.told(f"{DIRECT}1", "Sam (fake:9) has also written:\n\n> two")
    assert (await scene.press(card, ALLOW_ONCE)).state == "accepted"
    entries = await scene.accepted("one", "two")
    assert {each.message.route.platform_id for each in entries} == {"dm9"}
    assert [each.sender_id for each in entries] == ["9", "9"]
    await scene.settled()
    assert await scene.waiting() == [] and await scene.states() == ["done"]
    assert not (await scene.app.db.read(lambda db: people.standing(db, "fake", "9"))).known
    assert (await scene.say("three")).text == ASKED, "an admin is asked anew"
    assert len(await scene.cards(2)) == 2


async def test_whoever_is_allowed_is_a_member_for_the_agent(scene: Scene) -> None:
    await scene.say("one", place="c1", thread="t1")
    (card,) = await scene.cards()
    await scene.press(card, ALLOW)
    (entry,) = await scene.accepted("one")
    assert entry.message.route == scene.p.route("c1", "t1")
    standing = await scene.app.db.read(lambda db: people.standing(db, "fake", "9"))
    assert standing.agents == {"helper": "member"} and standing.everywhere is None
    assert (await scene.say("two")).state == "accepted"
    grants = [e for e in await scene.app.db.read(lambda db: audit.newest(db, 9)) if e.action == "role grant"]
    assert [(each.subject, each.agent, each.after["role"]) for each in grants] == [
        ("person:fake:9", "helper", "member")
    ]


async def test_whoever_is_denied_is_told_once_and_nobody_is_asked_again(scene: Scene) -> None:
    await scene.say("one")
    (card,) = await scene.cards()
    await scene.press(card, "Deny")
    await scene.told("dm9", DENIED)
    assert await scene.say("please") == DROPPED
    assert await scene.waiting() == [] and await rows(scene.app) == [] and await scene.states() == ["denied"]
    # In a place that others read nobody is shown up.
    await scene.say("hello", by=SUE, place="c1")
    await scene.press((await scene.cards(2))[1], "Deny")
    assert scene.p.texts("c1") == []
    assert await scene.say("again", by=SUE, place="c1") == DROPPED


async def test_messages_of_one_person_wait_together_within_bounds(scene: Scene) -> None:
    for number in range(MAX_HELD):
        await scene.say(f"{number}", place=f"dm9{number}")
    assert (await scene.say("more")).text == strangers.ENOUGH.format(count=MAX_HELD)
    assert await scene.say("and more") == Receipt("refused", None), "that is said once in a while"
    assert len(await scene.waiting()) == MAX_HELD and len(await scene.cards()) == 1
    long = await scene.say("x" * (strangers.MAX_HELD_CHARS + 1), by=SUE)
    assert long.text is not None and long.text.startswith(
        "Until an admin has let you in, a message can have 8,000"
    )


async def test_many_strangers_do_not_bury_an_admin(scene: Scene) -> None:
    for number in range(MAX_ASKED):
        await scene.say(by=Sender(f"s{number}", "S"), place=f"dm-s{number}")
    receipt = await scene.say(by=Sender("late", "S"))
    assert receipt.text == strangers.CROWDED
    assert len(await scene.waiting()) == MAX_ASKED


async def test_a_message_that_comes_again_is_known(scene: Scene) -> None:
    assert (await scene.say("one", id="e1")).text == ASKED
    assert await scene.say("one", id="e1") == Receipt("duplicate")
    await scene.press((await scene.cards())[0], ALLOW_ONCE)
    await scene.accepted("one")
    await scene.settled()
    assert await scene.say("one", id="e1") == Receipt("duplicate")


async def test_where_nobody_could_be_asked_they_are_turned_away(data: Path) -> None:
    async with serving(data, {"strangers": "ask"}) as scene:
        await scene.app.db.write(lambda db: db.execute("DELETE FROM roles"))
        assert (await scene.say()).text == NOT_LET_IN
        assert await scene.waiting() == []


async def test_an_admin_of_the_agent_is_asked_first_and_may_decide(scene: Scene) -> None:
    await scene.app.db.write(lambda db: people.grant(db, "fake", ADMIN.id, "admin", now=1, agent="helper"))
    await scene.app.db.write(lambda db: people.grant(db, "fake", "3", "admin", now=1, agent="other"))
    await scene.say()
    (card,) = await scene.cards(to=f"{DIRECT}2")
    refused = await scene.press(card, ALLOW, by=Sender("3", "Other"))
    assert refused.state == "refused" and await scene.states() == ["open"]
    assert (await scene.press(card, ALLOW, by=SAM)).state != "accepted", "nobody lets themselves in"
    assert (await scene.press(card, ALLOW, by=ADMIN)).state == "accepted"
    await scene.accepted("hello")


async def test_a_member_of_another_agent_is_a_stranger_here(scene: Scene) -> None:
    await scene.app.db.write(lambda db: people.grant(db, "fake", "9", "member", now=1, agent="other"))
    assert (await scene.say()).text == ASKED


# ---------------------------------------------------------------- what changes meanwhile


async def test_what_waits_is_changed_and_an_admin_reads_that(scene: Scene) -> None:
    await scene.say("old", id="e1")
    (card,) = await scene.cards()
    for by, text in ((SUE, "forged"), (SAM, "new")):
        await scene.p.edit("e1", text, place="dm9", by=by)
    await scene.told(f"{DIRECT}1", "Sam (fake:9) has changed it:\n\n> new")
    shown = await scene.p.hand_in(
        Event("s", "command", scene.p.route("x"), OWNER, 1, command="approval list")
    )
    assert "> new" in shown.data[0]["details"] and "> old" not in shown.data[0]["details"]
    await scene.press(card, ALLOW_ONCE)
    await scene.accepted("new")


async def test_it_is_changed_a_few_times_only(scene: Scene) -> None:
    await scene.say("0", id="e1")
    (card,) = await scene.cards()
    for number in range(1, strangers.MAX_REVISED + 3):
        await scene.p.edit("e1", f"{number}", place="dm9", by=SAM)
    await scene.press(card, ALLOW_ONCE)
    await scene.accepted(f"{strangers.MAX_REVISED}")


async def test_what_is_taken_back_is_not_asked_about_any_more(scene: Scene) -> None:
    await scene.say("one", id="e1")
    await scene.say("two", id="e2")
    (card,) = await scene.cards()
    await scene.p.delete("e1", place="dm9")
    await scene.told(f"{DIRECT}1", "has taken this back:\n\n> one")
    await scene.p.delete("e2", place="dm9")
    assert await scene.states() == ["withdrawn"] and await scene.waiting() == []
    pressed = await scene.press(card, ALLOW)
    assert pressed.state == "refused"
    assert await rows(scene.app) == []


async def test_nobody_decides_in_time(data: Path) -> None:
    async with serving(data, {"strangers": "ask"}) as scene:
        await scene.say("one")
        await scene.cards()
        scene.clock[0] = 25 * 3_600_000
        await scene.app.context.approvals.expire()
        await scene.told("dm9", NOT_DECIDED)
        assert await scene.waiting() == [] and await scene.states() == ["expired"]
        assert (await scene.say("two")).text == ASKED, "that was no denial"


async def test_what_is_not_for_the_agent_any_more_is_not_taken(scene: Scene) -> None:
    await scene.say("one", place="c1")
    (card,) = await scene.cards()
    wired = places.Place("fake", "c1", wired=True)
    await scene.app.db.write(lambda db: places.put(db, wired, now=1))
    await scene.app.context.wirings.refresh(scene.app.db)
    await scene.press(card, ALLOW_ONCE)
    await scene.settled()
    assert await scene.waiting() == [] and await rows(scene.app) == []


# ---------------------------------------------------------------- files, and what was said before


def remote(name: str, data: bytes, *, size: int | None = None) -> RemoteFile:
    async def fetch(path: Path, most: int) -> None:
        assert len(data) <= most
        await asyncio.to_thread(path.write_bytes, data)

    return RemoteFile(name, "text/plain", len(data) if size is None else size, fetch)


async def test_files_are_kept_within_bounds(scene: Scene, data: Path) -> None:
    files = [remote("notes.txt", b"notes"), remote("film.mov", b"", size=strangers.MAX_FILE_BYTES)]
    receipt = await scene.say("look", remote=files)
    assert receipt.text is not None and receipt.text.startswith(ASKED) and "film.mov" in receipt.text
    (card,) = await scene.cards()
    assert card.outgoing.question is not None
    assert "Files: notes.txt" in card.outgoing.question.question
    assert "Files that are not kept: film.mov" in card.outgoing.question.question
    await scene.press(card, ALLOW_ONCE)
    (entry,) = await scene.accepted("look")
    assert isinstance(entry.message.content, ChatIn)
    (attachment,) = entry.message.content.attachments
    assert attachment.name == "notes.txt"


async def test_files_of_what_was_let_in_stay_while_it_waits_for_a_budget(scene: Scene, data: Path) -> None:
    made = await scene.p.order("budget set", by=OWNER, subject="bot", period="day", usd="0.000001")
    assert made.state == "accepted", made.text
    assert (await scene.say("all that is left", by=OWNER)).state == "accepted"
    await scene.say("look", remote=[remote("notes.txt", b"notes")])
    (approval,) = await scene.app.db.read(approvals.open_ones)
    letting_in = LettingIn(
        scene.app.db,
        scene.app.context.wirings,
        scene.app.context.cards,
        scene.app.intake.let_in,
        incoming=data / "incoming",
        clock=now_ms,
    )
    await letting_in.admit(replace(approval, choice=ALLOW))
    (kept,) = await scene.app.db.read(lambda db: db.execute("SELECT message_id FROM budget_kept").fetchall())
    await letting_in.tidy()
    assert [each.name for each in (data / "incoming" / kept[0]).iterdir()] == ["1-notes.txt"]


async def test_files_of_the_denied_are_removed(scene: Scene, data: Path) -> None:
    await scene.say("look", remote=[remote("notes.txt", b"notes")])
    await scene.cards()
    assert [each.name for each in (data / "incoming").rglob("*") if each.is_file()] == ["1-notes.txt"]
    letting_in = LettingIn(
        scene.app.db,
        scene.app.context.wirings,
        scene.app.context.cards,
        scene.app.intake.let_in,
        incoming=data / "incoming",
        clock=now_ms,
    )
    (approval,) = await scene.app.db.read(approvals.open_ones)
    await letting_in.tidy()
    assert [each for each in (data / "incoming").rglob("*") if each.is_file()], "they may be asked for yet"
    await scene.app.db.write(lambda db: letting_in.refusals["admit"](db, approval, 1))
    await letting_in.tidy()
    assert not [each for each in (data / "incoming").rglob("*") if each.is_file()]


async def test_what_was_said_in_the_thread_goes_along(scene: Scene) -> None:
    async def before() -> Sequence[Said]:
        return [Said("Ann", "What about this?")]

    await scene.say("you", place="c1", thread="t1", before=before)
    await scene.press((await scene.cards())[0], ALLOW)
    (entry,) = await scene.accepted("you")
    assert isinstance(entry.message.content, ChatIn)
    assert [each.text for each in entry.message.content.before] == ["What about this?"]


# ---------------------------------------------------------------- a place that nobody has wired


async def test_an_owner_is_asked_once_about_a_place(data: Path) -> None:
    async with serving(data) as scene:
        assert await scene.say("hello", place="c1") == DROPPED, "nobody is told anything there"
        assert await scene.say("hello?", place="c1", by=SUE) == DROPPED
        assert await scene.say("not for you", place="c1", by=SUE, mentions_bot=False) == DROPPED
        (card,) = await scene.cards()
        asked = card.outgoing.question
        assert asked is not None and list(asked.options) == [LET_IN, WIRE, "Deny"]
        assert asked.question.startswith("**Sam (fake:9) wrote in a place that nobody has wired**")
        assert len(await scene.waiting()) == 2
        await scene.press(card, LET_IN)
        await scene.accepted("hello")
        await scene.settled()
        standing = await scene.app.db.read(lambda db: people.standing(db, "fake", "9"))
        assert standing.agents == {"helper": "member"}
        assert await scene.waiting() == [], "the others may turn to the bot again"


async def test_a_place_is_wired_from_the_card(data: Path) -> None:
    async with serving(data) as scene:
        await scene.say("one", place="c1")
        await scene.say("two", place="c1", by=SUE)
        await scene.press((await scene.cards())[0], WIRE)
        await scene.accepted("one", "two")
        await scene.settled()
        (wiring,) = scene.app.context.wirings.at(scene.p.route("c1"))
        assert (wiring.agent, wiring.mode, wiring.strangers) == ("helper", "mention-sticky", "answer")
        assert (await scene.say("three", place="c1", by=Sender("77", "New"))).state == "accepted"
        assert not (await scene.app.db.read(lambda db: people.standing(db, "fake", "9"))).known


async def test_a_place_that_is_to_stay_silent_does(data: Path) -> None:
    async with serving(data) as scene:
        await scene.say("one", place="c1")
        await scene.press((await scene.cards())[0], "Deny")
        for by in (SAM, SUE):
            assert await scene.say("again", place="c1", by=by) == DROPPED
        assert await scene.waiting() == [] and scene.p.texts("c1") == []
        await scene.say("elsewhere", place="c2")
        assert len(await scene.cards(2)) == 2, "another place is another question"
        scene.clock[0] = strangers.QUIET_MS + 1
        await scene.say("much later", place="c1", by=SUE)
        assert len(await scene.cards(3)) == 3


async def test_only_an_owner_decides_about_a_place(data: Path) -> None:
    async with serving(data) as scene:
        await scene.app.db.write(lambda db: people.grant(db, "fake", ADMIN.id, "admin", now=1))
        await scene.say(place="c1")
        (card,) = await scene.cards()
        assert (await scene.press(card, WIRE, by=ADMIN)).state == "refused"
        assert await scene.states() == ["open"]


async def test_nothing_is_asked_while_nobody_owns_the_bot(data: Path) -> None:
    async with serving(data) as scene:
        await scene.app.db.write(lambda db: db.execute("DELETE FROM roles WHERE channel = 'fake'"))
        assert await scene.say() == DROPPED and await scene.say(place="c1") == DROPPED
        assert await scene.waiting() == [] and await scene.states() == []
        assert not await scene.app.db.read(lambda db: people.has_owner(db, "fake")), "nor is the first one it"


async def test_members_and_wired_places_are_no_first_contact(data: Path) -> None:
    async with serving(data, {"place": "c1"}) as scene:
        assert await scene.say(place="c1") == DROPPED
        await scene.app.db.write(lambda db: people.grant(db, "fake", SUE.id, "member", now=1))
        assert (await scene.say(place="c2", by=SUE)).state == "accepted"
        assert await scene.states() == []
        await scene.app.db.write(lambda db: places.put(db, places.Place("fake", "c3", wired=True), now=1))
        await scene.app.context.wirings.refresh(scene.app.db)
        assert await scene.say(place="c3") == DROPPED, "an admin has unwired it"
        assert await scene.states() == []


# ---------------------------------------------------------------- restarts


async def test_what_waits_outlives_the_service_with_its_files(data: Path) -> None:
    async with serving(data, {"strangers": "ask"}) as scene:
        await scene.say("one", id="e1", remote=[remote("notes.txt", b"notes")])
        (card,) = await scene.cards()
    async with serving(data, {"strangers": "ask"}) as scene:
        assert await scene.say("one", id="e1") == Receipt("duplicate")
        await scene.press(card, ALLOW_ONCE)
        (entry,) = await scene.accepted("one")
        assert isinstance(entry.message.content, ChatIn) and entry.message.content.attachments


@pytest.mark.parametrize("reached", ["decided", "admitted", "accepted"])
async def test_a_service_that_dies_in_between_takes_it_once(data: Path, reached: str) -> None:
    async with serving(data, {"strangers": "ask"}) as scene:
        await scene.say("one")
        await scene.say("two")
        await scene.cards()
    # What the service would have written until then.
    async with serving(data, {"strangers": "ask"}) as scene:
        if reached == "accepted":
            waiting = await scene.app.db.read(
                lambda db: held.waiting(db, db.execute("SELECT id FROM approvals").fetchone()[0])
            )
            await scene.app.db.write(lambda db: db.execute("UPDATE held SET admitted = 1"))
            assert (await scene.app.intake.let_in(waiting[0])).state == "accepted"
        if reached == "admitted":
            await scene.app.db.write(lambda db: db.execute("UPDATE held SET admitted = 1"))
    async with serving(data, {"strangers": "ask"}) as scene:
        decide = (
            f"UPDATE approvals SET state = 'approved', choice = '{ALLOW}', decided_by = '1', decided_at = 1"
        )
        await scene.app.db.write(lambda db: db.execute(decide))
    async with serving(data, {"strangers": "ask"}) as scene:
        await scene.settled()
        await scene.accepted("one", "two")
        assert await scene.waiting() == [] and await scene.states() == ["done"]
        roles = [
            e for e in await scene.app.db.read(lambda db: audit.newest(db, 9)) if e.action == "role grant"
        ]
        assert len(roles) == 1


async def test_an_answer_comes_to_the_thread_where_it_was_asked(house: House) -> None:
    house.wirings = [{"channel": "fake", "strangers": "ask"}]
    house.script({"steps": [{"do": "result", "text": "Here I am."}]})
    async with house.open() as p:
        scene = Scene(house.app, p)
        assert (await scene.say("Are you there?", place="c1", thread="t1")).text == ASKED
        (card,) = await scene.cards(to=f"{DIRECT}u1")
        await scene.press(card, ALLOW_ONCE, by=Sender("u1", "Ada"))
        assert await p.replies(1, place="c1", thread="t1") == ["Here I am."]
