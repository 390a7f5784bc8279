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

from tests.fakes import discord_routes_channels, discord_routes_guilds, discord_routes_messages
from tests.fakes.discord_calls import Body, Call, Route, read_body
from tests.fakes.discord_faults import Fault, Faults, cut, stall
from tests.fakes.discord_limits import CHANNEL_RENAME, VIA, Denial, Limits
from tests.fakes.discord_values import NOT_FOUND, UNAUTHORIZED, Refused
from tests.fakes.discord_world import World

API: Final = "/api/v10"
ROUTES: Final = (
    *discord_routes_messages.ROUTES,
    *discord_routes_channels.ROUTES,
    *discord_routes_guilds.ROUTES,
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


class Check:
    """Compares what goes over the wire with Discord's own description. This one lets everything pass."""

    def request(
        self, method: str, path: str, content_type: str, body: Any, query: Mapping[str, str]
    ) -> list[str]:
        """What is wrong with a request."""
        return []

    def response(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """What is wrong with a response."""
        return []


@dataclass
class _Answered:
    """An answer on its way: what it is told as, and what a spec says of the request."""

    status: int
    body: Any
    headers: dict[str, str]


class Rest:
    """Answers requests in `world`. `remember` is given each with its answer, `violated` each violation in one line."""

    def __init__(
        self,
        world: World,
        limits: Limits,
        faults: Faults,
        *,
        call: Callable[[Mapping[str, str], Mapping[str, str], Body], Call],
        check: Check,
        remember: Callable[[Request], None],
        violated: Callable[[str], None],
    ) -> None:
        self._world = world
        self._limits = limits
        self._faults = faults
        self._call = call
        self._check = check
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
            self._note(request, path, body, 0, at)
            return cut(request)
        if fault is not None and fault.how == "status":
            answered = self._faulty(fault)
        else:
            answered = broken or self._answer(request, path, body)
        if fault is not None and fault.how == "reset_after":
            self._note(request, path, body, 0, at, answered.body)
            return cut(request)
        self._note(request, path, body, answered.status, at, answered.body)
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
                return _denied(denial, VIA)
            self._check_request(request, path, body)
            answer = route.handler(self._call(params, request.query, body))
        except Refused as exc:
            self._limits.count(exc.status)
            return _Answered(exc.status, exc.body, headers)
        return _Answered(answer.status, answer.body, headers)

    def _authorize(self, request: web.Request, route: Route) -> None:
        token = request.headers.get("Authorization")
        if not route.is_open and (token != f"Bot {self._world.token}" or not self._world.token):
            raise Refused(*UNAUTHORIZED)

    def _renamed(self, method: str, params: Mapping[str, str], body: Body) -> Denial | None:
        """The limit that is hidden in PATCH of a channel."""
        place = self._world.places.get(params.get("channel", ""))
        is_edit = method == "PATCH" and set(params) == {"channel"} and isinstance(body.form, dict)
        if place is None or not is_edit or not {"name", "topic"} & set(body.form):
            return None
        return self._limits.take(CHANNEL_RENAME, place.id, is_global=False)[1]

    def _faulty(self, fault: Fault) -> _Answered:
        if fault.status == 429:
            denial = self._limits.deny(fault.retry_after or 0.1)
            self._limits.count(429)
            return _denied(denial, VIA)
        self._limits.count(fault.status)
        headers = {**JSON, **VIA}
        if fault.retry_after is not None:
            headers["Retry-After"] = str(math.ceil(fault.retry_after))
        body = {"message": "made to fail", "code": 0} if fault.body is None else fault.body
        return _Answered(fault.status, body, headers)

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
        content_type = request.content_type if request.can_read_body else ""
        for each in self._check.request(request.method, path, content_type, body.form, request.query):
            self._violated(each)

    def _note(
        self, request: web.Request, path: str, body: Body, status: int, at: int, answer: Any = None
    ) -> None:
        if status and not (status == 429 and isinstance(answer, str)):
            for each in self._check.response(request.method, path, status, answer):
                self._violated(each)
        names = tuple(each.name for each in body.files)
        token = request.headers.get("Authorization")
        query = dict(request.query)
        self._remember(Request(request.method, path, body.form, status, at, names, query, answer, token))


def _routed(method: str, path: str) -> tuple[Route, dict[str, str]]:
    for route in ROUTES:
        params = route.match(method, path)
        if params is not None:
            return route, params
    raise Refused(*NOT_FOUND)


def _denied(denial: Denial, via: Mapping[str, str]) -> _Answered:
    return _Answered(429, denial.body, {**JSON, **via, **denial.headers})
