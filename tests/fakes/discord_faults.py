"""What goes wrong on purpose: faults that a test orders for the next requests of a kind."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiohttp import web

from tests.fakes.discord_limits import Scope

LOOK_SECONDS: Final = 0.02
"""How often a stalled answer looks whether its client is still there."""

How = Literal["status", "reset_before", "reset_after", "slow", "stall", "larger"]
"""status: the answer is `status`, and nothing is done. reset_before: the connection is cut, and nothing is done.
reset_after: it is done, and the connection is cut. slow: it is done after `seconds`. stall: it is done, and half an
answer goes out, never the rest. larger: a file is longer than was promised."""


@dataclass
class Fault:
    """A fault for requests of a method whose path, without /api/v10, the pattern is found in: the first `after` go
    well, the next `times` do not. A client of aiohttp's asks by itself once more after a reset, where the method is
    idempotent and the connection was used before. `scope` is that of a 429; a `body` that is a text is sent as HTML."""

    method: str
    path: re.Pattern[str]
    how: How
    status: int = 500
    times: int = 1
    after: int = 0
    seconds: float = 0.0
    retry_after: float | None = None
    body: Any = None
    scope: Scope = "user"
    met: int = 0
    """How many requests it has hit."""

    def strikes(self, method: str, path: str) -> bool:
        """Whether this request is one of them; it is counted."""
        if method != self.method or self.path.search(path) is None or self.met >= self.times:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.met += 1
        return True


class Faults:
    """The faults that are ordered."""

    def __init__(self) -> None:
        self._ordered: list[Fault] = []

    def order(self, fault: Fault) -> Fault:
        """This one happens, too. Where several fit, the oldest does."""
        self._ordered.append(fault)
        return fault

    def find(self, method: str, path: str) -> Fault | None:
        """The fault that hits this request."""
        return next((each for each in self._ordered if each.strikes(method, path)), None)


def cut(request: web.Request) -> web.Response:
    """Resets the connection. What is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def stall(request: web.Request, *, headers: dict[str, str], body: bytes) -> web.StreamResponse:
    """Begins to answer, and never ends; until the client hangs up or the server is stopped."""
    response = web.StreamResponse(headers={**headers, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    # Nothing tells a handler that its client has gone, unless all handlers are cancelled then.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_SECONDS)
    return response
