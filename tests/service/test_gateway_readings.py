"""Attack 27 on the gateway from within a container: requests that two readers would read in two ways, paths beside the
two that are passed on, and noise; each beside a request that does go through."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.gateway import KEY, Answer, Names, ask_for, gateway, request
from tests.fakes.messages_api import MessagesApi

HOST = "api.example.org"
BODY = json.dumps(ask_for()).encode()


def agent(api: MessagesApi, *hosts: str) -> dict[str, Any]:
    return {"model": "claude-sonnet-5", "model_url": api.url, "gateway": {"hosts": list(hosts)}}


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/v1/messages/",
            "//v1/messages",
            "/v1//messages",
            "/v1/./messages",
            "/v1/../v1/messages",
            "/V1/messages",
        ),
        *(
            "/v1/messages/batches",
            "/v1/messages%2Fbatches",
            "/v1/messages/../files",
            "/v1/%6dessages",
            "/v1/messages;a",
        ),
        *(
            "/v1/messages?beta=true&x=1",
            "/v1/messages?",
            "/v1/messages#x",
            "/v1/messages?beta=false",
            "/v1/models",
        ),
        *("/v1/files", "/v1/organizations/api_keys", "/", "/v1/complete", "*", "/v1/messages\\..\\x"),
        *(
            "http://evil.example/v1/messages",
            "http://127.0.0.1/v1/messages",
            "https://api.anthropic.com/v1/messages",
        ),
    ],
)
async def test_other_paths_go_nowhere(tmp_path: Path, api: MessagesApi, target: str) -> None:
    async with gateway(tmp_path, agent(api)) as house:
        answer = await house.ask(target=target)
        assert answer.status in (400, 403), answer.status
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            answer = await house.ask(method=method, target=target)
            assert answer.status in (400, 403), (method, answer.status)
        assert api.seen == []
        assert (await house.ask()).status == 200


SHOWN = "x-api-key: @"
LENGTH = f"Content-Length: {len(BODY)}"
SMUGGLED = b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
TWO_READINGS: dict[str, list[str]] = {
    "two keys": [SHOWN, SHOWN, LENGTH],
    "two keys, one of them real": [SHOWN, f"X-Api-Key: {KEY}", LENGTH],
    "two authorizations": ["Authorization: Bearer @", "authorization: Bearer @", LENGTH],
    "a length and chunks": [SHOWN, LENGTH, "Transfer-Encoding: chunked"],
    "chunks and a length": [SHOWN, "Transfer-Encoding: chunked", LENGTH],
    "chunks in disguise": [SHOWN, "Transfer-Encoding: xchunked", LENGTH],
    "chunks with a tab": [SHOWN, "Transfer-Encoding:\tchunked", LENGTH],
    "chunks twice": [SHOWN, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    "two lengths": [SHOWN, LENGTH, "Content-Length: 3"],
    "a length with a sign": [SHOWN, f"Content-Length: +{len(BODY)}"],
    "a length in hexadecimal": [SHOWN, "Content-Length: 0x10"],
    "a length of several": [SHOWN, f"Content-Length: {len(BODY)}, {len(BODY)}"],
    "a folded header": [SHOWN, "X-A: b\r\n x-api-key: other", LENGTH],
    "a space before the colon": [f"{SHOWN}", "Content-Length : 3", LENGTH],
    "a bare line feed": [SHOWN, "X-A: b\nX-B: c", LENGTH],
    "a bare carriage return": [SHOWN, "X-A: b\rX-B: c", LENGTH],
    "a NUL": [SHOWN, "X-A: b\0c", LENGTH],
    "a header without a name": [SHOWN, ": b", LENGTH],
    "a header without a colon": [SHOWN, "chunked", LENGTH],
    "two hosts": [SHOWN, "Host: b", LENGTH],
    "two versions": [SHOWN, "anthropic-version: 1", "anthropic-version: 2", LENGTH],
    "a compressed body": [SHOWN, "Content-Encoding: gzip", LENGTH],
    "an upgrade": [SHOWN, "Connection: Upgrade", "Upgrade: websocket", LENGTH],
    "an upgrade to HTTP/2": [
        SHOWN,
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: x",
        LENGTH,
    ],
}


@pytest.mark.parametrize("what", TWO_READINGS)
async def test_what_has_two_readings_goes_nowhere(tmp_path: Path, api: MessagesApi, what: str) -> None:
    async with gateway(tmp_path, agent(api)) as house:
        lines = [line.replace("@", house.token()) for line in TWO_READINGS[what]]
        head = "\r\n".join(["POST /v1/messages HTTP/1.1", "Host: a", *lines, "", ""]).encode()
        data = await house.raw(head + BODY + SMUGGLED)
        assert Answer.parse(data).status in (0, 400), data[:100]
        assert api.seen == [], "something went through"
        # The same without the second reading.
        plain = ["POST /v1/messages HTTP/1.1", "Host: a", SHOWN.replace("@", house.token()), LENGTH]
        head = "\r\n".join([*plain, "Connection: close", "", ""]).encode()
        assert Answer.parse(await house.raw(head + BODY)).status == 200


async def test_what_stands_behind_a_request_is_a_request_of_its_own(tmp_path: Path, api: MessagesApi) -> None:
    async with gateway(tmp_path, agent(api)) as house:
        first = request(headers=[("x-api-key", house.token())], close=False)
        data = await house.raw(first + request(headers=[("x-api-key", "another")]))
        assert data.count(b"HTTP/1.1 ") == 2 and b"HTTP/1.1 401" in data
        assert len(api.seen) == 1
        # A CONNECT behind a request is none.
        data = await house.raw(first + b"CONNECT evil.org:443 HTTP/1.1\r\nHost: evil.org:443\r\n\r\n")
        assert b"HTTP/1.1 200" in data and b"established" not in data
        assert len(api.seen) == 2


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "claude-sonnet-5", "model": "claude-opus-4-5", "messages": []}',
        b'{"model": "claude-opus-4-5", "\\u006dodel": "claude-sonnet-5", "messages": []}',
        b'{"model": ["claude-sonnet-5"]}',
        b'{"model": "claude-sonnet-5"} {}',
        b'{"model": "claude-sonnet-5", "max_tokens": NaN}',
        '{"model": "claude-sonnet-5"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"model": "claude-sonnet-5"}',
        b'{"model": "claude-sonnet-5", "x": "\xff"}',
        b"[" * 100_000,
        b"",
        b"[]",
        b"null",
    ],
)
async def test_a_body_has_one_reading(tmp_path: Path, api: MessagesApi, body: bytes) -> None:
    async with gateway(tmp_path, agent(api)) as house:
        assert (await house.ask(body)).error[:2] == (400, "invalid_request_error")
        assert api.seen == []
        assert (await house.ask()).status == 200


async def test_noise_leads_nowhere_and_does_no_harm(
    tmp_path: Path, api: MessagesApi, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(7)
    async with gateway(tmp_path, agent(api, f"{HOST}:443"), resolve=Names()) as house:
        good = request(headers=[("x-api-key", "sk-ant-wrong-but-long-enough")])
        tunnel = (
            f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\nProxy-Authorization: Basic eDp5\r\n\r\n".encode()
        )

        async def one(data: bytes) -> None:
            reader, writer = await house.connect()
            try:
                async with asyncio.timeout(10):
                    writer.write(data)
                    writer.write_eof()
                    answer = await reader.read()
                assert not answer or answer.startswith(b"HTTP/1.")
            except ConnectionError:
                pass
            finally:
                writer.transport.abort()

        for _ in range(120):
            data = bytearray(chance.choice((good, tunnel, b"GET / HTTP/1.1\r\n\r\n", chance.randbytes(200))))
            for _ in range(chance.randrange(1, 6)):
                at = chance.randrange(len(data))
                data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
            await one(bytes(data[: chance.randrange(1, len(data) + 1)]))
        assert api.seen == []
        assert (await house.ask()).status == 200
    assert "a request failed" not in caplog.text and "Traceback" not in caplog.text
