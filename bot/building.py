"""Builds the parts of the service, in the order in which they lean on each other; app.py starts and stops them.

Ground -> Outbound, Wall -> Work -> Chores -> Entrance
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.base import Adapter
from adapters.terminal import TerminalAdapter
from agent.protocol.clock import Clock, steady_ms
from bot import commands
from bot.actions import Actions
from bot.admission import Admission
from bot.agent_editing import AgentEditing
from bot.approvals import Approvals, Effect, Refusal
from bot.backup.daily import Backups
from bot.budget_watch import BudgetWatch
from bot.budgets import Budgets
from bot.cards import Cards
from bot.charges import Charges
from bot.clearing import Clearing
from bot.colleagues import Colleagues
from bot.commands.context import Context
from bot.commands.registry import Registry
from bot.config import Config
from bot.containers import Containers
from bot.control import Control
from bot.db.engine import Database
from bot.deadletters import DeadLetters
from bot.delivery import Delivery
from bot.erasing import Erasing
from bot.figures import Figures
from bot.gateway.service import Gateway
from bot.granting import Granting
from bot.guesses import Guesses
from bot.history import History
from bot.intake import Intake
from bot.keeping import Keeping
from bot.launching import Launcher, instance_of
from bot.leftovers import Leftovers
from bot.letter_files import LetterFiles
from bot.letting_in import LettingIn
from bot.metrics import Metrics
from bot.mounts import Mounts
from bot.notebook import Notebook
from bot.operations import Operations
from bot.orphans import Orphans
from bot.patterns import Patterns
from bot.place_names import PlaceNames
from bot.polling import Polling
from bot.posting import Posting
from bot.presence import Presence
from bot.rebuilding import Builds, Images, Rebuilding
from bot.received import Received
from bot.renewal import Renewal
from bot.requests import Requests
from bot.roster import Roster
from bot.salvage import Salvage
from bot.schedules import Schedules
from bot.sending import Policy as SendPolicy
from bot.sending import Sending
from bot.sessions import Sessions
from bot.signals import Signal
from bot.sweep import Sweep
from bot.tries import Tries
from bot.troubles import Troubles
from bot.turns import Policy as TurnPolicy
from bot.upkeep import Upkeep
from bot.usher import Usher
from bot.vault.base import Vault
from bot.warming import Pool
from bot.wirings import Wirings
from container.base import Backend

MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class Ground:
    """What every part stands on."""

    config: Config
    db: Database
    roster: Roster
    """The agents as they are now: those of config.toml and those of the chat."""
    wirings: Wirings
    sessions: Sessions
    terminal: TerminalAdapter
    channels: Mapping[str, Adapter]
    """All of them by their names, the terminal among them."""
    metrics: Metrics
    clock: Clock
    wake: Signal[str]
    """Rung for a session that is to be posted and woken."""
    planned: Signal[str]
    """Rung when an action has changed a schedule."""
    budgets: Budgets
    charges: Charges
    said: Signal[str]
    """Rung for a session of which something that the service says waits to be delivered."""

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.config.service.data_dir


@dataclass(frozen=True)
class Outbound:
    """What carries replies to their channels."""

    presence: Presence
    letter_files: LetterFiles
    sending: Sending
    delivery: Delivery
    tries: Tries


@dataclass(frozen=True)
class Wall:
    """What a container is started by, and all that it can reach."""

    backend: Backend
    gateway: Gateway
    launcher: Launcher
    clearing: Clearing
    mounts: Mounts
    images: Images


@dataclass(frozen=True)
class Work:
    """What has messages answered: who is asked, where, and how it is ended."""

    admission: Admission
    containers: Containers
    posting: Posting
    operations: Operations
    schedules: Schedules
    rebuilding: Rebuilding


@dataclass(frozen=True)
class Chores:
    """What looks after all that by itself."""

    usher: Usher
    sweep: Sweep
    upkeep: Upkeep
    polling: Polling
    backups: Backups
    leftovers: Leftovers
    orphans: Orphans
    received: Received
    history: History
    pool: Pool


@dataclass(frozen=True)
class Entrance:
    """Where people come in, and admins."""

    letters: DeadLetters
    context: Context
    intake: Intake
    cards: Cards
    place_names: PlaceNames
    approvals: Approvals
    budget_watch: BudgetWatch
    erasing: Erasing
    keeping: Keeping
    letting_in: LettingIn
    control: Control


def build_outbound(ground: Ground, backend: Backend, builder: Builds | None) -> Outbound:
    """From a row of the outbox to what a platform has taken."""
    config, db, metrics, clock = ground.config, ground.db, ground.metrics, ground.clock
    presence = Presence(ground.channels)
    letter_files = LetterFiles(ground.data / "deadletters")
    colleagues = Colleagues(
        db,
        ground.sessions,
        ground.roster,
        config.limits,
        ground.budgets,
        incoming=ground.data / "incoming",
        wake=ground.wake,
        clock=clock,
    )
    sending = Sending(
        {**ground.channels, colleagues.name: colleagues},
        SendPolicy(
            config.delivery.max_attempts,
            int(config.delivery.retry_base_seconds * 1000),
            config.delivery.send_seconds,
        ),
        letter_files,
        metrics=metrics,
        clock=clock,
    )
    delivery = Delivery(
        db,
        ground.sessions,
        sending,
        presence,
        Actions(
            config.schedules,
            Requests(
                ground.roster,
                Registry[Any](None, commands.ALL),
                ground.channels.keys(),
                containers=builder is not None,
                mounts=backend.mounts,
            ),
            planned=ground.planned,
            said=ground.said,
            metrics=metrics,
            clock=clock,
        ),
        ground.charges,
        max_file_bytes=config.limits.attachment_mb * MIB,
        rate=config.limits.rate,
        wake=ground.wake,
        metrics=metrics,
        clock=clock,
    )
    policy = TurnPolicy(config.turns.max_tries, int(config.turns.retry_base_seconds * 1000))
    tries = Tries(db, delivery, policy, metrics=metrics, clock=clock)
    return Outbound(presence, letter_files, sending, delivery, tries)


def build_wall(ground: Ground, backend: Backend, vault: Vault, *, images: Images) -> Wall:
    """`images` are those of the agents by their names; none where agents run without."""
    config, data = ground.config, ground.data
    gateway = Gateway(
        data,
        config.gateway,
        ground.roster,
        vault=vault,
        db=ground.db,
        charges=ground.charges,
        metrics=ground.metrics,
        environ=os.environ,
        clock=ground.clock,
    )
    mounts = Mounts(config, os.environ, ground.roster)
    launcher = Launcher(
        ground.roster,
        config.backend,
        mounts=backend.mounts,
        images=images,
        gateway=gateway,
        vault=vault,
        extra=mounts.of,
        warm=config.pool.warm,
        data_dir=data,
    )
    image = next(iter(images.values()), None)
    clearing = Clearing(backend, image=image, instance=instance_of(data), logs=data / "logs")
    return Wall(backend, gateway, launcher, clearing, mounts, images)


def build_work(
    ground: Ground, out: Outbound, wall: Wall, builder: Builds | None, *, interrupt_grace_seconds: float
) -> Work:
    """From a row of bot.db to a runner that answers it. `builder` is None where agents run without images."""
    config, db, sessions = ground.config, ground.db, ground.sessions
    metrics, clock = ground.metrics, ground.clock
    admission = Admission(config.backend.max_awake, wake=ground.wake)
    metrics.waiting_sessions.set_function(lambda: admission.waiting)
    containers = Containers(
        db,
        wall.backend,
        out.delivery,
        out.presence,
        wall.launcher,
        out.tries,
        admission,
        stop_grace_seconds=config.backend.stop_grace_seconds,
        wake=ground.wake,
        metrics=metrics,
    )
    posting = Posting(
        db,
        sessions,
        containers,
        out.delivery,
        out.presence,
        out.tries,
        Salvage(
            db,
            out.letter_files,
            max_file_bytes=config.limits.attachment_mb * MIB,
            metrics=metrics,
            clock=clock,
        ),
        wall.clearing,
        wake=ground.wake,
        metrics=metrics,
        clock=clock,
    )
    operations = Operations(
        db,
        sessions,
        containers,
        posting,
        out.delivery,
        out.tries,
        stop_grace_seconds=config.backend.stop_grace_seconds,
        interrupt_grace_seconds=interrupt_grace_seconds,
        max_backlog=config.limits.backlog,
        clock=clock,
    )
    schedules = Schedules(
        db,
        sessions,
        posting,
        out.delivery,
        config.schedules,
        budgets=ground.budgets,
        changed=ground.planned,
        clock=clock,
    )
    renewal = Renewal(ground.roster, sessions, containers, posting, wall.gateway, metrics)
    rebuilding = Rebuilding(ground.roster, wall.images, builder, outdated=renewal.agent_changed)
    ground.roster.changed.connect(rebuilding.changed)
    return Work(admission, containers, posting, operations, schedules, rebuilding)


def build_chores(ground: Ground, out: Outbound, wall: Wall, work: Work) -> Chores:
    """What is stuck, idle, left over, due for a copy, or made ready before anybody asks."""
    config, db, sessions = ground.config, ground.db, ground.sessions
    data, metrics, clock = ground.data, ground.metrics, ground.clock
    containers, admission = work.containers, work.admission
    # A child process starts fast enough, and nobody pools what isolates nothing.
    pooled = ground.roster if wall.backend.mounts else ()
    return Chores(
        usher=Usher(
            admission,
            containers,
            sessions,
            out.presence,
            share_seconds=config.backend.turn_share_seconds,
            clock=steady_ms,
        ),
        sweep=Sweep(
            db,
            sessions,
            containers,
            out.delivery,
            ground.roster,
            stale_seconds=config.turns.heartbeat_stale_seconds,
            idle_seconds=config.backend.runner_idle_seconds,
            metrics=metrics,
        ),
        upkeep=Upkeep(
            containers,
            wall.backend,
            config.backend,
            ground.roster,
            data_dir=data,
            metrics=metrics,
            clock=steady_ms,
        ),
        polling=Polling(containers, out.delivery),
        backups=Backups(data, config.backup, db, metrics=metrics, clock=clock),
        leftovers=Leftovers(db, work.posting, out.delivery, admission, clock=clock),
        orphans=Orphans(db, sessions, containers, data_dir=data, clock=clock),
        received=Received(db, data / "sessions", clock=clock),
        history=History(db, config.limits.history_days, clock=clock),
        pool=Pool(db, sessions, containers, admission, wall.clearing, config.pool, pooled, clock=clock),
    )


def build_entrance(
    ground: Ground,
    out: Outbound,
    wall: Wall,
    work: Work,
    backups: Backups,
    effects: Mapping[str, Effect],
) -> Entrance:
    """Messages, commands, and the socket by which the command line reaches the service. `effects` are of kinds of
    approvals beside its own."""
    config, db, sessions = ground.config, ground.db, ground.sessions
    metrics, clock = ground.metrics, ground.clock
    letters = DeadLetters(db, sessions, out.delivery, out.letter_files, metrics=metrics, clock=clock)
    wirings = ground.wirings
    erasing = Erasing(
        db,
        sessions,
        work.containers,
        work.posting,
        out.delivery,
        work.operations,
        out.letter_files,
        wall.clearing,
        data=ground.data,
        said=ground.said,
        clock=clock,
    )
    keeping = Keeping(db, wirings, erasing, sessions=ground.data / "sessions", clock=clock)
    cards = Cards(db, sessions, out.delivery, clock)
    ground.said.connect(lambda session: cards.deliver([session]))
    carried_out: dict[str, Effect] = {**effects}
    refusals: dict[str, Refusal] = {}
    approvals = Approvals(
        db, sessions, cards, carried_out, ground.roster, wake=ground.wake, clock=clock, refusals=refusals
    )
    troubles = Troubles(ground.channels, metrics=metrics, clock=clock)
    place_names = PlaceNames(db, wirings)
    patterns = Patterns(metrics=metrics, clock=clock)
    context = Context(
        db,
        work.containers,
        work.admission,
        work.operations,
        backups,
        work.schedules,
        letters,
        metrics,
        clock,
        started_at=steady_ms(),
        agent_of=lambda route: wirings.of(route).agent,
        roster=ground.roster,
        wirings=wirings,
        sessions=sessions,
        channels=ground.channels.keys(),
        guesses=Guesses(steady_ms),
        figures=Figures(db),
        cards=cards,
        erasing=erasing,
        approvals=approvals,
        budgets=ground.budgets,
        troubles=troubles,
        rebuilding=work.rebuilding,
        agents=AgentEditing(
            db,
            ground.roster,
            wall.mounts.granted if wall.backend.mounts else None,
            data=ground.data,
            clock=clock,
        ),
        place_names=place_names,
        patterns=patterns,
    )
    registry = Registry(context, commands.ALL)
    # What is approved may be a command, and a command may approve: whoever carries it out comes last.
    granting = Granting(db, ground.roster, work.rebuilding, context.agents, cards, registry, clock=clock)
    carried_out.update(granting.effects)
    intake = Intake(
        db,
        sessions,
        work.posting,
        out.delivery,
        registry,
        wirings,
        config.limits,
        budgets=ground.budgets,
        incoming=ground.data / "incoming",
        notes=Notebook(db, clock),
        troubles=troubles,
        keeping=keeping,
        place_names=place_names,
        patterns=patterns,
        metrics=metrics,
        clock=clock,
    )
    budget_watch = BudgetWatch(
        db,
        ground.budgets,
        cards,
        sessions,
        work.posting,
        work.schedules,
        incoming=ground.data / "incoming",
        keep_days=config.usage.keep_days,
        metrics=metrics,
        clock=clock,
    )
    letting_in = LettingIn(db, wirings, cards, intake.let_in, incoming=ground.data / "incoming", clock=clock)
    # What is allowed comes in by the intake, which stands on the commands that allow it.
    carried_out |= letting_in.effects
    refusals |= letting_in.refusals
    control = Control(ground.data / "control.sock", registry, ground.terminal)
    return Entrance(
        letters,
        context,
        intake,
        cards,
        place_names,
        approvals,
        budget_watch,
        erasing,
        keeping,
        letting_in,
        control,
    )
