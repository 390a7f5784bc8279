"""How people, groups and places are named in a command: by the platform's own ids, bare or within a mention, and never
by a name, which anybody can take. Pure.

| platform | person | group | place |
| --- | --- | --- | --- |
| Discord | `<@1>`, `<@!1>` | `<@&2>` | `<#3>` |
| Slack | `<@U1>`, `<@U1|ann>` | `<!subteam^S1>`, `<!subteam^S1|@ops>` | `<#C1>`, `<#C1|general>` |

(Discord's Reference, Message Formatting; Slack's Formatting text for app surfaces.) Where no platform is at hand, as on
the command line, an id stands behind its channel: `discord:1`, `slack:C1`. Where either a person or a group may be
named, a bare id of Discord's is a person's, as nothing tells them apart, and a group's stands behind a word:
`group:2`, `discord:group:2`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator

from bot.errors import CommandFailed

Kind = Literal["person", "group", "place"]
Either = Literal["person", "group"]
MAX_CHARS: Final = 200

_MENTIONS: Final[dict[Kind, re.Pattern[str]]] = {
    "person": re.compile(r"<@!?([A-Za-z0-9]+)(?:\|[^>]*)?>"),
    "group": re.compile(r"<(?:@&|!subteam\^)([A-Za-z0-9]+)(?:\|[^>]*)?>"),
    "place": re.compile(r"<#([A-Za-z0-9]+)(?:\|[^>]*)?>"),
}
_BARE: Final = re.compile(r"(?:([a-z][a-z0-9_-]*):)?([A-Za-z0-9._-]+)")
_NAMED_KIND: Final = re.compile(r"((?:[a-z][a-z0-9_-]*:)?)(person|group):(.+)")
_DIGITS: Final = re.compile(r"\d{1,20}")
_SLACK: Final[dict[Kind, re.Pattern[str]]] = {
    "person": re.compile(r"[UW][A-Z0-9]{2,}"),
    "group": re.compile(r"S[A-Z0-9]{2,}"),
    "place": re.compile(r"[CDG][A-Z0-9]{2,}"),
}


@dataclass(frozen=True)
class RefKind:
    """Stands in the annotation of a field, and says what its text names."""

    kind: Kind | Literal["who"]


@dataclass(frozen=True)
class Ref:
    """Somebody or something of a platform. `channel` is the adapter's name."""

    channel: str
    id: str

    def __str__(self) -> str:
        return f"{self.channel}:{self.id}"


def _short(value: object) -> object:
    if isinstance(value, str) and not 0 < len(value.strip()) <= MAX_CHARS:
        raise ValueError("empty or too long")
    return value.strip() if isinstance(value, str) else value


Person = Annotated[str, BeforeValidator(_short), RefKind("person")]
Group = Annotated[str, BeforeValidator(_short), RefKind("group")]
Who = Annotated[str, BeforeValidator(_short), RefKind("who")]
"""Either a person or a group; see `who`."""
PlaceName = Annotated[str, BeforeValidator(_short), RefKind("place")]


def parse(text: str, kind: Kind, *, channel: str, known: frozenset[str] | set[str]) -> Ref:
    """What a text names on the surface `channel`; `known` are the names of the channel adapters. Raises CommandFailed
    with what to give instead."""
    mentioned = _MENTIONS[kind].fullmatch(text)
    if mentioned is not None and channel in known:
        return Ref(channel, mentioned[1])
    bare = _BARE.fullmatch(text)
    named = None if bare is None else bare[1] or (channel if channel in known else None)
    if bare is None or named is None or named not in known or not _fits(named, bare[2], kind):
        raise CommandFailed(_instead(text, kind, channel))
    return Ref(named, bare[2])


def who(text: str, *, channel: str, known: frozenset[str] | set[str]) -> tuple[Ref, Either]:
    """The same for a text that names a person or a group, and which of them it is. Raises CommandFailed."""
    if (named := _NAMED_KIND.fullmatch(text)) is not None:
        kind: Either = "group" if named[2] == "group" else "person"
        return parse(named[1] + named[3], kind, channel=channel, known=known), kind
    if _MENTIONS["group"].fullmatch(text) is not None:
        return parse(text, "group", channel=channel, known=known), "group"
    bare = _BARE.fullmatch(text)
    on_slack = bare is not None and (bare[1] or channel) == "slack"
    if bare is not None and on_slack and _SLACK["group"].fullmatch(bare[2]) is not None:
        return parse(text, "group", channel=channel, known=known), "group"
    return parse(text, "person", channel=channel, known=known), "person"


def _fits(channel: str, given: str, kind: Kind) -> bool:
    """A name must not pass for an id where ids are told from names."""
    if channel == "discord":
        return _DIGITS.fullmatch(given) is not None
    if channel == "slack":
        return _SLACK[kind].fullmatch(given) is not None
    return True


def _instead(text: str, kind: Kind, channel: str) -> str:
    shown = text if len(text) <= 40 else text[:39] + "…"
    example = {"person": "@somebody", "group": "@a-group", "place": "#a-channel"}[kind]
    how = (
        f"mention it ({example})"
        if channel in ("discord", "slack")
        else f"give its channel and its id ({channel}:ID)"
    )
    if channel == "control":
        how = "give its channel and its id (discord:123 or slack:C123)"
    return f'"{shown}" is no {kind} that can be told for sure: {how}; names are not taken.'
