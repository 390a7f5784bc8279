"""The folders of the host that an agent asks for, as it finds them in its container."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot.posting import CANNOT_START
from tests.service.conftest import House

BACKENDS = ("docker",)

FOLDERS = {"read": (False, True), "written": (True, True), "asked": (True, False)}
"""By their names: whether the agent asks to write there, and whether the list allows it."""


@pytest.fixture
def allow_list(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list, with all the folders that the agent asks for."""
    file = tmp_path / "config" / "roost" / "mounts.toml"
    file.parent.mkdir(parents=True)
    rules, mounts = [], []
    for name, (asked, allowed) in FOLDERS.items():
        folder = tmp_path / "shared" / name
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        rules.append(f'[[allow]]\npath = "{folder}"\nwritable = {str(allowed).lower()}\n')
        mounts.append({"source": folder, "writable": asked})
    file.write_text("".join(rules))
    file.chmod(0o600)
    house.agent["mounts"] = mounts
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return file


async def test_what_both_sides_say_is_what_the_container_gets(house: House, allow_list: Path) -> None:
    async with house.open() as p:
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]
        found = house.containers.inspect(house.runner_name())["Mounts"]
        writable = {
            each["Destination"]: each["RW"] for each in found if each["Destination"].startswith("/mnt")
        }
        assert writable == {"/mnt/read": False, "/mnt/written": True, "/mnt/asked": False}
        touch = [f"touch /mnt/{name}/file" for name in FOLDERS]
        house.containers.run(house.runner_name(), ["sh", "-c", "; ".join([*touch, "touch /workspace/done"])])
        await house.until((house.workspace().work / "done").exists)
    shared = allow_list.parents[2] / "shared"
    assert [each.name for each in shared.glob("*/file")] == ["file"]
    assert (shared / "written" / "file").exists()


async def test_what_no_list_allows_any_more_starts_no_container(house: House, allow_list: Path) -> None:
    async with house.open() as p:
        await p.say("hello", place="p2")
        await p.ends(1, place="p2")
        await asyncio.to_thread(allow_list.write_text, "")
        await p.say("hello")
        assert await p.replies(1) == [CANNOT_START]
        (problem,) = house.query("SELECT detail FROM problems")
        assert "shared/read" in problem["detail"]
        assert len(house.runners()) == 1
