"""Discord's REST API, version 10: who asks, how often, what goes wrong on purpose, and which route answers.

Every request goes one way: fault, ban, token, limit, body, route; every answer is checked and remembered.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from tests.fakes import (
    discord_routes_channels,
    discord_routes_commands,
    discord_routes_guilds,
    discord_routes_interactions,
    discord_routes_messages,
)
from tests.fakes.discord_calls import Body, Call, Route, read_body
from tests.fakes.discord_faults import Fault, Faults, cut, stall
from tests.fakes.discord_limits import CHANNEL_RENAME, VIA, Denial, Limits
from tests.fakes.discord_spec import Spec
from tests.fakes.discord_values import NOT_FOUND, UNAUTHORIZED, Refused
from tests.fakes.discord_world import World

API: Final = "/api/v10"
ROUTES: Final = (
    *discord_routes_messages.ROUTES,
    *discord_routes_channels.ROUTES,
    *discord_routes_guilds.ROUTES,
    *discord_routes_commands.ROUTES,
    *discord_routes_interactions.ROUTES,
)
JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Request:
    """A request and what became of it: `at` in epoch milliseconds of the server's clock, `status` that of the answer
    (0: the connection was cut), `files` the names of what was uploaded, `answer` the body."""

    method: str
    path: str
    json: Any
    status: int
    at: int
    files: tuple[str, ...] = ()
    query: Mapping[str, str] | None = None
    answer: Any = None
    token: str | None = None


@dataclass
class _Answered:
    """An answer on its way. What a test has ordered, and what Cloudflare says, is not `is_discords`."""

    status: int
    body: Any
    headers: dict[str, str]
    is_discords: bool = True


class Rest:
    """Answers requests in `world`. `remember` is given each with its answer, `violated` each violation in one line."""

    def __init__(
        self,
        world: World,
        limits: Limits,
        faults: Faults,
        *,
        call: Callable[[Mapping[str, str], Mapping[str, str], Body], Call],
        spec: Spec | None,
        remember: Callable[[Request], None],
        violated: Callable[[str], None],
    ) -> None:
        self._world = world
        self._limits = limits
        self._faults = faults
        self._call = call
        self._spec = spec
        self._remember = remember
        self._violated = violated

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request."""
        path = request.rel_url.raw_path.removeprefix(API)
        at = self._world.clock()
        body, broken = await self._read(request)
        fault = self._faults.find(request.method, path)
        if fault is not None and fault.how == "slow":
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.how == "reset_before":
            self._note(request, path, body, _Answered(0, None, {}), at, is_cut=True)
            return cut(request)
        if fault is not None and fault.how == "status":
            answered = self._faulty(fault)
        else:
            answered = broken or self._answer(request, path, body)
        if fault is not None and fault.how == "reset_after":
            self._note(request, path, body, answered, at, is_cut=True)
            return cut(request)
        self._note(request, path, body, answered, at)
        return await self._send(request, answered, fault)

    async def _read(self, request: web.Request) -> tuple[Body, _Answered | None]:
        try:
            return await read_body(request), None
        except Refused as exc:
            return Body(), _Answered(exc.status, exc.body, {**JSON, **VIA})

    def _answer(self, request: web.Request, path: str, body: Body) -> _Answered:
        banned = self._limits.banned()
        if banned is not None:
            return _denied(banned, {})
        headers = {**JSON, **VIA}
        try:
            route, params = _routed(request.method, path)
            self._authorize(request, route)
            limited, denial = self._limits.take(
                route.bucket, route.major(params), is_global=not route.is_free
            )
            headers |= limited
            denial = denial or self._renamed(request.method, params, body)
            if denial is not None:
                self._limits.count(429, denial.scope)
                return _denied(denial, {**VIA, **limited})
            self._check_request(request, path, body)
            answer = route.handler(self._call(params, request.query, body))
        except Refused as exc:
            self._limits.count(exc.status)
            return _Answered(exc.status, exc.body, headers)
        except Exception as exc:
            self._violated(f"{request.method} {path}: the fake itself has failed: {exc!r}")
            raise
        return _Answered(answer.status, answer.body, headers)

    def _authorize(self, request: web.Request, route: Route) -> None:
        token = request.headers.get("Authorization")
        if not route.is_open and (token != f"Bot {self._world.token}" or not self._world.token):
            raise Refused(*UNAUTHORIZED)

    def _renamed(self, method: str, params: Mapping[str, str], body: Body) -> Denial | None:
        """The limit that is hidden in PATCH of a channel; the headers stay those of the route's own."""
        place = self._world.places.get(params.get("channel", ""))
        is_edit = method == "PATCH" and set(params) == {"channel"} and isinstance(body.form, dict)
        if place is None or not is_edit or not {"name", "topic"} & set(body.form):
            return None
        denial = self._limits.take(CHANNEL_RENAME, place.id, is_global=False)[1]
        return self._limits.deny(denial.seconds) if denial is not None else None

    def _faulty(self, fault: Fault) -> _Answered:
        if fault.status == 429:
            denial = self._limits.deny(fault.retry_after or 0.1, scope=fault.scope)
            self._limits.count(429, fault.scope)
            return _denied(denial, {} if fault.scope == "cloudflare" else VIA)
        self._limits.count(fault.status)
        headers = {**JSON, **VIA}
        if fault.retry_after is not None:
            headers["Retry-After"] = str(math.ceil(fault.retry_after))
        if isinstance(fault.body, str):
            headers["Content-Type"] = "text/html; charset=UTF-8"
        body = {"message": "made to fail", "code": 0} if fault.body is None else fault.body
        return _Answered(fault.status, body, headers, is_discords=False)

    async def _send(
        self, request: web.Request, answered: _Answered, fault: Fault | None
    ) -> web.StreamResponse:
        if answered.status == 204:
            headers = {name: value for name, value in answered.headers.items() if name != "Content-Type"}
            return web.Response(status=204, headers=headers)
        text = answered.body if isinstance(answered.body, str) else json.dumps(answered.body)
        if fault is not None and fault.how == "stall":
            return await stall(request, headers=answered.headers, body=text.encode())
        # aiohttp would add a charset to a content type of its own choosing; Discord sends none.
        return web.Response(body=text.encode(), status=answered.status, headers=answered.headers)

    def _check_request(self, request: web.Request, path: str, body: Body) -> None:
        if self._spec is None:
            return
        for each in self._spec.request(request.method, path, body.content_type, body.form, request.query):
            self._violated(each)

    def _note(
        self,
        request: web.Request,
        path: str,
        body: Body,
        answered: _Answered,
        at: int,
        *,
        is_cut: bool = False,
    ) -> None:
        if self._spec is not None and answered.is_discords and not is_cut:
            for each in self._spec.response(request.method, path, answered.status, answered.body):
                self._violated(each)
        self._remember(
            Request(
                request.method,
                path,
                body.form,
                0 if is_cut else answered.status,
                at,
                files=tuple(each.name for each in body.files),
                query=dict(request.query),
                answer=answered.body,
                token=request.headers.get("Authorization"),
            )
        )


def _routed(method: str, path: str) -> tuple[Route, dict[str, str]]:
    for route in ROUTES:
        params = route.match(method, path)
        if params is not None:
            return route, params
    raise Refused(*NOT_FOUND)


def _denied(denial: Denial, via: Mapping[str, str]) -> _Answered:
    headers = {**JSON, **via, **denial.headers}
    return _Answered(429, denial.body, headers, is_discords=denial.scope != "cloudflare")
