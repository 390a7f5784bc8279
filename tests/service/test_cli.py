"""The `roost` command: real processes in folders of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from typer.testing import CliRunner

from agent.protocol.messages import Route
from bot import cli, commands
from bot.commands.offered import on_the_command_line
from bot.db import engine, sessions
from bot.db.migrations import MIGRATIONS

ROOT = Path(__file__).parents[2]
ROOST = str(Path(sys.executable).with_name("roost"))
TIMEOUT_SECONDS = 60
NOT_RUNNING = "roost: Roost is not running in {data}: start it with `roost run`.\n"
WARNING = "roost: Agents run as plain processes: as configured. The process backend isolates nothing"

Done = subprocess.CompletedProcess[str]


class Roost:
    """The command in one folder, and what it has started there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "PYTHON"))}
        # The code beside this file, wherever the command was installed from.
        self.env |= {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "COLUMNS": "100"}
        # What a command does is the same on every backend, and this one needs nothing.
        self.env["ROOST_BACKEND__KIND"] = "process"

    def __call__(self, *arguments: str, said: str | None = None, **env: str) -> Done:
        """Runs to the end; `said` is its standard input, /dev/null when there is none."""
        return subprocess.run(
            [ROOST, *arguments],
            cwd=self.folder,
            env=self.env | env,
            input=said,
            stdin=subprocess.DEVNULL if said is None else None,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )

    def shell(self, line: str, said: str = "") -> Done:
        """The same through a shell, in which `roost` is the command."""
        return subprocess.run(
            ["bash", "-c", f'roost() {{ "{ROOST}" "$@"; }}\n{line}'],
            cwd=self.folder,
            env=self.env,
            input=said,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )

    @contextmanager
    def started(self, *arguments: str, stdin: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
        """A process that goes on; killed at the end of the block if need be."""
        with subprocess.Popen(
            [ROOST, *arguments],
            cwd=self.folder,
            env=self.env,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[str]]:
        """A service that runs until the end of the block, and none of whose agents is left then."""
        with self.started("run", stdin=subprocess.DEVNULL) as process:
            self.wait_for_service(process)
            yield process
            process.terminate()
            process.communicate(timeout=TIMEOUT_SECONDS)
        self.end_agents()

    def wait_for_service(self, process: subprocess.Popen[str]) -> None:
        until(lambda: process.poll() is not None or (self.data / "control.sock").exists(), "no service")
        assert process.poll() is None, process.communicate()

    def agents(self) -> list[int]:
        """The pids of the agents that live in our folder, whoever started them."""
        mark = f"={self.data}/".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                alive = process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
                if alive and mark in process.joinpath("environ").read_bytes():
                    found.append(int(process.name))
            except OSError:
                continue  # It has ended meanwhile, or is another user's.
        return found

    def end_agents(self) -> None:
        for pid in self.agents():
            os.kill(pid, signal.SIGKILL)
        until(lambda: not self.agents(), "an agent lives on")


def until(holds: Any, otherwise: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


def read_line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


@pytest.fixture
def roost(tmp_path: Path) -> Iterator[Roost]:
    roost = Roost(tmp_path)
    yield roost
    roost.end_agents()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roost]:
    """A service that tests share; each talks in conversations of its own."""
    roost = Roost(tmp_path_factory.mktemp("served"))
    with roost.serving():
        assert roost("chat", "--once", "hello").stdout == "You said: hello\n"
        yield roost


def fails(done: Done, sentence: str, *, status: int = 1) -> None:
    """One sentence on stderr, nothing on stdout."""
    assert (done.stdout, done.stderr, done.returncode) == ("", f"roost: {sentence}\n", status)


# ---------------------------------------------------------------- roost run, with somebody there


def test_a_pipe_is_answered_line_by_line(roost: Roost) -> None:
    done = roost("run", said="hello\nhow are you\n")
    assert done.stdout == "You said: hello\nYou said: how are you\n"
    assert done.returncode == 0
    assert done.stderr.startswith(WARNING) and done.stderr.count("\n") == 1
    assert roost.agents() == []
    assert not (roost.data / "control.sock").exists()
    modes = {path.name: path.stat().st_mode & 0o777 for path in roost.data.iterdir()}
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes


def test_a_pipe_can_give_commands(roost: Roost) -> None:
    lines = ["hello", "/status", "/session list", "/whoami", "/help", "/clearx", "/stop", "/clear", "again"]
    done = roost("run", said="".join(f"{line}\n" for line in lines))
    first, status, head, row, me, *rest = done.stdout.splitlines()
    assert first == "You said: hello"
    assert re.fullmatch(
        r"Roost \S+, up .* Runners: 1 of 50, working: 0, waiting: 0\. Messages: 1 answered, .*", status
    )
    assert head.split() == ["ID", "STATE", "AGENT", "PLACE", "LAST", "ACTIVE"]
    assert re.fullmatch(r"[0-9a-f]{10}  idle   assistant  terminal/local  \S+", row)
    assert me.endswith(f"(terminal:{os.getuid()}), owner.")
    *listed, nothing, cleared, last = rest
    named = {f"/{each.name.split()[0]}" for each in commands.ALL}
    assert {line.split()[0] for line in listed if line.startswith("/")} == {"/file", "/quit", *named}
    assert nothing == "Nothing is running."
    assert cleared == "Cleared: the next message starts with a fresh memory."
    assert last == "You said: again"
    assert done.stderr.splitlines()[1:] == ["There is no command /clearx. Did you mean /clear?"]
    assert done.returncode == 1, "something was not understood"


def test_a_group_of_commands_says_how_it_is_used(roost: Roost) -> None:
    done = roost("run", said="/backup\n/deadletter nothing\n/help\n")
    assert done.stderr.splitlines()[1:] == [
        "Usage: /backup create [TO]",
        "Usage: /deadletter list [SESSION] [LIMIT] [ALL]",
        "Usage: /deadletter show ID",
        "Usage: /deadletter replay ID|all",
        "Usage: /deadletter drop ID [YES]",
    ]
    assert re.search(r"^/backup +create", done.stdout, re.MULTILINE)


def test_an_empty_pipe_is_nothing_to_do(roost: Roost) -> None:
    done = roost("run", said="")
    assert (done.stdout, done.returncode) == ("", 0)


def test_a_conversation_is_remembered_by_the_next_run(roost: Roost) -> None:
    roost("run", said="hello\n")
    done = roost("run", said="/session list\nagain\n")
    assert len(done.stdout.splitlines()) == 3 and done.stdout.endswith("You said: again\n")


@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_piped_run_that_is_stopped_leaves_nothing_behind(roost: Roost, signum: int, status: int) -> None:
    with roost.started("run") as process:
        assert process.stdin is not None
        process.stdin.write("hello\n")
        process.stdin.flush()
        assert read_line(process.stdout) == "You said: hello\n"
        assert len(roost.agents()) == 1
        process.send_signal(signum)
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert (out, process.returncode) == ("", status)
    assert "Traceback" not in err and err.count("\n") == 1
    assert roost.agents() == []


# ---------------------------------------------------------------- roost run, with nobody there


@pytest.mark.parametrize("words", ["run </dev/null", "run <&-", "run --headless"])
def test_without_a_terminal_it_is_a_service(roost: Roost, words: str) -> None:
    with subprocess.Popen(
        ["bash", "-c", f'exec "{ROOST}" {words}'],
        cwd=roost.folder,
        env=roost.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        roost.wait_for_service(process)
        assert roost("status").returncode == 0
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    assert (out, process.returncode) == ("", 0)
    assert "Traceback" not in err


def test_a_service_that_is_stopped_leaves_its_agents_to_the_next(roost: Roost) -> None:
    with roost.started("run", stdin=subprocess.DEVNULL) as process:
        roost.wait_for_service(process)
        assert roost("chat", "--once", "hello").stdout == "You said: hello\n"
        (agent,) = roost.agents()
        process.terminate()
        assert process.wait(TIMEOUT_SECONDS) == 0
        assert process.communicate()[0] == ""
    assert roost.agents() == [agent]
    with roost.serving():
        assert roost("chat", "--once", "again").stdout == "You said: again\n"
        assert roost.agents() == [agent]


def test_a_hangup_that_it_was_told_to_ignore_is_ignored(roost: Roost) -> None:
    with roost.started("run", stdin=subprocess.DEVNULL) as process:
        roost.wait_for_service(process)
        process.send_signal(signal.SIGHUP)
        assert process.wait(TIMEOUT_SECONDS) == 0
    with subprocess.Popen(
        ["nohup", ROOST, "run"],
        cwd=roost.folder,
        env=roost.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        until((roost.data / "control.sock").exists, "no service")
        process.send_signal(signal.SIGHUP)
        assert roost("status").returncode == 0
        process.terminate()
        assert process.wait(TIMEOUT_SECONDS) == 0


# ---------------------------------------------------------------- what keeps it from starting


def test_one_folder_has_one_service(served: Roost) -> None:
    done = served("run", said="hello\n")
    fails(
        done,
        f"Another Roost is running in {served.data}: talk to it with `roost chat`,"
        " or give this one a data folder of its own ([service] data_dir).",
    )
    assert served("status").returncode == 0


def test_a_mistake_in_the_configuration_is_one_sentence(roost: Roost) -> None:
    (roost.folder / "config.toml").write_text("[service]\ndata_dri = 'x'\n")
    sentence = 'config.toml: [service] unknown key "data_dri"; did you mean "data_dir"?'
    for arguments in (["run"], ["chat"], ["session", "list"], ["config", "check", "--json"]):
        fails(roost(*arguments, said="hello\n"), sentence)
    assert not roost.data.exists()


def test_a_configuration_that_is_not_there_is_named(roost: Roost) -> None:
    fails(
        roost("config", "check", "-c", "nowhere.toml"),
        "nowhere.toml: cannot be read: No such file or directory",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"garbage" * 1000, "cannot be read as a database"), (None, "was made by a newer Roost")],
)
def test_a_database_that_cannot_be_used_is_one_sentence(
    roost: Roost, content: bytes | None, said: str
) -> None:
    roost.data.mkdir()
    path = roost.data / "bot.db"
    if content is not None:
        path.write_bytes(content)
    else:
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    done = roost("run", said="hello\n")
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr.startswith(f"roost: {path} {said}") and done.stderr.count("\n") == 1
    assert path.read_bytes() == before
    for looked in (roost("session", "list"), roost("backup", "create")):
        assert (looked.stdout, looked.returncode, looked.stderr.count("\n")) == ("", 1, 1)
        assert ("newer Roost" in looked.stderr) == ("newer Roost" in said)
        assert ("backup restore" in looked.stderr) != ("newer Roost" in said)


def test_a_port_that_is_taken_is_one_sentence(roost: Roost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fails(
            roost("run", said="hello\n", ROOST_SERVICE__METRICS_PORT=str(port)),
            f"Port {port} on 127.0.0.1 cannot be used (Address already in use): set [service] metrics_port to"
            " another, or leave it out.",
        )


@pytest.mark.parametrize("arguments", [["run"], ["run", "--headless"]])
def test_a_folder_that_cannot_be_used_is_one_sentence(roost: Roost, arguments: list[str]) -> None:
    (roost.folder / "file").touch()
    done = roost(*arguments, said="hello\n", ROOST_SERVICE__DATA_DIR=str(roost.folder / "file" / "data"))
    assert (done.stdout, done.returncode) == ("", 1)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("roost: ") and last.endswith("Not a directory.") and "Traceback" not in done.stderr


# ---------------------------------------------------------------- roost chat


def test_one_message_one_reply(served: Roost) -> None:
    done = served("chat", "--once", "hello there")
    assert (done.stdout, done.stderr, done.returncode) == ("You said: hello there\n", "", 0)


def test_each_of_many_at_once_is_answered(served: Roost) -> None:
    with ThreadPoolExecutor(5) as threads:
        done = list(threads.map(lambda n: served("chat", "--once", f"number {n}"), range(5)))
    # Messages that come together may be answered together, but never by what answers somebody else alone.
    for n, answered in enumerate(done):
        lines = [line.removeprefix("You said: ") for line in answered.stdout.splitlines()]
        assert f"number {n}" in lines
        assert (answered.stderr, answered.returncode) == ("", 0)


def test_a_question_to_somebody_who_has_left_holds_up_nobody(roost: Roost) -> None:
    ask = '{ do = "tool", name = "ask_user_question", arguments = { title = "T", question = "Now?", options = ["Y"] } }'
    (roost.folder / "config.toml").write_text(
        f"[agents.bob]\nprovider_options = {{ script = [{{ match = 'deploy', steps = [{ask}] }}] }}\n"
    )
    with roost.serving():
        asked = roost("chat", "--once", "deploy")
        assert (asked.stderr, asked.returncode) == ("The question was left without an answer.\n", 1)
        assert roost("chat", "--once", "hello").stdout == "You said: hello\n"


def test_a_chat_can_be_piped(served: Roost) -> None:
    done = served("chat", "--conversation", "piped", said="one\n/whoami\ntwo\n")
    assert done.stdout.splitlines()[0::2] == ["You said: one", "You said: two"]
    assert (done.stderr, done.returncode) == ("", 0)
    assert served("chat", "--conversation", "empty", said="").stdout == ""


def test_without_a_service_there_is_nobody_to_chat_with(roost: Roost) -> None:
    for arguments in (["chat", "--once", "hello"], ["chat"]):
        done = roost(*arguments, said="hello\n")
        assert (done.stdout, done.returncode) == ("", 2)
        assert done.stderr == NOT_RUNNING.format(data=roost.data)
    assert not roost.data.exists()


@pytest.mark.parametrize(
    ("name", "said"), [("", "It is empty."), ("x" * 101, "A conversation's name has at most 100 characters.")]
)
def test_a_conversation_has_a_name(served: Roost, name: str, said: str) -> None:
    done = served("chat", "--conversation", name, said="hello\n")
    assert (done.stdout, done.returncode) == ("", 2)
    assert "Usage: roost chat" in done.stderr and said in done.stderr


@pytest.mark.parametrize(
    "step",
    [
        '{ do = "raise", message = "boom" }',
        '{ do = "error", message = "The quota is used up." }',
        '{ do = "kill" }',
    ],
)
def test_an_agent_that_fails_is_exit_1(roost: Roost, step: str) -> None:
    (roost.folder / "config.toml").write_text(
        f"[turns]\nmax_tries = 1\n[agents.bob]\nprovider_options = {{ script = [{{ steps = [{step}] }}] }}\n"
    )
    with roost.serving():
        done = roost("chat", "--once", "hello")
        assert done.returncode == 1 and done.stdout.count("\n") == 1


def test_a_service_that_dies_is_noticed(roost: Roost) -> None:
    with roost.serving() as service, roost.started("chat") as chat:
        assert chat.stdin is not None
        chat.stdin.write("hello\n")
        chat.stdin.flush()
        assert read_line(chat.stdout) == "You said: hello\n"
        service.kill()
        out, err = chat.communicate(timeout=TIMEOUT_SECONDS)
        assert (out, err, chat.returncode) == ("", "The connection to Roost was lost.\n", 2)


# ---------------------------------------------------------------- looking and acting


def sessions_of(roost: Roost) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(roost("session", "list", "--json").stdout)
    return found


def test_status_is_text_or_data(served: Roost) -> None:
    text = served("status")
    assert re.fullmatch(r"Roost .*\n", text.stdout) and text.returncode == 0
    done = served("status", "--json")
    data = json.loads(done.stdout)
    assert (done.stderr, done.returncode) == ("", 0)
    assert data["messages"]["done"] >= 1 and data["replies"]["sent"] >= 1 and data["version"] in text.stdout


def test_sessions_are_listed_shown_cleared_and_stopped(served: Roost) -> None:
    served("chat", "--conversation", "acted on [bold]", "--once", "a ]word[ \x1b[31m\u202ered")
    (entry,) = [each for each in sessions_of(served) if each["platform_id"] == "acted on [bold]"]
    listed = served("session", "list").stdout
    assert f"{entry['id']}  idle" in listed and "terminal/acted on [bold]" in listed
    shown = served("session", "show", entry["id"][:8])
    assert shown.returncode == 0 and f"id: {entry['id']}\n" in shown.stdout
    assert "#2 done: a ]word[ red (" in shown.stdout and "\x1b" not in shown.stdout
    data = json.loads(served("session", "show", entry["id"], "--json").stdout)
    assert data["latest"][0]["state"] == "done" and data["container"]
    would = served("session", "clear", entry["id"])
    assert "would forget all that was said there" in would.stdout and "--yes" in would.stdout
    cleared = json.loads(served("session", "clear", entry["id"], "--yes", "--json").stdout)
    assert cleared == {"session": entry["id"], "cleared": True}
    stopped = served("session", "stop", entry["id"])
    assert (stopped.stdout, stopped.returncode) == (f"Session {entry['id']} is stopped.\n", 0)
    (entry,) = [each for each in sessions_of(served) if each["id"] == entry["id"]]
    assert entry["state"] == "asleep"


@pytest.mark.parametrize("action", ["show", "stop", "clear"])
def test_an_unknown_session_is_said(served: Roost, action: str) -> None:
    fails(served("session", action, "z\u202ez"), "There is no session zz; `roost session list` shows them.")


def test_what_nobody_reads_is_no_error(served: Roost) -> None:
    for line in (
        "roost session list | true",
        "roost session list --json | head -0",
        "roost chat --once x | true",
    ):
        done = served.shell(f'{line}; echo "${{PIPESTATUS[0]}}"')
        assert done.stderr == "", line
        assert done.stdout in ("0\n", "1\n"), line


@pytest.mark.parametrize(
    ("to", "why"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
def test_an_output_that_cannot_be_written_is_one_sentence(roost: Roost, to: str, why: str) -> None:
    for line in ("roost run", "roost version", "roost --help", "roost session list --json"):
        done = roost.shell(f"{line} {to}", said="hello\n")
        last = done.stderr.splitlines()[-1]
        assert (last, done.returncode) == (f"roost: Standard output cannot be written: {why}.", 1), line
        assert "Traceback" not in done.stderr, line
    assert (roost.data / "bot.db").exists()


def test_a_service_needs_no_stream(roost: Roost) -> None:
    done = roost.shell(
        f"{ROOST} run --headless <&- >&- 2>&- & until [ -S data/control.sock ]; do sleep 0.05; done;"
        " roost chat --once hello; kill $!; wait $!; echo $?"
    )
    assert done.stdout == "You said: hello\n0\n"


def test_output_fits_any_encoding(served: Roost) -> None:
    served("chat", "--conversation", "smile 🙂", "--once", "x")
    done = served("session", "list", PYTHONUTF8="0", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0 and "terminal/smile ?" in done.stdout


# ---------------------------------------------------------------- without a service


@pytest.fixture
def asleep(roost: Roost) -> Roost:
    """A folder whose service has ended; two of its sessions begin alike."""
    roost.data.mkdir()
    with closing(sqlite3.connect(roost.data / "bot.db", isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        engine.migrate(db, 0)
        for number in range(20):
            sessions.resolve(db, "assistant", Route(channel="terminal", platform_id=str(number)), number)
    return roost


def test_sessions_can_be_looked_at(asleep: Roost) -> None:
    entries = sessions_of(asleep)
    assert [entry["platform_id"] for entry in entries] == [str(n) for n in reversed(range(20))]
    assert {entry["state"] for entry in entries} == {"asleep"}
    text = asleep("session", "list")
    assert len(text.stdout.splitlines()) == 21 and (text.stderr, text.returncode) == ("", 0)
    shown = asleep("session", "show", entries[0]["id"])
    assert "place: terminal/19\n" in shown.stdout and shown.returncode == 0
    initials = [entry["id"][0] for entry in entries]
    shared = max(initials, key=initials.count)
    fails(
        asleep("session", "show", shared), f"More than one session begins with {shared}; give more of its id."
    )


def test_what_acts_needs_the_service(asleep: Roost) -> None:
    before = (asleep.data / "bot.db").read_bytes()
    session = sessions_of(asleep)[0]["id"]
    for arguments in (["status"], ["session", "stop", session], ["session", "clear", session]):
        done = asleep(*arguments)
        assert (done.stdout, done.stderr, done.returncode) == ("", NOT_RUNNING.format(data=asleep.data), 1)
    assert (asleep.data / "bot.db").read_bytes() == before


def test_where_nothing_ever_ran_there_is_nothing_to_look_at(roost: Roost) -> None:
    for _ in range(2):
        fails(
            roost("session", "list"),
            f"There is no data in {roost.data} yet; is data_dir or --config right?",
        )
        assert not (roost.data / "bot.db").exists()
        roost.data.mkdir(exist_ok=True)


def test_where_no_backup_is_the_newest_one_is_said_to_be_missing(roost: Roost) -> None:
    fails(
        roost("backup", "verify", "latest"),
        f"There are no backups in {roost.data / 'backups'} yet: make one with `roost backup create`,"
        " or name a file.",
    )


def test_a_service_whose_socket_is_gone_is_said_to_be_there(roost: Roost) -> None:
    with roost.serving():
        (roost.data / "control.sock").unlink()
        fails(
            roost("status"),
            f"A service holds {roost.data} but cannot be reached: wait a moment, or restart it.",
        )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bot.db", "is a folder: move it away."),
        ("control.sock", "is a folder: move it away."),
        ("sessions", "is no folder: move it away."),
    ],
)
def test_what_is_in_the_way_is_named(roost: Roost, name: str, said: str) -> None:
    roost.data.mkdir()
    if "no folder" in said:
        (roost.data / name).touch()
    else:
        (roost.data / name).mkdir()
    fails(roost("run", said="hello\n"), f"{roost.data / name} {said}")


# ---------------------------------------------------------------- help, version, usage


def test_the_configuration_can_be_checked(roost: Roost) -> None:
    done = roost("config", "check")
    assert done.stdout == f"The configuration is fine. Data folder: {roost.data}\n" and done.returncode == 0
    data = json.loads(roost("config", "check", "--json").stdout)
    assert data["service"]["data_dir"] == str(roost.data)


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (
            'provider_options = { script = [{ steps = [{ do = "dance" }] }] }',
            "[agents.bob] provider_options: The mock's options do not fit: rule 1 steps.0: ",
        ),
        (
            'destinations = [{ name = "ops", channel = "slak", platform_id = "C1" }]',
            '[agents.bob] destinations[0].channel: nothing serves this channel; known is "terminal"\n',
        ),
    ],
)
def test_an_agent_that_could_not_answer_is_said_before_anybody_asks(
    roost: Roost, agent: str, said: str
) -> None:
    (roost.folder / "config.toml").write_text(f"[agents.bob]\n{agent}\n")
    for arguments in (["config", "check"], ["run"]):
        done = roost(*arguments, said="hello\n")
        assert (done.stdout, done.returncode, done.stderr.count("\n")) == ("", 1, 1)
        assert done.stderr.startswith(f"roost: {said}")


def test_the_version_is_text_or_data(roost: Roost) -> None:
    text = roost("version")
    assert re.fullmatch(r"Roost \d+\.\d+\.\d+\n", text.stdout) and text.returncode == 0
    assert roost("--version").stdout == text.stdout
    assert text.stdout == f"Roost {json.loads(roost('version', '--json').stdout)['version']}\n"


OWN = [
    ["run"],
    ["chat"],
    ["status"],
    ["version"],
    ["trace"],
    ["config", "check"],
    *(["backup", name] for name in ("create", "list", "verify", "restore")),
    *(
        ["schedule", name]
        for name in ("create", "list", "show", "pause", "resume", "run", "cancel", "history")
    ),
    *(["deadletter", name] for name in ("list", "show", "replay", "drop")),
    *(["image", name] for name in ("build", "check")),
    *(["discord", name] for name in ("check", "demo")),
    *(["slack", name] for name in ("manifest", "check", "demo")),
]
DERIVED = [spec.name.split() for info in on_the_command_line() for spec in info.specs]
COMMANDS = [*OWN, *(each for each in DERIVED if each not in OWN)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_its_help(words: list[str]) -> None:
    done = CliRunner().invoke(cli.app, [*words, "--help"], prog_name="roost")
    assert (
        done.exit_code == 0
        and done.output == CliRunner().invoke(cli.app, [*words, "-h"], prog_name="roost").output
    )
    assert not re.search(r"[{}]|\[\[", done.output)
    usage, _, sentence, *_ = done.stdout.splitlines()
    assert usage.startswith(f"Usage: roost {' '.join(words)} ") and sentence.strip()


def test_options_stand_in_their_order_as_in_a_chat(served: Roost) -> None:
    granted = served("role", "grant", "terminal:5", "admin", "assistant")
    assert "`roost role revoke terminal:5 assistant`" in granted.stdout, granted
    undone = served("role", "revoke", "terminal:5", "assistant")
    assert undone.returncode == 0 and "not an admin" in undone.stdout, undone
    kept = served("channel", "set", "terminal:elsewhere", "strangers", "refuse")
    assert kept.returncode == 0 and "terminal/elsewhere" in kept.stdout, kept


def test_help_lists_every_command(roost: Roost) -> None:
    done = roost("--help")
    listed = done.stdout.partition("Commands:\n")[2]
    assert {line.split()[0] for line in listed.splitlines()} == {words[0] for words in COMMANDS}
    assert (done.stderr, done.returncode) == ("", 0)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["session"],
        ["session", "show"],
        ["status", "more"],
        ["run", "--no"],
        ["chat", "--once"],
        ["chat", "--once", ""],
        ["chat", "--once", "  "],
        ["chat", "--once", "hi", "--conversation", ""],
        ["session", "show", ""],
        ["session", "stop", ""],
        ["trace", ""],
        ["schedule", "show", ""],
        ["schedule", "create", "hi", "--session", "3f", "--when", ""],
        ["schedule", "create", "", "--session", "3f", "--when", "at 9"],
        ["deadletter", "drop", ""],
        ["backup", "restore", ""],
    ],
    ids=" ".join,
)
def test_a_wrong_use_is_exit_2(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli.app, arguments, prog_name="roost")
    assert done.exit_code == 2 and re.search("Usage: roost|Error: ", done.output)


def test_a_wrong_use_of_the_real_command_is_exit_2(roost: Roost) -> None:
    done = roost("nothing")
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.endswith("Error: No such command 'nothing'.\n")


HEAVY = {"sqlite3", "structlog", "prometheus_client", "pydantic_settings", "bot.app", "bot.commands"}


def loaded_by(roost: Roost, program: str) -> set[str]:
    """The modules that are there after `program`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"],
        env=roost.env,
        cwd=roost.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_a_small_command_loads_little(roost: Roost) -> None:
    """Not measured in seconds: what takes them must not be there."""
    loaded = loaded_by(roost, "import bot.cli")
    assert "typer" in loaded and not loaded & (HEAVY | {"asyncio", "bot.config"})
    loaded = loaded_by(roost, "import bot.config, bot.talk")
    assert "asyncio" in loaded and not loaded & HEAVY


@pytest.mark.parametrize("enabled", ["false", "true"])
def test_a_service_loads_the_library_of_a_platform_only_when_it_is_enabled(
    roost: Roost, enabled: str
) -> None:
    """From its start until it has answered and ended."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        done = roost(
            "run",
            said="hello\n",
            PYTHONPROFILEIMPORTTIME="1",
            ROOST_DISCORD__ENABLED=enabled,
            ROOST_DISCORD__REST_URL=f"http://127.0.0.1:{nobody.getsockname()[1]}/api/v10",
            DISCORD_TOKEN="made.up.token",  # noqa: S106  # it opens nothing
        )
    assert (done.stdout, done.returncode) == ("You said: hello\n", 0), done.stderr
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    loaded = {line.rpartition("|")[2].strip() for line in lines}
    assert "bot.app" in loaded
    assert ("discord" in loaded) is (enabled == "true")


# ---------------------------------------------------------------- run --provider

NATIVE = "tests.fakes.providers:NativeProvider"


def test_a_provider_with_access_to_the_machine_is_refused_in_one_sentence(roost: Roost) -> None:
    done = roost("run", "--provider", "claude", "--model-url", "http://127.0.0.1:1", said="hello\n")
    assert (done.stdout, done.returncode) == ("", 1)
    (line,) = done.stderr.splitlines()
    assert line.startswith('roost: configuration: the process backend isolates nothing, so provider "claude"')
    assert line.endswith(
        "if you accept that, set [backend] allow_unsandboxed = true, or start it with --allow-unsandboxed"
    )
    assert not roost.data.exists()


@pytest.mark.parametrize("consent", ["--allow-unsandboxed", "file"])
def test_a_run_can_have_another_provider_and_model(roost: Roost, consent: str) -> None:
    script = '{ script = [{ steps = [{ do = "result", text = "{model}" }] }] }'
    allow = "[backend]\nallow_unsandboxed = true\n" if consent == "file" else ""
    (roost.folder / "config.toml").write_text(f"{allow}[agents.bob]\nprovider_options = {script}\n")
    options = [] if consent == "file" else [consent]
    done = roost("run", "--provider", NATIVE, "--model", "large", *options, said="hello\n/model\n")
    assert done.stdout.splitlines() == ["large", "This conversation uses the configured model large."]
    assert roost("run", said="hello\n").stdout == "mock\n", "only for that run"


def test_a_mistake_in_an_option_is_one_sentence(roost: Roost) -> None:
    done = roost("run", "--model-url", "127.0.0.1:1", said="hello\n")
    assert done.returncode == 1
    assert done.stderr == (
        "roost: --model-url: [agents.assistant] model_url should be a URL that begins with http:// or https://"
        " and names a host\n"
    )
