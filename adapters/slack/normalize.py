"""From what Slack tells of messages to events of ours. Pure: names are looked up before, files fetched afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.base import Event, RemoteFile, Said, Sender
from adapters.naming import file_name
from adapters.slack import ids
from adapters.slack.blocks import card_of, text_of_blocks
from adapters.slack.escapes import MENTION, mentioned, plain
from adapters.slack.people import SOMEBODY, Known
from adapters.text import shown_name
from agent.protocol.messages import Route

NO_NAME: Final = "emoji"
ANY_BYTES: Final = "application/octet-stream"
SPOKEN: Final = frozenset({"", "file_share", "thread_broadcast", "me_message", "bot_message"})
"""Messages of people and programs; the other subtypes are Slack's own words about what has happened. Slack's
documentation, message event."""
EXTERNAL: Final = "external"
"""The mode of a file that lies with somebody else, and is a link."""
GONE: Final = frozenset({"tombstone", "hidden_by_limit"})

Message = Mapping[str, Any]
Fetch = Callable[[Mapping[str, Any], Path, int], Awaitable[None]]
"""Fetches a file, given as Slack tells of it, at most so many bytes."""


@dataclass(frozen=True)
class Me:
    """The bot itself, by its ids as a user and as a bot, and the workspace that it is installed in."""

    user: str
    bot: str
    team: str
    name: str = "the bot"
    url: str = ""
    """The address of the workspace, with a slash at its end."""


@dataclass(frozen=True)
class Place:
    """Where something was said. What `opens` a thread is answered in one that begins with it."""

    route: Route
    opens: bool = False
    direct: bool = False


def place_of(channel: str, ts: str, thread: str | None, *, threads: bool, agent_view: bool) -> Place:
    """The place of a message. `threads`: whether what is asked in a channel is to have a thread of its own;
    `agent_view`: whether each question in a direct conversation has one. Slack's documentation, Agent messaging."""
    direct = ids.is_direct(channel)
    if thread is not None:
        return Place(ids.route(channel, thread), direct=direct)
    if agent_view if direct else threads:
        return Place(ids.route(channel, ts), opens=True, direct=direct)
    return Place(ids.route(channel), direct=direct)


def is_spoken(message: Message, me: Me) -> bool:
    """Whether somebody has said it, who is not the bot."""
    return (
        str(message.get("subtype") or "") in SPOKEN
        and not message.get("hidden")
        and ids.is_ts(str(message.get("ts", "")))
        and bool(message.get("user") or message.get("bot_id"))
        and not is_mine(message, me)
    )


def is_mine(message: Message, me: Me) -> bool:
    """Whether the bot has said it."""
    return message.get("user") == me.user or (message.get("bot_id") or "") == me.bot


def thread_of(message: Message) -> str | None:
    """The thread that a message is in; None for one that stands in its channel, with or without a thread below it."""
    thread = message.get("thread_ts")
    return thread if isinstance(thread, str) and ids.is_ts(thread) and thread != message.get("ts") else None


def named_in(message: Message) -> list[str]:
    """The ids of those whose names are wanted: who has said it, and who is named."""
    users = [str(message[key]) for key in ("user",) if message.get(key)]
    return users + mentioned(_raw(message))


def event(
    message: Message, channel: str, place: Place, me: Me, people: Mapping[str, Known], fetch: Fetch
) -> Event:
    """A message that was spoken."""
    named = mentioned(_raw(message))
    addressed = me.user in named or message.get("type") == "app_mention"
    return Event(
        id=ids.event_id(channel, message["ts"]),
        kind="message",
        route=place.route,
        sender=sender(message, people),
        created_at=ids.made_at(message["ts"]),
        text=text_of(message, me, people),
        direct=place.direct,
        opens=place.opens,
        mentions_bot=addressed,
        mentions_others=not addressed and any(each != me.user for each in named),
        remote=files_of(message, fetch),
    )


def edit(message: Message, channel: str, place: Place, me: Me, people: Mapping[str, Known]) -> Event | None:
    """An edit of what somebody has said; None for a change that is none, such as the preview of a link."""
    edited = str((message.get("edited") or {}).get("ts", ""))
    if not ids.is_ts(edited):
        return None
    said = ids.event_id(channel, message["ts"])
    return Event(
        id=f"{said}:edit:{edited}",
        kind="edit",
        route=place.route,
        sender=sender(message, people),
        created_at=ids.made_at(edited),
        text=text_of(message, me, people),
        direct=place.direct,
        about=said,
    )


