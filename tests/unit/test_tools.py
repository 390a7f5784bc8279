from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.messages import (
    Action,
    ActionOut,
    AddReaction,
    Answer,
    AskQuestion,
    Attachment,
    Card,
    CardField,
    ChangeTask,
    ChatOut,
    EditMessage,
    Route,
    Schedule,
    ScheduleTask,
    UpdateTask,
)
from agent.protocol.requests import (
    AddMcpServer,
    CreateAgent,
    InstallPackages,
    RequestDestination,
    RequestHost,
    RequestMount,
    RunCommand,
)
from agent.providers.base import Tool
from agent.tools import build
from agent.tools.actions import ANSWER_MS, LATER
from agent.tools.messages import MAX_FILE_BYTES, MAX_NAME_BYTES, safe_name
from tests.fakes.desk import NOW_MS, OPS, ORIGIN, FakeDesk, Sent

NAMES = [
    "send_message",
    "send_file",
    "edit_message",
    "add_reaction",
    "send_card",
    "ask_user_question",
    "schedule_task",
    "list_tasks",
    "update_task",
    "pause_task",
    "resume_task",
    "cancel_task",
    "install_packages",
    "add_mcp_server",
    "create_agent",
    "request_destination",
    "request_host",
    "request_mount",
    "run_command",
]


@pytest.fixture
def desk(tmp_path: Path) -> FakeDesk:
    return FakeDesk(tmp_path)


def tool(desk: FakeDesk, name: str) -> Tool:
    return {each.name: each for each in build(desk)}[name]


async def call(desk: FakeDesk, tool_name: str, /, **arguments: Any) -> str:
    return await tool(desk, tool_name)(arguments)


def files(desk: FakeDesk) -> list[Path]:
    return [path for path in desk.workspace.outbox.rglob("*") if path.is_file()]


def test_tools_describe_themselves(desk: FakeDesk) -> None:
    tools = build(desk)
    assert [each.name for each in tools] == NAMES
    for each in tools:
        assert each.description
        assert each.parameters["type"] == "object"
        assert each.parameters["additionalProperties"] is False
    assert tool(desk, "ask_user_question").parameters["required"] == ["title", "question"]
    assert tool(desk, "send_card").parameters["required"] == ["title", "fallback_text"]
    assert "anyOf" not in tool(desk, "edit_message").parameters["properties"]["message"]
    assert "origin-id" not in repr([(each.description, each.parameters) for each in tools])


async def test_a_message_goes_to_the_origin(desk: FakeDesk) -> None:
    assert await call(desk, "send_message", text="still looking") == "Sent as message #1."
    assert desk.sent == [Sent(ChatOut(text="still looking"), "chat", ORIGIN, None)]


async def test_a_message_goes_to_a_destination(desk: FakeDesk) -> None:
    await call(desk, "send_message", text="deploying", to="ops")
    assert desk.sent[0].route == OPS


async def test_the_origin_is_that_of_the_call(desk: FakeDesk) -> None:
    send = tool(desk, "send_message")
    desk.origin = Route(channel="terminal", platform_id="another")
    await send({"text": "x"})
    assert desk.sent[0].route.platform_id == "another"


@pytest.mark.parametrize("name", ["send_message", "send_file"])
async def test_an_unknown_destination_is_answered_with_the_known_ones(desk: FakeDesk, name: str) -> None:
    arguments = {"text": "x", "to": "nowhere"} | ({"path": "a.txt"} if name == "send_file" else {})
    answer = await call(desk, name, **arguments)
    assert "'nowhere'" in answer and "Known: ops" in answer
    assert "ops-id" not in answer
    assert desk.sent == []


