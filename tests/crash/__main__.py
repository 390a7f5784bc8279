"""Kills the service and its runners wherever it can, and judges what is left: `make crash`.

Without anything said, every failpoint, 200 random rounds, one long run, and the rounds before Discord and before
Slack. Exit status 1 when anything was violated.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from tests.crash import chance, points, slack_stories, stories
from tests.crash.nursery import Nursery
from tests.crash.plan import Round
from tests.crash.soak import Soak
from tests.crash.town import DiscordTown, SlackTown
from tests.crash.world import World

ROUNDS: Final = 200
PEOPLES_ROUNDS: Final = 10
"""Random ones before each platform of people, where a round takes longer."""
SHOWN: Final = 6
"""How many violations of a round are printed."""

Start = Callable[[Path, Nursery], World]


@dataclass
class Table:
    """Where rounds are played, some side by side, each in a folder of its own."""

    folder: Path
    keep: bool
    nursery: Nursery
    slots: asyncio.Semaphore
    failed: list[str] = field(default_factory=list)

    async def play(self, start: Start, again: str) -> None:
        """Plays one round and says what was violated, and how to play it `again`."""
        async with self.slots:
            world = start(Path(tempfile.mkdtemp(dir=self.folder)), self.nursery)
            found = await world.run()
            if found:
                self.failed.append(world.plan.name)
                print(f"FAILED {world.plan.name} ({again}): {'; '.join(found[:SHOWN])}", flush=True)
            if self.keep and found:
                print(f"       its folder is {world.root}", flush=True)
            else:
                world.forget()


def starts(given: argparse.Namespace) -> list[tuple[Start, str]]:
    """What is to be played."""
    first = random.SystemRandom().randrange(2**31) if given.seed is None else given.seed
    chosen: list[tuple[Start, str]] = []
    alone = given.discord or given.slack
    if not alone:
        seeds = range(first, first + given.rounds)
        chosen += _chosen(given, World, points.rounds(), map(chance.round_of, seeds))
    for wanted, town, told, more in (
        (given.discord, DiscordTown, stories, " DISCORD=1"),
        (given.slack, SlackTown, slack_stories, " SLACK=1"),
    ):
        if wanted or (given.seed is None and not alone):
            count = given.rounds if wanted else min(given.rounds, PEOPLES_ROUNDS)
            by_chance = map(told.round_of, range(first, first + count))
            chosen += _chosen(given, town, told.rounds(), by_chance, more)
    if not given.point and not given.soak:
        print(f"seeds from {first} on" if given.rounds else "no random rounds", flush=True)
    if given.soak or not (given.point or given.seed is not None or alone):
        # The longest comes first: at the end it would be alone.
        chosen.insert(0, (partial(Soak, first), f"make crash SOAK=1 SEED={first}"))
    return chosen


def _chosen(
    given: argparse.Namespace,
    world: Callable[[Round, Path, Nursery], World],
    named: Iterable[Round],
    by_chance: Iterable[Round],
    more: str = "",
) -> Iterator[tuple[Start, str]]:
    """The rounds of one kind of world; `more` is what it takes besides to play one of them again."""
    alone = given.seed is not None or given.soak
    for plan in named:
        if plan.name in given.point if given.point else not alone:
            yield partial(world, plan), f"make crash POINT={plan.name}"
    if not given.point and not given.soak:
        for plan in by_chance:
            yield partial(world, plan), f"make crash SEED={plan.seed} ROUNDS=1{more}"


async def play(chosen: Sequence[tuple[Start, str]], *, workers: int, keep: bool) -> list[str]:
    """The names of those that failed."""
    folder = Path(tempfile.mkdtemp(prefix="roost-crash-"))
    async with Nursery() as nursery:
        table = Table(folder, keep, nursery, asyncio.Semaphore(workers))
        await asyncio.gather(*(table.play(start, again) for start, again in chosen))
    if not any(folder.iterdir()):
        folder.rmdir()
    return table.failed


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seed", type=int, help="only random rounds, from this one on")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how many random rounds")
    parser.add_argument("--point", action="append", help="only the round of this failpoint")
    parser.add_argument("--soak", action="store_true", help="only the long run")
    parser.add_argument("--discord", action="store_true", help="only the rounds before Discord")
    parser.add_argument("--slack", action="store_true", help="only the rounds before Slack")
    parser.add_argument("--keep", action="store_true", help="leave the folder of a round that failed")
    parser.add_argument("--workers", type=int, default=1 + (os.cpu_count() or 1))
    given = parser.parse_args(arguments)
    # Whoever was killed has asked for something, and the fakes tell of each that they could not answer.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    chosen, began = starts(given), time.monotonic()
    if not chosen:
        parser.error("there is nothing to play")
    failed = asyncio.run(play(chosen, workers=given.workers, keep=given.keep))
    took = time.monotonic() - began
    print(f"{len(chosen)} rounds in {took:.0f} s, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
