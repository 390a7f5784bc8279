"""A round on its way: a data folder, the platform, and one service after the other."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from agent.protocol.clock import now_ms
from agent.protocol.messages import Route
from bot import approvals
from bot.db import people, series, sessions
from bot.db.engine import migrate
from bot.recurrence import At
from tests.crash import judge, processes
from tests.crash.books import books
from tests.crash.nursery import Nursery
from tests.crash.plan import (
    SCRIPT,
    Act,
    Change,
    Command,
    KillRunners,
    Life,
    Pause,
    Relent,
    Round,
    Say,
    Spoil,
    Wait,
)
from tests.crash.platform import Platform, Said, Scene
from tests.crash.processes import Process
from tests.crash.service import KIND, SETTINGS
from tests.fakes.wire import NAME, PERSON

QUIET_SECONDS: Final = 60.0
END_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.02
MAX_LOOK_SECONDS: Final = 0.15
UNARMED_SECONDS: Final = 0.3
"""How long a random life waits for a point that it may never come to."""


class Violated(Exception):
    """Raised when a round cannot even go on."""


class World:
    """Made for one round, which `run` plays."""

    patience_seconds: float = QUIET_SECONDS
    script: Sequence[Mapping[str, Any]] = SCRIPT

    def __init__(self, plan: Round, root: Path, nursery: Nursery) -> None:
        self.plan = plan
        self.root = root
        self.data = root / "data"
        self.rng = random.Random(plan.seed)
        self.platform: Scene = self.scene()
        self.process: Process | None = None
        self.killed: set[int] = set()
        self._nursery = nursery
        self._words = 0
        self._at_work = 0

    def scene(self) -> Scene:
        """The platform."""
        return Platform(self.root / "socket", replace(self.plan.moods), random.Random(self.plan.seed))

    async def run(self) -> list[str]:
        """What was violated."""
        self.settle_in()
        await self.platform.open()
        found: list[str] = []
        try:
            for life in self.plan.lives:
                await self._live(life)
            await self.calm()
            await self.last_words()
            found += await self.leave()
        except Violated as exc:
            found.append(str(exc))
        finally:
            await self._clear_away()
        return found or self.verdict()

    def verdict(self) -> list[str]:
        """What the judge finds."""
        return list(
            judge.violations(
                self.platform,
                self.data,
                series=self.plan.series,
                killed=self.killed,
                may_fail=self.plan.may_fail,
            )
        )

    # ---------------------------------------------------------------- what happens

    async def start(self, life: Life | None = None) -> None:
        """A new service."""
        life = life or Life()
        self.platform.begin(gone=None if self.process is None else self.process.pid)
        self._at_work = self.platform.at_work
        self.process = Process(await self._nursery.born(self.root, life.point, life.runner_points))

    async def calm(self) -> None:
        """Returns when everything has come to its end, with a service that nobody kills."""
        if self.process is None or self.process.ended:
            await self.start()
        await self.until(lambda: self._lives() and not self.missing(), self.patience_seconds, self.missing)

    async def last_words(self) -> None:
        """A last message finds whatever an earlier one has left undone, for it comes after that."""
        for place in sorted({event.place for event in self.platform.events.values()}):
            self._say(Say(place=place))
        await self.calm()

    async def leave(self) -> list[str]:
        """Everybody is asked to go. What still lives then is a violation."""
        if not await self._stop():
            return ["the service does not stop"]
        processes.signal_all(self.root, signal.SIGTERM)
        left = await _gone(self.root)
        return [f"{len(left)} processes are left"] if left else []

    async def act(self, act: Act) -> None:
        """One thing that happens."""
        match act:
            case Say():
                self._say(act)
            case Command(command, place):
                self._words += 1
                event_id = f"{self.plan.name}:{self._words}"
                found = books(self.data)
                letter, approval = (
                    "".join(found.letters[:1]),
                    "".join(each for each, _ in found.approvals[:1]),
                )
                said = command.format(letter=letter, approval=approval)
                self.platform.say(Said(event_id, "command", place, "", command=said))
            case Change():
                self._change(act)
            case Relent():
                self.platform.moods.forbidden = None
            case Wait(what):
                why = self.missing if what == "answered" else list
                await self.until(lambda: self.over() or self.holds(what), self.patience_seconds, why)
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case KillRunners(name):
                processes.signal_all(self.root, signal.Signals[f"SIG{name}"])
            case Spoil():
                await self._spoil(act)

    def holds(self, what: str) -> bool:
        """Whether that has come for which a Wait is. Raises Violated."""
        match what:
            case "answered":
                return not self.missing()
            case "working":
                # The service says so when it has woken an agent, and the agent itself when it has begun.
                return self.platform.at_work - self._at_work >= 2
            case "acknowledged":
                return all(event.receipt is not None for event in self.platform.events.values())
        raise Violated(f"nobody knows how to wait for {what}")

    # ---------------------------------------------------------------- in detail

    async def _live(self, life: Life) -> None:
        spoils = [act for act in life.acts if isinstance(act, Spoil)]
        for spoil in spoils:
            await self.act(spoil)
        for act in life.before:
            await self.act(act)
        await self.start(life)
        for act in life.acts:
            if not isinstance(act, Spoil) and not self.over():
                await self.act(act)
        await self._end(life)

    async def _end(self, life: Life) -> None:
        assert self.process is not None
        points = [point for point in (life.point, *life.runner_points) if point is not None]
        match life.end:
            case "point":
                for point in points:
                    await self.until(
                        partial(self.fired, point), END_SECONDS, lambda: [f"{points} were not all reached"]
                    )
                if life.point is not None and not await self.process.wait(END_SECONDS):
                    raise Violated(f"the service outlived {life.point}")
            case "kill":
                if life.point is not None:
                    await self.process.wait(UNARMED_SECONDS)
                self.process.signal(signal.SIGKILL)
                await self.process.wait(END_SECONDS)
            case "stop" if life.point is not None:
                self.process.signal(signal.SIGTERM)
                if not await self.process.wait(END_SECONDS) or not self.fired(life.point):
                    raise Violated(f"{life.point} was never reached")
            case "stop":
                if not await self._stop():
                    raise Violated("the service does not stop")
                return
            case "go on":
                return
        if self.process.ended:
            self.killed.add(self.platform.life)

    async def _stop(self) -> bool:
        assert self.process is not None
        self.process.signal(signal.SIGTERM)
        return await self.process.wait(END_SECONDS)

    def fired(self, point: str) -> bool:
        """Whether somebody was killed there."""
        logs = [self.root / "stderr.log", *(self.data / "logs").glob("*.log")]
        return any(f"killed at {point}\n" in log.read_text(errors="replace") for log in logs if log.exists())

    def _say(self, said: Say) -> None:
        self._words += 1
        token = f"m{self._words}"
        files = ((f"{token}.txt", f"contents of {token}"),) if said.file else ()
        event_id = f"{self.plan.name}:{self._words}"
        self.platform.say(Said(event_id, "message", said.place, f"{said.text} {token}".strip(), files))

    def _change(self, change: Change) -> None:
        self._words += 1
        events = self.platform.events.values()
        last = [event for event in events if event.kind == "message" and event.place == change.place][-1]
        text = f"{last.text} after all" if change.how == "edit" else ""
        event_id = f"{self.plan.name}:{self._words}"
        self.platform.say(Said(event_id, change.how, change.place, text, about=last.id))

    async def _spoil(self, act: Spoil) -> None:
        processes.signal_all(self.root, signal.SIGTERM)
        await _gone(self.root)
        for path in (self.data / "sessions").glob(f"*/*/{act.file}"):
            if act.how == "removed":
                path.unlink()
            else:
                path.write_bytes(b"this is no database" * 1000)

    def missing(self) -> list[str]:
        """What is still to come before all is quiet."""
        try:
            if self.platform.connected < self.platform.life:
                return ["the service does not connect"]
            return judge.missing(self.platform, self.data, books(self.data), self.plan.series)
        except sqlite3.Error as exc:
            return [f"a database cannot be read: {exc}"]

    def _lives(self) -> bool:
        """Raises Violated when it does not."""
        if self.over():
            raise Violated("the service has died: " + self._last_words_of_it())
        return True

    def over(self) -> bool:
        """Whether this life has met its end already."""
        return self.process is None or self.process.ended

    async def until(
        self, holds: Callable[[], bool], seconds: float, why: Callable[[], list[str]] = list
    ) -> None:
        give_up, pause = time.monotonic() + seconds, LOOK_SECONDS
        while not holds():
            if time.monotonic() > give_up:
                raise Violated(f"after {seconds:.0f} s: " + ("; ".join(why()) or "it never came"))
            await asyncio.sleep(pause)
            # A look is not free, and who judges must not be what there is no time for.
            pause = min(pause * 1.5, MAX_LOOK_SECONDS)

    def _last_words_of_it(self) -> str:
        log = self.root / "stderr.log"
        return log.read_text(errors="replace")[-1500:] if log.exists() else "(nothing on stderr)"

    def settle_in(self) -> None:
        """What lies there before the first service."""
        self.data.mkdir()
        (self.root / "report.txt").write_text("a report")
        script = json.dumps(list(self.script)).replace('"FILE"', json.dumps(str(self.root / "report.txt")))
        settings: dict[str, Any] = {
            "service": {"data_dir": str(self.data)},
            "agents": {
                "assistant": {"idle_seconds": 0.3, "provider_options": {"script": json.loads(script)}}
            },
            "backend": {
                "kind": "process",
                "runner_idle_seconds": self.plan.runner_idle_seconds,
                "stop_grace_seconds": 5,
            },
            "turns": {"retry_base_seconds": self.plan.retry_seconds, "max_tries": self.plan.max_tries},
            "delivery": {"retry_base_seconds": 0.01, "max_attempts": 12},
            "backup": {"enabled": False},
        }
        (self.root / SETTINGS).write_text(json.dumps(settings))
        if self.plan.series:
            self._schedule()
        if self.plan.approvals:
            self._ask()

    def _schedule(self) -> None:
        with closing(sqlite3.connect(self.data / "bot.db", isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            migrate(db, 0)
            now = now_ms()
            here = Route(channel=NAME, platform_id="p1", thread_id=None)
            session = sessions.resolve(db, "assistant", here, now)
            for number in range(1, self.plan.series + 1):
                due = now + self.rng.randrange(300)
                draft = series.Draft(
                    f"do t{number}", At(at=due, timezone="UTC"), due, created_by="u1", count=1
                )
                series.create(db, session.id, draft, now=now)

    def _ask(self) -> None:
        with closing(sqlite3.connect(self.data / "bot.db", isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            migrate(db, 0)
            now = now_ms()
            people.grant(db, NAME, PERSON.id, "owner", now=now)
            here = Route(channel=NAME, platform_id="p1", thread_id=None)
            session = sessions.resolve(db, "assistant", here, now)
            for number in range(self.plan.approvals):
                approvals.ask(
                    db, kind=KIND, agent="assistant", asked_by="assistant", summary=judge.CARD_TEXT, details="",
                    effect={"number": number}, session=session.id, route=here, now=now,
                )  # fmt: skip

    async def _clear_away(self) -> None:
        if self.process is not None:
            self.process.signal(signal.SIGKILL)
            await self.process.wait(END_SECONDS)
        processes.signal_all(self.root, signal.SIGKILL)
        await _gone(self.root)
        await self.platform.close()

    def descriptors(self) -> int:
        """How many the service has open."""
        assert self.process is not None
        return self.process.descriptors()

    def forget(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.root)


async def _gone(root: Path) -> list[int]:
    """The processes that do not go away."""
    give_up = time.monotonic() + END_SECONDS
    while (left := processes.below(root)) and time.monotonic() < give_up:  # noqa: ASYNC110  # nobody rings
        await asyncio.sleep(LOOK_SECONDS)
    return left
