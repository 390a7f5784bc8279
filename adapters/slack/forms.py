"""Forms of commands: what somebody fills in instead of typing it, made from what a command takes, and read again. Pure.

A form knows where it was opened, and by what address its person is answered there, by its private metadata, which Slack
keeps for us (its documentation, Views: at most 3,000 characters). Its callback id says what it is:

    rc:<command>    the options of a command
    rg:<word>       which of the commands that begin with this word
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.offers import CommandSpec, OptionInfo, Suggestion
from adapters.slack import ids, kit
from adapters.slack.kit import Block
from adapters.slack.mrkdwn import escape
from adapters.text import shortened

COMMAND: Final = "rc:"
GROUP: Final = "rg:"
FILL_IN: Final = "rf:"
"""The action id of a button that opens the form of a command begins so; its value has what was given already."""
INPUT_CHARS: Final = 3_000
"""What one field holds. Slack's documentation, Plain-text input element; those below are from there as well."""
MULTILINE_CHARS: Final = 300
"""A text that can be longer than this has several lines."""
TITLE_CHARS: Final = 24
LABEL_CHARS: Final = 2_000
OPTION_CHARS: Final = 75
VALUE_CHARS: Final = 150
MOST_OPTIONS: Final = 100
BUTTON_VALUE_CHARS: Final = 2_000
NOTE_CHARS: Final = 3_000
ELEMENT: Final = "value"
"""The action id of each field: its block says which one it is."""
CHOSEN: Final = "command"
"""The block of the field by which a command is chosen."""
YES, NO = "Yes", "No"
GROUP_HINT: Final = "The id of a user group, which begins with S."
EITHER: Final = "or a user group"
MORE: Final = "{name}, continued"
CONTINUED: Final = "What has no room above: it goes on without a space between."

_NAMED: Final = re.compile(r"\AThe option (\w{1,40}) ")


@dataclass(frozen=True)
class Noted:
    """Where a form was opened: the channel, the thread, and the address at which its person is answered."""

    channel: str
    thread: str | None = None
    response_url: str = ""


def noted(where: Noted) -> str:
    """For the private metadata."""
    told = {"channel": where.channel, "thread": where.thread, "url": where.response_url}
    text = json.dumps(told)
    return text if len(text) <= NOTE_CHARS else json.dumps(told | {"url": ""})


def read_note(text: str) -> Noted:
    """The reverse. Raises ValueError for what is none of ours."""
    told = json.loads(text)
    channel, thread = (told.get("channel"), told.get("thread")) if isinstance(told, dict) else (None, None)
    if not isinstance(channel, str) or not ids.is_id(channel):
        raise ValueError("a form of no place was filled in")
    if thread is not None and not (isinstance(thread, str) and ids.is_ts(thread)):
        raise ValueError("a form of no thread was filled in")
    return Noted(channel, thread, str(told.get("url") or ""))


def of_command(
    spec: CommandSpec, given: Mapping[str, str], where: Noted, *, knows_groups: bool
) -> dict[str, Any]:
    """The form of a command, with what was `given` already filled in. `knows_groups`: whether the workspace's user
    groups can be offered."""
    blocks = [kit.section(escape(_sentence(spec.summary)))] if spec.summary else []
    for option in spec.options:
        blocks += _fields(option, given.get(option.name, ""), knows_groups=knows_groups)
    return _view(COMMAND + spec.name, spec.name, "Send", blocks, where)


def of_group(name: str, specs: Sequence[CommandSpec], where: Noted) -> dict[str, Any]:
    """The form by which one of the commands is chosen that begin with the word `name`."""
    options = [
        _option(spec.name, spec.name)
        | {"description": kit.plain(_sentence(spec.summary) or spec.name, OPTION_CHARS)}
        for spec in specs[:MOST_OPTIONS]
    ]
    few = len(options) <= 10
    element: Block = {"type": "radio_buttons" if few else "static_select", "options": options}
    field = _input(CHOSEN, "What do you want to do?", element, required=True)
    return _view(GROUP + name, name, "Next", [field], where)


