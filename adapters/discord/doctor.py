"""`roost discord check`: whether the bot is set up so that people get their answers, and what to do where it is not.

examine.py finds out over REST, identify.py asks the gateway, facts.py reads what they were told; here it is judged,
which is pure, and advice.py has the sentences.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import discord

from adapters.base import SendFailed
from adapters.checkup import Checkup, Finding
from adapters.discord import advice, layout, permissions
from adapters.discord.errors import UNAUTHORIZED, UNAUTHORIZED_SECONDS
from adapters.discord.examine import Wanted, gather
from adapters.discord.facts import DIRECT, FORUMS, SPOKEN, THREADS, WRITTEN, Channel, Facts, Place, Server
from adapters.discord.permissions import CREATE_THREADS, SEND, SEND_IN_THREADS, Permission
from adapters.discord.session import BAD_TOKEN, NO_INTENT
from adapters.offers import CommandInfo
from adapters.text import shown_name
from agent.protocol.clock import Clock

SECONDS: Final = 30.0
"""How long all of it may take."""
NO_SUCH_INTENT: Final = 4014
"""Discord's documentation, Gateway Close Event Codes."""
FEW_STARTS: Final = 50
"""Of the 1,000 sessions that a bot may begin in a day. Discord's documentation, Gateway, Session Start Limit."""
MOST_NAMES: Final = 10
"""Of servers, in one line."""
MOST_CHANNELS: Final = 20
"""Of those with something missing, each in a line of its own."""
REASON_CHARS: Final = 300
EXAMPLE_URL: Final = "https://discord.com/api/v10"

State = Literal["ok", "warning", "problem"]
_log = logging.getLogger("roost.discord")


async def check(
    wanted: Wanted, infos: Sequence[CommandInfo], *, clock: Clock, seconds: float = SECONDS
) -> Checkup:
    """How the bot is set up; raises nothing that Discord can bring about. `infos` are the commands of this Roost."""
    try:
        async with asyncio.timeout(seconds):
            facts = await gather(wanted, clock=clock)
    except TimeoutError:
        return _only("connection", advice.SLOW.format(seconds=round(seconds)))
    except discord.LoginFailure:
        return _only("token", UNAUTHORIZED)
    except SendFailed as exc:
        return _only(*_unanswered(wanted, exc))
    except (KeyError, TypeError, ValueError, AttributeError):
        _log.debug("an answer of Discord's could not be read", exc_info=True)
        return _only("connection", advice.NOT_DISCORD.format(url=wanted.rest_url, example=EXAMPLE_URL))
    return Checkup(
        judged(facts, layout.payload(infos, hide_admins=wanted.hide_admins)),
        permissions.invite_link(facts.application.id),
    )


