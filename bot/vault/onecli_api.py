"""OneCLI's HTTP API. Whatever can go wrong on the way is raised as an error of the vault, and the key is in none."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import aiohttp

from bot.config_vault import VaultConfig
from bot.vault.base import VaultError, VaultUnavailable
from bot.vault.onecli_answers import ContainerConfig, container_config
from bot.vault.secrets import SecretFile, of_variable

MAX_ANSWER_BYTES: Final = 1024 * 1024
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class OneCliApi:
    """Speaks to the server at [vault] url, directly: the environment's proxies are for others."""

    def __init__(self, config: VaultConfig, environ: Mapping[str, str]) -> None:
        self._url = str(config.url).rstrip("/")
        self._seconds = config.timeout_seconds
        self._environ = environ
        self._key_env = config.key_env
        self._key_file = SecretFile(config.key_file, "[vault] key_file") if config.key_file else None
        self._session: aiohttp.ClientSession | None = None

    async def make_agent(self, *, name: str, identifier: str) -> None:
        """Done when there is one. Raises VaultError and VaultUnavailable."""
        body = {"name": name, "identifier": identifier}
        status, _ = await self._request("POST", "/api/agents", json=body)
        if status not in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.CONFLICT):
            raise self._refused(status, f'did not make the agent "{identifier}"; is [vault] url right?')

    async def container_config(self, identifier: str) -> ContainerConfig:
        """How the agent reaches its model. Raises VaultError and VaultUnavailable."""
        status, content = await self._request("GET", "/api/container-config", params={"agent": identifier})
        if status == HTTPStatus.NOT_FOUND:
            raise self._refused(
                status, f'knows no agent "{identifier}"; Roost makes it again before it starts a container'
            )
        if status != HTTPStatus.OK:
            raise self._refused(
                status, f'does not say how "{identifier}" reaches its model; look into its log'
            )
        return container_config(content)

    async def aclose(self) -> None:
        """Closes its connections."""
        if self._session is not None:
            await self._session.close()

    async def _request(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        # Bytes as they come: a packed answer could be a thousand times as long as what was read of it.
        headers = {"Authorization": f"Bearer {self._key()}", "Accept-Encoding": "identity"}
        try:
            async with self._opened().request(
                method, self._url + path, json=json, params=params, headers=headers, allow_redirects=False
            ) as response:
                return response.status, await _bounded(response)
        except TimeoutError as exc:
            raise VaultUnavailable(
                f"OneCLI at {self._url} has not answered within {self._seconds:g} s; is it running?"
            ) from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise VaultUnavailable(f"OneCLI at {self._url} cannot be reached; is it running?") from exc

    def _opened(self) -> aiohttp.ClientSession:
        # It belongs to a running loop, which there is none of when everything is built.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _key(self) -> str:
        """Raises VaultError."""
        key = self._key_file.read() if self._key_file else of_variable(self._key_env, self._environ)
        if key is None:
            raise VaultError(
                f"there is no key for OneCLI: put it into the variable {self._key_env}, "
                "or name a file in [vault] key_file"
            )
        return key

    def _refused(self, status: int, what: str) -> VaultError:
        """The error for a status that is not the one that was hoped for."""
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            place = "[vault] key_file" if self._key_file else f"the variable {self._key_env}"
            return VaultError(f"OneCLI does not accept the key in {place}; put a valid one there")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING:
            return VaultUnavailable(f"OneCLI at {self._url} answers with {status} for now; its log says why")
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return VaultError(
                f"OneCLI at {self._url} sends to another address; put that one into [vault] url"
            )
        return VaultError(f"OneCLI at {self._url} answers with {status} and {what}")


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    content = b""
    async for chunk in response.content.iter_chunked(64 * 1024):
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise VaultUnavailable(
                "OneCLI's answer is longer than any of its API; is [vault] url the address of OneCLI itself?"
            )
    return content
