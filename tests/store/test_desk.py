"""The desk over a real outbound.db: what the host can see of a tool that waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from agent.desk import Desk
from agent.protocol import snapshot
from agent.protocol.mailbox import AgentEnd
from agent.protocol.messages import ActionResult, Answer, ChatOut
from agent.protocol.workspace import Workspace
from tests.fakes.mailroom import ROUTE, make_workspace

NOW: Final = 1_700_000_000_000


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "session")


@pytest.fixture
def desk(workspace: Workspace) -> Iterator[Desk]:
    with closing(AgentEnd(workspace)) as end:
        yield Desk(end, workspace, lambda: NOW, lambda: None)


def deadline(workspace: Workspace) -> int | None:
    return snapshot.read(workspace.outbox).tool_deadline


def answered(question_id: str) -> Answer:
    return Answer(question_id=question_id, question="Which?", answer="red")


async def test_of_several_questions_the_one_that_lasts_longest_is_declared(
    desk: Desk, workspace: Workspace
) -> None:
    long = asyncio.create_task(desk.answer("long", NOW + 60_000))
    short = asyncio.create_task(desk.answer("short", NOW + 50_000))
    await asyncio.sleep(0)
    assert (deadline(workspace), desk.busy) == (NOW + 60_000, True)

    assert desk.deliver(answered("short"))
    assert await short == answered("short")
    assert deadline(workspace) == NOW + 60_000

    assert desk.deliver(answered("long"))
    await long
    assert (deadline(workspace), desk.busy) == (None, False)


async def test_an_answer_is_delivered_once_and_only_to_who_waits(desk: Desk) -> None:
    assert not desk.deliver(answered("q"))
    waiting = asyncio.create_task(desk.answer("q", NOW + 60_000))
    await asyncio.sleep(0)
    assert not desk.deliver(answered("another"))
    assert desk.deliver(answered("q"))
    assert not desk.deliver(answered("q"))
    await waiting
    assert not desk.deliver(answered("q"))


async def test_a_question_that_is_given_up_is_declared_no_more(desk: Desk, workspace: Workspace) -> None:
    waiting = asyncio.create_task(desk.answer("q", NOW + 60_000))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (deadline(workspace), desk.busy) == (None, False)


async def test_a_deadline_that_has_passed_is_no_answer(desk: Desk) -> None:
    assert await desk.answer("q", NOW - 1) is None


def test_what_a_tool_sends_belongs_to_the_turn(desk: Desk, workspace: Workspace) -> None:
    with pytest.raises(RuntimeError):
        _ = desk.origin
    desk.open(ROUTE, turn_id="m2", reply_to="m4")
    desk.send(ChatOut(text="psst"), kind="chat", route=desk.origin, message_id="o1")
    (sent,) = snapshot.read(workspace.outbox).messages
    assert (sent.id, sent.turn_id, sent.in_reply_to, sent.route) == ("o1", "m2", "m4", ROUTE)


async def test_a_tool_of_a_runner_that_died_excuses_nobody(workspace: Workspace) -> None:
    with closing(AgentEnd(workspace)) as end:
        end.stage("tool", f'{{"name": "ask_user_question", "deadline": {NOW + 60_000}}}')
        end.hold(["m2"], turn_id="m2")
    assert deadline(workspace) == NOW + 60_000
    with closing(AgentEnd(workspace)) as end:
        Desk(end, workspace, lambda: NOW, lambda: None)
        end.hold(["m2"], turn_id="m2")
    assert deadline(workspace) is None


async def test_what_the_host_says_of_an_action_reaches_who_asked(desk: Desk, workspace: Workspace) -> None:
    waiting = asyncio.create_task(desk.result("a1", NOW + 15_000))
    await asyncio.sleep(0)
    assert desk.busy and not desk.deliver(ActionResult(message_id="a2", ok=True, text="Another."))
    said = ActionResult(message_id="a1", ok=True, text="Done.")
    assert desk.deliver(said)
    assert await waiting == said
    assert not desk.deliver(said), "whoever comes too late finds it in the next prompt"
    assert await desk.result("a3", NOW - 1) is None
