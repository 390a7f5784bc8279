"""A request of the Messages API on its way: checked, sent on with the agent's credential, answered as it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

from aiohttp import ClientResponse, web

from bot import log
from bot.charges import Charges, tokens_of
from bot.errors import DatabaseError
from bot.gateway.caller import Caller
from bot.gateway.prices import Prices
from bot.gateway.refusals import Refusal
from bot.gateway.request import (
    Asked,
    Route,
    check_body,
    check_headers,
    check_token,
    models_of,
    passed_on,
    route,
    with_access,
)
from bot.gateway.spend import MICROS, Spend
from bot.gateway.upstream import Unreachable, Upstream
from bot.gateway.usage import Meter, Usage
from bot.metrics import Metrics
from bot.vault.base import Access, Vault, VaultError, VaultUnavailable

BODY_SECONDS: Final = 60.0
"""How long a request may take to arrive."""
MAX_HELD_BYTES: Final = 512 * 1024 * 1024
"""Of all sessions' requests together that lie in memory at once."""
LARGE_BYTES: Final = 256 * 1024
"""From here on a body is read in a thread."""
SERVER: Final = "roost"
_ANSWERED: Final = frozenset(
    {
        "content-type",
        "content-encoding",
        "date",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
    }
)
_RATE_LIMITS: Final = "anthropic-ratelimit-"

_log = log.get("roost.gateway")


class Messages:
    """Answers the requests of all sessions."""

    def __init__(
        self,
        upstream: Upstream,
        spend: Spend,
        charges: Charges,
        prices: Prices,
        vault: Vault,
        metrics: Metrics,
        *,
        chosen: Callable[[str], Awaitable[str | None]],
    ) -> None:
        """`chosen` is the model that people have chosen for a session."""
        self._upstream = upstream
        self._spend = spend
        self._charges = charges
        self._prices = prices
        self._vault = vault
        self._metrics = metrics
        self._chosen = chosen
        self._held_bytes = 0
        self._reading = asyncio.Semaphore(1)

    async def handle(self, caller: Caller, request: web.BaseRequest) -> web.StreamResponse:
        """Answers whatever comes, with an error of the API's own form where it is not carried out."""
        try:
            response = await self._answer(caller, request)
        except Refusal as refusal:
            caller.refusals.note(refusal, caller.model_host)
            self._count(caller, "failed" if refusal.status >= 500 else "refused")
            return refused(refusal)
        return response

    async def _answer(self, caller: Caller, request: web.BaseRequest) -> web.StreamResponse:
        way = route(request.method, request.raw_path)
        headers = check_headers(request.raw_headers)
        if way == "local":
            return web.Response(headers={"Server": SERVER})
        check_token(headers, caller.token)
        caller.take_request()
        self._spend.check(caller.rights.limits, session=caller.session, agent=caller.agent)
        async with caller.slots:
            # Those before it in the queue have cost something since.
            self._spend.check(caller.rights.limits, session=caller.session, agent=caller.agent)
            turn = self._charges.turn(caller.session)
            await self._check(caller, turn)
            held = _Held(self, caller)
            try:
                body = await self._body(caller, request, held)
                asked = await self._asked(caller, body)
                access = await self._access(caller)
                return await self._pass_on(caller, request, way, asked, body, headers, access, turn)
            finally:
                held.release()

    async def _asked(self, caller: Caller, body: bytes) -> Asked:
        """What is asked for, if it may be: where no models are named, people may choose another one in the chat."""
        rights = caller.rights
        try:
            return await self._checked(caller, body, rights.models)
        except Refusal as refusal:
            if refusal.reason != "model" or not rights.people_choose:
                raise
            chosen = await self._chosen(caller.session)
            if chosen is None:
                raise
            models = models_of((), model=chosen, fallback=None)
            return await self._checked(caller, body, models)

    async def _body(self, caller: Caller, request: web.BaseRequest, held: _Held) -> bytes:
        limit = caller.rights.max_request_bytes
        pieces: list[bytes] = []
        size = 0
        if (request.content_length or 0) > limit:
            raise _too_large(limit)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for piece in request.content.iter_any():
                    size += len(piece)
                    if size > limit:
                        raise _too_large(limit)
                    held.take(len(piece))
                    pieces.append(piece)
        except TimeoutError as exc:
            raise Refusal(
                408, "invalid_request_error", "The request did not arrive in time.", reason="http"
            ) from exc
        except web.RequestPayloadError as exc:
            raise Refusal(400, "invalid_request_error", "The request broke off.", reason="http") from exc
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _checked(self, caller: Caller, body: bytes, models: Sequence[str]) -> Asked:
        check = partial(check_body, body, models, server_tools=caller.rights.server_tools)
        if len(body) < LARGE_BYTES:
            return check()
        # One at a time: nobody else is to wait while the conversations of one agent are read.
        async with self._reading:
            return await asyncio.to_thread(check)

    async def _access(self, caller: Caller) -> Access:
        try:
            return await self._vault.access(caller.agent)
        except VaultUnavailable as exc:
            raise Refusal(
                529,
                "overloaded_error",
                "The vault with the model's key does not answer at the moment.",
                reason="vault",
                detail=str(exc),
            ) from exc
        except VaultError as exc:
            raise Refusal(
                401,
                "authentication_error",
                "There is no key for this agent's model.",
                reason="vault",
                detail=str(exc),
            ) from exc

    async def _pass_on(
        self,
        caller: Caller,
        request: web.BaseRequest,
        way: Route,
        asked: Asked,
        body: bytes,
        headers: Mapping[str, str],
        access: Access,
        turn: str | None,
    ) -> web.StreamResponse:
        """Sends it on, and counts what it has cost, however it ends; `turn` is the one that it is for."""
        sent = passed_on(headers) | {"content-type": "application/json", "accept-encoding": "identity"}
        sent = with_access(sent, access.headers)
        clock = asyncio.get_running_loop().time
        began = clock()
        # Whoever hangs up before there is an answer has been served all the same.
        meter: Meter | None = Meter("", request_bytes=len(body))
        response: web.StreamResponse | None = None
        whole = False
        try:
            async with self._upstream.post(
                caller.rights.url + request.raw_path, body, sent, access, trusted=caller.rights.trusted
            ) as answer:
                self._metrics.gateway_upstream_seconds.observe(clock() - began)
                meter = _meter(answer, len(body)) if answer.status == 200 else None
                response = _response(answer)
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    if meter is not None:
                        meter.feed(chunk)
                    await response.write(chunk)
            whole = True
            await response.write_eof()
        except Unreachable as exc:
            if response is None:
                meter = None
                raise _unreachable(exc) from exc
            self._cut_off(caller, request, exc)
        finally:
            if meter is not None and way == "messages":
                unseen = 0 if whole else asked.unseen_tokens(clock() - began)
                self._charge(caller, asked, meter.finish(unseen), turn)
        self._count(caller, "answered" if response.status < 400 else "upstream_error")
        return response

    def _cut_off(self, caller: Caller, request: web.BaseRequest, exc: Unreachable) -> None:
        """The answer broke off half-way; whoever reads it has to see that."""
        _log.warning(
            "an answer of the model's server broke off: %s",
            exc,
            session=caller.session,
            agent=caller.agent,
            host=caller.model_host,
        )
        if request.transport is not None:
            request.transport.abort()

    async def _check(self, caller: Caller, turn: str | None) -> None:
        """Raises Refusal."""
        try:
            await self._charges.check(caller.session, turn)
        except DatabaseError as exc:
            # Nobody knows whether it may be spent.
            raise Refusal(
                529,
                "overloaded_error",
                "The budgets cannot be looked at at the moment.",
                reason="spend",
                detail=str(exc),
            ) from exc

    def _charge(self, caller: Caller, asked: Asked, usage: Usage, turn: str | None) -> None:
        dearest = max(asked.models, key=lambda model: self._prices.of(model).micros(usage))
        micros = asked.dearer * self._prices.of(dearest).micros(usage)
        self._charges.add(caller.session, turn, tokens_of(usage), micros, agent=caller.agent, model=dearest)
        self._spend.add(usage, micros, session=caller.session, agent=caller.agent)
        self._metrics.gateway_spend_usd.labels(caller.agent).inc(micros / MICROS)

    def _count(self, caller: Caller, outcome: str) -> None:
        self._metrics.gateway_requests.labels(caller.agent, outcome).inc()

    def hold(self, caller: Caller, size: int) -> None:
        """So much more lies in memory. Raises Refusal."""
        if caller.held_bytes + size > caller.max_held_bytes or self._held_bytes + size > MAX_HELD_BYTES:
            raise Refusal(
                429,
                "rate_limit_error",
                "Too many large requests are under way at once.",
                reason="size",
                retry_after_seconds=1,
            )
        caller.held_bytes += size
        self._held_bytes += size

    def let_go(self, caller: Caller, size: int) -> None:
        """So much less."""
        caller.held_bytes -= size
        self._held_bytes -= size


