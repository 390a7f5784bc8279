"""The head of a CONNECT request, read strictly: what could be read in two ways is refused (RFC 9112). Pure."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from bot.gateway.hosts import BadHost, Host, parse

METHOD: Final = b"CONNECT "
MAX_HEAD_BYTES: Final = 8 * 1024
END: Final = b"\r\n\r\n"
_LINE: Final = re.compile(rb"CONNECT ([!-~]{1,300}) HTTP/1\.[01]")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}):[ \t]*([!-~](?:[ \t!-~]*[!-~])?)?[ \t]*")
_ALONE: Final = (b"host", b"proxy-authorization", b"authorization")
_WITH_A_BODY: Final = (b"content-length", b"transfer-encoding", b"trailer", b"upgrade", b"expect")


class BadConnect(Exception):
    """Raised for a head that is not well-formed, or that says two things at once; the text says what is wrong."""


@dataclass(frozen=True)
class Connect:
    """Where to, and the password that was shown; None where none was."""

    host: Host
    password: str | None


def read(head: bytes) -> Connect:
    """Reads a head up to and with its empty line. Raises BadConnect."""
    first, *lines = head.removesuffix(END).split(b"\r\n")
    match = _LINE.fullmatch(first)
    if match is None:
        raise BadConnect("the request line is not well-formed")
    headers = _headers(lines)
    if any(name in headers for name in _WITH_A_BODY):
        raise BadConnect("a CONNECT has no body")
    host = _host(match[1])
    if b"host" in headers and _host(headers[b"host"], default_port=host.port) != host:
        raise BadConnect("the Host header names another host")
    return Connect(host, _password(headers.get(b"proxy-authorization")))


def _headers(lines: list[bytes]) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise BadConnect("a header is not well-formed")
        name = match[1].lower()
        if name in headers and name in _ALONE:
            raise BadConnect("a header stands there twice")
        headers[name] = match[2] or b""
    return headers


def _host(target: bytes, *, default_port: int | None = None) -> Host:
    try:
        return parse(target.decode("ascii"), default_port=default_port)
    except BadHost as exc:
        raise BadConnect(f"the target {exc}") from exc


def _password(value: bytes | None) -> str | None:
    scheme, _, rest = (value or b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.decode("ascii")
    if scheme.lower() != b"basic":
        return None
    try:
        return base64.b64decode(rest, validate=True).decode("ascii").partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None
