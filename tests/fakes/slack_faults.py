"""What goes wrong on purpose in the fake Slack: faults that a test orders for the next calls of a method."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from aiohttp import web

LOOK_SECONDS: Final = 0.02
"""How often a stalled answer looks whether its client is still there."""

How = Literal[
    "error", "status", "limited", "reset_before", "reset_after", "slow", "slow_body", "stall", "garbled"
]
"""error: Slack's answer is that `error`. status: the answer is `status`, and not Slack's own. limited: 429, for so many
`seconds` for every call of the method. None of these does anything. reset_before: the connection is cut, and nothing is
done. reset_after: it is done, and the connection is cut. slow: it is done after `seconds`. slow_body: it is done, and
the second half of the answer takes `seconds`. stall: it is done, and no answer comes. garbled: it is done, and the
answer is no JSON."""


@dataclass
class Fault:
    """A fault for calls of a method, or of all that a pattern fits ("chat.*"); "upload" and "download" are those of
    files. The first `after` go well, the next `times` do not; `where` are arguments that a call must have to be one.
    `more` is what else the refusal tells."""

    method: str
    how: How
    error: str = "internal_error"
    status: int = 500
    times: int = 1
    after: int = 0
    seconds: float = 0.0
    more: Mapping[str, Any] = field(default_factory=dict)
    where: Mapping[str, Any] = field(default_factory=dict)
    body: str = "<html><body>upstream connect error</body></html>"
    met: int = 0
    """How many calls it has hit."""

    def strikes(self, method: str, arguments: Mapping[str, Any]) -> bool:
        """Whether this call is one of them; it is counted."""
        if self.met >= self.times or not fnmatchcase(method, self.method):
            return False
        if any(arguments.get(name) != value for name, value in self.where.items()):
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

    def find(self, method: str, arguments: Mapping[str, Any]) -> Fault | None:
        """The fault that hits this call."""
        return next((each for each in self._ordered if each.strikes(method, arguments)), None)

    def clear(self) -> None:
        """Nothing goes wrong on purpose any more."""
        self._ordered.clear()


def cut(request: web.Request) -> web.Response:
    """Resets the connection. What is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def stalled(request: web.Request) -> web.Response:
    """No answer, until the client hangs up or the server is stopped."""
    # Nothing tells a handler that its client has gone, unless all handlers are cancelled then.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_SECONDS)
    return cut(request)


async def slowly(
    request: web.Request, headers: Mapping[str, str], body: bytes, seconds: float
) -> web.StreamResponse:
    """The two halves of an answer, with so long between them."""
    response = web.StreamResponse(headers={**headers, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    await asyncio.sleep(seconds)
    await response.write(body[len(body) // 2 :])
    return response
