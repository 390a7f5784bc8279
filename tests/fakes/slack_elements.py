"""What the fake Slack takes of the texts and the elements that stand in blocks (its documentation, Block Kit)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

ELEMENTS: Final = frozenset(
    {
        "button",
        "channels_select",
        "checkboxes",
        "conversations_select",
        "datepicker",
        "email_text_input",
        "external_select",
        "feedback_buttons",
        "file_input",
        "icon_button",
        "image",
        "multi_static_select",
        "multi_users_select",
        "number_input",
        "overflow",
        "plain_text_input",
        "radio_buttons",
        "rich_text_input",
        "static_select",
        "timepicker",
        "url_text_input",
        "users_select",
        "workflow_button",
    }
)
MAX_OPTIONS: Final[Mapping[str, int]] = {
    "static_select": 100,
    "multi_static_select": 100,
    "overflow": 5,
    "radio_buttons": 10,
    "checkboxes": 10,
}
BUTTON_CHARS: Final = 75
VALUE_CHARS: Final = 2_000
URL_CHARS: Final = 3_000
ID_CHARS: Final = 255
OPTION_CHARS: Final = 75
OPTION_VALUE_CHARS: Final = 150
PLACEHOLDER_CHARS: Final = 150
INPUT_CHARS: Final = 3_000


def check_text(value: object, limit: int, *, kinds: Sequence[str] = ("plain_text", "mrkdwn")) -> list[str]:
    """What is wrong with a text object."""
    if not isinstance(value, Mapping) or value.get("type") not in kinds:
        return [f"must be a text of {' or '.join(kinds)}"]
    text = value.get("text")
    if not isinstance(text, str) or not text:
        return ["must be more than 0 characters"]
    return [f"must be less than {limit + 1} characters"] if len(text) > limit else []


def check_element(element: object) -> list[str]:
    """What is wrong with an element."""
    if not isinstance(element, Mapping) or element.get("type") not in ELEMENTS:
        return ["unsupported element"]
    found = _longest(element, "action_id", ID_CHARS)
    if element["type"] == "button":
        found += check_text(element.get("text"), BUTTON_CHARS, kinds=("plain_text",))
        found += _longest(element, "value", VALUE_CHARS) + _longest(element, "url", URL_CHARS)
        if element.get("style", "primary") not in ("primary", "danger"):
            found.append("style must be primary or danger")
    if element.get("placeholder") is not None:
        found += check_text(element["placeholder"], PLACEHOLDER_CHARS, kinds=("plain_text",))
    if element["type"] == "plain_text_input":
        found += _longest(element, "initial_value", INPUT_CHARS)
        if not 0 < int(element.get("max_length", INPUT_CHARS)) <= INPUT_CHARS:
            found.append(f"max_length must be from 1 to {INPUT_CHARS}")
    if element["type"] in MAX_OPTIONS:
        found += _options(element)
    if element["type"] == "number_input" and not isinstance(element.get("is_decimal_allowed"), bool):
        found.append("missing required field: is_decimal_allowed")
    if element.get("initial_option") is not None and element["type"] == "external_select":
        found += _option(element["initial_option"], ("plain_text",))
    elif element.get("initial_option") is not None and element["initial_option"] not in _all_options(element):
        found.append("initial_option must be one of the options")
    return found


def _all_options(element: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    groups = element.get("option_groups") or []
    return element.get("options") or [each for group in groups for each in group.get("options") or ()]


def _options(element: Mapping[str, Any]) -> list[str]:
    options = _all_options(element)
    most = MAX_OPTIONS[element["type"]]
    found = [] if 1 <= len(options) <= most else [f"must have 1 to {most} options"]
    kinds = (
        ("plain_text", "mrkdwn") if element["type"] in ("radio_buttons", "checkboxes") else ("plain_text",)
    )
    for each in options:
        found += _option(each, kinds)
    return found


def _option(option: Mapping[str, Any], kinds: Sequence[str]) -> list[str]:
    found = check_text(option.get("text"), OPTION_CHARS, kinds=kinds)
    if option.get("description") is not None:
        found += check_text(option["description"], OPTION_CHARS, kinds=kinds)
    if not 1 <= len(str(option.get("value", ""))) <= OPTION_VALUE_CHARS:
        found.append(f"the value of an option must have 1 to {OPTION_VALUE_CHARS} characters")
    return found


def _longest(element: Mapping[str, Any], key: str, limit: int) -> list[str]:
    value = element.get(key)
    if value is None:
        return []
    if not isinstance(value, str):
        return [f"{key} must be a text"]
    return [f"{key} must be less than {limit + 1} characters"] if len(value) > limit else []
