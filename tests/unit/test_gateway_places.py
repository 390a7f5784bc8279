"""Where an agent may go: names, addresses, what TLS asks for, and the proxies on the way."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config_tables import AgentConfig
from bot.gateway.addresses import forbidden
from bot.gateway.caller import Caller, Rights
from bot.gateway.connect import BadConnect, read
from bot.gateway.hello import MAX_RECORDS, BadHello
from bot.gateway.hello import read as read_hello
from bot.gateway.hosts import BadHost, Hosts, normal, parse, pattern
from bot.gateway.proxies import Proxies
from bot.metrics import Metrics

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(
    lambda s: not s[0].isdigit()
)
NAME = st.lists(LABEL, min_size=2, max_size=4).map(".".join)
PORT = st.integers(1, 65_535)


# ---------------------------------------------------------------- addresses


@given(st.integers(0, 2**32 - 1))
def test_of_ipv4_nothing_is_allowed_that_the_library_calls_special(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert forbidden(str(address)) is not None


@given(
    st.integers(0, 2**128 - 1) | st.integers(0, 2**32 - 1) | st.integers(0x2000 << 112, (0x4000 << 112) - 1)
)
def test_of_ipv6_nothing_is_allowed_that_the_library_calls_special(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    if not address.is_global or address.ipv4_mapped or address.sixtofour or address.teredo:
        assert forbidden(str(address)) is not None
    if number >> 125 != 1:
        assert forbidden(str(address)) is not None


@given(st.sampled_from(["::ffff:", "64:ff9b::", "64:ff9b:1::", "::"]), st.integers(0, 2**32 - 1))
def test_an_address_in_another_ones_clothes_is_not_allowed(prefix: str, number: int) -> None:
    assert forbidden(prefix + str(ipaddress.IPv4Address(number))) is not None


@given(st.text())
def test_what_is_no_address_is_not_allowed(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert forbidden(text) == "no address"


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001:82a::200e"]
)
def test_the_public_internet_is_allowed(address: str) -> None:
    assert forbidden(address) is None


@pytest.mark.parametrize(
    "address",
    [str(ipaddress.IPv4Address(0)), "168.63.129.16", "100.100.100.200", "fe80::1%eth0", "fd00:ec2::254"],
)
def test_what_only_looks_public_is_not(address: str) -> None:
    assert forbidden(address) is not None


# ---------------------------------------------------------------- names


@given(NAME, PORT)
def test_a_name_is_allowed_in_every_spelling_of_it(name: str, port: int) -> None:
    hosts = Hosts([f"{name}:{port}"])
    for spelling in (name, name.upper(), f"{name}."):
        assert hosts.allow(parse(f"{spelling}:{port}"))
    assert not hosts.allow(parse(f"{name}:{port % 65_535 + 1}"))
    assert not hosts.allow(parse(f"x.{name}:{port}"))
    assert not hosts.allow(parse(f"x{name}:{port}"))


@given(NAME, NAME, PORT)
def test_a_star_stands_for_what_is_below_and_nothing_else(domain: str, name: str, port: int) -> None:
    hosts = Hosts([f"*.{domain}:{port}"])
    asked = parse(f"{name}:{port}")
    assert hosts.allow(asked) == name.endswith(f".{domain}")
    assert hosts.allow(parse(f"{name}.{domain}:{port}"))
    assert not hosts.allow(parse(f"{domain}:{port}"))


@given(st.text(), PORT)
def test_whatever_is_parsed_has_one_form(text: str, port: int) -> None:
    try:
        host = parse(f"{text}:{port}")
    except BadHost:
        return
    assert parse(str(host)) == host
    assert str(host).isascii() and "@" not in host.name and "/" not in host.name and "\0" not in host.name


@pytest.mark.parametrize(
    "text",
    [
        *(
            "*",
            "*.",
            "*.org",
            "*.1.2.3.4",
            "a.*.org",
            "a b.org",
            "http://a.org",
            "a.org/",
            "a.org:0",
            "a.org:65536",
        ),
        *(
            "a.org:",
            "",
            ".",
            "-a.org",
            "a-.org",
            "a..org",
            "1.2.3",
            "0x7f000001",
            "127.1",
            "a.0x1",
            "[::1",
            "::1",
        ),
        *("user@a.org", "a.org:443:443", "a.org\n", "x" * 64 + ".org"),
    ],
)
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(BadHost):
        pattern(text)


def test_patterns_have_a_port_and_ascii() -> None:
    assert pattern("API.GitHub.com.") == "api.github.com:443"
    assert pattern("*.example.org:8443") == "*.example.org:8443"
    assert pattern("bücher.example") == "xn--bcher-kva.example:443"
    assert pattern("*.bücher.example") == "*.xn--bcher-kva.example:443"
    assert pattern("[2606:4700::0:1111]") == "[2606:4700::1111]:443"
    with pytest.raises(BadHost):
        normal("bücher.example")


def test_a_star_is_no_address() -> None:
    assert not Hosts(["*.0.0.1.example.org"]).allow(parse("10.0.0.1:443"))


# ---------------------------------------------------------------- CONNECT


@given(st.binary(max_size=300))
def test_a_head_of_noise_is_refused_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(BadConnect):
        read(b"CONNECT a.org:443 HTTP/1.1\r\nX: \x01" + noise + b"\r\n\r\n")


@given(st.binary(max_size=100))
def test_any_head_is_read_or_refused(noise: bytes) -> None:
    for head in (noise, b"CONNECT " + noise, b"CONNECT a.org:443 HTTP/1.1\r\n" + noise):
        with suppress(BadConnect):
            read(head + b"\r\n\r\n")


def test_a_password_is_taken_from_either_scheme() -> None:
    for shown in (b"Basic cm9vc3Q6dG9rZW4=", b"bearer token"):
        head = b"CONNECT a.org:443 HTTP/1.1\r\nProxy-Authorization: " + shown + b"\r\n\r\n"
        assert read(head).password == "token"  # noqa: S105
    assert read(b"CONNECT a.org:443 HTTP/1.1\r\nProxy-Authorization: Basic !!\r\n\r\n").password is None


# ---------------------------------------------------------------- ClientHello


def client_hello(name: str | None) -> bytes:
    """What Python's own TLS says first."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_the_name_is_found() -> None:
    found = read_hello(client_hello("api.example.org"))
    assert found is not None and (found.name, found.encrypted) == ("api.example.org", False)
    found = read_hello(client_hello(None))
    assert found is not None and found.name is None


