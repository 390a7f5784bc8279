"""What can go wrong with Claude, told apart, and in words for whoever waits for an answer.

ProviderError
  x UnknownConversation       the continuation is of a conversation that is not there any more
"""

from __future__ import annotations

import re
from typing import Final

from claude_agent_sdk import CLINotFoundError, ResultError, ResultMessage

from agent.providers.base import Error, ErrorClass, ProviderError

NO_KEY: Final = "The bot's model key is missing; an admin was told."
BAD_KEY: Final = "The bot's model key is not accepted; an admin was told."
NO_CREDIT: Final = "The bot's account with the model's provider has no credit; an admin was told."
NO_CLI: Final = "The Claude CLI is missing from this installation; an admin was told."
OVER_BUDGET: Final = "(I stopped here: this turn has used up its budget.)"
TOO_LONG: Final = "(I stopped here: this turn has taken as many steps as it may.)"
QUOTA: Final = "The model takes no more requests from this bot at the moment; please ask again later."
OVERLOADED: Final = "The model is overloaded at the moment; please ask again later."
NETWORK: Final = "The model cannot be reached at the moment; please ask again later."
ENDED: Final = "The Claude CLI ended unexpectedly; please ask again."
SLOW_START: Final = "The Claude CLI did not start in time; please ask again."
BUDGET: Final = re.compile(
    r"The budget of (?:today|this month) for .{1,60} is used up \(\$[\d,.]+\); .{1,80}?\."
)
"""What the gateway says once its limits are reached."""
REFUSED: Final = "The model did not take this: {reason}"
MAX_REASON_CHARS: Final = 300

_GONE: Final = re.compile(r"No conversation found with session ID")
_UNREACHED: Final = re.compile(r"[Cc]onnect|ECONN|ENOTFOUND|timed out|fetch failed|network|socket")
_TEXTS: Final[dict[ErrorClass, str]] = {
    "quota": QUOTA,
    "overloaded": OVERLOADED,
    "network": NETWORK,
}


class UnknownConversation(ProviderError):
    """Raised when a query is to resume what the CLI has no transcript of."""


def of_result(result: ResultMessage, said: str, error: str | None) -> Error:
    """Of a turn that ended badly. `said` is what was written of the answer, `error` the class that the CLI gave the
    failure."""
    if result.subtype == "error_max_budget_usd":
        return Error(f"{said}\n\n{OVER_BUDGET}".strip(), classification="budget")
    if result.subtype == "error_max_turns":
        return Error(f"{said}\n\n{TOO_LONG}".strip(), classification="budget")
    reason = result.result or "; ".join(result.errors or ()) or result.subtype
    return of_failure(result.api_error_status, error, reason)


def of_failure(status: int | None, error: str | None, reason: str) -> Error:
    """Of a request that the model's server refused, or that never reached it."""
    if budget := BUDGET.search(reason):
        return Error(f"(I stopped here: {budget[0][0].lower()}{budget[0][1:-1]}.)", classification="budget")
    classification = classify(status, error, reason)
    if classification == "auth":
        missing = "Not logged in" in reason
        return Error(
            NO_KEY if missing else BAD_KEY, classification="auth", report="the model key is not accepted"
        )
    if error == "billing_error" or "credit balance" in reason:
        return Error(NO_CREDIT, classification="quota", report="the model account has no credit")
    if classification == "invalid_session":
        return Error(reason[:MAX_REASON_CHARS], classification=classification)
    if text := _TEXTS.get(classification):
        return Error(text, retryable=True, classification=classification)
    return Error(REFUSED.format(reason=reason[:MAX_REASON_CHARS]))


def classify(status: int | None, error: str | None, reason: str) -> ErrorClass:
    """By the HTTP status where there is one ("Errors" of the API's reference), else by the CLI's own words."""
    if _GONE.search(reason):
        return "invalid_session"
    if status in (401, 403) or error in ("authentication_failed", "oauth_org_not_allowed"):
        return "auth"
    if status == 429 or error in ("rate_limit", "billing_error"):
        return "quota"
    if status is None and _UNREACHED.search(reason):
        return "network"
    if (status is not None and status >= 500) or error in ("overloaded", "server_error"):
        return "overloaded"
    return "unknown"


def of_exception(exc: BaseException, stderr: str) -> Error | ProviderError:
    """Of the CLI itself: it is not there, or it is not any more."""
    if isinstance(exc, CLINotFoundError):
        return Error(NO_CLI, report="the Claude CLI is missing")
    if isinstance(exc, ResultError) and exc.errors and _GONE.search("; ".join(exc.errors)):
        return UnknownConversation("; ".join(exc.errors))
    if _GONE.search(f"{exc}\n{stderr}"):
        return UnknownConversation("The conversation is not there any more.")
    if isinstance(exc, TimeoutError):
        return Error(SLOW_START, retryable=True)
    return Error(ENDED, retryable=True)
