"""What a tool is made of: parameters that a model can fill in, and the desk that it acts through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.protocol.clock import Clock
from agent.protocol.mailbox import OutboxCrowded
from agent.protocol.messages import ActionResult, Answer, ContentOut, OutKind, Route, Schedule
from agent.protocol.workspace import Workspace


class Desk(Protocol):
    """The running turn, as far as its tools are concerned."""

    @property
    def origin(self) -> Route:
        """Where the running turn was asked for."""

    @property
    def destinations(self) -> Mapping[str, Route]:
        """The other places that may be written to, by name."""

    @property
    def workspace(self) -> Workspace: ...

    @property
    def clock(self) -> Clock: ...

    def new_id(self) -> str:
        """An id for a message or a question to come."""

    def send(self, content: ContentOut, *, kind: OutKind, route: Route, message_id: str | None = None) -> int:
        """Writes the row at once and returns its seq. Raises OutboxCrowded, which the model is told; whatever
        else it raises ends the turn."""

    def schedules(self) -> Sequence[Schedule] | None:
        """What is to happen in this session, the next first; None when it cannot be told now."""

    async def result(self, message_id: str, deadline_ms: int) -> ActionResult | None:
        """Waits until `deadline_ms` for what the host has to say about an action; None when it said nothing."""

    async def answer(self, question_id: str, deadline_ms: int) -> Answer | None:
        """Waits for the answer until `deadline_ms`, in epoch milliseconds; None when there was none."""


class Parameters(BaseModel):
    """The arguments of a tool. An argument that nobody knows is a mistake worth telling the model."""

    # Built when the tool is first used, or shown to a provider that asks for it.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


To = Annotated[str | None, Field(description="The name of a destination; leave it out for whoever asked")]

P = TypeVar("P", bound=Parameters)


class Refused(Exception):
    """Raised within a tool to answer the model that it cannot be done; the text says what to do instead."""


@dataclass(frozen=True)
class Tool(Generic[P]):
    """A providers.base.Tool over a function of checked parameters."""

    name: str
    description: str
    arguments: type[P]
    run: Callable[[P], Awaitable[str]]

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        return self.arguments.model_json_schema()

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        """What became of it, in words for the model; bad arguments are answered as well."""
        try:
            given = self.arguments.model_validate(dict(arguments))
        except ValidationError as exc:
            faults = "; ".join(f"{_place(error['loc'])}: {error['msg']}" for error in exc.errors())
            return f"{self.name} was not done: its arguments do not fit. {faults}. Call it again."
        try:
            return await self.run(given)
        except (Refused, OutboxCrowded) as exc:
            return f"{self.name} was not done. {exc}"


def destination(desk: Desk, to: str | None) -> Route:
    """The route of the place called `to`; None is whoever asked. Raises Refused listing the known names."""
    if to is None:
        return desk.origin
    if to not in desk.destinations:
        known = ", ".join(sorted(desk.destinations)) or "none"
        raise Refused(
            f"There is no destination {to!r}. Known: {known}; leave `to` out to write to whoever asked, or ask for"
            " one with request_destination."
        )
    return desk.destinations[to]


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc) or "arguments"
