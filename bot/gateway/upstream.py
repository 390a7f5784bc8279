"""Connections out of the host: to the servers of models and to hosts of an allow-list.

Unreachable                 there is no connection to be had, or it broke
Forbidden                   the name leads to an address that nobody gets to
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult

from bot.gateway.addresses import Policy
from bot.gateway.hosts import Host
from bot.gateway.proxies import Proxies, Proxy, Scheme
from bot.vault.base import Access

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Takes a name and a port and returns addresses. Raises OSError."""

MAX_POOLS: Final = 8
"""One for each set of certificates to trust: a vault may change its own every day."""
MAX_CONNECTIONS: Final = 1_000
KEEPALIVE_SECONDS: Final = 20.0
PORTS: Final[Mapping[Scheme, int]] = {"http": 80, "https": 443}
RESOLVING_AT_ONCE: Final = 8
LARGE_BYTES: Final = 512 * 1024
MAX_PROXY_HEAD_BYTES: Final = 8 * 1024
STREAM_BYTES: Final = 64 * 1024


class Unreachable(Exception):
    """Raised when a server cannot be reached, does not answer in time, or breaks off. Its text holds no secret."""


class Forbidden(Exception):
    """Raised when a name leads to an address that nobody gets to."""


@dataclass(frozen=True)
class Timeouts:
    """In seconds: until a server is reached, and how long it may be silent."""

    connect: float
    silent: float


