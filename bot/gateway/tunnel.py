"""CONNECT: a connection from a session to a host of its agent's allow-list, through which bytes pass as they are.

What is said inside is the agent's own; what the gateway sees to is where it goes: the name is on the list, every
address that it has is public, the connection goes to one of these, and the name that TLS asks for is the same.
"""

from __future__ import annotations

import asyncio
from typing import Final

from prometheus_client import Counter

from bot.db.egress import Granted
from bot.errors import DatabaseError
from bot.gateway.caller import Caller
from bot.gateway.connect import END, MAX_HEAD_BYTES, BadConnect, Connect, read
from bot.gateway.granted import Egress
from bot.gateway.hello import HANDSHAKE_RECORD, MAX_BYTES, BadHello
from bot.gateway.hello import read as read_hello
from bot.gateway.hosts import DEFAULT_PORT, BadHost, Host, normal
from bot.gateway.refusals import Refusal
from bot.gateway.request import same
from bot.gateway.upstream import Forbidden, Unreachable, Upstream
from bot.metrics import Metrics

HEAD_SECONDS: Final = 10.0
HELLO_SECONDS: Final = 15.0
CHUNK_BYTES: Final = 64 * 1024
MAX_TUNNELS: Final = 12
"""Of one session, so that its model can still be reached beside them."""
ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Tunnel:
    """Serves the CONNECT requests of all sessions."""

    def __init__(self, upstream: Upstream, egress: Egress, metrics: Metrics, *, idle_seconds: float) -> None:
        self._upstream = upstream
        self._egress = egress
        self._metrics = metrics
        self._idle_seconds = idle_seconds

    async def serve(
        self, caller: Caller, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, others: int
    ) -> None:
        """Until one of the two ends hangs up. `others` are the session's tunnels beside this one."""
        asked: Connect | None = None
        established = False
        task = asyncio.current_task()
        try:
            head = await _head(reader)
            asked = _read(head)
            granted = await self._check(caller, asked, others)
            if task is not None and granted is None:
                caller.tunnels[task] = asked.host
            there, back = await self._dial(asked.host)
            try:
                await self._use(granted, asked.host)
                writer.write(ESTABLISHED)
                established = True
                hello = await _hello(reader, asked.host)
                self._metrics.gateway_requests.labels(caller.agent, "tunnel").inc()
                await self._copy_both(caller, (reader, writer), (there, back), hello)
            finally:
                back.transport.abort()
        except Refusal as refusal:
            self._metrics.gateway_requests.labels(caller.agent, "refused").inc()
            caller.refusals.note(refusal, str(asked.host) if asked else "")
            if not established:
                writer.write(response(refusal))
                await _linger(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            if task is not None:
                caller.tunnels.pop(task, None)

    async def _check(self, caller: Caller, asked: Connect, others: int) -> Granted | None:
        """By what an admin has granted it may go there, None where its configuration says so. Raises Refusal."""
        if asked.password is None or not same(asked.password, caller.token):
            what = "no token" if asked.password is None else "a wrong token"
            raise Refusal(
                407,
                "authentication_error",
                "This is not the token of this conversation.",
                reason="token",
                detail=what,
            )
        granted = None
        if not caller.rights.hosts.allow(asked.host):
            granted = await self._granted(caller, asked.host)
        if others >= MAX_TUNNELS:
            raise Refusal(
                503,
                "overloaded_error",
                f"A conversation may have {MAX_TUNNELS} connections to other hosts at once.",
                reason="connections",
            )
        return granted

    async def _granted(self, caller: Caller, host: Host) -> Granted:
        """Raises Refusal."""
        try:
            granted = await self._egress.grant(caller.agent, caller.session, host)
        except DatabaseError as exc:
            raise _not_now(exc) from exc
        if granted is None:
            raise _not_allowed(
                host, "it is not among [agents.<name>.gateway] hosts, and no admin has granted it"
            )
        return granted

    async def _use(self, granted: Granted | None, host: Host) -> None:
        """Raises Refusal for what was granted once and is used up."""
        try:
            if granted is not None and not await self._egress.use(granted):
                raise _not_allowed(host, "what was granted once is used up")
        except DatabaseError as exc:
            raise _not_now(exc) from exc

    async def _dial(self, host: Host) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await self._upstream.dial(host)
        except Forbidden as exc:
            raise Refusal(
                403,
                "permission_error",
                f"{host} is not a place in the public internet.",
                reason="address",
                detail=str(exc),
            ) from exc
        except Unreachable as exc:
            raise Refusal(
                502, "api_error", f"{host} cannot be reached.", reason="upstream", detail=str(exc)
            ) from exc

    async def _copy_both(
        self,
        caller: Caller,
        inside: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        outside: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        first: bytes,
    ) -> None:
        """Each direction until its end; both are cut off when nothing has gone on for long."""
        out = self._metrics.gateway_tunnel_bytes.labels(caller.agent, "out")
        in_ = self._metrics.gateway_tunnel_bytes.labels(caller.agent, "in")
        outside[1].write(first)
        out.inc(len(first))
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._idle_seconds) as idle:

            async def copy(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Counter
            ) -> None:
                while data := await reader.read(CHUNK_BYTES):
                    idle.reschedule(loop.time() + self._idle_seconds)
                    count.inc(len(data))
                    writer.write(data)
                    await writer.drain()
                if writer.can_write_eof():
                    writer.write_eof()

            copies = [
                asyncio.create_task(copy(inside[0], outside[1], out), name="tunnel out"),
                asyncio.create_task(copy(outside[0], inside[1], in_), name="tunnel in"),
            ]
            try:
                await asyncio.gather(*copies)
            finally:
                for each in copies:
                    each.cancel()
                await asyncio.gather(*copies, return_exceptions=True)


