"""The command registry: a command is one typed, documented function, and every surface is made from it.

The surface sets the actor; what a command may be used by is its level, checked in one place before it runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from adapters.base import Sender
from adapters.offers import CommandInfo, CommandSpec, Suggestion
from agent.protocol.messages import Route
from bot import surfaces
from bot.access import Allow, Level, may
from bot.commands.options import completes, options, wrong
from bot.db.audit import Actor
from bot.db.cards import Option
from bot.db.people import Role, Standing
from bot.errors import CommandFailed

MAX_SUGGESTIONS: Final = 25
MAX_SUGGESTED_CHARS: Final = 100
"""Of a value and of a label: what the strictest platform shows."""


class Parameters(BaseModel):
    """What a command takes; the fields in order are its words. The field `rest`, where there is one, takes all
    words that are left, and the fields after it are given by name only. Each has a description, which a channel with
    typed options shows, and `Completes` in its annotation where it can be completed."""

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
    """Who wants it, and where. `route` is None on a surface without a place, such as the command line. `role` is the
    one that counts for what the command is about, `standing` has all of them; a `guest` has no role but that of the
    place. `direct`: nobody else reads what is said there."""

    actor: Sender
    role: Role | None
    channel: str
    route: Route | None = None
    guest: bool = False
    standing: Standing = field(default_factory=Standing)
    direct: bool = False

    @property
    def by(self) -> Actor:
        """The same for the audit."""
        return Actor(self.actor.id, self.actor.name, self.channel, self.route, self.actor.groups)

    def spelled(self, command: str) -> str:
        """A command as one gives it on this surface, for a text that names one."""
        return surfaces.spelled(self.channel, command)

    def option(self, name: str) -> str:
        """What an option is called on this surface."""
        return surfaces.option(self.channel, name)


@dataclass(frozen=True)
class Asked:
    """Somebody is typing an option: what is there of it so far, and of the others."""

    typed: str
    given: Mapping[str, str]
    invocation: Invocation


@dataclass(frozen=True)
class Reply:
    """What a command answers: a text for people, the same as data, and buttons beneath it where the surface has some:
    what to do next. A command that wants to be sure of it first answers with one that gives it again with `yes`."""

    text: str
    data: Any = None
    buttons: Sequence[Option] = ()


C = TypeVar("C")
C_contra = TypeVar("C_contra", contravariant=True)
P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True)
class Scope:
    """What a command is about: an agent, or None for the service as a whole; and the role that it takes, where that is
    another one than the command's."""

    agent: str | None
    level: Level | None = None

    @classmethod
    def of_any(cls, standing: Standing) -> Scope:
        """For what shows everybody their own part: the agent of which somebody is most."""
        mine = [name for name, role in standing.agents.items() if role == standing.anywhere]
        return cls(None if standing.everywhere == standing.anywhere or not mine else mine[0])


@dataclass(frozen=True)
class Command(Generic[C_contra, P]):
    """One command. `name` is its words, "session list"; at most two.

    `about` finds out which agent it is about: whoever has the role for that agent may give it as well. Without it a
    command of admins or owners is about the service as a whole, and another one about the agent of the place. It only
    reads, and raises CommandFailed. One that `changes` something leaves a row in
    the audit. `agents_may`: whether an agent can have it given in an admin's name, by asking one. One that is
    `in_place` is about the conversation in which it is given, and the command line has none."""

    name: str
    summary: str
    parameters: type[P]
    handler: Callable[[C_contra, Invocation, P], Awaitable[Reply]]
    level: Level = "member"
    about: Callable[[C_contra, Invocation, P], Awaitable[Scope]] | None = None
    changes: bool = False
    agents_may: bool = False
    in_place: bool = False

    @property
    def usage(self) -> str:
        """The name with its parameters, "session show ID"."""
        words = (_shown(name, self.parameters.model_fields[name]) for name in self.parameters.positional())
        return " ".join((self.name, *words))


@dataclass(frozen=True)
class Prepared(Generic[C, P]):
    """A command with checked parameters, before anybody has decided whether it may be given."""

    command: Command[C, P]
    parameters: P


