"""Files in the fake Slack: uploaded in three steps by the app, at once by people, given out to whoever has a token.

Slack's documentation, Working with files, and Uploading files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from mimetypes import guess_type
from typing import Any, Final

from aiohttp import web

from tests.fakes import slack_blocks as blocks
from tests.fakes.slack_calls import Call, Methods, wrong
from tests.fakes.slack_faults import Faults, cut
from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_things import File, Message
from tests.fakes.slack_world import World

LARGEST_BYTES: Final = 1_000_000_000
LOGIN: Final = "<!DOCTYPE html><html><body>Sign in to Lab | Slack</body></html>"
"""What whoever has no right gets, with status 200, after a redirection."""
BYTES: Final = "application/octet-stream"


def upload_url(call: Call) -> dict[str, Any]:
    """files.getUploadURLExternal."""
    name, length = call.needed("filename"), call.text("length")
    if not length.isdigit() or int(length) == 0:
        raise Refused("missing_argument" if length == "0" else "invalid_arguments")
    if int(length) > LARGEST_BYTES:
        raise Refused("file_upload_size_restricted")
    file = call.world.store(call.world.bot, name, b"", guess_type(name)[0] or BYTES, call.base)
    file.promised, file.is_uploaded = int(length), False
    return {"upload_url": f"{call.base}upload/v1/{file.id}", "file_id": file.id}


def complete(call: Call) -> dict[str, Any]:
    """files.completeUploadExternal: answered at once; the message with the files is there a moment later."""
    wanted = call.json("files") or []
    if not isinstance(wanted, list) or not all(isinstance(each, dict) for each in wanted) or not wanted:
        raise wrong("missing required field: files")
    files = [_finished(call, str(each.get("id"))) for each in wanted]
    for file, told in zip(files, wanted, strict=True):
        file.title = str(told.get("title") or file.name)
    if call.text("channel_id") or call.text("channels"):
        place = call.place("channel_id" if call.text("channel_id") else "channels")
        call.writes_in(place, archived="posting_to_channel_denied")
        thread = call.thread(place, error="invalid_thread_ts")
        text = call.text("initial_comment")
        message = Message(place, "", call.world.bot, text, thread=thread, files=files, subtype="file_share")
        shown = [] if text else blocks.read(call.given("blocks"))
        blocks.check(shown)
        message.blocks = blocks.numbered(shown, f"f{files[0].id}")
        call.world.share_soon(message)
    return {"files": [each.told(full=True) for each in files]}


def _finished(call: Call, number: str) -> File:
    file = call.world.files.get(number)
    if file is None or file.user is not call.world.bot or not file.is_uploaded or file.shares:
        raise Refused("file_not_found")
    return file


def file_info(call: Call) -> dict[str, Any]:
    """files.info."""
    file, bot = call.world.files.get(call.text("file")), call.world.bot
    if file is None or not (file.user is bot or any(bot in each.place.members for each in file.shares)):
        raise Refused("file_not_found")
    if file.mode == "tombstone":
        raise Refused("file_deleted")
    return {"file": file.told(full=True), "comments": [], "response_metadata": {"next_cursor": ""}}


METHODS: Final[Methods] = {
    "files.getUploadURLExternal": upload_url,
    "files.completeUploadExternal": complete,
    "files.info": file_info,
}


class Files:
    """The addresses of files. `right` says whether a token is the bot's, and good."""

    def __init__(self, world: World, faults: Faults, right: Callable[[str], bool]) -> None:
        self._world = world
        self._faults = faults
        self._right = right

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """The bytes of one: as they are, or in a form."""
        data = await _bytes(request)
        file = self._world.files.get(request.match_info["id"])
        fault = self._faults.find("upload", {})
        if fault is not None and fault.seconds:
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.how == "reset_before":
            return cut(request)
        if fault is not None and fault.how in ("status", "error", "limited"):
            return web.Response(status=fault.status, text="made to fail")
        if file is None or file.is_uploaded:
            return web.Response(status=404, text="not found")
        if len(data) != file.promised:
            return web.Response(status=400, text="the size is another one")
        file.data, file.promised, file.is_uploaded = data, None, True
        if fault is not None and fault.how in ("reset_after", "stall"):
            return cut(request)
        return web.Response(text=f"OK - {len(file.data)}")

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Whoever has no right is sent to the page on which people log in."""
        file = self._world.files.get(request.match_info["id"].partition("-")[2])
        fault = self._faults.find("download", {})
        if fault is not None and fault.how == "slow":
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.how in ("reset_before", "reset_after"):
            return cut(request)
        if fault is not None and fault.how in ("status", "error", "limited"):
            return web.Response(status=fault.status, text="made to fail")
        if file is None or file.mode == "tombstone":
            return web.Response(status=404)
        if not self._may(request, file):
            return web.Response(status=302, headers={"Location": f"/login?redir={request.path}"})
        if fault is None or fault.how == "slow":
            return web.Response(body=file.data, content_type=file.media_type)
        return await _half(request, file, fault.seconds)

    async def login(self, _: web.Request) -> web.StreamResponse:
        """The page on which people log in."""
        return web.Response(text=LOGIN, content_type="text/html")

    def _may(self, request: web.Request, file: File) -> bool:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        bot = self._world.bot
        seen = file.user is bot or any(bot in each.place.members for each in file.shares)
        return self._right(token) and "files:read" in self._world.scopes and seen


async def _bytes(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    part = await (await request.multipart()).next()
    return bytes(await part.read()) if part is not None and hasattr(part, "read") else b""


async def _half(request: web.Request, file: File, seconds: float) -> web.StreamResponse:
    """Half a file, then nothing for so long, and the end of the connection."""
    response = web.StreamResponse(headers={"Content-Length": str(len(file.data))})
    response.content_type = file.media_type
    await response.prepare(request)
    await response.write(file.data[: len(file.data) // 2])
    await asyncio.sleep(seconds)
    return cut(request)
