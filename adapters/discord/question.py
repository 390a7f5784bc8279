"""Questions on Discord: the buttons, the menu or the form by which people answer, and the ids that these carry.

An id holds all that is needed to know an answer for one, so that a question outlives the service that has asked it:

    rq:<index>:<question id>    the button of an option
    rs:<question id>            the menu; its values are the indexes of the options
    rm:<question id>            the button that opens the form, and the form

The service's own buttons are a question as well; its id begins with CARD.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from adapters.base import CARD, Question, SendFailed
from adapters.discord.draft import MESSAGE_UNITS, Draft
from adapters.tables import tables_as_code
from adapters.text import escaped, shortened, shown_name, split, utf16_units, without_mass_mentions

CUSTOM_ID_CHARS: Final = 100
BUTTONS: Final = 10
"""With more options than these a menu is easier to look through; Discord takes 25 of either."""
BUTTONS_IN_A_ROW: Final = 5
BUTTON_UNITS: Final = 80
MENU_OPTIONS: Final = 25
MENU_UNITS: Final = 100
FORM_UNITS: Final = 45
"""Of a form's title and of its label: https://docs.discord.com/developers/components/reference, as those above."""
ANSWER_UNITS: Final = 4_000
"""Of what somebody can enter into a form."""
FORM_FIELD: Final = "answer"
"""The custom id of the form's only field."""
SHOWN_ANSWER_UNITS: Final = 300
ANSWERED_UNITS: Final = 500
"""What is kept free in the last message of a question, so that its answer can be shown there."""
SOMEBODY: Final = "Somebody"
NOBODY_ANSWERED: Final = "*Nobody answered in time.*"

_ROW, _BUTTON, _MENU, _FIELD, _LABEL = 1, 2, 3, 4, 18
_PRIMARY, _SECONDARY = 1, 2
_PARAGRAPH: Final = 2
_ID: Final = re.compile(
    r"(?:rq:(?P<index>0|[1-9]\d?):|(?P<kind>r[sm]):)(?P<question>.+)", re.ASCII | re.DOTALL
)


@dataclass(frozen=True)
class Pressed:
    """What a custom id stands for. Only an option has an `index`."""

    kind: Literal["option", "menu", "form"]
    question_id: str
    index: int | None = None


def parse_custom_id(custom_id: str) -> Pressed | None:
    """What was pressed; None where the id is none of ours."""
    found = _ID.fullmatch(custom_id)
    if found is None:
        return None
    if found["index"] is not None:
        return Pressed("option", found["question"], int(found["index"]))
    return Pressed("menu" if found["kind"] == "rs" else "form", found["question"])


def question_texts(asked: Question) -> list[str]:
    """The contents of the messages that show a question, at least one. The last has room for the answer."""
    title = escaped(shown_name(asked.title))
    head = f"**{title}**" if title else ""
    options = _listed(asked.options) if _cut(asked.options) else ""
    text = "\n\n".join(part for part in ("\n".join(filter(None, (head, asked.question))), options) if part)
    ready = tables_as_code(without_mass_mentions(text))
    # What takes the place of the service's own buttons is the service's to say.
    kept = 0 if asked.id.startswith(CARD) else ANSWERED_UNITS
    return split(ready, MESSAGE_UNITS - kept) or ["?"]


def components(asked: Question) -> list[dict[str, Any]]:
    """The rows of components that go under a question. Raises SendFailed where Discord has no room for it."""
    if len(asked.options) > MENU_OPTIONS:
        raise SendFailed(
            f"Discord shows at most {MENU_OPTIONS} options, not {len(asked.options)}", retry_after=None
        )
    if not asked.options and asked.id.startswith(CARD):
        return []
    if not asked.options:
        return [_row([_button("Answer", _custom_id(f"rm:{asked.id}"), style=_PRIMARY)])]
    labels = [_label(option, index) for index, option in enumerate(asked.options)]
    if len(labels) > BUTTONS or any(utf16_units(label) > BUTTON_UNITS for label in labels):
        return [_row([_menu(asked, labels)])]
    buttons = [
        _button(label, _custom_id(f"rq:{index}:{asked.id}"), style=_SECONDARY)
        for index, label in enumerate(labels)
    ]
    starts = range(0, len(buttons), BUTTONS_IN_A_ROW)
    return [_row(buttons[start : start + BUTTONS_IN_A_ROW]) for start in starts]


def form(asked: Question) -> dict[str, Any]:
    """The data of the interaction callback (type 9) that opens the form. Raises SendFailed as `components` does."""
    title = shortened(shown_name(asked.title), FORM_UNITS) or "Answer"
    return text_form(
        _custom_id(f"rm:{asked.id}"), title=title, fields=[text_field(FORM_FIELD, label="Your answer")]
    )


def text_form(custom_id: str, *, title: str, fields: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The same for any form with fields of `text_field`; its title and their labels have FORM_UNITS at most."""
    return {"custom_id": custom_id, "title": title, "components": list(fields)}


def text_field(name: str, *, label: str, required: bool = True, most: int | None = None) -> dict[str, Any]:
    """A field of a form for a text of several lines, at most `most` characters where there is a limit of ours."""
    entered = {
        "type": _FIELD,
        "custom_id": name,
        "style": _PARAGRAPH,
        "required": required,
        "max_length": min(most or ANSWER_UNITS, ANSWER_UNITS),
    }
    return {"type": _LABEL, "label": label, "component": entered | ({"min_length": 1} if required else {})}


def answered(content: str, answer: str | None, *, by: str = "") -> Draft:
    """What takes the place of the last message of a question, whose `content` is known from the message itself, also
    after a restart: the same with who answered what, and nothing to press any more. `answer` is None where nobody did;
    `by` is the person as Discord shows them, a mention or what `named` gives."""
    if answer is None:
        said = NOBODY_ANSWERED
    else:
        words = escaped(shortened(shown_name(answer, SHOWN_ANSWER_UNITS), SHOWN_ANSWER_UNITS))
        said = shortened(without_mass_mentions(f"**{by or SOMEBODY}** answered: {words}"), ANSWERED_UNITS - 2)
    return Draft(content=f"{shortened(content, MESSAGE_UNITS - utf16_units(said) - 2)}\n\n{said}")


def named(name: str) -> str:
    """A person's name with nothing in it that would be markup."""
    return escaped(shown_name(name))


def _cut(options: Sequence[str]) -> bool:
    return any(utf16_units(option) > MENU_UNITS for option in options)


def _listed(options: Sequence[str]) -> str:
    """All that does not fit onto the labels."""
    return "\n".join(f"{number}. {option}" for number, option in enumerate(options, 1))


def _label(option: str, index: int) -> str:
    """Discord takes no empty one."""
    return shortened(" ".join(option.split()), MENU_UNITS) or str(index + 1)


def _menu(asked: Question, labels: Sequence[str]) -> dict[str, Any]:
    options = [{"label": label, "value": str(index)} for index, label in enumerate(labels)]
    return {"type": _MENU, "custom_id": _custom_id(f"rs:{asked.id}"), "options": options}


def _button(label: str, custom_id: str, *, style: int) -> dict[str, Any]:
    return {"type": _BUTTON, "style": style, "label": label, "custom_id": custom_id}


def _row(inner: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": _ROW, "components": inner}


def _custom_id(custom_id: str) -> str:
    if utf16_units(custom_id) > CUSTOM_ID_CHARS:
        raise SendFailed(
            "the id of the question is too long for Discord, which remembers 100 characters", retry_after=None
        )
    return custom_id
