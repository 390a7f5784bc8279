"""Does what ordinary programs do, and tells what came of each piece of work: "ok", or how it failed."""

from __future__ import annotations

import asyncio
import json
import mmap
import multiprocessing
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

from .model import serve

CLAUDE: Final = Path("/opt/roost/lib/python3.11/site-packages/claude_agent_sdk/_bundled/claude")
TURN_SECONDS: Final = 45
ABSENT: Final = "absent"


def claude_version() -> None:
    """The CLI starts."""
    assert "Claude Code" in _run(str(CLAUDE), "--version")


def claude_turn() -> None:
    """A whole turn of the CLI, with a command run by it."""
    server = serve("echo from the shell: $((6 * 7)); id -u")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AGENT_")},
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{server.server_address[1]}",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    command = [str(CLAUDE), "-p", "Run it.", "--output-format", "json", "--dangerously-skip-permissions"]
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TURN_SECONDS
    )
    server.shutdown()
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert "from the shell: 42" in told["result"] and "10001" in told["result"], told


def git() -> str | None:
    """A repository with a commit."""
    if shutil.which("git") is None:
        return ABSENT
    folder = tempfile.mkdtemp(dir="/workspace")
    _run("git", "init", "-q", folder)
    Path(folder, "a").write_text("a")
    _run("git", "-C", folder, "add", "a")
    _run("git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a")
    assert _run("git", "-C", folder, "log", "--format=%s") == "a\n"
    return None


def node() -> str | None:
    """A script of node's, where the image has one."""
    if shutil.which("node") is None:
        return ABSENT
    script = (
        "require('fs').watch('/workspace').close(); new (require('worker_threads').Worker)('1', {eval: true})"
    )
    _run("node", "-e", script)
    return None


def shell() -> None:
    """Pipes, jobs and substitution."""
    assert _run("bash", "-c", "cat <(seq 1000) | sort -n | tail -1 & wait") == "1000\n"


def timeout() -> None:
    """A program under a limit of time, which takes a timer of the kernel's."""
    done = subprocess.run(["timeout", "0.1", "sleep", "5"], check=False)
    assert done.returncode == 124


def threads() -> None:
    """Fifty at once."""
    barrier = threading.Barrier(50, timeout=10)
    everybody = [threading.Thread(target=barrier.wait) for _ in range(50)]
    for each in everybody:
        each.start()
    for each in everybody:
        each.join()
    assert not barrier.broken


def processes() -> None:
    """Python's multiprocessing, with its locks and queues."""
    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]


def shared_memory() -> None:
    """Between processes, and without a name."""
    with closing(mmap.mmap(-1, 4096)) as memory:
        memory[:2] = b"ab"
    os.close(os.memfd_create("a"))
    import multiprocessing.shared_memory as shared

    segment = shared.SharedMemory(create=True, size=4096)
    segment.close()
    segment.unlink()


def sqlite_wal() -> None:
    """A database that several read while one writes."""
    path = f"{tempfile.mkdtemp(dir='/workspace')}/a.db"
    with closing(sqlite3.connect(path)) as writer, closing(sqlite3.connect(path)) as reader:
        assert writer.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
        writer.execute("CREATE TABLE t (a)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        assert reader.execute("SELECT a FROM t").fetchall() == [(1,)]


def files() -> None:
    """Locks, links, pipes, attributes, holes and copies."""
    import fcntl

    folder = Path(tempfile.mkdtemp(dir="/workspace"))
    (folder / "a").write_text("a")
    with (folder / "a").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX)
        os.posix_fallocate(file.fileno(), 0, 8192)
        os.copy_file_range(file.fileno(), file.fileno(), 10, 0, 4096)
        os.fdatasync(file.fileno())
    os.link(folder / "a", folder / "b")
    os.symlink("a", folder / "c")
    os.mkfifo(folder / "d")
    os.utime(folder / "a")
    os.setxattr(folder / "a", "user.a", b"a")
    os.rename(folder / "b", folder / "e")
    shutil.copytree(folder, f"{folder}-copy", ignore=lambda *_: ["d"])
    shutil.rmtree(folder)


def programs_of_ones_own() -> None:
    """A script in the workspace can be run."""
    script = Path(tempfile.mkdtemp(dir="/workspace")) / "a.sh"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o755)
    assert _run(str(script)) == "ran\n"


def loopback() -> None:
    """A server and its client, by TCP, by UDP and by a file."""
    server = socket.create_server(("127.0.0.1", 0))
    with server, socket.create_connection(server.getsockname(), timeout=5) as client:
        client.sendall(b"a")
        accepted, _ = server.accept()
        assert accepted.recv(1) == b"a"
        accepted.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        datagrams.sendto(b"a", datagrams.getsockname())
        assert datagrams.recv(1) == b"a"
    path = f"{tempfile.mkdtemp(dir='/tmp')}/s"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
    assert "lo" in [name for _, name in socket.if_nameindex()]


def event_loop() -> None:
    """asyncio with a child and a signal."""

    async def work() -> None:
        heard = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, heard.set)
        child = await asyncio.create_subprocess_exec("true")
        assert await child.wait() == 0
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(heard.wait(), 5)

    asyncio.run(work())


def terminal() -> None:
    """A pseudo terminal."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("tty", ["tty"])  # noqa: S606
    assert b"/dev/pts/" in os.read(terminal, 100)
    os.waitpid(pid, 0)


def pip() -> None:
    """The packages of the image can be imported."""
    _run("/opt/roost/bin/python", "-c", "import claude_agent_sdk, pydantic, ssl, ctypes, lzma, zoneinfo")


WORK: Final[dict[str, Callable[[], str | None]]] = {
    each.__name__.replace("_", " "): each
    for each in (
        claude_version,
        claude_turn,
        git,
        node,
        shell,
        timeout,
        threads,
        processes,
        shared_memory,
        sqlite_wal,
        files,
        programs_of_ones_own,
        loopback,
        event_loop,
        terminal,
        pip,
    )
}


def _run(*command: str) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr or done.stdout}"
    assert "Operation not permitted" not in done.stderr
    return done.stdout


def main() -> None:
    """Prints what came of each."""
    told: dict[str, str] = {}
    for name, do in WORK.items():
        try:
            told[name] = do() or "ok"
        except BaseException:
            told[name] = traceback.format_exc()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
