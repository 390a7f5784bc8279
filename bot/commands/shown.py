"""How the answers of commands name places and times. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.protocol.messages import Route


def place(route: Route) -> str:
    """Channel, place and thread, as far as there are any: "discord/7/9"."""
    return "/".join(part for part in (route.channel, route.platform_id, route.thread_id) if part)


def iso(at: int) -> str:
    """A time in epoch milliseconds, in UTC and to the second, as programs read it."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")
