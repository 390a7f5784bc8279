"""From the CLI's messages to events: what it writes, what it does, and what it answers in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from claude_agent_sdk import (
    AssistantMessage,
    Message,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    TaskProgressMessage,
    TaskStartedMessage,
    TextBlock,
    ToolUseBlock,
)

from agent.providers.base import Activity, Delta, Event, Init, Progress, Result, Usage, Waiting
from agent.providers.claude import errors, words

GAP: Final = "\n\n"
"""Between what was written before a tool was used and what came after."""
SUMMING_UP: Final = "Summing up the conversation so far"
DONE: Final = "Done."
_WHY_IT_WAITS: Final = {"quota": "The model's quota is used up", "overloaded": "The model is overloaded"}
_WAITS: Final = "The model cannot be reached"


class Translator:
    """Of one query. It is told the prompts as they are sent, and every message."""

    def __init__(self, cost_so_far: float) -> None:
        """`cost_so_far` is what the client had cost before: the CLI only tells the sum, in US dollars."""
        self.cost = cost_so_far
        self._prompts: list[tuple[str, bool]] = []
        self._session: str | None = None
        self._texts: list[str] = []
        self._messages: set[str] = set()
        self._block_begins = False
        self._wrote = False
        self._error: str | None = None

    @property
    def open(self) -> bool:
        """Whether a prompt waits for its answer."""
        return bool(self._prompts)

    def asked(self, prompt_id: str, *, native: bool) -> None:
        """A prompt is on its way."""
        self._prompts.append((prompt_id, native))

    def events(self, message: Message) -> Iterator[Event]:
        """What a message means. After an Error nothing that was asked is answered any more."""
        yield Activity()
        match message:
            case StreamEvent(parent_tool_use_id=None, event=event):
                yield from self._streamed(event)
            case AssistantMessage(parent_tool_use_id=None):
                yield from self._written(message)
            case AssistantMessage():
                yield from self._uses(message.content)
            case TaskStartedMessage(description=what) | TaskProgressMessage(description=what):
                yield Progress(f"A helper works on {what}"[: words.MAX_CHARS])
            case SystemMessage():
                yield from self._system(message)
            case ResultMessage():
                yield self._result(message)

    def _streamed(self, event: dict[str, Any]) -> Iterator[Event]:
        match event:
            case {"type": "message_start", "message": {"id": str(message_id)}}:
                self._messages.add(message_id)
            case {"type": "content_block_start"}:
                self._block_begins = True
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": str(text)}} if text:
                if self._block_begins and self._wrote:
                    yield Delta(GAP)
                self._block_begins, self._wrote = False, True
                yield Delta(text)

    def _written(self, message: AssistantMessage) -> Iterator[Event]:
        self._error = message.error or self._error
        # What was said before a compaction is said to us once more.
        if message.message_id in self._messages:
            self._texts += [b.text for b in message.content if isinstance(b, TextBlock) and b.text]
            yield from self._uses(message.content)

    def _uses(self, content: Sequence[Any]) -> Iterator[Event]:
        for block in content:
            if isinstance(block, ToolUseBlock) and (what := words.doing(block.name, block.input)):
                yield Progress(what)

    def _system(self, message: SystemMessage) -> Iterator[Event]:
        data = message.data
        match message.subtype:
            case "init" if self._session != data["session_id"]:
                self._session = data["session_id"]
                yield Init(data["session_id"])
            case "compact_boundary":
                yield Progress(SUMMING_UP)
            case "status" if data.get("status") == "compacting":
                yield Progress(SUMMING_UP)
            case "api_retry":
                yield self._again(data)

    def _again(self, data: dict[str, Any]) -> Event:
        """The CLI tries again by itself; a key that was refused is refused the next time, too."""
        status, error = data.get("error_status"), data.get("error")
        classification = errors.classify(status, error, "")
        if classification == "auth":
            return errors.of_failure(status, error, "")
        reason = _WHY_IT_WAITS.get(classification, _WAITS)
        return Waiting(reason, float(data.get("retry_delay_ms") or 0) / 1000)

    def _result(self, result: ResultMessage) -> Event:
        texts, self._texts = self._texts, []
        error, self._error = self._error, None
        self._messages.clear()
        self._wrote = False
        answered, native = self._take(result)
        said = GAP.join(texts)
        if result.is_error:
            return errors.of_result(result, said, error)
        if not said:
            said = (result.result or "").strip() or (DONE if native else "")
        return Result(said, self._usage(result), answered)

    def _take(self, result: ResultMessage) -> tuple[int, bool]:
        """How many of the oldest prompts it answers, and whether the last of them was a command of the CLI's. What
        the CLI began by itself answers none."""
        taken = {result.user_message_uuid, *(result.user_message_uuids or ())} - {None}
        places = [place for place, (prompt_id, _) in enumerate(self._prompts) if prompt_id in taken]
        by_itself = result.origin is not None and result.origin.get("kind") != "human"
        count = places[-1] + 1 if places else min(len(self._prompts), 0 if taken or by_itself else 1)
        done, self._prompts = self._prompts[:count], self._prompts[count:]
        return count, bool(done) and done[-1][1]

    def _usage(self, result: ResultMessage) -> Usage:
        used, before = result.usage or {}, self.cost
        self.cost = max(before, result.total_cost_usd or 0.0)
        return Usage(
            input_tokens=int(used.get("input_tokens") or 0),
            output_tokens=int(used.get("output_tokens") or 0),
            cache_read_tokens=int(used.get("cache_read_input_tokens") or 0),
            cache_write_tokens=int(used.get("cache_creation_input_tokens") or 0),
            cost_usd=self.cost - before,
            model=next(iter(result.model_usage or {}), None),
            duration_ms=result.duration_ms,
        )
