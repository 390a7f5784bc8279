"""Secrets of known shape, found in a text and struck out. Pure, and linear in the length of the text.

What is looked for: keys of Anthropic, OpenAI, GitHub, AWS and Google, tokens of Slack and Discord and of their
webhooks, what a connection to Slack is opened with, a signing secret that is named as one, JSON web tokens, bearer
headers and private key blocks. A secret of no known shape passes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Span:
    """Where a secret stands: text[start:end]."""

    kind: str
    start: int
    end: int


# Each pattern either ends in an open run, which cannot fail once it is long enough, or begins only where a run
# begins. So no character is looked at more than a few times, whatever somebody writes to slow this down. A
# literal stands before its look-behind, because re then searches for the literal, thirty times as fast.
_PATTERNS: Final = (
    ("api key", r"sk-(?<![A-Za-z0-9]sk-)(?:ant|proj|svcacct|admin|or-v1)-[A-Za-z0-9_-]{16,}+"),
    ("api key", r"sk-(?<![A-Za-z0-9]sk-)[A-Za-z0-9]{32,}+"),
    ("slack token", r"x(?<![A-Za-z0-9]x)(?:ox[a-z](?:\.xox[a-z])?|app)-[A-Za-z0-9-]{10,}+"),
    (
        "discord token",
        r"(?<![A-Za-z0-9_-])[MNO][A-Za-z0-9_-]{22,29}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}+",
    ),
    ("github token", r"gh(?<![A-Za-z0-9]gh)[opsur]_[A-Za-z0-9]{36,}+"),
    ("github token", r"github_pat_(?<![A-Za-z0-9]github_pat_)[A-Za-z0-9_]{22,}+"),
    ("aws key", r"A(?<![A-Za-z0-9]A)[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("google key", r"AIza(?<![A-Za-z0-9]AIza)[A-Za-z0-9_-]{35}"),
    ("web token", r"eyJ(?<![A-Za-z0-9_-]eyJ)[A-Za-z0-9_-]{8,}+\.eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+"),
    ("discord webhook", r"/(?:webhooks|interactions)/\d{15,21}/(?P<secret>[A-Za-z0-9_.=-]{20,}+)"),
    ("slack webhook", r"hooks\.slack\.com/[a-z]{1,20}/(?P<secret>[A-Za-z0-9_/-]{20,}+)"),
    ("slack ticket", r"ticket=(?<![A-Za-z0-9_]ticket=)(?P<secret>[A-Za-z0-9._%-]{20,}+)"),
    (
        "slack secret",
        r"[Ss]igning[_ -][Ss]ecret[\"']?(?: ?[=:])? ?[\"']?(?P<secret>[0-9a-f]{32})(?![0-9a-f])",
    ),
    ("bearer token", r"(?<![A-Za-z0-9])[Bb][Ee][Aa][Rr][Ee][Rr][ \t]{1,4}(?P<secret>[\w.~+/-]{20,}+=*+)"),
)
_COMPILED: Final = tuple((kind, re.compile(pattern, re.ASCII)) for kind, pattern in _PATTERNS)
_KEY_BEGIN: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END: Final = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")


def redact(text: str) -> str:
    """The text with `[redacted <kind>]` in the place of every secret."""
    pieces: list[str] = []
    position = 0
    for span in find(text):
        pieces += (text[position : span.start], f"[redacted {span.kind}]")
        position = span.end
    return "".join((*pieces, text[position:]))


def find(text: str) -> list[Span]:
    """The secrets in the text, in order, none overlapping another."""
    spans = _private_keys(text)
    for kind, pattern in _COMPILED:
        group = "secret" if "secret" in pattern.groupindex else 0
        spans += (Span(kind, *match.span(group)) for match in pattern.finditer(text))
    return _merged(sorted(spans, key=lambda span: (span.start, -span.end)))


def _private_keys(text: str) -> list[Span]:
    spans: list[Span] = []
    position = 0
    while begin := _KEY_BEGIN.search(text, position):
        end = _KEY_END.search(text, begin.end())
        # A block that was cut short is a key all the same.
        position = end.end() if end else len(text)
        spans.append(Span("private key", begin.start(), position))
    return spans


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in spans:
        if merged and span.start < merged[-1].end:
            last = merged.pop()
            span = Span(last.kind, last.start, max(last.end, span.end))
        merged.append(span)
    return merged
