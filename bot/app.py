"""The application: has every part built once (building.py), runs them, stops them in reverse."""

from __future__ import annotations

import gc
import getpass
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.base import Adapter, Sender
from adapters.terminal import TerminalAdapter
from agent.protocol.clock import Clock, now_ms
from agent.protocol.messages import Frozen, Route
from agent.protocol.settings import SANDBOX_FREE_PROVIDERS
from bot import log, place_settings
from bot.approvals import Effect
from bot.backends import Chosen, choose
from bot.budgets import Budgets
from bot.building import (
    Ground,
    build_chores,
    build_entrance,
    build_outbound,
    build_wall,
    build_work,
)
from bot.charges import Charges
from bot.commands.context import Context
from bot.config import Config
from bot.containers import Containers
from bot.data_folder import make_agent_folders, sole_user_of
from bot.db.engine import Database, open_database
from bot.delivery import Delivery
from bot.intake import Intake
from bot.keeping import Keeping
from bot.metrics import Metrics
from bot.operations import INTERRUPT_GRACE_SECONDS
from bot.posting import Posting
from bot.rebuilding import Images
from bot.roster import Roster
from bot.services import running
from bot.sessions import Sessions
from bot.signals import Signal
from bot.starting import greet_owners, recall_problems, remind_of_questions, take_over, tell_of_missing_keys
from bot.sweep import Sweep
from bot.vault import open_vault
from bot.warming import Pool
from bot.wirings import Wirings
from container.base import Backend
from container.process import WARNING

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
SWITCH_SECONDS: Final = 0.001
"""How long a thread keeps the interpreter while the event loop wants it back, which it does after every system call
of its own; Python's 5 ms add up when a flood keeps the writer of bot.db busy."""

IN_CONTAINERS: Final = "Every conversation runs in a container of its own (Docker: {why})."
IN_PROCESSES: Final = "Agents run as plain processes: {why}. {warning}"

_log = log.get("roost.app")


@dataclass(frozen=True)
class App:
    """The running service, for whoever started it."""

    terminal: TerminalAdapter
    intake: Intake
    posting: Posting
    delivery: Delivery
    containers: Containers
    context: Context
    db: Database
    sessions: Sessions
    sweep: Sweep
    pool: Pool
    keeping: Keeping


@dataclass(frozen=True)
class AdapterService:
    """An adapter as a part of the service."""

    adapter: Adapter
    intake: Intake

    @property
    def name(self) -> str:
        return self.adapter.name

    async def run(self) -> None:
        """Connects until cancelled."""
        await self.adapter.run(self.intake)


