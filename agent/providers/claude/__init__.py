"""Claude, through the Claude Agent SDK and the CLI that comes with it.

One live client is kept between queries, so that a warm turn starts no process. Importing this package imports the
SDK, which takes its time: the table of providers does so only for an agent that needs it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

from agent.providers.base import (
    Error,
    Event,
    Prompt,
    ProviderError,
    ProviderOptions,
    QueryInput,
    ToolBegun,
    ToolEnded,
)
from agent.providers.claude import content, errors
from agent.providers.claude.client import Client, Failure, News
from agent.providers.claude.errors import UnknownConversation
from agent.providers.claude.settings import has_key
from agent.providers.claude.turn import Translator

_log = logging.getLogger("roost.claude")

ABORT_SECONDS: Final = 1.2
"""How long the CLI may take to stop its turn; then it is ended. It takes about 35 ms."""


class ClaudeProvider:
    """Made from `options`; extra["cli_path"] names another CLI than the one that comes with the SDK."""

    supports_native_slash_commands = True

    def __init__(self, options: ProviderOptions) -> None:
        self._options = options
        self._client: Client | None = None
        self._cost = 0.0
        self._connecting = asyncio.Lock()

    def query(self, query: QueryInput) -> ClaudeQuery:
        """Opens a query. What is wrong with the CLI or the key shows in its events."""
        return ClaudeQuery(self, query)

    def is_session_invalid(self, error: BaseException | Error) -> bool:
        """Whether the CLI has no transcript of the conversation any more."""
        if isinstance(error, Error):
            return error.classification == "invalid_session"
        return isinstance(error, UnknownConversation)

    async def aclose(self) -> None:
        """Ends the CLI. Twice is fine."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def prepare(self, opening: QueryInput) -> None:
        """Starts the CLI for a conversation that nobody has begun yet."""
        try:
            await self.client(opening)
        except Failure as failure:
            _log.warning("the Claude CLI cannot be had ready: %s", failure)

    async def client(self, query: QueryInput) -> Client:
        """The live client if it fits, or else a new one. Raises Failure."""
        async with self._connecting:
            return await self._connected(query)

    async def _connected(self, query: QueryInput) -> Client:
        client = self._client
        if client is not None and self._fits(client, query):
            return client
        await self.aclose()
        if not has_key(self._options):
            raise Failure(errors.of_failure(None, "authentication_failed", "Not logged in"))
        self._cost = 0.0
        self._client = client = Client(
            self._options,
            cwd=query.cwd,
            instructions=query.system_context.instructions,
            model=query.model,
            resume=query.continuation,
        )
        try:
            await client.start()
        except BaseException:
            await self.aclose()
            raise
        return client

    def translator(self) -> Translator:
        """For a query of the client there is."""
        return Translator(self._cost)

    def spent(self, cost: float) -> None:
        """What the client has cost by now, in US dollars."""
        self._cost = cost

    def _fits(self, client: Client, query: QueryInput) -> bool:
        told = (client.instructions, client.model, client.session_id)
        # The CLI counts a budget for as long as it lives, and ours is for one turn.
        fresh = self._options.limits.max_budget_usd is None or not client.used
        return (
            client.alive
            and fresh
            and told == (query.system_context.instructions, query.model, query.continuation)
        )


class ClaudeQuery:
    """One conversation: prompts go in by one task, events come out of the client's messages."""

    def __init__(self, provider: ClaudeProvider, opening: QueryInput) -> None:
        self._provider = provider
        self._opening = opening
        self._prompts: asyncio.Queue[Prompt] = asyncio.Queue()
        self._prompts.put_nowait(opening.prompt)
        self._unsent = 1
        self._news: asyncio.Queue[News | None] = asyncio.Queue()
        self._open = True
        self._aborted = asyncio.Event()
        self._client: Client | None = None
        self._events = self._run()

    @property
    def events(self) -> AsyncIterator[Event]:
        """One and the same iterator every time."""
        return self._events

    def push(self, prompt: Prompt) -> None:
        """Raises ProviderError once the query has ended or was told to."""
        if not self._open:
            raise ProviderError("The query is over and takes no more prompts.")
        self._unsent += 1
        self._prompts.put_nowait(prompt)

    def end(self) -> None:
        """What was pushed is answered, then the events end; the client stays."""
        self._open = False
        self._news.put_nowait(None)

    async def abort(self) -> None:
        """Interrupts the turn. A client that does not stop, or had more to do, is ended."""
        if self._aborted.is_set():
            return
        self._aborted.set()
        self.end()
        await self._stop()

    async def _run(self) -> AsyncIterator[Event]:
        try:
            client = await self._unless_aborted(self._provider.client(self._opening))
            if client is None:
                return
            self._client = client
            client.listen(self._news)
            translator = self._provider.translator()
            sending = asyncio.create_task(self._send(client, translator), name="claude prompts")
            try:
                async for event in self._heard(translator):
                    yield event
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        except Failure as failure:
            if isinstance(failure.cause, ProviderError):
                raise failure.cause from failure
            yield failure.cause
        finally:
            self._open = False

    async def _heard(self, translator: Translator) -> AsyncIterator[Event]:
        while not self._aborted.is_set() and (self._open or self._unsent or translator.open):
            news = await self._news.get()
            if self._aborted.is_set() or news is None:
                continue
            if isinstance(news, Exception):
                await self._provider.aclose()
                raise news
            if isinstance(news, ToolBegun | ToolEnded):
                yield news
                continue
            for event in translator.events(news):
                self._provider.spent(translator.cost)
                if isinstance(event, Error):
                    self._open = False
                    # It would go on trying, or answer what nobody waits for any more.
                    await self._stop()
                    yield event
                    return
                yield event

    async def _stop(self) -> None:
        if self._client is not None and not await self._client.stop(ABORT_SECONDS):
            await self._provider.aclose()

    async def _send(self, client: Client, translator: Translator) -> None:
        while True:
            prompt = await self._prompts.get()
            blocks = await asyncio.to_thread(content.blocks, prompt)
            if prompt.native:
                blocks = blocks[-1:]
            prompt_id = str(uuid.uuid4())
            translator.asked(prompt_id, native=prompt.native)
            self._unsent -= 1
            try:
                await client.send(blocks, prompt_id, native=prompt.native)
            except Failure as failure:
                self._news.put_nowait(failure)
                return

    async def _unless_aborted(self, connecting: Coroutine[Any, Any, Client]) -> Client | None:
        connect, aborted = asyncio.create_task(connecting), asyncio.create_task(self._aborted.wait())
        try:
            await asyncio.wait({connect, aborted}, return_when=asyncio.FIRST_COMPLETED)
            if self._aborted.is_set():
                connect.cancel()
                await asyncio.gather(connect, return_exceptions=True)
                return None
            return await connect
        finally:
            connect.cancel()
            aborted.cancel()
