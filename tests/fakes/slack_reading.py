"""How the fake Slack's texts are written by a client, and what somebody reads of texts and blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_KEPT: Final = re.compile(
    r"<(?:[@#][UWCDG][A-Z0-9]+(?:\|[^>]*)?|![a-z]+[^>]*|(?:https?|mailto):[^>\s]+[^>]*)>"
)
_LINK: Final = re.compile(r"https?://[^\s<>]*[^\s<>.,;:!?'\")\]]")
_NAMED: Final = re.compile(r"<([@#!])([^>|]+)(?:\|[^>]*)?>|<((?:https?|mailto):[^>|]+)(?:\|([^>]*))?>")
CHOICES: Final = ("static_select", "overflow", "radio_buttons", "checkboxes", "multi_static_select")


def shown(blocks: Sequence[Mapping[str, Any]]) -> str:
    """What stands in blocks, as somebody reads it; a table has a line for each row."""
    return "\n".join(text for text in map(_read, blocks) if text)


def unescaped(text: str) -> str:
    """A text without Slack's three escapes."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def escaped(text: str) -> str:
    """What a person types as Slack keeps it: three characters escaped, links in brackets; what names somebody or
    something in Slack's way stays. Slack's documentation, Formatting message text."""
    made, at = [], 0
    for found in _KEPT.finditer(text):
        made += [_linked(text[at : found.start()]), found[0]]
        at = found.end()
    return "".join([*made, _linked(text[at:])])


def rich_text(text: str, block_id: str) -> dict[str, Any]:
    """The block that a client makes of what a person types, given as Slack keeps it."""
    parts: list[dict[str, Any]] = []
    at = 0
    for found in _NAMED.finditer(text):
        if found.start() > at:
            parts.append({"type": "text", "text": unescaped(text[at : found.start()])})
        parts.append(_named(found))
        at = found.end()
    if at < len(text):
        parts.append({"type": "text", "text": unescaped(text[at:])})
    section = {"type": "rich_text_section", "elements": parts}
    return {"type": "rich_text", "block_id": block_id, "elements": [section]}


def pressable(blocks: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """What can be pressed or chosen: its label, its element, and what is chosen of it (nothing of a button)."""
    found: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []
    for block in blocks:
        elements = block.get("elements", ()) if block.get("type") == "actions" else ()
        accessory = block.get("accessory")
        for element in [*elements, *([accessory] if accessory else [])]:
            # Slack's clients act by the block's id as well, which forms and payloads name.
            element = {**element, "block_id": block.get("block_id", "")}
            if element.get("type") == "button":
                found.append((str(element["text"]["text"]), element, {}))
            found += [(str(each["text"]["text"]), element, each) for each in element.get("options", ())]
    return found


def _read(block: Mapping[str, Any]) -> str:
    match block.get("type"):
        case "markdown":
            return str(block["text"])
        case "section":
            texts = [block["text"]] if block.get("text") else []
            return "\n".join(map(_text, [*texts, *block.get("fields", ())]))
        case "header":
            return str(block["text"]["text"])
        case "context":
            return " ".join(_text(each) for each in block.get("elements", ()) if "text" in each)
        case "table":
            return "\n".join(" | ".join(_cell(cell) for cell in row) for row in block["rows"])
        case "rich_text":
            return _rich(block)
        case _:
            return ""


def _rich(part: Mapping[str, Any]) -> str:
    match part.get("type"):
        case "text":
            return str(part.get("text", ""))
        case "link":
            return str(part.get("text") or part.get("url", ""))
        case "user":
            return f"<@{part.get('user_id')}>"
        case "channel":
            return f"<#{part.get('channel_id')}>"
        case "emoji":
            return f":{part.get('name')}:"
        case "broadcast":
            return f"<!{part.get('range')}>"
        case kind:
            between = "\n" if kind in ("rich_text", "rich_text_list") else ""
            return between.join(_rich(each) for each in part.get("elements") or ())


def _cell(cell: Mapping[str, Any]) -> str:
    return _rich(cell) if cell.get("type") == "rich_text" else str(cell.get("text", ""))


def _text(part: Mapping[str, Any]) -> str:
    text = str(part.get("text", ""))
    return unescaped(text) if part.get("type") == "mrkdwn" else text


def _named(found: re.Match[str]) -> dict[str, Any]:
    if found[3]:
        link = {"type": "link", "url": unescaped(found[3])}
        return link | ({"text": unescaped(found[4])} if found[4] else {})
    match found[1]:
        case "@":
            return {"type": "user", "user_id": found[2]}
        case "#":
            return {"type": "channel", "channel_id": found[2]}
        case _:
            return {"type": "broadcast", "range": found[2]}


def _linked(text: str) -> str:
    made, at = [], 0
    for found in _LINK.finditer(text):
        made += [_escaped(text[at : found.start()]), f"<{_escaped(found[0])}>"]
        at = found.end()
    return "".join([*made, _escaped(text[at:])])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
