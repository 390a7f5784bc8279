"""The service as an adapter sees it: `FakeHost` records, `ScriptedHost` also takes turns like a mock agent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from adapters.base import (
    Adapter,
    Edit,
    Event,
    Live,
    Manners,
    Outgoing,
    OutgoingFile,
    Question,
    Reaction,
    Receipt,
    Settled,
    Update,
    Working,
)
from adapters.offers import CommandInfo
from agent.protocol.messages import Card, CardField, Route

TIMEOUT_SECONDS: Final = 10.0


class FakeNotes:
    """Implements adapters.base.Notes in memory."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    async def get(self, key: str) -> str | None:
        return self.texts.get(key)

    async def all(self, prefix: str) -> Mapping[str, str]:
        return {key: text for key, text in self.texts.items() if key.startswith(prefix)}

    async def put(self, key: str, text: str) -> None:
        self.texts[key] = text

    async def drop(self, key: str) -> None:
        self.texts.pop(key, None)


class FakeHost:
    """Implements adapters.base.Host. `receipts` are handed out first; after them every event is accepted.

    Files are read while `receive` runs, as the intake does, into `files[event.id][name]`.
    """

    def __init__(self, *, commands: Sequence[CommandInfo] = ()) -> None:
        self.events: list[Event] = []
        self.files: dict[str, dict[str, bytes]] = {}
        self.presences: list[tuple[str, str]] = []
        self.receipts: list[Receipt] = []
        self.notes = FakeNotes()
        self.wiring = Manners()
        self.troubles: list[tuple[str, str | None]] = []
        self.places: list[tuple[str, str, str | None, bool]] = []
        self._commands = commands
        self._arrived: asyncio.Queue[Event] = asyncio.Queue()

    async def receive(self, event: Event) -> Receipt:
        self.events.append(event)
        self.files[event.id] = {file.name: file.path.read_bytes() for file in event.files}
        self._arrived.put_nowait(event)
        return self.receipts.pop(0) if self.receipts else Receipt("accepted")

    def present(self, channel: str, platform_id: str) -> None:
        self.presences.append((channel, platform_id))

    def commands(self) -> Sequence[CommandInfo]:
        return self._commands

    def manners(self, route: Route) -> Manners:
        return self.wiring

    def trouble(self, channel: str, text: str | None) -> None:
        self.troubles.append((channel, text))

    def place(self, channel: str, platform_id: str, name: str | None, *, gone: bool = False) -> None:
        self.places.append((channel, platform_id, name, gone))

    async def event(self) -> Event:
        """The next event in the order of arrival. Raises TimeoutError."""
        return await asyncio.wait_for(self._arrived.get(), TIMEOUT_SECONDS)


