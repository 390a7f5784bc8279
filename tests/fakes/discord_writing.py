"""A message as a form says it: new, edited, or the answer to an interaction. All of them are written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.fakes import discord_wire as wire
from tests.fakes.discord_forms import Upload, check_message
from tests.fakes.discord_intents import without_content
from tests.fakes.discord_pings import pings
from tests.fakes.discord_things import Attachment, Message, Place, User
from tests.fakes.discord_values import (
    CANNOT_DM,
    EMPTY_MESSAGE,
    MISSING_PERMISSIONS,
    NO_HISTORY_NO_REPLY,
    NOT_A_TEXT_CHANNEL,
    THREAD_LOCKED,
    TOO_LARGE,
    Flag,
    Kind,
    MessageKind,
    Permission,
    Refused,
    invalid,
    wrong,
)

SETTABLE: Final = Flag.SUPPRESS_EMBEDS | Flag.SUPPRESS_NOTIFICATIONS


def may_speak(place: Place, author: User, *, files: bool, embeds: bool) -> None:
    """Raises Refused where this author may not say such a thing here."""
    if place.kind in (Kind.FORUM, Kind.CATEGORY):
        raise Refused(*NOT_A_TEXT_CHANNEL)
    if place.kind is Kind.DM and not all(each.takes_dms for each in place.recipients):
        raise Refused(*CANNOT_DM)
    speaking = Permission.SEND_MESSAGES_IN_THREADS if place.is_thread else Permission.SEND_MESSAGES
    needed = [speaking]
    needed += [Permission.ATTACH_FILES] if files else []
    needed += [Permission.EMBED_LINKS] if embeds else []
    if not all(place.allows(author, each) for each in needed):
        raise Refused(*MISSING_PERMISSIONS)
    if place.is_locked and not place.allows(author, Permission.MANAGE_THREADS):
        raise Refused(*THREAD_LOCKED)


def written(
    place: Place,
    author: User,
    form: Mapping[str, Any],
    files: Sequence[Upload],
    *,
    flags: int = int(SETTABLE),
) -> Message:
    """A new message of a form, not posted yet. `flags` are those that the form may set. Raises Refused."""
    check_message(form, files=files)
    text = form.get("content") or ""
    if not (text or form.get("embeds") or files or form.get("sticker_ids") or form.get("components")):
        raise Refused(*EMPTY_MESSAGE)
    message = place.world.draft(place, author, text)
    message.flags = int(form.get("flags") or 0) & flags
    message.nonce = str(form["nonce"]) if form.get("nonce") is not None else None
    quote(message, form.get("message_reference"))
    dress(message, form, files)
    reached = pings(place, author, text, form.get("allowed_mentions"), message.reference)
    message.pings, message.names = reached, reached.users
    return message


def rewritten(message: Message, form: Mapping[str, Any], files: Sequence[Upload]) -> None:
    """A message after an edit; what the form does not have stays. Raises Refused."""
    check_message(form, files=files)
    text = form["content"] or "" if "content" in form else message.content
    kept = message.attachments
    if "attachments" in form:
        wanted = {str(each.get("id")) for each in form["attachments"] or ()}
        kept = [each for each in kept if each.id in wanted]
    embeds = (form["embeds"] or []) if "embeds" in form else message.embeds
    components = (form["components"] or []) if "components" in form else message.components
    if not (text or kept or files or embeds or components or message.stickers):
        raise Refused(*EMPTY_MESSAGE)
    message.attachments = kept
    dress(message, form, files)
    if "content" in form:
        message.place.world.rewrite(message, text)
        quoted = message.reference
        message.names = pings(message.place, message.author, text, form.get("allowed_mentions"), quoted).users
    if form.get("flags") is not None:
        message.flags = message.flags & ~int(SETTABLE) | int(form["flags"]) & int(SETTABLE)
    message.flags &= ~int(Flag.LOADING)


def dress(message: Message, form: Mapping[str, Any], files: Sequence[Upload]) -> None:
    """Puts files, embeds and components of a form on a message. Raises Refused."""
    message.attachments = [*message.attachments, *store(message.place, form, files)]
    if "embeds" in form:
        message.embeds = [_embed(each) for each in form["embeds"] or ()]
    if "components" in form:
        message.components = numbered(form["components"] or ())


def store(place: Place, form: Mapping[str, Any], files: Sequence[Upload]) -> list[Attachment]:
    """Keeps the files of a form as the CDN serves them. Raises Refused where one is too large."""
    if any(len(each.data) > place.upload_bytes for each in files):
        raise Refused(*TOO_LARGE)
    told = {str(each.get("id")): each for each in form.get("attachments") or ()}
    stored = []
    for each in files:
        name = told.get(str(each.index), {}).get("filename") or each.name
        stored.append(place.world.store(place, name, each.data, each.media_type))
    return stored


def numbered(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Components with the ids that Discord gives them, and what it fills in."""
    count = 0

    def number(part: Mapping[str, Any]) -> dict[str, Any]:
        nonlocal count
        count += 1
        one: dict[str, Any] = {**part, "id": count}
        if part.get("type") == 3:
            one |= {"min_values": part.get("min_values", 1), "max_values": part.get("max_values", 1)}
        if "components" in part:
            one["components"] = [number(each) for each in part["components"]]
        return one

    return [number(row) for row in rows]


def quote(message: Message, reference: Mapping[str, Any] | None) -> None:
    """Makes a message the reply to another one of its place. Raises Refused."""
    if not reference:
        return
    place = message.place
    if not place.allows(message.author, Permission.READ_MESSAGE_HISTORY):
        raise Refused(*NO_HISTORY_NO_REPLY)
    elsewhere = str(reference.get("channel_id") or place.id) != place.id
    quoted = None if elsewhere else place.find(str(reference.get("message_id")))
    if quoted is None:
        if reference.get("fail_if_not_exists", True) or elsewhere:
            unknown = wrong("MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")
            raise invalid({"message_reference": unknown})
        return
    if quoted.kind in (MessageKind.THREAD_CREATED, MessageKind.THREAD_STARTER_MESSAGE):
        system = wrong("REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE", "Cannot reply to a system message")
        raise invalid({"message_reference": system})
    message.reference, message.kind = quoted, MessageKind.REPLY


def told(message: Message, me: User, *, reads: bool) -> dict[str, Any]:
    """A message for the bot over REST: empty where it `reads` no content, as over the gateway ("Message Content
    Intent")."""
    data = wire.message(message, me)
    if reads:
        return data
    kept = without_content({**data, **wire.guild_id(message.place)}, me.id)
    kept.pop("guild_id", None)
    return kept


def _embed(form: Mapping[str, Any]) -> dict[str, Any]:
    """As it is given back: with what was left out ("Embed Structure")."""
    kept = {"type": "rich", **form}
    if "fields" in kept:
        kept["fields"] = [{"inline": False, **field} for field in kept["fields"] or ()]
    return kept
