"""`roost slack check`: whether the bot is set up so that people get their answers, and what to do where it is not.

examine.py finds out by the Web API, hello.py asks the ways in, facts.py reads what they were told; here it is judged,
which is pure, and advice.py has the sentences.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from typing import Final

from slack_sdk.errors import SlackApiError

from adapters.base import SendFailed
from adapters.checkup import Checkup, Finding
from adapters.slack import advice, ids, methods
from adapters.slack.errors import UNAUTHORIZED, UNAUTHORIZED_SECONDS
from adapters.slack.examine import Wanted, gather
from adapters.slack.facts import Channel, Facts, Greeting, Place
from adapters.slack.sockets import SWITCHED_OFF, TOO_MANY
from adapters.text import shown_name
from agent.protocol.clock import Clock

SECONDS: Final = 30.0
"""How long all of it may take."""
EXAMPLE_URL: Final = "https://slack.com/api/"
APPS: Final = "https://api.slack.com/apps"
"""Where an app's pages are, each below the app's id."""
GENERAL, OAUTH, HOME, EVENTS, SOCKET_MODE = (
    "general",
    "oauth",
    "app-home",
    "event-subscriptions",
    "socket-mode",
)
SKEW_SECONDS: Final = 240.0
"""Slack's requests count for five minutes. Its documentation, Verifying requests from Slack."""
AGENTS: Final = frozenset({"", "thread_ts_required", "thread_not_found"})
NO_AGENTS: Final = frozenset({"not_agent_app"})
DISABLED: Final = frozenset({"feature_disabled", "unknown_method", "method_deprecated"})
"""What agents.sessions.setStatus says to an agent that names no thread, to an app that is none (of which Slack's
documentation does not tell), and where there are none at all. Other errors tell nothing of it."""
PEOPLE: Final = ("U", "W")
"""What the id of a person begins with."""
MOST_NAMES: Final = 10
"""Of channels, in one line."""
REASON_CHARS: Final = 300
_SECRET: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)

_log = logging.getLogger("roost.slack")


async def check(wanted: Wanted, *, clock: Clock, seconds: float = SECONDS) -> Checkup:
    """How the bot is set up; raises nothing that Slack can bring about."""
    try:
        async with asyncio.timeout(seconds):
            found = await gather(wanted, clock=clock)
    except TimeoutError:
        return _only("connection", advice.SLOW.format(seconds=round(seconds)))
    except SendFailed as exc:
        return _only(*_unanswered(wanted, exc))
    except (KeyError, TypeError, ValueError, AttributeError):
        _log.debug("an answer of Slack's could not be read", exc_info=True)
        return _only("connection", advice.NOT_SLACK.format(url=wanted.api_url, example=EXAMPLE_URL))
    return Checkup(judged(found, wanted))


def judged(found: Facts, wanted: Wanted) -> list[Finding]:
    """What is to be said of it, at least one line for each part."""
    if not found.bot.bot:
        return [Finding("token", "problem", advice.NO_BOT.format(link=_page(found, OAUTH)))]
    return [
        *_token(found),
        *_clock(found, wanted),
        *_scopes(found),
        *_sockets(found, wanted),
        *_http(found, wanted),
        *_agent(found),
        *_messages(found),
        *(_place(found, place) for place in found.places),
        *([] if found.places else _channels(found)),
    ]


# ---------------------------------------------------------------- the app and its ways in


def _token(found: Facts) -> Iterator[Finding]:
    bot = found.bot
    yield Finding("token", "ok", advice.TOKEN.format(name=bot.name, id=bot.user, team=bot.team))
    if found.rotates:
        yield Finding("token", "problem", advice.ROTATION)
    if bot.org_wide:
        yield Finding("token", "problem", advice.ORG_WIDE.format(link=_page(found, "")))
    if bot.app and found.greeting is not None and found.greeting.app not in ("", bot.app):
        yield Finding("token", "problem", advice.TWO_APPS.format(bot=bot.app, app=found.greeting.app))


