"""Continuing: what is said in a thread beneath a message that an agent has put into the place itself, such as the
report of a schedule, belongs to the conversation that the message is from, and not to one of its own."""

from __future__ import annotations

import sqlite3

from agent.protocol.messages import Route
from bot.db import deliveries, sessions
from bot.db.sessions import SessionRecord


def beneath(db: sqlite3.Connection, agent: str, route: Route) -> SessionRecord | None:
    """The conversation that the agent has in the place, where the thread hangs beneath a message of it. Platforms name
    a thread by the message that it hangs beneath (Slack's thread_ts, Discord's id of a thread that was started from a
    message), and a part by its place and that."""
    if route.thread_id is None:
        return None
    place = Route(channel=route.channel, platform_id=route.platform_id)
    record = sessions.find(db, agent, place)
    if record is None:
        return None
    root = f"{route.platform_id}:{route.thread_id}"
    sent = {session for session, _ in deliveries.shown_as(db, root, place)}
    return record if record.id in sent else None
