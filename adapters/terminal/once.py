"""One message and its answer."""

from __future__ import annotations

from typing import TextIO

from adapters.base import clean
from adapters.terminal.client import UNANSWERED, Client
from adapters.terminal.links import Link
from adapters.terminal.printer import Printer
from agent.protocol.messages import MAX_TEXT_CHARS


async def run_once(link: Link, text: str, out: TextIO, err: TextIO) -> int:
    """Sends `text`, whatever it looks like, and prints what answers it. Exits are those of `run_pipe`; a
    question ends it, too, for nobody is there to answer."""
    client = Client(link)
    printer = Printer(client, out, err)

    async def person() -> int:
        if len(text) > MAX_TEXT_CHARS:
            printer.complain(f"A message can be {MAX_TEXT_CHARS:,} characters long.")
            return 1
        client.say(clean(text))
        await client.idle()
        if client.busy:
            printer.complain(UNANSWERED)
        return 0

    return await printer.converse(person())
