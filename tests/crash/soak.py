"""The long run: many conversations, many messages in bursts, and everything is killed again and again. Afterwards
one service lives long enough to show that it gives back what it takes."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Final

from tests.crash import processes
from tests.crash.nursery import Nursery
from tests.crash.plan import KillRunners, Life, Pause, Round, Say, Wait
from tests.crash.platform import Moods
from tests.crash.world import World

SESSIONS: Final = 20
MESSAGES: Final = 500
LIVES: Final = 8
BURSTS: Final = 5
"""Of the service that is let live."""
CALM_SECONDS: Final = 120.0
REST_SECONDS: Final = 60.0
KINDS: Final = ("", "", "", "", "", "", "slow", "tool", "file", "long")


class Soak(World):
    """A world that is played for longer than the others."""

    patience_seconds = CALM_SECONDS

    def __init__(self, seed: int, root: Path, nursery: Nursery) -> None:
        rng = random.Random(seed)
        moods = Moods(slow=0.1, lost=0.01, lost_before=0.01, busy=0.05, broken=0.02)
        plan = Round(
            f"soak-{seed}",
            [_life(rng) for _ in range(LIVES)],
            moods=moods,
            seed=seed,
            runner_idle_seconds=2.0,
            max_tries=30,
        )
        super().__init__(plan, root, nursery)

    async def last_words(self) -> None:
        """Bursts for a service that lives on; when all has calmed down it holds no more than before."""
        await super().last_words()
        before = await self._at_rest()
        for _ in range(BURSTS):
            for number in range(SESSIONS):
                await self.act(Say(self.rng.choice(KINDS), f"p{number}", file=self.rng.random() < 0.2))
            await self.act(Pause(self.rng.uniform(0.2, 0.6)))
            await self.act(KillRunners())
            await self.act(Wait("answered"))
        await self.until(
            lambda: self._asleep() and self.descriptors() <= before,
            REST_SECONDS,
            lambda: [f"{self.descriptors()} descriptors are open, and {before} were before"],
        )

    async def _at_rest(self) -> int:
        """How many descriptors the service has open when no runner lives."""
        await self.until(self._asleep, REST_SECONDS, lambda: ["the runners do not go to sleep"])
        await asyncio.sleep(1)
        return self.descriptors()

    def _asleep(self) -> bool:
        return not processes.below(self.root)


def _life(rng: random.Random) -> Life:
    acts: list[Say | Pause | KillRunners] = []
    for _ in range(MESSAGES // LIVES // 5):
        place = f"p{rng.randrange(SESSIONS)}"
        acts += [
            Say(
                rng.choice(KINDS), rng.choice((place, f"p{rng.randrange(SESSIONS)}")), file=rng.random() < 0.1
            )
            for _ in range(5)
        ]
        acts.append(Pause(rng.uniform(0, 0.2)))
        if rng.random() < 0.15:
            acts.append(KillRunners())
    return Life(acts, end="kill")
