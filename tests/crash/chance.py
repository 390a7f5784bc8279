"""A random round: everything in it follows from its seed, but for the moment at which something is killed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from agent.protocol import failpoint
from tests.crash.plan import Act, Change, KillRunners, Life, Pause, Round, Say, Spoil
from tests.crash.platform import Moods

MAX_TRIES: Final = 12
"""No message meets its death so often by chance, so none of them may fail."""
KINDS: Final = (
    "",
    "",
    "",
    "",
    "slow",
    "slow",
    "tool",
    "tool",
    "file",
    "ask",
    "error",
    "long",
    "edit",
    "plan",
)


def round_of(seed: int) -> Round:
    """The round of this seed."""
    rng = random.Random(seed)
    places = [f"p{number}" for number in range(1, rng.choice((1, 1, 2, 3)) + 1)]
    return Round(
        f"seed-{seed}",
        [_life(rng, places, first=number == 0) for number in range(rng.choice((1, 1, 2, 3, 4)))],
        moods=_moods(rng),
        seed=seed,
        series=rng.choice((0, 0, 0, 1, 2)),
        runner_idle_seconds=rng.choice((600.0, 600.0, 600.0, 0.2)),
        max_tries=MAX_TRIES,
        retry_seconds=rng.choice((0.01, 0.01, 0.1)),
    )


def _life(rng: random.Random, places: list[str], *, first: bool) -> Life:
    if not first and rng.random() < 0.2:
        # Not even the recovery is left in peace.
        return Life([Pause(rng.uniform(0, 0.15))], end="kill")
    acts: list[Act] = []
    if not first and rng.random() < 0.15:
        acts.append(Spoil("inbound.db", rng.choice(("ruined", "removed"))))
    acts += [act for _ in range(rng.randint(1, 3)) for act in _acts(rng, places)]
    runner_points = [_runner_point(rng) for _ in range(2)] if rng.random() < 0.4 else []
    if rng.random() < 0.5:
        point = f"{rng.choice(sorted(failpoint.HOST))}:{rng.randint(1, 3)}"
        return Life(acts, point, runner_points, end="kill")
    acts.append(Pause(rng.uniform(0, 0.5)))
    return Life(acts, None, runner_points, end=rng.choice(("kill", "kill", "stop")))


def _acts(rng: random.Random, places: list[str]) -> Iterator[Act]:
    match rng.randrange(10):
        case 0 | 1:
            yield Pause(rng.uniform(0, 0.2))
        case 2:
            yield KillRunners(rng.choice(("KILL", "KILL", "TERM")))
        case _:
            for _ in range(rng.randint(1, 4)):
                place = rng.choice(places)
                yield Say(rng.choice(KINDS), place, file=rng.random() < 0.15)
                if rng.random() < 0.15:
                    yield Change(rng.choice(("edit", "edit", "delete")), place)


def _runner_point(rng: random.Random) -> str | None:
    return rng.choice((None, f"{rng.choice(sorted(failpoint.AGENT))}:{rng.randint(1, 2)}"))


def _moods(rng: random.Random) -> Moods:
    if rng.random() < 0.5:
        return Moods(deduplicates=rng.random() < 0.3)
    return Moods(
        slow=rng.uniform(0, 0.3),
        lost=rng.uniform(0, 0.1),
        lost_before=rng.uniform(0, 0.1),
        busy=rng.uniform(0, 0.2),
        broken=rng.uniform(0, 0.1),
        deduplicates=rng.random() < 0.3,
    )
