"""A real runner in a process of its own, and the host's side of its session in the test."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, Final

from agent.protocol import bell, snapshot
from agent.protocol.mailbox import HostEnd
from agent.protocol.messages import (
    Ack,
    ActionOut,
    Answer,
    AskQuestion,
    ChatOut,
    ContentIn,
    Destination,
    MessageIn,
    MessageOut,
    Route,
    SystemIn,
)
from agent.protocol.settings import AgentSettings
from agent.protocol.snapshot import SnapshotError
from tests.fakes.mailroom import ROUTE, Rows, make_workspace

PATIENCE_SECONDS: Final = 20.0
OPS: Final = Destination(
    name="ops", display_name="Operations", route=Route(channel="terminal", platform_id="ops")
)
_ROOT: Final = Path(__file__).resolve().parents[2]
_LOOK_AGAIN_SECONDS: Final = 0.05


class Script(list[dict[str, Any]]):
    """Rules for the mock: `Script().on("red", do("stall", seconds=9))`."""

    def on(self, match: str | None, *steps: dict[str, Any] | str) -> Script:
        played = [do("result", text=step) if isinstance(step, str) else step for step in steps]
        self.append({"match": match, "steps": played})
        return self


def do(step: str, **arguments: Any) -> dict[str, Any]:
    """A step of the mock's script."""
    return {"do": step, **arguments}


def ask(question: str = "Which one?", *, timeout_seconds: int = 60) -> dict[str, Any]:
    """The step that asks a person, and so waits until a test lets it go on."""
    arguments = {"title": "Choice", "question": question, "timeout_seconds": timeout_seconds}
    return do("tool", name="ask_user_question", arguments=arguments)


