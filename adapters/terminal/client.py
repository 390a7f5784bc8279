"""One person's end of a link: says things, and knows what is still to come."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from adapters.offers import CommandInfo
from adapters.terminal import files, lines, wire
from adapters.terminal.links import Link, LinkLost
from agent.protocol.messages import MAX_ATTACHMENTS

EXIT_FAILED: Final = 1
EXIT_LOST: Final = 2
LOST: Final = "The connection to Roost was lost."
UNANSWERED: Final = "The question was left without an answer."


class Client:
    """Sends in order and never makes the caller wait; what comes back goes through `run`.

    `failed` tells whether anything was refused or ended badly so far, `asking` whether a question is open.
    """

    def __init__(self, link: Link) -> None:
        self.failed = False
        self.asking = False
        self._link = link
        self._ids = itertools.count(1)
        self._unsent: asyncio.Queue[wire.ClientFrame] = asyncio.Queue()
        self._messages: set[str] = set()
        self._unreceived: set[str] = set()
        self._unsettled: set[str] = set()
        self._change = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Whether a message is not settled yet."""
        return bool(self._unsettled)

    def is_message(self, frame_id: str) -> bool:
        """Whether `frame_id` is a message's, and not a command's: a command's receipt is its reply."""
        return frame_id in self._messages

    def say(self, text: str, attached: Sequence[wire.File] = ()) -> None:
        """Sends a message."""
        frame = wire.Say(id=str(next(self._ids)), text=text, files=list(attached))
        self._messages.add(frame.id)
        self._unsettled.add(frame.id)
        self._post(frame)

    def command(self, name: str, arguments: dict[str, str]) -> None:
        """Sends a command."""
        self._post(wire.Command(id=str(next(self._ids)), name=name, arguments=arguments))

    def stop(self) -> None:
        """Asks for the end of the turn."""
        self._post(wire.Stop(id=str(next(self._ids))))

    async def idle(self) -> None:
        """Returns when everything has its receipt, and every message its end unless a question waits."""
        while self._unreceived or (self._unsettled and not self.asking):
            self._change.clear()
            await self._change.wait()

    async def run(self, show: Callable[[wire.SeatFrame], None], person: Coroutine[Any, Any, int]) -> int:
        """Shows what comes and sends what is said until `person` is done; its result. Raises LinkLost."""
        tasks = [
            asyncio.create_task(person, name="terminal-person"),
            asyncio.create_task(self._receive(show), name="terminal-receive"),
            asyncio.create_task(self._transmit(), name="terminal-transmit"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task.result() for task in tasks if task.done())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self, show: Callable[[wire.SeatFrame], None]) -> int:
        async for frame in self._link:
            show(frame)
            self._note(frame)
            self._change.set()
        raise LinkLost

    async def _transmit(self) -> int:
        while True:
            await self._link.send(await self._unsent.get())

    def _post(self, frame: wire.ClientFrame) -> None:
        self._unreceived.add(frame.id)
        self._unsent.put_nowait(frame)

    def _note(self, frame: wire.SeatFrame) -> None:
        match frame:
            case wire.Receipt(id=frame_id, state=state):
                self._unreceived.discard(frame_id)
                if state != "accepted":
                    self._unsettled.discard(frame_id)
                self.failed |= state in ("refused", "dropped")
            case wire.Settled(id=frame_id, ok=ok):
                self._unsettled.discard(frame_id)
                self.asking = False
                self.failed |= not ok
            case wire.Working(on=False):
                self.asking = False
            case wire.Shown(question=wire.Question(card=False)):
                self.asking = True


class Desk:
    """Does what a line asks for. `tell` gets what was asked for, `complain` one sentence about what is wrong."""

    def __init__(
        self,
        client: Client,
        commands: Sequence[CommandInfo],
        *,
        tell: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self.attached: list[wire.File] = []
        self._client = client
        self._commands = commands
        self._tell = tell
        self._complain = complain

    def act(self, entered: str) -> bool:
        """False when the person leaves."""
        match lines.parse(entered, self._commands):
            case lines.Message(text=text):
                self._client.say(text, self.attached)
                self.attached = []
            case lines.ServiceCommand(name=name, arguments=arguments):
                self._client.command(name, arguments)
            case lines.StopTurn():
                self._client.stop()
            case lines.Attach(path=path):
                self._attach(path)
            case lines.Help():
                self._tell(lines.help_text(self._commands))
            case lines.Wrong(sentence=sentence):
                self._complain(sentence)
            case lines.Quit():
                return False
        return True

    def _attach(self, name: str) -> None:
        try:
            path = Path(name).expanduser()
        except RuntimeError:
            path = Path(name)  # ~nobody-of-this-name
        try:
            file = files.load(path)
        except files.FileProblem as exc:
            self._complain(str(exc))
            return
        together = sum(len(other.data) for other in (*self.attached, file))
        if len(self.attached) >= MAX_ATTACHMENTS or together > wire.MAX_FILES_BYTES:
            self._complain(f"{path} is too much for one message; send what is attached first.")
            return
        self.attached.append(file)
