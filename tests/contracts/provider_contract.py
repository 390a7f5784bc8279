"""What every provider keeps to. A provider's tests subclass ProviderContract and supply its fixtures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.providers.base import (
    Activity,
    AgentProvider,
    AgentQuery,
    Delta,
    Error,
    Event,
    Init,
    Prompt,
    ProviderError,
    QueryInput,
    Result,
)

SECONDS = 10.0
"""How long anything may take before a test calls it stuck."""

Make = Callable[[], AgentProvider]


async def read(query: AgentQuery) -> list[Event]:
    """Every event to the end."""
    async with asyncio.timeout(SECONDS):
        return [event async for event in query.events]


async def read_until(query: AgentQuery, kind: type[Event]) -> list[Event]:
    """The events up to the first of this kind; there must be one."""
    seen: list[Event] = []
    async with asyncio.timeout(SECONDS):
        async for event in query.events:
            seen.append(event)
            if isinstance(event, kind):
                return seen
    raise AssertionError(f"no {kind.__name__} in {seen}")


def results(events: list[Event]) -> list[Result]:
    return [event for event in events if isinstance(event, Result)]


def written(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


class ProviderContract:
    @pytest.fixture
    def answering(self) -> Make:
        """Makes a provider that answers every prompt with a text in which the prompt's last word occurs."""
        raise NotImplementedError

    @pytest.fixture
    def endless(self) -> Make:
        """Makes one that begins to write an answer to "long", and then is silent; it answers other prompts."""
        raise NotImplementedError

    @pytest.fixture
    def failing(self) -> Make:
        """Makes one that fails, as it would if the model could not be reached."""
        raise NotImplementedError

    foreign_continuation = "somebody else's"

    def same_conversation(self, first: str, second: str) -> bool:
        """Whether the second continuation goes on from the first."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    async def no_task_is_left(self) -> AsyncIterator[None]:
        yield
        assert asyncio.all_tasks() == {asyncio.current_task()}, asyncio.all_tasks()

    @pytest.fixture
    def opening(self, tmp_path: Path) -> Callable[..., QueryInput]:
        def make(text: str, continuation: str | None = None) -> QueryInput:
            return QueryInput(Prompt(text), continuation, tmp_path)

        return make

    async def test_init_comes_first(self, answering: Make, opening: Callable[..., QueryInput]) -> None:
        query = answering().query(opening("hello"))
        query.end()
        events = [event for event in await read(query) if not isinstance(event, Activity)]
        assert isinstance(events[0], Init) and events[0].continuation
        assert sum(isinstance(event, Init) for event in events) == 1

    async def test_the_deltas_make_the_result(
        self, answering: Make, opening: Callable[..., QueryInput]
    ) -> None:
        query = answering().query(opening("hello there wonderful world"))
        query.end()
        events = await read(query)
        (result,) = results(events)
        assert result.text is not None and "world" in result.text
        assert written(events) == result.text
        assert sum(isinstance(event, Delta) for event in events) > 1

    async def test_activity_accompanies_the_work(
        self, answering: Make, opening: Callable[..., QueryInput]
    ) -> None:
        query = answering().query(opening("hello there wonderful world"))
        query.end()
        quiet = 0
        for event in await read(query):
            quiet = 0 if isinstance(event, Activity) else quiet + 1
            assert quiet <= 2

    async def test_a_push_while_it_runs_is_answered(
        self, answering: Make, opening: Callable[..., QueryInput]
    ) -> None:
        query = answering().query(opening("first"))
        before = await read_until(query, Delta)
        query.push(Prompt("second"))
        query.end()
        events = before + await read(query)
        answered = results(events)
        assert "second" in (answered[-1].text or "")
        assert answered[-1].answered is None or sum(each.answered or 0 for each in answered) == 2

    async def test_a_push_into_an_idle_query_is_answered(
        self, answering: Make, opening: Callable[..., QueryInput]
    ) -> None:
        query = answering().query(opening("first"))
        await read_until(query, Result)
        query.push(Prompt("second"))
        events = await read_until(query, Result)
        assert "second" in (results(events)[0].text or "")
        query.end()
        assert results(await read(query)) == []

    async def test_end_lets_it_finish_and_takes_no_more(
        self, answering: Make, opening: Callable[..., QueryInput]
    ) -> None:
        query = answering().query(opening("hello"))
        query.end()
        query.end()
        with pytest.raises(ProviderError):
            query.push(Prompt("too late"))
        assert len(results(await read(query))) == 1
        with pytest.raises(ProviderError):
            query.push(Prompt("far too late"))

    async def test_abort_ends_the_events_of_whoever_waits(
        self, endless: Make, opening: Callable[..., QueryInput]
    ) -> None:
        provider = endless()
        query = provider.query(opening("long"))
        await read_until(query, Delta)
        query.push(Prompt("never answered"))
        reader = asyncio.create_task(read(query))
        # Time enough to have said all that it will say, and to be waited for.
        for _ in range(100):
            await asyncio.sleep(0)
        await query.abort()
        await query.abort()
        assert results(await reader) == []
        with pytest.raises(ProviderError):
            query.push(Prompt("too late"))

        again = provider.query(opening("hello"))
        again.end()
        assert len(results(await read(again))) == 1

    async def test_abort_before_anything_was_read(
        self, endless: Make, opening: Callable[..., QueryInput]
    ) -> None:
        query = endless().query(opening("long"))
        await query.abort()
        events = await read(query)
        assert results(events) == [] and written(events) == ""

    async def test_a_conversation_is_resumed(
        self, answering: Make, opening: Callable[..., QueryInput]
    ) -> None:
        async def converse(continuation: str | None) -> str:
            query = answering().query(opening("hello", continuation))
            query.end()
            return next(event.continuation for event in await read(query) if isinstance(event, Init))

        first = await converse(None)
        assert self.same_conversation(first, await converse(first))
        assert not self.same_conversation(first, await converse(None))

    async def test_a_foreign_continuation_is_an_invalid_session(
        self, answering: Make, opening: Callable[..., QueryInput]
    ) -> None:
        provider = answering()
        failure = await self.failure(provider, opening("hello", self.foreign_continuation))
        assert provider.is_session_invalid(failure)

    async def test_a_failure_surfaces(self, failing: Make, opening: Callable[..., QueryInput]) -> None:
        provider = failing()
        failure = await self.failure(provider, opening("hello"))
        assert not provider.is_session_invalid(failure)
        assert failure.message if isinstance(failure, Error) else str(failure)

    async def failure(self, provider: AgentProvider, opening: QueryInput) -> Error | Exception:
        """How it fails: a provider may refuse, break, or report."""
        try:
            query = provider.query(opening)
            query.end()
            events = await read(query)
        except Exception as exc:
            return exc
        assert results(events) == []
        return next(event for event in events if isinstance(event, Error))

    async def test_two_providers_share_nothing(
        self, endless: Make, opening: Callable[..., QueryInput]
    ) -> None:
        one, other = endless(), endless()
        aborted, kept = one.query(opening("long")), other.query(opening("hello"))
        first = await read_until(aborted, Delta)
        second = await read_until(kept, Delta)
        inits = {event.continuation for event in first + second if isinstance(event, Init)}
        assert len(inits) == 2
        await aborted.abort()
        await one.aclose()
        kept.end()
        rest = await read(kept)
        assert len(results(rest)) == 1
        await read(aborted)

    async def test_closing_twice_is_closing(
        self, answering: Make, opening: Callable[..., QueryInput]
    ) -> None:
        provider = answering()
        query = provider.query(opening("hello"))
        query.end()
        await read(query)
        await provider.aclose()
        await provider.aclose()
