"""A provider that thinks nothing: it echoes, or plays a script, without a network or a key.

`extra["script"]` is a list of rules `{"match": regex, "steps": [...]}`: the first one whose `match` is found
in the plain text of a prompt (or that has none) is played, and where none fits, the prompt is echoed. In the
texts of a step `{text}` stands for that plain text, `{tool}` for what the last tool answered, `{sent}` for the
number of the last message that a tool has sent, `{id}` for that of the prompt's last message, `{model}` for the
model, `{instructions}` for what the agent is told about itself and `{prompt}` for the prompt as it came.

    ProviderError                 (see base) also: the script is malformed
      x UnknownContinuation       the continuation is of another provider
    ScriptedFailure               a step `raise` was played
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from agent.providers.base import (
    Activity,
    Delta,
    Error,
    Event,
    Init,
    Progress,
    Prompt,
    ProviderError,
    ProviderOptions,
    QueryInput,
    Result,
    Tool,
    Usage,
)
from agent.providers.script import (
    ActivityStep,
    CrashStep,
    DeltaStep,
    ErrorStep,
    KillStep,
    PrintStep,
    ProgressStep,
    RaiseStep,
    ResultStep,
    Rule,
    StallStep,
    Step,
    ToolStep,
    parse_script,
)

_T = TypeVar("_T")
_CONTINUATION: Final = re.compile(r"mock-(?P<id>[0-9a-f]+)-(?P<turns>[0-9]{1,9})")


class UnknownContinuation(ProviderError):
    """Raised when a query is to resume something that no mock has begun."""


class ScriptedFailure(Exception):
    """Raised out of a query's events by the step `raise`."""


class MockProvider:
    """Made from `options`, of which it uses the model's name, the tools and extra["script"]."""

    supports_native_slash_commands = False

    def __init__(self, options: ProviderOptions) -> None:
        """Raises ProviderError naming the rule that is malformed."""
        self._script = parse_script(options.extra)
        self._tools = {tool.name: tool for tool in options.tools}
        self._model = options.model or "mock"

    def query(self, query: QueryInput) -> MockQuery:
        """Opens a query; its continuation counts how often it was resumed. Raises UnknownContinuation."""
        about = {
            "model": query.model or self._model,
            "instructions": query.system_context.instructions or "",
        }
        return MockQuery(query.prompt, _resumed(query.continuation), self._script, self._tools, about)

    def is_session_invalid(self, error: BaseException | Error) -> bool:
        """Whether it was the continuation; a script can pretend that, too."""
        if isinstance(error, Error):
            return error.classification == "invalid_session"
        return isinstance(error, UnknownContinuation)

    async def aclose(self) -> None:
        """There is nothing to let go of."""