class Runner:
    """What a host knows of one session and its runner. `frames` are those that the bell has brought."""

    def __init__(self, root: Path, settings: Mapping[str, Any]) -> None:
        self.workspace = make_workspace(root)
        self.settings = AgentSettings(
            session="s1",
            inbox=self.workspace.inbox,
            bell_dir=self.workspace.bell_dir,
            outbox=self.workspace.outbox,
            home=self.workspace.home,
            work=self.workspace.work,
            **settings,
        )
        self.rows = Rows()
        self.host = HostEnd(self.workspace.inbound)
        self.host.address(ROUTE, [OPS])
        self.bell = self._new_bell()
        self.frames: list[bell.AgentFrame] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.log = root / "log"
        self._rung = asyncio.Event()

    def start(self) -> None:
        """Starts a runner; its output goes to `log`."""
        env = {
            **os.environ,
            **self.settings.to_env(),
            "PYTHONPATH": str(_ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent"],
                env=env,
                cwd=self.workspace.work,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    async def ended(self) -> int:
        """Waits until the runner has ended by itself; its exit status."""
        assert self.process is not None
        status = await asyncio.to_thread(self.process.wait, PATIENCE_SECONDS)
        assert self.process.stdout is not None
        self.printed = self.process.stdout.read()
        self.process.stdout.close()
        self.process = None
        return status

    async def stop(self, signum: int = signal.SIGTERM) -> int:
        """Asks the runner to leave; its exit status."""
        assert self.process is not None
        self.process.send_signal(signum)
        return await self.ended()

    def post(self, *contents: ContentIn | str | MessageIn, **columns: Any) -> list[str]:
        """Posts messages and rings."""
        messages = [c if isinstance(c, MessageIn) else self.rows.make(c, **columns) for c in contents]
        self.host.post(messages)
        self.bell.ring(bell.Changed())
        return [message.id for message in messages]

    async def hang_up(self) -> None:
        """The host is gone, as far as the bell is concerned."""
        await self.bell.close()

    async def listen_again(self) -> None:
        """The host is back."""
        self.bell = self._new_bell()
        await self.bell.listen()

    async def until(self, enough: Callable[[], bool], *, what: str = "") -> None:
        """Waits until `enough`, looking at every ring. Fails with what there is instead."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not enough():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._rung.wait(), _LOOK_AGAIN_SECONDS)
                    self._rung.clear()
        except TimeoutError:
            raise AssertionError(
                f"it never came: {what}\nmessages: {self.messages()}\nacks: {self.acks()}\n"
                f"frames: {self.frames[-5:]}\nlog: {self.log.read_text()}"
            ) from None

    async def done(self, *ids: str) -> None:
        """Waits until all of these are acknowledged for good."""
        await self.until(
            lambda: all(self.acks().get(i) in ("completed", "failed") for i in ids), what=f"{ids}"
        )

    async def sent(self, count: int) -> list[str]:
        """Waits for `count` texts and returns them."""
        await self.until(lambda: len(self.texts()) >= count, what=f"{count} texts")
        return self.texts()

    async def heard(self, frame: type[bell.AgentFrame]) -> None:
        """Waits for a frame of this kind."""
        await self.until(lambda: any(isinstance(each, frame) for each in self.frames), what=str(frame))

    def snapshot(self) -> snapshot.Snapshot | None:
        """What the runner has written; None while it cannot be read."""
        try:
            return snapshot.read(self.workspace.outbox)
        except SnapshotError:
            return None

    def messages(self) -> Sequence[MessageOut]:
        found = self.snapshot()
        return () if found is None else found.messages

    def texts(self, route: Route | None = None) -> list[str]:
        """The texts of the chat messages, or of those that go to `route`."""
        return [
            message.content.text
            for message in self.messages()
            if isinstance(message.content, ChatOut) and route in (None, message.route)
        ]

    def acks(self) -> dict[str, str]:
        return {ack.message_id: ack.status for ack in self.ack_rows()}

    def ack_rows(self) -> Sequence[Ack]:
        found = self.snapshot()
        return () if found is None else found.acks

    def turns(self) -> dict[str, str | None]:
        """In which turn each message was done."""
        return {ack.message_id: ack.turn_id for ack in self.ack_rows()}

    def questions(self) -> list[AskQuestion]:
        done = [m.content.do for m in self.messages() if isinstance(m.content, ActionOut)]
        return [asked for asked in done if isinstance(asked, AskQuestion)]

    async def asked(self) -> None:
        """Waits until the agent has asked a question."""
        await self.until(lambda: bool(self.questions()), what="a question")

    def answer(self) -> list[str]:
        """Ada says "red" to the question that was asked last."""
        asked = self.questions()[-1]
        return self.post(
            SystemIn(
                system=Answer(
                    question_id=asked.question_id,
                    question=asked.question,
                    answer="red",
                    answered_by="Ada",
                )
            )
        )

    def continuation(self) -> str:
        """What the runner has kept; it must not be running, for its file is opened."""
        assert self.process is None
        with closing(sqlite3.connect(self.workspace.outbound)) as db:
            row = db.execute("SELECT value FROM session_state WHERE key LIKE 'continuation:%'").fetchone()
        return "" if row is None else str(row[0])

    def live(self) -> list[bell.LiveText]:
        return [frame for frame in self.frames if isinstance(frame, bell.LiveText)]

    def _new_bell(self) -> bell.BellHost:
        return bell.BellHost(self.workspace.bell, self._heard)

    def _heard(self, frame: bell.AgentFrame) -> None:
        self.frames.append(frame)
        self._rung.set()


@asynccontextmanager
async def running(
    root: Path, script: Sequence[Mapping[str, Any]] = (), *, start: bool = True, **settings: Any
) -> AsyncIterator[Runner]:
    """A session with a bell and, unless told otherwise, a runner whose mock plays `script`."""
    options = settings.pop("provider_options", {"script": list(script)})
    runner = Runner(root / "session", {"provider_options": options, **settings})
    await runner.bell.listen()
    try:
        if start:
            runner.start()
        yield runner
    finally:
        if runner.process is not None:
            runner.process.kill()
            await runner.ended()
        await runner.hang_up()
        runner.host.close()
