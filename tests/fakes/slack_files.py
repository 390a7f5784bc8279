"""Files in the fake Slack: uploaded in three steps by the app, at once by people, given out to whoever has a token."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

from tests.fakes import slack_blocks as blocks
from tests.fakes.slack_calls import Call, Methods
from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_things import File, Message
from tests.fakes.slack_world import World

LARGEST_BYTES: Final = 1_000_000_000
LOGIN: Final = "<!DOCTYPE html><html><body>Sign in to Lab | Slack</body></html>"


def upload_url(call: Call) -> dict[str, Any]:
    name, length = call.text("filename"), int(call.text("length") or 0)
    if not name or length <= 0 or length > LARGEST_BYTES:
        raise Refused("invalid_arguments" if length <= LARGEST_BYTES else "file_upload_size_restricted")
    file = call.world.store(call.world.bot, name, b"", "application/octet-stream", call.base)
    file.promised = length
    return {"upload_url": f"{call.base}upload/v1/{file.id}", "file_id": file.id}


def complete(call: Call) -> dict[str, Any]:
    given = call.given("files")
    wanted = json.loads(given) if isinstance(given, str) else given or []
    files = [call.world.files.get(str(each.get("id"))) for each in wanted]
    if not files or any(each is None or len(each.data) != each.promised for each in files):
        raise Refused("file_not_found")
    found: list[File] = [each for each in files if each is not None]
    for each, told in zip(found, wanted, strict=True):
        each.name = str(told.get("title") or each.name)
    if call.text("channel_id") or call.text("channels"):
        place = call.place("channel_id" if call.text("channel_id") else "channels")
        call.writes_in(place)
        root = place.find(call.text("thread_ts")) if call.text("thread_ts") else None
        if call.text("thread_ts") and root is None:
            raise Refused("invalid_thread_ts")
        message = Message(place, call.world.ts(), call.world.bot, call.text("initial_comment"), files=found)
        message.thread = (root.thread or root) if root else None
        message.blocks = blocks.read(call.given("blocks"))
        call.world.post(message)
    return {"files": [{"id": each.id, "title": each.name} for each in found]}


def file_info(call: Call) -> dict[str, Any]:
    file = call.world.files.get(call.text("file"))
    if file is None:
        raise Refused("file_not_found")
    file.access = "visible"
    return {"file": file.told()}


METHODS: Final[Methods] = {
    "files.getUploadURLExternal": upload_url,
    "files.completeUploadExternal": complete,
    "files.info": file_info,
}


class Files:
    """The addresses of files. `token` is the bot's."""

    def __init__(self, world: World, token: str) -> None:
        self._world = world
        self.token = token

    async def upload(self, request: web.Request) -> web.Response:
        """The bytes of one."""
        file = self._world.files.get(request.match_info["id"])
        if file is None:
            return web.Response(status=404)
        if request.content_type.startswith("multipart/"):
            part = await (await request.multipart()).next()
            file.data = bytes(await part.read()) if part is not None and hasattr(part, "read") else b""
        else:
            file.data = await request.read()
        return web.Response(text=f"OK - {len(file.data)}")

    async def download(self, request: web.Request) -> web.Response:
        """Whoever has no right gets the page on which people log in."""
        number = request.match_info["id"].partition("-")[2]
        file = self._world.files.get(number)
        if file is None:
            return web.Response(status=404)
        right = request.headers.get("Authorization") == f"Bearer {self.token}"
        if not right or "files:read" not in self._world.scopes:
            return web.Response(text=LOGIN, content_type="text/html")
        return web.Response(body=file.data, content_type=file.media_type)
