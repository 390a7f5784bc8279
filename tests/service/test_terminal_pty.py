"""The terminal's user interfaces in processes of their own, the console's at a real pseudo terminal.

As a program, this is one of those processes: KIND HOME [WORDS].
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import selectors
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.base import Sender
from adapters.terminal import TerminalAdapter
from adapters.terminal.console import run_console, wrap
from adapters.terminal.links import LocalLink
from adapters.terminal.once import run_once
from adapters.terminal.pipe import run_pipe, stdin_lines
from tests.fakes.host import ScriptedHost

TIMEOUT_SECONDS = 20.0
ROOT = Path(__file__).parents[2]
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()].|\x1b[=>]|\r")


def command(kind: str, home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "tests.service.test_terminal_pty", kind, str(home), *words]


class Terminal:
    """A console at a pseudo terminal. `expect` reads on until a text has come that was not expected before."""

    def __init__(self, home: Path) -> None:
        self.master, slave = pty.openpty()
        self.resize(24, 80)
        self.mode = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            command("console", home),
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1"},
        )
        self._slave = slave
        self._raw = b""
        self._read = 0

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str | bytes) -> None:
        os.write(self.master, text if isinstance(text, bytes) else text.encode())

    @property
    def text(self) -> str:
        """All that was written, without what moves the cursor or colours."""
        return _ESCAPES.sub("", self._raw.decode("utf-8", "replace"))

    def expect(self, wanted: str) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.master, selectors.EVENT_READ)
            while (found := self.text.find(wanted, self._read)) < 0:
                assert selector.select(deadline - time.monotonic()), (
                    f"no {wanted!r} in:\n{self.text[self._read :]}"
                )
                self._raw += os.read(self.master, 65536)
        self._read = found + len(wanted)

    def leaves(self) -> int:
        """The exit status, once the process has left its terminal as it was."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.master, selectors.EVENT_READ)
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while self.process.poll() is None and time.monotonic() < deadline:
                if selector.select(0.02):
                    self._raw += os.read(self.master, 65536)
        code = self.process.wait(TIMEOUT_SECONDS)
        assert termios.tcgetattr(self._slave) == self.mode
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self._slave)


@contextmanager
def console(home: Path) -> Iterator[Terminal]:
    terminal = Terminal(home)
    try:
        terminal.expect("Welcome.")
        terminal.expect(">")
        yield terminal
    finally:
        terminal.close()


def test_a_conversation(tmp_path: Path) -> None:
    with console(tmp_path) as t:
        t.type("hello wörld 🙂 שלום\r")
        t.expect("echo: hello wörld 🙂 שלום")
        t.type("escape\r")
        t.expect("red end")
        t.type("/status\r")
        t.expect("status is fine")
        t.type("/clearx\r")
        t.expect("Did you mean /clear?")
        t.type("/help\r")
        t.expect("/quit")
        t.type("/quit\r")
        assert t.leaves() == 0
        assert b"title" not in t._raw


def test_an_answer_is_printed_once_as_it_comes(tmp_path: Path) -> None:
    with console(tmp_path) as t:
        t.type("stream 25 20\r")
        t.expect("word0")
        t.expect("Ctrl-C stops")
        t.type("meanwhile\r")
        t.expect("echo: meanwhile")
        t.expect("word24")
        t.type("done\r")
        t.expect("echo: done")
        assert t.text.count("word0 word1 word2 word3 word4 word5 word6 word7 word8 word9\n") == 1


def test_ctrl_c_stops_the_turn_and_keeps_what_is_typed(tmp_path: Path) -> None:
    with console(tmp_path) as t:
        t.type("slow\r")
        t.expect("Bash:")  # Drawn over "Working": only what differs is written.
        t.type("draft")
        t.expect("draft")
        t.type("\x03")
        t.expect("Stopped.")
        t.expect("draft")
        t.type(" more\r")
        t.expect("echo: draft more")
        t.type("unwanted\x03")
        t.type("/quit\r")
        assert t.leaves() == 0


def test_a_second_ctrl_c_leaves_a_turn_that_does_not_stop(tmp_path: Path) -> None:
    with console(tmp_path) as t:
        t.type("deaf\r")
        t.expect("Working")
        t.type("\x03")
        t.expect("Ctrl-C again leaves")
        t.type("\x03")
        assert t.leaves() == 0


def test_an_empty_prompt_is_left_by_ctrl_d(tmp_path: Path) -> None:
    with console(tmp_path) as t:
        t.type("\x04")
        assert t.leaves() == 0
        assert "kept" not in t.text


def test_an_idle_prompt_is_left_by_a_second_ctrl_c(tmp_path: Path) -> None:
    with console(tmp_path) as t:
        for _ in range(2):
            t.type("/status\r")
            t.expect("status is fine")
            t.type("\x03")
            t.expect("Press Ctrl-C again to leave.")
        t.type("\x03")
        assert t.leaves() == 0


