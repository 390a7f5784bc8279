"""A backup may hold an outbox that is newer than its bot.db: what the restore makes of that."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from agent.protocol.mailbox import AgentEnd, Draft, HostEnd
from agent.protocol.messages import AckStatus, ChatOut, MessageIn
from agent.protocol.workspace import Workspace
from bot.backup.settle import settle
from tests.fakes.rooms import HOME, accept, room

NOW = 1_000


@asynccontextmanager
async def copied(root: Path, *texts: str) -> AsyncIterator[tuple[Path, AgentEnd, list[MessageIn]]]:
    """What a restore has unpacked: bot.db with open messages, and the outbox of an agent that went on."""
    async with room(root) as session:
        messages = [await accept(session, text) for text in texts]
        folder = root / "sessions" / session.id
    for name in ("in", "bell", "out"):
        (folder / name).mkdir(parents=True)
    workspace = Workspace.on_host(folder)
    with closing(HostEnd(workspace.inbound)) as host, closing(AgentEnd(workspace)) as end:
        host.post(messages)
        yield root, end, messages


def answer(end: AgentEnd, *messages: MessageIn, acked: bool = True) -> None:
    """The turn that these messages were."""
    draft = Draft(ChatOut(text="hi"), "chat", HOME, in_reply_to=messages[-1].id, turn_id=messages[0].id)
    acks: dict[str, AckStatus] = {message.id: "completed" for message in messages if acked}
    end.finish(acks, [draft], turn_id=messages[0].id)


def pruned(root: Path) -> None:
    """The agent has dropped its acks: an earlier service had taken them over."""
    (outbound,) = root.glob("sessions/*/out/outbound.db")
    with closing(sqlite3.connect(outbound)) as db:
        db.execute("DELETE FROM processing_ack")
        db.commit()


def states(root: Path) -> dict[str, str]:
    with closing(sqlite3.connect(root / "bot.db")) as db:
        return dict(db.execute("SELECT id, state FROM inbox"))


async def test_an_answer_without_its_ack_stands_for_it_once_a_later_turn_has_answered(tmp_path: Path) -> None:
    async with copied(tmp_path, "one", "two", "three", "four") as (root, end, (one, two, three, four)):
        answer(end, one, two)
        answer(end, three)
    pruned(root)
    settle(root, now=NOW)
    assert states(root) == {one.id: "done", two.id: "done", three.id: "accepted", four.id: "accepted"}


async def test_what_was_said_in_the_middle_of_a_turn_ends_nothing(tmp_path: Path) -> None:
    async with copied(tmp_path, "one", "two") as (root, end, (one, two)):
        answer(end, one, acked=False)
    settle(root, now=NOW)
    assert states(root) == {one.id: "accepted", two.id: "accepted"}


async def test_an_ack_that_is_there_is_left_to_the_service(tmp_path: Path) -> None:
    async with copied(tmp_path, "one", "two") as (root, end, (one, two)):
        answer(end, one)
        answer(end, two)
    settle(root, now=NOW)
    assert states(root) == {one.id: "accepted", two.id: "accepted"}
    with closing(sqlite3.connect(root / "bot.db")) as db:
        assert db.execute("SELECT awake FROM sessions").fetchone() == (1,)
