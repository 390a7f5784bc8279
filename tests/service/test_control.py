"""The control socket, through real sockets; its commands are the test's own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.base import Sender
from adapters.terminal import TerminalAdapter, wire
from bot import control, control_client
from bot.commands.context import Context
from bot.commands.registry import Command, Invocation, NoParameters, Parameters, Registry, Reply
from bot.control import MAX_CONNECTIONS, Control
from bot.errors import CommandFailed, DatabaseError, NotRunning
from tests.fakes.host import FakeHost

TIMEOUT_SECONDS = 10


class Word(Parameters):
    word: str


class Commands:
    """What the registry of these tests can do."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.seen: list[Invocation] = []

    async def echo(self, _: Any, invocation: Invocation, given: Word) -> Reply:
        self.seen.append(invocation)
        return Reply(f"You said {given.word}", {"word": given.word})

    async def hang(self, *_: Any) -> Reply:
        self.began.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def fail(self, *_: Any) -> Reply:
        raise CommandFailed("One sentence.")

    async def disk(self, *_: Any) -> Reply:
        raise DatabaseError("The disk is full.")

    async def broken(self, *_: Any) -> Reply:
        raise ZeroDivisionError("a bug")

    @property
    def all(self) -> list[Command[Any, Any]]:
        return [
            Command("echo", "says it again", Word, self.echo),
            *(
                Command(name, "a test", NoParameters, getattr(self, name))
                for name in ("hang", "fail", "disk", "broken")
            ),
        ]


@asynccontextmanager
async def serving(path: Path, commands: Commands | None = None) -> AsyncIterator[TerminalAdapter]:
    folder = path.parent
    terminal = TerminalAdapter(
        downloads=folder / "downloads", incoming=folder / "incoming", person=Sender("7", "Ada")
    )
    registry = Registry(cast(Context, None), (commands or Commands()).all)
    service = Control(path, registry, terminal)
    task = asyncio.create_task(service.run())
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await service.listening()
        yield terminal
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def path() -> Iterator[Path]:
    """Where another user could get at the socket, if its mode let them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "control.sock"


async def exchange(path: Path, sent: bytes) -> bytes:
    """All that the service answers to `sent`."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        reader, writer = await asyncio.open_unix_connection(str(path))
        try:
            writer.write(sent)
            await writer.drain()
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


# ---------------------------------------------------------------- who may


async def test_only_its_user_may_open_it(path: Path) -> None:
    before = os.umask(0)
    try:
        async with serving(path):
            assert path.stat().st_mode & 0o777 == 0o600
            assert os.umask(0) == 0, "the umask belongs to every thread and child"
    finally:
        os.umask(before)