@pytest.mark.parametrize(
    ("name", "arguments", "hint"),
    [
        ("send_message", {}, "text: Field required"),
        ("send_message", {"text": ""}, "text: "),
        ("send_message", {"text": "\ud800"}, "text: "),
        ("send_message", {"text": "x", "channel": "C1"}, "channel: "),
        ("send_file", {"path": 7}, "path: "),
        ("ask_user_question", {"title": "t", "question": "q", "options": "yes"}, "options: "),
        ("ask_user_question", {"title": "t", "question": "q", "options": [""] * 2}, "options.1: "),
        ("ask_user_question", {"title": "t", "question": "q", "timeout_seconds": 0}, "timeout_seconds: "),
        ("edit_message", {"message": "the last", "text": "x"}, "message: "),
        ("edit_message", {"message": 0, "text": "x"}, "message: "),
        ("edit_message", {"message": 5, "text": ""}, "text: "),
        ("add_reaction", {"message": 4, "emoji": "x" * 65}, "emoji: "),
        ("send_card", {"title": "t"}, "fallback_text: Field required"),
        ("send_card", {"title": "t", "fallback_text": "f", "fields": [{"name": "a"}]}, "fields.0.value: "),
        ("schedule_task", {"prompt": "p"}, "either `when`"),
        ("schedule_task", {"prompt": "p", "when": "at 8", "recurrence": "daily at 8"}, "either `when`"),
        ("schedule_task", {"prompt": "", "when": "at 8"}, "prompt: "),
        ("update_task", {"id": "a1"}, "what is to be changed"),
        ("update_task", {"id": "a1", "when": "at 8", "recurrence": "daily at 8"}, "either `when`"),
        ("cancel_task", {}, "id: Field required"),
        ("install_packages", {"reason": "r"}, "Name the packages"),
        ("install_packages", {"apt": ["rm -rf"], "reason": "r"}, "apt.0: "),
        ("install_packages", {"pip": ["--target=x"], "reason": "r"}, "pip.0: "),
        ("install_packages", {"apt": ["jq"] * 51, "reason": "r"}, "apt: "),
        ("add_mcp_server", {"name": "a b", "config": {"url": "x"}, "reason": "r"}, "name: "),
        ("add_mcp_server", {"name": "a", "config": {}, "reason": "r"}, "config: "),
        ("add_mcp_server", {"name": "a", "config": {"a": "x" * 20_000}, "reason": "r"}, "config: "),
        ("create_agent", {"name": "Big", "instructions": "i", "reason": "r"}, "name: "),
        ("create_agent", {"name": "big", "instructions": "i"}, "reason: Field required"),
        ("request_host", {"host": "a.org", "ports": [0], "reason": "r"}, "ports.0: "),
        ("request_mount", {"source": "", "reason": "r"}, "source: "),
        ("run_command", {"command": "status", "arguments": {"a": 1}, "reason": "r"}, "arguments.a: "),
        ("request_destination", {"name": "a b", "place": "x", "reason": "r"}, "name: "),
        ("list_tasks", {"all": True}, "all: "),
    ],
)
async def test_bad_arguments_are_answered(
    desk: FakeDesk, name: str, arguments: dict[str, Any], hint: str
) -> None:
    answer = await call(desk, name, **arguments)
    assert answer.startswith(f"{name} was not done")
    assert hint in answer
    assert desk.sent == []


async def test_a_file_is_copied_beside_its_row(desk: FakeDesk) -> None:
    (desk.workspace.work / "notes.txt").write_text("twelve bytes")
    answer = await call(desk, "send_file", path="notes.txt", text="here", to="ops")
    assert answer == "Sent notes.txt (12 bytes) as message #1."
    attachment = Attachment(name="notes.txt", media_type="text/plain", size=12, path="notes.txt")
    assert desk.sent == [Sent(ChatOut(text="here", attachments=[attachment]), "chat", OPS, "id-1")]
    assert (desk.workspace.sent("id-1") / "notes.txt").read_text() == "twelve bytes"


async def test_a_file_is_in_place_and_synced_before_its_row(
    desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.workspace.work / "a").write_text("a")
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        assert desk.sent == []
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    await call(desk, "send_file", path="a")
    folder = desk.workspace.sent("id-1")
    assert synced == [str(path) for path in (folder / "a", folder, folder.parent, folder.parent.parent)]
    assert len(desk.sent) == 1


async def test_a_file_is_sent_as_it_was(desk: FakeDesk, tmp_path: Path) -> None:
    source = tmp_path / "elsewhere.txt"
    source.write_text("before")
    await call(desk, "send_file", path=str(source))
    source.write_text("after!")
    assert (desk.workspace.sent("id-1") / "elsewhere.txt").read_text() == "before"


