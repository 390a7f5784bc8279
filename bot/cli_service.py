"""Where the command line gets its answers: from the running service, or from what lies on the disk.

What a command needs is opened by name when it runs: `roost version` must not load the whole service.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from bot.errors import CommandFailed, NotRunning

if TYPE_CHECKING:
    from bot.backup.telling import Told
    from bot.config import Config
    from bot.control_wire import Answer

PARTS: Final = {
    "load": "bot.config:load",
    "ask": "bot.control_client:ask",
    "ask records": "bot.records:ask",
}


def opened(name: str) -> Any:
    """What `package.module:name` names."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def settings(config: Path | None, options: Mapping[str, str | bool | None] | None = None) -> Config:
    """The configuration, with those options before it that were given. Raises ConfigError."""
    given = {name: value for name, value in (options or {}).items() if value}
    loaded: Config = opened(PARTS["load"])(config, os.environ, given)
    return loaded


def ask(config: Path | None, *words: str, given: Mapping[str, str] | None = None) -> Answer:
    """What the running service answers to a command. Raises NotRunning, CommandFailed, ConfigError."""
    return _wait_for("ask", settings(config).service.data_dir / "control.sock", words, given)


def look(config: Path | None, *words: str, given: Mapping[str, str] | None = None) -> Answer:
    """The same for what bot.db can answer as well. Raises RoostError."""
    try:
        return ask(config, *words, given=given)
    except NotRunning:
        data = settings(config).service.data_dir
        if os.access(data / "bot.db", os.R_OK):
            return _wait_for("ask records", data / "bot.db", words, given)
        if _is_empty(data):
            raise CommandFailed(f"There is no data in {data} yet; is data_dir or --config right?") from None
        raise


def say(text: str, data: object, *, as_json: bool) -> None:
    """Prints the one for people, or the other for programs."""
    typer.echo(json.dumps(data, indent=2) if as_json else text)


def say_answer(answer: Answer | Told, *, as_json: bool) -> None:
    """The same for what was answered."""
    say(answer.text, answer.data, as_json=as_json)


def _wait_for(part: str, path: Path, words: Sequence[str], given: Mapping[str, str] | None) -> Answer:
    import asyncio  # As long to load as all the rest that `roost version` needs.

    named = {name: _text(value) for name, value in (given or {}).items()}
    answer: Answer = asyncio.run(opened(PARTS[part])(path, [_text(word) for word in words], named))
    return answer


def _is_empty(data: Path) -> bool:
    """Whether Roost was never there, as far as anybody may look."""
    return not data.exists() or (os.access(data, os.R_OK | os.X_OK) and not (data / "bot.db").exists())


def _text(word: str) -> str:
    """Arguments are bytes; whatever of them is no text is replaced."""
    return os.fsencode(word).decode(errors="replace")
