"""Attacks 24 and 25: from inside a container nothing can be reached, by no protocol, on no address, under no name."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.escape.wall import Cell
from tests.fakes import engine

pytestmark = pytest.mark.docker

UNREACHABLE = {"ENETUNREACH", "EADDRNOTAVAIL"}
"""The kernel knows no way there, or has no address to send from: nothing was sent."""
OUT: dict[str, tuple[str, str, int]] = {
    "the metadata service": ("connect", "169.254.169.254", 80),
    "the metadata service by IPv6": ("connect", "fd00:ec2::254", 80),
    "the metadata service of containers": ("connect", "169.254.170.2", 80),
    "an address of the internet": ("connect", "1.1.1.1", 443),
    "an address of a private network": ("connect", "10.0.0.1", 443),
    "an address of the internet by IPv6": ("connect", "2606:4700:4700::1111", 443),
    "a public resolver": ("send", "8.8.8.8", 53),
    "a public resolver by IPv6": ("send", "2001:4860:4860::8888", 53),
    "everybody": ("send", "224.0.0.251", 5353),
}
"""Where nobody of ours answers. What counts is whether anything leaves."""


@dataclass(frozen=True)
class Host:
    """What listens on the host for the length of the tests."""

    places: dict[str, tuple[str, str, int]]
    datagrams: socket.socket
    bridge: str

    def heard(self) -> list[bytes]:
        """The datagrams that have come."""
        found = []
        while True:
            try:
                found.append(self.datagrams.recv(1000))
            except BlockingIOError:
                return found


@pytest.fixture(scope="module")
def host(image: str) -> Iterator[Host]:
    """The host on every address at which a container may look for it; nobody accepts, the kernel does."""
    with engine.client() as client:
        given = client.inspect_network("bridge")["IPAM"]["Config"][0]
    # An engine that was given an address for its bridge tells of the network alone.
    bridge = given.get("Gateway") or str(ipaddress.ip_network(given["Subnet"])[1])
    with ExitStack() as stack:

        def listener(address: str) -> int:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            made = stack.enter_context(socket.create_server((address, 0), family=family, backlog=16))
            return int(made.getsockname()[1])

        def hidden(name: str) -> None:
            made = stack.enter_context(socket.socket(socket.AF_UNIX))
            made.bind(name)
            made.listen(16)

        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.bind((bridge, 0))
        datagrams.setblocking(False)
        name = f"roost-escape-{os.getpid()}"
        hidden(f"\0{name}")
        yield Host(
            {
                "the host's loopback": ("connect", "127.0.0.1", listener("127.0.0.1")),
                "the host's bridge": ("connect", bridge, listener(bridge)),
                "the host's bridge by a datagram": ("send", bridge, datagrams.getsockname()[1]),
                "the host's own address": ("connect", own := _own_address(bridge), listener(own)),
                "the host's loopback by IPv6": ("connect", "::1", listener("::1")),
                "an abstract socket of the host": ("call", f"@{name}", 0),
                "the host by its name": ("resolve", socket.gethostname(), 0),
            },
            datagrams,
            bridge,
        )


@pytest.fixture(scope="module")
def inside(host: Host, once: Callable[..., Any]) -> Mapping[str, str]:
    """What a container reaches."""

    async def reach(cell: Cell) -> Mapping[str, str]:
        return dict((await cell.inside("reach", json.dumps({**OUT, **host.places}))).told)

    found: Mapping[str, str] = once(reach)
    assert host.heard() == []
    return found


@pytest.fixture(scope="module")
def bridged(host: Host, inside: Mapping[str, str], once: Callable[..., Any]) -> Mapping[str, str]:
    """What it reaches on the network that the engine gives where nobody says anything."""

    async def reach(cell: Cell) -> Mapping[str, str]:
        seen = await cell.bare("reach", json.dumps({**OUT, **host.places}), changes={"NetworkMode": "bridge"})
        return dict(seen.told)

    host.heard()
    found: Mapping[str, str] = once(reach)
    assert [b"secret" in datagram for datagram in host.heard()] == [True]
    return found


@pytest.fixture(scope="module")
def shared(host: Host, inside: Mapping[str, str], once: Callable[..., Any]) -> Mapping[str, str]:
    """What it reaches on the host's own network."""

    async def reach(cell: Cell) -> Mapping[str, str]:
        changes = {"NetworkMode": "host", "Dns": []}
        return dict((await cell.bare("reach", json.dumps({**OUT, **host.places}), changes=changes)).told)

    return dict(once(reach))


