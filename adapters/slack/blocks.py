"""What stands in blocks and attachments, as text, for those who say all that they say in these. Pure.

Slack's documentation, Block Kit, and Legacy attachments. Whatever is not known is read for the texts in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

MAX_DEPTH: Final = 12
MAX_TEXTS: Final = 1_000
_TEXT_KEYS: Final = ("text", "title", "fields", "elements", "rows", "label", "alt_text")


def text_of_blocks(blocks: object) -> str:
    """All texts of some blocks, a line for each, with Slack's escapes in them."""
    if not isinstance(blocks, Sequence) or isinstance(blocks, str):
        return ""
    lines = (_line(block) for block in blocks[:MAX_TEXTS])
    return "\n".join(line for line in lines if line)


def card_of(attachment: Mapping[str, Any]) -> str:
    """What a program has put on a card; "" for the preview of a link."""
    if attachment.get("from_url") or attachment.get("original_url"):
        return ""
    head = " ".join(str(attachment[key]) for key in ("title", "title_link") if attachment.get(key))
    fields = [
        f"{each.get('title', '')}: {each.get('value', '')}"
        for each in attachment.get("fields") or ()
        if isinstance(each, Mapping)
    ]
    own = [attachment.get("pretext"), head, attachment.get("text"), *fields, attachment.get("footer")]
    text = "\n".join(str(each) for each in own if each) or text_of_blocks(attachment.get("blocks"))
    text = text or str(attachment.get("fallback") or "")
    return f"[card] {text}" if text else ""


def _line(block: object) -> str:
    found: list[str] = []
    for text in _texts(block, MAX_DEPTH):
        if len(found) >= MAX_TEXTS:
            break
        found.append(text)
    return "".join(found).strip()


def _texts(value: object, depth: int) -> Iterator[str]:
    if depth <= 0:
        return
    if isinstance(value, Mapping):
        escape = _escape(value)
        if escape is not None:
            yield escape
            return
        for key in _TEXT_KEYS:
            inner = value.get(key)
            if isinstance(inner, str):
                yield inner
            elif inner is not None:
                yield from _texts(inner, depth - 1)
        if value.get("type") in ("rich_text_section", "rich_text_preformatted", "rich_text_quote"):
            yield "\n"
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, each in enumerate(value):
            if (
                number
                and isinstance(each, Mapping)
                and each.get("type") in ("mrkdwn", "plain_text", "raw_text")
            ):
                yield " "
            yield from _texts(each, depth - 1)


def _escape(element: Mapping[str, Any]) -> str | None:
    """An element of rich text that stands for something, as Slack writes it in a text."""
    match element.get("type"):
        case "user":
            return f"<@{element.get('user_id', '')}>"
        case "channel":
            return f"<#{element.get('channel_id', '')}>"
        case "usergroup":
            return f"<!subteam^{element.get('usergroup_id', '')}>"
        case "broadcast":
            return f"<!{element.get('range', '')}>"
        case "emoji":
            return f":{element.get('name', '')}:"
        case "link":
            url, text = element.get("url", ""), element.get("text", "")
            return f"<{url}|{text}>" if text else f"<{url}>"
        case _:
            return None
