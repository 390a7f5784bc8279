"""The gateway on real sockets: what goes to the model's server, what comes back, and what does not go anywhere."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot.db import spend
from bot.errors import GatewayError
from bot.gateway.service import KEY_FILE, SOCKET
from bot.vault.base import Access, VaultError, VaultUnavailable
from tests.fakes.gateway import KEY, Answer, FakeVault, ask_for, gateway, request
from tests.fakes.messages_api import MessagesApi, Refuse, Rule, Say, Stall

MODEL = "claude-sonnet-5"
WRONG = "sk-ant-not-a-token-of-anybody"


def agent(api: MessagesApi, **gateway: Any) -> dict[str, Any]:
    return {"model": MODEL, "model_url": api.url, "gateway": gateway}


# ---------------------------------------------------------------- what goes through


async def test_the_key_is_put_in_on_the_host_and_nothing_of_the_clients(
    tmp_path: Path, api: MessagesApi
) -> None:
    async with gateway(tmp_path, agent(api)) as house:
        extra = [
            ("Authorization", f"Bearer {house.token()}"),
            ("Cookie", "a=b"),
            ("X-Forwarded-For", "10.0.0.1"),
            ("anthropic-version", "2023-06-01"),
            ("anthropic-beta", "one,two"),
            ("anthropic-dangerous-direct-browser-access", "true"),
            ("anthropic-upstream-url", "http://evil.example"),
            ("X-Stainless-Lang", "js"),
        ]
        answer = await house.ask(headers=extra)
        assert (answer.status, json.loads(answer.body)["content"][0]["text"]) == (200, "You said: hello")
        seen = {name.lower(): value for name, value in api.seen[0].headers.items()}
        assert seen["x-api-key"] == KEY
        assert seen.keys() - {"host", "content-length"} == {
            *("x-api-key", "anthropic-version", "anthropic-beta", "x-stainless-lang"),
            *("content-type", "accept-encoding"),
        }
        assert house.token() not in str(api.seen[0].headers)
        assert KEY.encode() not in answer.body and KEY not in str(answer.headers)


async def test_a_bearer_of_the_vault_takes_the_place_of_a_key(tmp_path: Path) -> None:
    vault = FakeVault(Access({"authorization": "Bearer rotated-1"}))
    async with (
        MessagesApi(keys=["rotated-1", "rotated-2"]) as api,
        gateway(tmp_path, agent(api), vault=vault) as house,
    ):
        assert (await house.ask()).status == 200
        vault.given = Access({"authorization": "Bearer rotated-2"})
        assert (await house.ask(session="o1")).status == 200
        assert [each.headers["Authorization"] for each in api.seen] == [
            "Bearer rotated-1",
            "Bearer rotated-2",
        ]
        assert "x-api-key" not in {name.lower() for name in api.seen[0].headers}
        assert vault.asked == ["assistant", "other"]


async def test_a_stream_comes_through_byte_by_byte_as_it_is_written(tmp_path: Path) -> None:
    pieces = [
        b'event: message_start\ndata: {"type":"message_st',
        b'art","message":{"usage":{"input_tokens":1000000}}}\n\n',
        b": a comment, \xff\xfe junk\r\n\r\n",
        b'data: {"type":"message_delta","usage":{"output_tokens":1000000}}\n\n',
    ]
    more = asyncio.Event()

    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Secret": "1"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await more.wait()
            more.clear()
        return response

    async with server(stream) as url, gateway(tmp_path, {"model": MODEL, "model_url": url}) as house:
        reader, writer = await house.connect()
        writer.write(request(headers=[("x-api-key", house.token())]))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"X-Secret" not in head and b"Content-Type: text/event-stream" in head
        for piece in pieces:
            # Nothing of the next one is written before this one is here.
            async with asyncio.timeout(5):
                size = int((await reader.readline()).strip(), 16)
                assert await reader.readexactly(size + 2) == piece + b"\r\n"
            more.set()
        assert await reader.read() == b"0\r\n\r\n"
        writer.close()
        await until(
            lambda: house.metrics.snapshot().get('roost_gateway_spend_usd_total{agent="assistant"}') == 18.0
        )


async def test_whoever_hangs_up_ends_the_request(tmp_path: Path, api: MessagesApi) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await request.content.read()
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return web.Response()

    async with server(slow) as url, gateway(tmp_path, {"model": MODEL, "model_url": url}) as house:
        _, writer = await house.connect()
        writer.write(request(ask_for("x" * 4_000_000), headers=[("x-api-key", house.token())]))
        async with asyncio.timeout(5):
            await began.wait()
            writer.transport.abort()
            await ended.wait()
        # Of what it would have cost nobody was told: the size of the request says it.
        await until(
            lambda: house.metrics.snapshot().get('roost_gateway_spend_usd_total{agent="assistant"}', 0) >= 3.0
        )


@pytest.mark.parametrize(("how", "usd"), [({}, 1.5), ({"stream": True}, 0.0)])
async def test_whoever_does_not_wait_for_an_answer_pays_for_it(
    tmp_path: Path, how: dict[str, Any], usd: float
) -> None:
    """A small request for a long answer, over and over again, would else cost nothing in the books."""
    began = asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await request.content.read()
        began.set()
        await asyncio.sleep(60)
        return web.Response()

    async with server(slow) as url, gateway(tmp_path, {"model": MODEL, "model_url": url}) as house:
        _, writer = await house.connect()
        asked = ask_for(**how) | {"max_tokens": 100_000}
        writer.write(request(asked, headers=[("x-api-key", house.token())]))
        async with asyncio.timeout(5):
            await began.wait()
            writer.transport.abort()
        name = 'roost_gateway_spend_usd_total{agent="assistant"}'
        await until(lambda: house.metrics.snapshot().get(name, 0) > 0)
        assert usd <= house.metrics.snapshot()[name] < usd + 0.1


async def test_an_answer_that_breaks_off_is_seen_to_break_off(tmp_path: Path) -> None:
    async def half(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"type":"ping"}\n\n')
        assert request.transport is not None
        request.transport.abort()
        return response

    async with server(half) as url, gateway(tmp_path, {"model": MODEL, "model_url": url}) as house:
        data = await house.raw(request(headers=[("x-api-key", house.token())]))
        assert not data.endswith(b"0\r\n\r\n")


async def test_errors_of_the_models_server_come_through(tmp_path: Path, api: MessagesApi) -> None:
    api.rules = [Rule("", [Refuse(429, "rate_limit_error", "slow down", retry_after=7)])]
    async with gateway(tmp_path, agent(api)) as house:
        answer = await house.ask()
        assert answer.error == (429, "rate_limit_error", "slow down")
        assert (answer.headers["retry-after"], answer.headers["server"]) == ("7", "roost")
        assert await day(house.db) == []


async def test_a_connection_is_kept_and_many_go_on_at_once(tmp_path: Path, api: MessagesApi) -> None:
    api.rules = [Rule("", [Say("one two three", 0.05)])]
    async with gateway(tmp_path, agent(api)) as house:
        body = ask_for(stream=True)

        async def twice() -> None:
            reader, writer = await house.connect()
            for _ in range(2):
                writer.write(request(body, headers=[("x-api-key", house.token())], close=False))
                async with asyncio.timeout(10):
                    assert b"message_stop" in await reader.readuntil(b"\r\n0\r\n\r\n")
            writer.close()

        await asyncio.gather(*(twice() for _ in range(10)))


async def test_what_is_asked_to_see_whether_anybody_is_there(tmp_path: Path, api: MessagesApi) -> None:
    async with gateway(tmp_path, agent(api)) as house:
        assert (await house.ask(method="HEAD", target="/")).status == 200
        assert (await house.ask(target="/v1/messages/count_tokens?beta=true")).status == 200
        assert await day(house.db) == []
        assert api.seen == []


# ---------------------------------------------------------------- whose it is


async def test_a_token_is_good_for_its_own_session_only(
    tmp_path: Path, api: MessagesApi, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway(tmp_path, agent(api)) as house:
        assert (await house.ask()).status == 200
        for wrong in (house.token("s2"), house.token("o1"), "", "sk-ant-x", KEY, house.token() + "x", "\xff"):
            answer = await house.ask(token=wrong)
            assert answer.error == (401, "authentication_error", "This is not the key of this conversation.")
        none = await house.raw(request())
        assert Answer.parse(none).status == 401
        # Both have to be right: which of them somebody further on would believe is not ours to guess.
        assert (await house.ask(headers=[("Authorization", "Bearer other")])).status == 401
        assert (await house.ask(headers=[("Authorization", f"Basic {house.token()}")])).status == 401
        assert len(api.seen) == 1
        assert house.refusals() == {"token": 10.0}
    lines = [each for each in caplog.messages if "refused" in each]
    assert len(lines) == 10
    assert all("session='s1'" in line or '"session": "s1"' in line or "s1" in line for line in lines)
    assert house.token("s2") not in caplog.text and house.token() not in caplog.text


async def test_tokens_outlive_the_service_and_the_file_is_private(tmp_path: Path, api: MessagesApi) -> None:
    async with gateway(tmp_path, agent(api)) as house:
        before = house.token()
        assert house.token("s2") != before
    async with gateway(tmp_path, agent(api)) as house:
        assert house.token() == before
        assert (await house.ask(token=before)).status == 200
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(GatewayError, match="damaged"):
        async with gateway(tmp_path, agent(api)):
            pass


async def test_a_socket_takes_the_place_of_a_dead_one_and_goes_with_the_session(
    tmp_path: Path, api: MessagesApi
) -> None:
    long = tmp_path / ("x" * 120)
    (long / "s1" / "bell").mkdir(parents=True)
    (long / "s1" / "bell" / SOCKET).touch()
    async with gateway(long, agent(api)) as house:
        await house.open("s1")
        path = house.folder() / SOCKET
        assert stat.S_ISSOCK(path.stat().st_mode) and stat.S_IMODE(path.stat().st_mode) == 0o666
        await house.gateway.close("s1")
        assert not path.exists()
        await house.gateway.close("s1")
        await house.open("s1")
        assert path.exists()
        with pytest.raises(GatewayError, match="no agent nobody"):
            await house.gateway.open("s9", "nobody", house.folder("s9"))
    assert not path.exists()


# ---------------------------------------------------------------- limits


async def test_models_are_those_of_the_agent(tmp_path: Path, api: MessagesApi) -> None:
    async with gateway(tmp_path, agent(api)) as house:
        assert (await house.ask(ask_for(model="claude-haiku-4-5"))).status == 200
        assert (await house.ask(ask_for(model="claude-opus-4-5"))).error == (
            404,
            "not_found_error",
            "The model claude-opus-4-5 is not among those that this agent may use.",
        )
        assert house.refusals() == {"model": 1.0}


@pytest.mark.parametrize(
    "more",
    [
        {"mcp_servers": [{"type": "url", "url": "https://evil.example"}]},
        {"container": "c1"},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"name": "mine"}, {"type": "web_fetch_20250910", "name": "web_fetch"}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}
            ]
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "content": [{"type": "document", "source": {"type": "url", "url": "http://x"}}],
                        }
                    ],
                }
            ]
        },
    ],
)
async def test_the_models_server_is_no_way_around(
    tmp_path: Path, api: MessagesApi, more: dict[str, Any]
) -> None:
    async with gateway(tmp_path, agent(api), other=agent(api, server_tools=True)) as house:
        answer = await house.ask(ask_for(**more))
        assert answer.error[:2] == (400, "invalid_request_error")
        assert house.refusals() == {"server_tool": 1.0} and api.seen == []
        assert (await house.ask(ask_for(**more), session="o1")).status == 200


async def test_requests_have_a_size(tmp_path: Path, api: MessagesApi) -> None:
    async with gateway(tmp_path, agent(api, max_request_mb=1)) as house:
        assert (await house.ask(ask_for("x" * 1_000_000))).status == 200
        large = json.dumps(ask_for("x" * 1_100_000)).encode()
        assert (await house.ask(large)).error == (
            413,
            "request_too_large",
            "The request is larger than 1 MiB.",
        )
        chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(large), large)
        head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nx-api-key: {house.token()}\r\n"
        head += "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert Answer.parse(await house.raw(head.encode() + chunked)).status == 413
        assert len(api.seen) == 1


async def test_requests_have_a_rate(tmp_path: Path, api: MessagesApi) -> None:
    async with gateway(tmp_path, agent(api, requests_per_minute=3)) as house:
        assert [(await house.ask()).status for _ in range(4)] == [200, 200, 200, 429]
        answer = await house.ask()
        assert answer.error[1] == "rate_limit_error" and 1 <= int(answer.headers["retry-after"]) <= 20
        assert (await house.ask(session="s2")).status == 200


async def test_only_so_many_are_under_way_at_once(tmp_path: Path, api: MessagesApi) -> None:
    api.rules = [Rule("", [Stall(0.3)])]
    async with gateway(tmp_path, agent(api, requests_at_once=2)) as house:
        asking = [asyncio.create_task(house.ask(ask_for(stream=True))) for _ in range(4)]
        await until(lambda: len(api.seen) == 2)
        await asyncio.sleep(0.1)
        assert len(api.seen) == 2
        assert [each.status for each in await asyncio.gather(*asking)] == [200] * 4


async def test_spending_ends_with_a_sentence_and_begins_again_the_next_day(
    tmp_path: Path, api: MessagesApi
) -> None:
    now = [1_800_000_000_000]
    # An answer of the stand-in: 11 read, 7 written, 5 kept, 3 from before.
    prices = {"claude-sonnet": {"input": 10_000.0, "output": 10_000.0}}
    limits = {"spend_session_usd": 0.3, "spend_agent_day_usd": 0.5}
    more: dict[str, Any] = {"config": {"prices": prices}, "clock": lambda: now[0]}
    async with gateway(tmp_path, agent(api, **limits), **more) as house:
        assert (await house.ask()).status == 200
        assert (await house.ask(ask_for(stream=True))).status == 200
        for _ in range(2):
            answer = await house.ask()
            assert answer.error == (
                402,
                "billing_error",
                "The budget of today for this conversation is used up ($0.30); it begins again at 00:00 UTC.",
            )
            assert answer.headers["x-should-retry"] == "false"
        assert (await house.ask(session="s2")).status == 200
        assert "for this agent" in (await house.ask(session="s2")).error[2]
        assert (await house.ask(session="o1")).status == 200
        (first, *_) = await day(house.db, "2027-01-15")
        assert (first.agent, first.session, first.requests) == ("assistant", "s1", 2)
        assert first.usd_micros == 2 * (11 * 10_000 + 7 * 10_000 + 5 * 12_500 + 3 * 1_000)

    # A restart forgives nothing.
    async with gateway(tmp_path, agent(api, **limits), **more) as house:
        assert (await house.ask()).status == 402
        now[0] += 24 * 3600 * 1000
        assert (await house.ask()).status == 200
    async with gateway(tmp_path, agent(api), **{**more, "config": {"spend_day_usd": 0.1}}) as house:
        assert "all agents together" in (await house.ask(session="o1")).error[2]


async def test_a_vault_without_a_key_is_said_and_its_reasons_are_not(
    tmp_path: Path, api: MessagesApi, caplog: pytest.LogCaptureFixture
) -> None:
    vault = FakeVault(VaultError("log in at vault.internal"))
    async with gateway(tmp_path, agent(api), vault=vault) as house:
        assert (await house.ask()).error == (
            401,
            "authentication_error",
            "There is no key for this agent's model.",
        )
        vault.given = VaultUnavailable("vault.internal is down")
        assert (await house.ask()).error[:2] == (529, "overloaded_error")
    assert "log in at vault.internal" in caplog.text


async def test_a_server_that_is_not_there(tmp_path: Path, unused_port: int) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    async with gateway(tmp_path, {"model": MODEL, "model_url": url}) as house:
        answer = await house.ask()
        assert answer.error == (502, "api_error", "The model's server cannot be reached at the moment.")
        assert await day(house.db) == []


async def test_a_server_that_sends_its_callers_elsewhere(tmp_path: Path, api: MessagesApi) -> None:
    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.Response(status=307, headers={"Location": f"{api.url}/v1/messages"})

    async with server(elsewhere) as url, gateway(tmp_path, {"model": MODEL, "model_url": url}) as house:
        assert (await house.ask()).status == 502
        assert api.seen == []


async def test_only_so_many_connections(tmp_path: Path, api: MessagesApi) -> None:
    async with gateway(tmp_path, agent(api)) as house:
        held = [await house.connect() for _ in range(20)]
        async with asyncio.timeout(5):
            reader, writer = await house.connect()
            answer = Answer.parse(await reader.read())
        assert answer.error[:2] == (503, "overloaded_error")
        writer.close()
        assert (await house.ask(session="s2")).status == 200
        for _, each in held:
            each.close()
        assert house.refusals() == {"connections": 1.0}
        async with asyncio.timeout(5):
            while (await house.ask()).status != 200:  # noqa: ASYNC110  # nobody says when there is room
                await asyncio.sleep(0.01)


async def test_a_refusal_says_session_agent_host_and_reason_and_a_flood_is_summed_up(
    tmp_path: Path, api: MessagesApi, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with gateway(tmp_path, agent(api)) as house:
            for _ in range(70):
                await house.ask(target="/v1/files", token=WRONG)
    lines = [each for each in caplog.messages if "is no path" in each]
    assert 50 <= len(lines) <= 52
    host = re.escape(api.url.removeprefix("http://"))
    assert re.search(
        rf"agent.{{1,4}}assistant.*host.{{1,4}}{host}.*reason.{{1,4}}path.*session.{{1,4}}s1|s1", lines[0]
    )
    assert WRONG not in caplog.text


# ---------------------------------------------------------------- what helps the tests


async def day(db: Any, which: str | None = None) -> list[spend.Spent]:
    """What was written of it."""
    await db.write(lambda _: None)
    found = await db.read(
        lambda connection: [
            spend.Spent.from_row(row)
            for row in connection.execute(
                "SELECT agent, session, requests, usd_micros FROM spend WHERE ?1 IS NULL OR day = ?1",
                (which,),
            )
        ]
    )
    return list(found)


async def until(holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  # nobody rings when a figure changes
            await asyncio.sleep(0.01)


class server:  # noqa: N801
    """A server that answers everything with one function."""

    def __init__(self, answer: Any) -> None:
        self._runner = web.ServerRunner(web.Server(answer, handler_cancellation=True), shutdown_timeout=0.1)

    async def __aenter__(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