class MockQuery:
    """One conversation: a queue of prompts on one side, a generator of events on the other."""

    def __init__(
        self,
        prompt: Prompt,
        continuation: str,
        script: Sequence[Rule],
        tools: Mapping[str, Tool],
        about: Mapping[str, str],
    ) -> None:
        self._continuation = continuation
        self._script = script
        self._tools = tools
        self._about = about
        self._prompts: asyncio.Queue[Prompt | None] = asyncio.Queue()
        self._prompts.put_nowait(prompt)
        self._open = True
        self._aborted = asyncio.Event()
        self._events = self._run()

    @property
    def events(self) -> AsyncIterator[Event]:
        """One and the same iterator every time."""
        return self._events

    def push(self, prompt: Prompt) -> None:
        """Raises ProviderError once the query has ended or was told to."""
        if not self._open:
            raise ProviderError("The query is over and takes no more prompts.")
        self._prompts.put_nowait(prompt)

    def end(self) -> None:
        """What was pushed is answered, then the events end."""
        if self._open:
            self._open = False
            self._prompts.put_nowait(None)

    async def abort(self) -> None:
        """Stops at once, in the middle of a stall or a tool as well."""
        self._aborted.set()
        self.end()

    async def _run(self) -> AsyncIterator[Event]:
        try:
            yield Init(self._continuation)
            while (prompt := await self._prompts.get()) is not None:
                scene = _Scene(prompt, self._script, self._about)
                for step in scene.steps():
                    # Only a real await lets whoever wants to abort have a turn.
                    await asyncio.sleep(0)
                    if self._aborted.is_set():
                        return
                    yield Activity()
                    event = await self._play(step, scene)
                    if self._aborted.is_set():
                        return
                    if isinstance(event, Error):
                        self._forget_prompts()
                    if event is not None:
                        yield event
                    if isinstance(event, Error):
                        break
        finally:
            self._open = False

    async def _play(self, step: Step | None, scene: _Scene) -> Event | None:
        match step:
            case None:
                return scene.result("".join(scene.written) or None)
            case DeltaStep():
                return scene.delta(scene.fill(step.text))
            case ResultStep():
                return scene.result(None if step.text is None else scene.fill(step.text))
            case ToolStep():
                await self._call(step, scene)
            case StallStep():
                await self._unless_aborted(asyncio.sleep(step.seconds))
            case ProgressStep():
                return Progress(scene.fill(step.message))
            case ErrorStep():
                return Error(scene.fill(step.message), step.retryable, step.classification)
            case RaiseStep():
                raise ScriptedFailure(scene.fill(step.message))
            case PrintStep():
                os.write(1, scene.fill(step.text).encode("utf-8", "replace") + b"\n")
            case CrashStep():
                os._exit(step.code)
            case KillStep():
                os.kill(os.getpid(), signal.SIGKILL)
            case ActivityStep():
                pass
        return None

    async def _call(self, step: ToolStep, scene: _Scene) -> None:
        tool = self._tools.get(step.name)
        if tool is None:
            scene.tool_answer = f"There is no tool {step.name}."
            return
        arguments = {key: scene.fill(v) if isinstance(v, str) else v for key, v in step.arguments.items()}
        scene.tool_answer = await self._unless_aborted(tool(arguments)) or ""
        if (sent := re.search(r"as message #([0-9]+)", scene.tool_answer)) is not None:
            scene.sent = sent[1]

    async def _unless_aborted(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        doing, aborted = asyncio.create_task(work), asyncio.create_task(self._aborted.wait())
        try:
            await asyncio.wait({doing, aborted}, return_when=asyncio.FIRST_COMPLETED)
            return doing.result() if doing.done() else None
        finally:
            doing.cancel()
            aborted.cancel()
            await asyncio.gather(doing, aborted, return_exceptions=True)

    def _forget_prompts(self) -> None:
        while not self._prompts.empty():
            self._prompts.get_nowait()
        if not self._open:
            self._prompts.put_nowait(None)


class _Scene:
    """One prompt on its way to its answer."""

    def __init__(self, prompt: Prompt, script: Sequence[Rule], about: Mapping[str, str]) -> None:
        said = _said(prompt)
        self.written: list[str] = []
        self.answered = False
        self.tool_answer = self.sent = ""
        self._id = said[-1].get("id", "") if said else ""
        self._text = "\n".join(element.text or "" for element in said)
        self._about = about
        self._prompt = prompt.text
        fitting = (rule for rule in script if rule.match is None or rule.match.search(self._text))
        rule = next(fitting, None)
        self._scripted = rule is not None
        self._steps = _echo(prompt, said) if rule is None else rule.steps

    def steps(self) -> Iterator[Step | None]:
        """None at the end stands for the answer, where no step gave it."""
        yield from self._steps
        if not self.answered:
            yield None

    def fill(self, text: str) -> str:
        """An echo repeats what it heard to the letter; only a script has placeholders."""
        if not self._scripted:
            return text
        known = {
            **self._about,
            "prompt": self._prompt,
            "text": self._text,
            "tool": self.tool_answer,
            "sent": self.sent,
            "id": self._id,
        }
        return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], found[0]), text)

    def delta(self, text: str) -> Delta:
        self.written.append(text)
        return Delta(text)

    def result(self, text: str | None) -> Result:
        """The first one uses the prompt up; a word counts for a token."""
        answered, self.answered = 0 if self.answered else 1, True
        usage = Usage(
            len(self._text.split()), len((text or "").split()), cost_usd=0.0, model=self._about["model"]
        )
        return Result(text, usage, answered)


def _echo(prompt: Prompt, said: Sequence[ET.Element]) -> list[Step]:
    if prompt.native:
        answer = f"I received the command {prompt.text}"
    else:
        answer = "\n".join(sentence for element in said for sentence in _sentences(element))
    words = re.findall(r"\S+\s*|\s+", answer)
    return [*(DeltaStep(text=word) for word in words), ResultStep(text=answer)]


def _sentences(element: ET.Element) -> list[str]:
    text = element.text or ""
    opening = {
        "message": "You said:",
        "task": "The task is due:",
        "webhook": f"{element.get('source')} sent:",
        "system": "I take note:",
        "edited": "It reads now:",
    }.get(element.tag, "I saw:")
    files = [
        f"I received {each.get('name')} ({each.get('size')} bytes)." for each in element.iter("attachment")
    ]
    return [f"{opening} {text}", *files] if text or not files else files


def _said(prompt: Prompt) -> list[ET.Element]:
    """The elements of a prompt of the formatter's that want an answer; any other text is one message."""
    try:
        root = ET.fromstring(prompt.text)  # noqa: S314  # the formatter's own, or a test's
        if root.tag == "messages":
            return [element for element in root if element.tag not in ("context", "memory", "thread")]
    except (ET.ParseError, ValueError):
        pass
    plain = ET.Element("message")
    plain.text = prompt.text
    return [plain]


def _resumed(continuation: str | None) -> str:
    if continuation is None:
        return f"mock-{secrets.token_hex(4)}-1"
    known = _CONTINUATION.fullmatch(continuation)
    if known is None:
        raise UnknownContinuation(f"No conversation is known as {continuation!r}.")
    return f"mock-{known['id']}-{int(known['turns']) + 1}"
