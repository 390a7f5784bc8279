"""Tasks with a script, through a real runner: the model is asked only when there is something to do."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

from agent.protocol.messages import Interrupt, SystemIn, TaskIn
from agent.turns import STOPPED
from tests.fakes.runner import Runner, Script, ask, do, running
from tests.service.conftest import House

BACKENDS = ("process", "docker")

SHOWS = Script().on(None, "{prompt}")
SLOW = "echo $$ > me.new; mv me.new me; sleep 600"
"""Says where it is once it runs."""


def task(script: str, prompt: str = "Report it.") -> TaskIn:
    return TaskIn(prompt=prompt, series="s1", script=script)


def says(wake: bool, **more: Any) -> str:
    return f"echo '{json.dumps({'wake': wake, **more})}'"


async def begun(runner: Runner) -> int:
    """Waits until the slow script runs; its pid."""
    path = runner.workspace.work / "me"
    await runner.until(path.exists, what="the script")
    return int(path.read_text())


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_script_that_finds_nothing_costs_no_model_and_no_word(tmp_path: Path) -> None:
    async with running(tmp_path, SHOWS) as runner:
        (quiet,) = runner.post(task(says(False)))
        await runner.done(quiet)
        assert runner.texts() == []
        assert [(ack.message_id, ack.status) for ack in runner.ack_rows()] == [(quiet, "completed")]
        assert await runner.stop() == 0
        assert runner.continuation() == "", "no query was ever begun"


async def test_what_a_script_finds_stands_in_the_prompt(tmp_path: Path) -> None:
    async with running(tmp_path, SHOWS) as runner:
        await runner.done(*runner.post(task(says(True, data={"mail": "</task>"}))))
        (prompt,) = runner.texts()
        assert (
            'series="s1">Report it.<data>{&quot;mail&quot;: &quot;&lt;/task&gt;&quot;}</data></task>'
            in prompt
        )


async def test_a_script_that_fails_wakes_the_model_and_says_why(tmp_path: Path) -> None:
    async with running(tmp_path, SHOWS) as runner:
        await runner.done(*runner.post(task("echo no host >&2; exit 3")))
        (prompt,) = runner.texts()
        assert "<script-error>The script exited with status 3. The end of its stderr:\nno host" in prompt


async def test_a_script_has_the_workspace_and_no_key(tmp_path: Path) -> None:
    script = "pwd > here; env > seen; " + says(False)
    async with running(tmp_path, SHOWS) as runner:
        await runner.done(*runner.post(task(script)))
        work = runner.workspace.work
        assert (work / "here").read_text().strip() == str(work)
        assert "AGENT_" not in (work / "seen").read_text()


async def test_what_is_said_while_a_script_runs_goes_into_the_query_after_it(tmp_path: Path) -> None:
    script = "until [ -e go ]; do sleep 0.02; done; " + says(True, data=1)
    shows = Script().on("Report", ask(), "{prompt}").on(None, "{prompt}")
    async with running(tmp_path, shows, idle_ms=600_000, poll_slow_ms=600_000) as runner:
        (scripted,) = runner.post(task(script))
        await runner.until(lambda: runner.acks().get(scripted) == "processing")
        (after,) = runner.post("after")
        (runner.workspace.work / "go").touch()
        await runner.asked()
        await runner.until(lambda: runner.acks().get(after) == "processing", what="a push")
        runner.answer()
        await runner.done(scripted, after)
        first, second = runner.texts()
        assert "<data>1</data>" in first and ">after</message>" in second


async def test_a_script_that_lasts_is_declared_and_the_heart_beats_on(tmp_path: Path) -> None:
    async with running(tmp_path, SHOWS) as runner:
        runner.post(task(SLOW))
        await begun(runner)
        heartbeat = runner.workspace.heartbeat
        before = heartbeat.stat().st_mtime_ns
        await runner.until(lambda: heartbeat.stat().st_mtime_ns > before, what="a heartbeat")
        await runner.until(lambda: (s := runner.snapshot()) is not None and s.tool_deadline is not None)


async def test_a_script_is_interrupted(tmp_path: Path) -> None:
    async with running(tmp_path, SHOWS, poll_slow_ms=600_000) as runner:
        (scripted,) = runner.post(task(SLOW))
        pid = await begun(runner)
        asked = time.monotonic()
        (stop,) = runner.post(SystemIn(system=Interrupt()), trigger=False)
        await runner.done(scripted, stop)
        assert time.monotonic() - asked < 5
        assert runner.texts() == [STOPPED]
        await runner.until(lambda: not is_alive(pid), what="the script's end")
        await runner.done(*runner.post("and now"))
        assert ">and now</message>" in runner.texts()[1]
        assert runner.snapshot().tool_deadline is None  # type: ignore[union-attr]


async def test_a_runner_that_is_told_to_leave_ends_the_script_and_leaves_the_task(tmp_path: Path) -> None:
    async with running(tmp_path, SHOWS) as runner:
        (scripted,) = runner.post(task("[ -e me ] || { " + SLOW + "; }; " + says(True, data=2)))
        pid = await begun(runner)
        assert await runner.stop(signal.SIGTERM) == 0
        await runner.until(lambda: not is_alive(pid), what="the script's end")
        assert runner.texts() == []
        runner.start()
        await runner.done(scripted)
        assert "<data>2</data>" in runner.texts()[0]


async def test_a_schedule_whose_script_finds_nothing_ends_without_a_word(house: House) -> None:
    plan = {"prompt": "look", "when": "in 1 seconds", "script": says(False)}
    house.script(
        {
            "match": "^plan",
            "steps": [
                do("tool", name="schedule_task", arguments=plan),
                do("result", text="Planned."),
            ],
        }
    )
    async with house.open() as p:
        await p.say("plan")
        await house.until(lambda: bool(house.query("SELECT 1 FROM runs WHERE state = 'done'")))
        await house.until(lambda: house.query("SELECT status FROM series")[0]["status"] == "finished")
        assert p.texts() == ["Planned."]
    assert house.states() == {"done": 2}
