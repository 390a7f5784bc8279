"""Slack's escapes in what people write, as an agent is to read them. Pure.

Slack's documentation, Formatting message text: `<@U1>`, `<#C1|name>`, `<!here>`, `<https://x|label>`, and &amp; &lt;
&gt; for the three characters that these are made of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from adapters.slack.people import SOMEBODY, Known
from adapters.text import shown_name

MENTION: Final = re.compile(r"<@([UWB][A-Z0-9]{1,40})(?:\|[^<>]{0,200})?>", re.ASCII)
_ESCAPE: Final = re.compile(r"<([^<>]{1,4000})>")


def mentioned(text: str) -> list[str]:
    """The ids of the people whom a text names, in their order."""
    return [found[1] for found in MENTION.finditer(text)]


def plain(text: str, people: Mapping[str, Known], me: str) -> str:
    """The text with names in the place of ids. A mention of the bot itself is left out."""

    def named(found: re.Match[str]) -> str:
        inner, _, label = found[1].partition("|")
        match inner[:1]:
            case "@":
                if inner[1:] == me:
                    return ""
                known = people.get(inner[1:])
                return f"@{known.name if known else shown_name(unescaped(label)) or SOMEBODY}"
            case "#":
                return f"#{shown_name(unescaped(label)) or 'channel'}"
            case "!":
                return _special(inner[1:], unescaped(label))
            case _:
                url, shown = unescaped(inner.removeprefix("mailto:")), unescaped(label)
                return url if not shown or shown == url or url.endswith(f"//{shown}") else f"{shown} ({url})"

    return unescaped_around(text, named).strip()


def unescaped(text: str) -> str:
    """The three characters that Slack escapes."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def unescaped_around(text: str, named: Callable[[re.Match[str]], str]) -> str:
    """`named` says what stands for an escape; what is around them is unescaped. Once each: what somebody has typed that
    looks like an escape is none."""
    parts: list[str] = []
    at = 0
    for found in _ESCAPE.finditer(text):
        parts += [unescaped(text[at : found.start()]), named(found)]
        at = found.end()
    return "".join([*parts, unescaped(text[at:])])


def _special(inner: str, label: str) -> str:
    kind, *rest = inner.split("^")
    if kind in ("here", "channel", "everyone"):
        return f"@{kind}"
    if kind == "subteam":
        return label if label.startswith("@") else f"@{label or 'group'}"
    return label or (rest[-1] if rest else kind)
