"""Attacks on the gateway from within a container, each beside a control that shows the way would be open without it:
26 another address behind a name, another name in TLS, another port; 27 another session's token."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bot.gateway.addresses import forbidden
from bot.gateway.tunnel import MAX_TUNNELS
from bot.vault.base import Access
from tests.fakes.gateway import KEY, FakeVault, House, Names, gateway

HOST = "api.example.org"


class Site:
    """An HTTPS server for api.example.org on loopback, and what it was told."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.port = port
        self.context = context
        """For a client that trusts it."""
        self.asked: list[bytes] = []


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    certificate, key = tmp_path / "site.pem", tmp_path / "site.key"
    make_certificate(certificate, key, HOST)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await reader.readuntil(b"\r\n\r\n")
            made.asked.append(asked)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=served)
    made = Site(server.sockets[0].getsockname()[1], ssl.create_default_context(cafile=str(certificate)))
    yield made
    server.close()
    await server.wait_closed()


def make_certificate(certificate: Path, key: Path, name: str) -> None:
    """One that signs itself, in PEM."""
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-keyout", key, "-out", certificate, "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )


def agent(*hosts: str) -> dict[str, Any]:
    """One that may go to `hosts`; where its model should be nobody answers."""
    return {"model": "claude-sonnet-5", "model_url": "http://127.0.0.1:9", "gateway": {"hosts": list(hosts)}}


async def fetch(house: House, target: str, site: Site, *, sni: str = HOST, session: str = "s1") -> bytes:
    """GET / in TLS through a tunnel; what the gateway refused where it did, b"" where the connection was cut."""
    head, _, writer = await house.tunnel(target, session=session)
    try:
        if not head.startswith(b"HTTP/1.1 200"):
            return head
        loop = asyncio.get_running_loop()
        context = site.context
        if sni != HOST:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        protocol = asyncio.StreamReaderProtocol(inner := asyncio.StreamReader())
        async with asyncio.timeout(10):
            transport = await loop.start_tls(writer.transport, protocol, context, server_hostname=sni or None)
            assert transport is not None
            protocol.connection_made(transport)
            transport.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            answer = await inner.read()
            transport.close()
            return answer
    except (OSError, ssl.SSLError):
        return b""
    finally:
        writer.transport.abort()


# ---------------------------------------------------------------- 26: another place than the one that was allowed


async def test_a_host_of_the_list_is_reached(tmp_path: Path, site: Site) -> None:
    names = Names(api_example_org=["127.0.0.1"])
    async with gateway(tmp_path / "g", agent(f"*.example.org:{site.port}"), resolve=names) as house:
        assert (await fetch(house, f"{HOST}:{site.port}", site)).endswith(b"hi")
        assert (await fetch(house, f"API.Example.ORG.:{site.port}", site)).endswith(b"hi")
        assert names.asked == [HOST, HOST]
        figures = house.metrics.snapshot()
        assert figures['roost_gateway_tunnel_bytes_total{agent="assistant",direction="out"}'] > 500
        assert figures['roost_gateway_tunnel_bytes_total{agent="assistant",direction="in"}'] > 500
        assert house.refusals() == {}


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1"),
        *("169.254.169.254", "192.0.0.192", "168.63.129.16", "224.0.0.1", "255.255.255.255"),
        *("::1", "::", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::a00:1"),
        *(
            "fd00::1",
            "fc00::1",
            "fe80::1",
            "fe80::1%lo",
            "fec0::1",
            "fd00:ec2::254",
            "2002:7f00:1::",
            "2001::1",
        ),
        *("ff02::1", "::127.0.0.1"),
    ],
)
async def test_a_name_of_the_list_does_not_lead_inside(tmp_path: Path, site: Site, address: str) -> None:
    names = Names(api_example_org=["93.184.215.14", address])
    listed = agent(f"{HOST}:{site.port}", "169.254.169.254", "[::1]:443")
    async with gateway(tmp_path / "g", listed, resolve=names, policy=forbidden) as house:
        head = await fetch(house, f"{HOST}:{site.port}", site)
        assert head.startswith(b"HTTP/1.1 403 ")
        assert house.refusals() == {"address": 1.0}
        # What an operator has put on the list by its address is no better.
        assert (await fetch(house, "169.254.169.254:443", site)).startswith(b"HTTP/1.1 403 ")
        assert (await fetch(house, "[::1]:443", site)).startswith(b"HTTP/1.1 403 ")
        assert site.asked == []


