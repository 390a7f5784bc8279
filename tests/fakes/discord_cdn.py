"""Discord's CDN: serves what was uploaded, by the signed addresses that messages have of it ("Signed Attachment CDN
URLs")."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from tests.fakes.discord_faults import Faults, cut, stall
from tests.fakes.discord_world import World

STICKER: Final = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0P\x0f\x00\x04\x85\x01\x80\x84\xa9\x8c!\x00\x00\x00\x00IEND\xaeB`\x82"
)
SIGNATURE: Final = ("ex", "is", "hm")
CHUNK_BYTES: Final = 64 * 1024


class Cdn:
    """Serves files. Who comes without a signature gets nothing; faults are ordered as those of REST are."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self.served: list[str] = []
        """The paths that were asked for."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """An attachment."""
        path = request.path
        self.served.append(path)
        file = self._world.files.get(path)
        if file is None or not all(name in request.query for name in SIGNATURE):
            return web.Response(status=404, text="This content is no longer available.")
        return await self._send(request, path, file.data, file.media_type or "application/octet-stream")

    async def handle_sticker(self, request: web.Request) -> web.StreamResponse:
        """A sticker; all look the same."""
        self.served.append(request.path)
        return await self._send(request, request.path, STICKER, "image/png")

    async def _send(
        self, request: web.Request, path: str, data: bytes, media_type: str
    ) -> web.StreamResponse:
        fault = self._faults.find(request.method, path)
        how = fault.how if fault is not None else None
        if fault is not None and how == "status":
            return web.Response(status=fault.status)
        if how in ("reset_before", "reset_after"):
            return cut(request)
        if how == "stall":
            return await stall(request, headers={"Content-Type": media_type}, body=data)
        if fault is not None and how == "slow":
            await asyncio.sleep(fault.seconds)
        if how == "larger":
            return await _endless(request, data, media_type)
        return web.Response(body=data, headers={"Content-Type": media_type})


async def _endless(request: web.Request, data: bytes, media_type: str) -> web.StreamResponse:
    """Says nothing of a length, and goes on for as long as somebody reads, at most a gibibyte."""
    response = web.StreamResponse(headers={"Content-Type": media_type})
    response.enable_chunked_encoding()
    await response.prepare(request)
    try:
        await response.write(data)
        for _ in range((1 << 30) // CHUNK_BYTES):
            await response.write(b"\0" * CHUNK_BYTES)
    except ConnectionError:
        # The client has had enough, which is what it is tested for.
        pass
    return response
