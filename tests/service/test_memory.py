"""What a real agent is told by its folder and by its own notes, at each query."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.protocol.messages import ChatIn, Clear, SetModel, SystemIn
from tests.fakes.runner import Runner, Script, do, running
from tests.service.conftest import House

TELLS = Script().on("told", "{instructions}").on(None, "{prompt}")


def note(runner: Runner, text: str) -> Path:
    path = runner.workspace.work / "MEMORY.md"
    path.write_text(text)
    return path


async def answer(runner: Runner, text: str) -> str:
    """What is answered, in a query of its own that has ended by then."""
    before = len(runner.texts())
    await runner.done(*runner.post(text))
    # An order is carried out when no query runs; this one changes nothing.
    await runner.done(*runner.post(SystemIn(system=SetModel(model=None)), trigger=False))
    return runner.texts()[before]


# ---------------------------------------------------------------- notes


async def test_notes_are_offered_once_in_each_context(tmp_path: Path) -> None:
    async with running(tmp_path, TELLS, idle_ms=600_000) as runner:
        path = note(runner, "Ada likes <tea>")
        memory = f'<memory path="{path}">Ada likes &lt;tea&gt;</memory>'
        assert (await answer(runner, "one")).splitlines()[1] == memory
        note(runner, "changed")
        assert "<memory" not in await answer(runner, "two")
        await runner.done(*runner.post(SystemIn(system=Clear()), trigger=False))
        assert ">changed</memory>" in await answer(runner, "three")
        assert await runner.stop() == 0
        runner.start()
        assert "<memory" not in await answer(runner, "four"), "the context lives on in the next runner"


async def test_a_context_that_begins_with_a_command_has_them_in_its_first_prompt(tmp_path: Path) -> None:
    native = "tests.fakes.providers:NativeProvider"
    async with running(tmp_path, TELLS, idle_ms=600_000, provider=native) as runner:
        note(runner, "noted")
        await runner.done(*runner.post(ChatIn(sender="Ada", text="/cost", native=True)))
        assert runner.texts() == ["/cost"]
        assert ">noted</memory>" in await answer(runner, "one")
        assert "<memory" not in await answer(runner, "two")


async def test_a_context_that_was_lost_is_a_new_one(tmp_path: Path) -> None:
    script = Script().on("again", do("error", message="gone", classification="invalid_session"))
    lost = [{"match": "^again", "steps": script[0]["steps"]}]
    async with running(tmp_path, [*lost, *TELLS], idle_ms=600_000) as runner:
        note(runner, "noted")
        assert ">noted</memory>" in await answer(runner, "one")
        assert await answer(runner, "again") == "gone", "a fresh start did not help either"
        assert ">noted</memory>" in await answer(runner, "two")


@pytest.mark.parametrize("trap", ["fifo", "link", "folder", "huge", "garbage"])
async def test_whatever_lies_in_the_workspace_a_message_is_answered(tmp_path: Path, trap: str) -> None:
    async with running(tmp_path, TELLS, start=False) as runner:
        path = runner.workspace.work / "MEMORY.md"
        match trap:
            case "fifo":
                os.mkfifo(path)
            case "link":
                path.symlink_to("/etc/passwd")
            case "folder":
                path.mkdir()
            case "huge":
                with path.open("wb") as file:
                    file.truncate(2**30)
            case "garbage":
                path.write_bytes(bytes(range(256)) * 10)
        runner.start()
        prompt = await answer(runner, "hello")
        assert ">hello</message>" in prompt
        assert ("<memory" in prompt) is (trap in ("huge", "garbage"))
        assert len(prompt) < 100_000


# ---------------------------------------------------------------- instructions and skills


async def test_the_folder_is_read_at_each_query(tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    (folder / "skills" / "tea").mkdir(parents=True)
    (folder / "INSTRUCTIONS.md").write_text("Be brief.")
    (folder / "skills" / "tea" / "SKILL.md").write_text("---\nname: tea\ndescription: Makes tea.\n---\n")
    async with running(tmp_path, TELLS, idle_ms=600_000, folder=folder, instructions="Configured.") as runner:
        told = await answer(runner, "told")
        assert told.endswith("Configured.\n\nBe brief.")
        assert f"- tea: Makes tea. ({folder}/skills/tea/SKILL.md)" in told
        assert f"{runner.workspace.work}/MEMORY.md" in told
        (folder / "INSTRUCTIONS.md").write_text("Be wordy.")
        assert (await answer(runner, "told")).endswith("Configured.\n\nBe wordy.")
        (folder / "INSTRUCTIONS.md").write_bytes(b"x" * 300_000)
        assert (await answer(runner, "told")).endswith("Configured.")
        assert "INSTRUCTIONS.md has more than 262144 bytes; going on without" in runner.log.read_text()


async def test_each_agent_has_a_folder_in_the_data_folder(house: House) -> None:
    house.script({"steps": [do("result", text="{instructions}")]})
    async with house.open() as p:
        folder = house.data / "agents" / "assistant"
        assert folder.stat().st_mode & 0o777 == 0o755
        (folder / "INSTRUCTIONS.md").write_text("Speak like a pirate.")
        await p.say("hello")
        await p.ends(1)
        assert "".join(p.texts()).endswith("Speak like a pirate.")


async def test_a_configured_folder_is_used_as_it_is(house: House, tmp_path: Path) -> None:
    house.agent["folder"] = tmp_path / "mine"
    house.script({"steps": [do("result", text="{instructions}")]})
    async with house.open() as p:
        assert not (tmp_path / "mine").exists()
        assert not (house.data / "agents").exists()
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "INSTRUCTIONS.md").write_text("Mine.")
        await p.say("hello")
        await p.ends(1)
        assert "".join(p.texts()).endswith("Mine.")