@dataclass
class Registry(Generic[C]):
    """All commands, and the context in which they run."""

    context: C
    commands: Sequence[Command[C, Any]]
    _by_name: dict[str, Command[C, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_name = {command.name: command for command in self.commands}

    @cached_property
    def infos(self) -> Sequence[CommandInfo]:
        """The commands by their first words, as a channel lists them. Made once: it takes milliseconds, and a channel
        may look at them with each message."""
        groups: dict[str, list[Command[C, Any]]] = {}
        for command in self.commands:
            groups.setdefault(command.name.split()[0], []).append(command)
        return [
            CommandInfo(first, _summary(first, group), [_spec(command) for command in group])
            for first, group in groups.items()
        ]

    def find(self, name: str, text: str = "") -> tuple[Command[C, Any], list[str]] | None:
        """The command that these words begin with, the longest name first, and the words that are left."""
        words = [*name.split(), *text.split()]
        for count in (2, 1):
            command = self._by_name.get(" ".join(words[:count]))
            if command is not None and len(words) >= count:
                return command, words[count:]
        return None

    def usage(self, name: str, role: Role | None, channel: str) -> str | None:
        """How the commands of the group `name` are used on a surface, those that `role` may use; None when there are
        none."""
        first = name.split()[:1]
        group = [each for each in self.commands if each.name.split()[:1] == first and may(role, each.level)]
        return "\n".join(_usage(command, channel) for command in group) or None

    def prepare(
        self, command: Command[C, Any], words: Sequence[str], given: Mapping[str, str], channel: str
    ) -> Prepared[C, Any]:
        """Checks what a command was given on the surface `channel`. Raises CommandFailed with one sentence for the
        person."""
        named = {name: value for name, value in given.items() if name != "text"}
        fields = command.parameters.positional()
        if command.parameters.rest is not None and len(words) > len(fields):
            words = [*words[: len(fields) - 1], " ".join(words[len(fields) - 1 :])]
        if len(words) > len(fields):
            raise CommandFailed(_usage(command, channel))
        arguments = {**dict(zip(fields, words, strict=False)), **named}
        try:
            return Prepared(command, command.parameters.model_validate(arguments))
        except ValidationError as exc:
            raise CommandFailed(_refusal(command, named, exc, channel)) from exc

    async def about(self, prepared: Prepared[C, Any], invocation: Invocation, *, here: str | None) -> Scope:
        """What it is about, `here` being the agent of the place. Raises CommandFailed, DatabaseError."""
        command = prepared.command
        if command.about is not None:
            return await command.about(self.context, invocation, prepared.parameters)
        return Scope(None if command.level in ("admin", "owner") else here)

    async def run(self, prepared: Prepared[C, Any], invocation: Invocation, _: Allow) -> Reply:
        """Runs what was allowed. Raises CommandFailed with one sentence for the person."""
        return await prepared.command.handler(self.context, invocation, prepared.parameters)

    async def complete(
        self,
        command: Command[C, Any],
        completing: str,
        typed: str,
        given: Mapping[str, str],
        invocation: Invocation,
    ) -> list[Suggestion]:
        """What could be meant by what is `typed` of the option `completing`, `given` being what the other ones hold:
        MAX_SUGGESTIONS at most, the likeliest first. Whoever asks may use the command, for some agent at least: what it
        is about may be just what is being typed. Raises DatabaseError."""
        completion = completes(command.parameters, completing)
        if completion is None:
            return []
        found = await completion.source(self.context, Asked(typed.strip(), given, invocation))
        fitting = [each for each in found if len(each.value) <= MAX_SUGGESTED_CHARS]
        return [replace(each, label=_short(each.label)) for each in fitting[:MAX_SUGGESTIONS]]


def _spec(command: Command[Any, Any]) -> CommandSpec:
    admins = command.level in ("admin", "owner")
    return CommandSpec(command.name, command.summary, options(command.parameters), admins=admins)


def _usage(command: Command[Any, Any], channel: str) -> str:
    return f"Usage: {surfaces.spelled(channel, command.usage)}"


def _refusal(command: Command[Any, Any], named: Mapping[str, str], exc: ValidationError, channel: str) -> str:
    """Of an option that was given by its name it is said what is wrong; words are read by their order, and that is
    what is shown."""
    by_name = [error for error in exc.errors() if error["loc"] and error["loc"][0] in named]
    return wrong(by_name[0]) if by_name else _usage(command, channel)


def _short(label: str) -> str:
    return label if len(label) <= MAX_SUGGESTED_CHARS else label[: MAX_SUGGESTED_CHARS - 1] + "…"


def _shown(name: str, info: FieldInfo) -> str:
    return info.title or (name.upper() if info.is_required() else f"[{name.upper()}]")


def _summary(first: str, group: Sequence[Command[Any, Any]]) -> str:
    if len(group) == 1:
        words = group[0].usage.removeprefix(first).strip()
        return f"{words}: {group[0].summary}" if words else group[0].summary
    return " | ".join(command.usage.removeprefix(f"{first} ") for command in group)
