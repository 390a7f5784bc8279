"""From markdown to mrkdwn, Slack's own markup, in which it takes the text of a notification and of a section. Pure, and
in time in proportion to the text.

What mrkdwn has is in Slack's documentation, Formatting message text: no headings, no lists, no tables, and `&`, `<`
and `>` as entities wherever they are no markup of its own.
"""

from __future__ import annotations

import re
from typing import Final

from adapters.lines import Frame, opening
from adapters.tables import tables_as_code
from adapters.text import shortened, split, utf16_units

BULLETS: Final = ("•", "◦", "▪")
"""By how deep a list lies."""

_HEADING: Final = re.compile(r" {0,3}#{1,6}[ \t]+(?P<text>.*?)[ \t]*#*[ \t]*")
_RULE: Final = re.compile(r" {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})")
_ITEM: Final = re.compile(r"(?P<indent>[ \t]*)[-*+][ \t]+(?:\[(?P<done>[ xX])\][ \t]+)?")
_QUOTE: Final = re.compile(r" {0,3}(?P<marks>(?:>[ \t]?)+)")
_URL: Final = r"(?:https?://|mailto:)"
_INLINE: Final = re.compile(
    r"\\(?P<literal>[!-/:-@\[-`{-~])"
    r"|(?<!`)(?P<ticks>`{1,3}+)(?!`)(?P<code>[^`]{1,2000}+)(?P=ticks)(?!`)"
    r"|(?P<mention><(?:@[UW][A-Z0-9]{1,40}|#C[A-Z0-9]{1,40})>)"
    rf"|<(?P<auto>{_URL}[^\s<>|]{{1,2000}})>"
    r"|!?\[(?P<label>(?:[^\[\]\\\n]|\\.|\[[^\[\]\n]{0,200}\]){1,500})\]"
    rf"\((?P<target>{_URL}[^\s<>|()]{{1,2000}}(?:\([^\s<>|()]{{0,500}}\)[^\s<>|()]{{0,500}})?)(?:\s+\"[^\"\n]{{0,500}}\")?\)"
    rf"|(?P<bare>(?<![\w/])https?://[^\s<>|*`\]\u200b]{{1,2000}})"
    r"|(?P<both>\*\*\*)(?=\S)(?P<bold_italic>[^*\n]{1,2000})(?<=\S)\*\*\*"
    r"|(?P<strong>\*\*|(?<!\w)__)(?=\S)(?P<bold>(?:[^*_\n]|(?!(?P=strong))[*_]){1,2000})(?<=\S)(?P=strong)"
    r"|~~(?=\S)(?P<gone>[^~\n]{1,2000})(?<=\S)~~"
    r"|\*(?=[^\s*])(?P<italic>[^*\n]{1,2000})(?<=\S)\*(?!\*)"
)
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_CONTROL: Final = re.compile("[&<>]")
_TRAILING: Final = ".,;:!?)]}'\""


def escape(text: str) -> str:
    """Words with nothing in them that is markup of Slack's own."""
    return _CONTROL.sub(lambda found: _ENTITIES[found[0]], text)


def weight(text: str) -> int:
    """How long a piece of markdown is at most as mrkdwn, in characters: what is escaped counts as long as it gets, and
    a line, which may become bold, and a bare address each two more."""
    return (
        utf16_units(text)
        + 4 * text.count("&")
        + 3 * (text.count("<") + text.count(">"))
        + 2 * (text.count("\n") + text.count("://"))
    )


def mrkdwn(text: str) -> str:
    """A text in markdown as mrkdwn. A mention by its id stays one: who may be called is not decided here."""
    shown: list[str] = []
    fence: Frame | None = None
    for line in tables_as_code(text).split("\n"):
        if fence is not None:
            ended = fence.ended_by(line)
            shown.append("```" if ended else escape(line))
            fence = None if ended else fence
        elif "```" not in line and "~~~" not in line:
            shown.append(_line(line))
        elif opened := opening(line):
            fence = Frame(mark=opened["mark"], quoted=">" in opened["lead"])
            shown.append("```")
        else:
            shown.append(_line(line))
    if fence is not None:
        shown.append("```")
    return "\n".join(shown)


def notification(text: str, limit: int) -> str:
    """The same in at most `limit` characters: as much of its beginning as has room, and an ellipsis."""
    pieces = split(text[: limit * 2], limit - 2, weight) if text else []
    if not pieces:
        return ""
    first = mrkdwn(pieces[0])
    if utf16_units(first) > limit:
        first = escape(shortened(pieces[0], limit // 5, len))
    return first if len(pieces) == 1 and len(text) <= limit * 2 else f"{first}\n…"


def messages(text: str, limit: int) -> list[str]:
    """All of it, in as many pieces of at most `limit` characters as it takes."""
    done: list[str] = []
    for piece in split(text, limit, weight):
        shown = mrkdwn(piece)
        # No text that anybody writes grows by more than was weighed; one that does comes without markup.
        done += (
            [shown]
            if utf16_units(shown) <= limit
            else [escape(each) for each in split(piece, limit // 5, len)]
        )
    return done


def _line(line: str) -> str:
    if _RULE.fullmatch(line):
        return "———"
    if heading := _HEADING.fullmatch(line):
        words = _inline(heading["text"]).replace("*", "")
        return f"*{words}*" if words.strip() else ""
    if quote := _QUOTE.match(line):
        return f"> {_line(line[quote.end() :])}".rstrip()
    if item := _ITEM.match(line):
        depth = min(len(item["indent"].expandtabs(4)) // 2, len(BULLETS) - 1)
        box = {None: "", " ": "☐ "}.get(item["done"], "☑ ")
        return f"{item['indent']}{BULLETS[depth]} {box}{_inline(line[item.end() :])}"
    return _inline(line)


def _inline(text: str) -> str:
    pieces: list[str] = []
    position = 0
    for found in _INLINE.finditer(text):
        pieces += (escape(text[position : found.start()]), _marked(found))
        position = found.end()
    return "".join((*pieces, escape(text[position:])))


def _marked(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "literal":
            return escape(found["literal"])
        case "code":
            return f"`{escape(found['code'].strip() or found['code'])}`"
        case "mention":
            return found["mention"]
        case "auto":
            return f"<{escape(found['auto'])}>"
        case "target":
            label = _inline(found["label"]).replace("|", "¦")
            return f"<{escape(found['target'])}|{re.sub('<[^>]*[|>]', '', label).replace('>', '')}>"
        case "bare":
            url = found["bare"].rstrip(_TRAILING)
            return f"<{escape(url)}>{escape(found['bare'][len(url) :])}"
        case "bold_italic":
            return f"*_{_inline(found['bold_italic'])}_*"
        case "bold":
            return f"*{_inline(found['bold'])}*"
        case "gone":
            return f"~{_inline(found['gone'])}~"
        case _:
            return f"_{_inline(found['italic'])}_"