def refused(refusal: Refusal) -> web.Response:
    """The answer to a request that is not carried out. Behind one that was not well-formed nothing more is read."""
    headers = {"Server": SERVER, **refusal.headers}
    response = web.Response(status=refusal.status, body=refusal.body, headers=headers)
    if refusal.reason in ("headers", "http", "path"):
        response.force_close()
    return response


class _Held:
    """What one request holds in memory."""

    def __init__(self, messages: Messages, caller: Caller) -> None:
        self._messages = messages
        self._caller = caller
        self._size = 0

    def take(self, size: int) -> None:
        self._messages.hold(self._caller, size)
        self._size += size

    def release(self) -> None:
        self._messages.let_go(self._caller, self._size)


def _meter(answer: ClientResponse, request_bytes: int) -> Meter:
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    kind = answer.headers.get("Content-Type", "")
    return Meter(kind, request_bytes=request_bytes, readable=encoding == "identity")


def _response(answer: ClientResponse) -> web.StreamResponse:
    """The head of what the agent gets. Raises Refusal for an answer that sends it elsewhere."""
    if 300 <= answer.status < 400:
        raise Refusal(
            502,
            "api_error",
            "The model's server sends its callers elsewhere.",
            reason="upstream",
            detail=f"the model's server answered {answer.status}",
        )
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name.lower() in _ANSWERED or name.lower().startswith(_RATE_LIMITS)
    }
    response = web.StreamResponse(status=answer.status, headers={"Server": SERVER, **headers})
    if "Transfer-Encoding" not in answer.headers and answer.content_length is not None:
        response.content_length = answer.content_length
    return response


def _too_large(limit: int) -> Refusal:
    mib = limit // (1024 * 1024)
    return Refusal(413, "request_too_large", f"The request is larger than {mib} MiB.", reason="size")


def _unreachable(exc: Unreachable) -> Refusal:
    return Refusal(
        502,
        "api_error",
        "The model's server cannot be reached at the moment.",
        reason="upstream",
        detail=f"the model's server cannot be reached: {exc}",
    )
