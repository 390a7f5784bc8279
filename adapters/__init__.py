"""Channel adapters, one package each. One that is not wanted is not imported: its platform's library takes a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapters.base import Adapter
from agent.protocol.clock import Clock, now_ms


def open_discord(
    token: Callable[[], str],
    *,
    rest_url: str,
    gateway_url: str | None,
    development_servers: Sequence[str] = (),
    clock: Clock = now_ms,
) -> Adapter:
    """The adapter for Discord; `token` is asked for at each new connection."""
    from adapters.discord import DiscordAdapter, Settings

    servers = [int(each) for each in development_servers]
    return DiscordAdapter(
        Settings(token, rest_url=rest_url, gateway_url=gateway_url, development_guilds=servers), clock=clock
    )
