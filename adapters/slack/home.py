"""The Home tab: how to start, and where one's own conversations are. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from adapters.naming import NO_TITLE
from adapters.slack import ids, kit
from adapters.slack.mrkdwn import escape
from adapters.text import shown_name

MOST: Final = 10
START: Final = (
    "*How to start*\n"
    "• Say something to me in *Messages*, or mention me in a channel: I answer in a thread, and there you need no"
    " mention to go on.\n"
    "• `/roost help` shows what you can tell me; in a thread say `!help`.\n"
    "• The menu of any message has *Ask Roost*."
)
STRANGER: Final = "You have no role here yet, so I may not answer you: an admin of this bot can give you one."
NONE_YET: Final = "_You have no conversations with me yet._"
MINE: Final = "*Your conversations*"
_LINK: Final = "{workspace}archives/{channel}/p{ts}"


def view(conversations: Sequence[Mapping[str, Any]] | None, *, workspace: str) -> dict[str, Any]:
    """The view of somebody with these conversations, the newest first; None: they may not talk to the bot. `workspace`
    is the address of the workspace."""
    if conversations is None:
        shown = [kit.section(STRANGER)]
    else:
        lines = list(_lines(conversations, workspace))
        shown = [kit.section(MINE), kit.section("\n".join(lines) if lines else NONE_YET)]
    return {"type": "home", "blocks": [kit.header("Roost"), kit.section(START), {"type": "divider"}, *shown]}


def _lines(conversations: Sequence[Mapping[str, Any]], workspace: str) -> Iterator[str]:
    for each in conversations[:MOST]:
        place, thread = str(each.get("place", "")), str(each.get("thread") or "")
        if each.get("channel") != ids.NAME or not ids.is_id(place):
            continue
        title = escape(shown_name(str(each.get("title", "")))) or NO_TITLE
        at = int(each.get("at") or 0) // 1000
        known = workspace and ids.is_ts(thread)
        ts = thread.replace(".", "")
        link = _LINK.format(workspace=workspace, channel=place, ts=ts) if known else ""
        where = "in Messages" if ids.is_direct(place) else f"in <#{place}>"
        name = f"<{link}|{title.replace('|', '/')}>" if link else title
        yield f"• {name} {where}, <!date^{at}^{{date_short_pretty}} {{time}}|earlier>"
