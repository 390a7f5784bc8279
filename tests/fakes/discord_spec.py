"""Whether what goes over Discord's REST wire is what Discord's own API description says: the requests that a client
sends, and the responses that a stand-in gives.

The description is Discord's OpenAPI document (github.com/discord/discord-api-spec), which is not part of this
repository: it is looked for at $ROOST_DISCORD_OPENAPI, or in the folder `shared` beside the repository.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from tests.fakes.discord_differences import DIFFERENCES
from tests.fakes.discord_schema import Schemas, readings

VARIABLE: Final = "ROOST_DISCORD_OPENAPI"
# Read now: the tests clear such variables before they begin.
DOCUMENT: Final = Path(
    os.environ.get(VARIABLE) or Path(__file__).parents[3] / "shared" / "data" / "discord-openapi.json"
)
VERSIONED: Final = re.compile(r"^/api(/v\d+)?(?=/)")
PARAMETER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Operation:
    """What the description says of one method of a path. `path` is its template."""

    method: str
    path: str
    values: Mapping[str, str]
    """What stood in the place of its parameters."""

    @property
    def name(self) -> str:
        """How it is called in a violation."""
        return f"{self.method} {self.path}"


class Spec:
    """Discord's description, ready to be asked."""

    def __init__(self, document: Mapping[str, Any], *, lenient: bool = True) -> None:
        self.lenient = lenient
        """Whether the differences count that the real Discord has from its description."""
        self._document = document
        self._schemas = Schemas(document)
        self._templates = _templates(document["paths"])

    @staticmethod
    @cache
    def load(path: Path = DOCUMENT) -> Spec | None:
        """The description of this machine, one for all who ask; None where there is none."""
        return Spec(json.loads(path.read_text())) if path.is_file() else None

    def request(
        self,
        method: str,
        path: str,
        content_type: str | None,
        body: object,
        query: Mapping[str, str] | None = None,
    ) -> list[str]:
        """What is wrong with a request, a line each. `body` is the decoded JSON, that of `payload_json` in a multipart
        one, and None where there is none."""
        operation = self._operation(method, path)
        if operation is None:
            return self._kept([_unknown(method, path)])
        return self._kept(
            [
                *self._parameters(operation, dict(query or {})),
                *self._request_body(operation, content_type, body),
            ]
        )

    def response(self, method: str, path: str, status: int, body: object) -> list[str]:
        """What is wrong with a response, a line each. `body` as above. What a failing server says is not described."""
        if status >= 500:
            return []
        operation = self._operation(method, path)
        if operation is None:
            # A server may well say that there is no such thing.
            return [] if status == 404 else self._kept([_unknown(method, path)])
        return self._kept(list(self._response_body(operation, status, body)))

    def _operation(self, method: str, path: str) -> Operation | None:
        steps = tuple(VERSIONED.sub("", path).strip("/").split("/"))
        for template, pattern in self._templates.get(len(steps), ()):
            if method.lower() not in self._document["paths"][template]:
                continue
            values = {
                wanted[1:-1]: unquote(step)
                for wanted, step in zip(pattern, steps, strict=True)
                if wanted.startswith("{")
            }
            if all(
                wanted.startswith("{") or wanted == step for wanted, step in zip(pattern, steps, strict=True)
            ):
                return Operation(method.upper(), template, values)
        return None

    def _parameters(self, operation: Operation, query: dict[str, str]) -> Iterator[str]:
        path = ("paths", operation.path)
        lists = [("parameters",), (operation.method.lower(), "parameters")]
        for where in lists:
            holder = self._schemas.at(*path, *where[:-1])
            for index, parameter in enumerate(holder.get("parameters", ())):
                name, place = parameter["name"], parameter["in"]
                value = operation.values.get(name) if place == "path" else query.pop(name, None)
                pointer = (*path, *where, str(index), "schema")
                if value is None and parameter.get("required"):
                    yield f"{operation.name} request {place}: {name!r} is missing"
                elif value is not None and not any(
                    self._schemas.fits(each, *pointer) for each in readings(value)
                ):
                    yield f"{operation.name} request {place}.{name}: {value!r} is not one"
        for name in query:
            yield f"{operation.name} request query: {name!r} is unknown"

    def _request_body(self, operation: Operation, content_type: str | None, body: object) -> Iterator[str]:
        where = f"{operation.name} request"
        pointer: tuple[str, ...] = ("paths", operation.path, operation.method.lower())
        described = self._schemas.at(*pointer).get("requestBody")
        if described is None:
            if body not in (None, {}, []):
                yield f"{where} body: there should be none"
            return
        if body is None:
            if described.get("required"):
                yield f"{where} body: there is none"
            return
        kind = (content_type or "").partition(";")[0].strip()
        if kind not in described["content"]:
            yield f"{where} type: {kind!r} is none of {sorted(described['content'])}"
            return
        pointer = (*pointer, "requestBody", "content", kind, "schema")
        known = self._schemas.members(*pointer)
        if known and isinstance(body, Mapping):
            # The schemas let a misspelt member pass, and Discord ignores it.
            yield from (f"{where} body: {name!r} is unknown" for name in body if name not in known)
        yield from self._schemas.violations(f"{where} body", body, *pointer)

    def _response_body(self, operation: Operation, status: int, body: object) -> Iterator[str]:
        where = f"{operation.name} response {status}"
        pointer: tuple[str, ...] = ("paths", operation.path, operation.method.lower(), "responses")
        described = self._schemas.at(*pointer)
        key = next((each for each in (str(status), f"{status // 100}XX") if each in described), None)
        if key is None:
            yield f"{where}: it is none of {', '.join(sorted(described))}"
            return
        pointer = (*pointer, key)
        if "$ref" in described[key]:
            pointer = tuple(described[key]["$ref"].removeprefix("#/").split("/"))
        content = self._schemas.at(*pointer).get("content")
        if content is None:
            if body is not None:
                yield f"{where} body: there should be none"
            return
        if "application/json" in content:
            yield from self._schemas.violations(
                f"{where} body", body, *pointer, "content", "application/json", "schema"
            )

    def _kept(self, lines: list[str]) -> list[str]:
        if not self.lenient:
            return lines
        return [line for line in lines if not any(each.covers(line) for each in DIFFERENCES)]


def _templates(paths: Mapping[str, Any]) -> dict[int, list[tuple[str, list[str]]]]:
    """The paths by how many steps they have, those with fewer parameters first: /users/@me comes before /users/{id}."""
    found: dict[int, list[tuple[str, list[str]]]] = {}
    for template in sorted(paths, key=lambda path: (len(PARAMETER.findall(path)), path)):
        steps = template.strip("/").split("/")
        found.setdefault(len(steps), []).append((template, steps))
    return found


def _unknown(method: str, path: str) -> str:
    return f"{method.upper()} {path}: the description has no such path"
