"""Of what everything is made that host and agent say to each other: frozen values, and texts within bounds."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

MAX_TEXT_CHARS: Final = 2 * 1024 * 1024
"""The longest text of one message, either way; longer things travel as files."""
MAX_ID_CHARS: Final = 200
MAX_SEQ: Final = 2**53
"""Beyond this a sum of two numbers stops being exact once SQLite has turned it into a REAL."""

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]
Millis = Annotated[int, Field(ge=0, le=MAX_SEQ)]
Seq = Annotated[int, Field(ge=1, le=MAX_SEQ)]
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
Label = Annotated[str, Field(min_length=1, max_length=500)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.-]+$")]
"""Of a destination, or of a server that an agent has."""


class Frozen(BaseModel):
    """A value: compared by content, changed only by `model_copy`, with no room for unknown fields."""

    # Each is built when it is first used: a runner that starts needs a few of them, and somebody waits for it.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    @classmethod
    def build_all(cls) -> None:
        """Builds every kind that there is: for who uses them on several threads, and has time at its start."""
        for kind in cls.__subclasses__():
            kind.model_rebuild()
            kind.build_all()
