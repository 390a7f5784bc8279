"""`roost chat`: a person's end of a conversation, whatever standard input is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

import typer

from adapters.base import clean
from adapters.offers import CommandInfo
from adapters.terminal.console import KEPT, run_console
from adapters.terminal.links import Link
from adapters.terminal.once import run_once
from adapters.terminal.pipe import run_pipe, stdin_lines
from bot import control_client, version
from bot.config import Config
from bot.control_wire import MAX_CONVERSATION_CHARS

BANNER: Final = "Roost {version}. Write something; /help shows what else you can do, Ctrl-D leaves."

WAITS: Final = "Your message is kept; its answer waits for you in this conversation."


def talk(settings: Config, *, conversation: str, once: str | None) -> int:
    """Talks with the running service; `once` is the only thing to say. Raises NotRunning, CommandFailed,
    BadParameter."""
    name = clean(conversation)
    if len(name) > MAX_CONVERSATION_CHARS:
        raise typer.BadParameter(f"A conversation's name has at most {MAX_CONVERSATION_CHARS} characters.")
    return asyncio.run(_talk(settings, name, once))


async def converse(
    link: Link, settings: Config, *, tty: bool, commands: Sequence[CommandInfo], kept: str = KEPT
) -> int:
    """Until the person leaves; the exit status."""
    if not tty:
        return await run_pipe(link, stdin_lines(), sys.stdout, sys.stderr, commands=commands)
    banner, history = BANNER.format(version=version.VERSION), settings.service.data_dir / "history"
    return await run_console(link, banner=banner, history=history, commands=commands, kept=kept)


async def _talk(settings: Config, conversation: str, once: str | None) -> int:
    socket = settings.service.data_dir / "control.sock"
    async with control_client.chat(socket, conversation, once=once is not None) as link:
        if once is not None:
            return await run_once(link, once, sys.stdout, sys.stderr)
        return await converse(link, settings, tty=sys.stdin.isatty(), commands=link.commands, kept=WAITS)
