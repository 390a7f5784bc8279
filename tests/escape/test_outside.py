"""Attacks 26 and 27 from inside a container, through the runner's own forwarder: other hosts and ports, another
session's token, and requests that two readers would read in two ways. tests/service/test_gateway_attacks.py and
test_gateway_readings.py beside it have many more of them, without a container."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.gateway.service import SOCKET
from tests.escape.conftest import Open
from tests.escape.wall import Cell
from tests.fakes import gateway as fakes
from tests.fakes.gateway import KEY, Names, ask_for
from tests.fakes.messages_api import MessagesApi

pytestmark = pytest.mark.docker

HOST = "api.example.org"
BODY = json.dumps(ask_for())


@asynccontextmanager
async def site() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server for HOST on loopback: its port, and what it was told."""
    told: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(await reader.read(100))
        writer.write(b"hi from the site")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1]), told
    finally:
        server.close()
        await server.wait_closed()


def asks(
    token: str, *headers: str, body: str = BODY, length: str | None = None, target: str = "/v1/messages"
) -> str:
    """A request as it goes over the line."""
    lines = [
        f"POST {target} HTTP/1.1",
        "Host: 127.0.0.1:8080",
        f"x-api-key: {token}",
        *([f"Content-Length: {len(body)}"] if length is None else [length]),
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]) + body


def tunnels(target: str, token: str, *headers: str) -> str:
    """A CONNECT, and what is said once it is granted."""
    lines = [f"CONNECT {target} HTTP/1.1", f"Proxy-Authorization: Bearer {token}", *headers]
    return "\r\n".join([*lines, "", ""]) + "|hello"


async def answers(cell: Cell, texts: dict[str, str]) -> dict[str, tuple[int, str]]:
    """The status and the whole of each answer."""
    told: dict[str, str] = (await cell.inside("outside", json.dumps(texts))).told
    return {
        name: (int(text.split()[1]) if text.startswith("HTTP/1.") else 0, text) for name, text in told.items()
    }


async def test_a_container_gets_to_its_model_and_its_hosts_and_nowhere_else(
    tmp_path: Path, opened: Open
) -> None:
    names = Names(
        api_example_org=["127.0.0.1"], evil_org=["127.0.0.1"], inside_example_org=["10.0.0.1", "127.0.0.1"]
    )
    async with site() as (port, told), MessagesApi(keys=[KEY]) as api:
        hosts = [f"{HOST}:{port}", f"inside.example.org:{port}"]
        agent = {"model": "claude-sonnet-5", "model_url": api.url, "gateway": {"hosts": hosts}}
        async with fakes.gateway(tmp_path / "g", agent, resolve=names) as house:
            attacker = await opened("attacker", gateway=house.gateway)
            victim = await opened("victim", gateway=house.gateway)
            ours, theirs = (house.gateway.token(each.session.id) for each in (attacker, victim))
            assert attacker.spec.env["ANTHROPIC_API_KEY"] == ours != theirs
            smuggled = asks(theirs, "Connection: close")
            chunked = f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n"
            refused = {
                "no token": asks(""),
                "another session's token": asks(theirs),
                "the token of the key's shape": asks(KEY),
                "both tokens": asks(ours, f"Authorization: Bearer {theirs}"),
                "a token twice": asks(ours, f"x-api-key: {theirs}"),
                "another path": asks(ours, target="/v1/files"),
                "a path that leads back": asks(ours, target="/v1/messages/../files"),
                "a whole address": asks(ours, target=f"http://evil.org:{port}/v1/messages"),
                "two lengths": asks(ours, "Content-Length: 5"),
                "a length and chunks": asks(ours, "Transfer-Encoding: chunked", body=chunked),
                "chunks that are none": asks(ours, length="Transfer-Encoding: xchunked"),
                "a length with a sign": asks(ours, length=f"Content-Length: +{len(BODY)}"),
                "a header on two lines": asks(ours, "Folded: a\r\n b"),
                "a space before the colon": asks(ours, f"Content-Length : {len(BODY)}"),
                "a bare line feed": asks(ours, "a: b\nx-api-key: x"),
                "a model that is not its own": asks(ours, body=json.dumps(ask_for(model="claude-other"))),
                "a tunnel without a token": tunnels(f"{HOST}:{port}", ""),
                "a tunnel with another's token": tunnels(f"{HOST}:{port}", theirs),
                "a tunnel to another port": tunnels(f"{HOST}:22", ours),
                "a tunnel to another host": tunnels(f"evil.org:{port}", ours),
                "a tunnel to an address": tunnels(f"127.0.0.1:{port}", ours),
                "a tunnel to a name that leads inside": tunnels(f"inside.example.org:{port}", ours),
                "a tunnel to the metadata service": tunnels("169.254.169.254:80", ours),
                "a tunnel that names two hosts": tunnels(f"{HOST}:{port}", ours, "Host: evil.org"),
                "a tunnel with a body": tunnels(f"{HOST}:{port}", ours, "Content-Length: 5"),
            }
            permitted = {
                "a request": asks(ours, "Connection: close"),
                "a request with chunks": asks(
                    ours, "Connection: close", length="Transfer-Encoding: chunked", body=chunked
                ),
                "a tunnel": tunnels(f"{HOST}:{port}", ours),
            }
            told_inside = await answers(attacker, {**refused, **permitted})
            assert {name: told_inside[name][0] for name in permitted} == dict.fromkeys(permitted, 200)
            assert told_inside["a tunnel"][1].endswith("hi from the site")
            statuses = {name: told_inside[name][0] for name in refused}
            assert {name: status for name, status in statuses.items() if status not in range(400, 500)} == {}
            assert {name for name, (_, text) in told_inside.items() if KEY in text or theirs in text} == set()

            # What stands behind a whole request is another request, and judged by itself.
            behind = await answers(attacker, {"behind": asks(ours) + smuggled})
            assert behind["behind"][1].count("HTTP/1.1 200") == 1
            assert behind["behind"][1].count("HTTP/1.1 401") == 1

            assert len(api.seen) == 3
            for seen in api.seen:
                assert {value for value in seen.headers.values() if ours in value or theirs in value} == set()
                assert seen.headers["x-api-key"] == KEY
            assert told == [b"hello"]
            # The victim itself may say what the attacker may not.
            assert (await answers(victim, {"own": asks(theirs, "Connection: close")}))["own"][0] == 200


async def test_the_gateways_socket_is_as_far_away_as_the_bell(tmp_path: Path, opened: Open) -> None:
    """A socket for each session, found in its own folder and nowhere else; nobody inside takes its place."""
    async with fakes.gateway(tmp_path / "g", {"model": "claude-sonnet-5"}) as house:
        one = await opened("one", gateway=house.gateway)
        two = await opened("two", gateway=house.gateway)
        places = {
            "own": ("call", f"/session/bell/{SOCKET}", 0),
            "theirs": ("call", str(two.session.workspace.bell_dir / SOCKET), 0),
            "by a detour": ("call", f"/session/bell/../../{two.session.id}/bell/{SOCKET}", 0),
        }
        told = (await one.inside("reach", json.dumps(places))).told
        assert told == {"own": "ok", "theirs": "ENOENT", "by a detour": "ENOENT"}
        folder = two.session.workspace.bell_dir
        mounted = {"Binds": [f"{folder}:{folder}:ro"]}
        told = (await one.bare("reach", json.dumps(places), changes=mounted)).told
        assert told["theirs"] == "ok"
