"""What is wrong with a configuration, said to the person who wrote it: one line a mistake."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Loc = tuple[int | str, ...]
WIRINGS: Final = "should be a list: each of its tables begins with [[wirings]], in two brackets"


def explain(
    error: ValidationError, model: type[BaseModel], *, file: Path | None, variables: Mapping[str, Loc]
) -> list[str]:
    """A line for each mistake; `variables` says which setting each environment variable stands for."""
    return [
        _line(each, model, file=file, variables=variables)
        for each in error.errors(include_url=False, include_input=False)
    ]


def unknown_variable(variable: str, known: Iterable[str]) -> str:
    """The line for a variable that begins like ours and sets nothing."""
    return f"{variable}: unknown setting{_did_you_mean(variable, known)}"


def _line(
    error: ErrorDetails, model: type[BaseModel], *, file: Path | None, variables: Mapping[str, Loc]
) -> str:
    loc = tuple(part for part in error["loc"] if part != "[key]")
    unknown = error["type"] == "extra_forbidden"
    variable = next((name for name, path in variables.items() if _overlap(path, loc)), None)
    if variable and unknown and variables[variable] == loc:
        stem = variable[: -len(str(loc[-1]))]
        return unknown_variable(variable, (stem + name.upper() for name in _names(model, loc[:-1])))
    source = variable or str(file or "configuration")
    if unknown:
        return f"{source}: {_unknown(loc, _names(model, loc[:-1]))}"
    wrong = WIRINGS if error["type"] == "list_type" and loc == ("wirings",) else said(error)
    place = _place(loc)
    gap = " " if wrong.startswith("should") else ": "
    return f"{source}: {place}{gap}{wrong}" if place else f"{source}: {wrong}"


def _overlap(path: Loc, loc: Loc) -> bool:
    size = min(len(path), len(loc))
    return size > 0 and path[:size] == loc[:size]


def _unknown(loc: Loc, names: Sequence[str]) -> str:
    name = str(loc[-1])
    if len(loc) == 1:
        return f"unknown table [{name}]{_did_you_mean(name, names, quote='[{}]')}"
    hint = _did_you_mean(name, names, quote='"{}"')
    place = _place(loc).removesuffix(name).removesuffix(".").rstrip()
    return f'{place} unknown key "{name}"{hint}'


def _did_you_mean(name: str, known: Iterable[str], quote: str = "{}") -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {quote.format(close[0])}?" if close else ""


def said(error: ErrorDetails) -> str:
    """What is wrong with a value, without the value and without where it stands."""
    match error["type"]:
        case "missing":
            return "is missing"
        case "model_type" | "dict_type":
            return "should be a table"
        case "path_type":
            return "should be a path in quotes"
        case "too_short":
            return "should not be empty"
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
        case _:
            return re.sub(r"^\w+ should", "should", error["msg"]).replace(" after validation", "")


def _place(loc: Loc) -> str:
    if len(loc) > 1 and isinstance(loc[1], int):
        # A member of a list of tables has no table of one name.
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)[1:]
    size = 2 if loc[:1] == ("agents",) else 1
    if size == 2 and len(loc) > 3 and isinstance(loc[3], str):
        size = 3
    keys = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc[size:])
    table = ".".join(map(str, loc[:size]))
    return f"[{table}] {keys[1:]}".rstrip() if table else ""


def _names(model: type[BaseModel], path: Loc) -> list[str]:
    current: Any = model
    for part in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[str(part)].annotation
        else:
            # A dict's or a list's members; their name or number says nothing about their type.
            current = get_args(current)[-1]
    return list(current.model_fields)
