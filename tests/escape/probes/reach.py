"""Tries to reach each place of a list, given as JSON, and tells what came of it."""

from __future__ import annotations

import errno
import json
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Final

SECONDS: Final = 0.5
"""A place that can be reached answers at once; one that only swallows what it is sent never does."""


def connect(host: str, port: int) -> None:
    """By TCP."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as line:
        line.settimeout(SECONDS)
        line.connect((host, port))


def send(host: str, port: int) -> None:
    """One datagram, a question for a name."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    question = b"\x00\x01\x01\x00\x00\x01" + bytes(6) + b"\x06secret\x07example\x00\x00\x01\x00\x01"
    with socket.socket(family, socket.SOCK_DGRAM) as line:
        line.settimeout(SECONDS)
        line.sendto(question, (host, port))


def resolve(host: str, _: int) -> None:
    """By whatever is said to know names."""
    socket.getaddrinfo(host, 80)


def call(name: str, _: int) -> None:
    """A unix socket by its path, or by a name after an @ that is on no disk."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(SECONDS)
        line.connect("\0" + name[1:] if name.startswith("@") else name)


WAYS: Final[Mapping[str, Callable[[str, int], None]]] = {
    "connect": connect,
    "send": send,
    "resolve": resolve,
    "call": call,
}


def tried(way: str, host: str, port: int) -> str:
    """ok, or the name of the error."""
    try:
        WAYS[way](host, port)
    except TimeoutError:
        return "ETIMEDOUT"
    except socket.gaierror as exc:
        return f"no answer: {exc.strerror}"
    except OSError as exc:
        return errno.errorcode.get(exc.errno or 0, str(exc))
    return "ok"


def main() -> None:
    """Prints what came of each, by its name."""
    places: dict[str, tuple[str, str, int]] = json.loads(sys.argv[1])
    print(json.dumps({name: tried(*place) for name, place in places.items()}))


if __name__ == "__main__":
    main()
