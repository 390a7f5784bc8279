"""The routes of messages, reactions and typing ("Message Resource")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.fakes import discord_wire as wire
from tests.fakes.discord_calls import DONE, Answer, Call, Route
from tests.fakes.discord_forms import NONCE_CHARS
from tests.fakes.discord_intents import Intent
from tests.fakes.discord_limits import (
    MESSAGE_CREATE,
    MESSAGE_DELETE,
    MESSAGE_EDIT,
    MESSAGE_READ,
    REACTION,
    TYPING,
)
from tests.fakes.discord_things import Message, Place
from tests.fakes.discord_values import (
    MISSING_PERMISSIONS,
    NOT_YOURS,
    THREAD_ARCHIVED,
    TOO_MANY_REACTIONS,
    UNKNOWN_EMOJI,
    Flag,
    Permission,
    Refused,
    invalid,
    wrong,
)
from tests.fakes.discord_writing import may_speak, rewritten, told, written

MAX_REACTIONS: Final = 20
LIKE_EMOJI: Final = 0x2000
"""From here on there are characters that are emoji; a word is none."""


def create(call: Call) -> Answer:
    """Says something. The same author's same nonce, where it is enforced, makes nothing new."""
    place = call.place()
    form = call.form or {}
    may_speak(place, call.me, files=bool(call.files), embeds=bool(form.get("embeds")))
    nonce = form.get("nonce")
    if form.get("enforce_nonce") and nonce is not None and len(str(nonce)) <= NONCE_CHARS:
        known = call.world.same_nonce(call.me, str(nonce))
        if known is not None:
            return Answer(wire.message(known, call.me))
    message = call.world.post(written(place, call.me, form, call.files))
    return Answer(wire.message(message, call.me))


def listed(call: Call) -> Answer:
    """Messages of a place, newest first: at most one of before, after, around."""
    place = call.place()
    limit = call.limit(50, 100)
    if not place.allows(call.me, Permission.READ_MESSAGE_HISTORY):
        return Answer([])
    there = [each for each in place.history if not each.is_deleted and not each.is_ephemeral]
    for name in ("before", "after", "around"):
        if not call.query.get(name, "0").isdecimal():
            raise invalid(
                {name: wrong("NUMBER_TYPE_COERCE", f'Value "{call.query[name]}" is not snowflake.')}
            )
    chosen = _page(there, call.query, limit)
    return Answer([told(each, call.me, reads=_reads(call)) for each in reversed(chosen)])


