"""Says things to the gateway through the runner's own forwarder: a JSON object of texts by their names.

Prints what each was answered. A text with a `|` in it is said in two parts, the second once the first was answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress

from agent.forwarder import ADDRESS, Forwarder
from agent.protocol.settings import AgentSettings

SECONDS = 3.0
"""How long a connection may be silent before it is taken for one that is answered."""


async def said(port: int, text: str) -> str:
    """What is answered to it, on a connection of its own."""
    first, _, second = text.partition("|")
    reader, writer = await asyncio.open_connection(ADDRESS, port)
    answer = b""
    try:
        writer.write(first.encode("latin-1"))
        if second:
            async with asyncio.timeout(SECONDS):
                answer = await reader.readuntil(b"\r\n\r\n")
            writer.write(second.encode("latin-1"))
        with suppress(TimeoutError, ConnectionError):
            while True:
                async with asyncio.timeout(SECONDS):
                    more = await reader.read(4096)
                if not more:
                    break
                answer += more
    except (TimeoutError, ConnectionError, asyncio.IncompleteReadError) as exc:
        return f"{type(exc).__name__}"
    finally:
        writer.close()
    return answer.decode("latin-1")


async def say(texts: dict[str, str]) -> dict[str, str]:
    """All of them at once."""
    settings = AgentSettings.from_env(os.environ)
    assert settings.gateway_port is not None
    forwarder = Forwarder(settings.workspace.gateway, settings.gateway_port)
    forwarder.listen()
    running = asyncio.create_task(forwarder.run())
    try:
        answers = await asyncio.gather(*(said(forwarder.port, text) for text in texts.values()))
        return dict(zip(texts, answers, strict=True))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def main() -> None:
    """Prints the answers."""
    print(json.dumps(asyncio.run(say(json.loads(sys.argv[1])))))


if __name__ == "__main__":
    main()
