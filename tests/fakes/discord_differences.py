"""Where the real Discord is not what its API description says. Each was seen or is written in Discord's documentation;
each is needed, which tests/contracts/test_discord_spec.py shows by its example."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal


@dataclass(frozen=True)
class Example:
    """Something that goes over the wire although the description forbids it."""

    kind: Literal["request", "response"]
    method: str
    path: str
    body: Any
    status: int = 200
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """A violation that is none. `says` is found in its line."""

    says: str
    why: str
    example: Example

    def covers(self, line: str) -> bool:
        """Whether this is it."""
        return re.search(self.says, line) is not None


DIFFERENCES: Final = (
    Difference(
        r"response 429 body: 'code' is a required property",
        "The description wants a `code` in every 429; the documentation (Rate Limits, Exceeding A Rate Limit) has it "
        "as optional, and Discord leaves it out.",
        Example(
            "response",
            "POST",
            "/channels/1/messages",
            {"message": "You are being rate limited.", "retry_after": 0.3, "global": False},
            429,
        ),
    ),
    Difference(
        r"response 4\d\d body\.errors\..*_errors\[\d+\]\.code: '[A-Z_]+' is not of type 'integer'",
        "The description has a number as the code of a field's error; the documentation (Reference, Error Messages) "
        "shows words, and Discord sends them.",
        Example(
            "response",
            "POST",
            "/channels/1/messages",
            {
                "message": "Invalid Form Body",
                "code": 50035,
                "errors": {
                    "content": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Too long."}]}
                },
            },
            400,
        ),
    ),
    Difference(
        r"request body\.(.*[._])?(id|ids\[\d+\]|users\[\d+\]|roles\[\d+\]|tags\[\d+\]): \d+ is not of type 'string'",
        "The description wants every id that is sent as a text; the documentation (Reference, Snowflakes) lets it be a "
        "number as well, its example of an upload has one, and discord.py sends them.",
        Example(
            "request",
            "POST",
            "/channels/1/messages",
            {
                "content": "hi",
                "attachments": [{"id": 0, "filename": "a.txt"}],
                "message_reference": {"message_id": 5, "channel_id": 1},
                "allowed_mentions": {"parse": [], "users": [7]},
            },
        ),
    ),
    Difference(
        r"PATCH /(channels|webhooks)/.*/messages/\S+ request body: 'tts' is unknown",
        "The description has no `tts` in an edit; discord.py sends it with every one (http.py,"
        " handle_message_parameters), and Discord ignores it.",
        Example("request", "PATCH", "/channels/1/messages/2", {"content": "hi", "tts": False}),
    ),
    Difference(
        r"^POST /channels/{channel_id}/threads request query: 'use_nested_fields' is unknown",
        "discord.py says so that the first message of a post stands in a member of its own (http.py, "
        "start_thread_in_forum); the description has that form alone and no such parameter.",
        Example(
            "request",
            "POST",
            "/channels/1/threads",
            {"name": "a post", "message": {"content": "hi"}},
            query={"use_nested_fields": "1"},
        ),
    ),
)
