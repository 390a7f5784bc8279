"""The fake Slack's methods for messages that grow while they are read. Each is given a Call, and raises Refused.

A stream is over some time after it began, whatever is added to it, and when nothing was added for a while: Slack's
documentation does not say so, but apps meet it.
"""

from __future__ import annotations

from typing import Any, Final

from tests.fakes import slack_blocks as blocks
from tests.fakes.slack_calls import Call, Methods
from tests.fakes.slack_methods import metadata
from tests.fakes.slack_methods_agents import STATES, enter
from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_things import Message

MARKDOWN_CHARS: Final = 12_000
STREAM_CHARS: Final = 40_000


def start(call: Call) -> dict[str, Any]:
    """chat.startStream: a reply, and in a channel one to somebody who is named."""
    place = call.place(people=False)
    call.writes_in(place)
    call.needed("thread_ts")
    thread = call.thread(place)
    if place.kind != "im":
        for key in ("recipient_team_id", "recipient_user_id"):
            if not call.text(key):
                raise Refused(f"missing_{key}")
    user = call.world.users.get(call.text("recipient_user_id"))
    if call.text("recipient_user_id") and user is None:
        raise Refused("user_not_found")
    if user is not None and call.text("recipient_team_id") not in ("", user.team):
        raise Refused("team_not_found")
    text, now = _markdown(call), call.world.clock()
    message = Message(place, call.world.ts(), call.world.bot, text, thread=thread, streaming=True)
    message.blocks = _grown(message, text)
    message.started_at = message.appended_at = now
    call.world.post(message)
    return {"channel": place.id, "ts": message.ts}


def append(call: Call) -> dict[str, Any]:
    """chat.appendStream."""
    message = _streaming(call)
    text = _markdown(call)
    if not text:
        raise Refused("markdown_text_or_chunks_required")
    _add(call, message, text)
    call.world.changed()
    return {"channel": message.channel, "ts": message.ts}


def stop(call: Call) -> dict[str, Any]:
    """chat.stopStream: blocks stand below what was streamed, and the session is active again unless told otherwise."""
    message = _streaming(call, by_person="message_not_in_streaming_state")
    status = call.text("session_status")
    if status not in ("", *STATES):
        raise Refused("invalid_arguments")
    text, more = _markdown(call), blocks.read(call.given("blocks"))
    if len(more) > blocks.MAX_BLOCKS:
        raise Refused("msg_blocks_too_many")
    blocks.check(more)
    found = metadata(call)
    before = message.told(metadata=True)
    if text:
        _add(call, message, text)
    message.blocks = [*message.blocks, *blocks.numbered(more, f"e{message.ts[-6:]}")]
    message.metadata = found or message.metadata
    message.streaming = False
    call.world.rewrite(message, before, by_person=False)
    if status or (message.channel, message.root.ts) in call.world.sessions:
        enter(call, message.place, message.root, status or "active")
    return {"channel": message.channel, "ts": message.ts, "message": message.told(metadata=True)}


def _streaming(call: Call, *, by_person: str = "stopped_by_user") -> Message:
    """The message that is being written; `by_person` is what is said of one that a person has stopped."""
    place = call.place(people=False)
    call.writes_in(place)
    message = call.own(place, "message_not_owned_by_app")
    world, now = call.world, call.world.clock()
    too_old = now - message.started_at > world.stream_seconds * 1000
    if too_old or now - message.appended_at > world.idle_seconds * 1000:
        message.streaming = False
    if not message.streaming:
        raise Refused(by_person if message.stopped else "message_not_in_streaming_state")
    return message


def _markdown(call: Call) -> str:
    chunks = call.json("chunks", "invalid_chunks") or []
    text = call.text("markdown_text")
    if chunks and text:
        raise Refused("cannot_provide_both_markdown_text_and_chunks")
    text += "".join(str(each.get("text", "")) for each in chunks if each.get("type") == "markdown_text")
    if len(text) > MARKDOWN_CHARS:
        raise Refused("msg_too_long")
    return text


def _add(call: Call, message: Message, text: str) -> None:
    whole = message.text + text
    if len(whole) > STREAM_CHARS:
        raise Refused("msg_too_long")
    message.text, message.blocks = whole, _grown(message, whole)
    message.appended_at = call.world.clock()
    message.edits.append((call.world.clock(), whole))


def _grown(message: Message, text: str) -> list[dict[str, Any]]:
    return [{"type": "markdown", "text": text, "block_id": f"s{message.ts[-6:]}"}] if text else []


METHODS: Final[Methods] = {
    "chat.startStream": start,
    "chat.appendStream": append,
    "chat.stopStream": stop,
}
STREAMING: Final = frozenset(METHODS)
"""What a workspace may not have."""
