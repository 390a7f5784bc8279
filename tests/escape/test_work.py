"""What ordinary programs need is allowed: Claude's CLI with a whole turn, shells, Python, SQLite, loopback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.escape.probes.work import ABSENT, WORK
from tests.escape.wall import Cell

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def done(once: Callable[..., Any]) -> Mapping[str, str]:
    """What came of each piece of work behind every wall."""

    async def work(cell: Cell) -> Mapping[str, str]:
        return dict((await cell.inside("work")).told)

    return dict(once(work))


@pytest.mark.parametrize("work", WORK)
def test_it_works_behind_the_walls(work: str, done: Mapping[str, str]) -> None:
    if done[work] == ABSENT:
        pytest.skip("the image has no such program")
    assert done[work] == "ok"
