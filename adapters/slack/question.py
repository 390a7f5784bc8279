"""Questions on Slack: the buttons, the menu or the form by which people answer, and the ids that these carry. Pure.

An id holds all that is needed to know an answer for one, so that a question outlives the service that has asked it:

    rq:<index>:<question id>    the button of an option
    rs:<question id>            the menu; its values are the indexes of the options
    rm:<question id>            the button that opens the form, and the form
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from adapters.base import CARD, Question, SendFailed
from adapters.slack import kit
from adapters.slack.draft import Draft
from adapters.slack.guard import guarded
from adapters.slack.kit import Block
from adapters.slack.mrkdwn import escape
from adapters.text import escaped, shortened, shown_name, utf16_units

ACTION_ID_CHARS: Final = 255
BUTTONS: Final = 10
"""With more options than these a menu is easier to look through; Slack takes 25."""
LABEL_CHARS: Final = 75
"""Of a button and of an option of a menu. Slack's documentation, Block elements, as those below."""
MENU_OPTIONS: Final = 100
FORM_TITLE_CHARS: Final = 24
FORM_LABEL_CHARS: Final = 2_000
ANSWER_CHARS: Final = 3_000
"""Of what somebody can enter into a form."""
FORM_FIELD: Final = "answer"
"""The block id and the action id of the form's only field."""
SECTIONS: Final = 3
"""Of one message of a question: its answer has to have room as well."""
SHOWN_ANSWER_CHARS: Final = 300
TEXT_CHARS: Final = 3_000
SOMEBODY: Final = "Somebody"
NOBODY_ANSWERED: Final = "_Nobody answered in time._"
CHOOSE: Final = "Choose an answer"

_ID: Final = re.compile(
    r"(?:rq:(?P<index>0|[1-9]\d?):|(?P<kind>r[sm]):)(?P<question>.+)", re.ASCII | re.DOTALL
)


@dataclass(frozen=True)
class Pressed:
    """What an action id or a callback id stands for. Only an option has an `index`."""

    kind: Literal["option", "menu", "form"]
    question_id: str
    index: int | None = None


def parse_action_id(action_id: str) -> Pressed | None:
    """What was pressed; None where the id is none of ours."""
    found = _ID.fullmatch(action_id)
    if found is None:
        return None
    if found["index"] is not None:
        return Pressed("option", found["question"], int(found["index"]))
    return Pressed("menu" if found["kind"] == "rs" else "form", found["question"])


def is_card(question_id: str) -> bool:
    """Whether the buttons are the service's own, which nothing but the service takes away."""
    return question_id.startswith(CARD)


def question_blocks(asked: Question) -> list[list[Block]]:
    """The blocks of the messages that show a question, at least one; the last has what is to be pressed. Raises
    SendFailed where Slack has no room for it."""
    pressed = elements(asked)
    shown = kit.sections(_text(asked)) or [kit.section("?")]
    starts = range(0, len(shown), SECTIONS)
    *before, last = [shown[start : start + SECTIONS] for start in starts]
    return [*before, [*last, {"type": "actions", "elements": pressed}]]


def elements(asked: Question) -> list[Block]:
    """What is to be pressed under a question. Raises SendFailed as `question_blocks` does."""
    if len(asked.options) > MENU_OPTIONS:
        raise SendFailed(
            f"Slack shows at most {MENU_OPTIONS} options, not {len(asked.options)}", retry_after=None
        )
    if not asked.options:
        return [_button("Answer", _action_id(f"rm:{asked.id}")) | {"style": "primary"}]
    if len(asked.options) > BUTTONS or _cut(asked.options):
        return [_menu(asked)]
    return [
        _button(_label(option, index), _action_id(f"rq:{index}:{asked.id}"))
        for index, option in enumerate(asked.options)
    ]


def form(asked: Question, *, private_metadata: str = "") -> dict[str, Any]:
    """The view that opens for a question without options: what is asked, and a field. Raises SendFailed as
    `question_blocks` does."""
    title = shown_name(asked.title) or "Answer"
    view = text_form(
        _action_id(f"rm:{asked.id}"), title=title, label="Your answer", private_metadata=private_metadata
    )
    return view | {"blocks": [*kit.sections(_text(asked)), *view["blocks"]]}


