"""`roost run`: the service, with the terminal that started it or without one."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import Coroutine
from typing import Any, Final

from adapters.terminal.links import LocalLink
from bot import log
from bot.agent_check import check_agents
from bot.app import App, running_app
from bot.config import Config
from bot.errors import ServiceCrashed, UnusableDataFolder
from bot.platforms import open_platforms
from bot.talk import converse
from container.base import BackendError

_log = log.get("roost.serve")

EXIT_SIGNALLED: Final = 128
"""Plus the signal's number, as a shell says it."""
LEFT: Final = (
    "What agents run in could not be ended ({count}): {reason}."
    " The next `roost run` with this data folder takes it over."
)


def serve(settings: Config, *, headless: bool) -> int:
    """Runs the service until a signal, or until the person at its terminal leaves. Raises RoostError.

    Without a terminal of its own its containers outlive it, for the next service to adopt; with one they end
    with it, and a turn that was not finished is done again the next time.
    """
    check_agents(settings)
    # What people say is nobody else's business; where another user has to read, the mode is set.
    os.umask(0o077)
    own_terminal = settings.terminal.enabled and not headless and not _nobody_there()
    aside = settings.service.data_dir / "logs" / "roost.log" if own_terminal else None
    file = settings.service.log_file or aside
    try:
        log.setup(settings.service.log_level, settings.service.log_format, file=file)
    except OSError as exc:
        raise UnusableDataFolder(f"The log {file} cannot be written: {exc.strerror}.") from exc
    try:
        return asyncio.run(_serve(settings, own_terminal=own_terminal))
    except BackendError as exc:
        raise ServiceCrashed("backend", str(exc)) from exc
    finally:
        log.close()


async def _serve(settings: Config, *, own_terminal: bool) -> int:
    tty = own_terminal and sys.stdin.isatty()
    stopped = _stop_signal(signal.SIGTERM, signal.SIGHUP, *(() if tty else (signal.SIGINT,)))
    adapters = open_platforms(settings, os.environ)
    async with running_app(settings, adapters=adapters, say=_say if own_terminal else _log.info) as service:
        if not own_terminal:
            await stopped
            return 0
        try:
            return await _unless(stopped, _talk(service, settings, tty=tty))
        finally:
            await service.pool.close()
            await _end_containers(service)


async def _end_containers(service: App) -> None:
    """Those that an engine in trouble does not end are left to the next service: all that was said is kept."""
    living = [runner.session.id for runner in service.containers]
    stops = (service.containers.stop(session_id) for session_id in living)
    ended = await asyncio.gather(*stops, return_exceptions=True)
    failures = [failure for failure in ended if isinstance(failure, BaseException)]
    for failure in failures:
        if not isinstance(failure, BackendError):
            raise failure
    if failures:
        _say(LEFT.format(count=len(failures), reason=failures[0]))


def _say(text: str) -> None:
    sys.stderr.write(f"roost: {text}\n")
    _log.info(text)


async def _talk(service: App, settings: Config, *, tty: bool) -> int:
    link = LocalLink(service.terminal.sit())
    return await converse(link, settings, tty=tty, commands=service.intake.commands())


def _stop_signal(*signals: signal.Signals) -> asyncio.Future[int]:
    """The number of the first of these signals that comes. One that our parent has us ignore, as nohup and a
    shell's & do, is let be."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[int] = loop.create_future()

    def stop(signum: int) -> None:
        if not first.done():
            first.set_result(signum)

    for signum in signals:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            loop.add_signal_handler(signum, stop, signum)
    return first


async def _unless(stopped: asyncio.Future[int], work: Coroutine[Any, Any, int]) -> int:
    """What `work` returns, unless a signal comes before."""
    task = asyncio.create_task(work, name="terminal")
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else EXIT_SIGNALLED + stopped.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _nobody_there() -> bool:
    """Whether standard input is closed or /dev/null, as it is for a service that a supervisor started."""
    try:
        found = os.fstat(0)
    except OSError:
        return True
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.stat(os.devnull).st_rdev
