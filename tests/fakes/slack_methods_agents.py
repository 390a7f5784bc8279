"""The fake Slack's methods for agents: sessions, and what came before these. Each is given a Call, and raises
Refused."""

from __future__ import annotations

from typing import Any, Final

from tests.fakes.slack_calls import Call, Methods, wrong
from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_things import Message, Place, Session

STATES: Final = ("active", "processing", "suspended", "closed")
TITLE_CHARS: Final = 200
MOST_PROMPTS: Final = 4
MOST_LOADING: Final = 10


def set_session(call: Call) -> dict[str, Any]:
    """agents.sessions.setStatus: the first one of a thread makes its session."""
    place, thread = _of_session(call)
    status = call.text("status")
    if status not in STATES:
        raise Refused("invalid_status")
    session = enter(call, place, thread, status)
    answer = {"status": status, "agent_status": status, "title": session.title}
    events = call.world.events
    if events is not None and "agent_session_stopped" not in events:
        answer["warning"] = "missing_agent_session_stopped_event_subscription"
    return answer


def enter(call: Call, place: Place, thread: Message, status: str) -> Session:
    """A session has this state from now on. The title and who began it count for a new one alone. Raises Refused."""
    world, key = call.world, (place.id, thread.root.ts)
    session = world.sessions.get(key)
    if session is None:
        session = Session()
        _entitle(session, call.text("title"), missing=True)
        session.initiator = call.text("initiator_user_id")
        user = world.users.get(session.initiator)
        if session.initiator and (user is None or user not in place.members):
            raise Refused("user_not_found")
        world.sessions[key] = session
    session.states.append(status)
    session.history.append((world.clock(), status))
    world.changed()
    return session


def rename_session(call: Call) -> dict[str, Any]:
    """agents.sessions.rename."""
    place, thread = _of_session(call)
    session = call.world.sessions.get((place.id, thread.ts))
    if session is None:
        raise Refused("session_not_found")
    _entitle(session, call.needed("title"))
    call.world.changed()
    return {"status": session.status, "agent_status": session.status, "title": session.title}


def set_status(call: Call) -> dict[str, Any]:
    """assistant.threads.setStatus: what the agent is doing, "" takes it away."""
    place, thread_ts = _of_thread(call)
    if call.given("status") is None:
        raise wrong("missing required field: status")
    if len(call.json("loading_messages") or ()) > MOST_LOADING:
        raise wrong(f"no more than {MOST_LOADING} items allowed [json-pointer:/loading_messages]")
    call.world.set_status(place, thread_ts, call.text("status"))
    return {}


def set_title(call: Call) -> dict[str, Any]:
    """assistant.threads.setTitle: in conversations with one person."""
    place, thread_ts = _of_thread(call)
    if place.kind != "im":
        raise Refused("method_not_supported_for_channel_type")
    session = call.world.sessions.setdefault((place.id, thread_ts), Session())
    _entitle(session, call.needed("title"))
    call.world.changed()
    return {}


def set_prompts(call: Call) -> dict[str, Any]:
    """assistant.threads.setSuggestedPrompts: in the whole conversation, unless a thread is named."""
    place, prompts = call.place("channel_id", people=False), call.json("prompts") or []
    call.reads(place)
    if not isinstance(prompts, list) or not 1 <= len(prompts) <= MOST_PROMPTS:
        raise wrong(f"must have 1 to {MOST_PROMPTS} items [json-pointer:/prompts]")
    if any(not each.get("title") or not each.get("message") for each in prompts):
        raise wrong("must have a title and a message [json-pointer:/prompts]")
    if not call.world.has_agent_view and not call.world.has_assistant:
        raise Refused("not_agent_app")
    if call.thread(place, error="invalid_thread_ts") is None and not call.world.has_agent_view:
        raise Refused("missing_thread_ts")
    call.world.prompts[place.id] = prompts
    call.world.prompt_titles[place.id] = call.text("title")
    call.world.changed()
    return {}


def _of_session(call: Call) -> tuple[Place, Message]:
    place = call.place("channel_id", people=False)
    if call.world.bot not in place.members:
        raise Refused("not_authorized")
    if place.is_archived:
        raise Refused("is_archived")
    if not call.text("thread_ts"):
        raise Refused("thread_ts_required")
    thread = place.find(call.text("thread_ts"))
    if thread is None:
        raise Refused("thread_not_found")
    return place, thread.root


def _of_thread(call: Call) -> tuple[Place, str]:
    place = call.place("channel_id", people=False)
    call.reads(place)
    thread = place.find(call.text("thread_ts"))
    if thread is None:
        raise Refused("invalid_thread_ts")
    return place, thread.root.ts


def _entitle(session: Session, title: str, *, missing: bool = False) -> None:
    if not title and missing:
        return
    if not 1 <= len(title) <= TITLE_CHARS:
        raise wrong(f"must have 1 to {TITLE_CHARS} characters [json-pointer:/title]")
    session.title = title
    session.titles.append(title)


METHODS: Final[Methods] = {
    "agents.sessions.setStatus": set_session,
    "agents.sessions.rename": rename_session,
    "assistant.threads.setStatus": set_status,
    "assistant.threads.setTitle": set_title,
    "assistant.threads.setSuggestedPrompts": set_prompts,
}
AGENT_VIEW: Final = frozenset({"agents.sessions.setStatus", "agents.sessions.rename"})
ASSISTANT: Final = frozenset({"assistant.threads.setStatus", "assistant.threads.setTitle"})
"""What a workspace may not have."""