class SystemResolver:
    """By whatever the host's resolver knows, in threads of its own: an agent that has a name looked up whose servers
    are slow keeps one for as long as that takes, and nobody else is to wait for it."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVING_AT_ONCE, thread_name_prefix="resolve")

    async def __call__(self, name: str, port: int) -> Sequence[str]:
        """Raises OSError."""
        look_up = partial(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass
class _Pool:
    """The connections that trust the same certificates, and how many requests use them."""

    session: ClientSession
    users: int = 0


class Upstream:
    """Opens connections; `policy` decides which addresses. What an operator has named, a server of a model or a
    proxy, is trusted. Raises OSError, ssl.SSLError when `ca_file` is of no use."""

    def __init__(
        self,
        *,
        proxies: Proxies,
        ca_file: Path | None,
        policy: Policy,
        resolve: Resolve | None,
        timeouts: Timeouts,
    ) -> None:
        """Without another `resolve` names are looked up by the system; those that agents choose keep nobody from
        models."""
        self._proxies = proxies
        self._ca_file = ca_file
        self._policy = policy
        self._resolve = resolve or SystemResolver()
        self._resolve_model = resolve or SystemResolver()
        self._timeouts = timeouts
        self._pools: dict[tuple[str, bool], _Pool] = {}
        _tls(ca_file, None)

    @asynccontextmanager
    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], access: Access, *, trusted: bool
    ) -> AsyncIterator[ClientResponse]:
        """Sends a request to a model's server and gives its answer as it comes. Raises Unreachable."""
        pool = await self._pool(access.ca_pem, trusted=trusted)
        proxy = access.proxy or self._proxy_url(url)
        pool.users += 1
        try:
            async with pool.session.post(
                url,
                data=body if len(body) < LARGE_BYTES else io.BytesIO(body),
                headers=headers,
                proxy=proxy,
                allow_redirects=False,
            ) as response:
                yield response
        except (ClientError, TimeoutError, OSError, ssl.SSLError) as exc:
            raise Unreachable(_why(exc)) from exc
        finally:
            pool.users -= 1

    async def dial(self, host: Host) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connects to a host of an allow-list: to the very address that was looked at. Raises Unreachable,
        Forbidden."""
        proxy = self._proxies.of("https", host.name, host.port)
        try:
            async with asyncio.timeout(self._timeouts.connect):
                addresses = await self._addresses(host, required=proxy is None)
                if proxy is not None:
                    return await self._through(proxy, host)
                return await _first(addresses, host.port)
        except (TimeoutError, OSError, ssl.SSLError, asyncio.IncompleteReadError, ValueError) as exc:
            raise Unreachable(_why(exc)) from exc

    async def aclose(self) -> None:
        """Hangs up. Twice is fine."""
        while self._pools:
            _, pool = self._pools.popitem()
            await pool.session.close()

    async def _addresses(self, host: Host, *, required: bool) -> Sequence[str]:
        """The addresses of a host, all of which are allowed: one that is not says that somebody plays with the name.
        Where a proxy will look the name up, ours need not be known here."""
        if host.literal:
            addresses: Sequence[str] = [host.name]
        else:
            try:
                addresses = await self._resolve(host.name, host.port)
            except OSError:
                if required:
                    raise
                addresses = []
        check(addresses, self._policy)
        if required and not addresses:
            raise OSError("the name has no address")
        return addresses

    async def _through(self, proxy: Proxy, host: Host) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = _tls(self._ca_file, None) if proxy.tls else None
        reader, writer = await asyncio.open_connection(
            proxy.host, proxy.port, ssl=context, limit=STREAM_BYTES
        )
        try:
            login = ""
            if proxy.login is not None:
                shown = b64encode(":".join(proxy.login).encode()).decode()
                login = f"Proxy-Authorization: Basic {shown}\r\n"
            writer.write(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{login}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            status = head[:MAX_PROXY_HEAD_BYTES].split(b" ", 2)[1:2]
            if status != [b"200"]:
                raise OSError(f"the proxy answered {b''.join(status)[:3].decode('ascii', 'replace')}")
        except BaseException:
            writer.close()
            raise
        return reader, writer

    def _proxy_url(self, url: str) -> str | None:
        target = urlsplit(url)
        scheme: Scheme = "https" if target.scheme == "https" else "http"
        proxy = self._proxies.of(scheme, target.hostname or "", target.port or PORTS[scheme])
        return proxy.url if proxy else None

    async def _pool(self, ca_pem: str | None, *, trusted: bool) -> _Pool:
        key = (hashlib.sha256((ca_pem or "").encode()).hexdigest(), trusted)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = _Pool(self._new_session(ca_pem, trusted=trusted))
            idle = [each for each, old in self._pools.items() if not old.users and old is not pool]
            for each in idle[: max(0, len(self._pools) - MAX_POOLS)]:
                await self._pools.pop(each).session.close()
        return pool

    def _new_session(self, ca_pem: str | None, *, trusted: bool) -> ClientSession:
        try:
            context = _tls(self._ca_file, ca_pem)
        except (ssl.SSLError, OSError) as exc:
            raise Unreachable("the vault's certificates cannot be read") from exc
        connector = TCPConnector(
            limit=MAX_CONNECTIONS,
            ssl=context,
            resolver=None if trusted else _Checked(self._resolve_model, self._policy),
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        timeout = ClientTimeout(
            total=None,
            connect=None,
            sock_connect=self._timeouts.connect,
            sock_read=self._timeouts.silent,
        )
        return ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )


def check(addresses: Sequence[str], policy: Policy) -> None:
    """Raises Forbidden."""
    for address in addresses:
        if (why := policy(address)) is not None:
            raise Forbidden(f"it leads to {address[:50]} ({why})")


class _Checked(AbstractResolver):
    """aiohttp connects to what its resolver returns, and to nothing else."""

    def __init__(self, resolve: Resolve, policy: Policy) -> None:
        self._resolve = resolve
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._resolve(host, port)
        try:
            check(addresses, self._policy)
        except Forbidden as exc:
            raise OSError(str(exc)) from exc
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Holds nothing."""


async def _first(addresses: Sequence[str], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Of the addresses the first that answers. Raises OSError."""
    failure: OSError = OSError("the name has no address")
    for address in addresses:
        try:
            return await asyncio.open_connection(address, port, limit=STREAM_BYTES)
        except OSError as exc:
            failure = exc
    raise failure


def _tls(ca_file: Path | None, ca_pem: str | None) -> ssl.SSLContext:
    """Verifies always. Raises OSError, ssl.SSLError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    if ca_pem:
        context.load_verify_locations(cadata=ca_pem)
    return context


def _why(exc: BaseException) -> str:
    """In words that hold neither an URL nor what was sent: both may hold a secret."""
    if isinstance(exc, TimeoutError):
        return "it did not answer in time"
    reason: BaseException = getattr(exc, "os_error", None) or exc
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({reason.verify_message})"
    said = getattr(reason, "strerror", None) or (str(reason) if type(reason) is OSError else "")
    return f"{type(exc).__name__}: {said}" if said else type(exc).__name__