def _page(there: list[Message], query: Mapping[str, str], limit: int) -> list[Message]:
    """Those that a query asks for, oldest first."""
    if "around" in query:
        middle = int(query["around"])
        before = [each for each in there if int(each.id) < middle][-(limit // 2) :] if limit > 1 else []
        after = [each for each in there if int(each.id) >= middle]
        return before + after[: limit - len(before)]
    if "before" in query:
        return [each for each in there if int(each.id) < int(query["before"])][-limit:]
    if "after" in query:
        return [each for each in there if int(each.id) > int(query["after"])][:limit]
    return there[-limit:]


def read(call: Call) -> Answer:
    """One message."""
    message = call.message(call.place(Permission.READ_MESSAGE_HISTORY))
    return Answer(told(message, call.me, reads=_reads(call)))


def edit(call: Call) -> Answer:
    """Another text for a message of one's own; of somebody else's only the embeds can be hidden."""
    place = call.place()
    message = call.message(place)
    form = call.form or {}
    if place.is_archived:
        raise Refused(*THREAD_ARCHIVED)
    if message.author is not call.me:
        if set(form) - {"flags"}:
            raise Refused(*NOT_YOURS)
        if not place.allows(call.me, Permission.MANAGE_MESSAGES):
            raise Refused(*MISSING_PERMISSIONS)
        message.flags = message.flags & ~int(Flag.SUPPRESS_EMBEDS) | int(form["flags"]) & Flag.SUPPRESS_EMBEDS
        call.world.tell_message("MESSAGE_UPDATE", message)
        return Answer(wire.message(message, call.me))
    rewritten(message, form, call.files)
    call.world.edited(message)
    return Answer(wire.message(message, call.me))


def delete(call: Call) -> Answer:
    """Takes a message away, somebody else's where that is allowed."""
    place = call.place()
    message = call.message(place)
    if message.author is not call.me and not place.allows(call.me, Permission.MANAGE_MESSAGES):
        raise Refused(*MISSING_PERMISSIONS)
    call.world.remove(message)
    return DONE


def react(call: Call) -> Answer:
    """Puts a reaction on a message. Only the first one of its emoji needs the permission."""
    place = call.place(Permission.READ_MESSAGE_HISTORY)
    message = call.message(place)
    emoji = _emoji(call)
    if emoji not in message.reactions and not place.allows(call.me, Permission.ADD_REACTIONS):
        raise Refused(*MISSING_PERMISSIONS)
    _awake(place)
    if emoji not in message.reactions and len(message.reactions) >= MAX_REACTIONS:
        raise Refused(*TOO_MANY_REACTIONS)
    call.world.react(message, call.me, emoji, on=True)
    return DONE


def unreact(call: Call) -> Answer:
    """Takes a reaction of one's own away."""
    place = call.place()
    _awake(place)
    call.world.react(call.message(place), call.me, _emoji(call), on=False)
    return DONE


def unreact_other(call: Call) -> Answer:
    """Takes somebody's reaction away."""
    place = call.place(Permission.MANAGE_MESSAGES)
    call.world.react(call.message(place), call.user(call.params["user"]), _emoji(call), on=False)
    return DONE


def unreact_all(call: Call) -> Answer:
    """Takes all reactions away."""
    message = call.message(call.place(Permission.MANAGE_MESSAGES))
    message.reactions.clear()
    place = message.place
    call.world.tell_place(
        "MESSAGE_REACTION_REMOVE_ALL",
        place,
        {"channel_id": place.id, "message_id": message.id, **wire.guild_id(place)},
        intent=Intent.GUILD_MESSAGE_REACTIONS,
        direct=Intent.DIRECT_MESSAGE_REACTIONS,
    )
    return DONE


def reactors(call: Call) -> Answer:
    """Who has reacted with an emoji."""
    message = call.message(call.place(Permission.READ_MESSAGE_HISTORY))
    return Answer([wire.user(each) for each in message.reactions.get(_emoji(call), [])])


def typing(call: Call) -> Answer:
    """Shows for ten seconds, or until something is said, that the bot types."""
    place = call.place()
    may_speak(place, call.me, files=False, embeds=False)
    call.world.type_in(place, call.me)
    return DONE


def _emoji(call: Call) -> str:
    emoji = call.params["emoji"]
    if wire.emoji(emoji)["id"] is None and not any(
        ord(each) >= LIKE_EMOJI or each in "#*©®" for each in emoji
    ):
        raise Refused(*UNKNOWN_EMOJI)
    return emoji


def _awake(place: Place) -> None:
    if place.is_archived:
        raise Refused(*THREAD_ARCHIVED)


def _reads(call: Call) -> bool:
    return bool(call.world.switched_on & Intent.MESSAGE_CONTENT)


ONE: Final = "/channels/{channel}/messages/{message}"
REACTIONS: Final = ONE + "/reactions"
ROUTES: Final = (
    Route("POST", "/channels/{channel}/messages", create, MESSAGE_CREATE),
    Route("GET", "/channels/{channel}/messages", listed, MESSAGE_READ),
    Route("GET", ONE, read, MESSAGE_READ),
    Route("PATCH", ONE, edit, MESSAGE_EDIT),
    Route("DELETE", ONE, delete, MESSAGE_DELETE),
    Route("PUT", REACTIONS + "/{emoji}/@me", react, REACTION),
    Route("DELETE", REACTIONS + "/{emoji}/@me", unreact, REACTION),
    Route("DELETE", REACTIONS + "/{emoji}/{user}", unreact_other, REACTION),
    Route("GET", REACTIONS + "/{emoji}", reactors),
    Route("DELETE", REACTIONS, unreact_all, REACTION),
    Route("POST", "/channels/{channel}/typing", typing, TYPING),
)
