"""The hosts that an agent may reach besides its model: names as they are compared, and patterns. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

DEFAULT_PORT: Final = 443
MAX_NAME_CHARS: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")


class BadHost(ValueError):
    """Raised for what names no host, or names one in a way in which two readers could differ."""


@dataclass(frozen=True)
class Host:
    """A host and a port. `name` is in the one form in which names are compared: small letters, ASCII, no dot at its
    end; of an IPv6 address without brackets."""

    name: str
    port: int
    literal: bool

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{name}:{self.port}"


def parse(text: str, *, default_port: int | None = None) -> Host:
    """Reads `host:port`; the port may be left out where there is a default. Raises BadHost."""
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]{2,45})\](?::(.*))?", text, re.DOTALL)
    if bracketed:
        return Host(_v6(bracketed[1]), _port(bracketed[2], default_port), literal=True)
    name, colon, port = text.partition(":")
    number = _port(port if colon else None, default_port)
    name = normal(name)
    return Host(name, number, literal=_is_v4(name))


def normal(name: str) -> str:
    """The one form of a name, or of an IPv4 address. Raises BadHost."""
    name = name.lower().removesuffix(".")
    if not name.isascii() or len(name) > MAX_NAME_CHARS:
        raise BadHost("should be ASCII and not too long")
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise BadHost("is no name of a host")
    # 0x7f.1 and 2130706433 are addresses to some resolvers (URL Standard, "ends in a number").
    if _NUMBER.fullmatch(labels[-1]) and not _is_v4(name):
        raise BadHost("is a number and no address")
    return name


def pattern(text: str) -> str:
    """The one form of an entry of the allow-list: `host`, `host:port`, `*.domain` or `*.domain:port`, also with letters
    beyond ASCII. Raises BadHost."""
    rest = text.removeprefix("*.")
    host = parse(rest if rest.isascii() else _to_ascii(rest), default_port=DEFAULT_PORT)
    if rest == text:
        return str(host)
    if host.literal or "." not in host.name:
        raise BadHost("should have a domain of at least two parts behind its *")
    return f"*.{host}"


class Hosts:
    """An agent's allow-list, made from patterns. Raises BadHost."""

    def __init__(self, patterns: Iterable[str]) -> None:
        forms = [pattern(each) for each in patterns]
        self._exact = {form for form in forms if not form.startswith("*.")}
        self._below = {form[2:] for form in forms if form.startswith("*.")}

    def allow(self, host: Host) -> bool:
        """Whether the agent may connect there. `*.a.org` stands for what is below a.org, and not for a.org."""
        if str(host) in self._exact:
            return True
        if host.literal:
            return False
        labels = host.name.split(".")
        return any(f"{'.'.join(labels[n:])}:{host.port}" in self._below for n in range(1, len(labels)))


def _port(text: str | None, default: int | None) -> int:
    if text is None and default is not None:
        return default
    if text is None or not _PORT.fullmatch(text) or int(text) > 65_535:
        raise BadHost("should name a port")
    return int(text)


def _is_v4(name: str) -> bool:
    try:
        return str(IPv4Address(name)) == name
    except ValueError:
        return False


def _v6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError as exc:
        raise BadHost("is no address") from exc


def _to_ascii(text: str) -> str:
    name, colon, port = text.partition(":")
    try:
        return name.encode("idna").decode() + colon + port
    except UnicodeError as exc:
        raise BadHost("is no name of a host") from exc
