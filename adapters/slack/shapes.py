"""Shapes: whether something that was delivered is what it says it is, before anybody reads it. Pure.

Slack sends nothing else. But the library breaks at a field of another type as we would, and what nobody can deal with
is better acknowledged than delivered again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from adapters.slack import ids

MAPPINGS: Final = ("channel", "container", "event", "message", "state", "team", "user", "view")
"""Each may be missing. Slack's documentation, Events API, and Interaction payloads."""
TEXTS: Final = (
    "action_id", "api_app_id", "block_id", "callback_id", "channel_id", "command", "event_id", "message_ts",
    "response_url", "team_id", "text", "trigger_id", "type", "user_id", "value",
)  # fmt: skip
RENAMED: Final = ("channel_rename", "group_rename")
"""Events whose channel is not an id alone: it has a name as well."""
LISTS: Final = ("actions", "authorizations")
"""Of mappings."""


def is_whole(body: object) -> bool:
    """Whether the fields of what was delivered are of their types, as far as anything is decided by them."""
    if not isinstance(body, Mapping):
        return False
    known = (
        all(body.get(name) is None or isinstance(body[name], Mapping) for name in MAPPINGS)
        and all(body.get(name) is None or isinstance(body[name], str) for name in TEXTS)
        and all(body.get(name) is None or _are_mappings(body[name]) for name in LISTS)
    )
    return known and _is_whole_inside(body)


def is_told(event: object) -> bool:
    """Whether an event, or a message out of a history, is made of what it has to be, as far as it is read."""
    if not isinstance(event, Mapping):
        return False
    if event.get("type") in RENAMED and isinstance(event.get("channel"), Mapping):
        event = {**event, "channel": event["channel"].get("id")}
    return all(
        is_right(event[name])
        for is_right, names in _OF_EVENT
        for name in names
        if event.get(name) not in (None, "")
    )


def is_for(body: Mapping[str, Any], team: str) -> bool:
    """Whether an event is for the app as it is installed in this workspace: `team_id` is no sign of that, as in a
    shared channel it is another one. Slack's documentation, Events API, Event type structure, authorizations."""
    given = body.get("authorizations") or ()
    return not given or any(
        each.get("team_id") in (team, None) or each.get("is_enterprise_install") for each in given
    )


def _is_whole_inside(body: Mapping[str, Any]) -> bool:
    event, view = body.get("event"), body.get("view")
    if body.get("type") == "event_callback":
        return isinstance(event, Mapping) and isinstance(event.get("type"), str)
    if body.get("type") in ("block_actions", "message_action"):
        message = body.get("message")
        return all(_is_pressed(each) for each in body.get("actions") or ()) and (
            message is None or _are_mappings(message.get("blocks") or ())
        )
    if body.get("type") == "block_suggestion" and not isinstance(body.get("action_id"), str):
        return False
    return not isinstance(view, Mapping) or _is_view(view)


def _is_pressed(action: Mapping[str, Any]) -> bool:
    chosen = action.get("selected_option")
    return (
        isinstance(action.get("action_id", ""), str)
        and (
            chosen is None or (isinstance(chosen, Mapping) and isinstance(chosen.get("text") or {}, Mapping))
        )
        and isinstance(action.get("text") or {}, Mapping)
    )


def _is_view(view: Mapping[str, Any]) -> bool:
    """A form: what was entered lies three deep."""
    state = view.get("state") or {}
    values = state.get("values") or {} if isinstance(state, Mapping) else None
    return (
        isinstance(values, Mapping)
        and all(isinstance(block, Mapping) for block in values.values())
        and all(isinstance(field, Mapping) for block in values.values() for field in block.values())
    )


def _are_mappings(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(isinstance(each, Mapping) for each in value)
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and ids.is_id(value)


def _is_ts(value: object) -> bool:
    return isinstance(value, str) and ids.is_ts(value)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _are_texts(value: object) -> bool:
    return isinstance(value, Sequence) and all(isinstance(each, str) for each in value)


def _are_attachments(value: Any) -> bool:
    return _are_mappings(value) and all(
        _are_mappings(each.get(name) or ()) for each in value for name in ("files", "fields")
    )


_OF_EVENT: Final[Sequence[tuple[Callable[[Any], bool], Sequence[str]]]] = (
    (_is_text, ("type", "subtype", "text", "username", "reaction", "tab", "user_team", "team")),
    (_is_id, ("channel", "user", "item_user", "bot_id", "subteam_id")),
    (_is_ts, ("ts", "event_ts", "thread_ts", "deleted_ts")),
    (is_told, ("message", "previous_message", "edited", "item")),
    (_is_mapping, ("bot_profile", "subteam")),
    (_are_mappings, ("files",)),
    (_are_attachments, ("attachments",)),
    (_are_texts, ("streaming_message_ts", "added_users", "removed_users")),
)
"""What the fields that are read have to be; each may be missing. Slack's documentation, message event, and those of the
others."""
