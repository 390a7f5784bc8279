"""Connecting again and again, with patience, to a platform that anything can keep away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def keep_connected(
    attempt: Callable[[], Awaitable[tuple[str | None, bool]]],
    trouble: Callable[[str], None],
    *,
    again: float,
    longest: float,
    mended: float,
) -> None:
    """Until cancelled. An attempt is one connection, and returns when that has ended: with what has ended it, for the
    operator, and whether only the operator can mend it. It is waited `again` before the next one, twice as long each
    time, `longest` at most; `mended` where only the operator can help; all in seconds. A crash of ours rises."""
    wait = again
    while True:
        began = asyncio.get_running_loop().time()
        text, lasting = await attempt()
        if asyncio.get_running_loop().time() - began > longest:
            wait = again
        if text is not None:
            trouble(text)
        await asyncio.sleep(mended if lasting else wait)
        wait = min(longest, wait * 2)
