"""What goes wrong with Slack, told as adapters.base wants it. The one place where the library's errors are caught.

SendFailed                  see adapters.base
  x ChannelGone             there is no such channel or thread, or it is not for us to see
  x MessageGone             there is no such message
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from adapters.base import Absent, SendFailed

UNREACHED: Final = "Slack cannot be reached from this machine"
PAUSE: Final = "Slack asked for a pause"
PAUSE_SECONDS: Final = 30.0
"""Where Slack does not say for how long. Slack's documentation, Rate limits: it does, in Retry-After."""
LONGEST_PAUSE_SECONDS: Final = 3_600.0
UNAUTHORIZED_SECONDS: Final = 300.0
UNAUTHORIZED: Final = (
    "Slack does not take the bot's token: install the app to the workspace again (api.slack.com/apps, Install App), put"
    " the new token where [slack] says, and start Roost again."
)
RATE_LIMITED: Final = "ratelimited"
TOKEN_ERRORS: Final = frozenset(
    {
        "account_inactive",
        "app_uninstalled",
        "invalid_auth",
        "not_authed",
        "token_expired",
        "token_revoked",
    }
)
"""After these no call by the same token will ever work. Slack's documentation, the errors of auth.test."""
CHANNEL_ERRORS: Final = frozenset({"channel_not_found", "thread_not_found", "team_not_found"})
THREAD_ERRORS: Final = frozenset(
    {
        "cannot_reply_to_message",
        "restricted_action_non_threadable_channel",
        "restricted_action_thread_locked",
        "thread_not_found",
    }
)
"""Nothing can be said in the thread, while the channel may take it: what the thread begins with was deleted, too."""
MESSAGE_ERRORS: Final = frozenset({"message_not_found", "no_item_specified", "bad_timestamp"})
TROUBLE: Final = frozenset(
    {"fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org"}
)
"""Slack's own, told with status 200: whether it was taken is not known. Slack's documentation, any method."""
RIGHTS: Final = frozenset(
    {
        "access_denied",
        "accesslimited",
        "app_missing_action_url",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "team_access_not_granted",
    }
)
"""What an admin has to mend; whoever is refused so again and again looks like an attack."""
NOT_STREAMING: Final = frozenset(
    {"message_not_in_streaming_state", "message_not_owned_by_app", "stopped_by_user"}
)
"""A stream has ended already: by its age, by the stop button, by an earlier try."""
STREAMING: Final = frozenset({"streaming_state_conflict", "cant_delete_message"})
"""A message is not to be changed while it is streamed. Of the second, that is only one of its meanings."""

_INVITE: Final = "the bot is not in this channel; somebody there has to write `/invite @` and its name"
_ADMIN: Final = "an admin of the workspace does not let the bot write here; ask them to allow the app to post"
SENTENCES: Final[Mapping[str, str]] = {
    "not_in_channel": _INVITE,
    "channel_not_found": (
        "the channel is not there any more, or the bot is not in it; somebody there has to write `/invite @` and its"
        " name"
    ),
    "thread_not_found": "the thread is not there any more",
    "message_not_found": "the message is not there any more",
    "no_item_specified": "the message is not there any more",
    "is_archived": "the channel is archived; somebody has to unarchive it",
    "restricted_action": _ADMIN,
    "restricted_action_read_only_channel": "only some people may write in this channel; ask an admin to add the bot",
    "restricted_action_thread_only_channel": "in this channel the bot may only answer in threads; ask it in one",
    "restricted_action_thread_locked": "the thread is locked; an admin of the workspace has to unlock it",
    "restricted_action_non_threadable_channel": "this channel has no threads; set `threads = false` for it",
    "posting_to_channel_denied": _ADMIN,
    "cannot_reply_to_message": "Slack has no threads at this kind of message; ask again in a new one",
    "as_user_not_supported": _ADMIN,
    "msg_too_long": "the message is longer than Slack takes; ask for it in pieces or as a file",
    "no_text": "there is nothing in the message that Slack can show",
    "invalid_blocks": "Slack does not take the message as it is laid out",
    "metadata_too_large": "Slack does not take the message with what Roost notes on it",
    "too_many_attachments": "there is more in the message than Slack takes; ask for it in pieces",
    "file_upload_size_restricted": "the file is larger than this workspace takes; ask for a smaller one",
    "file_uploads_disabled": "this workspace takes no files; an admin has to allow them",
    "file_uploads_except_images_disabled": "this workspace takes no files but pictures; an admin has to allow them",
    "storage_limit_reached": "the workspace has no room for files any more; an admin has to make some",
    "user_not_found": "Slack does not know this person any more",
    "user_not_visible": "this is nobody whom the bot may see",
    "user_disabled": "this person's account is deactivated",
    "user_is_restricted": "this person is a guest whom the bot may not write to; ask an admin",
    "cannot_dm_bot": "one bot cannot write to another one in a direct message",
    "cant_dm_bot": "one bot cannot write to another one in a direct message",
    "messages_tab_disabled": (
        "the app takes no direct messages: turn on the Messages tab (api.slack.com/apps, App Home), or make the app"
        " anew by `roost slack manifest`"
    ),
    "edit_window_closed": "this workspace lets nobody change a message that is so old",
    "cant_update_message": "the message is not the bot's to change",
    "cant_delete_message": "the message is not the bot's to take away",
    "invalid_name": "this is no emoji that this workspace has",
    "too_many_emoji": "there are as many emoji on this message as Slack takes",
    "too_many_reactions": "there are as many emoji on this message as Slack takes",
    "ekm_access_denied": "the workspace's admins have suspended what is said here",
    "team_access_not_granted": "the app is not allowed in this workspace; an admin of the organisation has to add it",
    "access_denied": "an admin of the workspace does not let the app do this; `roost slack check` says more",
    "not_allowed_token_type": (
        "the token is not a bot's; take the one that begins with xoxb- (OAuth & Permissions) for [slack]"
    ),
    "two_factor_setup_required": "the workspace wants a second factor to be set up; an admin has to do so",
}
"""What people are told, by Slack's own name of the error."""


