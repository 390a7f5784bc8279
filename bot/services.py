"""Long-lived parts of the service: started together, stopped in reverse, and none may die unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from bot.errors import RoostError, ServiceCrashed, UnreadableDatabase


class Service(Protocol):
    """A part that runs as long as the service does."""

    @property
    def name(self) -> str: ...

    async def run(self) -> None:
        """Runs until cancelled. Returning is a crash, and so is whatever it raises."""


@asynccontextmanager
async def running(*services: Service) -> AsyncIterator[None]:
    """Runs the services for the length of the block, each in a task of its name.

    The first crash cancels the block and raises ServiceCrashed from what the service raised; UnreadableDatabase
    is raised as it is, for there it is not the service that failed. On leaving, the
    services are cancelled and awaited one by one, the last one first; one that fails at that is a crash too.
    """
    crashes: list[RoostError] = []
    block = asyncio.current_task()
    if block is None:
        raise RuntimeError("running() needs a task around it")
    leaving = cancelled = False

    async def watch(service: Service) -> None:
        nonlocal cancelled
        crash = await _crash_of(service)
        if leaving and crash.__cause__ is None:
            return
        crashes.append(crash)
        if not leaving and not cancelled:
            cancelled = block.cancel()

    tasks = [asyncio.create_task(watch(service), name=service.name) for service in services]
    try:
        yield
    finally:
        leaving = True
        try:
            await _stop(tasks)
        finally:
            if cancelled:
                block.uncancel()
        if crashes:
            raise crashes[0] from crashes[0].__cause__


async def _crash_of(service: Service) -> RoostError:
    try:
        await service.run()
    except UnreadableDatabase as exc:
        return exc
    except Exception as exc:
        crash = ServiceCrashed(service.name, f"{type(exc).__name__}: {exc}")
        crash.__cause__ = exc
        return crash
    return ServiceCrashed(service.name, "it returned, and it must run for ever")


async def _stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    interrupted: asyncio.CancelledError | None = None
    for task in reversed(tasks):
        task.cancel()
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as exc:
                # Whoever cancels a stop gets it, but only when every service has let go of what it holds.
                interrupted = exc
    if interrupted is not None:
        raise interrupted
