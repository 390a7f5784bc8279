"""The manifest from which Slack makes the app: all that Roost calls and hears, and nothing else. Pure.

The rules are those of Slack's documentation, App manifest reference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal

from adapters.slack.commands import ROOT
from adapters.slack.methods import EVENTS, scopes

NAME: Final = "Roost"
ASK: Final = "ask_roost"
"""The callback id of the shortcut in the menu of a message."""
DESCRIPTION: Final = "An assistant of your own that answers in channels, threads and direct messages."
LONG_DESCRIPTION: Final = (
    "Mention the assistant in a channel, or write to it directly, and it answers in a thread. Each conversation has an"
    " isolated container of its own on your organisation's machine. What people say where the app is a member, and the"
    " files that they attach, is passed on to that machine and to the model that your organisation has chosen."
)
AGENT: Final = (
    "Ask it anything: it reads what you attach, works in a container of its own, and asks before it guesses."
)
AGENT_EVENTS: Final = frozenset({"agent_session_stopped"})
"""What only an app that is declared as an agent is told. Slack's documentation, Agent sessions."""
MAX_NAME_CHARS: Final = 35
MAX_DISPLAY_NAME_CHARS: Final = 80
MAX_SHORTCUT_CHARS: Final = 24
MAX_HINT_CHARS: Final = 1000
MAX_URL_CHARS: Final = 3000
MAX_PROMPTS: Final = 4
"""Slack's documentation, assistant.threads.setSuggestedPrompts."""

BAD_NAME: Final = (
    "the app's name should have 1 to {most} characters, and a Latin letter or a digit among them"
)
NO_URL: Final = (
    "with HTTP, Slack needs the public address of Roost's listener: give --url an https:// address, such as"
    " {example}"
)
EXAMPLE_URL: Final = "https://roost.example.com/slack/events"
NEEDLESS_URL: Final = (
    'with Socket Mode there is no request URL: leave --url out, or write mode = "http" into [slack]'
)
MANY_PROMPTS: Final = "Slack shows {most} suggested prompts at most"

_UNFIT: Final = re.compile(r"[^a-z0-9._-]+", re.ASCII)
_URL: Final = re.compile(r"https://[^\s/]+/\S+")

Json = dict[str, Any]


def manifest(
    *,
    name: str = NAME,
    mode: Literal["socket", "http"] = "socket",
    request_url: str | None = None,
    agent_view: bool = True,
    prompts: Sequence[tuple[str, str]] = (),
    commands: Sequence[str] = (),
) -> Json:
    """All of it, as Slack takes it as JSON. `request_url` is where Slack reaches Roost, for "http" alone; `prompts` are
    titles and what they say, for an app that is an agent (`agent_view`); `commands` are the words that can follow the
    slash command. Raises ValueError, with a sentence for whoever sets the app up, for what Slack would not take."""
    _look(name, mode, request_url, prompts)
    url = {} if request_url is None else {"request_url": request_url}
    # By sockets what a field offers is asked for where everything else is; by HTTP that address has a name of its own.
    options = {} if request_url is None else {"message_menu_options_url": request_url}
    return {
        "display_information": {
            "name": name,
            "description": DESCRIPTION,
            "long_description": LONG_DESCRIPTION,
        },
        "features": _features(name, request_url, agent_view, prompts, commands),
        "oauth_config": {"scopes": {"bot": scopes()}},
        "settings": {
            "event_subscriptions": {**url, "bot_events": events(agent_view=agent_view)},
            "interactivity": {"is_enabled": True, **url, **options},
            "org_deploy_enabled": False,
            "socket_mode_enabled": mode == "socket",
            "token_rotation_enabled": False,
        },
    }


def events(*, agent_view: bool) -> list[str]:
    """What the app subscribes to."""
    return [each for each in EVENTS if agent_view or each not in AGENT_EVENTS]


def display_name(name: str) -> str:
    """What the bot is called where it is mentioned: small letters, digits, dots and dashes alone, "" where the name has
    none of them."""
    return _UNFIT.sub("-", name.lower()).strip("-._")[:MAX_DISPLAY_NAME_CHARS]


def _look(name: str, mode: str, request_url: str | None, prompts: Sequence[tuple[str, str]]) -> None:
    """Raises ValueError."""
    if not 0 < len(name) <= MAX_NAME_CHARS or not display_name(name):
        raise ValueError(BAD_NAME.format(most=MAX_NAME_CHARS))
    if mode == "socket" and request_url is not None:
        raise ValueError(NEEDLESS_URL)
    fits = (
        request_url is not None
        and _URL.fullmatch(request_url) is not None
        and len(request_url) <= MAX_URL_CHARS
    )
    if mode == "http" and not fits:
        raise ValueError(NO_URL.format(example=EXAMPLE_URL))
    if len(prompts) > MAX_PROMPTS:
        raise ValueError(MANY_PROMPTS.format(most=MAX_PROMPTS))


def _features(
    name: str,
    request_url: str | None,
    agent_view: bool,
    prompts: Sequence[tuple[str, str]],
    commands: Sequence[str],
) -> Json:
    found: Json = {
        "app_home": {
            "home_tab_enabled": True,
            # Without these two nobody can write to the bot, and no call to Slack tells of it.
            "messages_tab_enabled": True,
            "messages_tab_read_only_enabled": False,
        },
        "bot_user": {"display_name": display_name(name), "always_online": True},
        "shortcuts": [_shortcut(name)],
        "slash_commands": [_slash(request_url, commands)],
    }
    if agent_view:
        found["agent_view"] = {"agent_description": AGENT}
        if prompts:
            found["agent_view"]["suggested_prompts"] = [
                {"title": title, "message": message} for title, message in prompts
            ]
    return found


def _shortcut(name: str) -> Json:
    shown = f"Ask {name}"
    return {
        "name": shown if len(shown) <= MAX_SHORTCUT_CHARS else f"Ask {NAME}",
        "type": "message",
        "callback_id": ASK,
        "description": "Ask the assistant about this message",
    }


def _slash(request_url: str | None, commands: Sequence[str]) -> Json:
    """Its hint has as many of the commands as there is room for."""
    words = list(commands)
    while len(" | ".join(words)) > MAX_HINT_CHARS:
        words.pop()
    return {
        "command": ROOT,
        **({} if request_url is None else {"url": request_url}),
        "description": "Talk to the service itself",
        "usage_hint": " | ".join(words) or "help",
        # Whoever and whatever is named comes as its id, which no two people share.
        "should_escape": True,
    }
