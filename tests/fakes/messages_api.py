"""A stand-in for Anthropic's Messages API: POST /v1/messages, streamed as server-sent events, answered by rules.

`python -m tests.fakes.messages_api --port 8123` serves an echo, to try the real CLI without a key. The shapes are
those of the API's own reference ("Messages", "Streaming messages", "Errors").
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

MODEL: Final = "claude-stub"
REMARK: Final = re.compile(r"\s*(<system-reminder>|\[Image: source: )")
WORD: Final = re.compile(r"\S+\s*|\s+")


@dataclass(frozen=True)
class Say:
    """Answers with a text, word by word with so many seconds between."""

    text: str
    pause_seconds: float = 0.0


@dataclass(frozen=True)
class Call:
    """Calls a tool, after a text where there is one."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True)
class Refuse:
    """Answers with an error, the first `times` that it is asked this."""

    status: int
    type: str
    message: str = "no"
    retry_after: int | None = None
    times: int = 1_000_000


@dataclass(frozen=True)
class Break:
    """Begins an answer and drops the connection, the first `times`."""

    text: str = "half an answer "
    times: int = 1_000_000


@dataclass(frozen=True)
class Stall:
    """Begins an answer and says no more for so long."""

    seconds: float
    text: str = "one moment "


Step = Say | Call | Refuse | Break | Stall


@dataclass
class Rule:
    """What is answered to a prompt that `match` is found in: a step for each request of the turn, so that the one
    after a Call is for the answer to the tool's result. "{text}" is the prompt and "{result}" that result."""

    match: str
    steps: Sequence[Step]
    failed: int = 0


@dataclass(frozen=True)
class Seen:
    """A request. `prompt` is the text of the last message that is a person's, `results` are the tools' since."""

    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        """The last text of the last user message that is no tool's result, and none of the CLI's own remarks. What was
        asked before and never answered stands in the same message."""
        said = [text for text in _texts(self._users()[-1]) if not REMARK.match(text)] if self._users() else []
        return said[-1] if said else ""

    @property
    def results(self) -> list[str]:
        """What the tools answered since, oldest first."""
        messages = self.body["messages"]
        last = max((n for n, each in enumerate(messages) if _is_prompt(each)), default=-1)
        return [text for each in messages[last + 1 :] for text in _tool_results(each)]

    @property
    def blocks(self) -> list[Mapping[str, Any]]:
        """The content blocks of the prompt."""
        content = self._users()[-1]["content"] if self._users() else []
        return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)

    @property
    def system(self) -> str:
        """The system prompt."""
        system = self.body.get("system") or ""
        return system if isinstance(system, str) else "\n".join(block.get("text", "") for block in system)

    @property
    def tools(self) -> list[str]:
        """The names of the tools that are offered."""
        return [tool["name"] for tool in self.body.get("tools", [])]

    def _users(self) -> list[Mapping[str, Any]]:
        return [each for each in self.body["messages"] if _is_prompt(each)]


