"""What a setting may be: the types of its values, each with the sentence for one that does not fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
)

from agent.protocol.settings import PROVIDERS
from bot.recurrence import BadTime, zone

MAX_INSTRUCTIONS_BYTES: Final = 64 * 1024
"""They travel in an environment variable, of which the kernel takes 128 KiB."""


def _named(value: object) -> object:
    """A path that names something: an empty one would be the folder of the file."""
    if isinstance(value, str) and not value.strip():
        raise ValueError("should not be empty; leave it out for the default")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("should be a path, and no path holds a NUL character")
    return value


def _from_folder(value: Path, info: ValidationInfo) -> Path:
    folder: Path | None = (info.context or {}).get("folder")
    try:
        return folder / value.expanduser() if folder else value
    except RuntimeError as exc:
        raise ValueError("begins with the home of a user whom this machine does not know") from exc


def _agent_name(value: str) -> str:
    if not value.isascii() or not value.replace("-", "").replace("_", "").isalnum() or value != value.lower():
        raise ValueError('an agent is named with small letters, digits, "-" and "_"')
    return value


def _provider(value: str) -> str:
    module, colon, name = value.partition(":")
    dotted = all(part.isidentifier() for part in module.split("."))
    if value in PROVIDERS or (colon and dotted and name.isidentifier()):
        return value
    known = ", ".join(f'"{each}"' for each in PROVIDERS)
    raise ValueError(f'unknown provider; known are {known}, and "package.module:Class" for one of your own')


def _instructions(value: str) -> str:
    if len(value.encode()) > MAX_INSTRUCTIONS_BYTES:
        kib = MAX_INSTRUCTIONS_BYTES // 1024
        raise ValueError(f"longer than {kib} KiB; put them into INSTRUCTIONS.md in the agent's folder")
    return value


def _timezone(value: str) -> str:
    try:
        zone(value)
    except BadTime as exc:
        raise ValueError(str(exc)) from exc
    return value


def _url(value: str) -> str:
    """Raises ValueError for what is no address of a server, or carries a password that logs would show."""
    try:
        parts = urlsplit(value)
        named = parts.hostname and parts.port != 0
    except ValueError:
        parts, named = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not named:
        raise ValueError("should be a URL that begins with http:// or https:// and names a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            "should be a URL without a user, a query or a fragment; the key has settings of its own"
        )
    return value


def _media_type(value: str) -> str:
    if re.fullmatch(r"[\w.+*-]+/[\w.+*-]+", value) is None:
        raise ValueError('should be a media type such as "text/plain", with * for any letters')
    return value


LocalPath = Annotated[Path, BeforeValidator(_named), AfterValidator(_from_folder)]
MAX_SECONDS: Final = 30 * 24 * 3600
MAX_MEBIBYTES: Final = 1024 * 1024
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Mebibytes = Annotated[int, Field(ge=1, le=MAX_MEBIBYTES)]
# The wait doubles with every try, and the last one still has to be a time that bot.db can hold.
Tries = Annotated[int, Field(ge=1, le=30)]
FirstWaitSeconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
AgentName = Annotated[str, AfterValidator(_agent_name)]
ProviderName = Annotated[str, AfterValidator(_provider)]
Instructions = Annotated[str, AfterValidator(_instructions)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
MediaType = Annotated[str, AfterValidator(_media_type)]
ServerUrl = Annotated[str, AfterValidator(_url)]