async def test_a_new_name_cannot_leave_the_folder(desk: FakeDesk) -> None:
    (desk.workspace.work / "a").write_text("a")
    await call(desk, "send_file", path="a", filename="../../../etc/passwd\n")
    assert files(desk) == [desk.workspace.sent("id-1") / "_.._.._etc_passwd_"]


async def test_a_file_at_the_limit_is_sent_and_one_beyond_is_not(desk: FakeDesk) -> None:
    for name, size in (("fits", MAX_FILE_BYTES), ("large", MAX_FILE_BYTES + 1)):
        with (desk.workspace.work / name).open("wb") as file:
            file.truncate(size)
    assert f"({MAX_FILE_BYTES} bytes)" in await call(desk, "send_file", path="fits")
    assert "larger than 25 MiB" in await call(desk, "send_file", path="large")
    assert len(desk.sent) == 1
    assert [path.name for path in files(desk)] == ["fits"]
    assert not desk.workspace.sent("id-2").exists()


@pytest.mark.parametrize(
    ("path", "reason"),
    [("gone", "No such file"), (".", "not a regular file"), ("fifo", "not a regular file"), ("a\0b", "null")],
)
async def test_what_cannot_be_sent_is_answered(desk: FakeDesk, path: str, reason: str) -> None:
    os.mkfifo(desk.workspace.work / "fifo")
    async with asyncio.timeout(10):
        answer = await call(desk, "send_file", path=path)
    assert answer.startswith("send_file was not done.") and reason in answer
    assert desk.sent == [] and files(desk) == []


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("Bericht März.pdf", "Bericht März.pdf"),
        ("..", "file"),
        ("", "file"),
        ("a/b\\c:d", "a_b_c_d"),
        ("nul\0\ud800\n.txt", "nul___.txt"),
        (".hidden. ", "hidden"),
        ("ä" * 300 + ".tar", "ä" * 98 + ".tar"),
        ("x." + "y" * 300, "x." + "y" * 198),
    ],
)
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert len(safe.encode()) <= MAX_NAME_BYTES


async def test_a_question_is_asked_where_the_turn_came_from(desk: FakeDesk) -> None:
    desk.replies = [Answer(question_id="id-1", question="Now?", answer="Yes", answered_by="Ada")]
    answer = await call(
        desk, "ask_user_question", title="Deploy", question="Now?", options=["Yes", "No"], timeout_seconds=60
    )
    assert answer == "Ada answered: Yes"
    question = AskQuestion(
        question_id="id-1",
        title="Deploy",
        question="Now?",
        options=["Yes", "No"],
        expires_at=NOW_MS + 60_000,
    )
    assert desk.sent == [Sent(ActionOut(do=question), "action", ORIGIN, None)]
    assert desk.asked == [("id-1", NOW_MS + 60_000)]


@pytest.mark.parametrize("reply", [None, Answer(question_id="id-1", question="Now?", answer=None)])
async def test_a_question_that_nobody_answers(desk: FakeDesk, reply: Answer | None) -> None:
    desk.replies = [reply]
    answer = await call(desk, "ask_user_question", title="Deploy", question="Now?")
    assert answer == "Nobody answered within 300 seconds."
    assert desk.asked == [("id-1", NOW_MS + 300_000)]


async def test_an_anonymous_answer(desk: FakeDesk) -> None:
    desk.replies = [Answer(question_id="id-1", question="Now?", answer="Yes")]
    assert await call(desk, "ask_user_question", title="t", question="Now?") == "Somebody answered: Yes"


# ---------------------------------------------------------------- what only the host can do

