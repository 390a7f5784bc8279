"""What a task's script decides, and real scripts that keep to no limit."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.messages import ChatIn, ContentIn, TaskIn
from agent.scripts import TAIL_BYTES, Limits, Outcome, Rest, Wake, run, script_of, verdict
from tests.fakes.mailroom import Rows

TIMEOUT_SECONDS = 20
NEITHER = "The script said neither that there is something to do nor that there is not."
SHORT = Limits(seconds=0.4)
ENV = {"PATH": os.environ["PATH"], "HOME": "/home/agent", "LANG": "C.UTF-8"}
SECRETS = {"AGENT_SESSION": "s1", "ANTHROPIC_API_KEY": "made-up", "GITHUB_TOKEN": "made-up", "OTHER": "x"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def said(*lines: str) -> Outcome:
    return Outcome(code=0, output="\n".join(lines))


def woken(outcome: Outcome) -> Wake:
    decided = verdict(outcome)
    assert isinstance(decided, Wake)
    return decided


# ---------------------------------------------------------------- the verdict


@pytest.mark.parametrize(
    ("lines", "decided"),
    [
        (['{"wake": false}'], Rest()),
        (['{"wake": true}'], Wake()),
        (['{"wake": true, "data": null}'], Wake()),
        (['{"wake": true, "data": "</task>"}'], Wake(data='"</task>"')),
        (['{"wake": true, "data": {"é": [1]}}'], Wake(data='{"é": [1]}')),
        (['{"wake": true, "data": 0}'], Wake(data="0")),
        (["looking", '{"wake": false}', "done", ""], Rest()),
        (['{"wake": true}', '  {"wake": false} \r'], Rest()),
        (['{"wake": false}', '{"wake": true, "data": 1}'], Wake(data="1")),
        (['{"wake": false}', '{"wake": "yes"}', '{"wake": 1}', '{"wake"', "[]", '{"data": 1}'], Rest()),
        (['{"more": 1, "wake": false, "data": 1}'], Rest()),
    ],
)
def test_the_last_line_that_is_a_verdict_decides(lines: list[str], decided: Rest | Wake) -> None:
    assert verdict(said(*lines)) == decided


@given(json_values, st.lists(st.text().filter(lambda line: '"wake"' not in line)))
def test_any_data_arrives_as_it_was_said(data: Any, noise: list[str]) -> None:
    line = json.dumps({"wake": True, "data": data})
    found = woken(said(*noise, line, *noise))
    assert (None if found.data is None else json.loads(found.data)) == data
    assert found.problem is None


@given(st.builds(Outcome, st.integers(-64, 255) | st.none(), st.text(), st.text(), st.none() | st.text()))
def test_only_a_verdict_lets_the_model_sleep(outcome: Outcome) -> None:
    assert woken(outcome).problem


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (said(), f"{NEITHER} Its output is empty."),
        (said("hm"), f"{NEITHER} The end of its output:\nhm"),
        (Outcome(3, complaints="oh\n"), "The script exited with status 3. The end of its stderr:\noh"),
        (Outcome(3, '{"wake": false}'), "The script exited with status 3. Its stderr is empty."),
        (Outcome(-11), "The script was ended by signal 11. Its stderr is empty."),
        (Outcome(-9, '{"wake": false}', "e", "ran away"), "The script ran away. The end of its stderr:\ne"),
    ],
)
def test_what_went_wrong_is_told(outcome: Outcome, problem: str) -> None:
    assert verdict(outcome) == Wake(problem=problem)


def test_a_verdict_that_no_parser_survives_is_none() -> None:
    deep = '{"wake": ' + "[" * 200_000 + "}"
    long = '{"wake": false, "data": ' + "9" * 10_000 + "}"
    assert woken(said(deep, long)).problem
    begun = time.monotonic()
    assert woken(said(*['{"wake"}'] * 100_000)).problem
    assert time.monotonic() - begun < 5


def test_of_what_it_said_the_end_is_told() -> None:
    problem = woken(said("x" * 5_000 + "end")).problem
    assert problem is not None and problem.endswith("end") and len(problem) < TAIL_BYTES + 200


@pytest.mark.parametrize(
    ("content", "script"),
    [
        (TaskIn(prompt="p", script="exit"), "exit"),
        (TaskIn(prompt="p", script=""), None),
        (TaskIn(prompt="p"), None),
        (ChatIn(sender="Ada", text="p"), None),
    ],
)
def test_which_message_brings_a_script(content: ContentIn, script: str | None) -> None:
    rows = Rows()
    message = rows.make(content)
    brought = script_of([rows.make("aside", trigger=False), message])
    assert brought == (None if script is None else (message.id, script))


# ---------------------------------------------------------------- real scripts


async def ran(
    script: str, work: Path, *, limits: Limits | None = None, env: dict[str, str] | None = None
) -> Outcome:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        return await run(script, work, env=env or ENV, limits=limits or Limits())


def alive(pid_file: Path) -> bool:
    pid = pid_file.read_text().strip()
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def gone(pid_file: Path) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while alive(pid_file):  # noqa: ASYNC110 - a process that is being killed rings no bell.
            await asyncio.sleep(0.005)


async def test_a_script_runs_in_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "seen").write_text("7")
    assert await ran('cat seen; echo oops >&2; echo; echo "$0" > "name"; pwd', tmp_path) == Outcome(
        0, f"7\n{tmp_path}\n", "oops\n"
    )
    assert (tmp_path / "name").exists()


@pytest.mark.parametrize(
    ("script", "output"),
    [
        (f"#!{sys.executable}\nprint(6 * 7)\n", "42\n"),
        (f"#! {sys.executable}  -c  \nprint(6 * 7)\n", None),
        ("#!/usr/bin/env python3\nimport sys; print(sys.version_info.major)\n", "3\n"),
        ("#!\necho shell", "shell\n"),
        ("# a comment\necho shell", "shell\n"),
    ],
)
async def test_its_first_line_may_name_another_interpreter(
    tmp_path: Path, script: str, output: str | None
) -> None:
    found = await ran(script, tmp_path)
    assert found.output == output if output is not None else found.code != 0


async def test_it_sees_no_key_and_none_of_our_settings(tmp_path: Path) -> None:
    found = await ran("env", tmp_path, env={**ENV, **SECRETS})
    assert "HOME=/home/agent" in found.output
    assert not [name for name in SECRETS if f"{name}=" in found.output]


async def test_it_inherits_no_descriptor_of_ours(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        found = await ran("ls -l /proc/self/fd", tmp_path)
    assert found.code == 0 and "secret" not in found.output


async def test_one_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    script = "sleep 600 & echo $! > child; echo $$ > me; echo begun; wait"
    found = await ran(script, tmp_path, limits=Limits(seconds=1.0))
    assert found.failure == "was still running after 1 s, and was killed"
    assert found.output == "begun\n"
    await gone(tmp_path / "child")
    await gone(tmp_path / "me")


async def test_one_that_asks_for_a_signal_to_be_ignored_is_killed_all_the_same(tmp_path: Path) -> None:
    found = await ran("trap '' TERM INT HUP; while :; do sleep 0.05; done", tmp_path, limits=SHORT)
    assert found.failure is not None


async def test_children_that_are_left_behind_are_killed_and_not_waited_for(tmp_path: Path) -> None:
    begun = time.monotonic()
    found = await ran("sleep 600 & echo $! > child; echo '{\"wake\": false}'", tmp_path)
    assert verdict(found) == Rest()
    assert time.monotonic() - begun < 10
    await gone(tmp_path / "child")


@pytest.mark.parametrize("stream", ["", ">&2"])
async def test_one_that_prints_without_end_is_killed(tmp_path: Path, stream: str) -> None:
    found = await ran(f"echo $$ > me; while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxx; done {stream}", tmp_path)
    assert found.failure == "printed more than 1000000 bytes, and was killed"
    assert len(found.output) < 1_200_000 and len(found.complaints) <= TAIL_BYTES
    await gone(tmp_path / "me")


async def test_too_much_is_too_much_even_of_one_that_has_ended(tmp_path: Path) -> None:
    found = await ran("echo 12345678", tmp_path, limits=Limits(output_bytes=8))
    assert found.failure == "printed more than 8 bytes, and was killed"
    assert (await ran("echo 1234567", tmp_path, limits=Limits(output_bytes=8))).failure is None


async def test_what_ended_it_is_known(tmp_path: Path) -> None:
    assert (await ran("exit 3", tmp_path)).code == 3
    assert (await ran("kill -SEGV $$", tmp_path)).code in (-11, 139)
    assert (await ran("printf 'caf\\351\\377'", tmp_path)).output == "caf\ufffd\ufffd"


async def test_what_cannot_be_started_is_told(tmp_path: Path) -> None:
    assert verdict(await ran("#!/no/such/program\n", tmp_path)) != Rest()
    found = await ran("true", tmp_path / "none")
    assert found.failure is not None and found.failure.startswith("could not be started")
    assert (await ran("#!\0\n", tmp_path)).failure is not None


async def test_one_that_nobody_wants_any_more_is_killed(tmp_path: Path) -> None:
    task = asyncio.create_task(ran("sleep 600 & echo $! > child.new; mv child.new child; wait", tmp_path))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not (tmp_path / "child").exists():  # noqa: ASYNC110 - a file rings no bell.
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(tmp_path / "child")


async def test_nothing_is_left_open(tmp_path: Path) -> None:
    await ran("true", tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for script in ("true", "exit 1", "#!/no/such/program\n"):
        await ran(script, tmp_path)
    await ran("sleep 600", tmp_path, limits=SHORT)
    await ran("true", tmp_path / "none")
    assert len(os.listdir("/proc/self/fd")) == before
