"""Pipe and once against the adapter and a scripted agent, in this process and over a real socket."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters.base import Sender
from adapters.terminal import TerminalAdapter, wire
from adapters.terminal.client import Client
from adapters.terminal.links import Link, LinkLost, LocalLink, SocketLink, serve
from adapters.terminal.once import run_once
from adapters.terminal.pipe import run_pipe, stdin_lines
from adapters.terminal.printer import Printer
from agent.protocol.messages import MAX_TEXT_CHARS
from tests.fakes.host import TIMEOUT_SECONDS, ScriptedHost


@dataclass
class Desk:
    """A service, and what a terminal of it printed."""

    adapter: TerminalAdapter
    host: ScriptedHost
    service: asyncio.Task[None]
    out: io.StringIO = field(default_factory=io.StringIO)
    err: io.StringIO = field(default_factory=io.StringIO)


@asynccontextmanager
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    adapter = TerminalAdapter(downloads=tmp_path / "d", incoming=tmp_path / "i", person=Sender("1", "Ada"))
    host = ScriptedHost(adapter)
    service = asyncio.create_task(adapter.run(host))
    try:
        yield Desk(adapter, host, service)
    finally:
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
        await host.close()


@asynccontextmanager
async def socket_link(adapter: TerminalAdapter, path: Path) -> AsyncIterator[SocketLink]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(adapter.sit(), reader, writer)
        writer.close()
        served.set()

    served = asyncio.Event()
    server = await asyncio.start_unix_server(connected, path, limit=wire.MAX_LINE)
    reader, writer = await asyncio.open_unix_connection(path, limit=wire.MAX_LINE)
    try:
        yield SocketLink(reader, writer)
    finally:
        writer.close()
        await asyncio.wait_for(served.wait(), TIMEOUT_SECONDS)
        server.close()


async def entered(*lines: str) -> AsyncIterator[str]:
    for line in lines:
        yield line


async def pipe(desk: Desk, *lines: str, link: Link | None = None) -> int:
    link = link or LocalLink(desk.adapter.sit())
    return await asyncio.wait_for(run_pipe(link, entered(*lines), desk.out, desk.err), TIMEOUT_SECONDS)


async def test_each_line_is_answered_in_order(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        assert await pipe(d, "one", "", "stream 3", "two") == 0
        assert d.out.getvalue() == "echo: one\nword0 word1 word2\necho: two\n"
        assert d.err.getvalue() == ""


async def test_what_answers_somebody_else_is_no_output(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        await d.adapter.sit().handle(wire.Say(id="1", text="earlier"))
        link = LocalLink(d.adapter.sit())
        assert await pipe(d, "one", link=link) == 0
        assert (d.out.getvalue(), d.err.getvalue()) == ("echo: one\n", "echo: earlier\n")


async def test_a_turn_that_answers_several_answers_this_line_too(tmp_path: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    printer = Printer(
        Client(
            LocalLink(TerminalAdapter(downloads=tmp_path, incoming=tmp_path, person=Sender("1", "Ada")).sit())
        ),
        out,
        err,
    )
    for turn_id in ("earlier", "ours"):
        printer.show(wire.Shown(text=turn_id, turn_id=turn_id))
    printer.show(wire.Settled(id="1", turn_id="ours"))
    assert (out.getvalue(), err.getvalue()) == ("ours\n", "earlier\n")


async def test_the_same_over_a_socket(tmp_path: Path) -> None:
    async with desk(tmp_path) as d, socket_link(d.adapter, tmp_path / "s") as link:
        long = "é" * 300_000
        assert await pipe(d, "one", "escape", long, "file abc", "/status", link=link) == 0
        path = tmp_path / "d" / "notes.txt"
        assert d.out.getvalue() == f"echo: one\nred end\necho: {long}\nHere it is.\n{path}\nstatus is fine\n"
        assert path.read_bytes() == b"abc"


CHANGES = """half done
(edited "half done") all done
(👍 on "all done")
(eyes on "edit")
(eyes on an earlier message)
┌ Build 7
│ green
│ Took: 3 min
│ Log: one
│   two
└
"""


async def test_edits_reactions_and_cards_are_told_in_words(tmp_path: Path) -> None:
    async with desk(tmp_path) as d, socket_link(d.adapter, tmp_path / "s") as link:
        assert await pipe(d, "edit", link=link) == 0
        assert d.out.getvalue().replace("half done \n", "half done\n") == CHANGES


async def test_once_shows_them_too(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        link = LocalLink(d.adapter.sit(once=True))
        assert await run_once(link, "edit", d.out, d.err) == 0
        assert d.out.getvalue().replace("half done \n", "half done\n") == CHANGES


async def test_a_question_is_answered_by_the_next_line(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        assert await pipe(d, "ask", "2", "after") == 0
        assert d.out.getvalue().splitlines()[-2:] == ["You chose Green.", "echo: after"]


async def test_a_question_at_the_end_is_not_waited_for(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        assert await pipe(d, "ask") == 1
        assert "  1. Red" in d.out.getvalue()
        assert d.err.getvalue() == "The question was left without an answer.\n"


async def test_files_go_with_the_next_message(tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_text("abc")
    async with desk(tmp_path) as d:
        assert await pipe(d, f"/file '{tmp_path}/a b.txt'", "look", "again") == 0
        assert d.out.getvalue() == "echo: look with a b.txt (3 bytes)\necho: again\n"


@pytest.mark.parametrize(
    ("line", "out", "err"),
    [
        ("fail", "That went wrong.\n", ""),
        ("refuse", "", "You may not talk here.\n"),
        ("/clearx", "", "There is no command /clearx. Did you mean /clear?\n"),
        ("/file /no/such/file", "", "There is no file /no/such/file.\n"),
        (
            "x" * (MAX_TEXT_CHARS + 1),
            "",
            "A message can be 2,097,152 characters long; send a longer one as a file.\n",
        ),
    ],
)
async def test_what_goes_wrong_is_exit_1_and_the_rest_is_done(
    tmp_path: Path, line: str, out: str, err: str
) -> None:
    async with desk(tmp_path) as d:
        assert await pipe(d, line, "next") == 1
        assert (d.out.getvalue(), d.err.getvalue()) == (out + "echo: next\n", err)


async def test_a_file_that_no_message_took_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    async with desk(tmp_path) as d:
        assert await pipe(d, f"/file {tmp_path}/a.txt") == 1
        assert d.err.getvalue() == "a.txt was attached, but no message followed.\n"


async def test_quit_help_and_stop(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        assert await pipe(d, "/help", "/stop", "/quit", "never") == 0
        assert d.out.getvalue().splitlines()[-1] == "Nothing is running."
        assert "/clear " in d.out.getvalue()


async def test_a_lost_connection_is_exit_2(tmp_path: Path) -> None:
    async with desk(tmp_path) as d, socket_link(d.adapter, tmp_path / "s") as link:
        waiting = asyncio.create_task(pipe(d, "stream 1", "slow", link=link))
        while await asyncio.wait_for(d.host.begun.get(), TIMEOUT_SECONDS) != "slow":
            pass
        d.service.cancel()
        assert await waiting == 2
        assert d.err.getvalue() == "The connection to Roost was lost.\n"


async def test_once_prints_what_answers_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        seat = d.adapter.sit(once=True)
        assert await run_once(LocalLink(seat), "/status is only text", d.out, d.err) == 0
        assert d.out.getvalue() == "echo: /status is only text\n"
        for text, code in (("fail", 1), ("refuse", 1), ("ask", 1), ("x" * (MAX_TEXT_CHARS + 1), 1)):
            assert await run_once(LocalLink(d.adapter.sit(once=True)), text, d.out, d.err) == code


async def test_a_closed_seat_takes_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as d:
        seat = d.adapter.sit()
        seat.close()
        with pytest.raises(LinkLost):
            await LocalLink(seat).send(wire.Stop(id="1"))
        assert await run_once(LocalLink(seat), "hi", d.out, d.err) == 2


async def test_a_line_that_is_no_frame_ends_a_connection(tmp_path: Path) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seat = d.adapter.sit()
        try:
            await serve(seat, reader, writer)
        except wire.WireError as exc:
            refused.set_result((seat.closed, str(exc)))
        writer.write(b"nonsense\n")
        writer.close()

    refused: asyncio.Future[tuple[bool, str]] = asyncio.get_running_loop().create_future()
    async with desk(tmp_path) as d, await asyncio.start_unix_server(connected, tmp_path / "s"):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(b'{"frame": "say", "id": "1"}\n')
        assert await asyncio.wait_for(refused, TIMEOUT_SECONDS) == (True, "say.text: Field required")
        with pytest.raises(LinkLost):
            await asyncio.wait_for(anext(aiter(SocketLink(reader, writer))), TIMEOUT_SECONDS)
        writer.close()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"one\ntwo", ["one", "two"]),
        (b"one\r\n\n\xff\n", ["one", "", "\N{REPLACEMENT CHARACTER}"]),
        ("é".encode() * 700_000 + b"\nnext", ["é" * 700_000, "next"]),
    ],
    ids=["empty", "unfinished", "odd", "long"],
)
@pytest.mark.parametrize("source", ["pipe", "file"])
async def test_lines_are_read_from_pipes_and_files(
    tmp_path: Path, source: str, data: bytes, lines: list[str]
) -> None:
    writing = None
    if source == "file":
        (tmp_path / "in").write_bytes(data)
        fd = os.open(tmp_path / "in", os.O_RDONLY)
    else:
        fd, write_fd = os.pipe()
        writing = asyncio.create_task(asyncio.to_thread(_write_all, write_fd, data))
    try:
        assert [line async for line in stdin_lines(fd)] == lines
        assert os.get_blocking(fd)
    finally:
        os.close(fd)
        if writing is not None:
            await writing


async def test_an_endless_line_is_cut_and_never_kept() -> None:
    fd, write_fd = os.pipe()
    data = b"x" * (5 * MAX_TEXT_CHARS) + b"\nnext\n"
    writing = asyncio.create_task(asyncio.to_thread(_write_all, write_fd, data))
    first, second = [line async for line in stdin_lines(fd)]
    assert MAX_TEXT_CHARS < len(first) <= 4 * MAX_TEXT_CHARS + 4
    assert second == "next"
    await writing
    os.close(fd)


async def test_the_null_device_has_no_lines() -> None:
    fd = os.open(os.devnull, os.O_RDONLY)
    assert [line async for line in stdin_lines(fd)] == []
    os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    with open(fd, "wb") as file:
        file.write(data)