def response(refusal: Refusal) -> bytes:
    """A whole answer, after which the connection ends."""
    head = [f"HTTP/1.1 {refusal.status} {_PHRASES.get(refusal.status, 'Refused')}"]
    if refusal.status == 407:
        head.append('Proxy-Authenticate: Basic realm="roost"')
    head += [f"{name}: {value}" for name, value in refusal.headers.items()]
    head += [f"Content-Length: {len(refusal.body)}", "Connection: close", "", ""]
    return "\r\n".join(head).encode() + refusal.body


_PHRASES: Final = {
    400: "Bad Request",
    403: "Forbidden",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Raises Refusal, IncompleteReadError."""
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            return await reader.readuntil(END)
    except TimeoutError as exc:
        raise _malformed("it did not arrive in time", 408) from exc
    except asyncio.LimitOverrunError as exc:
        raise _malformed("its head is too long") from exc


def _read(head: bytes) -> Connect:
    try:
        if len(head) > MAX_HEAD_BYTES:
            raise BadConnect("its head is too long")
        return read(head)
    except BadConnect as exc:
        raise _malformed(str(exc)) from exc


async def _hello(reader: asyncio.StreamReader, host: Host) -> bytes:
    """What the agent says first, once it is sure that it asks for the same host. Raises Refusal, OSError."""
    data = b""
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            while more := await reader.read(MAX_BYTES):
                data += more
                if host.port != DEFAULT_PORT and data[0] != HANDSHAKE_RECORD:
                    return data
                hello = read_hello(data)
                if hello is not None:
                    _compare(hello.name, host, encrypted=hello.encrypted)
                    return data
    except TimeoutError as exc:
        raise _other_name("nothing was said in time") from exc
    except BadHello as exc:
        raise _other_name(f"what was said first cannot be checked: {exc}") from exc
    raise ConnectionResetError("nothing was said")


def _compare(name: str | None, host: Host, *, encrypted: bool) -> None:
    """Raises Refusal."""
    if encrypted:
        raise _other_name("it hides the name of the host that it wants (ECH)")
    if host.literal:
        # RFC 6066 has no names for addresses, so that there is nothing to compare.
        if name is not None:
            raise _other_name(f"TLS asks for {name[:100]!r}")
        return
    try:
        same_name = name is not None and normal(name) == host.name
    except BadHost:
        same_name = False
    if not same_name:
        raise _other_name("TLS asks for no name" if name is None else f"TLS asks for {name[:100]!r}")


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Whoever still writes would be told of a reset instead of the answer."""
    try:
        async with asyncio.timeout(1):
            await writer.drain()
            writer.write_eof()
            while await reader.read(CHUNK_BYTES):
                pass
    except (TimeoutError, OSError):
        pass


def _not_allowed(host: Host, detail: str) -> Refusal:
    return Refusal(
        403,
        "permission_error",
        f"This agent may not reach {host}. It can ask an admin for it with its tool request_host.",
        reason="host",
        detail=detail,
    )


def _not_now(exc: DatabaseError) -> Refusal:
    return Refusal(
        503, "overloaded_error", "It cannot be looked up now; try again.", reason="host", detail=str(exc)
    )


def _malformed(detail: str, status: int = 400) -> Refusal:
    return Refusal(
        status,
        "invalid_request_error",
        f"The CONNECT request is malformed: {detail}.",
        reason="http",
        detail=detail,
    )


def _other_name(detail: str) -> Refusal:
    return Refusal(
        403, "permission_error", "TLS does not ask for the same host.", reason="sni", detail=detail
    )
