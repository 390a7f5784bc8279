"""The interface between Roost and whatever thinks: nothing specific to one SDK leaks above it.

A provider is made once per runner from `ProviderOptions`. Each `query` opens a conversation with it: more
prompts are pushed in while it runs, its events come out, `end` lets it finish and `abort` stops it. A
provider may keep a client alive between queries; its state belongs to one session and is shared with none.

    ProviderError               the provider could not be made or could not start a query
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from agent.protocol.messages import Attachment

ErrorClass = Literal[
    "quota", "auth", "overloaded", "network", "budget", "invalid_session", "interrupted", "unknown"
]


class ProviderError(Exception):
    """Raised when a provider cannot be made or cannot start a query; the text is fit for a person."""


@dataclass(frozen=True)
class Prompt:
    """What goes in. `native` marks a slash command that the host parsed and let through; `text` is
    data otherwise and never expanded. Attachments lie at `directory`/`attachment.path`."""

    text: str
    attachments: Sequence[tuple[Attachment, Path]] = ()
    native: bool = False


@dataclass(frozen=True)
class SystemContext:
    """What the provider is told about itself, appended to its own system prompt."""

    instructions: str | None = None


@dataclass(frozen=True)
class QueryInput:
    """The opening of a query. `continuation` is the provider's own opaque token of an earlier one."""

    prompt: Prompt
    continuation: str | None
    cwd: Path
    system_context: SystemContext = SystemContext()
    model: str | None = None
    """What people have chosen for this conversation. None: the model that the provider was made with."""


@dataclass(frozen=True)
class Usage:
    """What a result cost: tokens, US dollars, milliseconds. For display; what is billed is counted elsewhere."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float | None = None
    model: str | None = None
    duration_ms: int = 0


@dataclass(frozen=True)
class Init:
    """The query has begun; `continuation` resumes it later. The first event but for activity."""

    continuation: str


@dataclass(frozen=True)
class Delta:
    """A piece of the answer as it is being written."""

    text: str


@dataclass(frozen=True)
class Result:
    """One answer, whole. `answered` is how many of the prompts given so far, oldest first, it has used
    up; None means all of them."""

    text: str | None
    usage: Usage = Usage()
    answered: int | None = None


@dataclass(frozen=True)
class Error:
    """The prompts given so far will not be answered. The query may be used on only if it is not over.
    `retry_after`: seconds before which asking again is pointless, where that is known. `report`: what an admin
    has to see to, where it is for one."""

    message: str
    retryable: bool = False
    classification: ErrorClass = "unknown"
    retry_after: float | None = None
    report: str | None = None


@dataclass(frozen=True)
class Progress:
    """What the provider is doing, in words that a person can read."""

    message: str


@dataclass(frozen=True)
class Waiting:
    """The provider has to wait for so many seconds, and then goes on by itself; `reason` is for a person."""

    reason: str
    seconds: float


@dataclass(frozen=True)
class ToolBegun:
    """A tool of the provider's own is at work, and may be for so many seconds without any other event."""

    call_id: str
    name: str
    seconds: float


@dataclass(frozen=True)
class ToolEnded:
    """That tool is done."""

    call_id: str


@dataclass(frozen=True)
class Activity:
    """Something happened underneath. The sign of life: it comes with every event of the SDK."""


Event = Init | Delta | Result | Error | Progress | Waiting | ToolBegun | ToolEnded | Activity


class Tool(Protocol):
    """One tool, offered to the provider by whatever road it has for tools."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """What the provider is told. Bad arguments are answered, not raised."""


@dataclass(frozen=True)
class Limits:
    """Where a provider must stop in one turn. None: where it likes."""

    max_turns: int | None = None
    max_budget_usd: float | None = None


@dataclass(frozen=True)
class ProviderOptions:
    """What a provider is made from; `extra` holds the options that only this provider knows."""

    assistant_name: str = "Roost"
    mcp_servers: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    additional_directories: Sequence[Path] = ()
    model: str | None = None
    effort: str | None = None
    limits: Limits = Limits()
    tools: Sequence[Tool] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    fallback_model: str | None = None
    """Answers while `model` is overloaded."""
    allowed_tools: Sequence[str] = ()
    """Of the provider's own, by its names; none named: its own choice."""
    disallowed_tools: Sequence[str] = ()
    auto_compact_window: int | None = None
    """In tokens: a conversation that grows beyond it is compacted. None: the provider's own choice."""
    workspace_settings: bool = False
    """Whether settings that lie in the workspace are obeyed; the agent can write them."""
    model_url: str | None = None
    """The base URL of a server that speaks the Messages API. None: the provider's own."""
    home: Path | None = None
    """Where the provider keeps its state of this session."""
    archive: Path | None = None
    """Where a conversation is written down before it is compacted."""


class AgentQuery(Protocol):
    """A running conversation with a provider."""

    @property
    def events(self) -> AsyncIterator[Event]:
        """Ends after `end` or `abort`, once what was begun is finished. Raises whatever breaks."""

    def push(self, prompt: Prompt) -> None:
        """Adds a prompt while the query runs. After `end` or `abort` it raises ProviderError."""

    def end(self) -> None:
        """No more prompts: what was pushed is answered, then `events` ends. The client may stay warm."""

    async def abort(self) -> None:
        """Stops the answer now; `events` ends. The provider stays usable."""


class AgentProvider(Protocol):
    """Something that answers prompts."""

    @property
    def supports_native_slash_commands(self) -> bool: ...

    def query(self, query: QueryInput) -> AgentQuery:
        """Opens a query. Raises ProviderError."""

    def is_session_invalid(self, error: BaseException | Error) -> bool:
        """Whether this failure means that the continuation is gone and a fresh start would help."""

    async def aclose(self) -> None:
        """Lets go of the client. Absent is success."""


@runtime_checkable
class Prepares(Protocol):
    """What a provider may do besides: get ready for a conversation before anybody has asked anything."""

    async def prepare(self, opening: QueryInput) -> None:
        """Has a client at hand for a query like `opening`, whose prompt counts for nothing. Raises nothing: the query
        itself shows what is wrong."""
