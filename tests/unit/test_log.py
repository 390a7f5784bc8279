from __future__ import annotations

import asyncio
import io
import json
import logging
import stat
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot import log

KEY = "sk-" + "ant-" + "api03-" + "aB3dE5fG7hJ9kL1mN2pQ4rS6"


@pytest.fixture(autouse=True)
def _closed_afterwards() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    log.close()
    logging.getLogger().setLevel(level)


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    log.setup("INFO", stream=stream)
    return stream


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_entry_is_one_line_of_json(stream: io.StringIO) -> None:
    log.get("bot.x").info("turn ended", seconds=2.5, ok=True, to=None)
    (entry,) = entries(stream)
    assert entry.pop("at").endswith("Z")
    assert entry == {
        "event": "turn ended",
        "level": "info",
        "logger": "bot.x",
        "seconds": 2.5,
        "ok": True,
        "to": None,
    }


def test_what_libraries_log_comes_out_alike(stream: io.StringIO) -> None:
    logging.getLogger("library").warning("lost %d of %s", 2, "x")
    log.get("bot.x").warning("lost %d of %s", 2, "x")
    library, own = entries(stream)
    for entry in (library, own):
        del entry["at"], entry["logger"]
    assert library == own == {"event": "lost 2 of x", "level": "warning"}


def test_less_important_than_the_level_stays_out(stream: io.StringIO) -> None:
    log.get("bot.x").debug("no")
    logging.getLogger("library").debug("no")
    assert stream.getvalue() == ""


def _fail() -> None:
    raise RuntimeError(f"401 with {KEY}")


def log_everywhere() -> None:
    own, library = log.get("bot.x"), logging.getLogger("library")
    own.warning(f"event {KEY}")
    own.warning("argument %s", KEY)
    own.warning(
        "value", value=KEY, path=Path("/x") / KEY, deep={"list": [{KEY: {KEY}}, (KEY,)]}, error=OSError(KEY)
    )
    library.warning("argument %s", KEY)
    with log.context(session=KEY, message=KEY):
        own.warning("context", stack_info=True)
    try:
        _fail()
    except RuntimeError:
        own.exception("own traceback")
        library.exception("library traceback")


