"""What is shown of an answer that is still being written. Pure.

A stream on Slack is only ever added to (documentation, chat.appendStream), so nothing is shown that may turn out to be
something else: a fence, a table, a link or a mention is held back until it is whole.
"""

from __future__ import annotations

import re
from typing import Final

from adapters.lines import Frame, opening
from adapters.slack.guard import guarded
from adapters.slack.kit import MESSAGE_CHARS
from adapters.slack.laying import READ_CHARS
from adapters.tables import parted
from adapters.text import pieces

MARK_CHARS: Final = 80
"""More than these are no beginning of a line that is being written in good faith."""

_MARKS: Final = frozenset(" \t>#`~*+-|.)0123456789")
_RULE_MARKS: Final = frozenset(" \t|:-")
_WHOLE: Final = re.compile(
    r"\\."
    r"|(?<!`)(?P<ticks>`{1,3}+)(?!`)[^`]*+(?P=ticks)(?!`)"
    r"|!?\[[^\[\]]*+\](?:\([^()\s]*+(?:\([^()\s]*+\)[^()\s]*+)?(?:\s[^()]*+)?\)|\[[^\[\]]*+\]|(?=[^(\[:]))"
    r"|<[^<>]*+>"
    r"|\*\*(?=\S)(?:[^*]|\*(?!\*))+?\*\*"
    r"|~~(?=\S)[^~]++~~"
    r"|\*(?=[^\s*])[^*]++\*"
    r"|(?<!\w)_(?=\S)[^_]++_"
)
_HALF: Final = re.compile(r"[`\[]|<(?=\S|$)|\*(?=\S|$)|~~|(?<!\w)_|&(?=\S{0,10}$)")


def live(text: str, *, people: bool = False) -> str:
    """As much of the beginning of an unfinished answer as can be shown: what its first message begins with once it is
    whole, and never more than one stream carries. May be empty. `people` as for the drafts."""
    at = text.rfind("\n") + 1
    whole, last = text[:at], text[at:]
    fence = _open_fence(whole)
    if fence is not None:
        whole, last = whole[:fence], ""
    before, *tables = parted(guarded(whole, people=people), READ_CHARS)
    if not tables:
        before = guarded(_steady(whole, last), people=people)
    return next(pieces(before, MESSAGE_CHARS), "") if isinstance(before, str) else ""


def addition(shown: str, text: str, *, people: bool = False) -> str | None:
    """What is to be added to what is `shown` so that it is what `live` shows of the text. None where that begins with
    something else: the text was changed, or a line turned out to be the header of a table that begins with no |."""
    now = live(text, people=people)
    return now[len(shown) :] if now.startswith(shown) else None


def _steady(whole: str, last: str) -> str:
    """Of some lines in which there is no table yet, and of the one that is being written, what cannot become something
    else."""
    if _RULE_MARKS.issuperset(last) or (len(last) <= MARK_CHARS and _MARKS.issuperset(last)):
        return _without_header(whole, last)
    return whole + _whole_words(last)


def _open_fence(text: str) -> int | None:
    """Where the fence begins that is not closed."""
    if "```" not in text and "~~~" not in text:
        return None
    fence: Frame | None = None
    start = position = 0
    for line in text.split("\n"):
        if fence is not None:
            fence = None if fence.ended_by(line) else fence
        elif ("```" in line or "~~~" in line) and (opened := opening(line)):
            fence, start = Frame(mark=opened["mark"], quoted=">" in opened["lead"]), position
        position += len(line) + 1
    return None if fence is None else start


def _without_header(text: str, following: str) -> str:
    """A line above what may become the second one of a table is its header."""
    above = text.removesuffix("\n")
    at = above.rfind("\n") + 1
    line = above[at:]
    if not _RULE_MARKS.issuperset(following) or "|" not in line:
        return text
    return text[:at] + _whole_words(f"{line} ")


def _whole_words(line: str) -> str:
    """The beginning of a line, up to the word that is being written, to the first markup that is not closed, and to
    what may end the first cell of a table."""
    end = max(line.rfind(" "), line.rfind("\t"))
    head = line[: max(0, end)].partition("|")[0]
    position = 0
    while half := _HALF.search(head, position):
        whole = _WHOLE.match(line, half.start())
        if whole is None or whole.end() > len(head):
            return head[: half.start()].rstrip(" \t!")
        position = whole.end()
    return head.rstrip()