class MessagesApi:
    """Serves on loopback for the length of a block."""

    def __init__(self, rules: Sequence[Rule] = (), *, keys: Sequence[str] | None = None) -> None:
        self.rules = list(rules)
        self.keys = keys
        """The keys that are accepted; None: any."""
        self.seen: list[Seen] = []
        self.answered = asyncio.Condition()
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> MessagesApi:
        await self.start(port=0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, *, port: int) -> None:
        """Begins to serve; 0 is a port of the kernel's choice."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/messages/count_tokens", self._count)
        app.router.add_route("*", "/{any:.*}", self._other)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Whoever is being answered is cut off."""
        if self._runner is not None:
            await self._runner.cleanup()

    def asked(self, word: str) -> list[Seen]:
        """The requests whose prompt holds this word."""
        return [each for each in self.seen if word in each.prompt]

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        seen = Seen(dict(request.headers), await request.json())
        self.seen.append(seen)
        async with self.answered:
            self.answered.notify_all()
        key = str(request.headers.get("x-api-key") or request.headers.get("Authorization", ""))
        if self.keys is not None and key.removeprefix("Bearer ") not in self.keys:
            return _error(401, "authentication_error", "invalid x-api-key")
        step = self._step(seen)
        if isinstance(step, Refuse):
            return _error(step.status, step.type, step.message, step.retry_after)
        if not seen.body.get("stream"):
            return web.json_response({**_message(seen, _block(step)), "stop_reason": "end_turn"})
        return await self._stream(request, seen, step)

    def _step(self, seen: Seen) -> Step:
        rule = next((rule for rule in self.rules if re.search(rule.match, seen.prompt)), None)
        if rule is None:
            return Say(f"You said: {said(seen.prompt)}")
        step = rule.steps[min(len(seen.results) + rule.failed, len(rule.steps) - 1)]
        if isinstance(step, Refuse | Break):
            times = sum(each.body["messages"] == seen.body["messages"] for each in self.seen)
            if times > step.times:
                following = rule.steps.index(step) + 1
                step = rule.steps[following] if following < len(rule.steps) else Say("{text}")
        return _filled(step, seen)

    async def _stream(self, request: web.Request, seen: Seen, step: Step) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "request-id": "req_stub"})
        await response.prepare(request)

        async def send(kind: str, **data: Any) -> None:
            body = json.dumps({"type": kind, **data})
            await response.write(f"event: {kind}\ndata: {body}\n\n".encode())

        await send("message_start", message=_message(seen, []))
        for index, block in enumerate(_block(step)):
            await _send_block(send, index, block, getattr(step, "pause_seconds", 0.0))
            if isinstance(step, Break):
                assert request.transport is not None
                request.transport.abort()
                return response
            if isinstance(step, Stall):
                await asyncio.sleep(step.seconds)
        stop = {"stop_reason": "tool_use" if isinstance(step, Call) else "end_turn", "stop_sequence": None}
        await send("message_delta", delta=stop, usage={"output_tokens": 7})
        await send("message_stop")
        await response.write_eof()
        return response

    async def _count(self, request: web.Request) -> web.Response:
        return web.json_response({"input_tokens": len(await request.text()) // 4})

    async def _other(self, request: web.Request) -> web.Response:
        return _error(404, "not_found_error", f"there is no {request.path}")


def said(prompt: str) -> str:
    """What people said in a prompt of the formatter's; any other prompt without what the CLI adds to it."""
    prompt = re.sub(r"<system-reminder>.*?</system-reminder>", "", prompt, flags=re.DOTALL).strip()
    found = re.findall(r"<message [^>]*>(.*?)(?:<|$)", prompt, re.DOTALL)
    return "\n".join(found) or prompt


def _filled(step: Step, seen: Seen) -> Step:
    def fill(text: str) -> str:
        result = seen.results[-1] if seen.results else ""
        return text.replace("{text}", said(seen.prompt)).replace("{result}", result)

    if isinstance(step, Say):
        return Say(fill(step.text), step.pause_seconds)
    return step


def _block(step: Step) -> list[dict[str, Any]]:
    if isinstance(step, Call):
        call = {
            "type": "tool_use",
            "id": f"toolu_{uuid.uuid4().hex[:12]}",
            "name": step.name,
            "input": dict(step.arguments),
        }
        return [{"type": "text", "text": step.text}, call] if step.text else [call]
    assert not isinstance(step, Refuse)
    return [{"type": "text", "text": step.text}] if step.text else []


async def _send_block(send: Any, index: int, block: Mapping[str, Any], pause_seconds: float) -> None:
    if block["type"] == "tool_use":
        await send("content_block_start", index=index, content_block={**block, "input": {}})
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        await send("content_block_delta", index=index, delta=delta)
    else:
        await send("content_block_start", index=index, content_block={"type": "text", "text": ""})
        for word in WORD.findall(block["text"]):
            await send("content_block_delta", index=index, delta={"type": "text_delta", "text": word})
            if pause_seconds:
                await asyncio.sleep(pause_seconds)
    await send("content_block_stop", index=index)


def _message(seen: Seen, content: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    usage = {
        "input_tokens": 11,
        "output_tokens": 7,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 3,
    }
    return {
        "id": f"msg_{uuid.uuid4().hex[:12]}",
        "type": "message",
        "role": "assistant",
        "model": seen.body.get("model", MODEL),
        "content": list(content),
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _error(status: int, kind: str, message: str, retry_after: int | None = None) -> web.Response:
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_stub"}
    return web.json_response(body, status=status, headers=headers)


def _is_prompt(message: Mapping[str, Any]) -> bool:
    if message["role"] != "user":
        return False
    content = message["content"]
    return isinstance(content, str) or any(block["type"] != "tool_result" for block in content)


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message["content"]
    if isinstance(content, str):
        return [content]
    return [block["text"] for block in content if block["type"] == "text"]


def _tool_results(message: Mapping[str, Any]) -> list[str]:
    if message["role"] != "user" or isinstance(message["content"], str):
        return []
    found = [block.get("content") for block in message["content"] if block["type"] == "tool_result"]
    return [
        each if isinstance(each, str) else "".join(part.get("text", "") for part in each or [])
        for each in found
    ]


async def _serve(port: int) -> None:
    api = MessagesApi()
    await api.start(port=port)
    print(f"A stand-in for the Messages API answers at {api.url}; Ctrl-C ends it.", flush=True)
    await asyncio.get_running_loop().create_future()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.messages_api", description=__doc__)
    parser.add_argument("--port", type=int, default=8123)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
