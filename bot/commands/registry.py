"""The command registry: a command is one typed, documented function, and every surface is made from it.

The surface sets the actor; what a command may be used by is its level, checked in one place before it runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from adapters.base import CommandInfo, Sender
from agent.protocol.messages import Route
from bot.access import Level, may
from bot.db.people import Role
from bot.errors import CommandFailed


class Parameters(BaseModel):
    """What a command takes; the fields in order are its words. The field `rest`, where there is one, takes all
    words that are left, and the fields after it are given by name only."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rest: ClassVar[str | None] = None

    @classmethod
    def positional(cls) -> list[str]:
        """The fields that words are given to."""
        fields = list(cls.model_fields)
        return fields if cls.rest is None else fields[: fields.index(cls.rest) + 1]


class NoParameters(Parameters):
    """A command that takes nothing."""


@dataclass(frozen=True)
class Invocation:
    """Who wants it, and where. `route` is None on a surface without a place, such as the command line. A `guest` has
    no role but that of the place."""

    actor: Sender
    role: Role | None
    channel: str
    route: Route | None = None
    guest: bool = False


@dataclass(frozen=True)
class Reply:
    """What a command answers: a text for people, and the same as data."""

    text: str
    data: Any = None


C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)
P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True)
class Command(Generic[C_contra, P]):
    """One command. `name` is its words, "session list"; at most two."""

    name: str
    summary: str
    parameters: type[P]
    handler: Callable[[C_contra, Invocation, P], Awaitable[Reply]]
    level: Level = "member"

    @property
    def usage(self) -> str:
        """The name with its parameters, "session show ID"."""
        words = (_shown(name, self.parameters.model_fields[name]) for name in self.parameters.positional())
        return " ".join((self.name, *words))


@dataclass
class Registry(Generic[C]):
    """All commands, and the context in which they run."""

    context: C
    commands: Sequence[Command[C, Any]]
    _by_name: dict[str, Command[C, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_name = {command.name: command for command in self.commands}

    def infos(self) -> list[CommandInfo]:
        """The commands by their first words, as a channel lists them."""
        groups: dict[str, list[Command[C, Any]]] = {}
        for command in self.commands:
            groups.setdefault(command.name.split()[0], []).append(command)
        return [CommandInfo(first, _summary(first, group)) for first, group in groups.items()]

    def find(self, name: str, text: str = "") -> tuple[Command[C, Any], list[str]] | None:
        """The command that these words begin with, the longest name first, and the words that are left."""
        words = [*name.split(), *text.split()]
        for count in (2, 1):
            command = self._by_name.get(" ".join(words[:count]))
            if command is not None and len(words) >= count:
                return command, words[count:]
        return None

    def usage(self, name: str, role: Role | None) -> str | None:
        """How the commands of the group `name` are used, those that `role` may use; None when there are none."""
        first = name.split()[:1]
        group = [each for each in self.commands if each.name.split()[:1] == first and may(role, each.level)]
        return "\n".join(f"Usage: /{command.usage}" for command in group) or None

    async def run(
        self, command: Command[C, Any], words: Sequence[str], given: Mapping[str, str], invocation: Invocation
    ) -> Reply:
        """Runs a command whose use was allowed. Raises CommandFailed with one sentence for the person."""
        named = {name: value for name, value in given.items() if name != "text"}
        fields = command.parameters.positional()
        if command.parameters.rest is not None and len(words) > len(fields):
            words = [*words[: len(fields) - 1], " ".join(words[len(fields) - 1 :])]
        if len(words) > len(fields):
            raise CommandFailed(f"Usage: {command.usage}")
        arguments = {**dict(zip(fields, words, strict=False)), **named}
        try:
            parameters = command.parameters.model_validate(arguments)
        except ValidationError as exc:
            raise CommandFailed(f"Usage: {command.usage}") from exc
        return await command.handler(self.context, invocation, parameters)


def _shown(name: str, info: FieldInfo) -> str:
    return info.title or (name.upper() if info.is_required() else f"[{name.upper()}]")


def _summary(first: str, group: Sequence[Command[Any, Any]]) -> str:
    if len(group) == 1:
        words = group[0].usage.removeprefix(first).strip()
        return f"{words}: {group[0].summary}" if words else group[0].summary
    return " | ".join(command.usage.removeprefix(f"{first} ") for command in group)
