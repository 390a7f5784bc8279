"""The fake Slack's methods about messages, places, people and reactions. Each is given a Call, and raises Refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.fakes import slack_blocks as blocks
from tests.fakes.slack_calls import Call, Methods, cursor_page
from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_things import Kind, Message, Place
from tests.fakes.slack_world import HISTORY

TEXT_CHARS: Final = 40_000
METADATA_BYTES: Final = 16_000
READS: Final[Mapping[Kind, str]] = {
    "channel": "channels:read",
    "private": "groups:read",
    "im": "im:read",
    "mpim": "mpim:read",
}
BY_NAME: Final[Mapping[str, Kind]] = {
    "public_channel": "channel",
    "private_channel": "private",
    "im": "im",
    "mpim": "mpim",
}


def auth_test(call: Call) -> dict[str, Any]:
    world = call.world
    return {
        "url": "https://lab.slack.com/",
        "team": "Lab",
        "user": world.bot.name,
        "team_id": world.team,
        "user_id": world.bot.id,
        "bot_id": world.bot.bot_id,
        "is_enterprise_install": False,
    }


def post_message(call: Call) -> dict[str, Any]:
    place = call.place()
    call.writes_in(place)
    message = draft(call, place)
    call.world.post(message)
    return {"channel": place.id, "ts": message.ts, "message": message.told(metadata=True)}


def post_ephemeral(call: Call) -> dict[str, Any]:
    place = call.place()
    call.writes_in(place)
    user = call.world.users.get(call.text("user"))
    if user is None or user not in place.members:
        raise Refused("user_not_in_channel")
    message = draft(call, place)
    message.only_for = user
    place.ephemeral.append(message)
    call.world.changed()
    return {"message_ts": message.ts}


def draft(call: Call, place: Place) -> Message:
    """A message as the arguments have it, checked."""
    text, shown = call.text("text"), blocks.read(call.given("blocks"))
    if call.given("markdown_text"):
        shown = [{"type": "markdown", "text": call.text("markdown_text")}]
    if not text.strip() and not shown and not call.given("attachments"):
        raise Refused("no_text")
    if len(text) > TEXT_CHARS:
        raise Refused("msg_too_long")
    blocks.check(shown)
    thread = None
    if ts := call.text("thread_ts"):
        thread = place.find(ts)
        if thread is None:
            raise Refused("thread_not_found")
        thread = thread.thread or thread
    message = Message(place, call.world.ts(), call.world.bot, text, shown, thread)
    message.metadata = metadata(call)
    message.unfurls = bool(call.given("unfurl_links", True)) or bool(call.given("unfurl_media", True))
    return message


def metadata(call: Call) -> dict[str, Any] | None:
    """What the app has put on a message for itself."""
    given = call.given("metadata")
    if isinstance(given, str):
        given = json.loads(given)
    if given is None:
        return None
    if not isinstance(given, dict) or set(given) != {"event_type", "event_payload"}:
        raise Refused("invalid_metadata_format")
    if len(json.dumps(given)) > METADATA_BYTES:
        raise Refused("metadata_too_large")
    return given


def update(call: Call) -> dict[str, Any]:
    place = call.place()
    message = own(call, place, "cant_update_message")
    if message.streaming:
        raise Refused("streaming_state_conflict")
    call.writes_in(place)
    text, shown = call.text("text"), blocks.read(call.given("blocks"))
    if not text.strip() and not shown:
        raise Refused("no_text")
    if len(text) > TEXT_CHARS:
        raise Refused("msg_too_long")
    blocks.check(shown)
    before = message.told()
    message.text, message.blocks = text, shown
    if (found := metadata(call)) is not None:
        message.metadata = found
    call.world.rewrite(message, before)
    return {"channel": place.id, "ts": message.ts, "text": message.text}


def delete(call: Call) -> dict[str, Any]:
    place = call.place()
    message = own(call, place, "cant_delete_message")
    call.world.remove(message)
    return {"channel": place.id, "ts": message.ts}


def own(call: Call, place: Place, error: str) -> Message:
    """The bot's message of the argument ts."""
    message = place.find(call.text("ts"))
    if message is None or message.is_gone:
        raise Refused("message_not_found")
    if message.user is not call.world.bot:
        raise Refused(error)
    return message