def test_the_name_is_found_however_it_is_cut() -> None:
    hello = client_hello("api.example.org")
    for end in range(len(hello)):
        assert read_hello(hello[:end]) is None
    message = hello[5:]
    for size in (len(message) // MAX_RECORDS + 1, 100, 200):
        pieces = [message[n : n + size] for n in range(0, len(message), size)]
        records = b"".join(b"\x16\x03\x01" + len(each).to_bytes(2, "big") + each for each in pieces)
        found = read_hello(records)
        assert found is not None and found.name == "api.example.org"


def test_a_name_in_a_thousand_records_is_not_put_together() -> None:
    """Each of which may come by itself, and have all of those before it read again."""
    message = client_hello("api.example.org")[5:]
    records = [b"\x16\x03\x01\x00\x01" + message[n : n + 1] for n in range(len(message))]
    assert read_hello(b"".join(records[:MAX_RECORDS])) is None
    with pytest.raises(BadHello, match="too many records"):
        read_hello(b"".join(records[: MAX_RECORDS + 1]))


@given(st.data())
def test_a_damaged_hello_is_read_or_refused(data: st.DataObject) -> None:
    hello = bytearray(client_hello("api.example.org"))
    for _ in range(data.draw(st.integers(1, 5))):
        hello[data.draw(st.integers(0, len(hello) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BadHello):
        read_hello(bytes(hello))


def extended(hello: bytes, *extensions: bytes) -> bytes:
    """The same with more extensions at its end."""
    more = b"".join(extensions)
    body = bytearray(hello[9:])
    at = 34 + 1 + body[34]
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + body[at]
    body[at : at + 2] = (int.from_bytes(body[at : at + 2], "big") + len(more)).to_bytes(2, "big")
    message = b"\x01" + (len(body) + len(more)).to_bytes(3, "big") + bytes(body) + more
    return b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message


def test_what_could_be_read_in_two_ways_is_refused() -> None:
    hello = client_hello("api.example.org")
    assert (found := read_hello(extended(hello, b"\xfe\x0d\x00\x01\x00"))) is not None and found.encrypted
    name = b"\x00\x00\x00\x09\x00\x07\x00\x00\x04evil"
    with pytest.raises(BadHello, match="twice"):
        read_hello(extended(hello, name))
    other = extended(client_hello(None), b"\x00\x00\x00\x10\x00\x0e\x00\x00\x04evil\x00\x00\x04good")
    with pytest.raises(BadHello, match="one host"):
        read_hello(other)
    for first in (
        b"GET / HTTP/1.1\r\n",
        b"\x15\x03\x01\x00\x02",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x04\x02\0\0\0",
    ):
        with pytest.raises(BadHello):
            read_hello(first)
    with pytest.raises(BadHello, match="too long"):
        read_hello(b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + bytes(100))


# ---------------------------------------------------------------- the host's proxies


def test_the_proxy_of_a_place() -> None:
    proxies = Proxies(
        {
            "HTTPS_PROXY": "http://u:p%40ss@proxy.example:3128",
            "http_proxy": "plain.example",
            "NO_PROXY": "localhost, .internal.example,10.0.0.0/8,[::1],special.example:8443,*.wild.example",
        }
    )
    found = proxies.of("https", "api.anthropic.com", 443)
    assert found is not None and (found.host, found.port, found.login) == (
        "proxy.example",
        3128,
        ("u", "p@ss"),
    )
    assert "p@ss" not in repr(found) and "p%40ss" not in repr(found)
    plain = proxies.of("http", "api.anthropic.com", 80)
    assert plain is not None and (plain.host, plain.port, plain.login) == ("plain.example", 80, None)
    for host, port in (
        *(("localhost", 443), ("a.internal.example", 443), ("internal.example", 443), ("10.1.2.3", 443)),
        *(("::1", 443), ("special.example", 8443), ("a.wild.example", 443)),
    ):
        assert proxies.of("https", host, port) is None, host
    for host, port in (("xinternal.example", 443), ("special.example", 443), ("11.1.2.3", 443)):
        assert proxies.of("https", host, port) is not None, host
    assert Proxies({}).of("https", "a.org", 443) is None
    assert Proxies({"https_proxy": "http://a", "no_proxy": "*"}).of("https", "a.org", 443) is None


def test_a_proxy_that_is_none_is_named_by_its_variable() -> None:
    with pytest.raises(ValueError, match=r"^HTTPS_PROXY should be the URL of an HTTP proxy$"):
        Proxies({"https_proxy": "socks5://u:secret@a"})
    with pytest.raises(ValueError, match=r"^HTTPS_PROXY should be the URL of an HTTP proxy$"):
        Proxies({"https_proxy": "http://a:secret"})


async def test_what_an_agent_may_do_changes_while_its_session_is_open() -> None:
    def rights(**gateway: Any) -> Rights:
        return Rights.of(AgentConfig.model_validate({"gateway": gateway}), all_usd=None)

    before = rights(hosts=["a.org", "b.org"], requests_at_once=2, requests_per_minute=1)
    caller = Caller(before, Metrics(), session="s", agent="a", token="made-up")  # noqa: S106
    caller.take_request()
    stay, go = (asyncio.create_task(asyncio.sleep(60)) for _ in range(2))
    caller.tunnels = {stay: parse("a.org:443"), go: parse("b.org:443")}
    caller.renew(rights(hosts=["a.org"], requests_at_once=2, requests_per_minute=5))
    await asyncio.wait([go])
    assert go.cancelled() and not stay.done(), "a connection to what it may not reach any more is cut"
    caller.take_request()
    assert caller.slots.locked() is False and caller.rights.requests_per_minute == 5
    stay.cancel()
