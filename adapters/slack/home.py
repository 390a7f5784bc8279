"""The Home tab of the app: how to begin, who may, and what somebody has talked about with it. Pure.

Slack's documentation, views.publish: at most 100 blocks. Nothing in it is to be pressed but links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from adapters.slack import ids, kit
from adapters.slack.guard import guarded
from adapters.slack.mrkdwn import escape
from adapters.text import shown_name

CONVERSATIONS: Final = "conversations"
"""The command whose data is the list of somebody's conversations: place, thread, title, and at, in ISO 8601."""
MOST: Final = 20
PROMPTS: Final = 4
"""Slack's documentation, assistant.threads.setSuggestedPrompts."""
PROMPT_TITLE: Final = "What can I do for you?"
HOW: Final = (
    "Talk to me in a channel by naming me, {bot}, or in a direct message; I answer in a thread, and there you need not"
    " name me again. `/roost help` lists what else you can tell me; in a thread, where Slack has no such commands,"
    " write `!help`."
)
YOURS: Final = "My conversations"
NONE: Final = "There are none yet."
NO_TITLE: Final = "A conversation"


def view(bot: str, who: str, conversations: Sequence[Mapping[str, Any]] | None, team: str) -> dict[str, Any]:
    """The tab for somebody. `who` is what the service says of them; `conversations` is None where it does not tell of
    any."""
    blocks = [kit.header("How to begin"), kit.section(HOW.format(bot=f"<@{bot}>"))]
    if who:
        blocks += kit.sections(guarded(who))[:2]
    if conversations is not None:
        blocks += [kit.header(YOURS), *_listed(conversations, team)]
    return {"type": "home", "blocks": blocks}


def suggested(prompts: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """The prompts as Slack takes them."""
    return [{"title": title, "message": message} for title, message in prompts[:PROMPTS]]


def link(team: str, channel: str, thread: str | None) -> str:
    """Where Slack shows a conversation. Its documentation, Deep linking into Slack, and Permalinks."""
    base = f"https://app.slack.com/client/{team}/{channel}"
    return f"{base}/thread/{channel}-{thread}" if thread else base


def _listed(conversations: Sequence[Mapping[str, Any]], team: str) -> list[kit.Block]:
    lines = [line for each in conversations[:MOST] if (line := _line(each, team))]
    return [kit.section(line) for line in lines] or [kit.section(NONE)]


def _line(told: Mapping[str, Any], team: str) -> str:
    channel, thread = str(told.get("place", "")), str(told.get("thread") or "")
    if not ids.is_id(channel):
        return ""
    where = "in a direct message" if ids.is_direct(channel) else f"in <#{channel}>"
    title = escape(guarded(shown_name(str(told.get("title") or "")).replace("|", "¦"))) or NO_TITLE
    address = link(team, channel, thread if ids.is_ts(thread) else None)
    when = _date(str(told.get("at", "")))
    return f"<{address}|{title}> {where}{when}"


def _date(at: str) -> str:
    """A time, as the command has it, in the reader's own zone; "" for what is none. Slack's documentation, Date
    formatting."""
    try:
        seconds = int(datetime.fromisoformat(at).timestamp())
    except ValueError:
        return ""
    return f", <!date^{seconds}^{{date_short_pretty}} {{time}}|earlier>"
