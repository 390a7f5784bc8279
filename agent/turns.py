"""The turns of one query: what was asked, how far it is, and how it is answered.

A turn is a group of messages that went in as one prompt; its answer and its acks are committed together.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent import routing
from agent.desk import Desk
from agent.protocol import bell
from agent.protocol.mailbox import AgentEnd, Draft
from agent.protocol.messages import (
    MAX_TEXT_CHARS,
    USED_KEY,
    USED_TURNS,
    AckStatus,
    ChatOut,
    MessageIn,
    Route,
    Used,
    revised_by,
)
from agent.providers.base import Usage

STOPPED: Final = "(Stopped.)"
EMPTY: Final = "(The agent had nothing to say.)"
FIRST_CHARS: Final = 40
"""The host shows a word when the next one begins, and the first is what somebody waits for: so far nothing rests."""
LIVE_SECONDS: Final = 0.02
"""How often live text goes out: words come faster than anybody reads, and a frame costs more than its words."""


MAX_PARTS: Final = 100
MAX_ANSWER_CHARS: Final = 2 * MAX_TEXT_CHARS
"""What one answer may add to outbound.db, however much of it waits there for its delivery."""
LEFT_OUT: Final = "(The answer was too long: {count} more messages of it were left out.)"


@dataclass
class Turn:
    """The messages of one prompt, asked at `begun` on the event loop's clock, in seconds.

    `extra` are rows that will be done with when it is answered; `held` says that its claim is on disk. One that only
    tells of a change has its own row as its message, and `answers` the message that was changed.
    """

    messages: list[MessageIn]
    begun: float
    extra: list[str] = field(default_factory=list)
    held: bool = False
    answers: str | None = None

    @property
    def id(self) -> str:
        """The id of the oldest message that asked for it; a retry has the same."""
        return next((message.id for message in self.messages if message.trigger), self.messages[0].id)

    @property
    def asks(self) -> bool:
        """Whether anybody waits for its answer: a change alone may leave nothing to say."""
        return any(message.trigger for message in self.messages)

    @property
    def asked_by(self) -> str:
        """The id of the newest message that asked: that is the one people see answered."""
        asked = [message.id for message in self.messages if message.trigger]
        return asked[-1] if asked else self.answers or self.id

    @property
    def about(self) -> dict[int, str]:
        """The ids of the messages that it is about, by their numbers."""
        told = {} if self.answers is None else {revised_by(each): self.answers for each in self.messages}
        said = {message.seq: message.id for message in self.messages}
        return {**said, **{seq: message_id for seq, message_id in told.items() if seq is not None}}

    def acks(self) -> dict[str, AckStatus]:
        """What is to be acknowledged together with the answer."""
        return dict.fromkeys([*(message.id for message in self.messages), *self.extra], "completed")


class Turns:
    """Oldest first. The one whose answer is written now is `current`, and stays so until the next begins."""

    def __init__(
        self,
        end: AgentEnd,
        desk: Desk,
        ring: Callable[[bell.AgentFrame], None],
        *,
        origin: Route,
        destinations: Mapping[str, Route],
        first: Turn,
    ) -> None:
        self._end = end
        self._desk = desk
        self._ring = ring
        self._origin = origin
        self._destinations = destinations
        self._open: deque[Turn] = deque()
        self.foreword = ""
        """Stands before the next answer."""
        self._resting: asyncio.TimerHandle | None = None
        self._sent = 0
        self._unanswered = self._unsent = ""
        self._used = Used(turn_id=first.id)
        self.append(first)

    def __bool__(self) -> bool:
        return bool(self._open)

    def __iter__(self) -> Iterator[Turn]:
        return iter(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def taken(self) -> set[str]:
        """The ids of all rows that are done with when everything is answered."""
        return {message_id for turn in self._open for message_id in turn.acks()}

    def begun(self) -> dict[int, str]:
        """The ids of the messages that anything open is about, by their numbers."""
        return {seq: message_id for turn in self._open for seq, message_id in turn.about.items()}

    def append(self, turn: Turn) -> None:
        """One more was asked."""
        self._open.append(turn)
        if len(self._open) == 1:
            self._begin()

    def merge(self) -> None:
        """All that is open becomes one turn, to be asked again from the beginning."""
        turns, self._open = self._open, deque()
        messages = [message for turn in turns for message in turn.messages]
        extra = [row for turn in turns for row in turn.extra]
        self.append(Turn(messages, turns[0].begun, extra, answers=turns[0].answers))

    def hold(self, begun_before: float) -> None:
        """Claims on disk what has lasted. Raises MailboxError."""
        for turn in self._open:
            if not turn.held and turn.begun <= begun_before:
                self._end.hold(turn.acks(), turn_id=turn.id)
                turn.held = True
                self.say_active()

    def stream(self, delta: str) -> None:
        """More of the current answer, live for whoever asked: the first words at once, the rest in bunches."""
        text = self._live.feed(delta)
        self._unanswered += text
        self._unsent += text
        if self._resting is None or self._sent < FIRST_CHARS:
            self._send_live()

    def _send_live(self) -> None:
        self._rest()
        text, self._unsent = self._unsent, ""
        if not text or not self._open:
            return
        for start in range(0, len(text), bell.MAX_LIVE_CHARS):
            piece = text[start : start + bell.MAX_LIVE_CHARS]
            self._ring(bell.LiveText(turn_id=self.current.id, offset=self._sent, text=piece))
            self._sent += len(piece)
        self._resting = asyncio.get_running_loop().call_later(LIVE_SECONDS, self._send_live)

    def used(self, usage: Usage) -> None:
        """What a part of the current answer has used: the host is told with the end of its turn."""
        self._used = Used(
            turn_id=self.current.id,
            model=usage.model,
            input_tokens=self._used.input_tokens + usage.input_tokens,
            output_tokens=self._used.output_tokens + usage.output_tokens,
            cache_write_tokens=self._used.cache_write_tokens + usage.cache_write_tokens,
            cache_read_tokens=self._used.cache_read_tokens + usage.cache_read_tokens,
        )

    def answer(self, text: str, count: int | None) -> None:
        """Answers the oldest `count` turns, None being all of them; with 0 it says more without ending any.
        What comes after the last was answered belongs to that one. While too much waits for its delivery, what
        ends none is kept for the one that does. Raises MailboxError."""
        if count == 0 and self._open and self._end.crowded():
            self.foreword += f"{text.rstrip()}\n\n"
            return
        quiet = self._desk.has_sent or not self.current.asks
        if count != 0 and not (self.foreword + text).strip() and not quiet:
            # Silence that is meant is written as <internal>; this looks like a lost message to whoever asked.
            text = EMPTY
        replies = routing.address(self.foreword + text, self._origin, self._destinations)
        self.foreword = ""
        drafts = [draft for reply in replies for draft in self._drafts(reply.text, reply.route)]
        self._commit(self._bounded(drafts), len(self._open) if count is None else count)

    def pass_over(self) -> None:
        """Ends the oldest turn without a word: there was nothing to do. Raises MailboxError."""
        self._commit([], 1)

    def stop(self) -> None:
        """Answers everything with what was written until now. Raises MailboxError."""
        text = f"{self._unanswered}\n\n{STOPPED}".strip()
        self._commit(self._drafts(text, self._origin), len(self._open))

    def give_up(self, why: str) -> None:
        """Answers the oldest turn with `why`; what was asked after it stays pending, for another query.
        Raises MailboxError."""
        self._commit(self._drafts(why, self._origin, failed=True), 1)
        self._open.clear()

    def say_active(self, *, progress: str | None = None) -> None:
        """Lets the host know that the current turn goes on."""
        if self._open:
            self._ring(bell.Activity(turn_id=self.current.id, progress=progress))

    def _tell_usage(self) -> None:
        if self._used == Used(turn_id=self._used.turn_id):
            return
        kept = json.loads(self._end.state(USED_KEY) or '{"turns": []}')["turns"]
        turns = [*kept, self._used.model_dump()][-USED_TURNS:]
        self._end.stage(USED_KEY, json.dumps({"turns": turns}))

    def _begin(self) -> None:
        self.current = self._open[0]
        self._live = routing.LiveText(self._destinations)
        self._unanswered = self._unsent = ""
        self._sent = 0
        self._used = Used(turn_id=self.current.id)
        self._rest()
        self._desk.open(
            self._origin,
            turn_id=self.current.id,
            reply_to=self.current.asked_by,
            catch_up=self._catch_up,
        )

    def _catch_up(self) -> None:
        """What waits to go out in a bunch goes out now."""
        if self._resting is not None:
            self._rest()
            self._send_live()

    def _rest(self) -> None:
        """What waits to be sent is sent now, or never."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    def _drafts(self, text: str, route: Route, *, failed: bool = False) -> list[Draft]:
        """A text that is longer than a message may be becomes several."""
        return [
            Draft(
                ChatOut(text=text[start : start + MAX_TEXT_CHARS], failed=failed),
                "chat",
                route,
                in_reply_to=self.current.asked_by,
                turn_id=self.current.id,
            )
            for start in range(0, len(text), MAX_TEXT_CHARS)
        ]

    def _bounded(self, drafts: list[Draft]) -> list[Draft]:
        """Whatever a provider says in one answer must fit into the room that outbound.db has left."""
        room, fit = MAX_ANSWER_CHARS, 0
        for draft in drafts[:MAX_PARTS]:
            room -= len(draft.content.text) if isinstance(draft.content, ChatOut) else 0
            if room < 0:
                break
            fit += 1
        if fit == len(drafts):
            return drafts
        return drafts[:fit] + self._drafts(LEFT_OUT.format(count=len(drafts) - fit), self._origin)

    def _commit(self, drafts: Sequence[Draft], count: int) -> None:
        """Replies, and the acks of the oldest `count` turns."""
        turn_id = self.current.id
        answered = [self._open.popleft() for _ in range(min(count, len(self._open)))]
        acks = {message_id: status for turn in answered for message_id, status in turn.acks().items()}
        if acks:
            self._tell_usage()
        if acks or drafts:
            self._end.finish(acks, drafts, turn_id=turn_id)
        # The whole answer is on its way: what was not shown of it yet need not be.
        self._unanswered = self._unsent = ""
        self._ring(bell.Changed())
        if self._open:
            self._begin()
