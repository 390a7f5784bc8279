"""Uploads: a file of the agent's is brought to Slack and shared, and is known again when a try is made anew.

It takes three calls: where to bring it, its bytes, and where it is to be shown. It is shown somewhat later, and only
then its message has a ts (Slack's documentation, Working with files).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Final

from adapters.base import OutgoingFile, SendFailed
from adapters.slack import ids
from adapters.slack.errors import is_ambiguous
from adapters.slack.web import Web
from agent.protocol import failpoint

LOOKS_SECONDS: Final = (0.1, 0.2, 0.4, 0.8, 1.5, 2.0)
"""Between the looks for the message that shows the file: a part's id is worth some waiting, and what is said next then
stands below it."""
MAX_UNSURE: Final = 256
"""A service that was started anew looks for its files where they are shown."""

_log = logging.getLogger("roost.slack")


class Uploads:
    """Files, each of which is one message."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._unsure: OrderedDict[Hashable, str] = OrderedDict()
        """Files of which nobody knows whether they were shared, by what they are for."""

    async def send(
        self, key: Hashable, channel: str, thread: str | None, file: OutgoingFile, *, comment: str
    ) -> str:
        """Shares the file, with a few words above it. Returns the id of the part: with the ts of the message, or with
        the file's id where Slack is late with that. A second try has the same `key`. Raises SendFailed."""
        before = self._unsure.pop(key, None)
        if before is not None and (ts := await self._shared(before, channel)) is not None:
            return ids.part_id(channel, ts)
        name = file.name or "file"
        begun = await self._web.call("files.getUploadURLExternal", filename=name, length=len(file.data))
        file_id, url = str(begun.get("file_id", "")), str(begun.get("upload_url", ""))
        await self._web.upload(url, file.data)
        try:
            done = await self._web.call(
                "files.completeUploadExternal",
                files=[{"id": file_id, "title": name}],
                channel_id=channel,
                thread_ts=thread,
                initial_comment=comment or None,
            )
        except SendFailed as exc:
            if is_ambiguous(exc):
                self._unsure[key] = file_id
                while len(self._unsure) > MAX_UNSURE:
                    self._unsure.popitem(last=False)
            raise
        failpoint.hit("file-shared")
        told = next((each for each in _listed(done.get("files")) if each.get("id") == file_id), {})
        ts = shared_at(told, channel) or await self._shared(file_id, channel)
        return ids.part_id(channel, ts or file_id)

    async def _shared(self, file_id: str, channel: str) -> str | None:
        """The ts of the message that shows it, as soon as there is one; bounded. It is shared already: what fails here
        fails nothing."""
        for pause in LOOKS_SECONDS:
            await asyncio.sleep(pause)
            try:
                found = await self._web.call("files.info", file=file_id)
            except SendFailed as exc:
                _log.debug("it is not known which message shows the file %s: %s", file_id, exc)
                return None
            file = found.get("file")
            if isinstance(file, Mapping) and (ts := shared_at(file, channel)) is not None:
                return ts
        _log.info("Slack does not say which message shows the file %s", file_id)
        return None


def shared_at(file: Mapping[str, Any], channel: str) -> str | None:
    """The ts of the newest message of a channel that shows a file, as files.info tells it."""
    shares = file.get("shares")
    kinds = shares.values() if isinstance(shares, Mapping) else ()
    found = [
        str(each.get("ts", ""))
        for kind in kinds
        if isinstance(kind, Mapping)
        for each in _listed(kind.get(channel))
    ]
    return max((ts for ts in found if ids.is_ts(ts)), key=float, default=None)


def shows(message: Mapping[str, Any], file: OutgoingFile) -> bool:
    """Whether a message shows this file: it bears no metadata of ours, so it is known by its name and size."""
    name = file.name or "file"
    return any(
        name in (each.get("title"), each.get("name")) and each.get("size") == len(file.data)
        for each in _listed(message.get("files"))
    )


def _listed(values: Any) -> Iterable[Mapping[str, Any]]:
    """Those that are objects; what a platform says is looked at before it is believed."""
    return [each for each in values if isinstance(each, Mapping)] if isinstance(values, list) else []
