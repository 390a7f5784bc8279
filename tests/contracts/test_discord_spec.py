"""What the check against Discord's API description lets pass, and what it finds."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.gateway_rig import user
from tests.fakes.discord_differences import DIFFERENCES, Difference
from tests.fakes.discord_spec import DOCUMENT, Spec

MESSAGES = "/channels/1/messages"
BUTTON = {"type": 2, "style": 1, "label": "Yes", "custom_id": "yes"}
JSON = "application/json"


@pytest.fixture(scope="module")
def spec() -> Spec:
    found = Spec.load()
    if found is None:
        pytest.skip(f"Discord's API description is not at {DOCUMENT}; ROOST_DISCORD_OPENAPI may name it")
    return found


def author() -> dict[str, Any]:
    return user("1", "ada") | {"flags": 0, "primary_guild": None}


def message(**more: Any) -> dict[str, Any]:
    told = {
        "id": "5",
        "channel_id": "1",
        "type": 0,
        "content": "hello",
        "author": author(),
        "timestamp": "2026-01-01T00:00:00.000000+00:00",
        "edited_timestamp": None,
        "tts": False,
        "pinned": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "components": [],
        "flags": 0,
    }
    return told | more


@pytest.mark.parametrize(
    ("method", "path", "content_type", "body", "query"),
    [
        ("GET", "/gateway/bot", None, None, {}),
        ("GET", "/users/@me", None, None, {}),
        ("GET", f"/api/v10{MESSAGES}", None, None, {"limit": "100", "after": "7"}),
        ("POST", MESSAGES, JSON, {"content": "hi", "nonce": "abc", "enforce_nonce": True}, {}),
        ("POST", MESSAGES, JSON, {"components": [{"type": 1, "components": [BUTTON]}]}, {}),
        (
            "POST",
            MESSAGES,
            "multipart/form-data; boundary=x",
            {"attachments": [{"id": 0, "filename": "a.txt"}]},
            {},
        ),
        ("PATCH", f"{MESSAGES}/5", JSON, {"content": None}, {}),
        ("PUT", f"{MESSAGES}/5/reactions/%F0%9F%91%8D/@me", None, None, {}),
        ("POST", "/channels/1/typing", None, None, {}),
        ("POST", "/users/@me/channels", JSON, {"recipient_id": "3"}, {}),
        ("POST", f"{MESSAGES}/5/threads", JSON, {"name": "a thread", "auto_archive_duration": 1440}, {}),
        (
            "POST",
            "/interactions/1/token/callback",
            JSON,
            {"type": 5, "data": {"flags": 64}},
            {"with_response": "1"},
        ),
        ("PATCH", "/webhooks/1/token/messages/@original", JSON, {"content": "done"}, {}),
        ("POST", "/webhooks/1/token", JSON, {"content": "more"}, {"wait": "true"}),
    ],
)
def test_what_a_client_may_send_passes(
    spec: Spec, method: str, path: str, content_type: str | None, body: object, query: dict[str, str]
) -> None:
    assert spec.request(method, path, content_type, body, query) == []


@pytest.mark.parametrize(
    ("method", "path", "content_type", "body", "query", "said"),
    [
        ("GET", "/nowhere", None, None, {}, "GET /nowhere: the description has no such path"),
        ("PUT", MESSAGES, JSON, {}, {}, f"PUT {MESSAGES}: the description has no such path"),
        (
            "GET",
            "/channels/general/messages",
            None,
            None,
            {},
            "request path.channel_id: 'general' is not one",
        ),
        ("GET", MESSAGES, None, None, {"limit": "101"}, "request query.limit: '101' is not one"),
        ("GET", MESSAGES, None, None, {"since": "1"}, "request query: 'since' is unknown"),
        ("GET", MESSAGES, JSON, {"a": 1}, {}, "request body: there should be none"),
        ("POST", MESSAGES, None, None, {}, "request body: there is none"),
        ("POST", MESSAGES, "text/plain", {"content": "x"}, {}, "request type: 'text/plain' is none of"),
        ("POST", MESSAGES, JSON, {"contnt": "x"}, {}, "request body: 'contnt' is unknown"),
        ("POST", MESSAGES, JSON, {"content": 3}, {}, "request body.content: 3 is not of type"),
        ("POST", MESSAGES, JSON, {"content": "x" * 4001}, {}, "request body.content: 'xxx"),
        ("POST", MESSAGES, JSON, {"nonce": "n" * 26}, {}, "request body.nonce: 'nnn"),
        (
            "POST",
            MESSAGES,
            JSON,
            {"components": [{"type": 1, "components": [BUTTON | {"label": "l" * 81}]}]},
            {},
            "request body.components[0].components[0].label: 'lll",
        ),
        (
            "POST",
            MESSAGES,
            JSON,
            {"components": [{"type": 99}]},
            {},
            "request body.components[0]: type 99 is none of [1, 9,",
        ),
        (
            "POST",
            "/interactions/1/t/callback",
            JSON,
            {"type": 2},
            {},
            "request body: type 2 is none of [1, 4,",
        ),
    ],
)
def test_what_a_client_may_not_send_is_said_in_a_line(
    spec: Spec,
    method: str,
    path: str,
    content_type: str | None,
    body: object,
    query: dict[str, str],
    said: str,
) -> None:
    (line,) = spec.request(method, path, content_type, body, query)
    assert said in line and "\n" not in line and len(line) < 350


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("POST", MESSAGES, 200, message()),
        ("GET", MESSAGES, 200, [message(), message(id="6")]),
        ("DELETE", f"{MESSAGES}/5", 204, None),
        ("GET", MESSAGES, 404, {"message": "Unknown Channel", "code": 10003}),
        ("GET", MESSAGES, 502, "<html>"),
        ("GET", "/nowhere", 404, {"message": "404: Not Found", "code": 0}),
        ("GET", "/gateway", 200, {"url": "wss://gateway.example"}),
    ],
)
def test_what_discord_answers_passes(spec: Spec, method: str, path: str, status: int, body: object) -> None:
    assert spec.response(method, path, status, body) == []


@pytest.mark.parametrize(
    ("method", "path", "status", "body", "said"),
    [
        ("POST", MESSAGES, 201, message(), "response 201: it is none of 200, 429, 4XX"),
        ("DELETE", f"{MESSAGES}/5", 204, {}, "response 204 body: there should be none"),
        ("POST", MESSAGES, 200, None, "response 200 body: None is not of type 'object'"),
        ("GET", "/nowhere", 200, {}, "GET /nowhere: the description has no such path"),
        ("POST", MESSAGES, 200, message(timestamp="today"), "body.timestamp: 'today' is not a 'date-time'"),
        ("POST", MESSAGES, 200, message(id=str(2**64)), "is not a 'snowflake'"),
        ("POST", MESSAGES, 200, message(flags=2**31), "body.flags: 2147483648 is not a 'int32'"),
        ("POST", MESSAGES, 200, message(type=99), "body.type: 99 is none of"),
        (
            "POST",
            MESSAGES,
            200,
            message(author=author() | {"id": 1}),
            "body.author.id: 1 is not of type 'string'",
        ),
        ("GET", MESSAGES, 200, [message(), {"id": "6"}], "body[1]: "),
        ("GET", MESSAGES, 403, {"message": "no"}, "response 403 body: 'code' is a required property"),
        ("GET", MESSAGES, 403, "no", "response 403 body: 'no' is not of type 'object'"),
    ],
)
def test_what_discord_does_not_answer_is_said(
    spec: Spec, method: str, path: str, status: int, body: object, said: str
) -> None:
    assert said in spec.response(method, path, status, body)[0]


def test_what_was_found_well_does_not_cover_what_is_not(spec: Spec) -> None:
    assert spec.response("POST", MESSAGES, 200, message()) == []
    assert spec.response("POST", MESSAGES, 200, message()) == []
    assert spec.response("POST", MESSAGES, 200, message(content=None)) != []
    assert spec.response("POST", MESSAGES, 200, message(content=None)) != []


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda each: each.says)
def test_each_difference_is_needed(spec: Spec, difference: Difference) -> None:
    example = difference.example
    strict = Spec(json.loads(DOCUMENT.read_text()), lenient=False)

    def lines(judge: Spec) -> list[str]:
        if example.kind == "request":
            return judge.request(example.method, example.path, JSON, example.body, example.query)
        return judge.response(example.method, example.path, example.status, example.body)

    assert [line for line in lines(strict) if difference.covers(line)] != []
    assert lines(spec) == []


def test_a_check_costs_little(spec: Spec) -> None:
    bodies = [message(id=str(number), content=str(number)) for number in range(200)]
    spec.response("POST", MESSAGES, 200, bodies[0])
    began = time.process_time()
    for body in bodies:
        assert spec.response("POST", MESSAGES, 200, body) == []
    assert (time.process_time() - began) / len(bodies) < 0.005


def test_without_the_description_there_is_no_check(tmp_path: Path) -> None:
    assert Spec.load(tmp_path / "openapi.json") is None
