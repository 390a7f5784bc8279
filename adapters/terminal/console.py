"""A conversation at a terminal. Import it only where standard input is one.

The prompt stays open while a turn runs, so a follow-up can be typed at any time. What is finished is printed
above it; the line being written and a spinner are part of the prompt and vanish with it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.data_structures import Size
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.utils import get_cwidth

from adapters.offers import CommandInfo
from adapters.terminal import wire
from adapters.terminal.client import EXIT_LOST, LOST, Client, Desk
from adapters.terminal.lines import SERVICE_COMMANDS
from adapters.terminal.links import Link, LinkLost
from adapters.terminal.printer import NOT_TAKEN
from adapters.terminal.stream import Stream
from adapters.terminal.text import plain, printable, question_lines

SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
SPINNER_SECONDS: Final = 0.1
PROMPT: Final = "> "
ONCE_MORE: Final = "Press Ctrl-C again to leave."
KEPT: Final = "Your message is kept; its answer comes at the next start."
_TAIL_CHARS: Final = 8192
_DIM: Final = "\x1b[2m"
_BOLD: Final = "\x1b[1m"
_PLAIN: Final = "\x1b[0m"
_FAINT: Final = "fg:ansibrightblack"


async def run_console(
    link: Link,
    *,
    banner: str,
    history: Path,
    commands: Sequence[CommandInfo] = SERVICE_COMMANDS,
    kept: str = KEPT,
) -> int:
    """Talks with the person at this process's terminal until they leave: 0; 2 when the link was lost. What
    they enter is kept in `history`, readable by them alone. `kept` says what becomes of a message that is not
    answered yet."""
    console = Console(Client(link), history, commands, sys.stdout, kept)
    return await console.run(banner)


class _Interrupted(Exception):
    """Ctrl-C at the prompt."""


class Console:
    """The screen. Only `_print` writes above the prompt."""

    def __init__(
        self, client: Client, history: Path, commands: Sequence[CommandInfo], stdout: TextIO, kept: str
    ) -> None:
        self._client = client
        self._kept = kept
        self._desk = Desk(client, commands, tell=self._say, complain=self._say)
        self._output = _output(stdout)
        self._input = create_input()
        self._session: PromptSession[str] = PromptSession(
            self._message,
            history=_history(history),
            key_bindings=_keys(),
            multiline=True,
            erase_when_done=True,
            prompt_continuation=" " * len(PROMPT),
            input=self._input,
            output=self._output,
            interrupt_exception=_Interrupted,
        )
        self._stream: Stream | None = None
        self._working = wire.Working(on=False)
        self._stopping = False
        self._spin = 0

    async def run(self, banner: str) -> int:
        """Until the person leaves or the link is lost."""
        self._print(banner)
        # Raw also between two prompts: there Ctrl-C would be a signal, and typed text would show twice.
        with self._input.raw_mode():
            spinner = asyncio.create_task(self._turn(), name="terminal-spinner")
            try:
                code = await self._client.run(self._show, self._person())
                if self._client.busy and not self._stopping:
                    sys.stderr.write(self._kept + "\n")
                return code
            except LinkLost:
                sys.stderr.write(LOST + "\n")
                return EXIT_LOST
            finally:
                spinner.cancel()
                await asyncio.gather(spinner, return_exceptions=True)

    @property
    def _running(self) -> bool:
        return self._working.on or self._client.busy

    # ---------------------------------------------------------------- in

    async def _person(self) -> int:
        draft, leaving = "", False
        while True:
            try:
                # The signal handlers of this process and its error reports are the service's own.
                entered = await self._session.prompt_async(
                    default=draft, handle_sigint=False, set_exception_handler=False
                )
            except EOFError:
                return 0
            except _Interrupted:
                draft = self._session.default_buffer.text
                if self._running and self._stopping:
                    return 0
                elif self._running:
                    self._stopping = True
                    self._client.stop()
                elif draft:
                    draft = ""
                elif leaving:
                    return 0
                else:
                    leaving = True
                    self._say(ONCE_MORE)
            else:
                draft, leaving = "", False
                echo = printable(entered).replace("\n", "\n" + " " * len(PROMPT))
                self._print(f"{_BOLD}{PROMPT}{_PLAIN}{echo}")
                if not self._desk.act(entered):
                    return 0

    # ---------------------------------------------------------------- out

    def _show(self, frame: wire.SeatFrame) -> None:
        match frame:
            case wire.Live():
                self._live(frame)
            case wire.Shown():
                self._reply(frame)
            case wire.Working():
                self._working = frame
                self._stopping &= frame.on
                if not frame.on:
                    # What comes late of a turn that is over is no news.
                    self._give_up()
                    self._stream = None
            case wire.Settled():
                self._stopping = False
            case wire.Receipt(state="refused" | "dropped", text=text):
                self._say(text or NOT_TAKEN)
            case wire.Receipt(text=str(text), data=data):
                # A stop that came too late stops nothing.
                self._stopping &= data != {"stopped": False}
                self._say(text)
                self._ask(frame.ask)
        self._session.app.invalidate()

    def _live(self, frame: wire.Live) -> None:
        if self._stream is None or self._stream.turn_id != frame.turn_id or frame.offset == 0:
            self._give_up()
            self._stream = Stream(frame.turn_id)
        done = self._stream.feed(frame.offset, frame.text)
        if done:
            self._print(printable(done.removesuffix("\n")))

    def _reply(self, shown: wire.Shown) -> None:
        stream = self._stream
        missing = None
        is_text = shown.card is None and shown.about is None
        if stream is not None and stream.turn_id == shown.turn_id and shown.text.strip() and is_text:
            missing = stream.finish(shown.text)
        if missing is None:
            self._give_up()
            missing = wire.in_words(shown).strip("\n")
        if missing:
            self._print(printable(missing), style=_DIM if shown.notice else "")
        self._ask(shown.question)
        for path in shown.files:
            self._print(f"Saved {printable(path)}")
        if shown.footer:
            self._print(plain(shown.footer), style=_DIM)
        self._print("")

    def _ask(self, asked: wire.Question | None) -> None:
        if asked is not None:
            self._print(question_lines(title=asked.title, question=asked.question, options=asked.options))

    def _give_up(self) -> None:
        if self._stream is not None and (partial := self._stream.give_up()):
            self._print(printable(partial))

    def _say(self, text: str) -> None:
        self._print(plain(text) + "\n", style=_DIM)

    def _print(self, text: str, *, style: str = "") -> None:
        app = self._session.app
        if app.is_running:
            app.renderer.erase()
        self._output.write_raw(f"{style}{text}{_PLAIN if style else ''}\n")
        self._output.flush()
        app.invalidate()

    # ---------------------------------------------------------------- the prompt

    def _message(self) -> StyleAndTextTuples:
        size = self._output.get_size()
        above = []
        if self._stream is not None and self._stream.partial:
            rows = wrap(printable(self._stream.partial[-_TAIL_CHARS:]), size.columns)
            above += [("", row) for row in rows[-max(1, size.rows // 2) :]]
        if self._running:
            above.append((_FAINT, wrap(self._doing(), size.columns)[0]))
        if self._desk.attached:
            names = "Attached: " + ", ".join(file.name for file in self._desk.attached)
            above.append((_FAINT, wrap(names, size.columns)[0]))
        return [*((style, row + "\n") for style, row in above), ("bold", PROMPT)]

    def _doing(self) -> str:
        mark = SPINNER[self._spin % len(SPINNER)]
        if self._stopping:
            return f"{mark} Stopping … (Ctrl-C again leaves)"
        if self._client.asking:
            return f"{mark} Waiting for your answer … (Ctrl-C stops)"
        words = " ".join(printable(self._working.progress or "Working").split())
        return f"{mark} {words} … (Ctrl-C stops)"

    async def _turn(self) -> None:
        while True:
            await asyncio.sleep(SPINNER_SECONDS)
            if self._running:
                self._spin += 1
                self._session.app.invalidate()


def wrap(text: str, columns: int) -> list[str]:
    """`text` cut into rows of at most `columns` cells; at least one row. A wide character counts two."""
    rows = [""]
    width = 0
    for character in text.expandtabs(8):
        cells = get_cwidth(character)
        if width + cells > columns or character == "\n":
            rows.append("")
            width = 0
        if character != "\n":
            rows[-1] += character
            width += cells
    return rows


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _enter(event: KeyPressEvent) -> None:
        if event.current_buffer.text.strip():
            event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _history(path: Path) -> History:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return InMemoryHistory()  # A history that cannot be kept is no reason not to talk.
    os.fchmod(fd, 0o600)
    os.close(fd)
    return FileHistory(path)


def _output(stdout: TextIO) -> Vt100_Output:
    """Never asks the terminal where its cursor is: over a slow line each printed line would wait for the answer."""

    def size() -> Size:
        try:
            columns, rows = os.get_terminal_size(stdout.fileno())
        except OSError:
            columns, rows = 0, 0
        return Size(rows=rows or 24, columns=columns or 80)

    return Vt100_Output(stdout, size, term=os.environ.get("TERM"), enable_cpr=False)
