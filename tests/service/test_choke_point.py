"""Nothing has an effect without `access.decide`: where that drops everything, whatever comes in by whatever way leaves
bot.db as it was, and nothing is sent. And no code of ours says by itself that something is allowed.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adapters.base import CARD, Event, EventKind, IncomingFile, Receipt, Sender
from agent.protocol.clock import now_ms
from agent.protocol.messages import AskQuestion, Route
from bot import access, cards, commands, control_client, strangers
from bot.access import Allow, Ask, Drop, Facts
from bot.app import App, running_app
from bot.commands.registry import Registry
from bot.config import Config
from bot.db import approvals, held, inbox, people, questions, sessions
from bot.db.cards import Option
from bot.errors import CommandFailed
from tests.fakes.backend import FakeBackend
from tests.fakes.platform import FakePlatform

ROOT: Final = Path(__file__).parents[2]
OURS: Final = ("bot", "adapters", "agent", "container")
TIMEOUT_SECONDS: Final = 20
OWNER, MEMBER, STRANGER = Sender("1", "Olga"), Sender("2", "Max"), Sender("9", "Sam")
PEOPLE: Final = (
    OWNER,
    MEMBER,
    STRANGER,
    Sender("", ""),
    Sender("b", "Build", is_bot=True),
    Sender("1", "Roost", is_bot=True, is_self=True),
)
KINDS: Final[tuple[EventKind, ...]] = get_args(EventKind)
PLACES: Final = ("c1", "dm1", "c2", "@1", "nowhere")
NOT_HELD_IN_ROWS: Final = ("sqlite_sequence",)
ACCEPTING: Final = {
    "bot/acceptance.py": "what people say, decided upon in the same transaction",
    "bot/actions.py": "what the host tells an agent of what was decided before, or of what it has done itself",
    "bot/budget_watch.py": "what was decided upon when it came, and waited until there was money",
    "bot/colleagues.py": "what one agent says to another",
    "bot/firing.py": "a schedule that is due",
    "bot/operations.py": "the order of a command that was allowed",
}
"""The only ones that write a row of the inbox, and of what."""


# ---------------------------------------------------------------- what the code says


def trees() -> Iterator[tuple[str, ast.Module]]:
    for folder in OURS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def called(call: ast.Call) -> str:
    """The last name of what is called, with the one before it: "inbox.accept"."""
    match call.func:
        case ast.Name(name):
            return name
        case ast.Attribute(ast.Name(owner), name):
            return f"{owner}.{name}"
        case ast.Attribute(_, name):
            return f".{name}"
    return ""


def test_allow_is_made_in_one_file() -> None:
    made = {path for path, tree in trees() for call in calls(tree) if called(call).split(".")[-1] == "Allow"}
    assert made == {"bot/access.py"}


def test_the_decision_is_asked_by_the_name_that_the_tests_below_take_away() -> None:
    aliased = {
        path
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "bot.access"
        and {"decide", "_stranger", "_command", "_words", "_bot"} & {each.name for each in node.names}
    }
    assert aliased == set()


def test_a_command_runs_with_an_allow_alone() -> None:
    assert list(inspect.signature(Registry.run).parameters.values())[-1].annotation == "Allow"
    handled = {path for path, tree in trees() for call in calls(tree) if called(call).endswith(".handler")}
    assert handled == {"bot/commands/registry.py"}


def test_rows_of_the_inbox_are_written_by_these_alone() -> None:
    written = {path for path, tree in trees() for call in calls(tree) if called(call) == "inbox.accept"}
    assert written == set(ACCEPTING)


def test_strangers_have_an_effect_by_an_ask_alone() -> None:
    assert inspect.signature(strangers.hold).parameters["asked"].annotation == "Ask"
    kept = {path for path, tree in trees() for call in calls(tree) if called(call) == "held.keep"}
    assert kept == {"bot/strangers.py"}


# ---------------------------------------------------------------- what the service does


@asynccontextmanager
async def serving(data: Path) -> AsyncIterator[tuple[App, FakePlatform]]:
    """A service with something of everything that events can be about."""
    config = Config.model_validate(
        {
            "service": {"data_dir": data},
            "agents": {"helper": {}, "other": {}},
            "wirings": [
                {"channel": "fake", "place": "c1", "agent": "helper", "strangers": "ask", "bots": True},
                {"channel": "fake", "place": "dm1", "agent": "helper", "strangers": "answer"},
                {"channel": "fake", "place": "c1", "agent": "other", "others": "accumulate"},
            ],
        }
    )
    platform = FakePlatform()
    async with running_app(config, adapters=[platform], backend=FakeBackend()) as app:
        await app.db.write(lambda db: people.grant(db, "fake", OWNER.id, "owner", now=1))
        await app.db.write(lambda db: people.grant(db, "fake", MEMBER.id, "member", now=1))
        for event_id, by, place in (("said", MEMBER, "dm1"), ("held", STRANGER, "c1")):
            said = Event(
                event_id,
                "message",
                platform.route(place),
                by,
                1,
                text="hi",
                direct=place == "dm1",
                mentions_bot=True,
            )
            await platform.hand_in(said)
        await app.db.write(_plant)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            before: dict[str, list[Any]] = {}
            # Nobody rings when nothing of what was planted is under way any more.
            while before != (before := await app.db.read(content)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield app, platform


def _plant(db: sqlite3.Connection) -> None:
    session = sessions.recent(db, 9)[0]
    asked = AskQuestion(question_id="q1", title="t", question="Which?", options=["a", "b"], expires_at=2**50)
    questions.ask(db, session.id, "q1", session.route, asked, now=now_ms())
    option = Option("Forget", "clear", {})
    cards.show(
        db, Route(channel="fake", platform_id="c1"), "?", [option], subject="x", expires_at=2**50, now=1
    )
    db.execute("UPDATE cards SET id = ? WHERE subject = 'x'", (f"{CARD}1",))


def content(db: sqlite3.Connection) -> dict[str, list[Any]]:
    """All of bot.db."""
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {
        name: sorted(map(repr, map(tuple, db.execute(f"SELECT * FROM {name}"))))
        for name in names
        if name not in NOT_HELD_IN_ROWS
    }


VALUES: Final = (
    *(
        "helper",
        "other",
        "new",
        "fake:9",
        "fake:2",
        "fake:c1",
        "here",
        "member",
        "admin",
        "owner",
        "true",
        "all",
    ),
    *(
        "10",
        "1",
        "model",
        "mention",
        "ask",
        "daily at 8: water",
        "yes daily at 8: water",
        "said",
        "q1",
        "hello",
    ),
)


def _command() -> st.SearchStrategy[tuple[str, dict[str, str]]]:
    def of(command: Any) -> st.SearchStrategy[tuple[str, dict[str, str]]]:
        fields = list(command.parameters.model_fields)
        given = st.fixed_dictionaries({}, optional={name: st.sampled_from(VALUES) for name in fields})
        return given.map(lambda arguments: (command.name, arguments))

    by_text = st.tuples(st.just("status"), st.just({"text": "x"}))
    return st.one_of(st.sampled_from(commands.ALL).flatmap(of), by_text)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Anything that an adapter could hand in, by anybody."""
    kind = draw(st.sampled_from(KINDS))
    place = draw(st.sampled_from(PLACES))
    name, arguments = draw(_command()) if kind in ("command", "complete") else ("", {})
    question = draw(st.sampled_from(["q1", f"{CARD}1", f"{CARD}none", "none"])) if kind == "answer" else ""
    return Event(
        id=draw(st.sampled_from(["said", "held", "new1", "new2", "new3"])),
        kind=kind,
        route=Route(
            channel=draw(st.sampled_from(["fake", "terminal"])),
            platform_id=place,
            thread_id=draw(st.sampled_from([None, "t1"])),
        ),
        sender=draw(st.sampled_from(PEOPLE)),
        created_at=draw(st.integers(0, 10)),
        text=draw(st.sampled_from(["", "hello", "@everyone", "changed", "👍"])),
        direct=draw(st.booleans()),
        mentions_bot=draw(st.booleans()),
        about=draw(st.sampled_from(["", "said", "held", "none"])),
        question_id=question,
        choice=draw(st.sampled_from([None, 0, 1, 99])),
        command=name,
        arguments=arguments,
        completing=next(iter(arguments), "") if kind == "complete" else "",
        taken_back=draw(st.booleans()),
    )