class ScriptedHost:
    """A host whose agent echoes, unless the message's first word is one of its verbs:

    stream N [ms]   N words, ten a line, one live update each
    flow N [ms]     the same in one line
    slow            works until it is interrupted
    deaf            works and heeds no interrupt
    die             ends the service: sets `dying`
    ask             asks a question first
    file TEXT       a reply with a file
    fail            a notice, and it ends badly
    refuse          the message is not taken
    escape          a reply full of escape sequences
    edit            a reply, another text for it, a reaction to it, a reaction to the message, a card

    `begun` gets the text of each turn as it begins.
    """

    def __init__(self, adapter: Adapter) -> None:
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.dying: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.notes = FakeNotes()
        self._adapter = adapter
        self._turns: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._answered: asyncio.Queue[str] = asyncio.Queue()
        self._out = 0

    async def receive(self, event: Event) -> Receipt:
        if event.command == "stop":
            return self._interrupt()
        if event.kind == "command":
            return Receipt("accepted", f"{event.command} is fine {event.arguments or ''}".rstrip())
        if event.kind == "answer":
            self._answered.put_nowait(event.text)
            return Receipt("accepted")
        if event.text == "refuse":
            return Receipt("refused", "You may not talk here.")
        attached = [f"{file.name} ({len(file.path.read_bytes())} bytes)" for file in event.files]
        task = asyncio.create_task(self._turn(event, attached))
        self._turns[event.id] = task
        task.add_done_callback(lambda _: self._turns.pop(event.id, None))
        return Receipt("accepted")

    def _interrupt(self) -> Receipt:
        self._stop.set()
        self._answered.put_nowait("nothing")
        text = "Stopping." if self._turns else "Nothing is running."
        return Receipt("accepted", text, {"stopped": bool(self._turns)})

    def present(self, channel: str, platform_id: str) -> None:
        """Keeps nothing, so has nothing to send again."""

    def commands(self) -> Sequence[CommandInfo]:
        return [CommandInfo("status", "how it is doing")]

    def manners(self, route: Route) -> Manners:
        """As everywhere."""
        return Manners()

    def trouble(self, channel: str, text: str | None) -> None:
        """Nobody asks for it."""

    def place(self, channel: str, platform_id: str, name: str | None, *, gone: bool = False) -> None:
        pass

    async def close(self) -> None:
        """Ends the turns that still run."""
        for task in list(self._turns.values()):
            task.cancel()
        await asyncio.gather(*self._turns.values(), return_exceptions=True)

    async def _turn(self, event: Event, attached: Sequence[str]) -> None:
        turn_id = f"turn-{event.id}"
        self._stop.clear()
        self.begun.put_nowait(event.text)
        await self._show(Working(event.route, on=True))
        ok = True
        verb, _, rest = event.text.partition(" ")
        match verb:
            case "stream" | "flow":
                text = await self._stream(event, turn_id, rest, a_line=10 if verb == "stream" else 0)
                await self._reply(event, turn_id, text)
            case "slow":
                await self._show(Working(event.route, on=True, progress="Bash: ls"))
                await self._stop.wait()
                await self._reply(event, turn_id, "Stopped.", notice=True)
                ok = False
            case "deaf":
                await asyncio.get_running_loop().create_future()
            case "die":
                self.dying.set_result(None)
            case "ask":
                question = Question("q1", "Colour", "Which one?", ["Red", "Green"])
                await self._reply(event, turn_id, "", question=question)
                await self._reply(event, turn_id, f"You chose {await self._answered.get()}.")
            case "file":
                file = OutgoingFile("notes.txt", "text/plain", rest.encode())
                await self._reply(event, turn_id, "Here it is.", file=file)
            case "fail":
                await self._reply(event, turn_id, "That went wrong.", notice=True)
                ok = False
            case "edit":
                await self._change(event, turn_id)
            case "escape":
                await self._reply(event, turn_id, "\x1b[31mred\x1b[0m \x1b]0;title\x07\x9b2Jend\x07")
            case _:
                with_files = f" with {', '.join(attached)}" if attached else ""
                await self._reply(event, turn_id, f"echo: {event.text}{with_files}")
        await self._show(Settled(event.route, event.id, turn_id, ok))
        await self._show(Working(event.route, on=False))

    async def _change(self, event: Event, turn_id: str) -> None:
        await self._reply(event, turn_id, "half done \x1b[31m")
        first = f"out-{self._out}:0"
        await self._put(Outgoing("e1", event.route, "all \x1b[31mdone", edit=Edit([first, "gone"], 3)), event)
        await self._put(
            Outgoing("r1", event.route, "", reaction=Reaction("\x1b[31m👍", 3, message=first)), event
        )
        await self._put(Outgoing("r2", event.route, "", reaction=Reaction("eyes", 2, event=event.id)), event)
        await self._put(Outgoing("r3", event.route, "", reaction=Reaction("eyes", 2, event="unknown")), event)
        fields = [CardField(name="Took", value="3 min\x1b[2J"), CardField(name="Log", value="one\ntwo")]
        card = Card(title="Build\n7", text="green", fields=fields)
        await self._put(Outgoing("c1", event.route, "Build 7: green", card=card), event)

    async def _put(self, outgoing: Outgoing, event: Event) -> None:
        for part in self._adapter.render(replace(outgoing, answers=event.id)):
            await self._adapter.send(part)

    async def _stream(self, event: Event, turn_id: str, order: str, *, a_line: int) -> str:
        count, _, pause = order.partition(" ")
        text = ""
        for number in range(int(count)):
            text += f"word{number}" + ("\n" if a_line and number % a_line == a_line - 1 else " ")
            await self._show(Live(event.route, turn_id, text))
            await asyncio.sleep(int(pause or 0) / 1000)
        return text.strip()

    async def _reply(
        self,
        event: Event,
        turn_id: str,
        text: str,
        *,
        notice: bool = False,
        file: OutgoingFile | None = None,
        question: Question | None = None,
    ) -> None:
        self._out += 1
        outgoing = Outgoing(
            id=f"out-{self._out}",
            route=event.route,
            text=text,
            files=[file] if file else [],
            question=question,
            answers=event.id,
            turn_id=turn_id,
            notice=notice,
        )
        for part in self._adapter.render(outgoing):
            await self._adapter.send(part)

    async def _show(self, update: Update) -> None:
        await self._adapter.show(update)
