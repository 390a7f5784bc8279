"""What stands around a provider in a test: a tool that remembers, and third parties' providers to open by name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.providers.base import ProviderOptions
from agent.providers.mock import MockProvider


@dataclass
class FakeTool:
    """Answers `answer` to whatever it is called with, or breaks with `breaks`, or never comes back."""

    name: str = "look_up"
    description: str = "Looks something up."
    answer: str | None = "42"
    breaks: Exception | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        return {"type": "object"}

    async def __call__(self, arguments: Mapping[str, Any]) -> str:
        self.calls.append(dict(arguments))
        self.called.set()
        if self.breaks is not None:
            raise self.breaks
        if self.answer is not None:
            return self.answer
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.cancelled = True
        raise AssertionError("unreachable")


class ThirdPartyProvider(MockProvider):
    """Another's provider; its options reach it as they are."""

    def __init__(self, options: ProviderOptions) -> None:
        super().__init__(options)
        self.options = options


class NativeProvider(MockProvider):
    """One that has commands of its own."""

    supports_native_slash_commands = True
