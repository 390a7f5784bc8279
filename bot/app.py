"""The application: builds every object once, runs them, stops them in reverse."""

from __future__ import annotations

import asyncio
import gc
import getpass
import os
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from adapters.base import Adapter, Sender
from adapters.terminal import TerminalAdapter
from agent.protocol import failpoint
from agent.protocol.clock import Clock, now_ms, steady_ms
from agent.protocol.messages import Frozen
from bot import commands, log, outgoing
from bot.actions import Actions
from bot.admission import Admission
from bot.backends import Chosen, choose
from bot.backup.daily import Backups
from bot.clearing import Clearing
from bot.commands.context import Context
from bot.commands.registry import Registry
from bot.config import Config
from bot.containers import Containers
from bot.control import Control
from bot.data_lock import taken
from bot.db import people, problems, questions
from bot.db.engine import Database, open_database
from bot.deadletters import DeadLetters
from bot.delivery import Delivery
from bot.engage import Wiring
from bot.errors import ServiceCrashed, UnusableDataFolder
from bot.figures import Figures
from bot.gateway.service import Gateway
from bot.guesses import Guesses
from bot.history import History
from bot.intake import Intake
from bot.launching import Launcher, instance_of
from bot.leftovers import Leftovers
from bot.letter_files import LetterFiles
from bot.metrics import Metrics
from bot.mounts import Mounts
from bot.operations import INTERRUPT_GRACE_SECONDS, Operations
from bot.orphans import Orphans
from bot.polling import Polling
from bot.posting import Posting
from bot.presence import Presence
from bot.received import Received
from bot.salvage import Salvage
from bot.schedules import Schedules
from bot.sending import Policy as SendPolicy
from bot.sending import Sending
from bot.services import running
from bot.sessions import Sessions
from bot.signals import Signal
from bot.sweep import Sweep
from bot.tries import Tries
from bot.turns import Policy as TurnPolicy
from bot.upkeep import Upkeep
from bot.usher import Usher
from bot.vault import open_vault
from bot.warming import Pool
from container.base import Backend, BackendError
from container.process import WARNING

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
ADOPTED_AT_ONCE: Final = 16
SWITCH_SECONDS: Final = 0.001
"""How long a thread keeps the interpreter while the event loop wants it back, which it does after every system call
of its own; Python's 5 ms add up when a flood keeps the writer of bot.db busy."""
FOLDERS: Final = ("sessions", "incoming", "deadletters", "run", "logs")
BUSY: Final = (
    "Another Roost is running in {data}: talk to it with `roost chat`,"
    " or give this one a data folder of its own ([service] data_dir)."
)

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
    interrupt_grace_seconds: float = INTERRUPT_GRACE_SECONDS,
    clock: Clock = now_ms,
    say: Callable[[str], None] = _log.info,
) -> AsyncIterator[App]:
    """The service for the length of the block. `adapters` come beside the terminal; `backend` takes the place of
    the configured one; `say` is told which that is, and what it takes to get there. Leaving lets what is being sent
    arrive, then stops the platforms, then what they feed, then the database; the containers go on, and the next
    service adopts them. Raises RoostError."""
    data = config.service.data_dir
    sys.setswitchinterval(SWITCH_SECONDS)
    Frozen.build_all()
    metrics, wake = Metrics(), Signal[str]()
    async with AsyncExitStack() as stack:
        stack.enter_context(_sole_user_of(data))
        _make_agent_folders(config)
        if config.service.metrics_port is not None:
            stack.enter_context(metrics.serve(config.service.metrics_port))
        db = open_database(data / "bot.db")
        stack.push_async_callback(db.close)
        chosen = None
        if backend is None:
            chosen = await choose(config, os.environ, say)
            stack.push_async_callback(chosen.backend.aclose)
            _announce(chosen, say)
            backend = chosen.backend
        terminal = TerminalAdapter(
            downloads=data / "downloads", incoming=data / "incoming", person=_person(config), clock=clock
        )
        channels: dict[str, Adapter] = {each.name: each for each in (terminal, *adapters)}
        sessions = Sessions(
            db,
            data / "sessions",
            data / "incoming",
            {name: [d.destination for d in agent.destinations] for name, agent in config.agents.items()},
            boot_id=BOOT_ID.read_text().strip(),
            clock=clock,
        )
        stack.push_async_callback(sessions.close)
        presence = Presence(channels)
        letter_files = LetterFiles(data / "deadletters")
        sending = Sending(
            channels,
            SendPolicy(
                config.delivery.max_attempts,
                int(config.delivery.retry_base_seconds * 1000),
                config.delivery.send_seconds,
            ),
            letter_files,
            metrics=metrics,
            clock=clock,
        )
        planned = Signal[str]()
        delivery = Delivery(
            db,
            sessions,
            sending,
            presence,
            Actions(config.schedules, planned=planned, metrics=metrics, clock=clock),
            max_file_bytes=config.limits.attachment_mb * 1024 * 1024,
            rate=config.limits.rate,
            wake=wake,
            metrics=metrics,
            clock=clock,
        )
        policy = TurnPolicy(config.turns.max_tries, int(config.turns.retry_base_seconds * 1000))
        tries = Tries(db, delivery, policy, metrics=metrics, clock=clock)
        admission = Admission(config.backend.max_awake, wake=wake)
        metrics.waiting_sessions.set_function(lambda: admission.waiting)
        vault = open_vault(config, os.environ)
        stack.push_async_callback(vault.aclose)
        gateway = Gateway(
            data,
            config.gateway,
            config.agents,
            vault=vault,
            db=db,
            metrics=metrics,
            environ=os.environ,
            clock=clock,
        )
        mounts = Mounts(config, os.environ)
        launcher = Launcher(
            config.agents,
            config.backend,
            mounts=backend.mounts,
            images={} if chosen is None else chosen.images,
            gateway=gateway,
            vault=vault,
            extra=mounts.of,
            warm=config.pool.warm,
            data_dir=data,
        )
        containers = Containers(
            db,
            backend,
            delivery,
            presence,
            launcher,
            tries,
            admission,
            stop_grace_seconds=config.backend.stop_grace_seconds,
            wake=wake,
            metrics=metrics,
        )
        salvage = Salvage(
            db,
            letter_files,
            max_file_bytes=config.limits.attachment_mb * 1024 * 1024,
            metrics=metrics,
            clock=clock,
        )
        clearing = Clearing(
            backend,
            image=None if chosen is None else next(iter(chosen.images.values()), None),
            instance=instance_of(data),
            logs=data / "logs",
        )
        posting = Posting(
            db,
            sessions,
            containers,
            delivery,
            presence,
            tries,
            salvage,
            clearing,
            wake=wake,
            metrics=metrics,
            clock=clock,
        )
        operations = Operations(
            db,
            sessions,
            containers,
            posting,
            tries,
            stop_grace_seconds=config.backend.stop_grace_seconds,
            interrupt_grace_seconds=interrupt_grace_seconds,
            max_backlog=config.limits.backlog,
            clock=clock,
        )
        schedules = Schedules(db, sessions, posting, delivery, config.schedules, changed=planned, clock=clock)
        sweep = Sweep(
            db,
            sessions,
            containers,
            delivery,
            config.agents,
            stale_seconds=config.turns.heartbeat_stale_seconds,
            idle_seconds=config.backend.runner_idle_seconds,
            metrics=metrics,
        )
        orphans = Orphans(db, sessions, containers, data_dir=data, clock=clock)
        leftovers = Leftovers(db, posting, delivery, admission, clock=clock)
        history = History(db, config.limits.history_days, clock=clock)
        received = Received(db, data / "sessions", clock=clock)
        polling = Polling(containers, delivery)
        share_seconds = config.backend.turn_share_seconds
        upkeep = Upkeep(
            containers,
            backend,
            config.backend,
            config.agents,
            data_dir=data,
            metrics=metrics,
            clock=steady_ms,
        )
        # A child process starts fast enough, and nobody pools what isolates nothing.
        pooled = config.agents if backend.mounts else ()
        pool = Pool(db, sessions, containers, admission, clearing, config.pool, pooled, clock=clock)
        usher = Usher(admission, containers, sessions, presence, share_seconds=share_seconds, clock=steady_ms)
        backups = Backups(data, config.backup, db, metrics=metrics, clock=clock)
        letters = DeadLetters(db, sessions, delivery, letter_files, metrics=metrics, clock=clock)
        wiring = Wiring(next(iter(config.agents)))
        context = Context(
            db,
            containers,
            admission,
            operations,
            backups,
            schedules,
            letters,
            metrics,
            clock,
            started_at=steady_ms(),
            agent_of=lambda route: wiring.agent,
            models={name: agent.model for name, agent in config.agents.items()},
            sessions=sessions,
            channels=channels.keys(),
            guesses=Guesses(steady_ms),
            figures=Figures(db),
        )
        registry = Registry(context, commands.ALL)
        intake = Intake(
            db,
            sessions,
            posting,
            delivery,
            operations,
            registry,
            wiring,
            config.limits,
            incoming=data / "incoming",
            metrics=metrics,
            clock=clock,
        )
        control = Control(data / "control.sock", registry, terminal)
        await _recall_problems(db, config.agents, metrics)
        await _greet_owners(db, channels, terminal.person.id, clock())
        edge = [AdapterService(each, intake) for each in channels.values()]
        inner = (
            db,
            gateway,
            presence,
            delivery,
            containers,
            posting,
            operations,
            usher,
            sweep,
            upkeep,
            polling,
            backups,
        )
        async with running(*inner):
            await intake.clean_up()
            await letters.clean_up()
            await _take_over(sessions, containers)
            async with running(leftovers, orphans, received, history, schedules, control, pool, *edge):
                await control.listening()
                # What a service is made of stays: looking through it for garbage takes 25 ms of the event loop.
                gc.freeze()
                await _remind_of_questions(db, presence, clock())
                try:
                    yield App(
                        terminal, intake, posting, delivery, containers, context, db, sessions, sweep, pool
                    )
                finally:
                    await sending.finish()


