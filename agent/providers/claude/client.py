"""A live Claude CLI: started once, kept between queries, read by one task for as long as it lives."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from claude_agent_sdk import ClaudeSDKClient, HookMatcher, Message, ResultMessage
from claude_agent_sdk.types import HookContext, HookEvent, HookInput, HookJSONOutput

from agent import transcripts
from agent.protocol.clock import now_ms
from agent.providers.base import Error, ProviderError, ProviderOptions, ToolBegun, ToolEnded
from agent.providers.claude import errors, words
from agent.providers.claude.settings import sdk_options

START_SECONDS: Final = 30.0
"""How long the CLI may take to start; on a busy machine it takes two."""
STDERR_LINES: Final = 40
REMINDER: Final = (
    "In the summary keep who asked what, by message id, and what is still to be answered. After it the rules of"
    " this chat hold as before: what reaches you is XML in <messages>, your answer goes to whoever asked, <message"
    ' to="name"> goes elsewhere, and <internal> is shown to nobody.'
)
"""Goes with the request for a summary, and stays in the conversation behind it."""

News = Message | ToolBegun | ToolEnded | Exception
"""What a client has to say: the CLI's messages, the tools in flight, and its end."""

_log = logging.getLogger("roost.claude")


class Client:
    """One process of the CLI. `session_id` is what its conversation is resumed by later."""

    def __init__(
        self,
        options: ProviderOptions,
        *,
        cwd: Path,
        instructions: str | None,
        model: str | None,
        resume: str | None,
    ) -> None:
        self.session_id = resume
        self.instructions = instructions
        self.model = model
        self.alive = False
        self.used = False
        self._archive = options.archive
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._news: asyncio.Queue[News | None] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._unanswered: list[str] = []
        self._quiet = asyncio.Event()
        self._sdk = ClaudeSDKClient(
            sdk_options(
                options,
                cwd=cwd,
                instructions=instructions,
                model=model,
                resume=resume,
                hooks=self._hooks(),
                stderr=self._stderr.append,
            )
        )

    async def start(self) -> None:
        """Raises Failure."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._sdk.connect()
        except Exception as exc:
            raise self._failure(exc) from exc
        self.alive = True
        self._reader = asyncio.create_task(self._read(), name="claude messages")

    def listen(self, news: asyncio.Queue[News | None]) -> None:
        """From now on `news` is told everything, and whoever listened before nothing."""
        self._news = news

    async def send(self, content: Sequence[dict[str, Any]], prompt_id: str, *, native: bool) -> None:
        """Gives it a prompt; its result will name it by `prompt_id`, a UUID. Only what is `native` is looked through
        for commands and paths. Raises Failure."""
        self._unanswered.append(prompt_id)
        self._quiet.clear()
        self.used = True
        message = {
            "type": "user",
            "message": {"role": "user", "content": list(content)},
            "parent_tool_use_id": None,
            "uuid": prompt_id,
            "client_composed": not native,
        }
        try:
            await self._sdk.query(_once(message))
        except Exception as exc:
            raise self._failure(exc) from exc

    async def stop(self, seconds: float) -> bool:
        """Ends the turn that runs; False when the client is of no use any more: more had been asked of it, or it did
        not stop in time."""
        if not self._unanswered:
            return self.alive
        if len(self._unanswered) > 1:
            return False
        try:
            async with asyncio.timeout(seconds):
                await self._sdk.interrupt()
                await self._quiet.wait()
        except Exception as exc:
            _log.warning("the Claude CLI did not stop: %r", exc)
            return False
        return self.alive

    async def close(self) -> None:
        """Ends the process. Twice is fine."""
        self.alive = False
        self._news = None
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            self._reader = None
        with contextlib.suppress(Exception):
            await self._sdk.disconnect()

    async def _read(self) -> None:
        failure: Exception | None = None
        try:
            async for message in self._sdk.receive_messages():
                if isinstance(message, ResultMessage):
                    self.session_id = message.session_id
                    self._settle(message)
                self._tell(message)
        except Exception as exc:
            failure = exc
        self.alive = False
        self._quiet.set()
        self._tell(self._failure(failure or EOFError("the CLI ended")))

    def _settle(self, result: ResultMessage) -> None:
        taken = {result.user_message_uuid, *(result.user_message_uuids or ())}
        left = [each for each in self._unanswered if each not in taken]
        # An interrupted turn does not always say what it was about, and a command of the CLI's never does.
        self._unanswered = left if len(left) < len(self._unanswered) else self._unanswered[1:]
        if not self._unanswered:
            self._quiet.set()

    def _tell(self, news: News) -> None:
        if self._news is not None:
            self._news.put_nowait(news)

    def _failure(self, exc: Exception) -> Failure:
        stderr = "\n".join(self._stderr)
        _log.error("the Claude CLI failed: %r; its stderr: %s", exc, stderr or "(nothing)")
        return Failure(errors.of_exception(exc, stderr))

    # ---------------------------------------------------------------- hooks

    def _hooks(self) -> dict[HookEvent, list[HookMatcher]]:
        return {
            "PreToolUse": [HookMatcher(hooks=[self._tool_begins])],
            "PostToolUse": [HookMatcher(hooks=[self._tool_ended])],
            "PostToolUseFailure": [HookMatcher(hooks=[self._tool_ended])],
            "PreCompact": [HookMatcher(hooks=[self._before_compaction])],
        }

    async def _tool_begins(self, given: HookInput, call_id: str | None, _: HookContext) -> HookJSONOutput:
        name, arguments = str(given.get("tool_name")), given.get("tool_input")
        limit = words.seconds(name, arguments if isinstance(arguments, dict) else {})
        self._tell(ToolBegun(call_id or name, name, limit))
        return {}

    async def _tool_ended(self, given: HookInput, call_id: str | None, _: HookContext) -> HookJSONOutput:
        self._tell(ToolEnded(call_id or str(given.get("tool_name"))))
        return {}

    async def _before_compaction(self, given: HookInput, _: str | None, __: HookContext) -> HookJSONOutput:
        if self._archive is not None:
            transcript = Path(given["transcript_path"])
            try:
                kept = await asyncio.to_thread(transcripts.archive, transcript, self._archive, now_ms())
                _log.info("the conversation is archived: %s", kept)
            except (OSError, ValueError) as exc:
                # Its memory is compacted all the same: a conversation that cannot go on helps nobody.
                _log.error("the conversation could not be archived: %s", exc)
        return {"systemMessage": REMINDER}


class Failure(Exception):
    """Raised when the CLI cannot go on; `cause` is what whoever asked is to be told."""

    def __init__(self, cause: Error | ProviderError) -> None:
        super().__init__(cause.message if isinstance(cause, Error) else str(cause))
        self.cause = cause


async def _once(message: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    yield message
