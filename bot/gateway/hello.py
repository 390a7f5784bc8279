"""The name that a TLS client asks for: its ClientHello, read as far as that (RFC 8446, 4.1.2; RFC 6066, 3). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_BYTES: Final = 16 * 1024
"""Of a ClientHello with its records. One with post-quantum key shares has about 1.8 KB."""
MAX_RECORDS: Final = 16
"""It is read from its beginning whenever more of it has come, so that many small ones would cost the square of them."""
HANDSHAKE_RECORD: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_ENCRYPTED_CLIENT_HELLO: Final = 0xFE0D


class BadHello(Exception):
    """Raised for what is no ClientHello, or one that could be read in two ways; the text says what is wrong."""


@dataclass(frozen=True)
class Hello:
    """What was asked for. `name` as it was written, None where none was; `encrypted` when there may be another one
    inside that nobody on the way can read."""

    name: str | None
    encrypted: bool


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise BadHello("its lengths do not fit")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def block(self, size: int) -> _Reader:
        return _Reader(self.take(self.number(size)))

    def done(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._data)


def read(data: bytes) -> Hello | None:
    """The ClientHello at the beginning of `data`; None while more of it has to come. Raises BadHello."""
    message = b""
    rest = data
    records = 0
    while rest:
        records += 1
        if records > MAX_RECORDS:
            raise BadHello("it is cut into too many records")
        if rest[0] != HANDSHAKE_RECORD or rest[1:2] not in (b"", b"\x03"):
            raise BadHello("it is no TLS handshake")
        if len(rest) < 5:
            break
        size = int.from_bytes(rest[3:5], "big")
        if not 0 < size <= MAX_BYTES:
            raise BadHello("its record has no proper length")
        message += rest[5 : 5 + size]
        if message and message[0] != _CLIENT_HELLO:
            raise BadHello("it does not begin with a ClientHello")
        if len(message) >= 4:
            wanted = int.from_bytes(message[1:4], "big")
            if wanted > MAX_BYTES:
                raise BadHello("it is too long")
            if len(message) >= 4 + wanted:
                return _parsed(message[4 : 4 + wanted])
        if len(rest) < 5 + size:
            break
        rest = rest[5 + size :]
    if len(data) >= MAX_BYTES:
        raise BadHello("it is too long")
    return None


def _parsed(body: bytes) -> Hello:
    hello = _Reader(body)
    hello.take(2 + 32)
    hello.block(1)
    hello.block(2)
    hello.block(1)
    if hello.done():
        return Hello(None, encrypted=False)
    extensions = hello.block(2)
    if not hello.done():
        raise BadHello("something stands behind it")
    seen: set[int] = set()
    name: str | None = None
    while not extensions.done():
        kind, content = extensions.number(2), extensions.block(2)
        if kind in seen:
            raise BadHello("an extension stands in it twice")
        seen.add(kind)
        if kind == _SERVER_NAME:
            name = _name(content)
    return Hello(name, encrypted=_ENCRYPTED_CLIENT_HELLO in seen)


def _name(extension: _Reader) -> str:
    names = extension.block(2)
    kind, name = names.number(1), names.take(names.number(2))
    if kind != 0 or not names.done() or not extension.done():
        raise BadHello("it does not name one host")
    try:
        return name.decode("ascii")
    except UnicodeDecodeError as exc:
        raise BadHello("its name is not ASCII") from exc