def _announce(chosen: Chosen, say: Callable[[str], None]) -> None:
    if chosen.kind == "docker":
        say(IN_CONTAINERS.format(why=chosen.why))
    else:
        say(IN_PROCESSES.format(why=chosen.why, warning=WARNING))
        _log.warning(WARNING)


async def _take_over(sessions: Sessions, containers: Containers) -> None:
    """Takes on what runs, or ran, for an earlier service. Raises ServiceCrashed, DatabaseError."""
    try:
        awake = await containers.awake()
    except BackendError as exc:
        raise ServiceCrashed("containers", str(exc)) from exc
    failpoint.hit("adoption-begun")
    slots = asyncio.Semaphore(ADOPTED_AT_ONCE)

    async def adopt(session_id: str, labels: Mapping[str, str] | None) -> None:
        async with slots:
            try:
                await containers.adopt(await sessions.get(session_id), labels)
            except BackendError as exc:
                _log.error("a session could not be adopted: %s", exc, session=session_id)

    await asyncio.gather(*(adopt(session_id, labels) for session_id, labels in awake.items()))
    failpoint.hit("taken-over")


async def _remind_of_questions(db: Database, presence: Presence, now: int) -> None:
    """What an earlier service has asked can still be answered, also where the channel has forgotten. Raises
    DatabaseError."""
    for asked, turn_id in await db.read(partial(questions.waiting, now=now)):
        presence.still_open(asked.session, outgoing.still_open(asked, turn_id))


