"""What the fake Slack takes of blocks and views: their kinds, and the limits of each (its documentation, Block Kit)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.fakes.slack_elements import check_element, check_text
from tests.fakes.slack_refusals import Refused

MAX_BLOCKS: Final = 50
MAX_VIEW_BLOCKS: Final = 100
MARKDOWN_CHARS: Final = 12_000
SECTION_CHARS: Final = 3_000
FIELD_CHARS: Final = 2_000
HEADER_CHARS: Final = 150
LABEL_CHARS: Final = 2_000
TITLE_CHARS: Final = 24
ID_CHARS: Final = 255
PRIVATE_CHARS: Final = 3_000
VIEW_BYTES: Final = 250_000
TABLE_ROWS: Final = 100
TABLE_COLUMNS: Final = 20
TABLE_CHARS: Final = 10_000
KINDS: Final = frozenset(
    {
        "actions",
        "alert",
        "card",
        "context",
        "context_actions",
        "divider",
        "file",
        "header",
        "image",
        "input",
        "markdown",
        "plan",
        "rich_text",
        "section",
        "table",
        "task_card",
        "video",
    }
)
IN_VIEWS: Final = KINDS - {"file", "markdown", "plan", "table", "task_card"}
CELLS: Final = ("raw_text", "raw_number", "rich_text")


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
    """Raises Refused, which tells what is wrong, and where."""
    wrong = problems(blocks, limit=limit, view=view)
    if wrong:
        told = [f"[ERROR] {each}" for each in wrong]
        raise Refused("invalid_blocks", errors=wrong, response_metadata={"messages": told})
    texts = [each["text"] for each in blocks if each["type"] == "markdown"]
    if texts and sum(map(len, texts)) > MARKDOWN_CHARS:
        raise Refused("msg_blocks_too_long")
    if sum(each["type"] == "table" for each in blocks) > 1:
        raise Refused(
            "invalid_attachments", response_metadata={"messages": ["[ERROR] only_one_table_allowed"]}
        )


def problems(
    blocks: Sequence[Mapping[str, Any]], *, limit: int = MAX_BLOCKS, view: bool = False, at: str = "/blocks"
) -> list[str]:
    """All that is wrong with blocks, a line for each thing."""
    wrong: list[str] = []
    if len(blocks) > limit:
        wrong.append(f"no more than {limit} items allowed [json-pointer:{at}]")
    seen: set[str] = set()
    for number, block in enumerate(blocks):
        here = f"{at}/{number}"
        kind = block.get("type")
        if kind not in (IN_VIEWS if view else KINDS):
            wrong.append(f"unsupported type: {kind} [json-pointer:{here}/type]")
            continue
        name = str(block.get("block_id") or "")
        if len(name) > ID_CHARS:
            wrong.append(f"must be less than {ID_CHARS + 1} characters [json-pointer:{here}/block_id]")
        if name and name in seen:
            wrong.append(f"`block_id` {name} already exists [json-pointer:{here}/block_id]")
        seen.add(name)
        wrong += [f"{what} [json-pointer:{here}{where}]" for what, where in _wrong(block)]
    return wrong


def numbered(blocks: Sequence[Mapping[str, Any]], new: str) -> list[dict[str, Any]]:
    """Blocks with the ids that Slack gives to those that have none."""
    return [
        {**each, "block_id": each.get("block_id") or f"{new}{number}"} for number, each in enumerate(blocks)
    ]


def check_view(view: Mapping[str, Any]) -> None:
    """Raises Refused, which tells what is wrong, and where."""
    wrong: list[str] = []
    if view.get("type") not in ("modal", "home"):
        wrong.append("unsupported type [json-pointer:/view/type]")
    if view.get("type") == "modal":
        for key in ("title", "submit", "close"):
            if key == "title" or view.get(key) is not None:
                found = check_text(view.get(key), TITLE_CHARS, kinds=("plain_text",))
                wrong += [f"{each} [json-pointer:/view/{key}]" for each in found]
        inside = [each for each in view.get("blocks") or () if isinstance(each, dict)]
        if any(each.get("type") == "input" for each in inside) and not view.get("submit"):
            wrong.append("missing required field: submit [json-pointer:/view]")
    for key, most in (("callback_id", ID_CHARS), ("private_metadata", PRIVATE_CHARS)):
        if len(str(view.get(key) or "")) > most:
            wrong.append(f"must be less than {most + 1} characters [json-pointer:/view/{key}]")
    wrong += problems(read(view.get("blocks")), limit=MAX_VIEW_BLOCKS, view=True, at="/view/blocks")
    if wrong:
        told = [f"[ERROR] {each}" for each in wrong]
        raise Refused("invalid_arguments", response_metadata={"messages": told})
    if len(json.dumps(view)) > VIEW_BYTES:
        raise Refused("view_too_large")


def _wrong(block: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with one block, and where in it."""
    match block["type"]:
        case "markdown":
            text = block.get("text")
            good = isinstance(text, str) and text.strip()
            return [] if good else [("missing required field: text", "")]
        case "header":
            return _texts(block, "text", HEADER_CHARS, kinds=("plain_text",))
        case "section":
            return _section(block)
        case "context":
            return _items(block, 10)
        case "actions":
            return _items(block, 25) + _elements(block)
        case "input":
            found = _texts(block, "label", LABEL_CHARS, kinds=("plain_text",))
            return found + [(each, "/element") for each in check_element(block.get("element"))]
        case "table":
            return _table(block)
        case _:
            return []


