"""Logging in: who the bot is, and what keeps it from working, told to the operator and tried again with patience."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from adapters.base import NoSecret, NotSaved, SendFailed
from adapters.slack.errors import error_of
from adapters.slack.normalize import Me
from adapters.slack.web import Web

LASTING: Final = frozenset(
    {
        "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope",
        "not_allowed_token_type", "no_permission", "org_login_required", "ekm_access_denied", "link_disabled",
        "access_denied", "team_access_not_granted",
    }
)  # fmt: skip
"""Errors that only an operator can mend. Slack's documentation, auth.test and apps.connections.open."""
UNSAVED: Final = (
    "what the connection to Slack has to remember cannot be read or kept: bot.db does not work now."
)
UNREACHABLE: Final = "Slack cannot be reached ({reason}); it is tried again and again."
NO_PORT: Final = "[slack] listen: {reason}; another program may have this port."

_log = logging.getLogger("roost.slack")


class NoPort(Exception):
    """Raised when nothing can listen where the configuration says; the text is one sentence for the operator."""


async def who_am_i(web: Web) -> Me:
    """Raises SendFailed."""
    told = await web.call("auth.test")
    user, bot, team = (str(told.get(key) or "") for key in ("user_id", "bot_id", "team_id"))
    return Me(user, bot, team, str(told.get("user") or "the bot"), str(told.get("url") or ""))


async def outcome(connect: Callable[[], Awaitable[None]]) -> tuple[str | None, bool]:
    """What has ended a connection, for the operator, and whether only the operator can mend it."""
    try:
        await connect()
    except SendFailed as exc:
        _log.warning("the connection to Slack has ended: %s", exc)
        return sentence(exc), is_lasting(exc)
    except (NoSecret, NoPort) as exc:
        return str(exc), True
    except NotSaved:
        return UNSAVED, False
    except (aiohttp.ClientError, OSError) as exc:
        reason = str(exc) or type(exc).__name__
        _log.warning("the connection to Slack has ended: %s", reason)
        return UNREACHABLE.format(reason=reason), False
    return None, False


def is_lasting(exc: SendFailed) -> bool:
    """Whether only an operator can mend it."""
    return error_of(exc) in LASTING or exc.retry_after is None


def sentence(exc: SendFailed) -> str:
    """For the operator: what Slack says of itself begins a sentence."""
    text = str(exc)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