def filled(spec: CommandSpec, view: Mapping[str, Any]) -> dict[str, str]:
    """What was entered into the form of a command: the options that hold something."""
    state = view.get("state") or {}
    values = state.get("values") or {}
    found: dict[str, str] = {}
    for option in spec.options:
        texts = [_value(values.get(block) or {}) for block in _blocks_of(option)]
        # Of a person and a group the person counts.
        if text := next(filter(None, texts), "") if option.kind == "who" else "".join(texts):
            found[option.name] = text
    return found


def chosen(view: Mapping[str, Any]) -> str:
    """The command that was chosen in the form of a group; "" where none was."""
    values = (view.get("state") or {}).get("values") or {}
    return _value(values.get(CHOSEN) or {})


def option_of(spec: CommandSpec, block_id: str) -> OptionInfo | None:
    """The option that a field of a command's form is for."""
    return next((each for each in spec.options if block_id in _blocks_of(each)), None)


def asks_for_group(option: OptionInfo, block_id: str) -> bool:
    """Whether a field of this option is for a user group."""
    return option.kind == "group" or (option.kind == "who" and block_id == _blocks_of(option)[1])


def block_of(spec: CommandSpec, sentence: str) -> str:
    """The field that a sentence about what is wrong belongs to: the one that it names, or else the first."""
    named = _NAMED.match(sentence)
    names = [each.name for each in spec.options]
    name = named[1] if named is not None and named[1] in names else names[0]
    return f"option:{name}"


def suggested(found: Sequence[Suggestion], typed: str) -> list[dict[str, Any]]:
    """What a field offers: these, and what was typed itself, where none of them is just that."""
    offered = [each for each in found if 0 < len(each.value) <= VALUE_CHARS]
    own = typed.strip()
    if own and len(own) <= VALUE_CHARS and all(own != each.value for each in offered):
        offered = [*offered[: MOST_OPTIONS - 1], Suggestion(own, own)]
    return [_option(each.label or each.value, each.value) for each in offered[:MOST_OPTIONS]]


def fill_in(spec_name: str, given: Mapping[str, str]) -> Block:
    """A button that opens the form of a command."""
    value = json.dumps(dict(given))
    return {
        "type": "button",
        "action_id": FILL_IN + spec_name,
        "text": kit.plain("Fill in", OPTION_CHARS),
        "value": value if len(value) <= BUTTON_VALUE_CHARS else "{}",
    }


def given_by(value: object) -> dict[str, str]:
    """What such a button has: nothing, where it is none of ours."""
    try:
        told = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return {}
    if not isinstance(told, dict):
        return {}
    return {name: text for name, text in told.items() if isinstance(name, str) and isinstance(text, str)}


# ---------------------------------------------------------------- the fields


def _blocks_of(option: OptionInfo) -> Sequence[str]:
    """Of an option there may be two: for a text that one has no room for, or for who is a person or a group."""
    first = f"option:{option.name}"
    if option.kind == "who":
        return first, f"{first}:group"
    return (first, f"{first}:more") if _is_halved(option) else (first,)


def _is_halved(option: OptionInfo) -> bool:
    return _is_typed(option) and option.max_chars is not None and option.max_chars > INPUT_CHARS


def _is_typed(option: OptionInfo) -> bool:
    return option.kind == "text" and not option.completes and not 0 < len(option.choices) <= MOST_OPTIONS


def _fields(option: OptionInfo, given: str, *, knows_groups: bool) -> Iterator[Block]:
    label, hint = _label(option.name), _sentence(option.summary)
    first, *more = _blocks_of(option)
    match option.kind:
        case "who":
            yield _input(first, label, _person(given), hint=hint)
            yield _input(
                more[0], f"{label}: {EITHER}", _group(given, knows_groups), hint=_group_hint(knows_groups)
            )
        case "group":
            hint = " ".join(filter(None, (hint, _group_hint(knows_groups))))
            yield _input(first, label, _group(given, knows_groups), hint=hint, required=option.required)
        case _:
            yield _input(first, label, _element(option, given), hint=hint, required=option.required)
            if more:
                rest = _text(option, given[INPUT_CHARS:], most=(option.max_chars or 0) - INPUT_CHARS)
                yield _input(more[0], MORE.format(name=label), rest, hint=CONTINUED)


