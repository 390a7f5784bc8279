"""JSON values against the schemas of Discord's API description, each violation in one line that says where and what.

jsonschema does it, with four changes, because a test server has thousands of messages looked at:

- `$ref` is looked up in the registry once;
- an object that was found well under a `$ref` is not looked at again under the same one;
- of a `oneOf` or `anyOf` of objects that differ in their `type` only the one is looked at whose type it is, and a
  choice of constants is one look into a set;
- where nothing fits, the violations are those of the form that fits best, and not that nothing fits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.jsonschema import DRAFT202012

SAID_CHARS: Final = 200
"""What stands of a violation: the value in it may be a whole message."""
KNOWN_OBJECTS: Final = 20_000
INT32: Final = range(-(2**31), 2**31)
SNOWFLAKES: Final = range(2**64)

Schema = Mapping[str, Any]


def formats() -> FormatChecker:
    """The formats that Discord's description names and a checker can know."""
    checker = FormatChecker(formats=())

    @checker.checks("snowflake")
    def _snowflake(value: object) -> bool:
        return not isinstance(value, str) or (value.isdecimal() and int(value) in SNOWFLAKES)

    @checker.checks("date-time", raises=ValueError)
    def _date_time(value: object) -> bool:
        return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None

    @checker.checks("uri", raises=ValueError)
    def _uri(value: object) -> bool:
        return not isinstance(value, str) or bool(urlsplit(value).scheme)

    @checker.checks("int32")
    def _int32(value: object) -> bool:
        return not isinstance(value, int) or value in INT32

    return checker


@dataclass(frozen=True)
class Choice:
    """The branches of a `oneOf` or `anyOf`, sorted by what tells them apart."""

    constants: frozenset[Any] | None = None
    """Where all of them are constants."""
    by_type: Mapping[Any, Sequence[Schema]] = field(default_factory=dict)
    """Objects, by the `type` that they must have."""
    rest: Sequence[Schema] = ()
    nullable: bool = False

    def candidates(self, value: object) -> Sequence[Schema]:
        """Those that the value may fit."""
        if isinstance(value, Mapping) and self.by_type and isinstance(value.get("type"), int):
            return [*self.by_type.get(value["type"], ()), *self.rest]
        return [*(each for same in self.by_type.values() for each in same), *self.rest]


class Schemas:
    """The schemas of one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._resolver = Registry().with_resource("", DRAFT202012.create_resource(document)).resolver()
        self._found: dict[str, Schema] = {}
        self._choices: dict[int, Choice] = {}
        """By the identity of the list, which lives as long as the document."""
        self._document = document
        self._well: set[tuple[str, str]] = set()
        keywords = {"$ref": self._ref, "oneOf": self._choose, "anyOf": self._choose}
        self._validator: Any = extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]
        self._formats = formats()
        self._compiled = lru_cache(maxsize=None)(self._compile)
        self.members = lru_cache(maxsize=None)(self._members)
        """The names that an object at a place may have in any of its forms; None where it may have any."""

    def violations(self, where: str, value: object, *pointer: str) -> list[str]:
        """What is wrong with a value at a place of the document, each as `where.path: what`."""
        return [line(where, error) for error in self._compiled(pointer).iter_errors(value)]

    def fits(self, value: object, *pointer: str) -> bool:
        """Whether nothing is."""
        return next(iter(self._compiled(pointer).iter_errors(value)), None) is None

    def at(self, *pointer: str) -> Any:
        """What stands in the document at a place."""
        found: Any = self._document
        for step in pointer:
            found = found[int(step)] if isinstance(found, list) else found[step]
        return found

    def _compile(self, pointer: tuple[str, ...]) -> Any:
        return self._validator(self.at(*pointer), format_checker=self._formats)

    def _members(self, *pointer: str) -> frozenset[str] | None:
        return self._names(self.at(*pointer))

    def _names(self, schema: Schema) -> frozenset[str] | None:
        if "$ref" in schema:
            return self._names(self._resolved(schema["$ref"]))
        if schema.get("additionalProperties"):
            return None
        found = frozenset(schema.get("properties", {}))
        for keyword in ("allOf", "oneOf", "anyOf"):
            for each in schema.get(keyword, ()):
                if each.get("type") != "null":
                    names = self._names(each)
                    if names is None:
                        return None
                    found |= names
        return found

    def _resolved(self, ref: str) -> Schema:
        if ref not in self._found:
            self._found[ref] = self._resolver.lookup(ref).contents
        return self._found[ref]

    def _ref(self, validator: Any, ref: str, value: object, schema: Schema) -> Iterator[ValidationError]:
        if not isinstance(value, dict):
            yield from validator.descend(value, self._resolved(ref))
            return
        key = (ref, json.dumps(value, separators=(",", ":")))
        if key in self._well:
            return
        wrong = False
        for error in validator.descend(value, self._resolved(ref)):
            wrong = True
            yield error
        if not wrong and len(self._well) < KNOWN_OBJECTS:
            self._well.add(key)

    def _choose(
        self, validator: Any, branches: Sequence[Schema], value: object, schema: Schema
    ) -> Iterator[ValidationError]:
        choice = self._choices.get(id(branches))
        if choice is None:
            choice = self._choices[id(branches)] = self._sorted(branches)
        if choice.constants is not None:
            if value not in choice.constants:
                yield ValidationError(f"{value!r} is none of {sorted(choice.constants, key=str)}")
            return
        if value is None and choice.nullable:
            return
        candidates = choice.candidates(value)
        if not candidates:
            yield ValidationError(f"type {value['type']!r} is none of {sorted(choice.by_type)}")  # type: ignore[index]
            return
        found = [list(validator.descend(value, each)) for each in candidates]
        yield from min(found, key=_distance)

    def _sorted(self, branches: Sequence[Schema]) -> Choice:
        if all("const" in each for each in branches):
            return Choice(constants=frozenset(each["const"] for each in branches))
        by_type: dict[Any, list[Schema]] = {}
        rest = []
        for each in branches:
            whole = self._resolved(each["$ref"]) if "$ref" in each else each
            types = whole.get("properties", {}).get("type", {}).get("enum", [])
            for kind in types:
                by_type.setdefault(kind, []).append(each)
            if not types and each.get("type") != "null":
                rest.append(each)
        return Choice(None, by_type, rest, any(each.get("type") == "null" for each in branches))


def _distance(errors: Sequence[ValidationError]) -> tuple[int, int]:
    """How far a value is from a form: one that is of a wrong type altogether is the farthest."""
    return sum(1 if error.relative_path else 100 for error in errors), -max(
        (len(error.relative_path) for error in errors), default=0
    )


def line(where: str, error: ValidationError) -> str:
    """An error as one line."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
    said = re.sub(r"\s+", " ", error.message)
    if len(said) > SAID_CHARS:
        half = SAID_CHARS // 2
        said = f"{said[:half]} ... {said[-half:]}"
    return f"{where}{path}: {said}"


def readings(text: str) -> Iterable[object]:
    """What a text of a query may mean: itself, a number, a truth, a list."""
    yield text
    if re.fullmatch(r"-?\d+", text):
        yield int(text)
    if text.lower() in ("true", "false", "1", "0"):
        yield text.lower() in ("true", "1")
    yield text.split(",")
