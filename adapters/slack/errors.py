"""What goes wrong with Slack, told as adapters.base wants it. The one place where the library's errors are caught.

SendFailed                  see adapters.base
  x ChannelGone             there is no such channel or thread, or it is not for us to see
  x MessageGone             there is no such message
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from adapters.base import Absent, SendFailed

UNREACHED: Final = "Slack cannot be reached from this machine"


class ChannelGone(SendFailed):
    """Raised when there is no such channel or thread."""


class MessageGone(SendFailed):
    """Raised when there is no such message."""


def error_of(exc: BaseException | None) -> str:
    """Slack's own name of an error behind a SendFailed, such as "not_in_channel"; "" where there is none."""
    cause = exc if isinstance(exc, SlackApiError) else getattr(exc, "__cause__", None)
    return str(cause.response.get("error", "")) if isinstance(cause, SlackApiError) else ""


@contextmanager
def translated() -> Iterator[None]:
    """What the library raises inside rises as SendFailed."""
    try:
        yield
    except SlackApiError as exc:
        raise SendFailed(f"Slack refused it: {error_of(exc)}", retry_after=None) from exc
    except aiohttp.ClientConnectorError as exc:
        # Nothing has left this machine: the next connection says when to try again.
        raise Absent(UNREACHED) from exc
    except (TimeoutError, SlackClientError, aiohttp.ClientError, OSError) as exc:
        # Nobody knows whether it was taken.
        raise SendFailed(f"Slack cannot be reached ({type(exc).__name__})", retry_after=0) from exc
