"""The routes of channels and threads ("Channel Resource")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.fakes import discord_wire as wire
from tests.fakes.discord_calls import DONE, Answer, Call, Route
from tests.fakes.discord_forms import check_name, need
from tests.fakes.discord_limits import CHANNEL_EDIT, DM_OPEN, THREAD_CREATE
from tests.fakes.discord_things import Place, User
from tests.fakes.discord_values import (
    MISSING_PERMISSIONS,
    THREAD_ARCHIVED,
    THREAD_EXISTS,
    THREAD_LOCKED,
    UNKNOWN_CHANNEL,
    UNKNOWN_MEMBER,
    WRONG_CHANNEL_KIND,
    Kind,
    Permission,
    Refused,
    invalid,
    iso,
    wrong,
)
from tests.fakes.discord_writing import may_speak, written

HAVE_THREADS: Final = (Kind.TEXT, Kind.ANNOUNCEMENT)


def read(call: Call) -> Answer:
    """A channel of any kind."""
    return Answer(wire.place(call.place(), me=call.me))


def edit(call: Call) -> Answer:
    """Renames, archives or locks."""
    place = call.place()
    form = call.form or {}
    check_name(form, required=False)
    if place.is_thread:
        _edit_thread(call, place, form)
    else:
        if place.guild is None or not place.allows(call.me, Permission.MANAGE_CHANNELS):
            raise Refused(*MISSING_PERMISSIONS)
        place.name = form.get("name", place.name)
        place.topic = form.get("topic", place.topic)
        call.world.tell_update(place)
    return Answer(wire.place(place, me=call.me))


def _edit_thread(call: Call, thread: Place, form: Mapping[str, Any]) -> None:
    manages = thread.allows(call.me, Permission.MANAGE_THREADS)
    if thread.is_archived and form.get("archived") is not False:
        raise Refused(*THREAD_ARCHIVED)
    if thread.is_locked and not manages:
        raise Refused(*THREAD_LOCKED)
    only_opens = set(form) == {"archived"} and form["archived"] is False
    if not manages and (thread.owner is not call.me or "locked" in form) and not only_opens:
        raise Refused(*MISSING_PERMISSIONS)
    thread.name = form.get("name", thread.name)
    thread.archive_minutes = form.get("auto_archive_duration", thread.archive_minutes)
    if "archived" in form or "locked" in form:
        call.world.archive(thread, bool(form.get("archived", thread.is_archived)), locked=form.get("locked"))
    else:
        call.world.tell_update(thread)


def delete(call: Call) -> Answer:
    """Deletes a channel or a thread."""
    needed = call.place()
    managing = Permission.MANAGE_THREADS if needed.is_thread else Permission.MANAGE_CHANNELS
    place = call.place(managing)
    body = wire.place(place, me=call.me)
    place.delete()
    return Answer(body)


def thread_of_message(call: Call) -> Answer:
    """Opens a thread from a message; it has the message's id."""
    place = call.place(Permission.CREATE_PUBLIC_THREADS, Permission.READ_MESSAGE_HISTORY)
    message = call.message(place)
    if place.kind not in HAVE_THREADS:
        raise Refused(*WRONG_CHANNEL_KIND)
    form = call.form or {}
    check_name(form)
    if message.thread is not None and not message.thread.is_deleted:
        raise Refused(*THREAD_EXISTS)
    minutes = form.get("auto_archive_duration") or 1440
    thread = call.world.add_thread(place, form["name"], call.me, message=message, minutes=minutes)
    return Answer(wire.place(thread, me=call.me), status=201)


def thread_alone(call: Call) -> Answer:
    """Opens a thread without a message, or a post of a forum with its first one."""
    place = call.place()
    form = call.form or {}
    check_name(form)
    minutes = form.get("auto_archive_duration") or 1440
    if place.kind is Kind.FORUM:
        return _forum_post(call, place, form, minutes)
    if place.kind not in HAVE_THREADS:
        raise Refused(*WRONG_CHANNEL_KIND)
    kind = Kind(form.get("type", Kind.PRIVATE_THREAD))
    private = kind is Kind.PRIVATE_THREAD
    call.allowed(place, Permission.CREATE_PRIVATE_THREADS if private else Permission.CREATE_PUBLIC_THREADS)
    thread = call.world.add_thread(place, form["name"], call.me, kind=kind, minutes=minutes)
    return Answer(wire.place(thread, me=call.me), status=201)