def text_form(callback_id: str, *, title: str, label: str, private_metadata: str = "") -> dict[str, Any]:
    """The same for any form with one field, FORM_FIELD, for a text."""
    field = {
        "type": "plain_text_input",
        "action_id": FORM_FIELD,
        "multiline": True,
        "min_length": 1,
        "max_length": ANSWER_CHARS,
    }
    shown = {
        "type": "input",
        "block_id": FORM_FIELD,
        "label": kit.plain(label, FORM_LABEL_CHARS),
        "element": field,
    }
    return {
        "type": "modal",
        "callback_id": callback_id,
        "private_metadata": private_metadata,
        "title": kit.plain(title, FORM_TITLE_CHARS),
        "submit": kit.plain("Send", FORM_TITLE_CHARS),
        "close": kit.plain("Cancel", FORM_TITLE_CHARS),
        "blocks": [shown],
    }


def entered(view: Mapping[str, Any]) -> str:
    """What somebody has entered into such a form, from its view as Slack sends it; "" where there is nothing."""
    values = (view.get("state") or {}).get("values") or {}
    return str(((values.get(FORM_FIELD) or {}).get(FORM_FIELD) or {}).get("value") or "")


def answered(blocks: Sequence[Mapping[str, Any]], text: str, answer: str | None, *, by: str = "") -> Draft:
    """What takes the place of the last message of a question, whose `blocks` and `text` are known from the message
    itself, also after a restart: the same with who answered what, and nothing to press any more. `answer` is None where
    nobody did; `by` is the person in mrkdwn, a mention or what `named` gives."""
    if answer is None:
        said = NOBODY_ANSWERED
    else:
        words = escape(guarded(shortened(shown_name(answer, SHOWN_ANSWER_CHARS), SHOWN_ANSWER_CHARS)))
        said = f"*{by or SOMEBODY}* answered: {words}"
    kept = [_kept(block) for block in blocks if block.get("type") != "actions"][: kit.BLOCKS - 1]
    if not kept and text:
        kept = [kit.section(shortened(text, kit.SECTION_CHARS))]
    return Draft(f"{shortened(text, TEXT_CHARS)}\n{said}", blocks=[*kept, kit.section(said)])


def named(name: str) -> str:
    """A person's name with nothing in it that would be markup."""
    return escape(guarded(re.sub(r"[*_~`]", "", shown_name(name))))


def _kept(block: Mapping[str, Any]) -> Block:
    """Of a message that is changed Slack wants no block to keep its id. Documentation, Blocks."""
    return {key: value for key, value in block.items() if key != "block_id"}


def _text(asked: Question) -> str:
    title = escaped(shown_name(asked.title))
    head = f"**{title}**" if title else ""
    words = "\n".join(filter(None, (head, asked.question)))
    options = _listed(asked.options) if _cut(asked.options) else ""
    return guarded("\n\n".join(filter(None, (words, options))))


def _cut(options: Sequence[str]) -> bool:
    return any(utf16_units(option) > LABEL_CHARS for option in options)


def _listed(options: Sequence[str]) -> str:
    """All that does not fit onto the labels."""
    return "\n".join(f"{number}. {option}" for number, option in enumerate(options, 1))


def _label(option: str, index: int) -> str:
    """Slack takes no empty one."""
    return shortened(" ".join(option.split()), LABEL_CHARS) or str(index + 1)


def _menu(asked: Question) -> Block:
    options = [
        {"text": kit.plain(_label(option, index), LABEL_CHARS), "value": str(index)}
        for index, option in enumerate(asked.options)
    ]
    return {
        "type": "static_select",
        "action_id": _action_id(f"rs:{asked.id}"),
        "placeholder": kit.plain(CHOOSE, LABEL_CHARS),
        "options": options,
    }


def _button(label: str, action_id: str) -> Block:
    return {"type": "button", "action_id": action_id, "text": kit.plain(label, LABEL_CHARS)}


def _action_id(action_id: str) -> str:
    if utf16_units(action_id) > ACTION_ID_CHARS:
        raise SendFailed(
            "the id of the question is too long for Slack, which remembers 255 characters", retry_after=None
        )
    return action_id
