"""The adapter of a platform that lives in another process: it speaks JSON lines over a unix socket.

Like a platform's own library it connects again when the line breaks, and what it was sending then is in doubt.
The other end is tests/crash/platform.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from adapters.base import (
    Event,
    Host,
    IncomingFile,
    Outgoing,
    Part,
    Sender,
    SendFailed,
    Settled,
    Update,
    Working,
    replacing,
)
from agent.protocol.clock import now_ms
from agent.protocol.messages import Route

NAME: Final = "wire"
PERSON: Final = Sender("u1", "Ada")
STRANGER: Final = Sender("u9", "Sam")
PART_CHARS: Final = 2_000
LONG_CHARS: Final = 10_000
LONG_PART_CHARS: Final = 100_000
"""Of a text that is longer than LONG_CHARS: what is there for its size alone needs few parts."""
LINE_LIMIT: Final = 16 * 1024 * 1024
RECONNECT_SECONDS: Final = 0.01


class WirePlatform:
    """Hands in nothing before `ready` is set."""

    name = NAME

    def __init__(self, socket: Path, staging: Path) -> None:
        self.ready = asyncio.Event()
        self._socket = socket
        self._staging = staging
        self._ids = itertools.count(1)
        self._sending: dict[int, asyncio.Future[str]] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """A place's events are handed in one after the other, as they came."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = asyncio.Event()
        self._writer: asyncio.StreamWriter

    async def run(self, host: Host) -> None:
        await self.ready.wait()
        shutil.rmtree(self._staging, ignore_errors=True)
        while True:
            with contextlib.suppress(OSError):
                await self._talk(host)
            await asyncio.sleep(RECONNECT_SECONDS)

    def render(self, outgoing: Outgoing) -> list[Part]:
        text = outgoing.question.question if outgoing.question else outgoing.text
        if outgoing.reaction is not None:
            text = f"note {outgoing.reaction.emoji}"
        size = LONG_PART_CHARS if len(text) > LONG_CHARS else PART_CHARS
        texts = [text[i : i + size] for i in range(0, len(text), size)] or ([] if outgoing.files else [""])
        if outgoing.edit is not None:
            return replacing(outgoing, outgoing.edit, texts)
        parts = [Part(outgoing, index, text=piece) for index, piece in enumerate(texts)]
        return parts + [Part(outgoing, len(parts) + n, file=file) for n, file in enumerate(outgoing.files)]

    async def send(self, part: Part) -> str | None:
        await self._connected.wait()
        number = next(self._ids)
        sending: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._sending[number] = sending
        outgoing = part.outgoing
        self._say(
            send=number,
            out_id=outgoing.id,
            part=part.index,
            place=outgoing.route.platform_id,
            text=part.text,
            file=part.file.name if part.file else None,
            question=outgoing.question.id if outgoing.question else None,
            answers=outgoing.answers,
            notice=outgoing.notice,
            replaces=part.replaces,
        )
        try:
            platform_id = await sending
            return platform_id if part.replaces is None else part.replaces
        finally:
            del self._sending[number]

    async def show(self, update: Update) -> None:
        if not self._connected.is_set():
            return
        if isinstance(update, Settled):
            self._say(settled=update.event_id, ok=update.ok)
        elif isinstance(update, Working) and update.on:
            self._say(working=update.route.platform_id)

    async def _talk(self, host: Host) -> None:
        reader, self._writer = await asyncio.open_unix_connection(self._socket, limit=LINE_LIMIT)
        self._connected.set()
        try:
            while line := await reader.readline():
                self._take(json.loads(line), host)
        finally:
            self._connected.clear()
            self._writer.close()
            for sending in self._sending.values():
                if not sending.done():
                    sending.set_exception(SendFailed("the line broke", retry_after=0))

    def _take(self, said: dict[str, Any], host: Host) -> None:
        if "event" in said:
            task = asyncio.create_task(self._hand_in(said["event"], host), name="hand in")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        sending = self._sending.get(said["answer"])
        if sending is None or sending.done():
            return
        if "id" in said:
            sending.set_result(said["id"])
        else:
            sending.set_exception(SendFailed("the platform said no", retry_after=said["retry_after"]))

    async def _hand_in(self, said: dict[str, Any], host: Host) -> None:
        async with self._turns[said["place"]]:
            receipt = await host.receive(self._event(said))
        if self._connected.is_set():
            self._say(receipt=said["id"], state=receipt.state, text=receipt.text)

    def _event(self, said: dict[str, Any]) -> Event:
        files = []
        for name, text in said["files"]:
            self._staging.mkdir(exist_ok=True)
            path = self._staging / uuid.uuid4().hex
            path.write_text(text)
            files.append(IncomingFile(name, "text/plain", path))
        return Event(
            id=said["id"],
            kind=said["kind"],
            route=Route(channel=NAME, platform_id=said["place"], thread_id=None),
            sender=STRANGER if said["sender"] == STRANGER.id else PERSON,
            created_at=now_ms(),
            text=said["text"],
            direct=True,
            files=files,
            command=said["command"],
            question_id=said["question_id"],
            about=said["about"],
        )

    def _say(self, **message: Any) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")
