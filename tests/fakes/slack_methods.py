"""The fake Slack's methods about messages (chat.*, but for streams). Each is given a Call, and raises Refused."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.fakes import slack_blocks as blocks
from tests.fakes.slack_calls import Call, Methods
from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_things import Message, Place

TEXT_CHARS: Final = 40_000
METADATA_BYTES: Final = 16_000


def post_message(call: Call) -> dict[str, Any]:
    """chat.postMessage."""
    place = call.place()
    call.writes_in(place)
    message = draft(call, place)
    message.is_broadcast = message.thread is not None and call.flag("reply_broadcast")
    call.world.post(message)
    return {"channel": place.id, "ts": message.ts, "message": message.told(metadata=True)}


def post_ephemeral(call: Call) -> dict[str, Any]:
    """chat.postEphemeral: nobody is told of it, and no history has it."""
    place = call.place()
    call.writes_in(place)
    user = call.world.users.get(call.needed("user"))
    if user is None or user not in place.members:
        raise Refused("user_not_in_channel")
    if len(call.text("text")) > TEXT_CHARS:
        raise Refused("msg_too_long")
    message = draft(call, place)
    message.only_for, message.metadata = user, None
    message.edits.append((call.world.clock(), message.shown))
    place.ephemeral.append(message)
    call.world.changed()
    return {"message_ts": message.ts}


def draft(call: Call, place: Place) -> Message:
    """A message as the arguments have it, checked. Raises Refused."""
    text, shown = _words(call)
    if not text.strip() and not shown and not call.json("attachments"):
        raise Refused("no_text")
    blocks.check(shown)
    thread = call.thread(place)
    if thread is not None and thread.is_gone:
        raise Refused("cannot_reply_to_message")
    # "Slack will truncate messages containing more than 40,000 characters." (chat.postMessage)
    message = Message(place, call.world.ts(), call.world.bot, text[:TEXT_CHARS], thread=thread)
    message.blocks = blocks.numbered(shown, f"b{message.ts[-6:]}")
    message.attachments = call.json("attachments") or []
    message.metadata = metadata(call)
    message.unfurls = call.flag("unfurl_links", True) or call.flag("unfurl_media", True)
    return message


def metadata(call: Call) -> dict[str, Any] | None:
    """What the app has put on a message for itself; {} where it takes that away. Raises Refused."""
    given = call.json("metadata", "invalid_metadata_format")
    if given is None:
        return None
    if given == {}:
        return {}
    if not isinstance(given, dict) or set(given) != {"event_type", "event_payload"}:
        raise Refused("invalid_metadata_format")
    if not isinstance(given["event_type"], str) or not isinstance(given["event_payload"], dict):
        raise Refused("invalid_metadata_format")
    if len(json.dumps(given)) > METADATA_BYTES:
        raise Refused("metadata_too_large")
    return given


def update(call: Call) -> dict[str, Any]:
    """chat.update: blocks go where none are given, metadata stays."""
    place = call.place(people=False)
    call.writes_in(place, archived="is_inactive")
    message = call.own(place, "cant_update_message")
    if message.streaming:
        raise Refused("streaming_state_conflict")
    text, shown = _words(call)
    if not text.strip() and not shown and not call.json("attachments"):
        raise Refused("no_text")
    if len(text) > TEXT_CHARS:
        raise Refused("msg_too_long")
    blocks.check(shown)
    found = metadata(call)
    before = message.told(metadata=True)
    message.text, message.blocks = text, blocks.numbered(shown, f"b{message.ts[-6:]}")
    if found is not None:
        message.metadata = found or None
    call.world.rewrite(message, before)
    return {
        "channel": place.id,
        "ts": message.ts,
        "text": message.text,
        "message": message.told(metadata=True),
    }


def delete(call: Call) -> dict[str, Any]:
    """chat.delete."""
    place = call.place(people=False)
    message = call.own(place, "cant_delete_message")
    call.world.remove(message)
    return {"channel": place.id, "ts": message.ts}


def _words(call: Call) -> tuple[str, list[dict[str, Any]]]:
    """The text and the blocks of a message; `markdown_text` stands for both."""
    text, shown = call.text("text"), blocks.read(call.given("blocks"))
    markdown = call.text("markdown_text")
    if not markdown:
        return text, shown
    if text or shown:
        raise Refused("markdown_text_conflict")
    return markdown, [{"type": "markdown", "text": markdown}]


METHODS: Final[Methods] = {
    "chat.postMessage": post_message,
    "chat.postEphemeral": post_ephemeral,
    "chat.update": update,
    "chat.delete": delete,
}
