"""The log: what the service did, for whoever keeps it running. Never on standard output.

Code logs through `get(__name__)`; libraries log through the standard library and come out in the same form.
Secrets of known shape are struck out of every value, tracebacks included, on the one way to every handler.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Final, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bot.redaction import redact

LogFormat = Literal["auto", "console", "json"]

_OBEYED: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""DEL, C1, and what turns the direction of a line or ends it."""
_CONTROL: Final = re.compile("[\x00-\x1f]")
_CONTROL_BUT_LINES: Final = re.compile("[\x00-\x08\x0b-\x1f]")

LIBRARIES: Final = ("discord", "slack_bolt", "slack_sdk")
SELDOM_SECONDS: Final = 60.0

BRIEF: Final = ("discord.shard", "discord.gateway")
"""Loggers of a library that tell of every lost connection by a traceback, or by the stack of the whole service."""

_SHARED: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
)
_PROCESSORS: Final[list[Processor]] = [
    structlog.stdlib.filter_by_level,
    *_SHARED,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


class Seldom:
    """Whether to say what may have been said a moment ago: a full disk is met again and again, by everybody."""

    def __init__(self, seconds: float = SELDOM_SECONDS) -> None:
        self._seconds = seconds
        self._said: dict[str, float] = {}

    def __call__(self, what: str) -> bool:
        """True for the first time in so many seconds."""
        now = time.monotonic()
        self._said = {each: at for each, at in self._said.items() if now - at < self._seconds}
        if what in self._said:
            return False
        self._said[what] = now
        return True


class _Marked(logging.StreamHandler[TextIO]):
    """Tells our handler from those of others, so that `close` takes away no more than `setup` put there."""

    def __init__(self, stream: TextIO, *, owned: bool) -> None:
        super().__init__(stream)
        self._owned = owned
        self._seldom = Seldom()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """The service goes on without its log. A traceback for each line would fill the terminal of whoever
        talks there, because the disk is full."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif self._owned and self._seldom(str(error)):
            with suppress(OSError):
                sys.stderr.write(f"roost: the log cannot be written: {error.strerror}\n")

    def close(self) -> None:
        super().close()
        if self._owned:
            with suppress(OSError):
                self.stream.close()


def setup(
    level: str, fmt: LogFormat = "auto", *, file: Path | None = None, stream: TextIO | None = None
) -> None:
    """Sends the log to `file` (appended, 0600, its folder made) or else to `stream`, stderr by default.

    Takes the place of an earlier setup. "auto" is for people on a terminal and JSON elsewhere. Raises OSError.
    """
    close()
    target = _opened(file) if file else stream or sys.stderr
    handler = _Marked(target, owned=file is not None)
    handler.setFormatter(_formatter(people=fmt == "console" or (fmt == "auto" and target.isatty())))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    # They would write down what everybody says, and by which tokens it is answered.
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(max(logging.INFO, root.level))
    logging.captureWarnings(True)
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def close() -> None:
    """Ends what `setup` began; without it nothing."""
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _Marked)]:
        root.removeHandler(handler)
        handler.close()
        logging.captureWarnings(False)
        for library in LIBRARIES:
            logging.getLogger(library).setLevel(logging.NOTSET)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for `log.info("turn ended", seconds=2.5)`. Until `setup` only warnings show, on stderr."""
    # structlog's own get_logger prints to standard output until it is configured.
    logger = structlog.wrap_logger(
        logging.getLogger(name), processors=_PROCESSORS, wrapper_class=structlog.stdlib.BoundLogger
    )
    return cast(structlog.stdlib.BoundLogger, logger)


def context(*, session: str | None = None, message: str | None = None) -> AbstractContextManager[Any]:
    """Adds the ids to whatever this task, and those it starts, log within the block."""
    ids = {"session": session, "message": message}
    return structlog.contextvars.bound_contextvars(**{k: v for k, v in ids.items() if v is not None})


def _opened(file: Path) -> TextIO:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    return file.open("a", encoding="utf-8", errors="backslashreplace")


def _formatter(*, people: bool) -> logging.Formatter:
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        if people
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            _brief,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _redacted,
            *([_of_one_line] if people else []),
            renderer,
        ],
    )


def _brief(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    if record is None or record.name not in BRIEF:
        return event
    text = str(event["event"]).partition("\n")[0]
    error = (event.pop("exc_info", None) or (None, None))[1]
    reason = "" if error is None else f": {str(error) or type(error).__name__}"
    return {**event, "event": f"{text}{reason}"}


def _redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: _clean(value) for key, value in event.items()}


def _of_one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """JSON escapes these by itself; on a terminal an id could clear the screen or forge the next line."""
    return {key: _contained(key, value) if isinstance(value, str) else value for key, value in event.items()}


def _contained(key: str, value: str) -> str:
    return (_CONTROL_BUT_LINES if key in ("exception", "stack") else _CONTROL).sub(_escaped, value)


def _clean(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_visible(redact(str(key))): _clean(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(each) for each in value]
    return _visible(redact(value if isinstance(value, str) else repr(value)))


def _visible(text: str) -> str:
    """Whoever reads the log on a terminal must not be at the mercy of what an agent called a file: whatever JSON
    does not escape and a terminal obeys is written as an escape."""
    return _OBEYED.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
