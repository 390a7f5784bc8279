"""Files that people attach: fetched from where Discord keeps them, never more than was agreed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import aiohttp

from adapters.base import NotFetched
from adapters.discord.client import Timing

CHUNK_BYTES: Final = 256 * 1024
REFUSED: Final = "Discord does not give it out any more ({status})"
TOO_LARGE: Final = "it is larger than Discord said"
BROKEN: Final = "Discord did not send it in time"


class Fetcher:
    """One session of HTTP for all of them, without cookies and without the bot's token."""

    def __init__(self, timing: Timing) -> None:
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=timing.fetch_connect, sock_read=timing.fetch_silence
        )
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())

    async def fetch(self, url: str, path: Path, limit: int) -> None:
        """Writes it to `path`, at most `limit` bytes. Raises NotFetched, OSError."""
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    raise NotFetched(REFUSED.format(status=response.status))
                left = limit
                with await asyncio.to_thread(path.open, "wb") as file:
                    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                        left -= len(chunk)
                        if left < 0:
                            raise NotFetched(TOO_LARGE)
                        await asyncio.to_thread(file.write, chunk)
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise NotFetched(BROKEN) from exc

    async def close(self) -> None:
        """Ends what is being fetched."""
        await self._session.close()
