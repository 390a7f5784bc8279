"""Takes from a text of the agent's what Slack would make of it beyond words: mentions, and links that look like others.
Pure. All of it is done by a zero-width space in the right place, so that a person reads what was written, that code
stays code, and that no parser of ours has to agree with Slack's about what is code.

What is looked for is in Slack's documentation, Formatting message text: `<@U..>`, `<#C..>`, `<!here>`, `<!subteam^..>`,
`<!date^..>`, `<url|label>`; and markdown's own links, which the `markdown` block takes.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

LABEL_CHARS: Final = 500
"""A link with a longer label than that is shown with its address."""
TARGET_CHARS: Final = 300
"""Of an address, to find its host."""
MAX_LABELS: Final = 2_000
"""Of those that may name a host, for the time that it takes to look. The links behind them show their addresses."""
GUARD: Final = "\N{ZERO WIDTH SPACE}"
FILE_ENDINGS: Final = re.compile(r"(?:cc|cs|go|hs|js|md|ml|pl|pm|ps|py|rb|rs|sh|so|tf|ts|vb)")
"""A label with one of these two letters at its end names a file rather than a host of that country."""
HOST_ENDINGS: Final = re.compile(
    r"(?:com|net|org|edu|gov|mil|int|info|biz|name|pro|mobi|app|dev|page|cloud|online|site|website|store"
    r"|shop|blog|tech|xyz|top|club|live|news|link|click|bank|finance|pay|support|security|email|chat|team|group|agency"
    r"|digital|systems|network|services|solutions|software|company|global|world|today|space|host|zip|mov)"
)
"""And so does one with a longer ending that is none of these, as a function of a module has: `asyncio.gather`."""

_PLAIN_MASS: Final = re.compile(r"@(?=(?:everyone|here|channel|group)\b)", re.IGNORECASE)
_OPEN: Final = r"(?:<|&lt;|&#0*60;|&#x0*3c;)"
_MASS: Final = re.compile(rf"{_OPEN}(?=\\?!(?!--|doctype\b|\[cdata))", re.IGNORECASE)
_PERSON: Final = re.compile(rf"{_OPEN}(?=\\?@)", re.IGNORECASE)
_PERSON_LABEL: Final = re.compile(r"(<@[UW][A-Z0-9]{1,40})\|[^>\n]{0,500}>")
_PLACE: Final = re.compile(rf"{_OPEN}(?=\\?#[A-Z0-9])", re.IGNORECASE)
_LABELLED: Final = re.compile(rf"{_OPEN}(?=[a-z][a-z0-9+.-]{{1,20}}:[^\s<>|]{{0,2000}}\|)", re.IGNORECASE)
_BRACKET: Final = re.compile(r"(?<!\\)\[|\]")
_TIGHTER: Final = re.compile("[`>]")
_TARGET: Final = re.compile(rf"\(\s{{0,9}}<?([^\s<>]{{1,{TARGET_CHARS}}})")
_DEFINITION: Final = re.compile(r"^([ \t>]{0,20}\[[^\]\n]{1,200}\])(?=:[ \t]*\S)", re.MULTILINE)
_HOST: Final = re.compile(
    r"(?:(?:https?|ftp):/*|www\.)?((?:[\w-]{1,63}\.){1,10}([^\W\d_]{2,24}))\b", re.IGNORECASE
)
_UNSEEN: Final = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff*_~`\\\\]")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{1,20}:/*", re.IGNORECASE)


def guarded(text: str, *, people: bool = False) -> str:
    """The text as an agent may post it: with nobody called but, where the wiring allows it, `people` by their ids."""
    text = _PLAIN_MASS.sub(f"@{GUARD}", text)
    if "<" in text or "&" in text:
        text = _MASS.sub(_behind, text)
        text = _PLACE.sub(_behind, text)
        text = _LABELLED.sub(_behind, text)
        # Whom it calls is not for a label to say.
        text = _PERSON_LABEL.sub(r"\1>", text) if people else _PERSON.sub(_behind, text)
    return _links(text) if "](" in text or "]:" in text else text


def _behind(found: re.Match[str]) -> str:
    return found[0] + GUARD


def _links(text: str) -> str:
    """A definition stands where nobody sees what its label was; a link shows its address where the label passes for
    another one."""
    text = _DEFINITION.sub(rf"\1{GUARD}", text)
    pieces: list[str] = []
    opened: list[int] = []
    position, left = 0, MAX_LABELS
    for bracket in _BRACKET.finditer(text):
        if bracket[0] == "[":
            opened.append(bracket.end())
            continue
        start = opened.pop() if opened else 0
        target = _TARGET.match(text, bracket.end())
        if target is None:
            continue
        if opened and _TIGHTER.search(text, max(start, bracket.start() - LABEL_CHARS), bracket.start()):
            # The bracket with which it began may be code, and the label may have begun before that.
            start = opened[0]
        label = text[start : bracket.start()] if bracket.start() - start <= LABEL_CHARS else None
        if label is not None and label.isascii() and "." not in label:
            continue
        left -= 1
        if label is None or left < 0 or disguises(label, target[1]):
            pieces += (text[position : bracket.end()], GUARD)
            position = bracket.end()
    return "".join((*pieces, text[position:]))


def disguises(label: str, target: str) -> bool:
    """Whether a label passes for the address of another host than its target's."""
    seen = unicodedata.normalize("NFKC", _UNSEEN.sub("", label)).replace("\u3002", ".").casefold()
    host = _host(target)
    for found in _HOST.finditer(seen):
        named, ending = found[1].removeprefix("www."), found[2]
        if found[0] == found[1] and not _ends_a_host(ending):
            continue
        if named != host:
            return True
    return False


def _ends_a_host(ending: str) -> bool:
    return bool(HOST_ENDINGS.fullmatch(ending)) or (len(ending) == 2 and not FILE_ENDINGS.fullmatch(ending))


def _host(target: str) -> str:
    """Of an address, as a label may name it."""
    scheme = _SCHEME.match(target)
    rest = target[scheme.end() :] if scheme else target
    authority = re.split(r"[/?#)\\]", rest, maxsplit=1)[0]
    if authority == rest and len(target) >= TARGET_CHARS:
        # What is before an @ that is yet to come may look like a host.
        return ""
    return authority.rpartition("@")[2].partition(":")[0].casefold().removeprefix("www.")
