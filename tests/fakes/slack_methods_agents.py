"""The fake Slack's methods for agents: streams, sessions, and what came before these. Each is given a Call."""

from __future__ import annotations

from typing import Any, Final

from tests.fakes import slack_blocks as blocks
from tests.fakes.slack_calls import Call, Methods
from tests.fakes.slack_methods import metadata, own
from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_things import Message, Place, Session

MARKDOWN_CHARS: Final = 12_000
STREAM_CHARS: Final = 40_000
IDLE_MS: Final = 120_000
"""A stream to which nothing is added for so long is none any more."""
STATES: Final = ("active", "processing", "suspended", "closed")
TITLE_CHARS: Final = 200


def start_stream(call: Call) -> dict[str, Any]:
    place, thread = _thread(call)
    call.writes_in(place)
    if place.kind != "im":
        for key in ("recipient_user_id", "recipient_team_id"):
            if not call.text(key):
                raise Refused(f"missing_{key}")
    if (user := call.text("recipient_user_id")) and user not in call.world.users:
        raise Refused("user_not_found")
    text = _markdown(call)
    message = Message(place, call.world.ts(), call.world.bot, thread=thread, streaming=True)
    message.blocks = [{"type": "markdown", "text": text}] if text else []
    message.text, message.appended_at = text, call.world.clock()
    call.world.post(message)
    return {"channel": place.id, "ts": message.ts}


def append_stream(call: Call) -> dict[str, Any]:
    place = call.place()
    message = _streaming(call, place)
    text = _markdown(call)
    if not text:
        raise Refused("no_text")
    _add(call, message, text)
    return {"channel": place.id, "ts": message.ts}


def stop_stream(call: Call) -> dict[str, Any]:
    place = call.place()
    message = _streaming(call, place)
    if text := _markdown(call):
        _add(call, message, text)
    more = blocks.read(call.given("blocks"))
    blocks.check([*message.blocks, *more])
    if (found := metadata(call)) is not None:
        message.metadata = found
    message.blocks = [*message.blocks, *more]
    message.streaming = False
    if status := call.text("session_status"):
        _enter(call, place, message.thread or message, status)
    call.world.changed()
    return {"channel": place.id, "ts": message.ts, "message": message.told(metadata=True)}


def _thread(call: Call) -> tuple[Place, Message]:
    place = call.place()
    root = place.find(call.text("thread_ts"))
    if root is None:
        raise Refused("thread_not_found" if call.text("thread_ts") else "invalid_arguments")
    return place, root.thread or root


def _streaming(call: Call, place: Place) -> Message:
    message = own(call, place, "message_not_owned_by_app")
    if call.world.clock() - message.appended_at > IDLE_MS:
        message.streaming = False
    if not message.streaming:
        raise Refused("message_not_in_streaming_state")
    return message


def _markdown(call: Call) -> str:
    text = call.text("markdown_text")
    if len(text) > MARKDOWN_CHARS:
        raise Refused("msg_too_long")
    return text


def _add(call: Call, message: Message, text: str) -> None:
    whole = message.text + text
    if len(whole) > STREAM_CHARS:
        raise Refused("msg_too_long")
    message.text, message.blocks = whole, [{"type": "markdown", "text": whole}]
    message.appended_at = call.world.clock()
    message.edits.append((call.world.clock(), whole))
    call.world.changed()


def set_session(call: Call) -> dict[str, Any]:
    place = call.place("channel_id")
    call.writes_in(place)
    status = call.text("status")
    if status not in STATES:
        raise Refused("invalid_arguments")
    thread = place.find(call.text("thread_ts"))
    if thread is None:
        raise Refused("thread_not_found")
    session = _enter(call, place, thread, status)
    return {"status": status, "title": session.title}


def _enter(call: Call, place: Place, thread: Message, status: str) -> Session:
    key = (place.id, (thread.thread or thread).ts)
    session = call.world.sessions.get(key)
    if session is None:
        session = call.world.sessions[key] = Session()
        session.title = call.text("title")[:TITLE_CHARS]
        session.initiator = call.text("initiator_user_id")
    session.states.append(status)
    call.world.changed()
    return session


def rename_session(call: Call) -> dict[str, Any]:
    place = call.place("channel_id")
    session = call.world.sessions.get((place.id, call.text("thread_ts")))
    if session is None:
        raise Refused("session_not_found")
    session.title = call.text("title")[:TITLE_CHARS]
    call.world.changed()
    return {}


def set_status(call: Call) -> dict[str, Any]:
    place = call.place("channel_id")
    call.reads(place)
    if place.find(call.text("thread_ts")) is None:
        raise Refused("invalid_thread_ts")
    call.world.statuses.setdefault((place.id, call.text("thread_ts")), []).append(call.text("status"))
    call.world.changed()
    return {}


def set_title(call: Call) -> dict[str, Any]:
    call.place("channel_id")
    return {}


def set_prompts(call: Call) -> dict[str, Any]:
    place, prompts = call.place("channel_id"), call.given("prompts") or []
    if not isinstance(prompts, list) or len(prompts) > 4:
        raise Refused("invalid_arguments")
    if any(not each.get("title") or not each.get("message") for each in prompts):
        raise Refused("invalid_arguments")
    call.world.prompts[place.id] = prompts
    call.world.changed()
    return {}


METHODS: Final[Methods] = {
    "chat.startStream": start_stream,
    "chat.appendStream": append_stream,
    "chat.stopStream": stop_stream,
    "agents.sessions.setStatus": set_session,
    "agents.sessions.rename": rename_session,
    "assistant.threads.setStatus": set_status,
    "assistant.threads.setTitle": set_title,
    "assistant.threads.setSuggestedPrompts": set_prompts,
}
STREAMING: Final = frozenset({"chat.startStream", "chat.appendStream", "chat.stopStream"})
AGENT_VIEW: Final = frozenset({"agents.sessions.setStatus", "agents.sessions.rename"})
ASSISTANT: Final = frozenset({"assistant.threads.setStatus", "assistant.threads.setTitle"})
"""What a workspace may not have."""