async def test_a_name_is_looked_up_once_and_what_was_found_is_connected(tmp_path: Path, site: Site) -> None:
    """Rebinding: a second look-up would lead elsewhere."""
    names = Names(api_example_org=["127.0.0.1"])
    names.known[HOST] = [["127.0.0.1"], ["10.0.0.1"]]
    async with gateway(tmp_path / "g", agent(f"{HOST}:{site.port}"), resolve=names) as house:
        assert (await fetch(house, f"{HOST}:{site.port}", site)).endswith(b"hi")
        assert names.asked == [HOST]
        assert (await fetch(house, f"{HOST}:{site.port}", site)).startswith(b"HTTP/1.1 403 ")
        assert len(site.asked) == 1


async def test_other_names_ports_and_spellings_are_not_on_the_list(tmp_path: Path, site: Site) -> None:
    names = Names(
        **{name: ["127.0.0.1"] for name in ("api_example_org", "example_org", "localhost", "evil_org")}
    )
    async with gateway(tmp_path / "g", agent(f"*.example.org:{site.port}"), resolve=names) as house:
        for target in (
            *(f"example.org:{site.port}", f"evil.org:{site.port}", f"localhost:{site.port}"),
            *(f"127.0.0.1:{site.port}", f"[::1]:{site.port}", f"[::ffff:127.0.0.1]:{site.port}"),
            *(f"{HOST}:{site.port + 1}", f"{HOST}:22", f"{HOST}:443", f"{HOST}.evil.org:{site.port}"),
        ):
            assert (await fetch(house, target, site)).startswith(b"HTTP/1.1 403 "), target
        assert house.refusals() == {"host": 10.0}
        for target in (
            *(HOST, f"{HOST}:0", f"{HOST}:070", f"{HOST}:99999", f"{HOST}:{site.port}x", f":{site.port}"),
            *(
                f"x@{HOST}:{site.port}",
                f"{HOST}\x00:{site.port}",
                f"http://{HOST}:{site.port}/",
                f"0x7f.1:{site.port}",
            ),
            *(
                f"2130706433:{site.port}",
                f"0177.0.0.1:{site.port}",
                f"evil.org:{site.port}#.example.org:{site.port}",
            ),
            *(f"ⓐpi.example.org:{site.port}", f"{HOST}..:{site.port}", f"[{HOST}]:{site.port}"),
        ):
            assert (await fetch(house, target, site)).startswith(b"HTTP/1.1 400 "), target
        assert names.asked == [] and site.asked == []
        assert (await fetch(house, f"{HOST}:{site.port}", site)).endswith(b"hi")


async def test_tls_asks_for_the_same_name(tmp_path: Path, site: Site) -> None:
    names = Names(api_example_org=["127.0.0.1"])
    async with gateway(tmp_path / "g", agent(f"{HOST}:{site.port}"), resolve=names) as house:
        assert (await fetch(house, f"{HOST}:{site.port}", site)).endswith(b"hi")
        for other in ("evil.example.org", "xapi.example.org", ""):
            assert await fetch(house, f"{HOST}:{site.port}", site, sni=other) == b""
        assert house.refusals() == {"sni": 3.0}
        assert len(site.asked) == 1


