"""The options of the commands that say how an agent serves a place, and how they are told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from bot.commands.agent_names import AgentChoice
from bot.commands.place_names import AtPlace
from bot.config_wiring import PLACED, WiringConfig
from bot.engage import Mode, Others, Senders, SessionMode, Strangers

NONE: Final = "none"
KEYS: Final = tuple(name for name in WiringConfig.model_fields if name not in PLACED)


class AgentAt(AtPlace):
    """An agent in a place."""

    agent: AgentChoice = Field(min_length=1, max_length=60, description="the agent")


class How(AgentAt):
    """How it serves there; what is left out stays as it is."""

    engage: Mode | None = Field(None, description="what is for the agent")
    pattern: str | None = Field(
        None,
        max_length=500,
        description=f"a regular expression, for the engage mode pattern; {NONE} clears it",
    )
    sessions: SessionMode | None = Field(None, description="what one conversation is")
    strangers: Strangers | None = Field(None, description="what people without a role meet with")
    senders: Senders | None = Field(None, description="whose words are heard")
    others: Others | None = Field(None, description="what becomes of what is not for the agent")
    bots: bool | None = Field(None, description="whether other bots are heard")
    bot_messages: int | None = Field(None, description="so many messages of bots in a row are answered")
    threads: bool | None = Field(None, description="whether it answers in a thread")
    streaming: bool | None = Field(None, description="whether an answer is shown while it is written")
    mentions: bool | None = Field(None, description="whether it may notify people by name")
    previews: bool | None = Field(None, description="whether links are previewed")
    priority: int | None = Field(None, description="of several agents the highest comes first")

    @property
    def given(self) -> dict[str, Any]:
        """What was given, as [[wirings]] has it."""
        found = {name: getattr(self, name) for name in KEYS if getattr(self, name, None) is not None}
        if self.pattern is not None and self.pattern.lower() == NONE:
            found["pattern"] = None
        return found


def whole(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting, those that are left to their defaults as well."""
    return {name: settings.get(name, WiringConfig.model_fields[name].default) for name in KEYS}


def said(value: Any) -> str:
    """A value in a word."""
    return {True: "on", False: "off", None: NONE}.get(value, str(value)) if _is_word(value) else str(value)


def arguments(settings: Mapping[str, Any]) -> dict[str, str]:
    """The same as the options of a button."""
    return {name: _text(value) for name, value in settings.items()}


def in_words(settings: Mapping[str, Any]) -> str:
    """What differs from the defaults, on one line."""
    return ", ".join(f"{name} {said(value)}" for name, value in settings.items()) or "as by default"


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _text(value: Any) -> str:
    if value is None:
        return NONE
    return str(value).lower() if isinstance(value, bool) else str(value)
