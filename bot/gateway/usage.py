"""What an answer of the Messages API has cost in tokens, read from a copy of its bytes. Pure, and bounded in memory.

The shapes are those of the API's reference ("Messages", "Streaming messages"): `message_start` tells the input,
`message_delta` the output so far, and a plain answer all at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

MAX_LINE_BYTES: Final = 1024 * 1024
MAX_JSON_BYTES: Final = 4 * 1024 * 1024
MAX_TOKENS: Final = 1_000_000_000
"""More than that is junk."""
_FRAME_BYTES: Final = 90
"""Of a content_block_delta, without its text."""
_BYTES_A_TOKEN: Final = 3
"""At the least, so that an answer that was cut off counts for too much rather than for too little."""
_INPUT_BYTES_A_TOKEN: Final = 4
_MAX_INPUT_TOKENS: Final = 1_000_000
"""The longest input that any model takes."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer, or of several."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    web_searches: int = 0

    def joined(self, other: Usage) -> Usage:
        """Of both the larger in everything: each event repeats what it knows."""
        return Usage(*(max(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)))

    def plus(self, other: Usage) -> Usage:
        """The sum."""
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @classmethod
    def parse(cls, found: Any) -> Usage:
        """From the `usage` of an answer; what does not fit counts as nothing."""
        if not isinstance(found, Mapping):
            return cls()
        usage = cls._one(found)
        rounds = found.get("iterations")
        if isinstance(rounds, list):
            # Where the server goes several rounds, the sum alone is what is billed.
            total = cls()
            for each in rounds[:1000]:
                total = total.plus(cls._one(each) if isinstance(each, Mapping) else cls())
            usage = usage.joined(total)
        return usage

    @classmethod
    def _one(cls, found: Mapping[str, Any]) -> Usage:
        written = _count(found, "cache_creation_input_tokens")
        detail = found.get("cache_creation")
        hour = _count(detail, "ephemeral_1h_input_tokens")
        return cls(
            input_tokens=_count(found, "input_tokens"),
            output_tokens=_count(found, "output_tokens"),
            cache_write_5m_tokens=max(written - hour, _count(detail, "ephemeral_5m_input_tokens")),
            cache_write_1h_tokens=hour,
            cache_read_tokens=_count(found, "cache_read_input_tokens"),
            web_searches=_count(found.get("server_tool_use"), "web_search_requests"),
        )


class Meter:
    """Is fed an answer as it passes by. `readable`: it is not encoded, so that it can be understood."""

    def __init__(self, content_type: str, *, request_bytes: int, readable: bool = True) -> None:
        self._streamed = content_type.partition(";")[0].strip().lower() == "text/event-stream"
        self._request_bytes = request_bytes
        self._readable = readable
        self._rest = b""
        self._skipping = False
        self._usage = Usage()
        self._started = self._complete = False
        self._tokens_seen = 0

    def feed(self, chunk: bytes) -> None:
        """The next bytes, however they are cut."""
        if not self._readable:
            self._tokens_seen += len(chunk) // _BYTES_A_TOKEN + 1
        elif self._streamed:
            self._feed_lines(chunk)
        elif not self._skipping:
            self._rest += chunk
            self._skipping = len(self._rest) > MAX_JSON_BYTES

    def finish(self, unseen_tokens: int = 0) -> Usage:
        """What it comes to. Where the answer was cut off, what it did not say is guessed, and not too low: so many
        tokens may have been written that never came by."""
        if self._readable and not self._streamed and not self._skipping:
            self._read(self._rest)
        usage = self._usage
        if not self._complete:
            usage = usage.joined(Usage(output_tokens=max(self._tokens_seen, unseen_tokens)))
        if not self._started:
            guess = min(self._request_bytes // _INPUT_BYTES_A_TOKEN, _MAX_INPUT_TOKENS)
            usage = usage.joined(Usage(input_tokens=guess))
        return usage

    def _feed_lines(self, chunk: bytes) -> None:
        *lines, rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if not self._skipping:
                self._feed_line(line)
            self._skipping = False
        # A line without an end must not fill the memory.
        self._skipping = self._skipping or len(rest) > MAX_LINE_BYTES
        self._rest = b"" if self._skipping else rest

    def _feed_line(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        if b'"usage"' in line and self._read(line[5:]):
            return
        self._tokens_seen += 1 + max(0, len(line) - _FRAME_BYTES) // _BYTES_A_TOKEN

    def _read(self, data: bytes) -> bool:
        """Whether it told a usage."""
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return False
        match event:
            case {"type": "message_start", "message": {"usage": Mapping() as usage}}:
                self._started = True
            case {"type": "message_delta", "usage": Mapping() as usage}:
                self._complete = True
            case {"type": "message", "usage": Mapping() as usage}:
                self._started = self._complete = True
            case _:
                return False
        self._usage = self._usage.joined(Usage.parse(usage))
        return True


def _count(found: Any, name: str) -> int:
    value = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 <= value <= MAX_TOKENS else 0
