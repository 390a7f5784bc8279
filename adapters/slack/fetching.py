"""Files that people attach: fetched from Slack with the bot's token, never more than was agreed.

The token goes to Slack alone: an address that somebody else could have named is not followed with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import yarl

from adapters.base import NotFetched, SendFailed
from adapters.slack.timing import Timing
from adapters.slack.web import Web

CHUNK_BYTES: Final = 256 * 1024
SLACK: Final = "slack.com"
LOOKED_UP: Final = "check_file_info"
"""The `file_access` of a file in a channel that several workspaces share. Slack's documentation, File object."""
NO_SCOPE: Final = (
    "Slack gives the bot no files; an admin has to add the scope files:read (`roost slack check`)"
)
REFUSED: Final = "Slack does not give it out ({status})"
TOO_LARGE: Final = "it is larger than Slack said"
BROKEN: Final = "Slack did not send it in time"
NOWHERE: Final = "Slack has not said where it is"
LONGEST_WAY: Final = 3
"""Redirects that are followed, each within Slack."""

_log = logging.getLogger("roost.slack")


class Fetcher:
    """One session of HTTP for all of them, without cookies."""

    def __init__(self, web: Web, api_url: str, timing: Timing) -> None:
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=timing.fetch_connect, sock_read=timing.fetch_silence
        )
        self._web = web
        self._api = yarl.URL(api_url)
        self._token = ""
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())

    def use(self, token: str) -> None:
        """The bot's token from now on."""
        self._token = token

    async def fetch(self, file: Mapping[str, Any], path: Path, limit: int) -> None:
        """Writes it to `path`, at most `limit` bytes. Raises NotFetched, OSError."""
        url = self._address(file)
        try:
            for _ in range(LONGEST_WAY):
                async with self._session.get(
                    url, headers=self._headers(url), allow_redirects=False
                ) as response:
                    if response.status in (301, 302, 303, 307, 308):
                        url = url.join(yarl.URL(response.headers.get("Location", "")))
                        continue
                    await _write(response, path, limit, html=_is_html(file))
                    return
            raise NotFetched(NO_SCOPE)
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            raise NotFetched(BROKEN) from exc

    async def close(self) -> None:
        """Ends what is being fetched."""
        await self._session.close()

    async def known(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """The message with all that Slack tells of its files: of those in a channel that several workspaces share it
        tells at first no more than that there are some. Those that cannot be looked up stay as they are."""
        files = message.get("files") or ()
        if not any(isinstance(each, Mapping) and each.get("file_access") == LOOKED_UP for each in files):
            return message
        return {
            **message,
            "files": [await self._looked_up(each) for each in files if isinstance(each, Mapping)],
        }

    async def _looked_up(self, file: Mapping[str, Any]) -> Mapping[str, Any]:
        if file.get("file_access") != LOOKED_UP:
            return file
        try:
            found = (await self._web.call("files.info", file=str(file.get("id", "")))).get("file")
        except SendFailed as exc:
            _log.warning("a file cannot be looked up: %s", exc)
            return file
        return found if isinstance(found, Mapping) else file

    def _address(self, file: Mapping[str, Any]) -> yarl.URL:
        address = str(file.get("url_private_download") or file.get("url_private") or "")
        try:
            url = yarl.URL(address)
            if self._is_slacks(url):
                return url
        except ValueError as exc:
            raise NotFetched(NOWHERE) from exc
        raise NotFetched(NOWHERE)

    def _headers(self, url: yarl.URL) -> dict[str, str]:
        if not self._is_slacks(url):
            raise NotFetched(NOWHERE)
        return {"Authorization": f"Bearer {self._token}"}

    def _is_slacks(self, url: yarl.URL) -> bool:
        """Whether the token may be shown there: to Slack over TLS, and to where the API is."""
        host = (url.host or "").lower()
        if url.is_absolute() and url.origin() == self._api.origin():
            return True
        return url.scheme == "https" and (host == SLACK or host.endswith(f".{SLACK}")) and url.user is None


async def _write(response: aiohttp.ClientResponse, path: Path, limit: int, *, html: bool) -> None:
    if response.status != 200:
        raise NotFetched(REFUSED.format(status=response.status))
    if response.content_type == "text/html" and not html:
        # Without the scope Slack answers with the page on which people log in.
        raise NotFetched(NO_SCOPE)
    left = limit
    with await asyncio.to_thread(path.open, "wb") as out:
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise NotFetched(TOO_LARGE)
            await asyncio.to_thread(out.write, chunk)


def _is_html(file: Mapping[str, Any]) -> bool:
    return str(file.get("mimetype", "")).startswith("text/html") or file.get("filetype") == "html"