def closed(_: Event, __: Facts) -> Allow | Ask | Drop:
    return Drop("closed")


# Each example is a whole service: to make one smaller that has failed would take minutes, and it says what has failed.
@settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(inbound=st.lists(events(), min_size=20, max_size=60), orders=st.lists(_command(), max_size=5))
def test_nothing_gets_past_a_decision_that_drops_everything(
    tmp_path_factory: pytest.TempPathFactory,
    inbound: Sequence[Event],
    orders: Sequence[tuple[str, dict[str, str]]],
) -> None:
    asyncio.run(_nothing_happens(tmp_path_factory.mktemp("closed"), inbound, orders))


async def _nothing_happens(
    root: Path, inbound: Sequence[Event], orders: Sequence[tuple[str, dict[str, str]]]
) -> None:
    async with serving(root / "data") as (app, platform):
        before, sent = await app.db.read(content), len(platform.sent)
        folders = sorted(str(each) for each in (root / "data").rglob("*") if each.is_dir())
        agents = dict(app.context.roster.items())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(access, "decide", closed)
            for number, event in enumerate(inbound):
                staged = root / f"file{number}"
                staged.write_text("file")
                files = [IncomingFile("f", "text/plain", staged)] if event.kind == "message" else []
                receipt = await app.intake.receive(Event(**{**vars(event), "files": files}))
                assert receipt.state in ("dropped", "refused"), (event, receipt)
                assert receipt.data in (None, []) and receipt.ask is None, (event, receipt)
            for name, arguments in orders:
                with pytest.raises(CommandFailed):
                    await control_client.ask(root / "data" / "control.sock", name.split(), arguments)
            await app.db.write(lambda _: None)
        assert await app.db.read(content) == before
        assert len(platform.sent) == sent
        assert sorted(str(each) for each in (root / "data").rglob("*") if each.is_dir()) == folders
        assert dict(app.context.roster.items()) == agents


