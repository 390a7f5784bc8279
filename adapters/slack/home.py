"""The Home tab of the app: how to begin, who may, what waits for a decision, and what somebody has talked about with
it. Pure.

Slack's documentation, views.publish: at most 100 blocks. What is to be pressed in it gives a command, which stands in
the button's value; whether whoever presses may give it is decided then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from adapters.slack import ids, kit
from adapters.slack.guard import guarded
from adapters.slack.mrkdwn import escape
from adapters.tables import columns_as_code
from adapters.text import shown_name

CONVERSATIONS: Final = "conversations"
"""The command whose data is the list of somebody's conversations: place, thread, title, and at, in ISO 8601."""
APPROVALS: Final = "approval list"
"""The command whose data is the list of approvals: id, state, agent, summary, and the choices."""
OPEN: Final = {"state": "open"}
"""What is asked of it, where it can be."""
APPROVE, DENY = "approval approve", "approval deny"
USAGE: Final = "usage"
"""The command that tells what somebody has used."""
PRESSED: Final = "rh:"
"""The action ids of the tab's buttons begin so."""
MOST: Final = 20
MOST_WAITING: Final = 5
BUTTONS: Final = 5
"""Of one approval, with the one that denies it."""
USAGE_SECTIONS: Final = 1
LABEL_CHARS: Final = 75
PROMPTS: Final = 4
"""Slack's documentation, assistant.threads.setSuggestedPrompts."""
PROMPT_TITLE: Final = "What can I do for you?"
HOW: Final = (
    "Talk to me in a channel by naming me, {bot}, or in a direct message; I answer in a thread, and there you need not"
    " name me again. `/roost help` lists what else you can tell me; in a thread, where Slack has no such commands,"
    " write `!help`."
)
WAITING: Final = "Waiting for a decision"
MORE_WAIT: Final = "And {count} more: `/roost approval list` has them all."
SPENT: Final = "Usage"
YOURS: Final = "My conversations"
NONE: Final = "There are none yet."
NO_TITLE: Final = "A conversation"


@dataclass(frozen=True)
class Shown:
    """What somebody is shown: what came of what they have pressed (`told`), what the service says of them (`who`), the
    approvals that are `waiting`, what they have used, and their `conversations`, None where it does not tell of any."""

    told: str = ""
    who: str = ""
    waiting: Sequence[Mapping[str, Any]] = ()
    usage: str = ""
    conversations: Sequence[Mapping[str, Any]] | None = None


def view(bot: str, shown: Shown, team: str) -> dict[str, Any]:
    """The tab for somebody."""
    blocks = kit.sections(guarded(shown.told))[:2]
    if shown.waiting:
        blocks += [kit.header(WAITING), *_waiting(shown.waiting)]
    blocks += [kit.header("How to begin"), kit.section(HOW.format(bot=f"<@{bot}>"))]
    if shown.who:
        blocks += kit.sections(guarded(shown.who))[:2]
    if shown.usage:
        blocks += [kit.header(SPENT), *kit.sections(columns_as_code(guarded(shown.usage)))[:USAGE_SECTIONS]]
    if shown.conversations is not None:
        blocks += [kit.header(YOURS), *_listed(shown.conversations, team)]
    return {"type": "home", "blocks": blocks}


def _waiting(approvals: Sequence[Mapping[str, Any]]) -> Iterator[kit.Block]:
    for number, each in enumerate(approvals[:MOST_WAITING]):
        summary = shown_name(str(each.get("summary") or ""), kit.SECTION_CHARS // 4)
        agent = shown_name(str(each.get("agent") or ""))
        yield kit.section(f"*{escape(guarded(summary))}*\n{escape(guarded(agent))}")
        choices = each.get("choices")
        ways = [str(way) for way in choices] if isinstance(choices, Sequence) and choices else ["Approve"]
        approval = str(each.get("id") or "")
        buttons = [
            *(_button(way, APPROVE, {"id": approval, "choice": way}) for way in ways[: BUTTONS - 1]),
            _button("Deny", DENY, {"id": approval}),
        ]
        named = [button | {"action_id": f"{PRESSED}{number}:{n}"} for n, button in enumerate(buttons)]
        yield {"type": "actions", "elements": named}
    if len(approvals) > MOST_WAITING:
        yield kit.section(MORE_WAIT.format(count=len(approvals) - MOST_WAITING))


def _button(label: str, command: str, arguments: Mapping[str, str]) -> kit.Block:
    value = json.dumps({"command": command, "arguments": dict(arguments)})
    return {"type": "button", "text": kit.plain(label, LABEL_CHARS), "value": value}


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
