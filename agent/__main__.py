"""The runner: `python -m agent`, told everything by environment variables (agent/protocol/settings.py)."""

from __future__ import annotations

import gc

# Whatever is imported stays: looking through it for garbage makes a start longer by a tenth.
gc.disable()

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from typing import Final

from agent import providers, tools
from agent.desk import Desk
from agent.forwarder import ADDRESS, Forwarder
from agent.loop import Loop
from agent.protocol import bell
from agent.protocol.clock import now_ms
from agent.protocol.mailbox import AgentEnd, MailboxBroken, MailboxError, SessionLocked
from agent.protocol.schema import VERSION
from agent.protocol.settings import (
    CHECK_FLAG,
    EXIT_BROKEN,
    EXIT_LOCKED,
    EXIT_MISFIT,
    EXIT_UNUSABLE,
    PROTOCOL_VARIABLE,
    AgentSettings,
    SettingsError,
)
from agent.providers.base import AgentProvider, Limits, ProviderError, ProviderOptions, Tool

gc.freeze()
gc.enable()

LEAVE_SECONDS: Final = 3
"""How long a provider may take to let go; then SIGALRM ends the process."""
TOKEN: Final = "ANTHROPIC_API_KEY"  # noqa: S105
"""The variable in which a runner finds the key for its model, or in the place of one its token for the gateway."""
LOGIN: Final = "roost"
NO_PROXY: Final = "127.0.0.1,localhost,::1"
ARCHIVE: Final = "conversations"
"""The folder of the workspace in which conversations are written down before they are compacted."""

_log = logging.getLogger("roost.runner")


def options(
    settings: AgentSettings, offered: Sequence[Tool], env: Mapping[str, str] | None = None
) -> ProviderOptions:
    """What the provider is made from. `env` is for whatever it starts."""
    return ProviderOptions(
        assistant_name=settings.assistant_name,
        mcp_servers=settings.mcp_servers,
        additional_directories=settings.directories,
        model=settings.model,
        effort=settings.effort,
        limits=Limits(settings.max_turns, settings.max_budget_usd),
        tools=offered,
        extra=settings.provider_options,
        fallback_model=settings.fallback_model,
        allowed_tools=settings.allowed_tools,
        disallowed_tools=settings.disallowed_tools,
        auto_compact_window=settings.auto_compact_window,
        workspace_settings=settings.workspace_settings,
        model_url=settings.model_url,
        home=settings.home,
        archive=settings.work / ARCHIVE,
        env=env or {},
    )


def proxy(token: str | None, port: int) -> dict[str, str]:
    """The variables by which whatever the agent runs finds its way out, through the forwarder on `port`."""
    if not token:
        return {}
    url = f"http://{LOGIN}:{token}@{ADDRESS}:{port}"
    # What speaks to the forwarder itself, as the model's client does, needs no proxy on the way.
    return {"HTTPS_PROXY": url, "https_proxy": url, "NO_PROXY": NO_PROXY, "no_proxy": NO_PROXY}


class Unusable(Exception):
    """Raised when the provider cannot be made from the settings."""


async def serve(settings: AgentSettings, end: AgentEnd) -> None:
    """Answers messages until SIGTERM. Raises Unusable, ProviderError, MailboxError, OSError."""
    desk = Desk(end, settings.workspace, now_ms, lambda: loop.ring(bell.Changed()))
    async with _forwarding(settings, lambda: loop.stop()) as port:
        env: dict[str, str] = {}
        if port is not None:
            settings = settings.model_copy(update={"model_url": f"http://{ADDRESS}:{port}"})
            env = proxy(os.environ.get(TOKEN), port)
        provider = _provider(settings, tools.build(desk), env)
        loop = Loop(end, provider, settings, desk)
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, loop.stop)
        try:
            await loop.run()
        finally:
            # Nothing that a provider still holds on to may keep a session that is over.
            signal.alarm(LEAVE_SECONDS)
            await provider.aclose()


@asynccontextmanager
async def _forwarding(settings: AgentSettings, on_death: Callable[[], None]) -> AsyncIterator[int | None]:
    """The way to the gateway for the length of the block, where there is one: its port. A forwarder that cannot be kept
    alive ends the runner, which the host starts anew. Raises OSError."""
    if settings.gateway_port is None:
        yield None
        return
    forwarder = Forwarder(settings.workspace.gateway, settings.gateway_port)
    forwarder.listen()
    task = asyncio.create_task(forwarder.run(), name="forwarder")

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            _log.error("the forwarder has died: %r", task.exception())
            on_death()

    task.add_done_callback(ended)
    try:
        yield forwarder.port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def check(settings: AgentSettings) -> int:
    """Makes the provider and lets go of it, or says why that cannot be done."""
    try:
        await _provider(settings, ()).aclose()
    except Unusable as exc:
        sys.stderr.write(f"{exc}\n")
        return EXIT_UNUSABLE
    return 0


def _provider(
    settings: AgentSettings, offered: Sequence[Tool], env: Mapping[str, str] | None = None
) -> AgentProvider:
    try:
        return providers.create(settings.provider, options(settings, offered, env))
    except Exception as exc:  # making one runs a third party's code, and that raises what it likes
        raise Unusable(" ".join(str(exc).split()) or type(exc).__name__) from exc


def _check_protocol(environ: Mapping[str, str]) -> None:
    """Before any other setting is read, which a host of another version may well have of another kind."""
    spoken = environ.get(PROTOCOL_VARIABLE, str(VERSION))
    if spoken != str(VERSION):
        raise SettingsError(
            f"the host speaks protocol {spoken}, this runner {VERSION}: rebuild its image with `roost image build`"
        )


def main() -> int:
    """Exit status: 0 left when told to, 75 another runner is alive, 76 the session's files are damaged, 77 the
    provider cannot be made, 78 the settings do not fit, 1 failed."""
    # A provider that prints must not write where somebody may be parsing.
    os.dup2(2, 1)
    try:
        _check_protocol(os.environ)
        settings = AgentSettings.from_env(os.environ)
    except SettingsError as exc:
        sys.stderr.write(f"roost runner: {exc}\n")
        return EXIT_MISFIT
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        if CHECK_FLAG in sys.argv[1:]:
            return asyncio.run(check(settings))
        with closing(AgentEnd(settings.workspace)) as end:
            asyncio.run(serve(settings, end))
    except Unusable as exc:
        _log.error("the provider cannot be made: %s", exc)
        return EXIT_UNUSABLE
    except SessionLocked as exc:
        _log.error("%s", exc)
        return EXIT_LOCKED
    except MailboxBroken as exc:
        _log.error("the session's files are damaged: %s", exc)
        return EXIT_BROKEN
    except (ProviderError, MailboxError, OSError) as exc:
        _log.error("the session cannot go on: %s", exc)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