@pytest.mark.parametrize("fmt", ["console", "json"])
def test_no_secret_by_any_road(fmt: log.LogFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    log.setup("INFO", fmt, stream=stream)
    log_everywhere()
    text = stream.getvalue()
    assert KEY not in text
    assert text.count("[redacted api key]") >= 13
    assert text.count("RuntimeError: 401 with [redacted api key]") == 2
    assert "in _fail" in text

    # The other half of the proof: without the redaction the same calls do leak.
    monkeypatch.setattr(log, "redact", lambda text: text)
    log_everywhere()
    assert stream.getvalue().count(KEY) >= 13


@pytest.mark.parametrize("fmt", ["console", "json"])
def test_nothing_in_it_controls_a_terminal(fmt: log.LogFormat) -> None:
    stream = io.StringIO()
    log.setup("INFO", fmt, stream=stream)
    hostile = "\x1b[2J\x1b]0;title\x07\x9b2J\x9d0;t\x9c\u202egpj.exe\x85\u2028\n2026 [info] forged"
    log.get("roost.x").warning(
        "a file was not sent: %s", hostile, message=hostile, files={hostile: [hostile]}
    )
    try:
        raise ValueError("in two\nlines \x1b[m\x9b2J")
    except ValueError:
        log.get("roost.x").exception("failed")
    line, *traceback = stream.getvalue().removesuffix("\n").split("\n")
    assert "forged" in line and (len(traceback) == 1 or fmt == "console")
    shown = stream.getvalue().replace("\n", "")
    assert shown.isprintable() and "\\u009b2J" in shown


async def test_ids_belong_to_the_task_that_set_them(stream: io.StringIO) -> None:
    both = asyncio.Barrier(2)

    async def turn(session: str) -> None:
        with log.context(session=session, message=f"m-{session}"):
            await both.wait()
            logging.getLogger("library").info("inside")
        log.get("bot.x").info("outside")

    await asyncio.gather(turn("a"), turn("b"))
    inside = [entry for entry in entries(stream) if entry["event"] == "inside"]
    assert sorted((entry["session"], entry["message"]) for entry in inside) == [("a", "m-a"), ("b", "m-b")]
    assert not any("session" in entry for entry in entries(stream) if entry["event"] == "outside")


def test_file_is_private_and_its_folder_is_made(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "roost.log"
    for word in ("first", "second \ud800"):
        log.setup("INFO", file=file)
        log.get("bot.x").info(word)
    log.close()
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == ["first", "second \ud800"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_auto_is_for_people_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    log.setup("INFO", "auto", stream=stream)
    log.get("bot.x").info("hello", n=1)
    assert "hello" in stream.getvalue() and "n=1" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_setup_again_replaces_and_close_restores(stream: io.StringIO) -> None:
    second = io.StringIO()
    before = len(logging.getLogger().handlers)
    log.setup("INFO", stream=second)
    assert len(logging.getLogger().handlers) == before
    log.get("bot.x").info("x")
    assert (stream.getvalue(), len(entries(second))) == ("", 1)
    log.close()
    log.close()
    assert len(logging.getLogger().handlers) == before - 1


def test_warnings_are_logged(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old thing", stacklevel=1)
    (entry,) = entries(stream)
    assert entry["logger"] == "py.warnings" and "old thing" in entry["event"]


def test_nothing_reaches_standard_output() -> None:
    code = (
        "import logging, structlog; from bot import log\n"
        "log.get('a').warning('before'); log.setup('DEBUG', 'console'); log.get('a').info('one')\n"
        "structlog.get_logger('b').info('two'); logging.getLogger('c').info('three')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert all(word in done.stderr for word in ("before", "one", "two", "three"))


@pytest.mark.parametrize("name", ["slack_bolt.AsyncApp", "slack_sdk.web.async_client"])
def test_the_libraries_of_slack_say_no_more_than_they_are_asked_for(name: str) -> None:
    said, stream = logging.getLogger(name), io.StringIO()
    log.setup("DEBUG", "json", stream=stream)
    said.debug("Sending a request - headers: {'Authorization': '(redacted)'}, body: hello")
    said.info("a connection is there")
    assert "hello" not in stream.getvalue() and "a connection is there" in stream.getvalue()
    log.close()
    assert said.getEffectiveLevel() == logging.getLogger().level


def test_the_library_of_discord_says_no_more_than_it_is_asked_for_and_never_what_people_say() -> None:
    said = logging.getLogger("discord.gateway")
    for level, expected in (("DEBUG", ["info", "warning"]), ("WARNING", ["warning"])):
        stream = io.StringIO()
        log.setup(level, "json", stream=stream)
        said.debug("WebSocket Event: %s", {"content": "between us"})
        said.info("connected")
        said.warning("slow")
        assert [each["level"] for each in entries(stream)] == expected


@pytest.mark.parametrize("name", ["discord.shard", "discord.gateway"])
def test_a_lost_connection_is_one_line_of_a_library_that_would_say_forty(name: str) -> None:
    stream = io.StringIO()
    log.setup("INFO", "json", stream=stream)
    try:
        raise OSError(104, "Connection reset by peer")
    except OSError as exc:
        logging.getLogger(name).error("Attempting a reconnect in %.2fs", 1.5, exc_info=exc)
    logging.getLogger(name).warning("heartbeat blocked\nLoop thread traceback:\n  File x")
    first, second = entries(stream)
    log.close()
    assert first["event"] == "Attempting a reconnect in 1.50s: [Errno 104] Connection reset by peer"
    assert second["event"] == "heartbeat blocked"
    assert "exception" not in first
