"""What a service does once before it lets the platforms in: it takes on what an earlier one has left."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final

from adapters.terminal import TerminalAdapter
from agent.protocol import failpoint
from agent.protocol.settings import PROVIDERS, SANDBOX_FREE_PROVIDERS
from bot import log, outgoing, surfaces
from bot.config_tables import AgentConfig
from bot.containers import Containers
from bot.db import audit, people, problems, questions
from bot.db.audit import SERVICE
from bot.db.engine import Database
from bot.errors import ServiceCrashed
from bot.metrics import Metrics
from bot.presence import Presence
from bot.sessions import Sessions
from bot.vault.base import Vault, VaultError
from container.base import BackendError, BackendUnavailable

ADOPTED_AT_ONCE: Final = 16
ASKED_AT_MOST: Final = 5
"""How often an engine is asked at the start that does not answer; each time it may take ten seconds."""
AGAIN_SECONDS: Final = 2.0
KEY_SECONDS: Final = 10.0
UNOWNED: Final = "Nobody owns the bot on {channel} yet: it belongs to whoever first types {claim} there."

_log = log.get("roost.starting")


async def take_over(sessions: Sessions, containers: Containers) -> None:
    """Takes on what runs, or ran, for an earlier service. Raises ServiceCrashed, DatabaseError."""
    awake = await _awake(containers)
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


async def _awake(containers: Containers) -> Mapping[str, Mapping[str, str] | None]:
    """Who is awake, though the engine may be slow at first, as it is when the machine has just been started. Raises
    ServiceCrashed, DatabaseError."""
    asked = 0
    while True:
        asked += 1
        try:
            return await containers.awake()
        except BackendError as exc:
            if asked == ASKED_AT_MOST or not isinstance(exc, BackendUnavailable):
                raise ServiceCrashed("containers", str(exc)) from exc
            _log.error("containers cannot be taken over yet: %s", exc)
        await asyncio.sleep(AGAIN_SECONDS)


async def remind_of_questions(db: Database, presence: Presence, now: int) -> None:
    """What an earlier service has asked can still be answered, also where the channel has forgotten. Raises
    DatabaseError."""
    for asked, turn_id in await db.read(partial(questions.waiting, now=now)):
        presence.still_open(asked.session, outgoing.still_open(asked, turn_id))


async def tell_of_missing_keys(
    vault: Vault, agents: Mapping[str, AgentConfig], say: Callable[[str], None]
) -> None:
    """Whoever starts a service should not learn from the first person who writes that an agent has no key."""
    for name, agent in agents.items():
        if agent.provider not in PROVIDERS or agent.provider in SANDBOX_FREE_PROVIDERS:
            continue
        try:
            async with asyncio.timeout(KEY_SECONDS):
                await vault.ensure_identity(name)
        except VaultError as exc:
            say(f"The agent {name} can answer nobody yet: {exc}.")
        except TimeoutError:
            say(f"The agent {name} can answer nobody yet: the vault does not answer.")


async def recall_problems(db: Database, agents: Collection[str], metrics: Metrics) -> None:
    """What an agent has reported is still so until it works again. Raises DatabaseError."""
    await db.write(partial(problems.forget, agents=agents))
    for problem in await db.read(problems.listed):
        metrics.agent_problem.labels(problem.agent).set(1)


async def greet_owners(
    db: Database, channels: Collection[str], terminal_user: str, now: int, say: Callable[[str], None]
) -> None:
    """The terminal's user owns it. Elsewhere the first owner proves to read what this service says at its start.
    Raises DatabaseError."""
    await db.write(partial(_own, user_id=terminal_user, now=now))
    for channel in channels:
        if channel == TerminalAdapter.name or await db.read(partial(people.has_owner, channel=channel)):
            continue
        code = await db.write(partial(people.new_code, channel=channel, now=now))
        claim = surfaces.spelled(channel, f"claim {code}")
        # Where a chat has the terminal, the log is a file that nobody looks at who begins.
        say(UNOWNED.format(channel=channel, claim=claim))
        _log.warning("nobody owns the bot on %s yet: send it the command `%s`", channel, claim)


def _own(db: sqlite3.Connection, user_id: str, now: int) -> None:
    channel = TerminalAdapter.name
    before = people.role_of(db, channel, user_id)
    if before == "owner":
        return
    people.grant(db, channel, user_id, "owner", now=now)
    audit.record(
        db, SERVICE, "owner add", f"person:{channel}:{user_id}", now=now,
        before=None if before is None else {"role": before}, after={"role": "owner"},
    )  # fmt: skip
