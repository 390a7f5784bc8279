"""How somebody acts on buttons, menus and forms in Slack's client: what is sent for it.

Slack's documentation, Block Kit, and the payloads of block_actions and view_submission.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tests.fakes.slack_refusals import CannotDo

SEVERAL: Final = ("multi_static_select", "checkboxes")
OFFERED: Final = ("external_select",)
"""What can be chosen in it the app is asked for."""
INPUT_CHARS: Final = 3_000

Block = Mapping[str, Any]
Found = tuple[Block, Mapping[str, Any]]
"""An element, and the block that it stands in."""


def elements(blocks: Iterable[Block]) -> list[Found]:
    """Everything that can be acted on in a message or a view, in its order."""
    found: list[Found] = []
    for block in blocks:
        inside = list(block.get("elements", ())) if block.get("type") == "actions" else []
        inside += [block[key] for key in ("accessory", "element") if block.get(key)]
        found += [(block, each) for each in inside]
    return found


def options(element: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What can be chosen in a menu, groups or not."""
    groups = [each for group in element.get("option_groups", ()) for each in group["options"]]
    return [*element.get("options", ()), *groups]


def action(blocks: Iterable[Block], labels: Sequence[str], at: str) -> dict[str, Any]:
    """The action that is sent for a button, or for what is chosen in a menu, by what stands on them (or by a button's
    action id). Raises CannotDo."""
    there: list[str] = []
    for block, element in elements(blocks):
        base = {
            "type": element["type"],
            "action_id": element.get("action_id", ""),
            "block_id": block.get("block_id", ""),
            "action_ts": at,
        }
        if element["type"] == "button":
            there.append(element["text"]["text"])
            if list(labels) in ([there[-1]], [base["action_id"]]):
                return base | {"text": element["text"], "value": element.get("value", "")}
            continue
        by_label = {each["text"]["text"]: each for each in options(element)}
        there += by_label
        if labels and all(label in by_label for label in labels):
            return base | selected(element, [by_label[label] for label in labels])
    raise CannotDo(f"There is no {' or '.join(map(repr, labels))} here, but {there}.")


def selected(element: Mapping[str, Any], chosen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is told of a menu in which these were chosen. Raises CannotDo."""
    if element["type"] in SEVERAL:
        if len(chosen) > element.get("max_selected_items", len(chosen)):
            raise CannotDo(f"No more than {element['max_selected_items']} can be chosen.")
        return {"selected_options": [dict(each) for each in chosen]}
    if len(chosen) != 1:
        raise CannotDo("One can be chosen here.")
    return {"selected_option": dict(chosen[0])}


def state(blocks: Iterable[Block], acted: Mapping[str, Any]) -> dict[str, Any]:
    """The `state` of a message or a view in which somebody has acted: what is chosen in each of its menus."""
    values: dict[str, dict[str, Any]] = {}
    for block, element in elements(blocks):
        if element["type"] == "button":
            continue
        one = element["type"] not in SEVERAL
        told: dict[str, Any] = {"type": element["type"]}
        if element.get("action_id") == acted.get("action_id"):
            told |= {key: acted[key] for key in ("selected_option", "selected_options") if key in acted}
        elif one:
            told["selected_option"] = element.get("initial_option")
        else:
            told["selected_options"] = element.get("initial_options", [])
        values.setdefault(str(block.get("block_id", "")), {})[str(element.get("action_id", ""))] = told
    return {"values": values}


def filled(view: Mapping[str, Any], texts: str | Mapping[str, str]) -> dict[str, Any]:
    """The `state` of a form that is sent off. A text is for its first field; several are told by label, block id or
    action id, what is chosen by its label. Raises CannotDo."""
    fields = [each for each in view["blocks"] if each["type"] == "input"]
    if not fields:
        raise CannotDo("This form has no fields.")
    values: dict[str, dict[str, Any]] = {}
    known = {name for block in fields for name in _names(block)}
    if not isinstance(texts, str) and (unknown := set(texts) - known):
        raise CannotDo(f"There is no field {sorted(unknown)} here, but {sorted(known)}.")
    for number, block in enumerate(fields):
        element = block["element"]
        names = _names(block)
        if isinstance(texts, str):
            text = texts if number == 0 else ""
        else:
            text = next((texts[name] for name in names if name in texts), "")
        told = _field(
            element, text or element.get("initial_value", ""), optional=block.get("optional", False)
        )
        values.setdefault(str(block.get("block_id", "")), {})[str(element.get("action_id", ""))] = told
    return {"values": values}


REFERS: Final[Mapping[str, str]] = {
    "users_select": "user",
    "conversations_select": "conversation",
    "channels_select": "channel",
}
"""Menus of people and places, and what they name: an id."""


def typed_so_far(view: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """The `state` of a form while somebody fills it in."""
    values: dict[str, dict[str, Any]] = {}
    for block in view["blocks"]:
        if block["type"] == "input":
            text = next((texts[name] for name in _names(block) if name in texts), "")
            element = block["element"]
            told = _field(element, text or element.get("initial_value", ""), optional=True)
            values.setdefault(str(block["block_id"]), {})[str(element["action_id"])] = told
    return {"values": values}


def _names(block: Block) -> tuple[str, ...]:
    """By which somebody can mean a field."""
    return (block["label"]["text"], str(block.get("block_id")), str(block["element"].get("action_id")))


def _field(element: Mapping[str, Any], text: str, *, optional: bool) -> dict[str, Any]:
    if (named := REFERS.get(element["type"])) is not None:
        text = text or str(element.get(f"initial_{named}", ""))
    elif element["type"] in OFFERED and not text:
        text = str((element.get("initial_option") or {}).get("value", ""))
    elif element["type"] not in SEVERAL and not text and element.get("initial_option"):
        text = str(element["initial_option"]["text"]["text"])
    if not text and not optional:
        raise CannotDo("Slack's client wants this field filled in.")
    if element["type"] in ("plain_text_input", "email_text_input", "url_text_input", "number_input"):
        most, least = element.get("max_length", INPUT_CHARS), element.get("min_length", 0)
        if len(text) > most:
            raise CannotDo(f"No more than {most} characters.")
        if text and len(text) < least:
            raise CannotDo(f"No fewer than {least} characters.")
        return {"type": element["type"], "value": text or None}
    if named is not None:
        return {"type": element["type"], f"selected_{named}": text or None}
    if element["type"] in OFFERED:
        # Whoever asks has been offered it: see `Interactions.type`.
        option = {"text": {"type": "plain_text", "text": text, "emoji": True}, "value": text}
        return {"type": element["type"], "selected_option": option if text else None}
    by_label = {each["text"]["text"]: each for each in options(element)}
    wanted = [each.strip() for each in text.split("|")] if text else []
    if unknown := [each for each in wanted if each not in by_label]:
        raise CannotDo(f"There is no {unknown[0]!r} here, but {list(by_label)}.")
    if not wanted:
        return {"type": element["type"], "selected_option": None}
    return {"type": element["type"], **selected(element, [by_label[each] for each in wanted])}