def test_who_leaves_before_the_answer_is_told_that_it_is_kept(tmp_path: Path) -> None:
    with console(tmp_path) as t:
        t.type("deaf\r")
        t.expect("Working")
        t.type("\x04")
        t.expect("Your message is kept; its answer comes at the next start.")
        assert t.leaves() == 0


def test_history_lasts_and_is_private(tmp_path: Path) -> None:
    with console(tmp_path) as t:
        t.type(b"remember \xff this\r")
        t.expect("echo: remember")
        t.type("\x04")
        assert t.leaves() == 0
    assert (tmp_path / "state" / "history").stat().st_mode & 0o777 == 0o600
    with console(tmp_path) as t:
        t.type("\x1b[A")
        t.expect("remember")
        t.type("\r")
        t.expect("echo: remember")


def test_a_pasted_text_is_one_message(tmp_path: Path) -> None:
    with console(tmp_path) as t:
        t.type("\x1b[200~one\ntwo\x1b[201~")
        t.expect("two")
        t.type("\r")
        t.expect("echo: one\ntwo")


def test_a_question_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_text("abc")
    with console(tmp_path) as t:
        t.type("ask\r")
        t.expect("2. Green")
        t.expect("Waiting for your answer")
        t.type("green\r")
        t.expect("You chose Green.")
        t.type(f"/file '{tmp_path}/none'\r")
        t.expect("There is no file")
        t.type(f'/file "{tmp_path}/a b.txt"\r')
        t.expect("Attached: a b.txt")
        t.type("look\r")
        t.expect("look with a b.txt (3 bytes)")
        t.type("file abc\r")
        t.expect("Saved ")
    assert (tmp_path / "downloads" / "notes.txt").read_text() == "abc"


def test_an_edit_a_reaction_and_a_card(tmp_path: Path) -> None:
    with console(tmp_path) as t:
        t.type("edit\r")
        for line in ("half done", '(edited "half done") all done', '(👍 on "all done")', '(eyes on "edit")'):
            t.expect(line)
        for line in ("┌ Build 7", "│ green", "│ Took: 3 min", "│   two", "└"):
            t.expect(line)
        t.type(b"\x04")
        assert t.leaves() == 0


def test_a_resize_in_mid_answer(tmp_path: Path) -> None:
    with console(tmp_path) as t:
        t.type("flow 60 20\r")
        t.expect("word20")
        t.resize(10, 30)
        t.process.send_signal(signal.SIGWINCH)
        t.expect("word59")
        t.type("after\r")
        t.expect("echo: after")


def test_a_lost_service_gives_the_terminal_back(tmp_path: Path) -> None:
    with console(tmp_path) as t:
        t.type("die\r")
        t.expect("The connection to Roost was lost.")
        assert t.leaves() == 2


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("", 5, [""]),
        ("abcdef", 3, ["abc", "def"]),
        ("日本語", 5, ["日本", "語"]),
        ("a\tb\nc", 20, ["a       b", "c"]),
    ],
)
def test_rows_are_as_wide_as_the_terminal(text: str, columns: int, rows: list[str]) -> None:
    assert wrap(text, columns) == rows


# ---------------------------------------------------------------- without a terminal


def run(kind: str, home: Path, *words: str, entered: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(kind, home, *words), cwd=ROOT, input=entered, capture_output=True, timeout=TIMEOUT_SECONDS
    )


def test_pipe_and_once_as_programs(tmp_path: Path) -> None:
    ended = run("pipe", tmp_path, entered=b"one\nfail\nlast")
    assert (ended.returncode, ended.stdout) == (1, b"echo: one\nThat went wrong.\necho: last\n")
    ended = run("once", tmp_path, "hello", "there")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"echo: hello there\n", b"")


def test_an_output_that_nobody_reads_is_a_quiet_exit(tmp_path: Path) -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    ended = subprocess.run(
        command("pipe", tmp_path),
        cwd=ROOT,
        input=b"one\ntwo\n",
        stdout=write_fd,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT_SECONDS,
    )
    os.close(write_fd)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_what_the_output_cannot_spell_is_replaced(tmp_path: Path) -> None:
    ended = subprocess.run(
        command("once", tmp_path, "caf\u00e9 \u05e9"),
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert (ended.returncode, ended.stdout) == (0, b"echo: caf\xe9 ?\n")


async def _program(kind: str, home: Path, *words: str) -> int:
    adapter = TerminalAdapter(
        downloads=home / "downloads", incoming=home / "incoming", person=Sender("1", "Ada")
    )
    host = ScriptedHost(adapter)
    service = asyncio.create_task(adapter.run(host))
    host.dying.add_done_callback(lambda _: service.cancel())
    seat = adapter.sit(once=kind == "once")
    try:
        match kind:
            case "console":
                return await run_console(
                    LocalLink(seat), banner="Welcome.", history=home / "state" / "history"
                )
            case "once":
                return await run_once(LocalLink(seat), " ".join(words), sys.stdout, sys.stderr)
            case _:
                return await run_pipe(LocalLink(seat), stdin_lines(), sys.stdout, sys.stderr)
    finally:
        seat.close()
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
        await host.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(_program(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])))
