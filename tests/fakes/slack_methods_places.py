"""The fake Slack's methods about places, people and reactions, and what was said. Each is given a Call, and raises
Refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tests.fakes.slack_calls import Call, Methods, cursor_page
from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_things import Kind, Message
from tests.fakes.slack_world import READS

BY_NAME: Final[Mapping[str, Kind]] = {
    "public_channel": "channel",
    "private_channel": "private",
    "im": "im",
    "mpim": "mpim",
}
EMOJI_NAME: Final = re.compile(r"[a-z0-9_+'-]{1,100}(::skin-tone-[2-6])?", re.ASCII)
MOST_REACTIONS: Final = 23
"""Different ones on a message, by one member."""


def auth_test(call: Call) -> dict[str, Any]:
    """auth.test."""
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


def history(call: Call) -> dict[str, Any]:
    """conversations.history: the newest first, without what stands in threads."""
    place = call.readable()
    within = _within(call)
    found = [each for each in reversed(place.messages) if within(each)]
    page, cursor = cursor_page(call, found, 999)
    return _told(call, page, cursor)


def replies(call: Call) -> dict[str, Any]:
    """conversations.replies: what the thread begins with comes first on every page, then the oldest."""
    place = call.readable()
    said = place.find(call.text("ts"))
    if said is None:
        raise Refused("thread_not_found")
    within = _within(call)
    found = [each for each in said.root.replies if within(each)]
    page, cursor = cursor_page(call, found, 1_000, 1_000)
    return _told(call, [said.root, *page], cursor)


def _told(call: Call, page: list[Message], cursor: str) -> dict[str, Any]:
    wants = call.flag("include_all_metadata")
    answer: dict[str, Any] = {"messages": [each.told(metadata=wants) for each in page]}
    answer |= {"has_more": bool(cursor), "pin_count": 0}
    return answer | ({"response_metadata": {"next_cursor": cursor}} if cursor else {})


def _within(call: Call) -> Any:
    oldest, latest = _at(call, "oldest", (0, 0)), _at(call, "latest", (1 << 60, 0))
    inclusive = call.flag("inclusive")

    def within(message: Message) -> bool:
        at = _parts(message.ts)
        return oldest < at < latest or (inclusive and at in (oldest, latest))

    return within


def _at(call: Call, name: str, otherwise: tuple[int, int]) -> tuple[int, int]:
    try:
        return _parts(call.text(name)) if call.text(name) else otherwise
    except ValueError as exc:
        raise Refused(f"invalid_ts_{name}") from exc


def _parts(ts: str) -> tuple[int, int]:
    """A ts as two numbers: one of a float's precision would lose microseconds."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds), int(fraction.ljust(6, "0")[:6] or 0)


def info(call: Call) -> dict[str, Any]:
    """conversations.info."""
    return {"channel": call.seen().told()}


def conversations(call: Call) -> dict[str, Any]:
    """users.conversations: those that the bot is in, or that somebody else is in and the bot sees."""
    world = call.world
    names = [each.strip() for each in (call.text("types") or "public_channel").split(",")]
    if any(each not in BY_NAME for each in names):
        raise Refused("invalid_types")
    kinds = [BY_NAME[each] for each in names]
    for kind in kinds:
        call.needs(READS[kind])
    user = world.users.get(call.text("user")) if call.text("user") else world.bot
    if user is None:
        raise Refused("user_not_found")
    hides = call.flag("exclude_archived")
    found = [
        each
        for each in world.places.values()
        if each.kind in kinds
        and user in each.members
        and (world.bot in each.members or each.kind == "channel")
        and not each.is_gone
        and not (hides and each.is_archived)
    ]
    page, cursor = cursor_page(call, found, 999)
    return {"channels": [each.told() for each in page], "response_metadata": {"next_cursor": cursor}}


def user_info(call: Call) -> dict[str, Any]:
    """users.info."""
    user = call.world.users.get(call.text("user"))
    if user is None:
        raise Refused("user_not_found")
    return {"user": user.told()}


def react(call: Call) -> dict[str, Any]:
    """reactions.add."""
    message, name = _reacted(call)
    if call.world.bot in message.reactions.get(name, ()):
        raise Refused("already_reacted")
    if sum(call.world.bot in users for users in message.reactions.values()) >= MOST_REACTIONS:
        raise Refused("too_many_reactions")
    call.world.react(message, call.world.bot, name, on=True)
    return {}


def unreact(call: Call) -> dict[str, Any]:
    """reactions.remove."""
    message, name = _reacted(call)
    if call.world.bot not in message.reactions.get(name, ()):
        raise Refused("no_reaction")
    call.world.react(message, call.world.bot, name, on=False)
    return {}


def _reacted(call: Call) -> tuple[Message, str]:
    name = call.text("name")
    if EMOJI_NAME.fullmatch(name) is None:
        raise Refused("invalid_name")
    if not call.text("channel") or not call.text("timestamp"):
        raise Refused("no_item_specified")
    place = call.place(people=False)
    call.reads(place)
    if place.is_archived:
        raise Refused("is_archived")
    message = place.find(call.text("timestamp"))
    if message is None or message.is_gone:
        raise Refused("message_not_found")
    return message, name


METHODS: Final[Methods] = {
    "auth.test": auth_test,
    "conversations.history": history,
    "conversations.replies": replies,
    "conversations.info": info,
    "users.conversations": conversations,
    "users.info": user_info,
    "reactions.add": react,
    "reactions.remove": unreact,
}