def _element(option: OptionInfo, given: str) -> Block:
    match option.kind:
        case "flag":
            element: Block = {
                "type": "radio_buttons",
                "options": [_option(YES, "true"), _option(NO, "false")],
            }
            return _initial(element, given)
        case "number":
            digits = given.removeprefix("-")
            number: Block = {"type": "number_input", "is_decimal_allowed": False}
            return number | ({"initial_value": given} if digits.isascii() and digits.isdecimal() else {})
        case "person":
            return _person(given)
        case "place":
            first = {"initial_conversation": given} if _is(given, "CGD") else {}
            return {
                "type": "conversations_select",
                **(first or {"default_to_current_conversation": option.required}),
            }
    if 0 < len(option.choices) <= MOST_OPTIONS:
        return _initial(
            {"type": "static_select", "options": [_option(each, each) for each in option.choices]}, given
        )
    if option.completes:
        return _external(_option(given, given) if 0 < len(given) <= VALUE_CHARS else None)
    return _text(option, given[:INPUT_CHARS], most=option.max_chars or INPUT_CHARS)


def _text(option: OptionInfo, given: str, *, most: int) -> Block:
    element: Block = {"type": "plain_text_input", "max_length": max(1, min(most, INPUT_CHARS))}
    element["multiline"] = option.long or (option.max_chars or 0) > MULTILINE_CHARS
    return element | ({"initial_value": given[: element["max_length"]]} if given else {})


def _person(given: str) -> Block:
    return {"type": "users_select", **({"initial_user": given} if _is(given, "UW") else {})}


def _group(given: str, knows_groups: bool) -> Block:
    is_one = _is(given, "S")
    if knows_groups:
        return _external(_option(given, given) if is_one else None)
    element: Block = {"type": "plain_text_input", "max_length": VALUE_CHARS}
    return element | ({"initial_value": given} if is_one else {})


def _group_hint(knows_groups: bool) -> str:
    return "" if knows_groups else GROUP_HINT


def _external(initial: Block | None) -> Block:
    first = {} if initial is None else {"initial_option": initial}
    return {"type": "external_select", "min_query_length": 0, **first}


def _initial(element: Block, given: str) -> Block:
    first = next((each for each in element["options"] if each["value"] == given), None)
    return element | ({} if first is None else {"initial_option": first})


def _input(block_id: str, label: str, element: Block, *, hint: str = "", required: bool = False) -> Block:
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "optional": not required,
        "label": kit.plain(label, LABEL_CHARS),
        "element": element | {"action_id": ELEMENT},
    }
    return block | ({"hint": kit.plain(hint, LABEL_CHARS)} if hint else {})


def _option(text: str, value: str) -> Block:
    return {"text": kit.plain(text, OPTION_CHARS), "value": shortened(value, VALUE_CHARS, len)}


def _view(callback_id: str, title: str, submit: str, blocks: list[Block], where: Noted) -> dict[str, Any]:
    return {
        "type": "modal",
        "callback_id": callback_id,
        "private_metadata": noted(where),
        "title": kit.plain(title, TITLE_CHARS),
        "submit": kit.plain(submit, TITLE_CHARS),
        "close": kit.plain("Cancel", TITLE_CHARS),
        "blocks": blocks,
    }


def _value(block: Mapping[str, Any]) -> str:
    """What one field holds."""
    field = block.get(ELEMENT) or {}
    option = field.get("selected_option")
    told = option.get("value") if isinstance(option, Mapping) else None
    for each in (told, field.get("value"), field.get("selected_user"), field.get("selected_conversation")):
        if isinstance(each, str) and each:
            return each
    return ""


def _label(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith((".", "?", "!", ":")) else ".")


def _is(given: str, letters: str) -> bool:
    return ids.is_id(given) and given[0] in letters
