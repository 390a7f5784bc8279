"""Which proxy of the host's stands between the gateway and a server: HTTPS_PROXY, HTTP_PROXY, NO_PROXY. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Literal
from urllib.parse import unquote, urlsplit

Scheme = Literal["http", "https"]


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy. `url` may hold a password and is never shown."""

    url: str = field(repr=False)
    host: str
    port: int
    tls: bool
    login: tuple[str, str] | None = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Raises ValueError for what is no address of an HTTP proxy; the text does not repeat it."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError as exc:
            raise ValueError("should be the URL of an HTTP proxy") from exc
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("should be the URL of an HTTP proxy")
        tls = parts.scheme == "https"
        login = None
        if parts.username is not None:
            login = (unquote(parts.username), unquote(parts.password or ""))
        return cls(parts.geturl(), parts.hostname, port or (443 if tls else 80), tls, login)


class Proxies:
    """As the variables of an environment say, in capitals or not. Raises ValueError naming the variable."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._by_scheme: dict[Scheme, Proxy | None] = {
            "http": _proxy(environ, "http_proxy"),
            "https": _proxy(environ, "https_proxy"),
        }
        named = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        self._without = [each.strip().lower() for each in named.split(",") if each.strip()]

    def of(self, scheme: Scheme, host: str, port: int) -> Proxy | None:
        """The proxy on the way to a server; None where the way is straight."""
        proxy = self._by_scheme[scheme]
        if proxy is None or any(_fits(each, host, port) for each in self._without):
            return None
        return proxy


def _proxy(environ: Mapping[str, str], name: str) -> Proxy | None:
    url = environ.get(name) or environ.get(name.upper())
    if not url:
        return None
    try:
        return Proxy.parse(url)
    except ValueError as exc:
        raise ValueError(f"{name.upper()} {exc}") from exc


def _fits(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return ip_address(host) in ip_network(entry, strict=False)
        except ValueError:
            return False
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdigit() and ":" not in name:
        if int(wanted) != port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").removeprefix(".")
    return host == entry or host.endswith(f".{entry}")