def history(call: Call) -> dict[str, Any]:
    place = call.place()
    call.needs(HISTORY[place.kind])
    call.reads(place)
    found = [each for each in reversed(place.messages) if _within(call, each)]
    page, cursor = cursor_page(call, found, 100)
    wants = bool(call.given("include_all_metadata"))
    return {
        "messages": [each.told(metadata=wants) for each in page],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


def replies(call: Call) -> dict[str, Any]:
    place = call.place()
    call.needs(HISTORY[place.kind])
    call.reads(place)
    root = place.find(call.text("ts"))
    if root is None:
        raise Refused("thread_not_found")
    root = root.thread or root
    found = [root, *(each for each in root.replies if _within(call, each))]
    page, cursor = cursor_page(call, found, 1_000)
    if root not in page:
        page = [root, *page]
    wants = bool(call.given("include_all_metadata"))
    return {
        "messages": [each.told(metadata=wants) for each in page],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


def _within(call: Call, message: Message) -> bool:
    oldest, latest = call.text("oldest") or "0", call.text("latest") or "99999999999"
    inclusive = bool(call.given("inclusive"))
    at = float(message.ts)
    return (float(oldest) < at or (inclusive and float(oldest) == at)) and (
        at < float(latest) or (inclusive and float(latest) == at)
    )


def info(call: Call) -> dict[str, Any]:
    place = call.place()
    call.needs(READS[place.kind])
    return {"channel": place.told()}


def conversations(call: Call) -> dict[str, Any]:
    kinds = [BY_NAME[each.strip()] for each in (call.text("types") or "public_channel").split(",")]
    for kind in kinds:
        call.needs(READS[kind])
    hides = bool(call.given("exclude_archived"))
    found = [
        each
        for each in call.world.places.values()
        if each.kind in kinds
        and call.world.bot in each.members
        and not each.is_gone
        and not (hides and each.is_archived)
    ]
    page, cursor = cursor_page(call, found, 100)
    return {"channels": [each.told() for each in page], "response_metadata": {"next_cursor": cursor}}


def user_info(call: Call) -> dict[str, Any]:
    user = call.world.users.get(call.text("user"))
    if user is None:
        raise Refused("user_not_found")
    return {"user": user.told()}


def react(call: Call) -> dict[str, Any]:
    message, name = _reacted(call)
    if call.world.bot in message.reactions.get(name, ()):
        raise Refused("already_reacted")
    call.world.react(message, call.world.bot, name, on=True)
    return {}


def unreact(call: Call) -> dict[str, Any]:
    message, name = _reacted(call)
    if call.world.bot not in message.reactions.get(name, ()):
        raise Refused("no_reaction")
    call.world.react(message, call.world.bot, name, on=False)
    return {}


def _reacted(call: Call) -> tuple[Message, str]:
    place, name = call.place(), call.text("name")
    if not name.replace("_", "").replace("-", "").replace("+", "").isalnum() or not name.islower():
        raise Refused("invalid_name")
    call.reads(place)
    if place.is_archived:
        raise Refused("is_archived")
    message = place.find(call.text("timestamp"))
    if message is None:
        raise Refused("message_not_found")
    return message, name


METHODS: Final[Methods] = {
    "auth.test": auth_test,
    "chat.postMessage": post_message,
    "chat.postEphemeral": post_ephemeral,
    "chat.update": update,
    "chat.delete": delete,
    "conversations.history": history,
    "conversations.replies": replies,
    "conversations.info": info,
    "users.conversations": conversations,
    "users.info": user_info,
    "reactions.add": react,
    "reactions.remove": unreact,
}