@asynccontextmanager
async def running_app(
    config: Config,
    *,
    adapters: Sequence[Adapter] = (),
    backend: Backend | None = None,
    effects: Mapping[str, Effect] | None = None,
    interrupt_grace_seconds: float = INTERRUPT_GRACE_SECONDS,
    clock: Clock = now_ms,
    say: Callable[[str], None] = _log.info,
) -> AsyncIterator[App]:
    """The service for the length of the block. `adapters` come beside the terminal; `backend` takes the place of
    the configured one; `effects` are of kinds of approvals that are not the service's own; `say` is told which backend
    that is, and what it takes to get there. Leaving lets what is being sent arrive, then stops the platforms, then what
    they feed, then the database; the containers go on, and the next service adopts them. Raises RoostError."""
    data = config.service.data_dir
    sys.setswitchinterval(SWITCH_SECONDS)
    Frozen.build_all()
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        stack.enter_context(sole_user_of(data))
        make_agent_folders(config)
        if config.service.metrics_port is not None:
            stack.enter_context(metrics.serve(config.service.metrics_port))
        db = open_database(data / "bot.db")
        stack.push_async_callback(db.close)
        images, builder = Images({}), None
        if backend is None:
            chosen = await choose(config, os.environ, say)
            stack.push_async_callback(chosen.backend.aclose)
            _announce(chosen, say)
            backend, builder = chosen.backend, chosen.builder
            images = Images(chosen.images, None if builder is None else builder.common)
        roster, wirings = Roster(config, isolated=backend.mounts), Wirings.configured(config)
        await roster.refresh(db)
        await wirings.refresh(db)
        sessions = _sessions(config, roster, db, clock)
        stack.push_async_callback(sessions.close)
        budgets = Budgets(db, config.budgets, roster, metrics=metrics, clock=clock)
        await budgets.refresh()
        charges = _charges(config, db, budgets, sessions, roster, wirings, backend, metrics)
        vault = open_vault(config, roster, os.environ)
        stack.push_async_callback(vault.aclose)

        terminal = TerminalAdapter(
            downloads=data / "downloads", incoming=data / "incoming", person=_person(config), clock=clock
        )
        channels: dict[str, Adapter] = {each.name: each for each in (terminal, *adapters)}
        ground = Ground(
            config,
            db,
            roster,
            wirings,
            sessions,
            terminal,
            channels,
            metrics,
            clock,
            wake=Signal(),
            planned=Signal(),
            budgets=budgets,
            charges=charges,
            said=Signal(),
        )
        out = build_outbound(ground, backend, builder)
        wall = build_wall(ground, backend, vault, images=images)
        work = build_work(ground, out, wall, builder, interrupt_grace_seconds=interrupt_grace_seconds)
        chores = build_chores(ground, out, wall, work)
        entrance = build_entrance(ground, out, wall, work, chores.backups, effects or {})

        await recall_problems(db, roster, metrics)
        await work.rebuilding.recall()
        await greet_owners(db, channels, terminal.person.id, clock(), say)
        inner = (
            db,
            wall.gateway,
            out.presence,
            out.delivery,
            work.containers,
            work.posting,
            work.operations,
            chores.usher,
            chores.sweep,
            chores.upkeep,
            chores.polling,
            chores.backups,
        )
        platforms = [AdapterService(each, entrance.intake) for each in channels.values()]
        outer = (
            chores.leftovers,
            chores.orphans,
            chores.received,
            chores.history,
            work.schedules,
            work.rebuilding,
            entrance.cards,
            entrance.place_names,
            entrance.approvals,
            entrance.budget_watch,
            entrance.erasing,
            entrance.keeping,
            entrance.letting_in,
            entrance.control,
            chores.pool,
        )
        async with running(*inner):
            await entrance.intake.clean_up()
            await entrance.letters.clean_up()
            await take_over(sessions, work.containers)
            await chores.pool.empty()
            await tell_of_missing_keys(vault, roster, say)
            async with running(*outer, *platforms):
                await entrance.control.listening()
                # What a service is made of stays: looking through it for garbage takes 25 ms of the event loop.
                gc.freeze()
                await remind_of_questions(db, out.presence, clock())
                try:
                    yield App(
                        terminal,
                        entrance.intake,
                        work.posting,
                        out.delivery,
                        work.containers,
                        entrance.context,
                        db,
                        sessions,
                        chores.sweep,
                        chores.pool,
                        entrance.keeping,
                    )
                finally:
                    await out.sending.finish()


def _announce(chosen: Chosen, say: Callable[[str], None]) -> None:
    if chosen.kind == "docker":
        say(IN_CONTAINERS.format(why=chosen.why))
    else:
        say(IN_PROCESSES.format(why=chosen.why, warning=WARNING))
        _log.warning(WARNING)


def _sessions(config: Config, roster: Roster, db: Database, clock: Clock) -> Sessions:
    data = config.service.data_dir
    return Sessions(
        db,
        data / "sessions",
        data / "incoming",
        roster.destinations,
        boot_id=BOOT_ID.read_text().strip(),
        clock=clock,
    )


def _charges(
    config: Config,
    db: Database,
    budgets: Budgets,
    sessions: Sessions,
    roster: Roster,
    wirings: Wirings,
    backend: Backend,
    metrics: Metrics,
) -> Charges:
    def believes(agent: str) -> bool:
        """Where containers have a gateway, it knows better."""
        settings = roster.get(agent)
        return settings is not None and not backend.mounts and settings.provider in SANDBOX_FREE_PROVIDERS

    def shows(route: Route) -> bool:
        place = wirings.place(route)
        own = None if place is None else place_settings.read(place.settings).footer
        return config.usage.footer if own is None else own

    prices = config.gateway.price_list
    return Charges(db, budgets, sessions, prices, believes=believes, shows=shows, metrics=metrics)


def _person(config: Config) -> Sender:
    name = config.terminal.name
    if name is None:
        try:
            name = getpass.getuser()
        except (OSError, KeyError):
            name = "you"
    return Sender(str(os.getuid()), name)
