"""What can be asked without a running service: it is read from bot.db, and nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bot.commands import deadletter, session, trace
from bot.commands.context import Records
from bot.commands.registry import Command, Registry
from bot.control_wire import Answer
from bot.db.reader import open_reader
from bot.errors import CommandFailed
from bot.ordering import carry_out, operators

READING: Final[tuple[Command[Records, Any], ...]] = (*session.READING, *deadletter.READING, *trace.COMMANDS)
READABLE: Final = frozenset(each.name for each in READING)
"""Their names."""


async def ask(path: Path, words: Sequence[str], given: Mapping[str, str] | None = None) -> Answer:
    """Runs a command that only reads over the bot.db at `path`. Raises CommandFailed, DatabaseError."""
    async with open_reader(path) as reader:
        registry = Registry(Records(reader, None), READING)
        found = registry.find(" ".join(words))
        if found is None:
            raise CommandFailed("This needs the running service.")
        event, facts = operators(" ".join(words), dict(given or {}), found[0].level)
        reply = await carry_out(registry, found, event, facts)
    return Answer(ok=True, text=reply.text, data=reply.data)
