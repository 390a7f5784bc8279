"""The fake Slack's Web API: who asks, how often, what goes wrong on purpose, and which method answers.

GET and POST, arguments as a query, a form or JSON, the token in a header or among them; every answer is 200 with `ok`,
but for a 429 and what a test has ordered.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from tests.fakes import (
    slack_files,
    slack_groups,
    slack_methods,
    slack_methods_agents,
    slack_methods_places,
    slack_methods_streams,
    slack_views,
)
from tests.fakes.slack_calls import Call, Methods
from tests.fakes.slack_faults import Fault, Faults, How, cut, slowly, stalled
from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_rules import SCOPES, Limits
from tests.fakes.slack_world import World

__all__ = ["Api", "Fault", "How", "Request"]

METHODS: Final[Methods] = {
    **slack_methods.METHODS,
    **slack_methods_places.METHODS,
    **slack_methods_streams.METHODS,
    **slack_methods_agents.METHODS,
    **slack_files.METHODS,
    **slack_views.METHODS,
    **slack_groups.METHODS,
}
JSON: Final = "application/json; charset=utf-8"
NO_JSON: Final = frozenset(
    {
        "conversations.history",
        "conversations.info",
        "conversations.replies",
        "files.info",
        "usergroups.list",
        "users.conversations",
        "users.info",
    }
)
"""These read a query or a form, and see nothing of a body of JSON."""
OPEN: Final = "apps.connections.open"


@dataclass(frozen=True)
class Request:
    """A call and what became of it. `at` is the steady clock's; a `status` of 0 is a connection that was cut."""

    method: str
    arguments: Mapping[str, Any]
    status: int
    answer: Mapping[str, Any]
    at: float
    verb: str = "POST"
    content_type: str = ""

    @property
    def error(self) -> str:
        """Slack's own name of what was wrong; "" where nothing was."""
        return str(self.answer.get("error", ""))


@dataclass
class _Answer:
    """An answer on its way."""

    status: int
    body: dict[str, Any] | str
    headers: dict[str, str]


class Api:
    """Answers calls in `world`. `remember` is given each with its answer; `connect` opens a socket for the app."""

    def __init__(
        self, world: World, limits: Limits, remember: Callable[[Request], None], faults: Faults | None = None
    ) -> None:
        self.bot_token = "xoxb-" + "1000000001-2000000002-NotARealToken"
        self.app_token = "xapp-" + "1-A0TEST-3000000003-notarealtoken"
        self.base = ""
        self.missing: set[str] = set()
        """Methods that this workspace does not have."""
        self.refused: dict[str, str] = {}
        """Methods that always answer by an error: an app that is no agent, a plan without it."""
        self.connect: Callable[[Call], dict[str, Any]] | None = None
        self.denied = ""
        """The error by which every token is refused."""
        self._world = world
        self._limits = limits
        self._remember = remember
        self._faults = faults or Faults()

    def order(self, fault: Fault) -> Fault:
        """This one happens, too. Where several fit, the oldest does."""
        return self._faults.order(fault)

    def takes(self, token: str) -> bool:
        """Whether it is the bot's token, and good."""
        return token == self.bot_token and not self.denied

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one call."""
        method, at = request.match_info["method"], time.monotonic()
        kind = request.content_type if request.can_read_body else ""
        arguments, token = await _arguments(request, method)
        fault = self._faults.find(method, arguments)
        if fault is not None and fault.how == "slow":
            await asyncio.sleep(fault.seconds)
        answer = self._answer(method, arguments, token, fault)
        is_cut = fault is not None and fault.how in ("reset_before", "reset_after", "stall")
        told = answer.body if isinstance(answer.body, dict) else {}
        status = 0 if is_cut else answer.status
        self._remember(Request(method, arguments, status, told, at, request.method, kind))
        if fault is not None and fault.how == "stall":
            return await stalled(request)
        if is_cut:
            return cut(request)
        body = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
        if fault is not None and fault.how == "slow_body":
            return await slowly(request, answer.headers, body, fault.seconds)
        return web.Response(status=answer.status, body=body, headers=answer.headers)

    def _answer(self, method: str, arguments: Mapping[str, Any], token: str, fault: Fault | None) -> _Answer:
        headers = {"Content-Type": JSON, "X-OAuth-Scopes": ",".join(sorted(self._world.scopes))}
        if fault is not None and fault.how in ("error", "status", "reset_before"):
            if fault.how == "error":
                return _Answer(200, {"ok": False, "error": fault.error, **fault.more}, headers)
            return _Answer(fault.status, fault.body, {"Content-Type": "text/html"})
        if fault is not None and fault.how == "limited":
            self._limits.shut(method, fault.seconds)
        wait = self._limits.wait(method, str(arguments.get("channel", "")))
        if wait:
            limited = {"ok": False, "error": "ratelimited"}
            return _Answer(429, limited, {"Content-Type": JSON, "Retry-After": str(wait)})
        try:
            answer = {"ok": True, **self._call(method, arguments, token)}
        except Refused as exc:
            answer = {"ok": False, "error": exc.error, **exc.more}
        if fault is not None and fault.how == "garbled":
            return _Answer(200, fault.body, {"Content-Type": "text/html"})
        return _Answer(200, answer, headers)

    def _call(self, method: str, arguments: Mapping[str, Any], token: str) -> dict[str, Any]:
        """Raises Refused."""
        run = METHODS.get(method)
        if method != OPEN and (run is None or method in self.missing):
            raise Refused("unknown_method", req_method=method)
        if not token:
            raise Refused("not_authed")
        if self.denied:
            raise Refused(self.denied)
        if token != (self.app_token if method == OPEN else self.bot_token):
            other = token in (self.app_token, self.bot_token)
            raise Refused("not_allowed_token_type" if other else "invalid_auth")
        call = Call(self._world, method, arguments, self.base.removesuffix("api/"))
        if run is None:
            if self.connect is None:
                raise Refused("unknown_method", req_method=method)
            return self.connect(call)
        if (scope := SCOPES.get(method)) is not None:
            call.needs(scope)
        if method in self.refused:
            raise Refused(self.refused[method])
        return run(call)


async def _arguments(request: web.Request, method: str) -> tuple[dict[str, Any], str]:
    """The arguments of a call, and its token, which is not kept with them."""
    arguments: dict[str, Any] = dict(request.query)
    if request.method == "POST" and request.can_read_body:
        if request.content_type == "application/json":
            arguments |= _read(await request.read()) if method not in NO_JSON else {}
        else:
            arguments |= dict(await request.post())
    given = str(arguments.pop("token", ""))
    header = request.headers.get("Authorization", "")
    return arguments, header.removeprefix("Bearer ").strip() if header.startswith("Bearer ") else given


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
