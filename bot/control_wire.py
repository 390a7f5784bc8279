"""What the command line and the control socket say to each other: one line of JSON each way.

After the answer to a `Chat` the connection carries the frames of a terminal.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

MAX_CONVERSATION_CHARS: Final = 100


class Ask(BaseModel):
    """Run a command of the registry; what is no single word is an argument by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    type: Literal["command"] = "command"
    words: list[str] = Field(min_length=1, max_length=20)
    arguments: dict[str, str] = Field(default_factory=dict, max_length=20)


class Chat(BaseModel):
    """Sit down at the terminal channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    type: Literal["chat"] = "chat"
    conversation: str = Field(min_length=1, max_length=MAX_CONVERSATION_CHARS)
    once: bool = False


class Answer(BaseModel):
    """What came of it: a text for people and the same as data, or one sentence about why not."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    ok: bool
    text: str = ""
    data: Any = None


REQUEST: Final[TypeAdapter[Ask | Chat]] = TypeAdapter(Ask | Chat)
