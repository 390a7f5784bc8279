"""Attacks 18 and 23, and their kin: what a container asks of the kernel, and is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.escape.probes.calls import ATTEMPTS
from tests.escape.wall import NO_FILTER, Cell

pytestmark = pytest.mark.docker

REFUSALS = {"EPERM", "ENOSYS", "SIGSYS"}
"""What the filter answers. Anything else is the kernel's own word: the call went through to it."""

Answers = Mapping[str, str]


@pytest.fixture(scope="module")
def inside(once: Callable[..., Any]) -> Answers:
    """What the kernel answers behind every wall."""

    async def ask(cell: Cell) -> Answers:
        return dict((await cell.inside("calls")).told)

    return dict(once(ask))


@pytest.fixture(scope="module")
def bare(once: Callable[..., Any]) -> Answers:
    """What it answers to an administrator without a filter."""

    async def ask(cell: Cell) -> Answers:
        return dict((await cell.bare("calls", user="0:0")).told)

    return dict(once(ask))


@pytest.fixture(scope="module")
def unfiltered(once: Callable[..., Any]) -> Answers:
    """What it answers to the agent's own user where only the filter is missing."""

    async def ask(cell: Cell) -> Answers:
        return dict((await cell.bare("calls", changes=NO_FILTER)).told)

    return dict(once(ask))


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_kernel_is_not_even_asked(attempt: str, inside: Answers, bare: Answers) -> None:
    if bare[attempt] == "ENOSYS":
        pytest.skip("this kernel has no such call for anybody")
    assert bare[attempt] not in REFUSALS
    assert inside[attempt] in REFUSALS


def test_a_lease_by_a_wider_number_is_one_without_the_filter(inside: Answers, unfiltered: Answers) -> None:
    """The kernel drops the upper half of the number, where a rule that only forbids one value does not match."""
    assert (unfiltered["lease"], unfiltered["lease by a wider number"]) == ("ok", "ok")
    assert (inside["lease"], inside["lease by a wider number"]) == ("EPERM", "EPERM")


@pytest.mark.parametrize(
    "attempt", ["mount tmpfs", "mknod a device", "chroot", "unshare mount", "setns", "reboot", "settimeofday"]
)
def test_without_the_filter_there_is_still_no_capability(attempt: str, unfiltered: Answers) -> None:
    assert unfiltered[attempt] == "EPERM"