def judged(facts: Facts, payload: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What is to be said of it, at least one line for each part; `payload` is what should be registered."""
    return [
        Finding("token", "ok", advice.TOKEN.format(name=facts.name, id=facts.me)),
        *_application(facts),
        *_intents(facts),
        *_gateway(facts),
        *_servers(facts),
        *(_place(facts, place) for place in facts.places),
        *([] if facts.places else _channels(facts)),
        *_commands(facts, payload),
    ]


# ---------------------------------------------------------------- the application and its connection


def _application(facts: Facts) -> Iterator[Finding]:
    found = facts.application
    yield Finding("application", "ok", advice.APPLICATION.format(name=found.name, owner=found.owner))
    if found.code_grant:
        yield Finding("application", "problem", advice.CODE_GRANT)
    if found.public:
        yield Finding("application", "warning", advice.PUBLIC)
    if found.endpoint:
        yield Finding("application", "problem", advice.ENDPOINT.format(url=found.endpoint))


def _intents(facts: Facts) -> Iterator[Finding]:
    refused = facts.greeting is not None and facts.greeting.code == NO_SUCH_INTENT
    if refused or not facts.application.reads_messages:
        yield Finding("intents", "problem", NO_INTENT)
    else:
        yield Finding("intents", "ok", advice.INTENT)


def _gateway(facts: Facts) -> Iterator[Finding]:
    starts, greeting = facts.starts, facts.greeting
    hours = max(1, round(starts.reset_seconds / 3600))
    match greeting:
        case None:
            yield Finding("gateway", "problem", advice.NO_START.format(left=starts.left, hours=hours))
            return
        case _ if greeting.reason is not None:
            text = advice.NO_GATEWAY.format(url=facts.gateway_url, reason=greeting.reason)
            yield Finding("gateway", "problem", text)
        case _ if greeting.code == BAD_TOKEN:
            yield Finding("gateway", "problem", UNAUTHORIZED)
        case _ if greeting.code not in (None, NO_SUCH_INTENT):
            yield Finding("gateway", "problem", advice.CLOSED.format(code=greeting.code))
        case _ if greeting.code is None:
            text = advice.GATEWAY.format(left=starts.left, total=starts.total)
            yield Finding("gateway", "ok", text)
    if starts.left < FEW_STARTS:
        text = advice.FEW_STARTS.format(left=starts.left, total=starts.total, hours=hours)
        yield Finding("gateway", "warning", text)


# ---------------------------------------------------------------- servers and channels


def _servers(facts: Facts) -> Iterator[Finding]:
    names = facts.names
    if not names:
        yield Finding("servers", "problem", advice.NO_SERVER)
        return
    shown = ", ".join(names[:MOST_NAMES])
    if len(names) > MOST_NAMES:
        shown += f" and {len(names) - MOST_NAMES} more"
    yield Finding("servers", "ok", advice.SERVERS.format(count=_count(len(names), "server"), names=shown))
    for server in facts.servers:
        if server.silenced_until is not None:
            text = advice.SILENCED.format(server=server.name, until=server.silenced_until)
            yield Finding("servers", "problem", text)
    if not facts.places and len(facts.servers) < len(names):
        more = _count(len(names) - len(facts.servers), "server")
        yield Finding("servers", "warning", advice.MORE_SERVERS.format(count=more))


def _place(facts: Facts, place: Place) -> Finding:
    """What becomes of a place that the configuration names."""
    named, found = place.named, place.found
    shown = named.route.thread_id or named.route.platform_id
    if not isinstance(found, Channel):
        text = advice.UNKNOWN if found == "unknown" else advice.HIDDEN
        return Finding("channel", "problem", text.format(where=named.where, id=shown))
    about = {"where": named.where, "channel": found.shown, "parent": found.parent}
    if wrong := _misplaced(place, found):
        return Finding("channel", "problem", wrong.format(**about))
    if found.locked:
        return Finding("channel", "problem", advice.LOCKED.format(**about))
    if found.server is not None:
        server = next((each for each in facts.servers if each.id == found.server), None)
        lacking = _lacking(facts.me, server, place.around or found, threads=named.threads) if server else []
        if server is None or permissions.VIEW in lacking:
            return Finding("channel", "problem", advice.HIDDEN.format(where=named.where, id=shown))
        if lacking:
            return _told(found, server, lacking)
    if found.archived:
        return Finding("channel", "warning", advice.ARCHIVED.format(**about))
    return Finding("channel", "ok", advice.EVERYTHING.format(channel=found.shown))


def _misplaced(place: Place, found: Channel) -> str | None:
    """What is wrong with naming this one."""
    is_thread, route = found.kind in THREADS, place.named.route
    if route.thread_id is None and is_thread:
        return advice.IS_THREAD
    if route.thread_id is not None and not is_thread:
        return advice.NO_THREAD
    if route.thread_id is not None and route.platform_id != str(found.parent):
        return advice.OTHER_CHANNEL
    if not is_thread and found.kind not in WRITTEN | FORUMS | DIRECT:
        return advice.NO_MESSAGES
    return None


def _channels(facts: Facts) -> Iterator[Finding]:
    """All of them, where nobody has said which ones matter: one that the bot does not see may be meant so."""
    told: list[Finding] = []
    for server in facts.servers:
        written = [each for each in server.channels if each.kind in WRITTEN | FORUMS]
        lacking = [(each, _lacking(facts.me, server, each)) for each in written]
        usable = [each for each, missing in lacking if not any(one.needed for one in missing)]
        if written and not usable:
            wanted = ", ".join(each.name for each in permissions.ASKED if each.needed)
            yield Finding("channel", "problem", advice.NOWHERE.format(server=server.name, permissions=wanted))
            continue
        if written and not any(missing for _, missing in lacking):
            count = _count(len(written), "channel")
            yield Finding("channel", "ok", advice.IN_ALL.format(server=server.name, count=count))
        told += [
            _told(each, server, missing, warn=True)
            for each, missing in lacking
            if missing and permissions.VIEW not in missing
        ]
    yield from told[:MOST_CHANNELS]
    if len(told) > MOST_CHANNELS:
        more = _count(len(told) - MOST_CHANNELS, "more channel")
        yield Finding("channel", "warning", advice.MORE_CHANNELS.format(count=more))


def _lacking(me: int, server: Server, channel: Channel, *, threads: bool = True) -> list[Permission]:
    """The permissions that the bot lacks there, of those that it would use there."""
    base = permissions.in_server(server.roles, server.held, server=server.id, owner=server.owned)
    allowed = permissions.in_channel(base, channel.overwrites, server.held, server=server.id, member=me)
    if channel.kind in FORUMS:
        unused = {SEND, CREATE_THREADS}
    elif channel.kind in SPOKEN:
        unused = {SEND_IN_THREADS, CREATE_THREADS}
    else:
        unused = set() if threads else {CREATE_THREADS}
    return permissions.missing(allowed, [each for each in permissions.ASKED if each not in unused])


def _told(channel: Channel, server: Server, lacking: Sequence[Permission], *, warn: bool = False) -> Finding:
    needed = any(each.needed for each in lacking)
    text = advice.LACKS_NEEDED if needed else advice.LACKS
    names = " and ".join(filter(None, [", ".join(each.name for each in lacking[:-1]), lacking[-1].name]))
    state: State = "problem" if needed and not warn else "warning"
    return Finding(
        "channel", state, text.format(channel=channel.shown, server=server.name, permissions=names)
    )


# ---------------------------------------------------------------- commands


def _commands(facts: Facts, payload: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    for server, registered in facts.registered.items():
        where = "for all servers" if server is None else f"for the server {server}"
        if registered is None:
            yield Finding("commands", "problem", advice.NOT_IN_SERVER.format(id=server))
        elif not registered:
            yield Finding("commands", "warning", advice.NO_COMMANDS.format(where=where))
        elif not layout.same(payload, registered):
            yield Finding("commands", "warning", advice.OTHER_COMMANDS.format(where=where))
        else:
            yield Finding("commands", "ok", advice.COMMANDS.format(where=where))


# ---------------------------------------------------------------- nothing to judge


def _unanswered(wanted: Wanted, exc: SendFailed) -> tuple[str, str]:
    """What it was about, and the sentence, for a call that has failed as a whole."""
    cause = exc.__cause__
    if exc.everywhere and exc.retry_after == UNAUTHORIZED_SECONDS:
        return "token", UNAUTHORIZED
    if isinstance(cause, discord.NotFound):
        return "connection", advice.NOT_DISCORD.format(url=wanted.rest_url, example=EXAMPLE_URL)
    if isinstance(cause, discord.DiscordException):
        return "connection", advice.REFUSED.format(reason=shown_name(str(exc), REASON_CHARS))
    return "connection", advice.UNREACHABLE.format(url=wanted.rest_url, reason=type(cause).__name__)


def _only(about: str, text: str) -> Checkup:
    return Checkup([Finding(about, "problem", text)])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