async def test_the_port_of_https_is_for_tls(tmp_path: Path) -> None:
    got = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(10):
            got.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    real_open = asyncio.open_connection

    async def redirected(host: str, asked: int, **more: Any) -> Any:
        return await real_open(host, port, **more)

    names = Names(api_example_org=["127.0.0.1"])
    with pytest.MonkeyPatch.context() as patch:
        # Only root may listen on 443.
        patch.setattr("bot.gateway.upstream.asyncio.open_connection", redirected)
        async with gateway(tmp_path, agent(HOST, f"{HOST}:8443"), resolve=names) as house:
            head, reader, writer = await house.tunnel(f"{HOST}:443")
            assert b" 200 " in head
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.read() == b""
            writer.close()
            assert house.refusals() == {"sni": 1.0} and not got.is_set()
            # Elsewhere it may be something else than TLS.
            _, reader, writer = await house.tunnel(f"{HOST}:8443")
            writer.write(b"SSH-2.0-x\r\n")
            async with asyncio.timeout(5):
                await got.wait()
            writer.close()
    server.close()
    await server.wait_closed()


async def test_the_host_header_of_a_connect_says_the_same(tmp_path: Path, site: Site) -> None:
    names = Names(api_example_org=["127.0.0.1"])
    async with gateway(tmp_path / "g", agent(f"{HOST}:{site.port}"), resolve=names) as house:
        target = f"{HOST}:{site.port}"
        for headers, status in (
            (f"Host: {target}\r\n", b"200"),
            (f"Host: {HOST}\r\n", b"200"),
            ("Host: evil.org\r\n", b"400"),
            (f"Host: {target}\r\nHost: {target}\r\n", b"400"),
            ("Content-Length: 5\r\n", b"400"),
            ("Transfer-Encoding: chunked\r\n", b"400"),
            ("Folded: a\r\n b: c\r\n", b"400"),
            ("Spaced : a\r\n", b"400"),
            ("Bare: a\nHost: b\r\n", b"400"),
            ("Proxy-Authorization: Bearer x\r\n", b"400"),
        ):
            head, _, writer = await house.tunnel(target, headers=headers)
            assert head.split()[1] == status, headers
            writer.transport.abort()


