"""The command about commands: help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.access import may
from bot.commands.context import Context
from bot.commands.registry import Command, Invocation, NoParameters, Reply


def about(commands: Sequence[Command[Context, Any]]) -> Command[Context, NoParameters]:
    """The command that lists itself and those of `commands` that whoever asks may use."""

    async def answer(_: Context, invocation: Invocation, __: NoParameters) -> Reply:
        usable = [command for command in (listed, *commands) if may(invocation.role, command.level)]
        usages = [invocation.spelled(command.usage) for command in usable]
        width = max(map(len, usages))
        lines = [
            f"{usage:<{width}}  {command.summary}" for usage, command in zip(usages, usable, strict=True)
        ]
        data = [{"usage": command.usage, "summary": command.summary} for command in usable]
        return Reply("\n".join(lines), data)

    listed = Command("help", "what you can tell the bot", NoParameters, answer, level="anyone")
    return listed