def deletion(channel: str, ts: str, now: int) -> Event:
    """Somebody, Slack does not say who, took a message away. Where it was answered is for its event to say."""
    said = ids.event_id(channel, ts)
    return Event(
        id=f"{said}:delete",
        kind="delete",
        route=ids.route(channel),
        sender=Sender("", SOMEBODY),
        created_at=now,
        about=said,
    )


def reaction(told: Message, event_id: str, me: Me, people: Mapping[str, Known]) -> Event | None:
    """A reaction on a message of the bot's; None for one on somebody else's, or on something else."""
    item = told.get("item") or {}
    channel, ts, user = str(item.get("channel", "")), str(item.get("ts", "")), str(told.get("user") or "")
    ours = told.get("item_user") == me.user and user != me.user
    if item.get("type") != "message" or not ours or ids.part_of(f"{channel}:{ts}") is None or not user:
        return None
    at = str(told.get("event_ts", ""))
    return Event(
        id=f"{ids.NAME}:event:{event_id}",
        kind="reaction",
        route=ids.route(channel),
        sender=person(user, people),
        created_at=ids.made_at(at) if ids.is_ts(at) else 0,
        text=f":{shown_name(str(told.get('reaction', ''))) or NO_NAME}:",
        about=ids.part_id(channel, ts),
        taken_back=told.get("type") == "reaction_removed",
    )


def said(message: Message, me: Me, people: Mapping[str, Known]) -> Said:
    """The same message as something that was said before."""
    name = me.name if is_mine(message, me) else sender(message, people).name
    files = "".join(f"\n[file] {file_name(str(each.get('name') or ''))}" for each in _files(message))
    return Said(name, text_of(message, me, people) + files)


def sender(message: Message, people: Mapping[str, Known]) -> Sender:
    """Who has said it. What a program calls itself is up to whoever uses it."""
    user, bot = str(message.get("user") or ""), str(message.get("bot_id") or "")
    if not user:
        profile = message.get("bot_profile") or {}
        name = str(message.get("username") or profile.get("name") or "")
        return Sender(bot, plain(name, {}, "") or SOMEBODY, is_bot=True)
    known = person(user, people)
    return Sender(known.id, known.name, is_bot=known.is_bot or bool(bot))


def person(user: str, people: Mapping[str, Known]) -> Sender:
    """Somebody by their id."""
    known = people.get(user)
    return Sender(user, known.name if known else SOMEBODY, is_bot=known is not None and known.is_bot)


def text_of(message: Message, me: Me, people: Mapping[str, Known]) -> str:
    """What was said, with names in the place of ids; a mention of the bot itself is left out."""
    parts = [plain(_raw(message), people, me.user)]
    for each in message.get("attachments") or ():
        if isinstance(each, Mapping) and (each.get("is_share") or each.get("is_msg_unfurl")):
            name = plain(str(each.get("author_name") or ""), people, me.user)
            shared = plain(str(each.get("text") or each.get("fallback") or ""), people, me.user)
            parts.append(f"[forwarded] {name}: {shared}" if name else f"[forwarded] {shared}")
        elif isinstance(each, Mapping) and message.get("bot_id"):
            parts.append(plain(card_of(each), people, me.user))
    parts += [
        f"[file] {each.get('title') or ''} {each.get('url_private') or ''}".rstrip()
        for each in _files(message)
        if each.get("mode") == EXTERNAL
    ]
    return "\n".join(part for part in parts if part)


def words_of(message: Message, me: Me) -> str:
    """What was said as Slack has it, with the ids in it, without a mention of the bot itself."""
    return MENTION.sub(lambda found: "" if found[1] == me.user else found[0], _raw(message)).strip()


def _raw(message: Message) -> str:
    """A program may put all that it says into blocks."""
    return str(message.get("text") or "") or text_of_blocks(message.get("blocks") or ())


def _files(message: Message) -> Iterator[Mapping[str, Any]]:
    for each in message.get("files") or ():
        if isinstance(each, Mapping) and each.get("mode") not in GONE:
            yield each
    for shared in message.get("attachments") or ():
        if isinstance(shared, Mapping) and shared.get("is_share"):
            yield from (each for each in shared.get("files") or () if isinstance(each, Mapping))


def files_of(message: Message, fetch: Fetch) -> Sequence[RemoteFile]:
    """What is attached, to be fetched when it is wanted."""

    def remote(file: Mapping[str, Any]) -> RemoteFile:
        async def into(path: Path, limit: int) -> None:
            await fetch(file, path, limit)

        size = file.get("size")
        return RemoteFile(
            file_name(str(file.get("name") or file.get("title") or "")),
            str(file.get("mimetype") or ANY_BYTES),
            max(size, 0) if type(size) is int else 0,
            into,
        )

    return [remote(each) for each in _files(message) if each.get("mode") != EXTERNAL]