@pytest.mark.parametrize("place", OUT)
def test_nothing_leaves(place: str, inside: Mapping[str, str], shared: Mapping[str, str]) -> None:
    if shared[place] in UNREACHABLE:
        pytest.skip("this host has no way there itself")
    assert inside[place] in UNREACHABLE


@pytest.mark.parametrize(
    "place",
    ["the host's bridge", "the host's bridge by a datagram", "the host's own address"],
)
def test_the_host_is_not_there(place: str, inside: Mapping[str, str], bridged: Mapping[str, str]) -> None:
    assert bridged[place] == "ok"
    assert inside[place] in UNREACHABLE


@pytest.mark.parametrize(
    ("place", "answer"),
    [
        ("the host's loopback", "ECONNREFUSED"),
        ("the host's loopback by IPv6", "EADDRNOTAVAIL"),
        ("an abstract socket of the host", "ECONNREFUSED"),
    ],
)
def test_loopback_is_the_containers_own(
    place: str, answer: str, inside: Mapping[str, str], shared: Mapping[str, str]
) -> None:
    assert shared[place] == "ok"
    assert inside[place] in {answer, "ECONNREFUSED"}


def test_no_name_is_known(inside: Mapping[str, str], shared: Mapping[str, str]) -> None:
    assert shared["the host by its name"] == "ok"
    assert inside["the host by its name"].startswith("no answer")


async def test_a_question_for_a_name_goes_to_nobody(host: Host, one: Cell) -> None:
    """What asks by the system's own means asks whoever /etc/resolv.conf names."""
    places = {"a name": ("resolve", "secret.example", 0)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        try:
            resolver.bind((host.bridge, 53))
        except OSError as exc:
            pytest.skip(f"somebody else answers for names on this host: {exc}")
        resolver.setblocking(False)
        assert (await one.inside("reach", json.dumps(places))).told["a name"].startswith("no answer")
        with pytest.raises(BlockingIOError):
            resolver.recv(1000)
        changes = {"NetworkMode": "bridge", "Dns": [host.bridge], "DnsOptions": ["timeout:1", "attempts:1"]}
        await one.bare("reach", json.dumps(places), changes=changes)
        assert b"\x06secret\x07example" in resolver.recv(1000)


async def test_no_socket_of_the_host_is_to_be_found(one: Cell, tmp_path: Path) -> None:
    """Attack 21: the engine's socket, and any other by its path."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as ours:
        ours.bind(str(path))
        ours.listen()
        api = Path("/var/run/docker.sock").resolve()
        places = {
            "the engine": ("call", "/var/run/docker.sock", 0),
            "the engine of old": ("call", "/run/docker.sock", 0),
            "containerd": ("call", "/run/containerd/containerd.sock", 0),
            "ours": ("call", str(path), 0),
        }
        asked = json.dumps(places)
        assert set((await one.inside("reach", asked)).told.values()) == {"ENOENT"}
        binds = [f"{api}:/var/run/docker.sock", f"{path}:{path}"]
        bare = (await one.bare("reach", asked, changes={"Binds": binds}, user="0:0")).told
        assert (bare["the engine"], bare["ours"]) == ("ok", "ok")


def _own_address(towards: str) -> str:
    """The host's address on the network behind which the rest of the world is, or else on its bridge."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        try:
            line.connect(("192.0.2.1", 9))
        except OSError:
            return towards
        return str(line.getsockname()[0])
