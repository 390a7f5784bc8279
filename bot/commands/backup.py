"""Commands about backups: create. The others need no service, and the command line has them."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import Field

from bot.backup import telling
from bot.commands.context import Context
from bot.commands.registry import Command, Invocation, Parameters, Reply
from bot.db import audit
from bot.errors import CommandFailed


class To(Parameters):
    """Where to, as a file URI: the words of a command hold no spaces, and neither does a URI."""

    to: str = Field("", description="a folder as a file URI, on the service's own machine only")


async def create(context: Context, invocation: Invocation, given: To) -> Reply:
    """Makes a backup beside the daily ones, or where the operator says."""
    if given.to and invocation.channel != "control":
        raise CommandFailed("Only the command line on the service's own machine may choose a folder.")
    folder = Path(unquote(urlsplit(given.to).path)) if given.to else None
    told = telling.made(await context.backups.create(folder))
    now = context.now()
    await context.db.write(
        lambda db: audit.record(db, invocation.by, "backup create", "backup", now=now, after=told.data)
    )
    return Reply(told.text, told.data)


COMMANDS: Final = (Command("backup create", "make a backup now", To, create, level="owner", changes=True),)