def _forum_post(call: Call, forum: Place, form: Mapping[str, Any], minutes: int) -> Answer:
    call.allowed(forum, Permission.SEND_MESSAGES)
    first = need(form, "message")
    # Written for the forum, posted in the thread: what is wrong must not leave an empty thread behind.
    message = written(forum, call.me, first, call.files)
    tags = [str(each) for each in form.get("applied_tags") or ()]
    thread = call.world.add_post(forum, form["name"], message, minutes=minutes, tags=tags)
    body = {**wire.place(thread, me=call.me), "message": wire.message(message, call.me)}
    return Answer(body, status=201)


def join(call: Call) -> Answer:
    """The bot joins a thread."""
    call.world.join_thread(_open_thread(call), call.me)
    return DONE


def leave(call: Call) -> Answer:
    """The bot leaves a thread."""
    call.world.leave_thread(_open_thread(call), call.me)
    return DONE


def add(call: Call) -> Answer:
    """Brings somebody into a thread."""
    thread = _open_thread(call)
    may_speak(thread, call.me, files=False, embeds=False)
    call.world.join_thread(thread, _member(call, thread))
    return DONE


def remove(call: Call) -> Answer:
    """Takes somebody out of a thread."""
    thread = _open_thread(call)
    if thread.owner is not call.me and not thread.allows(call.me, Permission.MANAGE_THREADS):
        raise Refused(*MISSING_PERMISSIONS)
    call.world.leave_thread(thread, _member(call, thread))
    return DONE


def thread_members(call: Call) -> Answer:
    """Who has joined a thread."""
    thread = _thread(call)
    return Answer([wire.thread_member(thread, each) for each in thread.joined])


def thread_member(call: Call) -> Answer:
    """Somebody who has joined a thread."""
    thread = _thread(call)
    user_id = call.params.get("user", call.me.id)
    if user_id not in thread.joined:
        raise Refused(*UNKNOWN_MEMBER)
    return Answer(wire.thread_member(thread, user_id))


def archived(call: Call) -> Answer:
    """The public threads that are archived, the last one first."""
    place = call.place(Permission.READ_MESSAGE_HISTORY)
    limit = call.limit(50, 100)
    threads = [each for each in place.threads if each.is_archived and each.kind is not Kind.PRIVATE_THREAD]
    before = call.query.get("before")
    if before is not None:
        threads = [each for each in threads if iso(each.archived_at) < before]
    threads.sort(key=lambda each: each.archived_at, reverse=True)
    return Answer(wire.threads(threads[:limit], call.me, has_more=len(threads) > limit))


def open_private(call: Call) -> Answer:
    """The direct messages with somebody."""
    user_id = str(need(call.form, "recipient_id"))
    if user_id == call.me.id:
        raise invalid({"recipient_id": wrong("CANNOT_DM_SELF", "Cannot send messages to yourself")})
    place = call.world.private([call.user(user_id), call.me])
    return Answer(wire.place(place, me=call.me))


def _thread(call: Call) -> Place:
    place = call.place()
    if not place.is_thread:
        raise Refused(*UNKNOWN_CHANNEL)
    return place


def _open_thread(call: Call) -> Place:
    thread = _thread(call)
    if thread.is_archived:
        raise Refused(*THREAD_ARCHIVED)
    return thread


def _member(call: Call, thread: Place) -> User:
    user = call.user(call.params["user"])
    if thread.guild is None or user.id not in thread.guild.members:
        raise Refused(*UNKNOWN_MEMBER)
    return user


CHANNEL: Final = "/channels/{channel}"
MEMBERS: Final = CHANNEL + "/thread-members"
ROUTES: Final = (
    Route("GET", CHANNEL, read),
    Route("PATCH", CHANNEL, edit, CHANNEL_EDIT),
    Route("DELETE", CHANNEL, delete, CHANNEL_EDIT),
    Route("POST", CHANNEL + "/messages/{message}/threads", thread_of_message, THREAD_CREATE),
    Route("POST", CHANNEL + "/threads", thread_alone, THREAD_CREATE),
    Route("GET", CHANNEL + "/threads/archived/public", archived),
    Route("PUT", MEMBERS + "/@me", join),
    Route("DELETE", MEMBERS + "/@me", leave),
    Route("GET", MEMBERS + "/@me", thread_member),
    Route("GET", MEMBERS, thread_members),
    Route("GET", MEMBERS + "/{user}", thread_member),
    Route("PUT", MEMBERS + "/{user}", add),
    Route("DELETE", MEMBERS + "/{user}", remove),
    Route("POST", "/users/@me/channels", open_private, DM_OPEN),
)