class Proxy:
    """An HTTP proxy that leads every CONNECT to one port of loopback."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.asked: list[bytes] = []
        self.url = ""

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://user:pass@127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        back, there = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"HTTP/1.1 200 fine\r\n\r\n")
        await asyncio.gather(_copy(reader, there), _copy(back, writer))


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
    sink.close()


async def test_a_host_proxy_is_asked_for_the_name(tmp_path: Path, site: Site) -> None:
    target = f"{HOST}:{site.port}"
    names = Names(inside_example_org=["10.0.0.1"])
    listed = agent(target, f"inside.example.org:{site.port}")
    async with Proxy(site.port) as proxy:
        environ = {"HTTPS_PROXY": proxy.url}
        async with gateway(tmp_path / "g", listed, resolve=names, environ=environ) as house:
            assert (await fetch(house, target, site)).endswith(b"hi")
            assert proxy.asked[0].startswith(f"CONNECT {target} HTTP/1.1\r\n".encode())
            assert b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in proxy.asked[0]
            assert house.token().encode() not in proxy.asked[0]
            # What our own resolver knows to be inside does not go through a proxy either.
            head = await fetch(house, f"inside.example.org:{site.port}", site)
            assert head.startswith(b"HTTP/1.1 403 ")
            assert len(proxy.asked) == 1


async def test_a_model_is_reached_through_the_vaults_proxy_with_its_certificates(
    tmp_path: Path, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"model": "claude-sonnet-5", "model_url": f"https://{HOST}:{site.port}"}
    certificates = (tmp_path / "site.pem").read_text()
    async with Proxy(site.port) as proxy:
        vault = FakeVault(Access({"x-api-key": KEY}, proxy=proxy.url, ca_pem=certificates))
        async with gateway(tmp_path / "g", settings, vault=vault, environ={"NO_PROXY": "*"}) as house:
            assert (await house.ask()).status == 200
            assert proxy.asked[0].startswith(f"CONNECT {HOST}:{site.port} ".encode())
            assert f"x-api-key: {KEY}".encode() in site.asked[0]
            # Another day, other certificates: what was trusted is no more.
            vault.given = Access({"x-api-key": KEY}, proxy=proxy.url)
            assert (await house.ask()).error[0] == 502
            vault.given = Access(proxy="http://u:the-password@127.0.0.1:1")
            assert (await house.ask()).error[0] == 502
    assert "certificate is not trusted" in caplog.text
    assert "the-password" not in caplog.text and "dXNl" not in caplog.text


async def test_the_models_own_address_is_looked_at_unless_an_operator_has_named_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = Names(api_anthropic_com=["10.0.0.1"])
    async with gateway(tmp_path, {"model": "claude-sonnet-5"}, resolve=names) as house:
        assert (await house.ask()).error[0] == 502
    assert names.asked == ["api.anthropic.com"] and "10.0.0.1 (private)" in caplog.text


async def test_tunnels_are_bounded_in_number_and_in_silence(tmp_path: Path) -> None:
    async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(100):
                pass
        writer.close()

    server = await asyncio.start_server(quiet, "127.0.0.1", 0)
    target = f"{HOST}:{server.sockets[0].getsockname()[1]}"
    names = Names(api_example_org=["127.0.0.1"])
    config = {"tunnel_idle_seconds": 0.5}
    async with gateway(tmp_path, agent(target), resolve=names, config=config) as house:
        tunnels = [await house.tunnel(target) for _ in range(MAX_TUNNELS)]
        assert all(b" 200 " in head for head, _, _ in tunnels)
        head, _, writer = await house.tunnel(target)
        assert head.startswith(b"HTTP/1.1 503 ")
        writer.close()
        # The model can still be asked, and another session is not concerned.
        assert (await house.ask(method="HEAD", target="/")).status == 200
        head, _, other = await house.tunnel(target, session="s2")
        assert b" 200 " in head
        other.close()
        for _, reader, writer in tunnels:
            writer.write(b"hello")
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()
        head, _, writer = await house.tunnel(target)
        assert b" 200 " in head
        writer.close()
    server.close()
    await server.wait_closed()


async def test_the_models_server_is_verified(tmp_path: Path) -> None:
    """A certificate of one's own is trusted where it is named, and nowhere else."""
    certificate, key = tmp_path / "ca.pem", tmp_path / "ca.key"
    make_certificate(certificate, key, "localhost")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=served)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    settings = {"model": "claude-sonnet-5", "model_url": url}
    async with gateway(tmp_path / "a", settings) as house:
        assert (await house.ask()).error[0] == 502
    async with gateway(tmp_path / "b", settings, config={"ca_file": certificate}) as house:
        assert (await house.ask()).status == 200
    server.close()
    await server.wait_closed()


# ---------------------------------------------------------------- 27: another's token


async def test_a_tunnel_wants_the_sessions_own_token(tmp_path: Path, site: Site) -> None:
    names = Names(api_example_org=["127.0.0.1"])
    target = f"{HOST}:{site.port}"
    async with gateway(tmp_path / "g", agent(target), other=agent(), resolve=names) as house:
        for wrong in (house.token("s2"), house.token("o1"), "", "x"):
            head, _, writer = await house.tunnel(target, token=wrong)
            assert head.startswith(b"HTTP/1.1 407 ") and b"Proxy-Authenticate: Basic" in head
            writer.close()
        data = await house.raw(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
        assert data.startswith(b"HTTP/1.1 407 ")
        assert names.asked == [] and house.refusals() == {"token": 5.0}
        # The list is the agent's: what one may reach another may not.
        assert (await fetch(house, target, site, session="o1")).startswith(b"HTTP/1.1 403 ")
        assert (await fetch(house, target, site, session="s2")).endswith(b"hi")
