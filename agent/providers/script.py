"""The script that the mock plays: rules for prompts, and the steps of an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.providers.base import ErrorClass, ProviderError


class _Part(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")


class DeltaStep(_Part):
    """Writes a piece of the answer."""

    do: Literal["delta"] = "delta"
    text: str


class ResultStep(_Part):
    """Gives the whole answer. A prompt whose steps give none is answered with its deltas."""

    do: Literal["result"] = "result"
    text: str | None


class ToolStep(_Part):
    """Calls a tool."""

    do: Literal["tool"] = "tool"
    name: str
    arguments: dict[str, Any] = {}


class StallStep(_Part):
    """Shows no sign of life."""

    do: Literal["stall"] = "stall"
    seconds: Annotated[float, Field(ge=0)]


class ProgressStep(_Part):
    """Says what it is doing."""

    do: Literal["progress"] = "progress"
    message: str


class ActivityStep(_Part):
    """Shows a sign of life, as every step does, and nothing else."""

    do: Literal["activity"] = "activity"


class RaiseStep(_Part):
    """Breaks the query with an exception."""

    do: Literal["raise"] = "raise"
    message: str


class ErrorStep(_Part):
    """Reports an error; no prompt given so far is answered any more."""

    do: Literal["error"] = "error"
    message: str
    retryable: bool = False
    classification: ErrorClass = "unknown"


class CrashStep(_Part):
    """Ends the process on the spot, without any cleaning up."""

    do: Literal["crash"] = "crash"
    code: Annotated[int, Field(ge=0, le=255)]


class KillStep(_Part):
    """Lets the kernel end the process."""

    do: Literal["kill"] = "kill"


class PrintStep(_Part):
    """Writes a line to the process's own standard output."""

    do: Literal["print"] = "print"
    text: str


Step = Annotated[
    DeltaStep
    | ResultStep
    | ToolStep
    | StallStep
    | ProgressStep
    | ActivityStep
    | RaiseStep
    | ErrorStep
    | CrashStep
    | KillStep
    | PrintStep,
    Field(discriminator="do"),
]


class Rule(_Part):
    """What to do about a prompt whose plain text `match` is found in."""

    match: re.Pattern[str] | None = None
    steps: list[Step]


class _Extra(_Part):
    script: list[Rule] = []


def parse_script(extra: Mapping[str, Any]) -> list[Rule]:
    """The rules in extra["script"]. Raises ProviderError naming the rule that is malformed."""
    try:
        return _Extra.model_validate(dict(extra)).script
    except ValidationError as exc:
        first = exc.errors()[0]
        place = list(first["loc"])
        rule = f"rule {place[1] + 1} " if len(place) > 1 and isinstance(place[1], int) else ""
        where = ".".join(str(part) for part in place[2 if rule else 0 :])
        raise ProviderError(f"The mock's options do not fit: {rule}{where}: {first['msg']}") from exc
