"""What a command takes, as a channel with typed options shows it, and what was wrong with what it got. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from adapters.offers import OptionInfo, OptionKind, Suggestion
from bot.commands.refs import RefKind

_KINDS: Final[dict[object, OptionKind]] = {"integer": "number", "boolean": "flag"}
_WRONG: Final = {
    "string_too_short": "is empty",
    "string_too_long": "is longer than {max_length:,} characters",
    "greater_than_equal": "is less than {ge}",
    "less_than_equal": "is more than {le:,}",
    "literal_error": "is none of {expected}",
    "int_parsing": "is no whole number",
    "bool_parsing": "is neither true nor false",
}
_OTHERWISE: Final = "is not of the right form"


@dataclass(frozen=True)
class Completes:
    """Stands in the annotation of a field that is completed while it is typed, by `source`: it is called with the
    context and the `Asked` of bot.commands.registry, and reads bot.db at most once."""

    source: Callable[..., Awaitable[list[Suggestion]]]


@dataclass(frozen=True)
class Long:
    """Stands in the annotation of a field that takes a text of several lines, such as instructions: where the surface
    has forms, one is opened for it whenever it is left out. A field that is required has to be filled in there, another
    one may be left empty, and then counts as left out."""


def options(parameters: type[BaseModel]) -> list[OptionInfo]:
    """The fields of a command's parameters."""
    schema = parameters.model_json_schema()
    required = schema.get("required", ())
    rest = getattr(parameters, "rest", None)
    return [
        replace(
            _option(
                name, shape, required=name in required, completed=completes(parameters, name) is not None
            ),
            rest=name == rest,
            kind=_kind(parameters, name, shape),
            long=any(isinstance(each, Long) for each in parameters.model_fields[name].metadata),
        )
        for name, shape in schema.get("properties", {}).items()
    ]


def completes(parameters: type[BaseModel], name: str) -> Completes | None:
    """By what the field `name` is completed; None: by nothing, or there is no such field."""
    field = parameters.model_fields.get(name)
    found = () if field is None else field.metadata
    return next((each for each in found if isinstance(each, Completes)), None)


def _kind(parameters: type[BaseModel], name: str, shape: dict[str, Any]) -> OptionKind:
    named = (each for each in parameters.model_fields[name].metadata if isinstance(each, RefKind))
    ref = next(named, None)
    return _KINDS.get(_own(shape).get("type"), "text") if ref is None else ref.kind


def _own(shape: dict[str, Any]) -> dict[str, Any]:
    """Of what may be left out, and is one of several beside null."""
    several = shape.get("anyOf", ())
    own: dict[str, Any] = next((each for each in several if each.get("type") != "null"), shape)
    return own


def wrong(error: ErrorDetails) -> str:
    """What is wrong with an option, in one sentence that names it."""
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return f"There is no option {name}."
    return f"The option {name} {_WRONG.get(error['type'], _OTHERWISE).format(**error.get('ctx', {}))}."


def _option(name: str, shape: dict[str, Any], *, required: bool, completed: bool) -> OptionInfo:
    """`shape` is the field's JSON schema; what may be left out is there as one of several, beside null."""
    own = _own(shape)
    return OptionInfo(
        name=name,
        summary=shape.get("description", ""),
        required=required,
        choices=own.get("enum", ()),
        completes=completed,
        max_chars=own.get("maxLength"),
        three_way=own.get("type") == "boolean" and own is not shape,
    )