def _clock(found: Facts, wanted: Wanted) -> Iterator[Finding]:
    if abs(found.skew_seconds) > SKEW_SECONDS:
        minutes = round(abs(found.skew_seconds) / 60)
        state: Final = "problem" if wanted.mode == "http" else "warning"
        yield Finding("clock", state, advice.CLOCK.format(minutes=minutes))


def _scopes(found: Facts) -> Iterator[Finding]:
    if found.scopes is None:
        return
    missing = [each for each in methods.scopes() if each not in found.scopes]
    if not missing:
        yield Finding("scopes", "ok", advice.SCOPES.format(count=len(methods.scopes())))
    for each in missing:
        loss = advice.LOSSES.get(each, advice.OTHER_LOSS)
        text = advice.MISSING_SCOPE.format(scope=each, loss=loss, link=_page(found, OAUTH))
        yield Finding("scopes", "problem" if each in advice.NEEDED else "warning", text)


def _sockets(found: Facts, wanted: Wanted) -> Iterator[Finding]:
    greeting = found.greeting
    if greeting is None:
        return
    if wrong := _no_socket(found, greeting):
        yield Finding("sockets", "problem", wrong)
        return
    if greeting.doubted:
        text = advice.SOCKET_DOUBTED.format(link=_page(found, SOCKET_MODE))
        yield Finding("sockets", "warning", text)
    else:
        yield Finding("sockets", "ok", advice.SOCKET.format(connections=greeting.connections))
    others = greeting.connections - 1
    if others > wanted.sockets:
        text = advice.OTHERS.format(others=others, sockets=wanted.sockets, link=_page(found, GENERAL))
        yield Finding("sockets", "warning", text)


def _no_socket(found: Facts, greeting: Greeting) -> str | None:
    """Why nothing can be heard by sockets."""
    general = _page(found, GENERAL)
    match greeting:
        case Greeting(error="missing_scope"):
            return advice.NO_CONNECTIONS_SCOPE.format(link=general)
        case Greeting(error=str(error)) if error:
            return advice.BAD_APP.format(error=shown_name(error, REASON_CHARS), link=general)
        case Greeting(closed=reason) if reason == SWITCHED_OFF:
            return advice.SOCKET_OFF.format(link=_page(found, SOCKET_MODE))
        case Greeting(closed=reason) if reason == TOO_MANY:
            return advice.TOO_MANY.format(link=general)
        case Greeting(closed="", failure=""):
            return None
        case _:
            reason = shown_name(greeting.failure or greeting.closed, REASON_CHARS)
            return advice.NO_SOCKET.format(reason=reason)


def _http(found: Facts, wanted: Wanted) -> Iterator[Finding]:
    door = found.door
    if door is None:
        return
    if _SECRET.fullmatch(wanted.signing_secret or "") is None:
        text = advice.ODD.format(link=_page(found, GENERAL))
        yield Finding("http", "warning", text)
    match door.state:
        case "open":
            yield Finding("http", "ok", advice.DOOR.format(url=door.url, link=_page(found, "")))
        case "closed":
            text = advice.DOOR_CLOSED.format(url=door.url, link=_page(found, EVENTS))
            yield Finding("http", "warning", text)
        case "refused":
            yield Finding("http", "problem", advice.DOOR_REFUSED.format(url=door.url))
        case "other":
            text = advice.DOOR_OTHER.format(url=door.url, status=door.status)
            yield Finding("http", "problem", text)


# ---------------------------------------------------------------- conversations


