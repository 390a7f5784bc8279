"""Claude in the whole service: the real CLI behind a real runner, and a stand-in for the model's API in front of it."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from adapters.base import Event
from agent.conversation import FRESH_START
from agent.protocol.clock import now_ms
from agent.turns import EMPTY, STOPPED
from tests.contracts.test_claude_provider import KEY
from tests.fakes.messages_api import Call, MessagesApi, Refuse, Rule, Say, Seen
from tests.fakes.platform import PERSON, FakePlatform
from tests.service.conftest import House

pytestmark = pytest.mark.claude
BACKENDS = ("process", "docker")

ROOT: Final = Path(__file__).parents[2]
TIMEOUT_SECONDS: Final = 60.0
BAD_KEY: Final = "The bot's model key is not accepted; an admin was told."
PNG: Final = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


@pytest.fixture
async def api(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MessagesApi]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    async with MessagesApi() as api:
        house.agent |= {"provider": "claude", "model": "claude-sonnet-5", "model_url": api.url}
        house.backend["allow_unsandboxed"] = True
        yield api
        # The CLI lives in the runner's process group; an API that is gone would only keep it busy.
        house.kill_runners()


def ours(name: str, **arguments: Any) -> Call:
    """A call of one of our tools."""
    return Call(f"mcp__roost__{name}", arguments)


def number(seen: Seen) -> int:
    """Of the message that a tool has just sent."""
    found = re.search(r"#(\d+)", seen.results[-1])
    assert found, seen.results
    return int(found[1])


LOOK_AROUND: Final = (
    "env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n';"
    " grep -rIs sk-ant- $HOME /workspace /session/in /tmp; ls /sys/class/net; echo looked"
)


async def command(p: FakePlatform, name: str, text: str = "") -> None:
    arguments = {"text": text}
    event = Event(p.new_id(), "command", p.route("p1"), PERSON, now_ms(), command=name, arguments=arguments)
    receipt = await p.hand_in(event)
    assert receipt.state == "accepted", receipt


# ---------------------------------------------------------------- talking


@pytest.mark.only("docker", "a child process sees whatever its user may see on this machine")
async def test_the_key_is_seen_by_the_models_server_and_by_nobody_in_the_runner(
    house: House, api: MessagesApi
) -> None:
    api.rules = [Rule("look", [Call("Bash", {"command": LOOK_AROUND}), Say("done")])]
    async with house.open() as p:
        await p.say("look around")
        assert await p.replies(1) == ["done"]
    found = api.seen[-1].results[-1]
    assert "looked" in found and "sk-ant-roost-" in found, "the token stands where a key would"
    assert KEY not in found
    assert {
        value for seen in api.seen for name, value in seen.headers.items() if name.lower() == "x-api-key"
    } == {KEY}
    assert "\nlo\n" in found and "eth" not in found


async def test_an_answer_streams_and_is_delivered_once(house: House, api: MessagesApi) -> None:
    api.rules = [Rule("poem", [Say("Roses are red and so on", pause_seconds=0.05)])]
    async with house.open() as p:
        await p.say("a poem, please")
        assert await p.replies(1) == ["Roses are red and so on"]
        assert len(p.live()) > 1 and "Roses are red and so on".startswith(p.live()[0])
        await p.say("hello")
        assert await p.replies(2) == ["Roses are red and so on", "You said: hello"]
    assert "a poem, please" in json.dumps(api.seen[-1].body["messages"])
    assert f'from="{PERSON.name}"' in api.seen[-1].prompt


async def test_a_turn_is_stopped_and_the_conversation_goes_on(house: House, api: MessagesApi) -> None:
    api.rules = [Rule("story", [Say("word " * 200, pause_seconds=0.1)])]
    async with house.open() as p:
        await p.say("a story")
        await p.until(lambda: bool(p.live()))
        assert await p.interrupt()
        (said,) = await p.replies(1)
        assert said.startswith("word") and said.endswith(STOPPED)
        await p.say("hello")
        assert (await p.replies(2))[1] == "You said: hello"


async def test_what_comes_meanwhile_is_answered_too(house: House, api: MessagesApi) -> None:
    api.rules = [Rule("slow", [Say("one two three four", pause_seconds=0.1)])]
    async with house.open() as p:
        await p.say("slow")
        await p.until(lambda: bool(p.live()))
        await p.say("second")
        assert await p.replies(2) == ["one two three four", "You said: second"]


async def test_memory_outlives_the_runner(house: House, api: MessagesApi) -> None:
    async with house.open() as p:
        await p.say("the word is plum")
        await p.ends(1)
        house.kill()
        await house.until(lambda: not house.runners())
        await p.say("which word?")
        assert (await p.replies(2))[1] == "You said: which word?"
    assert "plum" in json.dumps(api.seen[-1].body["messages"])


async def test_a_memory_that_is_gone_is_said_and_the_message_answered(house: House, api: MessagesApi) -> None:
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        house.kill()
        await house.until(lambda: not house.runners())
        shutil.rmtree(house.folder() / "home" / ".claude")
        await p.say("still there?")
        assert (await p.replies(2))[1] == f"{FRESH_START}You said: still there?"


async def test_a_picture_reaches_the_model(house: House, api: MessagesApi, tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    picture.write_bytes(PNG)
    async with house.open() as p:
        await p.say("what is this?", files=[("cat.png", picture)])
        await p.ends(1)
    kinds = [block["type"] for block in api.seen[-1].blocks]
    assert "image" in kinds and 'name="cat.png"' in api.seen[-1].prompt


async def test_notes_are_offered_to_the_next_memory(house: House, api: MessagesApi) -> None:
    def write(seen: Seen) -> Call:
        path = house.seen().work / "MEMORY.md"
        return Call("Write", {"file_path": str(path), "content": "Ada likes plums."})

    api.rules = [Rule("remember", [write, Say("noted")])]
    async with house.open() as p:
        await p.say("remember that I like plums")
        assert await p.replies(1) == ["noted"]
        await command(p, "clear")
        await p.say("what do I like?")
        await p.replies(2)
    assert "Ada likes plums." in api.seen[-1].prompt and len(api.seen[-1].body["messages"]) <= 2


async def test_an_answer_of_nothing_is_visible(house: House, api: MessagesApi) -> None:
    api.rules = [Rule("nothing", [Say("")]), Rule("no visible output", [Say("")])]
    async with house.open() as p:
        await p.say("say nothing")
        assert await p.replies(1) == [EMPTY]


async def test_native_commands_pass_and_lookalikes_do_not(house: House, api: MessagesApi) -> None:
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        await command(p, "context")
        assert "Context Usage" in (await p.replies(2))[1]
        await command(p, "model", "claude-opus-4-5")
        await p.say("/compactx @/etc/hostname")
        await p.until(lambda: any("compactx" in text for text in p.texts()))
    assert api.seen[-1].body["model"] == "claude-opus-4-5"
    assert Path("/etc/hostname").read_text().strip() not in json.dumps(api.seen[-1].body["messages"])


# ---------------------------------------------------------------- tools


async def test_it_writes_edits_and_reacts(house: House, api: MessagesApi) -> None:
    api.rules = [
        Rule(
            "work",
            [
                ours("send_message", text="working"),
                lambda seen: ours("edit_message", message=number(seen), text="worked"),
                lambda seen: ours("add_reaction", message=_asked(seen), emoji="👍"),
                ours("send_card", title="Report", text="All is well", fallback_text="Report: all is well"),
                Say("{result}"),
            ],
        )
    ]
    async with house.open() as p:
        await p.say("do the work")
        await p.ends(1)
        sent = [part.outgoing for part in p.sent]
    assert next(each.text for each in sent) == "working"
    assert [each.text for each in sent if each.edit] == ["worked"]
    (reaction,) = [each.reaction for each in sent if each.reaction]
    assert reaction.emoji == "👍"
    (card,) = [each.card for each in sent if each.card]
    assert (card.title, card.text) == ("Report", "All is well")


async def test_it_sends_a_file_from_its_workspace(house: House, api: MessagesApi) -> None:
    api.rules = [
        Rule(
            "report",
            [
                Call("Bash", {"command": "printf total:42 > report.txt"}),
                ours("send_file", path="report.txt", text="Here"),
                Say("done"),
            ],
        )
    ]
    async with house.open() as p:
        await p.say("a report")
        await p.ends(1)
        (part,) = [part for part in p.sent if part.file]
    assert part.file is not None
    assert (part.file.name, part.file.data) == ("report.txt", b"total:42")


async def test_it_plans_changes_and_cancels(house: House, api: MessagesApi) -> None:
    def known(seen: Seen) -> str:
        found = re.search(r"Scheduled as ([0-9a-f]+)", "\n".join(seen.results))
        assert found, seen.results
        return found[1]

    api.rules = [
        Rule(
            "remind",
            [
                ours(
                    "schedule_task", prompt="water", recurrence="every monday at 8", timezone="Europe/Athens"
                ),
                ours("list_tasks"),
                lambda seen: ours("update_task", id=known(seen), prompt="water the plants"),
                lambda seen: ours("pause_task", id=known(seen)),
                lambda seen: ours("resume_task", id=known(seen)),
                lambda seen: ours("cancel_task", id=known(seen)),
                Say("done"),
            ],
        )
    ]
    async with house.open() as p:
        await p.say("remind me")
        await p.ends(1)
    (row,) = house.query("SELECT prompt, status, created_by FROM series")
    assert (row["prompt"], row["status"]) == ("water the plants", "cancelled")
    assert len(api.seen[-1].results) == 6 and "Europe/Athens" in api.seen[-1].results[0]


async def test_wrong_arguments_are_answered_so_that_the_model_can_mend_them(
    house: House, api: MessagesApi
) -> None:
    api.rules = [
        Rule("wrong", [ours("send_message", to=7), ours("send_message", text="x", to="moon"), Say("ok")])
    ]
    async with house.open() as p:
        await p.say("wrong")
        assert await p.replies(1) == ["ok"]
    first, second = api.seen[-1].results
    assert "text" in first and "There is no destination 'moon'" in second


async def test_a_question_is_answered_after_the_service_was_restarted(house: House, api: MessagesApi) -> None:
    ask = ours("ask_user_question", title="Deploy", question="Now?", options=["Yes", "No"])
    api.rules = [Rule("deploy", [ask, Say("You decided: {result}")])]
    async with house.open() as p:
        await p.say("deploy")
        await p.until(lambda: any(part.outgoing.question for part in p.sent))
        runner = house.runner()
    async with house.open() as p:
        (question,) = [part.outgoing.question for part in p.sent if part.outgoing.question]
        receipt = await p.answer(question.id, "Yes")
        assert receipt.state == "accepted"
        await p.until(lambda: any("You decided" in text for text in p.texts()))
        assert house.runner() == runner
    assert "Yes" in p.texts()[-1]


# ---------------------------------------------------------------- failures


async def test_a_long_command_excuses_silence_while_it_runs(house: House, api: MessagesApi) -> None:
    api.rules = [Rule("build", [Call("Bash", {"command": "sleep 4; echo built"}), Say("{result}")])]
    async with house.open() as p:
        await p.say("build it")
        session = await house.app.sessions.get(house.session_id())
        await house.until(lambda: session.tool_until is not None)
        assert p.texts() == []
        assert await p.replies(1) == ["built"]
        await p.say("hello")
        await p.ends(2)
        await house.until(lambda: session.tool_until is None)


async def test_a_key_that_is_not_accepted_is_said_and_told_to_an_admin(
    house: House, api: MessagesApi
) -> None:
    api.keys = ["another"]
    async with house.open() as p:
        await p.say("hello")
        assert await p.replies(1) == [BAD_KEY]
        await house.until(lambda: bool(house.query("SELECT 1 FROM problems")))
        api.keys = None
        await p.say("again")
        assert (await p.replies(2))[1].endswith("You said: again")
        await house.until(lambda: not house.query("SELECT 1 FROM problems"))


async def test_a_long_wait_is_said_once_and_the_answer_comes_later(house: House, api: MessagesApi) -> None:
    refusal = Refuse(429, "rate_limit_error", retry_after=11, times=1)
    api.rules = [Rule("busy", [refusal, Say("at last")])]
    async with house.open() as p:
        await p.say("busy?")
        first, second = await p.replies(2)
    assert "I will answer as soon as it lets me" in first
    assert second == "at last"


async def test_a_cli_that_is_killed_costs_nobody_an_answer(house: House, api: MessagesApi) -> None:
    marker = house.data / "killed"

    def kill(seen: Seen) -> Call | Say:
        if marker.exists():
            return Say("survived")
        marker.touch()
        return Call("Bash", {"command": "kill -9 $PPID"})

    api.rules = [Rule("die", [kill])]
    async with house.open() as p:
        await p.say("die")
        await p.until(lambda: any("survived" in text for text in p.texts()))


@pytest.mark.only("docker", "a plain process shares its network with everybody")
async def test_the_key_is_seen_by_the_api_alone(house: House, api: MessagesApi) -> None:
    look = "cat /proc/[0-9]*/environ | tr '\\0' '\\n'; echo networks: $(ls /sys/class/net)"
    api.rules = [Rule("look", [Call("Bash", {"command": look}), Say("{result}")])]
    api.keys = [KEY]
    async with house.open() as p:
        await p.say("look around")
        await p.ends(1)
        seen = "".join(p.texts())
        assert "networks: lo" in seen and "ANTHROPIC_API_KEY=" in api.seen[-1].results[-1]
        made = json.dumps(house.containers.inspect(house.runner_name()))
        assert '"NetworkMode": "none"' in made
    assert {each.headers.get("x-api-key") for each in api.seen} == {KEY}
    files = [path.read_bytes() for path in house.folder().rglob("*") if path.is_file()]
    assert files and KEY not in seen + made + house.logs() + json.dumps(api.seen[-1].results)
    assert not any(KEY.encode() in content for content in files)


# ---------------------------------------------------------------- as a person tries it


async def at_the_terminal(api: MessagesApi, folder: Path, said: str) -> str:
    """What a piped `roost run` prints, which has to end well."""
    roost = str(Path(sys.executable).with_name("roost"))
    process = await asyncio.create_subprocess_exec(
        *(roost, "run", "--provider", "claude", "--model-url", api.url, "--allow-unsandboxed"),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ROOST_BACKEND__KIND": "process"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            out, err = await process.communicate(said.encode())
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.only("process", "it is about who has no engine")
async def test_it_is_tried_without_a_key_of_ones_own(house: House, api: MessagesApi, tmp_path: Path) -> None:
    said = await at_the_terminal(api, tmp_path, "hello\nhow are you\n")
    assert said == "You said: hello\nYou said: how are you\n"


@pytest.mark.only("process", "it is about who has no engine")
async def test_every_tool_is_seen_at_the_terminal(house: House, api: MessagesApi, tmp_path: Path) -> None:
    api.rules = [
        Rule(
            "work",
            [
                ours("send_message", text="working"),
                lambda seen: ours("edit_message", message=number(seen), text="worked"),
                lambda seen: ours("add_reaction", message=_asked(seen), emoji="👍"),
                ours("send_card", title="Report", text="All is well", fallback_text="Report: all is well"),
                Call("Bash", {"command": "printf total > report.txt"}),
                ours("send_file", path="report.txt"),
                ours("schedule_task", prompt="water", recurrence="every monday at 8", timezone="UTC"),
                ours("list_tasks"),
                ours("ask_user_question", title="Go on", question="Sure?", options=["Yes", "No"]),
                Say("{result}"),
            ],
        )
    ]
    said = await at_the_terminal(api, tmp_path, "do the work\n1\n")
    assert said.splitlines() == [
        "working",
        '(edited "working") worked',
        '(👍 on "do the work")',
        "┌ Report",
        "│ All is well",
        "└",
        str(tmp_path / "data" / "downloads" / "report.txt"),
        "Go on",
        "Sure?",
        "  1. Yes",
        "  2. No",
        "Answer with a number or its words.",
        f"{getpass.getuser()} answered: Yes",
    ]
    assert (tmp_path / "data" / "downloads" / "report.txt").read_text() == "total"
    planned, listed = api.seen[-1].results[6:8]
    assert "Monday 8:00 UTC" in planned and "water" in listed


def _asked(seen: Seen) -> int:
    found = re.search(r'<message id="(\d+)"', seen.prompt)
    assert found, seen.prompt
    return int(found[1])