DOES: list[tuple[str, dict[str, Any], Action]] = [
    ("edit_message", {"message": 5, "text": "new"}, EditMessage(message=5, text="new")),
    ("edit_message", {"message": "#5", "text": "new"}, EditMessage(message=5, text="new")),
    ("add_reaction", {"message": "4", "emoji": "👍"}, AddReaction(message=4, emoji="👍")),
    (
        "schedule_task",
        {"prompt": "look", "recurrence": "daily at 8", "timezone": "Europe/Athens", "script": "true"},
        ScheduleTask(prompt="look", recurrence="daily at 8", timezone="Europe/Athens", script="true"),
    ),
    ("update_task", {"id": "a1", "script": ""}, UpdateTask(series_id="a1", script="")),
    ("pause_task", {"id": "a1"}, ChangeTask(action="pause_task", series_id="a1")),
    ("resume_task", {"id": "a1"}, ChangeTask(action="resume_task", series_id="a1")),
    ("cancel_task", {"id": "a1"}, ChangeTask(action="cancel_task", series_id="a1")),
    (
        "install_packages",
        {"apt": ["ripgrep"], "pip": ["pandas==2.3.0"], "reason": "to count"},
        InstallPackages(apt=["ripgrep"], pip=["pandas==2.3.0"], reason="to count"),
    ),
    (
        "add_mcp_server",
        {"name": "git", "config": {"command": "git-mcp", "args": ["-q"]}, "reason": "to read"},
        AddMcpServer(name="git", config={"command": "git-mcp", "args": ["-q"]}, reason="to read"),
    ),
    (
        "create_agent",
        {"name": "researcher", "instructions": "Look things up.", "reason": "to look up"},
        CreateAgent(name="researcher", instructions="Look things up.", reason="to look up"),
    ),
    (
        "request_destination",
        {"name": "news", "place": "<#7>", "reason": "to tell"},
        RequestDestination(name="news", place="<#7>", reason="to tell"),
    ),
    (
        "request_host",
        {"host": "api.github.com", "ports": [443], "reason": "to read"},
        RequestHost(host="api.github.com", ports=[443], reason="to read"),
    ),
    (
        "request_mount",
        {"source": "/srv/data", "reason": "to read"},
        RequestMount(source="/srv/data", reason="to read"),
    ),
    (
        "run_command",
        {"command": "schedule create", "arguments": {"prompt": "look"}, "reason": "to look"},
        RunCommand(command="schedule create", arguments={"prompt": "look"}, reason="to look"),
    ),
]


@pytest.mark.parametrize(("name", "arguments", "action"), DOES)
async def test_an_action_is_asked_for_and_answered_by_the_host(
    desk: FakeDesk, name: str, arguments: dict[str, Any], action: Action
) -> None:
    desk.results = [(True, "It is done."), (False, "It cannot be done."), None]
    assert await call(desk, name, **arguments) == "It is done."
    assert desk.sent == [Sent(ActionOut(do=action), "action", ORIGIN, "id-1")]
    assert desk.asked == [("id-1", NOW_MS + ANSWER_MS)]
    assert await call(desk, name, **arguments) == f"{name} was not done. It cannot be done."
    assert await call(desk, name, **arguments) == LATER


async def test_a_card_has_a_text_for_channels_without_cards(desk: FakeDesk) -> None:
    answer = await call(
        desk, "send_card", title="Build 7", text="All green", fields=[{"name": "Took", "value": "3 min"}],
        fallback_text="Build 7: all green", to="ops",
    )  # fmt: skip
    assert answer == "Sent as message #1."
    card = Card(title="Build 7", text="All green", fields=[CardField(name="Took", value="3 min")])
    assert desk.sent == [Sent(ChatOut(text="Build 7: all green", card=card), "chat", OPS, None)]


async def test_what_is_scheduled_is_listed(desk: FakeDesk) -> None:
    assert await call(desk, "list_tasks") == "Nothing is scheduled in this conversation."
    first = Schedule(
        series_id="a1", prompt="say\nhello " + "x" * 500, recurrence="Monday 8:00 Europe/Athens",
        timezone="Europe/Athens", status="active", next_at=NOW_MS,
    )  # fmt: skip
    second = first.model_copy(
        update={"series_id": "b2", "status": "paused", "next_at": None, "recurrence": None}
    )
    desk.planned = [first, second, first.model_copy(update={"timezone": "Nowhere/Land"})]
    lines = (await call(desk, "list_tasks")).splitlines()
    assert lines[0].startswith("a1: Monday 8:00 Europe/Athens; next 2023-11-15 00:13 EET: say hello xx")
    assert len(lines[0]) < 300 and lines[0].endswith("…")
    assert lines[1].startswith("b2: at a time that cannot be told any more; paused: say hello")
    assert "next 2023-11-14 22:13 UTC" in lines[2]
    desk.planned = None
    assert (await call(desk, "list_tasks")).startswith("list_tasks was not done.")