def _agent(found: Facts) -> Iterator[Finding]:
    match found.agent:
        case str(error) if error in AGENTS:
            yield Finding("agent", "ok", advice.AGENT)
        case str(error) if error in NO_AGENTS:
            yield Finding("agent", "warning", advice.NO_AGENT.format(link=_page(found, "")))
        case str(error) if error in DISABLED:
            yield Finding("agent", "warning", advice.AGENT_DISABLED.format(error=error))
        case _:
            pass
    if not found.stops:
        yield Finding("agent", "warning", advice.NO_STOPS.format(link=_page(found, EVENTS)))


def _messages(found: Facts) -> Iterator[Finding]:
    """Whether people can write to the bot directly: where they cannot, no call to Slack tells of it."""
    if found.written:
        yield Finding("messages", "ok", advice.WRITTEN)
    elif found.written is not None:
        yield Finding("messages", "warning", advice.UNWRITTEN.format(link=_page(found, HOME)))


def _place(found: Facts, place: Place) -> Finding:
    """What becomes of a place that the configuration names."""
    named, channel, bot = place.named, place.found, found.bot.name
    about = {"where": named.where, "id": named.route.platform_id, "name": bot}
    if channel == "unseen":
        return Finding("channel", "warning", advice.UNSEEN.format(error=place.error, **about))
    if not isinstance(channel, Channel):
        is_person = named.route.platform_id.startswith(PEOPLE) and ids.is_id(named.route.platform_id)
        text = advice.PERSON if is_person else advice.UNKNOWN
        return Finding("channel", "problem", text.format(**about))
    if channel.archived:
        text = advice.ARCHIVED.format(channel=channel.shown, **about)
    elif not channel.member:
        text = advice.NO_MEMBER.format(channel=channel.shown, **about)
    elif not place.thread:
        text = advice.NO_THREAD.format(channel=channel.shown, thread=named.route.thread_id, **about)
    else:
        return Finding("channel", "ok", advice.MEMBER.format(channel=channel.shown))
    return Finding("channel", "problem", text)


def _channels(found: Facts) -> Iterator[Finding]:
    """All of them, where nobody has said which ones matter."""
    if found.channels is None:
        return
    if not found.channels:
        yield Finding("channel", "warning", advice.NO_CHANNEL.format(name=found.bot.name))
        return
    count = len(found.channels)
    names = ", ".join(f"#{each.name}" for each in found.channels[:MOST_NAMES])
    if count > MOST_NAMES:
        names += f" and {count - MOST_NAMES} more"
    counted = "1 channel" if count == 1 else f"{count} channels"
    yield Finding("channel", "ok", advice.CHANNELS.format(count=counted, names=names))


# ---------------------------------------------------------------- nothing to judge


def _page(found: Facts, page: str) -> str:
    """The address of one of the app's pages; that of all apps where nobody knows which one it is."""
    app = found.bot.app or (found.greeting.app if found.greeting is not None else "")
    if re.fullmatch(r"A[A-Z0-9]{2,40}", app, re.ASCII) is None:
        return APPS
    return f"{APPS}/{app}/{page}" if page else f"{APPS}/{app}"


def _unanswered(wanted: Wanted, exc: SendFailed) -> tuple[str, str]:
    """What it was about, and the sentence, for a call that has failed as a whole."""
    cause = exc.__cause__
    if exc.everywhere and exc.retry_after == UNAUTHORIZED_SECONDS:
        return "token", UNAUTHORIZED
    if isinstance(cause, SlackApiError):
        status = int(getattr(cause.response, "status_code", 0) or getattr(cause.response, "status", 0) or 0)
        data = getattr(cause.response, "data", None)
        if status < 500 and not (isinstance(data, dict) and "ok" in data):
            return "connection", advice.NOT_SLACK.format(url=wanted.api_url, example=EXAMPLE_URL)
        return "connection", advice.REFUSED.format(reason=shown_name(str(exc), REASON_CHARS))
    return "connection", advice.UNREACHABLE.format(url=wanted.api_url, reason=type(cause).__name__)


def _only(about: str, text: str) -> Checkup:
    return Checkup([Finding(about, "problem", text)])
