"""The names by which Slack knows emoji. Pure, but for reading the table of them once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from adapters.base import SendFailed
from adapters.text import shown_name

TABLE: Final = Path(__file__).with_name("emoji.txt")
"""A line for each: the emoji, its name, and "tones" where it comes in skin tones. Slack's names are those of
https://github.com/iamcal/emoji-data (MIT), from which it is made."""
FIRST_TONE: Final = 2
"""Slack's number of U+1F3FB."""

_PRESENTATION: Final = "\N{VARIATION SELECTOR-16}"
_TONE: Final = re.compile("[\U0001f3fb-\U0001f3ff]")
_NAME: Final = re.compile(r":(?P<name>[\w+'’-]{1,100}(?:::skin-tone-[2-6])?):")
_BARE_NAME: Final = re.compile(r"[a-z0-9_+'-]{2,100}(?:::skin-tone-[2-6])?")


def emoji_name(emoji: str) -> str:
    """An emoji, or its name, as reactions.add takes it: the name without colons. Raises SendFailed for what is none."""
    text = emoji.strip()
    if named := _NAME.fullmatch(text):
        return named["name"].lower()
    if _BARE_NAME.fullmatch(text):
        return text
    tones = _TONE.findall(text)
    bare = _TONE.sub("", text) if len(text) > 1 else text
    known = _names().get(bare.replace(_PRESENTATION, ""))
    if known is None:
        raise SendFailed(f"{shown_name(text)!r} is no emoji that Slack knows", retry_after=None)
    name, has_tones = known
    if has_tones and len(set(tones)) == 1:
        return f"{name}::skin-tone-{ord(tones[0]) - 0x1F3FB + FIRST_TONE}"
    return name


@cache
def _names() -> Mapping[str, tuple[str, bool]]:
    names: dict[str, tuple[str, bool]] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("# "):
            emoji, name, *tones = line.split("\t")
            names[emoji.replace(_PRESENTATION, "")] = (name, bool(tones))
    return names
