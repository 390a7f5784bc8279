"""The fake Slack's Web API: who asks, how often, what goes wrong on purpose, and which method answers.

GET and POST, arguments as a query, a form or JSON, the token in a header or among them; every answer is 200 with `ok`,
but for a 429 and what a test has ordered.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiohttp import web

from tests.fakes import slack_files, slack_methods, slack_methods_agents, slack_views
from tests.fakes.slack_calls import Call, Methods
from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_rules import SCOPES, Limits
from tests.fakes.slack_world import World

METHODS: Final[Methods] = {
    **slack_methods.METHODS,
    **slack_methods_agents.METHODS,
    **slack_files.METHODS,
    **slack_views.METHODS,
}
JSON: Final = "application/json; charset=utf-8"

How = Literal["error", "status", "limited", "reset_before", "reset_after", "slow", "stall"]
"""error: Slack's answer is that `error`. status: the answer is `status`, and nothing is done. limited: 429 for so many
`seconds`. reset_before: the connection is cut, and nothing is done. reset_after: it is done, and the connection is cut.
slow: it is done after `seconds`. stall: it is done, and no answer comes."""


@dataclass
class Fault:
    """A fault for calls of a method: the first `after` go well, the next `times` do not."""

    method: str
    how: How
    error: str = "internal_error"
    status: int = 500
    times: int = 1
    after: int = 0
    seconds: float = 0.0
    more: Mapping[str, Any] = field(default_factory=dict)
    met: int = 0

    def strikes(self, method: str) -> bool:
        """Whether this call is one of them; it is counted."""
        if method != self.method or self.met >= self.times:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.met += 1
        return True


@dataclass(frozen=True)
class Request:
    """A call and what became of it. `at` is the steady clock's; a `status` of 0 is a connection that was cut."""

    method: str
    arguments: Mapping[str, Any]
    status: int
    answer: Mapping[str, Any]
    at: float


class Api:
    """Answers calls in `world`. `remember` is given each with its answer; `connect` opens a socket for the app."""

    def __init__(self, world: World, limits: Limits, remember: Callable[[Request], None]) -> None:
        self.bot_token = "xoxb-" + "1000000001-2000000002-NotARealToken"
        self.app_token = "xapp-" + "1-A0TEST-3000000003-notarealtoken"
        self.base = ""
        self.missing: set[str] = set()
        """Methods that this workspace does not have."""
        self.connect: Callable[[Call], dict[str, Any]] | None = None
        self.denied = ""
        """The error by which every token is refused."""
        self._world = world
        self._limits = limits
        self._remember = remember
        self._faults: list[Fault] = []

    def order(self, fault: Fault) -> Fault:
        """This one happens, too. Where several fit, the oldest does."""
        self._faults.append(fault)
        return fault

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one call."""
        method, at = request.match_info["method"], time.monotonic()
        arguments = await _arguments(request)
        fault = next((each for each in self._faults if each.strikes(method)), None)
        if fault is not None and fault.how == "slow":
            await asyncio.sleep(fault.seconds)
        status, answer, headers = self._answer(request, method, arguments, fault)
        cut = fault is not None and fault.how in ("reset_before", "reset_after", "stall")
        self._remember(Request(method, arguments, 0 if cut else status, answer, at))
        if fault is not None and fault.how == "stall":
            while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        if cut and request.transport is not None:
            request.transport.abort()
        return web.Response(status=status, text=json.dumps(answer), headers={"Content-Type": JSON, **headers})

    def _answer(
        self, request: web.Request, method: str, arguments: Mapping[str, Any], fault: Fault | None
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        scopes = {"X-OAuth-Scopes": ",".join(sorted(self._world.scopes))}
        if fault is not None and fault.how in ("error", "status", "reset_before"):
            if fault.how == "error":
                return 200, {"ok": False, "error": fault.error, **fault.more}, scopes
            return fault.status, {"ok": False, "error": "internal_error"}, {}
        if fault is not None and fault.how == "limited":
            self._limits.shut(method, fault.seconds)
        wait = self._limits.wait(method, str(arguments.get("channel", "")))
        if wait:
            return 429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(wait)}
        try:
            return 200, {"ok": True, **self._call(request, method, arguments)}, scopes
        except Refused as exc:
            return 200, {"ok": False, "error": exc.error, **exc.more}, scopes

    def _call(self, request: web.Request, method: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Raises Refused."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or str(
            arguments.get("token", "")
        )
        wanted = self.app_token if method == "apps.connections.open" else self.bot_token
        if not token:
            raise Refused("not_authed")
        if self.denied:
            raise Refused(self.denied)
        if token != wanted:
            other = token in (self.app_token, self.bot_token)
            raise Refused("not_allowed_token_type" if other else "invalid_auth")
        call = Call(self._world, method, arguments, self.base.removesuffix("api/"))
        if method == "apps.connections.open" and self.connect is not None:
            return self.connect(call)
        run = METHODS.get(method)
        if run is None or method in self.missing:
            raise Refused("unknown_method", req_method=method)
        if (scope := SCOPES.get(method)) is not None:
            call.needs(scope)
        return run(call)


async def _arguments(request: web.Request) -> dict[str, Any]:
    arguments: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        text = await request.text()
        arguments |= json.loads(text) if text else {}
    elif request.method == "POST":
        arguments |= dict(await request.post())
    return arguments
