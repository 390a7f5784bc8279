"""The addresses that no agent gets to, whatever name leads there. Pure.

After the special-purpose registries of IANA (RFC 6890). IPv6 is turned round: only what is handed out to the public
internet is allowed, and of that nothing that hides an IPv4 address.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Policy = Callable[[str], str | None]
"""Takes an address as text and says why nobody may connect to it; None: anybody may."""

_V4: Final = {
    "this host": ("0.0.0.0/8",),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    "shared": ("100.64.0.0/10",),
    "loopback": ("127.0.0.0/8",),
    "link-local": ("169.254.0.0/16",),
    # Among the protocol assignments and behind them are the metadata services of some clouds.
    "reserved": ("192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24", "240.0.0.0/4"),
    "6to4 relay": ("192.88.99.0/24",),
    "documentation": ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
    "benchmarking": ("198.18.0.0/15",),
    "multicast": ("224.0.0.0/4",),
    # No special purpose, and yet inside: the agent of one cloud's hosts, and the metadata of another's.
    "metadata": ("168.63.129.16/32", "100.100.100.200/32"),
}
_V6_PUBLIC: Final = IPv6Network("2000::/3")
_V6: Final = {
    "protocol assignments": ("2001::/23",),
    "documentation": ("2001:db8::/32", "3fff::/20"),
    "6to4": ("2002::/16",),
    "reserved": ("2620:4f:8000::/48",),
}
_V4_NETWORKS: Final = [(why, IPv4Network(each)) for why, networks in _V4.items() for each in networks]
_V6_NETWORKS: Final = [(why, IPv6Network(each)) for why, networks in _V6.items() for each in networks]


def forbidden(address: str) -> str | None:
    """Why nobody may connect to the address; None for one of the public internet."""
    try:
        ip = ip_address(address)
    except ValueError:
        return "no address"
    if isinstance(ip, IPv4Address):
        return next((why for why, network in _V4_NETWORKS if ip in network), None)
    return _forbidden_v6(ip)


def _forbidden_v6(ip: IPv6Address) -> str | None:
    if ip.scope_id is not None:
        return "link-local"
    if ip not in _V6_PUBLIC:
        return "not of the public internet"
    return next((why for why, network in _V6_NETWORKS if ip in network), None)