def _section(block: Mapping[str, Any]) -> list[tuple[str, str]]:
    fields = block.get("fields") or []
    found = [] if fields and "text" not in block else _texts(block, "text", SECTION_CHARS)
    if len(fields) > 10:
        found.append(("no more than 10 items allowed", "/fields"))
    for number, each in enumerate(fields):
        found += [(what, f"/fields/{number}/text") for what in check_text(each, FIELD_CHARS)]
    if block.get("accessory") is not None:
        found += [(each, "/accessory") for each in check_element(block["accessory"])]
    return found


def _texts(
    block: Mapping[str, Any], key: str, most: int, *, kinds: Sequence[str] = ("plain_text", "mrkdwn")
) -> list[tuple[str, str]]:
    return [(each, f"/{key}/text") for each in check_text(block.get(key), most, kinds=kinds)]


def _items(block: Mapping[str, Any], most: int) -> list[tuple[str, str]]:
    elements = block.get("elements") or []
    if not elements:
        return [("no fewer than 1 items allowed", "/elements")]
    return [(f"no more than {most} items allowed", "/elements")] if len(elements) > most else []


def _elements(block: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    for number, element in enumerate(block.get("elements") or ()):
        found += [(each, f"/elements/{number}") for each in check_element(element)]
        name = str(element.get("action_id") or "") if isinstance(element, Mapping) else ""
        if name and name in seen:
            found.append((f"`action_id` {name} already exists", f"/elements/{number}/action_id"))
        seen.add(name)
    return found


def _table(block: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = block.get("rows")
    if not isinstance(rows, list) or not rows or any(not isinstance(row, list) or not row for row in rows):
        return [("missing required field: rows", "")]
    found: list[tuple[str, str]] = []
    if len(rows) > TABLE_ROWS:
        found.append((f"no more than {TABLE_ROWS} items allowed", "/rows"))
    if max(map(len, rows)) > TABLE_COLUMNS:
        found.append((f"no more than {TABLE_COLUMNS} items allowed", "/rows/0"))
    if len(block.get("column_settings") or []) > TABLE_COLUMNS:
        found.append((f"no more than {TABLE_COLUMNS} items allowed", "/column_settings"))
    characters = 0
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            kind = cell.get("type") if isinstance(cell, Mapping) else None
            if kind not in CELLS:
                found.append((f"unsupported type: {kind}", f"/rows/{y}/{x}/type"))
                continue
            if kind == "raw_text" and not cell.get("text"):
                found.append(("must be more than 0 characters", f"/rows/{y}/{x}/text"))
            characters += len(_cell_text(cell))
    if characters > TABLE_CHARS:
        found.append((f"table_character_limit_exceeded: {TABLE_CHARS}", "/rows"))
    return found


def _cell_text(cell: Mapping[str, Any]) -> str:
    if cell["type"] != "rich_text":
        return str(cell.get("text", cell.get("value", "")))
    parts = [part for section in cell.get("elements") or () for part in section.get("elements") or ()]
    return "".join(str(each.get("text") or each.get("url") or "") for each in parts)