async def test_another_user_is_shown_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the mode of the socket did let them in."""
    ask = b'{"type":"command","words":["echo","x"]}\n'
    async with serving(path):
        path.chmod(0o666)
        assert b"You said x" in await exchange(path, ask)
        if os.getuid() == 0:
            program = (
                "import os,socket,sys; s=socket.socket(socket.AF_UNIX); os.setuid(65534); s.connect(sys.argv[1]);"
                f" s.sendall({ask!r}); sys.stdout.buffer.write(s.recv(9999))"
            )
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-S", "-c", program, str(path)],
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
            assert done.stdout == b""
            assert done.returncode == 0 or b"Broken pipe" in done.stderr or b"reset" in done.stderr
        else:
            monkeypatch.setattr("bot.control.os.getuid", lambda: 4242)
            assert await exchange(path, ask) == b""


async def test_whoever_asks_is_the_operator(path: Path) -> None:
    commands = Commands()
    async with serving(path, commands):
        answer = await control_client.ask(path, ["echo", "hello"])
    assert (answer.text, answer.data) == ("You said hello", {"word": "hello"})
    (invocation,) = commands.seen
    assert (invocation.actor.id, invocation.role, invocation.route) == ("operator", "owner", None)


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fail"], "One sentence."),
        (["disk"], "The disk is full."),
        (["echo"], "Usage: roost echo WORD"),
        (["echo", "a", "b"], "Usage: roost echo WORD"),
        (["nothing", "here"], "There is no command nothing here."),
    ],
)
async def test_what_cannot_be_done_is_one_sentence(path: Path, words: list[str], sentence: str) -> None:
    async with serving(path):
        with pytest.raises(CommandFailed) as caught:
            await control_client.ask(path, words)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"garbage\n",
        b"\xff\xfe\0\n",
        b"[]\n",
        b"null\n",
        b'{"type":"command"}\n',
        b'{"type":"command","words":[]}\n',
        b'{"type":"command","words":["a"],"more":1}\n',
        b'{"type":"chat","conversation":""}\n',
        b'{"type":"chat","conversation":"' + b"x" * 101 + b'"}\n',
        b"[" * 5000 + b"\n",
    ],
)
async def test_what_is_no_request_is_answered_and_harms_nobody(path: Path, line: bytes) -> None:
    async with serving(path):
        answer = json.loads(await exchange(path, line))
        assert answer["ok"] is False and "does not understand" in answer["text"]
        assert (await control_client.ask(path, ["echo", "x"])).ok


async def test_a_line_has_a_longest(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_LINE", 10_000)
    async with serving(path):
        assert await exchange(path, b"x" * 1_000_000) == b""
        assert (await control_client.ask(path, ["echo", "x"])).ok


async def test_who_asks_nothing_is_shown_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REQUEST_SECONDS", 0.05)
    async with serving(path):
        assert await exchange(path, b"") == b""
        assert await exchange(path, b'{"type":') == b""


async def test_a_bug_in_a_command_ends_one_connection(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(path):
        with pytest.raises(NotRunning, match="without an answer"):
            await control_client.ask(path, ["broken"])
        assert (await control_client.ask(path, ["echo", "x"])).ok
    assert "a bug" in caplog.text


async def test_there_is_room_for_so_many(path: Path) -> None:
    async with serving(path), asyncio.timeout(TIMEOUT_SECONDS):
        held = [await asyncio.open_unix_connection(str(path)) for _ in range(MAX_CONNECTIONS)]
        with pytest.raises(NotRunning, match="without an answer"):
            await control_client.ask(path, ["echo", "x"])
        reader, writer = held.pop()
        writer.write(b"garbage\n")
        await reader.read()
        writer.close()
        assert (await control_client.ask(path, ["echo", "x"])).ok
        for _, writer in held:
            writer.close()


async def test_who_leaves_in_the_middle_takes_nobody_along(path: Path) -> None:
    commands = Commands()
    async with serving(path, commands):
        _, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b'{"type":"command","words":["hang"]}\n')
        await asyncio.wait_for(commands.began.wait(), TIMEOUT_SECONDS)
        writer.close()
        assert (await control_client.ask(path, ["echo", "x"])).ok


# ---------------------------------------------------------------- the service comes and goes


async def test_a_service_that_leaves_in_the_middle_says_so(path: Path) -> None:
    commands = Commands()
    async with serving(path, commands):
        asking = asyncio.create_task(control_client.ask(path, ["hang"]))
        await asyncio.wait_for(commands.began.wait(), TIMEOUT_SECONDS)
    with pytest.raises(NotRunning, match="without an answer"):
        await asyncio.wait_for(asking, TIMEOUT_SECONDS)
    assert not path.exists()
    with pytest.raises(NotRunning, match=f"Roost is not running in {path.parent}: start it with `roost run`"):
        await control_client.ask(path, ["echo", "x"])


async def test_a_socket_that_a_killed_service_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NotRunning, match="is not running"):
        await control_client.ask(path, ["echo", "x"])
    async with serving(path):
        assert (await control_client.ask(path, ["echo", "x"])).ok


async def test_a_socket_that_somebody_removed_is_put_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LOOK_SECONDS", 0.01)
    async with serving(path):
        path.unlink()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not path.exists():  # noqa: ASYNC110  # nobody rings when a file is made
                await asyncio.sleep(0.01)
        assert (await control_client.ask(path, ["echo", "again"])).text == "You said again"


async def test_a_path_may_be_long(path: Path) -> None:
    deep = path.parent / ("d" * 120) / "control.sock"
    with pytest.raises(NotRunning, match="is not running"):
        await control_client.ask(deep, ["echo", "x"])
    deep.parent.mkdir()
    async with serving(deep):
        assert (await control_client.ask(deep, ["echo", "x"])).ok


async def test_an_answer_that_is_none_is_said(path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_unix_server(serve, str(path)):
        with pytest.raises(NotRunning, match="without an answer"):
            await control_client.ask(path, ["echo", "x"])


# ---------------------------------------------------------------- chat


async def test_a_chat_is_a_seat_and_knows_the_commands(path: Path) -> None:
    host = FakeHost()
    async with serving(path) as terminal, asyncio.timeout(TIMEOUT_SECONDS):
        running = asyncio.create_task(terminal.run(host))
        async with control_client.chat(path, "kitchen") as link:
            assert [command.name for command in link.commands] == ["echo", "hang", "fail", "disk", "broken"]
            await link.send(wire.Say(id="1", text="hello"))
            event = await host.event()
            assert (event.text, event.route.platform_id, event.sender.id) == ("hello", "kitchen", "7")
            async for frame in link:
                assert frame == wire.Receipt(id="1", state="accepted")
                break
        running.cancel()
        await asyncio.wait([running])


async def test_a_service_that_leaves_ends_its_chats(path: Path) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        async with serving(path):
            chat = control_client.chat(path, "kitchen")
            link = await chat.__aenter__()
        assert [frame async for frame in link] == []
        await chat.__aexit__(None, None, None)


async def test_garbage_in_a_chat_ends_that_chat(path: Path) -> None:
    async with serving(path):
        answer = await exchange(path, b'{"type":"chat","conversation":"kitchen"}\ngarbage\n')
        assert json.loads(answer)["ok"] is True
        assert (await control_client.ask(path, ["echo", "x"])).ok
