"""A real runner whose provider, host or session fails it, and how it comes and goes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from agent.conversation import FRESH_START, NO_ANSWER
from agent.protocol import bell
from agent.protocol.mailbox import HostEnd, StatusChange
from agent.protocol.messages import (
    Interrupt,
    SystemIn,
)
from agent.protocol.settings import EXIT_BROKEN, EXIT_LOCKED, EXIT_MISFIT, EXIT_UNUSABLE
from agent.turns import STOPPED
from tests.fakes.mailroom import ROUTE
from tests.fakes.runner import OPS, Runner, Script, ask, do, running

SLOW = do("stall", seconds=600)
RUDE = "tests.fakes.rude:RudeProvider"


def stop(turn_id: str | None = None) -> SystemIn:
    return SystemIn(system=Interrupt(turn_id=turn_id))


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (do("error", message="The quota is used up.", classification="quota"), "The quota is used up."),
        (do("raise", message="boom"), "Sorry, the agent failed (ScriptedFailure: boom). Please try again."),
        (do("error", message=" "), NO_ANSWER),
    ],
)
async def test_a_failure_is_a_visible_reply(tmp_path: Path, step: dict[str, object], text: str) -> None:
    async with running(tmp_path, Script().on("bad", step)) as runner:
        await runner.done(*runner.post("bad"))
        assert runner.texts() == [text]
        await runner.done(*runner.post("hello"))
        assert runner.texts()[-1] == "You said: hello"


async def test_what_was_pushed_into_a_query_that_failed_is_answered_by_the_next(tmp_path: Path) -> None:
    script = Script().on("first", ask(), do("error", message="It broke."))
    async with running(tmp_path, script) as runner:
        (first,) = runner.post("first")
        await runner.asked()
        (second,) = runner.post("second")
        await runner.until(lambda: second in runner.acks())
        runner.answer()
        await runner.done(first, second)
        assert runner.texts() == ["It broke.", "You said: second"]


async def test_a_passing_failure_is_tried_again(tmp_path: Path) -> None:
    """The script asks first, so that a follow-up is there when it fails; both are asked again together."""
    script = Script().on("second", "At last.").on("first", ask(), do("error", message="busy", retryable=True))
    async with running(tmp_path, script) as runner:
        await runner.heard(bell.Changed)
        (first,) = runner.post("first")
        await runner.asked()
        (second,) = runner.post("second")
        await runner.until(lambda: second in runner.acks())
        runner.answer()
        await runner.done(first, second)
        assert runner.texts() == ["At last."]
        assert any(isinstance(f, bell.Activity) and f.progress for f in runner.frames)


async def test_a_wait_for_another_try_is_interrupted(tmp_path: Path) -> None:
    script = Script().on(None, do("error", message="busy", retryable=True))
    async with running(tmp_path, script) as runner:
        await runner.heard(bell.Changed)
        (first,) = runner.post("first")
        await runner.until(lambda: any(isinstance(f, bell.Activity) and f.progress for f in runner.frames))
        (row,) = runner.post(stop(), trigger=False)
        await runner.done(first, row)
        assert runner.texts() == [STOPPED]


async def test_a_memory_that_is_gone_is_a_fresh_start(tmp_path: Path) -> None:
    async with running(tmp_path, provider=RUDE, provider_options={"manner": "forgetful"}) as runner:
        await runner.done(*runner.post("hello"))
        await runner.stop()
        runner.start()
        await runner.done(*runner.post("again"))
        assert runner.texts() == ["Who are you?", f"{FRESH_START}Who are you?"]


async def test_a_continuation_of_another_provider_is_a_fresh_start(tmp_path: Path) -> None:
    """The mock refuses it when the query is opened, not in its events."""
    async with running(tmp_path, start=False) as runner:
        runner.start()
        await runner.done(*runner.post("hello"))
        await runner.stop()
        with closing(sqlite3.connect(runner.workspace.outbound)) as db:
            db.execute("UPDATE session_state SET value = 'foreign' WHERE key LIKE 'continuation:%'")
            db.commit()
        runner.start()
        await runner.done(*runner.post("again"))
        assert runner.texts()[-1] == f"{FRESH_START}You said: again"


@pytest.mark.parametrize(
    ("manner", "text"),
    [
        ("refuses", "Sorry, the agent failed (LookupError: no such model). Please try again."),
        (
            "disconnected",
            "Sorry, the agent failed (ConnectionResetError: the model hung up). Please try again.",
        ),
        ("cancelled", NO_ANSWER),
        ("silent error", NO_ANSWER),
        ("half", "half: ?"),
    ],
)
async def test_a_rude_provider_ends_in_a_visible_reply(tmp_path: Path, manner: str, text: str) -> None:
    async with running(tmp_path, provider=RUDE, provider_options={"manner": manner}) as runner:
        await runner.heard(bell.Changed)
        await runner.done(*runner.post("hello"))
        assert runner.texts() == [text]
        assert await runner.stop() == 0


@pytest.mark.parametrize("manner", ["deaf", "complains when aborted", "breaks when aborted"])
async def test_a_rude_provider_is_interrupted(tmp_path: Path, manner: str) -> None:
    async with running(tmp_path, provider=RUDE, provider_options={"manner": manner}) as runner:
        await runner.heard(bell.Changed)
        (slow,) = runner.post("slow")
        await runner.until(lambda: "".join(f.text for f in runner.live()) == "I am working")
        runner.post(stop(), trigger=False)
        await runner.done(slow)
        assert runner.texts() == [f"I am working\n\n{STOPPED}"]
        await runner.done(*runner.post("gently"))
        assert runner.texts()[-1] == "As you like."


@pytest.mark.parametrize("manner", ["deaf", "complains when aborted"])
async def test_a_runner_that_is_told_to_leave_says_nothing_and_leaves_the_turn(
    tmp_path: Path, manner: str
) -> None:
    async with running(tmp_path, provider=RUDE, provider_options={"manner": manner}) as runner:
        (slow,) = runner.post("slow")
        await runner.until(lambda: runner.acks() == {slow: "processing"})
        assert await runner.stop() == 0
        assert (runner.texts(), runner.acks()) == ([], {slow: "processing"})


async def test_a_provider_that_does_not_stop_ends_the_runner(tmp_path: Path) -> None:
    async with running(tmp_path, provider=RUDE, provider_options={"manner": "immortal"}) as runner:
        (slow,) = runner.post("slow")
        await runner.until(lambda: slow in runner.acks())
        (row,) = runner.post(stop(), trigger=False)
        assert await runner.ended() != 0

        runner.start()
        await runner.done(slow, row)
        assert runner.texts() == [STOPPED], "the next one finds the interrupt before the turn"


async def test_a_provider_that_does_not_close_does_not_keep_the_session(tmp_path: Path) -> None:
    async with running(tmp_path, provider=RUDE, provider_options={"manner": "does not close"}) as runner:
        await runner.done(*runner.post("hello"))
        assert await runner.stop() == -signal.SIGALRM


async def test_a_query_that_takes_no_more_ends(tmp_path: Path) -> None:
    options = {"manner": "takes no more"}
    async with running(tmp_path, provider=RUDE, provider_options=options, idle_ms=600_000) as runner:
        await runner.done(*runner.post("one"))
        await runner.done(*runner.post("two"))
        assert runner.texts() == ["That was all."] * 2
        assert await runner.stop() == 0


async def test_the_continuation_of_a_turn_that_lasts_is_written_at_init(tmp_path: Path) -> None:
    async with running(tmp_path, provider=RUDE, provider_options={"manner": "late"}, claim_ms=0) as runner:
        gate = runner.workspace.work / "gate"
        os.mkfifo(gate)
        (slow,) = runner.post("slow")
        await runner.until(lambda: runner.acks() == {slow: "processing"})
        written = runner.workspace.outbound.stat().st_mtime_ns
        await asyncio.to_thread(gate.write_bytes, b"open")
        await runner.until(lambda: runner.workspace.outbound.stat().st_mtime_ns != written)
        await runner.stop(signal.SIGKILL)
        assert runner.continuation() == "rude-late"


@pytest.mark.parametrize(
    ("step", "status"), [(do("crash", code=3), 3), (do("kill"), -signal.SIGKILL)], ids=["crash", "kill"]
)
async def test_a_turn_that_kills_its_runner_is_there_again(
    tmp_path: Path, step: dict[str, object], status: int
) -> None:
    async with running(tmp_path, Script().on("deadly", do("delta", text="Well"), step)) as runner:
        ids = runner.post("deadly", "innocent")
        assert await runner.ended() == status
        assert (runner.texts(), runner.acks()) == ([], {})

        await backoff(runner, ids[0])
        runner.start()
        assert await runner.ended() == status, "alone, on its second try"
        runner.host.post(changes=[StatusChange(ids[0], "failed", tries=2)])
        runner.start()
        await runner.done(ids[1])
        assert runner.texts() == ["You said: innocent"]


async def backoff(runner: Runner, message_id: str) -> None:
    runner.host.post(changes=[StatusChange(message_id, "pending", tries=1)])


async def test_a_row_in_backoff_is_taken_when_it_is_due(tmp_path: Path) -> None:
    async with running(tmp_path, poll_slow_ms=600_000) as runner:
        await runner.heard(bell.Changed)
        due = int(time.time() * 1000) + 300
        (again,) = runner.post("again", tries=1, process_after=due)
        (after,) = runner.post("after")
        await runner.done(again, after)
        assert runner.texts() == ["You said: again", "You said: after"]
        assert min(ack.status_changed for ack in runner.ack_rows()) >= due


async def test_a_provider_that_prints_disturbs_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on(None, do("print", text='{"frame":"x"}'), "Fine.")) as runner:
        await runner.done(*runner.post("hello"))
        assert runner.texts() == ["Fine."]
        assert await runner.stop() == 0
        assert runner.printed == b""
        assert '{"frame":"x"}' in runner.log.read_text()


# ---------------------------------------------------------------- the bell, and being without one


async def test_without_a_bell_the_runner_polls(tmp_path: Path) -> None:
    async with running(tmp_path, start=False, poll_idle_ms=20, poll_slow_ms=600_000) as runner:
        await runner.hang_up()
        runner.start()
        for text in ("one", "two"):
            await runner.done(*runner.post(text))
        assert runner.texts() == ["You said: one", "You said: two"]


async def test_a_host_that_comes_back_is_heard(tmp_path: Path) -> None:
    async with running(
        tmp_path, poll_idle_ms=600_000, poll_active_ms=600_000, poll_slow_ms=600_000
    ) as runner:
        await runner.done(*runner.post("one"))
        await runner.hang_up()
        (two,) = runner.post("two")
        runner.frames.clear()
        await runner.listen_again()
        await runner.done(two)
        await runner.done(*runner.post("three"))
        assert runner.texts()[-1] == "You said: three"


async def test_a_runner_without_a_service_leaves(tmp_path: Path) -> None:
    async with running(tmp_path, start=False, poll_idle_ms=10, abandoned_ms=50) as runner:
        await runner.hang_up()
        runner.start()
        assert await runner.ended() == 0


async def test_an_idle_runner_lets_go_of_inbound_before_a_pause(tmp_path: Path) -> None:
    async with running(tmp_path, idle_ms=0, poll_slow_ms=20) as runner:
        await runner.done(*runner.post("one"))
        await runner.until(lambda: says_quiet(runner))
        assert not holds_inbound(runner)
        # Its own poll does not make it forget.
        deadline = time.monotonic() + 0.2
        while time.monotonic() < deadline:
            assert not holds_inbound(runner)
            await asyncio.sleep(0.005)
        assert runner.process is not None
        os.kill(runner.process.pid, signal.SIGSTOP)
        runner.host.post([runner.rows.make("two")])
        os.kill(runner.process.pid, signal.SIGCONT)
        runner.bell.ring(bell.Changed())
        await runner.done("m4")


def says_quiet(runner: Runner) -> bool:
    runner.bell.ring(bell.CloseInbound())
    return bell.Quiet(busy=False) in runner.frames


def holds_inbound(runner: Runner) -> bool:
    assert runner.process is not None
    folder = Path(f"/proc/{runner.process.pid}/fd")
    links = []
    for fd in folder.iterdir():
        try:
            links.append(os.readlink(fd))
        except FileNotFoundError:
            continue
    return str(runner.workspace.inbound) in links


async def test_a_busy_runner_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("slow", SLOW)) as runner:
        (slow,) = runner.post("slow")
        await runner.until(lambda: slow in runner.acks())
        runner.bell.ring(bell.CloseInbound())
        await runner.heard(bell.Quiet)
        assert bell.Quiet(busy=True) in runner.frames


async def test_a_rebuilt_inbound_is_noticed(tmp_path: Path) -> None:
    async with running(tmp_path, idle_ms=600_000) as runner:
        await runner.done(*runner.post("one"))
        runner.host.close()
        message = runner.rows.make("two")
        runner.host = HostEnd.rebuild(
            runner.workspace.inbound, messages=[message], receipts=[], home=ROUTE, destinations=[OPS]
        )
        runner.bell.ring(bell.Changed())
        await runner.done(message.id)
        assert runner.texts() == ["You said: one", "You said: two"]


async def test_an_unreadable_inbound_is_waited_for_without_haste(tmp_path: Path) -> None:
    """Also when a retry has come due meanwhile, which is no reason to spin."""
    async with running(tmp_path, idle_ms=0) as runner:
        await runner.done(*runner.post("one"))
        due = int(time.time() * 1000) + 300
        (again,) = runner.post("again", tries=1, process_after=due)
        away = runner.workspace.inbound.with_suffix(".away")
        os.rename(runner.workspace.inbound, away)
        runner.bell.ring(bell.Changed())
        await runner.until(lambda: int(time.time() * 1000) > due)
        before = cpu_seconds(runner)
        await asyncio.sleep(0.5)
        assert cpu_seconds(runner) - before < 0.25, "half a second of waiting is no work"
        os.rename(away, runner.workspace.inbound)
        await runner.done(again)


def cpu_seconds(runner: Runner) -> float:
    assert runner.process is not None
    fields = Path(f"/proc/{runner.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---------------------------------------------------------------- coming and going


@pytest.mark.parametrize("busy", [False, True])
async def test_a_session_that_was_taken_away_ends_the_runner_with_one_line(
    tmp_path: Path, busy: bool
) -> None:
    async with running(tmp_path, Script().on("slow", SLOW), poll_slow_ms=50) as runner:
        await runner.done(*runner.post("hello"))
        if busy:
            (slow,) = runner.post("slow")
            await runner.until(lambda: slow in runner.acks())
        shutil.rmtree(runner.workspace.inbox.parent / "in")
        shutil.rmtree(runner.workspace.outbox)
        assert await runner.ended() == 1
        assert len(runner.log.read_text().splitlines()) == 1
        assert "the session cannot go on" in runner.log.read_text()


async def test_a_second_runner_leaves_the_first_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as runner:
        await runner.done(*runner.post("one"))
        env = {**os.environ, **runner.settings.to_env(), "PYTHONPATH": str(Path(__file__).parents[2])}
        second = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "agent"], env=env, capture_output=True, timeout=20
        )
        assert second.returncode == EXIT_LOCKED
        assert second.stderr.count(b"\n") == 1
        await runner.done(*runner.post("two"))


@pytest.mark.parametrize(
    ("change", "status", "hint"),
    [
        ({"AGENT_SESSION": None}, EXIT_MISFIT, "AGENT_SESSION"),
        ({"AGENT_PROTOCOL": "99"}, EXIT_MISFIT, "99"),
        ({"AGENT_LOG_LEVEL": "LOUD"}, EXIT_MISFIT, "AGENT_LOG_LEVEL"),
        ({"AGENT_PROVIDER": "nobody"}, EXIT_UNUSABLE, "nobody"),
        ({"AGENT_OUTBOX": "/nowhere"}, 1, "/nowhere"),
    ],
)
async def test_a_misfit_leaves_with_one_line(
    tmp_path: Path, change: dict[str, str | None], status: int, hint: str
) -> None:
    async with running(tmp_path, start=False) as runner:
        env: dict[str, str | None] = {
            **os.environ,
            **runner.settings.to_env(),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **change,
        }
        found = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "agent"],
            env={name: value for name, value in env.items() if value is not None},
            capture_output=True,
            timeout=20,
            text=True,
        )
        assert found.returncode == status
        assert hint in found.stderr
        assert len(found.stderr.splitlines()) == 1
        assert found.stdout == ""


async def test_a_broken_outbound_ends_the_runner_with_one_line(tmp_path: Path) -> None:
    async with running(tmp_path, start=False) as runner:
        runner.workspace.outbound.write_bytes(b"not a database" * 100)
        runner.start()
        assert await runner.ended() == EXIT_BROKEN
        assert len(runner.log.read_text().splitlines()) == 1


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_runner_leaves_when_told_to(tmp_path: Path, signum: int) -> None:
    async with running(tmp_path) as runner:
        await runner.heard(bell.Changed)
        assert await runner.stop(signum) == 0
        assert runner.log.read_text() == ""
        runner.start()
        await runner.done(*runner.post("hello"))


async def test_a_runner_that_was_told_to_leave_finishes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, Script().on("slow", do("delta", text="So far"), SLOW)) as runner:
        (slow,) = runner.post("slow")
        await runner.until(lambda: slow in runner.acks())
        assert await runner.stop() == 0
        assert (runner.texts(), runner.acks()) == ([], {slow: "processing"})
