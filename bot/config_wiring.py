"""The list [[wirings]]: which agent serves a place, who may talk there, and how the agent behaves."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, model_validator

from adapters.base import Manners
from bot.config_fields import AgentName
from bot.config_model import ConfigModel
from bot.engage import Mode, Others, Senders, SessionMode, Strangers, Wiring, pattern_fault

MAX_PATTERN_CHARS: Final = 500


def _usable(pattern: str) -> str:
    if (fault := pattern_fault(pattern)) is not None:
        raise ValueError(fault)
    return pattern


PLACED: Final = frozenset({"channel", "place", "agent"})
"""The settings of a wiring that say which it is; the others say how its agent serves."""
PlatformName = Annotated[str, Field(min_length=1, max_length=200)]
Pattern = Annotated[str, Field(min_length=1, max_length=MAX_PATTERN_CHARS), AfterValidator(_usable)]


class WiringConfig(ConfigModel):
    """[[wirings]]"""

    channel: PlatformName = Field(description="The channel adapter that leads there.")
    place: PlatformName | None = Field(
        None, description="The platform's own id of a channel; without it every place of that adapter."
    )
    agent: AgentName | None = Field(None, description="Who serves it; without it the first of the agents.")
    engage: Mode = Field(
        "mention-sticky",
        description='What is for the agent: "mention", what names the bot; "mention-sticky", all of a thread '
        'that it talks in as well; "all", everything; "pattern", what names the bot or fits `pattern`.',
    )
    pattern: Pattern | None = Field(
        None, description='A regular expression that is looked for in what is said, for "pattern".'
    )
    sessions: SessionMode = Field(
        "thread",
        description='What one conversation is: "thread", each thread; "channel", the place with all its '
        'threads; "agent", all places that this agent serves so.',
    )
    senders: Senders = Field(
        "anyone", description='Whose words are heard of those who may talk: "anyone", or "admins" alone.'
    )
    others: Others = Field(
        "drop",
        description='What becomes of what is not for the agent: "drop", nothing; "accumulate", it is told '
        "with the next message that is.",
    )
    priority: Annotated[int, Field(ge=-100, le=100)] = Field(
        0, description="Of several agents in a place the one with the highest comes first."
    )
    strangers: Strangers = Field(
        "ignore",
        description='What people without a role meet with: "ignore", silence; "refuse", one sentence; '
        '"ask", an admin is asked about them; "answer", what a member has.',
    )
    bots: bool = Field(False, description="Whether what other bots and webhooks say is heard.")
    bot_messages: Annotated[int, Field(ge=1, le=1000)] = Field(
        5, description="So many messages of bots in a row are answered; then a person has to speak."
    )
    threads: bool = Field(True, description="Whether what is asked is answered in a thread of its own.")
    streaming: bool = Field(True, description="Whether an answer is shown while it is written.")
    mentions: bool = Field(
        False, description="Whether the agent may notify people by name; nobody may notify everybody."
    )
    previews: bool = Field(False, description="Whether the platform may show what is behind a link.")

    @model_validator(mode="after")
    def _has_its_pattern(self) -> Self:
        if self.engage == "pattern" and self.pattern is None:
            raise ValueError('engage = "pattern" needs a `pattern`')
        return self

    def wiring(self, first_agent: str) -> Wiring:
        """The same for the service; `first_agent` serves where none is named."""
        return Wiring(
            self.agent or first_agent,
            self.engage,
            self.strangers,
            self.bots,
            self.bot_messages,
            Manners(self.threads, self.streaming, self.mentions, self.previews),
            pattern=self.pattern,
            sessions=self.sessions,
            senders=self.senders,
            others=self.others,
            priority=self.priority,
        )


def settings_of(wiring: Wiring) -> dict[str, Any]:
    """What differs from the defaults in how an agent serves a place, as [[wirings]] has it."""
    found: dict[str, Any] = {}
    for name, field in WiringConfig.model_fields.items():
        if name in PLACED:
            continue
        holder = wiring.manners if hasattr(wiring.manners, name) else wiring
        value = getattr(holder, "mode" if name == "engage" else name)
        if value != field.default:
            found[name] = value
    return found


def mistakes(wirings: Sequence[WiringConfig], agents: Iterable[str]) -> list[str]:
    """A line for each wiring that names no agent of these, or one that an earlier wiring has for the same place."""
    known = list(agents)
    names = f"known {'are' if len(known) > 1 else 'is'} " + ", ".join(f'"{each}"' for each in known)
    wrong: list[str] = []
    first = next(iter(known), None)
    seen: dict[tuple[str, str | None, str | None], int] = {}
    for number, each in enumerate(wirings):
        if each.agent is not None and each.agent not in known:
            wrong.append(f"wirings[{number}].agent: there is no such agent; {names}")
        earlier = seen.setdefault((each.channel, each.place, each.agent or first), number)
        if earlier != number:
            wrong.append(
                f"wirings[{number}]: is for the same place and agent as wirings[{earlier}]; leave one of them out"
            )
    return wrong


def unserved(wirings: Sequence[WiringConfig], channels: Container[str], *, known: str) -> list[str]:
    """A line for each wiring of a channel that is none of `channels`, which `known` names for people."""
    return [
        f"wirings[{number}].channel: nothing serves this channel; known is {known}"
        for number, each in enumerate(wirings)
        if each.channel not in channels
    ]