class ChannelGone(SendFailed):
    """Raised when there is no such channel or thread."""


class MessageGone(SendFailed):
    """Raised when there is no such message."""


def error_of(exc: BaseException | None) -> str:
    """Slack's own name of an error behind a SendFailed, such as "not_in_channel"; "" where there is none."""
    cause = exc if isinstance(exc, SlackApiError) else getattr(exc, "__cause__", None)
    return _error(cause) if isinstance(cause, SlackApiError) else ""


def is_ambiguous(exc: SendFailed) -> bool:
    """Whether nobody knows what has become of the call."""
    return exc.retry_after == 0


@contextmanager
def translated() -> Iterator[None]:
    """What the library raises inside rises as SendFailed."""
    try:
        yield
    except SlackApiError as exc:
        raise refusal(exc) from exc
    except aiohttp.ClientConnectorError as exc:
        # Nothing has left this machine: the next connection says when to try again.
        raise Absent(UNREACHED) from exc
    except (TimeoutError, SlackClientError, aiohttp.ClientError, OSError) as exc:
        # Nobody knows whether it was taken.
        raise SendFailed(f"Slack cannot be reached ({type(exc).__name__})", retry_after=0) from exc


def refusal(exc: SlackApiError) -> SendFailed:
    """What an answer of Slack's means."""
    error, status = _error(exc), status_of(exc)
    if error == RATE_LIMITED or status == 429:
        return SendFailed(PAUSE, retry_after=_pause(exc))
    if error in TOKEN_ERRORS or status == 401:
        return SendFailed(UNAUTHORIZED, retry_after=UNAUTHORIZED_SECONDS, everywhere=True)
    if status >= 500 or error in TROUBLE or not error:
        return SendFailed(f"Slack is in trouble ({error or status})", retry_after=0)
    said = _said(exc, error)
    if error in CHANNEL_ERRORS:
        return ChannelGone(said, retry_after=None)
    if error in MESSAGE_ERRORS:
        return MessageGone(said, retry_after=None)
    return SendFailed(said, retry_after=None)


def status_of(exc: BaseException | None) -> int:
    """The HTTP status behind an error; 0 where there is none."""
    cause = exc if isinstance(exc, SlackApiError) else getattr(exc, "__cause__", None)
    if not isinstance(cause, SlackApiError):
        return 0
    # The library passes its own kind of response on, or that of aiohttp where the body was no JSON.
    response: Any = cause.response
    return int(getattr(response, "status_code", 0) or getattr(response, "status", 0) or 0)


def _said(exc: SlackApiError, error: str) -> str:
    if error == "missing_scope":
        needed = _field(exc, "needed") or "one"
        return f"the app lacks the scope {needed}; `roost slack check` says how to add it"
    return SENTENCES.get(error) or f"Slack refused it: {error}"


def _error(exc: SlackApiError) -> str:
    return _field(exc, "error")


def _field(exc: SlackApiError, name: str) -> str:
    data = getattr(exc.response, "data", exc.response)
    value = data.get(name) if isinstance(data, Mapping) else None
    return value if isinstance(value, str) else ""


def _pause(exc: SlackApiError) -> float:
    headers = getattr(exc.response, "headers", None) or {}
    try:
        seconds = float(headers.get("Retry-After", ""))
    except ValueError:
        return PAUSE_SECONDS
    return min(max(seconds, 1.0), LONGEST_PAUSE_SECONDS) if seconds == seconds else PAUSE_SECONDS
