"""Striking out what looks like a secret in settings that people are shown. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from bot.redaction import redact

STRUCK: Final = "[struck out]"
_NAMED: Final = re.compile(
    r"(?<![a-z])(?:api[_-]?key|key|token|secret|password|passwd|pwd|credentials?|authorization|auth|cookie)(?![a-z])",
    re.IGNORECASE,
)
_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")
_OPTION: Final = re.compile(r"(?P<name>-{1,2}[A-Za-z0-9_-]+)=(?P<value>.+)", re.DOTALL)
_URL_SECRET: Final = re.compile(r"(?P<before>://[^/@\s:]*:)[^/@\s]+(?=@)")
_QUERY_SECRET: Final = re.compile(r"(?P<before>[?&](?P<name>[A-Za-z0-9_.-]+)=)[^&#\s]+")


def struck(value: Any) -> Any:
    """The same JSON value without what is of the shape of a secret, or stands under the name of one; also behind an
    option of a command line that is named so."""
    if isinstance(value, dict):
        return {
            key: STRUCK if isinstance(each, str) and each and _is_named(key) else struck(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return _words(value)
    return _text(value) if isinstance(value, str) else value


def _words(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    follows = False
    for each in values:
        option = _OPTION.fullmatch(each) if isinstance(each, str) else None
        if follows and isinstance(each, str) and not each.startswith("-"):
            found.append(STRUCK)
        elif option is not None and _is_named(option["name"]):
            found.append(f"{option['name']}={STRUCK}")
        else:
            found.append(struck(each))
        follows = isinstance(each, str) and each.startswith("-") and option is None and _is_named(each)
    return found


def _text(text: str) -> str:
    def query(found: re.Match[str]) -> str:
        return f"{found['before']}{STRUCK}" if _is_named(found["name"]) else found[0]

    without = _URL_SECRET.sub(rf"\g<before>{STRUCK}", redact(text))
    return _QUERY_SECRET.sub(query, without)


def _is_named(name: str) -> bool:
    return _NAMED.search(_WORDS.sub("-", name)) is not None
