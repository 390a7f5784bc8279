"""The terminal channel: a person at this machine's terminal, sitting in a conversation.

Seats come and go, in this process or behind a socket, while the adapter runs. A reply for a conversation in
which nobody sits is refused with `Absent`, and `Host.present` says when somebody is there again.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from adapters import base
from adapters.base import (
    DIRECT,
    Absent,
    Event,
    EventKind,
    Host,
    IncomingFile,
    Outgoing,
    Part,
    Sender,
    SendFailed,
    clean,
    replacing,
)
from adapters.terminal import cards, files, wire
from adapters.terminal.cards import Cards, is_card
from adapters.terminal.kept import Kept, weight
from adapters.terminal.seat import Seat
from adapters.terminal.text import quoted
from agent.protocol.clock import Clock, now_ms
from agent.protocol.messages import Route

MAIN: Final = "local"
"""The conversation of whoever sits down without naming one; where the service writes to its person directly."""
RECENT_REPLIES: Final = 32
MISSED_REPLIES: Final = 256
QUOTES: Final = 256
KEPT_BYTES: Final = 32 * 2**20
OPEN_QUESTIONS: Final = 32
"""Of one conversation; the oldest give way, and can be answered in words."""
SAVE_RETRY_SECONDS: Final = 60.0
NOBODY_THERE: Final = "(nobody: whoever asked for this has left and cannot answer)"
STILL_OPEN: Final = "A question is still open: answer {numbers}, or /stop. Your message comes after it."


@dataclass
class _Reply:
    """A reply as it was shown, and to whom."""

    shown: wire.Shown
    seats: set[Seat]


@dataclass(frozen=True)
class _Asked:
    """A question that is open, of the turn that answers `event`."""

    question: base.Question
    turn_id: str | None
    event: str | None


@dataclass
class _Room:
    """A conversation. `recent` serves once seats whose message another seat's turn has answered;
    `missed` was shown to nobody and waits for the next seat that sees everything."""

    route: Route
    seats: list[Seat] = field(default_factory=list)
    questions: dict[str, _Asked] = field(default_factory=dict)
    recent: Kept[_Reply] = field(
        default_factory=lambda: Kept(RECENT_REPLIES, KEPT_BYTES, lambda reply: weight(reply.shown))
    )
    missed: Kept[wire.Shown] = field(default_factory=lambda: Kept(MISSED_REPLIES, KEPT_BYTES, weight))
    working: wire.Working = field(default_factory=lambda: wire.Working(on=False))
    live: tuple[str, str] = ("", "")
    quotes: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """How the latest messages begin, by the ids of their parts and events."""

    def remember(self, message_id: str, text: str) -> None:
        """The message may be edited, or get a reaction."""
        self.quotes[message_id] = quoted(text)
        self.quotes.move_to_end(message_id)
        if len(self.quotes) > QUOTES:
            self.quotes.popitem(last=False)

    def quote(self, message_id: str | None) -> str:
        """How a message begins; empty when nobody knows any more."""
        return self.quotes.get(message_id or "", "")

    def watching(self) -> list[Seat]:
        """The seats that see everything."""
        return [seat for seat in self.seats if not seat.once]


class TerminalAdapter:
    """Implements adapters.base.Adapter. Times come from `clock`; files that people send are staged below
    `incoming`, those that agents send are saved in `downloads`."""

    name = "terminal"

    def __init__(self, *, downloads: Path, incoming: Path, person: Sender, clock: Clock = now_ms) -> None:
        self._downloads = downloads
        self._incoming = incoming / "terminal"
        self.person = person
        self._clock = clock
        self._rooms: dict[str, _Room] = {}
        self._said: dict[str, tuple[Seat, str]] = {}
        self._cards = Cards(clock)
        self._refused: set[str] = set()
        """The names by which the main conversation was written to while nobody sat there."""
        self._host: Host | None = None
        self._hosted = asyncio.Event()
        self._given_up: asyncio.Queue[Event] = asyncio.Queue()

    def sit(self, conversation: str = MAIN, *, once: bool = False) -> Seat:
        """A new seat in `conversation`. Usable at once; what is said before `run` waits for it."""
        room = self._room(conversation)

        async def handle(seat: Seat, frame: wire.ClientFrame) -> None:
            await self._handle(room, seat, frame)

        seat = Seat(once=once, handle=handle, left=lambda seat, unread: self._left(room, seat, unread))
        room.seats.append(seat)
        if not once:
            while room.missed:
                seat.offer(room.missed.popleft())
            for card in self._cards.of(conversation):
                seat.offer(wire.Shown(notice=True, question=_question(card)))
            if room.working.on:
                seat.offer(room.working)
        if self._host is not None:
            self._present(self._host, conversation)
        return seat

    async def run(self, host: Host) -> None:
        """Serves the seats until cancelled, then ends them. What a killed service had staged is removed first."""
        if self._incoming.exists():
            await asyncio.to_thread(shutil.rmtree, self._incoming)
        for card in await self._cards.recall(host.notes):
            self._remind(
                self._room(card.conversation), wire.Shown(notice=True, question=_question(card.question))
            )
        self._host = host
        self._hosted.set()
        for conversation, room in self._rooms.items():
            if room.seats:
                self._present(host, conversation)
        try:
            while True:
                await host.receive(await self._given_up.get())
        finally:
            self._host = None
            self._hosted.clear()
            for room in self._rooms.values():
                for seat in room.seats:
                    seat.finish()

    def render(self, outgoing: Outgoing) -> list[Part]:
        """The text, the card or the question in one part, then each file in its own."""
        if outgoing.edit is not None:
            return replacing(outgoing, outgoing.edit, [outgoing.text])
        texts = [outgoing.text] if outgoing.text or outgoing.question or not outgoing.files else []
        parts = [Part(outgoing, index, text=text) for index, text in enumerate(texts)]
        return parts + [Part(outgoing, len(parts) + n, file=file) for n, file in enumerate(outgoing.files)]

    async def send(self, part: Part) -> str | None:
        """Shows a part to the seats of its conversation. Raises Absent when there are none, SendFailed when a
        file cannot be saved."""
        room = self._room(_conversation(part.outgoing.route))
        asks = part.outgoing.question is not None and not is_card(part.outgoing.question)
        if not self._takers(room, part.outgoing) and not (asks and room.seats):
            if part.outgoing.route.platform_id != room.route.platform_id:
                self._refused.add(part.outgoing.route.platform_id)
            # A once seat is for its own answer, which may stand behind this one.
            raise Absent("Nobody sits at a terminal in this conversation.", others_may_pass=bool(room.seats))
        if part.replaces is not None:
            await self._cards.replaced(part.replaces)
        if part.replaces is not None and not part.text:
            return None  # What it takes away scrolled by long ago.
        shown = await self._shown(room, part)
        self._show(room, part.outgoing, shown)
        platform_id = part.replaces or f"{part.outgoing.id}:{part.index}"
        if (asked := part.outgoing.question) is not None and is_card(asked):
            await self._cards.show(cards.Open(room.route.platform_id, asked, platform_id))
        if part.outgoing.reaction is None and part.file is None:
            room.remember(platform_id, shown.text)
        return platform_id

    async def show(self, update: base.Update) -> None:
        """Passes on live text, progress and ends."""
        room = self._room(_conversation(update.route))
        match update:
            case base.Live(turn_id=turn_id, text=text):
                anew = room.live[0] != turn_id or not text.startswith(room.live[1])
                room.live = (turn_id, text)
                for seat in room.watching():
                    seat.stream(turn_id, text, anew=anew)
            case base.Working(on=on, progress=progress):
                room.working = wire.Working(on=on, progress=progress)
                if not on:
                    room.live = ("", "")
                for seat in room.watching():
                    seat.offer(room.working)
            case base.Settled():
                self._settle(room, update)
            case base.Open(question=asked, turn_id=turn_id):
                room.questions[asked.id] = _Asked(asked, turn_id, None)
                self._remind(room, wire.Shown(turn_id=turn_id, question=_question(asked)))

    # ---------------------------------------------------------------- out

    async def _shown(self, room: _Room, part: Part) -> wire.Shown:
        out = part.outgoing
        if part.file is not None:
            try:
                await asyncio.to_thread(files.check_room, self._downloads)
                path = await asyncio.to_thread(files.save, self._downloads, part.file.name, part.file.data)
            except OSError as exc:
                message = f"A file could not be saved in {self._downloads}: {exc.strerror}."
                raise SendFailed(message, retry_after=SAVE_RETRY_SECONDS) from exc
            footer = None if part.index else out.footer
            return wire.Shown(files=[str(path)], turn_id=out.turn_id, notice=out.notice, footer=footer)
        about = question = None
        if (reaction := out.reaction) is not None:
            about = wire.About(quote=room.quote(reaction.message or reaction.event), reaction=reaction.emoji)
        elif part.replaces is not None:
            about = wire.About(quote=room.quote(part.replaces))
        if out.question is not None:
            question = _question(out.question)
        return wire.Shown(
            text=part.text,
            turn_id=out.turn_id,
            notice=out.notice,
            question=question,
            card=out.card,
            about=about,
            footer=None if part.index else out.footer,
        )

    def _show(self, room: _Room, out: Outgoing, shown: wire.Shown) -> None:
        if out.question is not None and not is_card(out.question):
            room.questions[out.question.id] = _Asked(out.question, out.turn_id, out.answers)
            if len(room.questions) > OPEN_QUESTIONS:
                del room.questions[next(iter(room.questions))]
        takers = self._takers(room, out)
        for seat in takers:
            seat.offer(shown.model_copy(update={"own": self._is_own(seat, out)}))
        if not takers and out.question is not None and not is_card(out.question):
            self._give_up(room, out.question.id)
        elif not takers and out.question is None:
            # They have left while a file was saved.
            room.missed.append(shown)
        if any(seat.once for seat in room.seats):
            room.recent.append(_Reply(shown, set(takers)))

    @staticmethod
    def _remind(room: _Room, shown: wire.Shown) -> None:
        for seat in room.watching():
            seat.offer(shown)
        if not room.watching():
            room.missed.append(shown)

    @staticmethod
    def _is_own(seat: Seat, out: Outgoing) -> bool:
        return out.answers in seat.events or not seat.events.isdisjoint(out.ends)

    @staticmethod
    def _takers(room: _Room, out: Outgoing) -> list[Seat]:
        """The seats that see everything, and the once seats whose message this answers; where there are none, those
        whose message has ended with it."""
        takers = [seat for seat in room.seats if not seat.once or out.answers in seat.events]
        return takers or [seat for seat in room.seats if not seat.events.isdisjoint(out.ends)]

    def _settle(self, room: _Room, update: base.Settled) -> None:
        if update.turn_id is not None:
            for question_id, asked in list(room.questions.items()):
                if asked.turn_id == update.turn_id:
                    del room.questions[question_id]
        for each in room.watching():
            each.events.discard(update.event_id)
        seat, say_id = self._said.pop(update.event_id, (None, ""))
        if seat is None:
            return
        if seat.once and update.turn_id is not None:
            self._share(room, seat, update.turn_id)
        seat.offer(wire.Settled(id=say_id, turn_id=update.turn_id, ok=update.ok))

    @staticmethod
    def _share(room: _Room, seat: Seat, turn_id: str) -> None:
        """A turn that has answered several messages in one: what it said belongs to a seat that got nothing."""
        said = [reply for reply in room.recent if reply.shown.turn_id == turn_id]
        if any(seat in reply.seats for reply in said):
            return
        for reply in said:
            reply.seats.add(seat)
            seat.offer(reply.shown.model_copy(update={"own": True}))
            with contextlib.suppress(ValueError):
                room.missed.remove(reply.shown)

    # ---------------------------------------------------------------- in

    async def _handle(self, room: _Room, seat: Seat, frame: wire.ClientFrame) -> None:
        while (host := self._host) is None:
            await self._hosted.wait()
        match frame:
            case wire.Say():
                await self._say(host, room, seat, frame)
            case wire.Command(name=name, arguments=arguments):
                event = replace(
                    self._event(room, "command"), command=name, arguments=dict(arguments), direct=True
                )
                self._receipt(room, seat, frame.id, await host.receive(event))
            case wire.Stop():
                event = replace(self._event(room, "command"), command="stop")
                self._receipt(room, seat, frame.id, _of_a_stop(await host.receive(event)))

    async def _say(self, host: Host, room: _Room, seat: Seat, frame: wire.Say) -> None:
        pressed = (
            None if frame.files or seat.once else self._cards.pressed(room.route.platform_id, frame.text)
        )
        if pressed is not None:
            await self._press(host, room, seat, frame, *pressed)
            return
        if not frame.files:
            for question_id, question in self._open_questions(room):
                answer = wire.match_answer(frame.text, question.options)
                if answer is not None:
                    if await self._answer(host, room, seat, frame, question_id, clean(answer)):
                        return
                    break
        folder = self._incoming / uuid.uuid4().hex
        try:
            staged = await asyncio.to_thread(_stage, folder, frame.files)
        except OSError as exc:
            text = f"The files could not be put in {folder}: {exc.strerror}."
            self._receipt(room, seat, frame.id, base.Receipt("refused", text))
        else:
            event = replace(self._event(room, "message"), text=clean(frame.text), files=staged)
            await self._hand_in(host, room, seat, frame, replace(event, direct=True, mentions_bot=True))
        finally:
            if frame.files:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _hand_in(self, host: Host, room: _Room, seat: Seat, frame: wire.Say, event: Event) -> None:
        # Before the event is handed in: its end may come sooner than its receipt.
        self._said[event.id] = (seat, frame.id)
        room.remember(event.id, event.text)
        seat.events.add(event.id)
        receipt = await host.receive(event)
        if receipt.state != "accepted":
            self._said.pop(event.id, None)
        elif receipt.text is None:
            receipt = replace(receipt, text=_still_open(room))
        self._receipt(room, seat, frame.id, receipt)

    async def _answer(
        self, host: Host, room: _Room, seat: Seat, frame: wire.Say, question_id: str, answer: str
    ) -> bool:
        """An answer settles at once, and before its receipt: what it leads to belongs to the turn that asked. False
        when the service does not take it as one: then it is what else a person may say."""
        asked = room.questions.pop(question_id, None)
        if asked is not None and asked.event is not None:
            seat.events.add(asked.event)
        event = replace(self._event(room, "answer"), text=answer, question_id=question_id, direct=True)
        receipt = await host.receive(event)
        if receipt.state == "refused":
            return False
        if receipt.state == "accepted":
            seat.offer(wire.Settled(id=frame.id))
        self._receipt(room, seat, frame.id, receipt)
        return True

    async def _press(
        self, host: Host, room: _Room, seat: Seat, frame: wire.Say, card: base.Question, choice: int
    ) -> None:
        """A button stands for a command, and what comes of it is said like that of one. The card stays as it is, until
        the service puts something else in its place."""
        event = replace(
            self._event(room, "answer"), text=card.options[choice], question_id=card.id, direct=True
        )
        receipt = await host.receive(replace(event, choice=choice))
        if receipt.state == "accepted":
            seat.offer(wire.Settled(id=frame.id))
        self._receipt(room, seat, frame.id, receipt)

    def _open_questions(self, room: _Room) -> list[tuple[str, base.Question]]:
        """The newest first."""
        now = self._clock()
        for question_id, asked in list(room.questions.items()):
            if asked.question.expires_at is not None and asked.question.expires_at <= now:
                del room.questions[question_id]
        return [(question_id, asked.question) for question_id, asked in reversed(room.questions.items())]

    def _event(self, room: _Room, kind: EventKind) -> Event:
        return Event(
            id=f"terminal:{uuid.uuid4()}",
            kind=kind,
            route=room.route,
            sender=self.person,
            created_at=self._clock(),
        )

    def _receipt(self, room: _Room, seat: Seat, frame_id: str, receipt: base.Receipt) -> None:
        self._cards.offer(room.route.platform_id, receipt.ask)
        ask = None if receipt.ask is None else _question(receipt.ask)
        seat.offer(
            wire.Receipt(id=frame_id, state=receipt.state, text=receipt.text, data=receipt.data, ask=ask)
        )

    # ---------------------------------------------------------------- seats

    def _left(self, room: _Room, seat: Seat, unread: Sequence[wire.SeatFrame]) -> None:
        if seat not in room.seats:
            return
        room.seats.remove(seat)
        self._said = {event: said for event, said in self._said.items() if said[0] is not seat}
        if seat.once and not room.watching():
            for question_id, asked in list(room.questions.items()):
                if asked.event in seat.events:
                    self._give_up(room, question_id)
        if not room.watching():
            room.missed.extend(frame for frame in unread if isinstance(frame, wire.Shown))
        if not any(other.once for other in room.seats):
            room.recent.clear()

    def _give_up(self, room: _Room, question_id: str) -> None:
        """Nobody is there to answer: whoever speaks here next must not wait until the question runs out."""
        room.questions.pop(question_id, None)
        event = self._event(room, "answer")
        self._given_up.put_nowait(replace(event, text=NOBODY_THERE, question_id=question_id, direct=True))

    def _present(self, host: Host, conversation: str) -> None:
        host.present(self.name, conversation)
        if conversation == MAIN:
            refused, self._refused = self._refused, set()
            for place in sorted(refused):
                host.present(self.name, place)

    def _room(self, conversation: str) -> _Room:
        if conversation not in self._rooms:
            route = Route(channel=self.name, platform_id=conversation)
            self._rooms[conversation] = _Room(route)
        return self._rooms[conversation]


def _question(asked: base.Question) -> wire.Question:
    return wire.Question(
        title=asked.title,
        question=asked.question,
        options=list(asked.options),
        card=is_card(asked),
    )


def _conversation(route: Route) -> str:
    """There is one person, and the main conversation is theirs."""
    return MAIN if route.platform_id.startswith(DIRECT) else route.platform_id


def _still_open(room: _Room) -> str | None:
    """What to tell somebody whose message waits behind a question."""
    asked = [each.question for each in room.questions.values() if each.question.options]
    if not asked:
        return None
    count = len(asked[-1].options)
    numbers = "1" if count == 1 else f"1 {'or' if count == 2 else 'to'} {count}"
    return STILL_OPEN.format(numbers=numbers)


def _of_a_stop(receipt: base.Receipt) -> base.Receipt:
    """A stop that worked is seen by what stops; only one that did not has to be told."""
    worked = receipt.state == "accepted" and receipt.data is not None and receipt.data.get("stopped")
    return replace(receipt, text=None) if worked else receipt


def _stage(folder: Path, attached: Sequence[wire.File]) -> list[IncomingFile]:
    if attached:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return [
        IncomingFile(files.safe_name(f.name), f.media_type, files.save(folder, f.name, f.data))
        for f in attached
    ]
