"""A provider that does not behave; `extra["manner"]` says how. It opens by the name `tests.fakes.rude:RudeProvider`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from agent.providers.base import (
    Delta,
    Error,
    Event,
    Init,
    Prompt,
    ProviderError,
    ProviderOptions,
    QueryInput,
    Result,
)


class RudeProvider:
    """The prompt "gently" is answered, whatever the manner."""

    supports_native_slash_commands = False

    def __init__(self, options: ProviderOptions) -> None:
        self._manner = str(options.extra["manner"])

    def query(self, query: QueryInput) -> RudeQuery:
        if self._manner == "refuses":
            raise LookupError("no such model")
        return RudeQuery(query, "polite" if "gently" in query.prompt.text else self._manner)

    def is_session_invalid(self, error: BaseException | Error) -> bool:
        return isinstance(error, LookupError) and "forgotten" in str(error)

    async def aclose(self) -> None:
        if self._manner == "does not close":
            await _for_ever()


class RudeQuery:
    """Plays one of the manners below."""

    def __init__(self, query: QueryInput, manner: str) -> None:
        self._manner = manner
        self.input = query
        self.pushed: list[Prompt] = []
        self.aborted = asyncio.Event()
        self.ended = asyncio.Event()

    @property
    def events(self) -> AsyncIterator[Event]:
        return _MANNERS[self._manner](self)

    def push(self, prompt: Prompt) -> None:
        if self._manner == "takes no more":
            self.ended.set()
            raise ProviderError("The query is over.")
        self.pushed.append(prompt)

    def end(self) -> None:
        self.ended.set()

    async def abort(self) -> None:
        if self._manner in ("deaf", "immortal"):
            await _for_ever()
        if self._manner == "breaks when aborted":
            raise RuntimeError("cannot abort")
        self.aborted.set()
        self.ended.set()


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def _polite(query: RudeQuery) -> AsyncIterator[Event]:
    yield Init("rude-1")
    yield Result("As you like.")
    await query.ended.wait()


async def _deaf(query: RudeQuery) -> AsyncIterator[Event]:
    yield Init("rude-1")
    yield Delta("I am working")
    await _for_ever()


async def _immortal(query: RudeQuery) -> AsyncIterator[Event]:
    yield Delta("I am working")
    while True:
        try:
            await _for_ever()
        except asyncio.CancelledError:
            continue


async def _disconnected(query: RudeQuery) -> AsyncIterator[Event]:
    yield Init("rude-1")
    raise ConnectionResetError("the model hung up")


async def _cancelled(query: RudeQuery) -> AsyncIterator[Event]:
    yield Init("rude-1")
    raise asyncio.CancelledError


async def _forgetful(query: RudeQuery) -> AsyncIterator[Event]:
    if query.input.continuation is not None:
        raise LookupError("forgotten")
    yield Init("rude-1")
    yield Result("Who are you?")
    await query.ended.wait()


async def _complains_when_aborted(query: RudeQuery) -> AsyncIterator[Event]:
    yield Delta("I am working")
    await query.aborted.wait()
    yield Error("interrupted by somebody", classification="interrupted")


async def _half(query: RudeQuery) -> AsyncIterator[Event]:
    yield Delta("half: \ud83d")
    yield Result("half: \ud83d")
    await query.ended.wait()


async def _silent_error(query: RudeQuery) -> AsyncIterator[Event]:
    yield Error("")


async def _late(query: RudeQuery) -> AsyncIterator[Event]:
    await asyncio.to_thread((query.input.cwd / "gate").read_bytes)
    yield Init("rude-late")
    await _for_ever()


async def _takes_no_more(query: RudeQuery) -> AsyncIterator[Event]:
    yield Init("rude-1")
    yield Result("That was all.")
    await query.ended.wait()


_MANNERS: Final[Mapping[str, Callable[[RudeQuery], AsyncIterator[Event]]]] = {
    "polite": _polite,
    "deaf": _deaf,
    "immortal": _immortal,
    "disconnected": _disconnected,
    "cancelled": _cancelled,
    "forgetful": _forgetful,
    "complains when aborted": _complains_when_aborted,
    "breaks when aborted": _deaf,
    "half": _half,
    "silent error": _silent_error,
    "late": _late,
    "takes no more": _takes_no_more,
    "does not close": _polite,
}
