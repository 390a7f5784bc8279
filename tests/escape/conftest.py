"""For every test of an attack: a session whose container can be attacked. The image is that of this very tree."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.escape.wall import Cell, cell, sweep

Open = Callable[..., Awaitable[Cell]]


@pytest.fixture(scope="session")
def namespace() -> Iterator[str]:
    """The label of all containers of this run; what is left of them is removed at its end."""
    name = f"escape-{os.getpid()}"
    yield name
    sweep(name)


@pytest.fixture
async def opened(tmp_path: Path, image: str, namespace: str) -> AsyncIterator[Open]:
    """Opens sessions beside each other, by their names."""
    async with AsyncExitStack() as stack:

        async def open_cell(name: str = "one", **how: Any) -> Cell:
            return await stack.enter_async_context(cell(tmp_path / name, image, namespace, **how))

        yield open_cell


@pytest.fixture
async def one(opened: Open) -> Cell:
    """A session."""
    return await opened()


@pytest.fixture(scope="module")
def once(
    tmp_path_factory: pytest.TempPathFactory, image: str, namespace: str
) -> Callable[[Callable[[Cell], Awaitable[Any]]], Any]:
    """Does something with a session of its own, for fixtures whose outcome many tests look at."""

    def do(what: Callable[[Cell], Awaitable[Any]]) -> Any:
        async def through() -> Any:
            async with cell(tmp_path_factory.mktemp("cell") / "one", image, namespace) as made:
                return await what(made)

        return asyncio.run(through())

    return do
