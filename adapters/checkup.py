"""What a look at a platform has found: whether the bot is set up there, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.protocol.messages import Route


@dataclass(frozen=True)
class Named:
    """A place that the configuration names, and `where` it does, for whoever has to mend it."""

    where: str
    route: Route
    threads: bool = True
    """Whether what is asked there is to be answered in a thread of its own."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at before people depend on it, in one sentence: a warning can be lived with, with a
    problem something does not work. `about` is a word for what it was."""

    about: str
    state: Literal["ok", "warning", "problem"]
    text: str


@dataclass(frozen=True)
class Checkup:
    """How a platform is set up. `invite` is the link by which the bot is brought there, where it is known."""

    findings: Sequence[Finding]
    invite: str | None = None