async def test_the_same_events_have_effects_where_they_are_decided_upon(tmp_path: Path) -> None:
    """What the test above holds to be nothing is something: each way in changes what is looked at there."""
    route = Route(channel="fake", platform_id="dm1")
    shared = Route(channel="fake", platform_id="c1")
    ways = {
        "message": Event("new", "message", route, OWNER, 1, text="x", direct=True),
        "stranger": Event("new", "message", shared, Sender("10", "Sue"), 1, text="x", mentions_bot=True),
        "edit": Event("new", "edit", route, MEMBER, 1, text="y", about="said"),
        "edit of what waits": Event("new", "edit", shared, STRANGER, 1, text="y", about="held"),
        "delete": Event("new", "delete", route, Sender("", ""), 1, about="said"),
        "delete of what waits": Event("new", "delete", shared, Sender("", ""), 1, about="held"),
        "answer": Event("new", "answer", route, MEMBER, 1, question_id="q1", choice=0),
        "command": Event(
            "new",
            "command",
            route,
            OWNER,
            1,
            command="role grant",
            arguments={"who": "fake:9", "role": "member"},
        ),
    }
    for name, event in ways.items():
        async with serving(tmp_path / name.replace(" ", "-") / "data") as (app, _):
            before = await app.db.read(content)
            receipt: Receipt = await app.intake.receive(event)
            assert await app.db.read(content) != before, (name, receipt)


async def test_what_was_let_through_is_decided_upon_once_more(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as (app, _):
        (approval,) = await app.db.read(approvals.open_ones)
        await app.db.write(lambda db: db.execute("UPDATE held SET admitted = 1"))
        (waiting,) = await app.db.read(partial(held.waiting, approval_id=approval.id))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(access, "decide", closed)
            assert (await app.intake.let_in(waiting)).state == "dropped"
        assert not await app.db.read(lambda db: inbox.known(db, "held"))
        assert (await app.intake.let_in(waiting)).state == "accepted"
