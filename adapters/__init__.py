"""Channel adapters, one package each. One that is not wanted is not imported: its platform's library takes a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from adapters.base import Adapter
from adapters.checkup import Checkup, Named
from adapters.offers import CommandInfo
from agent.protocol.clock import Clock, now_ms


def open_discord(
    token: Callable[[], str],
    *,
    rest_url: str,
    gateway_url: str | None,
    development_servers: Sequence[str] = (),
    hide_admins: bool = False,
    clock: Clock = now_ms,
) -> Adapter:
    """The adapter for Discord; `token` is asked for at each new connection."""
    from adapters.discord import DiscordAdapter, Settings

    servers = [int(each) for each in development_servers]
    settings = Settings(
        token,
        rest_url=rest_url,
        gateway_url=gateway_url,
        development_guilds=servers,
        hide_admins=hide_admins,
    )
    return DiscordAdapter(settings, clock=clock)


async def check_discord(
    token: str,
    *,
    rest_url: str,
    gateway_url: str | None,
    places: Sequence[Named],
    infos: Sequence[CommandInfo],
    development_servers: Sequence[str] = (),
    hide_admins: bool = False,
    clock: Clock = now_ms,
) -> Checkup:
    """How the bot is set up on Discord: its application, servers and commands, and the `places` that the
    configuration names. `infos` are the service's commands. Changes nothing there."""
    from adapters.discord.doctor import check
    from adapters.discord.examine import Wanted

    servers = [int(each) for each in development_servers]
    wanted = Wanted(token, rest_url, gateway_url, places, servers, hide_admins)
    return await check(wanted, infos, clock=clock)


def open_slack(
    bot_token: Callable[[], str],
    *,
    app_token: Callable[[], str] | None,
    signing_secret: Callable[[], str] | None,
    mode: Literal["socket", "http"],
    api_url: str,
    sockets: int,
    listen: tuple[str, int],
    path: str,
    agent_view: bool,
    prompts: Sequence[tuple[str, str]] = (),
    clock: Clock = now_ms,
) -> Adapter:
    """The adapter for Slack; its secrets are asked for at each new connection. A socket needs the `app_token`, http the
    `signing_secret` and an address of this machine to `listen` at. `prompts` are titles and what they say."""
    from adapters.slack.adapter import Settings, SlackAdapter

    settings = Settings(
        bot_token,
        app_token=app_token,
        signing_secret=signing_secret,
        mode=mode,
        api_url=api_url,
        sockets=sockets,
        host=listen[0],
        port=listen[1],
        path=path,
        agent_view=agent_view,
        prompts=prompts,
    )
    return SlackAdapter(settings, clock=clock)


async def check_slack(
    bot_token: str,
    *,
    app_token: str | None,
    signing_secret: str | None,
    mode: Literal["socket", "http"],
    api_url: str,
    sockets: int,
    listen: tuple[str, int],
    path: str,
    agent_view: bool,
    places: Sequence[Named],
    clock: Clock = now_ms,
) -> Checkup:
    """How the bot is set up on Slack: its app, the way in, and the `places` that the configuration names. Changes
    nothing there."""
    from adapters.slack.doctor import check
    from adapters.slack.examine import Wanted

    wanted = Wanted(
        bot_token, app_token, signing_secret, mode, api_url, sockets, listen, path, agent_view, places
    )
    return await check(wanted, clock=clock)


def slack_manifest(
    *,
    name: str,
    mode: Literal["socket", "http"],
    request_url: str | None,
    agent_view: bool,
    prompts: Sequence[tuple[str, str]],
    infos: Sequence[CommandInfo],
) -> dict[str, Any]:
    """From what Slack makes the app, as JSON has it. `infos` are the service's commands. Raises ValueError for what
    Slack would not take."""
    from adapters.slack.manifest import manifest

    return manifest(
        name=name,
        mode=mode,
        request_url=request_url,
        agent_view=agent_view,
        prompts=prompts,
        commands=[each.name for each in infos],
    )
