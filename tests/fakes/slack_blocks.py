"""What the fake Slack takes of blocks and views: their kinds, and the limits of each (its documentation, Block Kit)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.fakes.slack_refusals import Refused

MAX_BLOCKS: Final = 50
MAX_VIEW_BLOCKS: Final = 100
MARKDOWN_CHARS: Final = 12_000
TABLE_ROWS: Final = 100
TABLE_COLUMNS: Final = 20
TABLE_CHARS: Final = 10_000
KINDS: Final = frozenset(
    {
        "actions",
        "context",
        "divider",
        "header",
        "image",
        "input",
        "markdown",
        "rich_text",
        "section",
        "table",
        "file",
    }
)
ELEMENTS: Final = frozenset(
    {"button", "static_select", "plain_text_input", "overflow", "image", "checkboxes"}
)


def read(blocks: object) -> list[dict[str, Any]]:
    """Blocks as they came, as JSON or as a text of it. Raises Refused."""
    if blocks in (None, ""):
        return []
    if isinstance(blocks, str):
        try:
            blocks = json.loads(blocks)
        except ValueError as exc:
            raise Refused("invalid_blocks_format") from exc
    if not isinstance(blocks, list) or not all(isinstance(each, dict) for each in blocks):
        raise Refused("invalid_blocks_format")
    return blocks


def check(blocks: Sequence[Mapping[str, Any]], *, limit: int = MAX_BLOCKS, view: bool = False) -> None:
    """Raises Refused."""
    wrong: list[str] = []
    if len(blocks) > limit:
        wrong.append(f"no more than {limit} items allowed [json-pointer:/blocks]")
    tables = 0
    seen: set[str] = set()
    actions: set[str] = set()
    for number, block in enumerate(blocks):
        at = f"[json-pointer:/blocks/{number}"
        if block.get("type") not in KINDS:
            wrong.append(f"unsupported type: {block.get('type')} {at}/type]")
            continue
        if block["type"] == "markdown" and view:
            wrong.append(f"unsupported type: markdown {at}/type]")
        name = str(block.get("block_id", ""))
        if name and name in seen:
            wrong.append(f"block_id {name} already exists {at}/block_id]")
        seen.add(name)
        tables += block["type"] == "table"
        wrong += [f"{what} {at}]" for what in _wrong(block, actions)]
    if (
        sum(len(str(each.get("text", ""))) for each in blocks if each.get("type") == "markdown")
        > MARKDOWN_CHARS
    ):
        raise Refused("msg_blocks_too_long")
    if tables > 1:
        raise Refused("only_one_table_allowed")
    if wrong:
        raise Refused("invalid_blocks", response_metadata={"messages": [f"[ERROR] {each}" for each in wrong]})


def _wrong(block: Mapping[str, Any], actions: set[str]) -> list[str]:
    match block["type"]:
        case "markdown":
            text = block.get("text")
            return [] if isinstance(text, str) and text.strip() else ["missing required field: text"]
        case "header":
            return _text(block.get("text"), 150, kinds=("plain_text",))
        case "section":
            fields = block.get("fields") or []
            found = [] if fields and "text" not in block else _text(block.get("text"), 3_000)
            found += ["no more than 10 items allowed"] if len(fields) > 10 else []
            found += [each for field in fields for each in _text(field, 2_000)]
            return found + (_element(block["accessory"], actions) if "accessory" in block else [])
        case "context":
            elements = block.get("elements") or []
            return ["1 to 10 items"] if not 1 <= len(elements) <= 10 else []
        case "actions":
            elements = block.get("elements") or []
            found = ["1 to 25 items"] if not 1 <= len(elements) <= 25 else []
            return found + [each for element in elements for each in _element(element, actions)]
        case "input":
            return _text(block.get("label"), 2_000, kinds=("plain_text",)) + _element(
                block.get("element"), actions
            )
        case "table":
            return _table(block)
        case _:
            return []


def _text(value: object, limit: int, *, kinds: Sequence[str] = ("plain_text", "mrkdwn")) -> list[str]:
    if not isinstance(value, Mapping) or value.get("type") not in kinds:
        return [f"must be a text of {' or '.join(kinds)}"]
    text = value.get("text")
    if not isinstance(text, str) or not text:
        return ["must be more than 0 characters"]
    return [f"must be less than {limit + 1} characters"] if len(text) > limit else []


def _element(element: object, actions: set[str]) -> list[str]:
    if not isinstance(element, Mapping) or element.get("type") not in ELEMENTS:
        return ["unsupported element"]
    found: list[str] = []
    name = str(element.get("action_id", ""))
    if len(name) > 255:
        found.append("action_id must be less than 256 characters")
    if name and name in actions:
        found.append(f"action_id {name} already exists")
    actions.add(name)
    if element["type"] == "button":
        found += _text(element.get("text"), 75, kinds=("plain_text",))
        found += (
            ["value must be less than 2001 characters"] if len(str(element.get("value", ""))) > 2_000 else []
        )
        found += ["unknown style"] if element.get("style", "primary") not in ("primary", "danger") else []
    if element["type"] == "static_select":
        options = element.get("options") or []
        found += ["1 to 100 options"] if not 1 <= len(options) <= 100 else []
        for option in options:
            found += _text(option.get("text"), 75, kinds=("plain_text",))
            found += ["option value"] if not 1 <= len(str(option.get("value", ""))) <= 150 else []
    return found


def _table(block: Mapping[str, Any]) -> list[str]:
    rows = block.get("rows")
    if not isinstance(rows, list) or not 1 <= len(rows) <= TABLE_ROWS:
        return [f"1 to {TABLE_ROWS} rows"]
    if any(not isinstance(row, list) or not 1 <= len(row) <= TABLE_COLUMNS for row in rows):
        return [f"1 to {TABLE_COLUMNS} cells in a row"]
    cells = [cell for row in rows for cell in row]
    if any(cell.get("type") not in ("raw_text", "rich_text") for cell in cells):
        return ["unsupported cell"]
    if any(cell["type"] == "raw_text" and not cell.get("text") for cell in cells):
        return ["must be more than 0 characters"]
    if sum(len(str(cell.get("text", ""))) for cell in cells) > TABLE_CHARS:
        raise Refused(
            "invalid_blocks", response_metadata={"messages": ["[ERROR] table_character_limit_exceeded"]}
        )
    return ["more settings than columns"] if len(block.get("column_settings") or []) > TABLE_COLUMNS else []


def check_view(view: Mapping[str, Any]) -> None:
    """Raises Refused."""
    if view.get("type") not in ("modal", "home"):
        raise Refused("invalid_arguments", response_metadata={"messages": ["[ERROR] unsupported view"]})
    if view["type"] == "modal":
        for key, limit in (("title", 24), ("submit", 24), ("close", 24)):
            if (key in view or key == "title") and _text(view.get(key), limit, kinds=("plain_text",)):
                raise Refused("invalid_arguments", response_metadata={"messages": [f"[ERROR] {key}"]})
        if len(str(view.get("callback_id", ""))) > 255 or len(str(view.get("private_metadata", ""))) > 3_000:
            raise Refused("invalid_arguments", response_metadata={"messages": ["[ERROR] too long"]})
    check(read(view.get("blocks")), limit=MAX_VIEW_BLOCKS, view=True)
