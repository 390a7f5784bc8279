"""A connection that is open proves nothing: after a while without an event the channels themselves are looked at.

Slack has nothing that answers a question by an event. But what was said can be read: where there is something that
nobody has heard, the connections are deaf, and are made anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from adapters.slack.gaps import Gaps
from adapters.slack.timing import Timing
from agent.protocol.clock import Clock

MARGIN_SECONDS: Final = 5.0
"""What was said just now may still be under way."""

_log = logging.getLogger("roost.slack")


async def watch(
    gaps: Gaps, event_at: Callable[[], float], replace: Callable[[], None], timing: Timing, *, clock: Clock
) -> None:
    """Until cancelled. `event_at` is when Slack has last told of anything, on the steady clock."""
    looked = time.monotonic()
    while True:
        quiet = time.monotonic() - max(event_at(), looked)
        if quiet < timing.silence:
            await asyncio.sleep(timing.silence - quiet)
            continue
        since = clock() - int((quiet + MARGIN_SECONDS) * 1000)
        looked = time.monotonic()
        if await gaps.look(since):
            _log.warning("the connections to Slack are open and say nothing; they are made anew")
            replace()