async def _recall_problems(db: Database, agents: Collection[str], metrics: Metrics) -> None:
    """What an agent has reported is still so until it works again. Raises DatabaseError."""
    await db.write(partial(problems.forget, agents=agents))
    for problem in await db.read(problems.listed):
        metrics.agent_problem.labels(problem.agent).set(1)


async def _greet_owners(db: Database, channels: dict[str, Adapter], terminal_user: str, now: int) -> None:
    """The terminal's user owns it. Elsewhere the first owner proves to read this service's log."""
    await db.write(lambda db: people.grant(db, TerminalAdapter.name, terminal_user, "owner", now=now))
    for channel in channels:
        if channel == TerminalAdapter.name or await db.read(partial(people.has_owner, channel=channel)):
            continue
        code = await db.write(partial(people.new_code, channel=channel, now=now))
        _log.warning("nobody owns the bot on %s yet: send it the command `claim %s`", channel, code)


@contextmanager
def _sole_user_of(data: Path) -> Iterator[None]:
    """The data folder, made if need be and locked. Raises DataFolderBusy, UnusableDataFolder."""
    for folder in (data, *(data / name for name in FOLDERS)):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as exc:
            raise UnusableDataFolder(f"{folder} is no folder: move it away.") from exc
        except OSError as exc:
            raise UnusableDataFolder(f"The data folder {data} cannot be used: {exc.strerror}.") from exc
    for file in (data / "bot.db", data / "control.sock"):
        if file.is_dir():
            raise UnusableDataFolder(f"{file} is a folder: move it away.")
    with taken(data, busy=BUSY):
        yield


def _make_agent_folders(config: Config) -> None:
    """Where instructions go, for whoever looks. The container's user, who is another one, may read them. Raises
    UnusableDataFolder."""
    data = config.service.data_dir
    for name, agent in config.agents.items():
        folder = agent.folder_in(data, name)
        if agent.folder is not None:
            if not folder.is_dir():
                _log.warning("the folder of agent %s is not there: %s", name, folder)
            continue
        try:
            folder.parent.mkdir(mode=0o700, exist_ok=True)
            if not folder.exists():
                folder.mkdir()
                folder.chmod(0o755)
        except OSError as exc:
            raise UnusableDataFolder(f"The agent folder {folder} cannot be made: {exc.strerror}.") from exc


def _person(config: Config) -> Sender:
    name = config.terminal.name
    if name is None:
        try:
            name = getpass.getuser()
        except (OSError, KeyError):
            name = "you"
    return Sender(str(os.getuid()), name)
