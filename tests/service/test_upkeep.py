"""What containers cost while they live: paused when they rest, ended when that is too much, killed when they fill the
disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot import upkeep
from bot.posting import NOT_NOW
from bot.turns import NO_ROOM, TOO_LARGE, TOO_MANY_FILES
from tests.service.conftest import House

BACKENDS = ("docker",)
MIB = 1024 * 1024
STALL = {"match": "wait", "steps": [{"do": "stall", "seconds": 60}]}


def states(house: House) -> list[str]:
    """Of the containers that live, as the engine says them."""
    return sorted(str(each["State"]) for each in house.containers.living())


def fill(folder: Path, mib: int) -> None:
    """Takes up room on the disk, as an agent that writes a large file."""
    with (folder / "large").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, mib * MIB)


async def test_a_container_that_rests_is_paused_and_a_message_wakes_it(house: House) -> None:
    house.backend["runner_pause_seconds"] = 0.2
    async with house.open() as p:
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]
        await house.until(lambda: states(house) == ["paused"])
        runner = house.runner()
        await p.say("are you awake?")
        assert await p.replies(2) == ["You said: hello", "You said: are you awake?"]
        assert house.runner() == runner, "the same one"
        await house.until(lambda: states(house) == ["paused"])
        await house.app.containers.stop(house.session_id())
        assert states(house) == []


async def test_who_has_rested_longest_gives_back_the_memory(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "WEIGH_SECONDS", 0.1)
    house.backend |= {"runner_pause_seconds": 0.2, "idle_memory_mb": 58}
    async with house.open() as p:
        for number, place in enumerate(("p1", "p2", "p3"), start=1):
            await p.say("hello", place=place)
            await p.replies(1, place=place)
            await house.until(lambda number=number: len(states(house)) == min(number, 2))  # type: ignore[misc]
        await house.until(lambda: states(house) == ["paused"] * 2)
        assert house.app.containers.of(house.session_id("p1")) is None
        await p.say("still there?", place="p1")
        assert await p.replies(2, place="p1") == ["You said: hello", "You said: still there?"]


async def test_a_conversation_that_outgrows_its_share_of_the_disk_is_ended(house: House) -> None:
    house.agent["limits"] = {"disk_mb": 100}
    house.script(STALL)
    async with house.open() as p:
        await p.say("hello", place="p2")
        await p.replies(1, place="p2")
        await p.say("wait")
        await p.at_work()
        fill(house.workspace().work, 200)
        assert await p.replies(1) == [TOO_LARGE.format(mb=100)]
        assert house.app.containers.of(house.session_id()) is None
        await p.say("are you there?", place="p2")
        assert len(await p.replies(2, place="p2")) == 2, "nobody else feels it"
        (house.workspace().work / "large").unlink()
        await p.say("hello")
        assert (await p.replies(2))[-1] == "You said: hello"


async def test_with_too_little_room_on_the_disk_nothing_is_started_and_nothing_lost(house: House) -> None:
    free = os.statvfs(house.data.parent)
    house.backend["min_free_mb"] = min(MIB, free.f_blocks * free.f_frsize // MIB + 1)
    async with house.open() as p:
        await p.say("hello")
        (said,) = await p.replies(1)
        assert said.startswith(NOT_NOW.split("{", maxsplit=1)[0]) and "MiB left" in said
        assert states(house) == []
    assert house.states() in ({"accepted": 1}, {"posted": 1})
    house.backend["min_free_mb"] = 1
    async with house.open() as p:
        assert await p.replies(2) == [said, "You said: hello"]


async def test_room_that_no_name_stands_for_counts_too(house: House) -> None:
    house.agent["limits"] = {"disk_mb": 100}
    house.script(STALL)
    async with house.open() as p:
        await p.say("wait")
        await p.at_work()
        hold = (
            "import os, time; f = open('/workspace/hidden', 'wb'); os.unlink('/workspace/hidden');"
            f" os.posix_fallocate(f.fileno(), 0, {200 * MIB}); time.sleep(60)"
        )
        house.containers.run(house.runner_name(), ["/opt/roost/bin/python", "-I", "-c", hold])
        assert await p.replies(1) == [TOO_LARGE.format(mb=100)]


async def test_on_a_full_disk_who_may_hide_files_in_sockets_is_ended(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that has no name and lies in a socket is in no folder of /proc; whoever has one there is seen."""
    house.backend["min_free_mb"] = 1
    monkeypatch.setattr(upkeep, "MEASURE_SECONDS", 0.1)
    house.script(STALL)
    async with house.open() as p:
        await p.say("hello", place="p2")
        await p.replies(1, place="p2")
        await p.say("wait")
        await p.at_work()
        send = (
            "import os, time, socket, array; f = open('/workspace/hidden', 'wb'); os.unlink('/workspace/hidden');"
            " s = socket.socketpair(); what = array.array('i', [f.fileno()]);"
            " s[0].sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, what)]); f.close(); time.sleep(60)"
        )
        house.containers.run(house.runner_name(), ["/opt/roost/bin/python", "-I", "-c", send])
        monkeypatch.setattr(upkeep, "_free_mb", lambda folder: 0.0)
        assert await p.replies(1) == [NO_ROOM]
        assert house.app.containers.of(house.session_id("p2")) is not None, "nobody else is ended"


async def test_more_files_than_a_conversation_may_have_end_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "MEASURE_SECONDS", 0.1)
    house.agent["limits"] = {"files": 1_000}
    house.script(STALL)
    async with house.open() as p:
        await p.say("wait")
        await p.at_work()
        for number in range(1_100):
            (house.workspace().work / str(number)).touch()
        assert await p.replies(1) == [TOO_MANY_FILES.format(files=1_000)]
