"""A stand-in for the Messages API on 127.0.0.1 of the container: has the model call Bash once, and repeats its result.

The shapes are those of the API's own reference ("Messages", "Streaming messages").
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

USAGE = {
    "input_tokens": 1,
    "output_tokens": 1,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
}


class Model(BaseHTTPRequestHandler):
    """Answers POST /v1/messages."""

    protocol_version = "HTTP/1.1"
    command_to_run: ClassVar[str] = "true"

    def do_POST(self) -> None:
        """A stream where one is asked for, with the call or with its result."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.startswith("/v1/messages") or "count_tokens" in self.path:
            self._send("application/json", json.dumps({"input_tokens": 1}).encode())
            return
        result = _result(asked)
        offers = any(tool["name"] == "Bash" for tool in asked.get("tools", []))
        if result is None and offers:
            block = {"type": "tool_use", "id": "toolu_1", "name": "Bash"}
            given: dict[str, Any] = {"input": {"command": self.command_to_run}}
        else:
            block, given = {"type": "text"}, {"text": f"It says: {result}"}
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": asked["model"],
            "usage": USAGE,
        }
        if asked.get("stream"):
            self._send("text/event-stream", b"".join(_events(message, block, given)))
        else:
            whole = {**message, "content": [{**block, **given}], "stop_reason": "end_turn"}
            self._send("application/json", json.dumps(whole).encode())

    def do_GET(self) -> None:
        """There is nothing else."""
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(command: str) -> ThreadingHTTPServer:
    """A server on a port of the kernel's choice, which has `command` run; whoever calls this runs it."""
    return ThreadingHTTPServer(
        ("127.0.0.1", 0), type("ModelOfOneCommand", (Model,), {"command_to_run": command})
    )


def _result(asked: Mapping[str, Any]) -> str | None:
    """What the tool has answered since the last prompt."""
    for message in reversed(asked["messages"]):
        if isinstance(message["content"], str):
            continue
        for block in message["content"]:
            if block["type"] == "tool_result":
                return json.dumps(block["content"])
    return None


def _events(
    message: Mapping[str, Any], block: Mapping[str, Any], given: Mapping[str, Any]
) -> Iterator[bytes]:
    calls = block["type"] == "tool_use"
    start = {**block, "input": {}} if calls else {**block, "text": ""}
    delta = (
        {"type": "input_json_delta", "partial_json": json.dumps(given["input"])}
        if calls
        else {"type": "text_delta", "text": given["text"]}
    )
    stop = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    for kind, data in (
        ("message_start", {"message": {**message, "content": [], "stop_reason": None}}),
        ("content_block_start", {"index": 0, "content_block": start}),
        ("content_block_delta", {"index": 0, "delta": delta}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": stop, "usage": {"output_tokens": 1}}),
        ("message_stop", {}),
    ):
        yield f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()
