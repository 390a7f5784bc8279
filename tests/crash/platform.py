"""The platform that outlives the service: it delivers an event until that was acknowledged, and remembers all
that reached it. The other end is tests/fakes/wire.py."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from adapters.base import CARD
from tests.fakes.wire import LINE_LIMIT

BUSY_SECONDS: Final = 0.02
SLOW_SECONDS: Final = 0.05

UNHEARD: Final = "unheard"
"""The receipt of what nobody may ever have been told of."""
_PEER: Final = struct.Struct("3i")

Outcome = Literal["taken", "lost", "refused"]
"""A part that is taken is shown; of one that is lost the sender hears nothing although it is shown."""


@dataclass
class Said:
    """An event. `receipt` is how it was acknowledged."""

    id: str
    kind: Literal["message", "command", "answer", "edit", "delete"]
    place: str
    text: str
    files: Sequence[tuple[str, str]] = ()
    command: str = ""
    question_id: str = ""
    about: str = ""
    receipt: str | None = None
    why: str | None = None
    deliveries: int = 0


@dataclass
class Sent:
    """A part on the wire, in the `life` of the service in which it came. `answered`: its sender was told."""

    out_id: str
    part: int
    place: str
    text: str
    file: str | None
    question: str | None
    answers: str | None
    notice: bool
    life: int
    outcome: Outcome
    answered: bool = False
    replaces: str | None = None


@dataclass
class Moods:
    """How often, of all sends, the platform does what."""

    slow: float = 0.0
    lost: float = 0.0
    lost_before: float = 0.0
    busy: float = 0.0
    broken: float = 0.0
    forbidden: str | None = None
    """A text that is never taken."""
    deduplicates: bool = False
    """A part that was taken before is answered like the first time, and not shown again."""


class Scene(Protocol):
    """What a round needs of a platform: it outlives the services, and remembers what was said and what was shown."""

    life: int
    moods: Moods
    events: dict[str, Said]
    """What people have done, by the id under which the service knows it."""

    @property
    def connected(self) -> int:
        """The life of the service that was connected last."""

    @property
    def at_work(self) -> int:
        """How often it was said that a turn runs."""

    @property
    def ids(self) -> Mapping[tuple[str, int], str]:
        """What it has answered for each part of each message."""

    async def open(self) -> None:
        """Begins to serve."""

    async def close(self) -> None:
        """Ends that."""

    def begin(self, *, gone: int | None) -> None:
        """A new service is about to connect. The pid of the last one, which is `gone`."""

    def say(self, event: Said) -> None:
        """Somebody does something."""

    def taken(self) -> Sequence[Sent]:
        """What people see, in order."""


@dataclass
class Platform:
    """Serves one service at a time at `socket`. Whoever waits for news is told with every line."""

    socket: Path
    moods: Moods
    rng: random.Random
    life: int = 0
    events: dict[str, Said] = field(default_factory=dict)
    wire: list[Sent] = field(default_factory=list)
    settled: list[tuple[str, bool]] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    """The pids of services that are dead. What one of them had connected may be accepted late, and whoever took that
    for the living one would wait for the wrong one."""
    connected: int = 0
    """The life of the service that was connected last."""
    at_work: int = 0
    """How often it was said that a turn runs."""
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _writer: asyncio.StreamWriter | None = None
    _server: asyncio.Server | None = None
    _over: set[asyncio.StreamWriter] = field(default_factory=set)
    """Connections on which nobody hears anybody any more."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    ids: dict[tuple[str, int], str] = field(default_factory=dict)
    """What it has answered for each part of each message."""

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.socket, limit=LINE_LIMIT)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._writer is not None:
            self._writer.close()
        for task in self._tasks:
            task.cancel()

    def begin(self, *, gone: int | None) -> None:
        """See Scene."""
        self.life += 1
        if gone is not None:
            self.gone.add(gone)

    def say(self, event: Said) -> None:
        """Somebody does something. It is delivered now, and with every new connection until acknowledged."""
        self.events[event.id] = event
        self._deliver(event)

    async def until(self, holds: Callable[[], bool], *, seconds: float) -> None:
        """Returns when `holds` does. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self.news:
            await self.news.wait_for(holds)

    def taken(self) -> list[Sent]:
        """What people see, in order."""
        return [sent for sent in self.wire if sent.outcome != "refused"]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if _peer(writer) in self.gone:
            writer.close()
            return
        life, self.connected, self._writer = self.life, self.life, writer
        for event in list(self.events.values()):
            if event.receipt is None:
                self._deliver(event)
        try:
            while line := await reader.readline():
                if writer not in self._over:
                    self._take(json.loads(line), life, writer)
                async with self.news:
                    self.news.notify_all()
        except (ConnectionError, ValueError):
            # It was killed in the middle of a line.
            return
        finally:
            self._over.add(writer)
            writer.close()

    def _deliver(self, event: Said) -> None:
        if self._writer is None or self._writer in self._over:
            return
        event.deliveries += 1
        said = {
            name: getattr(event, name)
            for name in ("id", "kind", "place", "text", "files", "command", "question_id", "about")
        }
        self._write(self._writer, {"event": said})

    def _take(self, said: dict[str, Any], life: int, writer: asyncio.StreamWriter) -> None:
        if "receipt" in said:
            event = self.events[said["receipt"]]
            event.receipt, event.why = said["state"], said["text"]
        elif "settled" in said:
            self.settled.append((said["settled"], said["ok"]))
        elif "working" in said:
            self.at_work += 1
        else:
            self._sent(said, life, writer)

    def _sent(self, said: dict[str, Any], life: int, writer: asyncio.StreamWriter) -> None:
        number, moods, dice = said.pop("send"), self.moods, self.rng.random()
        if moods.forbidden is not None and moods.forbidden in said["text"] and not said["notice"]:
            self.wire.append(Sent(**said, life=life, outcome="refused"))
            return self._write(writer, {"answer": number, "retry_after": None})
        fate = _fate(moods, dice)
        if fate in ("busy", "broken"):
            wait = BUSY_SECONDS if fate == "busy" else 0
            return self._write(writer, {"answer": number, "retry_after": wait})
        if fate == "lost before":
            return self._hang_up(writer)
        sent = self._shown(said, life, "lost" if fate == "lost" else "taken")
        if fate == "lost":
            return self._hang_up(writer)
        if fate == "slow":
            return self._later(SLOW_SECONDS, lambda: self._answer(writer, number, sent))
        return self._answer(writer, number, sent)

    def _shown(self, said: dict[str, Any], life: int, outcome: Outcome) -> Sent:
        key = (said["out_id"], said["part"])
        sent = Sent(**said, life=life, outcome=outcome)
        if not (self.moods.deduplicates and key in self.ids):
            self.wire.append(sent)
        self.ids.setdefault(key, f"w{len(self.ids) + 1}")
        self._press_a_button(sent)
        return sent

    def _hang_up(self, writer: asyncio.StreamWriter) -> None:
        """What was answered before is still heard; a close would take it back where input is left unread."""
        self._over.add(writer)
        writer.write_eof()

    def _press_a_button(self, sent: Sent) -> None:
        """Somebody answers every question, once."""
        event_id = f"answer:{sent.question}"
        if sent.question is not None and not sent.question.startswith(CARD) and event_id not in self.events:
            self.say(Said(event_id, "answer", sent.place, "yes", question_id=sent.question))

    def _answer(self, writer: asyncio.StreamWriter, number: int, sent: Sent) -> None:
        if writer not in self._over:
            sent.answered = True
            self._write(writer, {"answer": number, "id": self.ids[sent.out_id, sent.part]})

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        async def after(wait: Awaitable[None]) -> None:
            await wait
            act()

        task = asyncio.create_task(after(asyncio.sleep(seconds)), name="slow answer")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _write(self, writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        if writer not in self._over and not writer.is_closing():
            writer.write(json.dumps(message).encode() + b"\n")


def _peer(writer: asyncio.StreamWriter) -> int:
    """The pid at the other end. unix(7): SO_PEERCRED."""
    sock = writer.get_extra_info("socket")
    pid, _, _ = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(pid)


def _fate(moods: Moods, dice: float) -> str:
    """What happens to a part, by a number from 0 to 1."""
    shares = (
        ("lost", moods.lost),
        ("lost before", moods.lost_before),
        ("busy", moods.busy),
        ("broken", moods.broken),
        ("slow", moods.slow),
    )
    for fate, share in shares:
        if dice < share:
            return fate
        dice -= share
    return "taken"
