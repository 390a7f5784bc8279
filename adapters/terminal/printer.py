"""Replies as plain text, for whatever reads standard output."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final, TextIO

from adapters.terminal import wire
from adapters.terminal.client import EXIT_FAILED, EXIT_LOST, LOST, Client
from adapters.terminal.links import LinkLost
from adapters.terminal.text import plain, printable, question_lines

NOT_TAKEN: Final = "The message was not taken."


class Printer:
    """Replies to what was said here go to `out`, a line each at least; everything else to `err`. Raises
    BrokenPipeError when nobody reads `out` any more."""

    def __init__(self, client: Client, out: TextIO, err: TextIO) -> None:
        self.complained = False
        self._client = client
        self._out = out
        self._err = err
        self._others: list[wire.Shown] = []

    async def converse(self, person: Coroutine[Any, Any, int]) -> int:
        """Runs the client. A lost link is said and is exit 2; an `out` that nobody reads is a silent exit 1."""
        try:
            code = await self._client.run(self.show, person)
        except LinkLost:
            self.complain(LOST)
            return EXIT_LOST
        except BrokenPipeError:
            return EXIT_FAILED
        self._let_go()
        return code or (EXIT_FAILED if self._client.failed or self.complained else 0)

    def tell(self, text: str) -> None:
        """What was asked for."""
        self._write(self._out, text)

    def complain(self, sentence: str) -> None:
        """What is wrong."""
        self.complained = True
        self._write(self._err, plain(sentence))

    def show(self, frame: wire.SeatFrame) -> None:
        """Writes what a frame has to say."""
        match frame:
            case wire.Shown(own=True):
                self._reply(self._out, frame)
            case wire.Shown():
                self._others.append(frame)
            case wire.Settled(turn_id=turn_id):
                # A turn that has answered several messages in one has answered ours as well.
                self._let_go(ours=turn_id)
            case wire.Receipt(state="accepted", text=str(text)):
                aside = self._client.is_message(frame.id)
                self._write(self._err if aside else self._out, text)
                self._ask(self._err if aside else self._out, frame.ask)
            case wire.Receipt(state="refused" | "dropped", text=text):
                self._write(self._err, text or NOT_TAKEN)

    def _let_go(self, *, ours: str | None = None) -> None:
        for shown in self._others:
            self._reply(self._out if ours is not None and shown.turn_id == ours else self._err, shown)
        self._others.clear()

    def _reply(self, stream: TextIO, shown: wire.Shown) -> None:
        if text := wire.in_words(shown):
            self._write(stream, text)
        self._ask(stream, shown.question)
        for path in shown.files:
            self._write(stream, path)
        if shown.footer:
            self._write(stream, plain(shown.footer))

    def _ask(self, stream: TextIO, asked: wire.Question | None) -> None:
        if asked is not None:
            lines = question_lines(title=asked.title, question=asked.question, options=asked.options)
            self._write(stream, lines)

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        encoding = stream.encoding or "utf-8"
        line = printable(text) + "\n"
        stream.write(line.encode(encoding, "replace").decode(encoding))
        stream.flush()
