"""A service that starts while runners of an earlier one are alive."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from container.process import ProcessBackend
from tests.bench.person import NotAnswered
from tests.bench.service import open_service

RUNNERS: Final = 20
RESTARTS: Final = 5


async def restart_adopt_ms(data: Path) -> list[float]:
    """From the start of a service until it has adopted every runner and has taken a message for one of them,
    in milliseconds. Raises NotAnswered, RoostError, BackendError."""
    places = [f"place-{number}" for number in range(RUNNERS)]
    backend = ProcessBackend(data / "run", "bench")
    async with open_service(data, backend, leave=True) as (_, room):
        for place in places:
            await room.ask(place, "hello")
    await backend.aclose()
    return [await _restart(data, places, last=number == RESTARTS - 1) for number in range(RESTARTS)]


async def _restart(data: Path, places: list[str], *, last: bool) -> float:
    backend = ProcessBackend(data / "run", "bench")
    try:
        began = time.perf_counter()
        async with open_service(data, backend, leave=not last) as (app, room):
            if (found := len([*app.containers])) != len(places):
                raise NotAnswered(f"{found} of {len(places)} runners were adopted")
            await room.say(places[0], "hello again")
            took = (time.perf_counter() - began) * 1000
            await asyncio.gather(*(room.ask(place, "and again") for place in places))
            return took
    finally:
        await backend.aclose()
