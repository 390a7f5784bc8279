"""The usher: sees to it that who waits for a place comes in, and is told meanwhile how it stands.

While anybody waits, runners without work are ended, the one that was heard of longest ago first, and a runner that
has had its place for long enough is asked to leave between two turns.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from agent.protocol.clock import Clock
from bot import log
from bot.admission import Admission
from bot.containers import Containers
from bot.lanes import Lanes
from bot.presence import Presence
from bot.runner import Runner
from bot.sessions import Sessions

LOOK_SECONDS: Final = 0.1
FIRST_WORD_MS: Final = 500
"""Most waits are over sooner, and nobody has to know of them."""
NEXT_WORD_MS: Final = 2_000
WORDS_A_LOOK: Final = 50
"""How many are told at most in one look: a thousand who wait must not hold up those who work."""
NEXT_WORD_MS_EACH: Final = 4
"""The more wait, the less often each is told: that leaves half of the words for those who know nothing yet."""
NEXT: Final = "Waiting for a free place: you are next."
BEHIND: Final = "Waiting for a free place: {ahead} ahead of you."

_log = log.get("roost.usher")


@dataclass
class _Told:
    """What somebody who waits was told last, and when it may be told again, on the clock."""

    next_at: int
    ahead: int | None = None


class Usher:
    """Works only while somebody waits."""

    name = "usher"

    def __init__(
        self,
        admission: Admission,
        containers: Containers,
        sessions: Sessions,
        presence: Presence,
        *,
        share_seconds: float,
        clock: Clock,
    ) -> None:
        self._admission = admission
        self._containers = containers
        self._sessions = sessions
        self._presence = presence
        self._share_ms = int(share_seconds * 1000)
        self._clock = clock
        self._told: dict[str, _Told] = {}
        self._ending: Lanes[str] = Lanes("making room", self._end, self._failed)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ending.run(), name="making room")
            group.create_task(self._look_on(), name="looking on")

    async def _look_on(self) -> None:
        while True:
            await self._admission.crowded.wait()
            self._admission.give_up_on_slow_starts()
            self._make_room()
            self._tell()
            await asyncio.sleep(LOOK_SECONDS)

    def _make_room(self) -> None:
        now = self._clock()
        runners = list(self._containers)
        for runner in runners:
            if runner.overstays:
                self._ending.kick(runner.session.id)
        going = [runner for runner in runners if self._is_going(runner)]
        wanted = self._admission.wanted - len(going)
        others = [runner for runner in runners if not self._is_going(runner)]
        for runner in sorted(filter(_is_idle, others), key=lambda runner: runner.heard_at)[: max(0, wanted)]:
            self._ending.kick(runner.session.id)
            wanted -= 1
        served = [r for r in others if not _is_idle(r) and now - r.admitted_at >= self._share_ms]
        for runner in sorted(served, key=lambda runner: runner.admitted_at)[: max(0, wanted)]:
            runner.dismiss()

    def _is_going(self, runner: Runner) -> bool:
        return runner.leave_by is not None or not self._ending.idle(runner.session.id)

    async def _end(self, session_id: str) -> None:
        """Whoever was asked to leave and does not is ended as it is. Raises BackendError."""
        runner = self._containers.of(session_id)
        if runner is not None:
            await self._containers.stop(session_id, if_idle=not runner.overstays)

    def _tell(self) -> None:
        """Lets those who wait know how many are before them, as that changes."""
        now, words = self._clock(), 0
        pause = max(NEXT_WORD_MS, NEXT_WORD_MS_EACH * self._admission.waiting)
        told, self._told = self._told, {}
        for ahead, session_id in enumerate(self._admission.line()):
            known = self._told[session_id] = told.get(session_id) or _Told(now + FIRST_WORD_MS)
            session = self._sessions.loaded(session_id)
            oldest = None if session is None else session.oldest()
            if known.ahead == ahead or now < known.next_at or words >= WORDS_A_LOOK:
                continue
            if session is not None and oldest is not None:
                text = BEHIND.format(ahead=ahead) if ahead else NEXT
                self._presence.working(session, oldest.route, on=True, progress=text)
                known.ahead, known.next_at = ahead, now + pause
                words += 1

    def _failed(self, session_id: str, error: Exception) -> None:
        _log.error("a runner that is in the way could not be ended", exc_info=error, session=session_id)


def _is_idle(runner: Runner) -> bool:
    session = runner.session
    return session.oldest() is None and not (session.recover or session.damage or session.lock.locked())
