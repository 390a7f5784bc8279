"""The gateway as a part of the service: one socket for each session that is awake, and what they share.

It is a wall, and no convenience: whatever runs in a container can talk to its socket as it likes. Nothing that comes
out of one is believed, and the only secret that it holds, its token, is good for nothing but this one socket.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
import secrets
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.protocol.clock import Clock, now_ms
from bot import log
from bot.charges import Charges
from bot.config_gateway import GatewayConfig
from bot.config_tables import AgentConfig
from bot.db import inbox
from bot.db.engine import Database
from bot.errors import GatewayError
from bot.gateway.addresses import Policy, forbidden
from bot.gateway.caller import Caller, Rights
from bot.gateway.door import Door
from bot.gateway.granted import Egress
from bot.gateway.messages import Messages
from bot.gateway.proxies import Proxies
from bot.gateway.spend import Spend
from bot.gateway.tunnel import Tunnel
from bot.gateway.upstream import Resolve, Timeouts, Upstream
from bot.metrics import Metrics
from bot.vault.base import Vault

SOCKET: Final = "gateway.sock"
"""In a session's bell folder; the runner's forwarder connects to it."""
KEY_FILE: Final = "gateway.key"
"""In the data folder: what the tokens are made from."""
SECRET_BYTES: Final = 32
TOKEN_PREFIX: Final = "sk-ant-roost-"  # noqa: S105
"""Of the shape of a key, so that a token is struck out of logs and replies like one."""

_log = log.get("roost.gateway")


class Gateway:
    """Lets sessions out. `policy` and `resolve` are other ones only in tests. Raises GatewayError when its settings or
    the environment are of no use."""

    name = "gateway"

    def __init__(
        self,
        data: Path,
        config: GatewayConfig,
        agents: Mapping[str, AgentConfig],
        *,
        vault: Vault,
        db: Database,
        charges: Charges,
        metrics: Metrics,
        environ: Mapping[str, str],
        clock: Clock = now_ms,
        policy: Policy = forbidden,
        resolve: Resolve | None = None,
    ) -> None:
        self._secret = _secret(data / KEY_FILE)
        self._agents = agents
        self._all_usd = config.spend_day_usd
        self._metrics = metrics
        self._spend = Spend(db, clock)
        self._upstream = _upstream(config, environ, policy, resolve)
        self._messages = Messages(
            self._upstream,
            self._spend,
            charges,
            config.price_list,
            vault,
            metrics,
            chosen=lambda session: db.read(lambda db: inbox.model(db, session)),
        )
        self._tunnel = Tunnel(
            self._upstream, Egress(db, clock), metrics, idle_seconds=config.tunnel_idle_seconds
        )
        self._doors: dict[str, Door] = {}
        self._broken: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Until cancelled; then every socket is closed. Raises whatever has ended one that should be open."""
        try:
            raise await self._broken
        finally:
            await asyncio.gather(*(self.close(session) for session in list(self._doors)))
            await self._upstream.aclose()

    def token(self, session: str) -> str:
        """What the session shows at its socket, and nobody else: the same after a restart of the service."""
        digest = hmac.digest(self._secret, f"session {session}".encode(), "sha256")
        return TOKEN_PREFIX + base64.urlsafe_b64encode(digest).decode().rstrip("=")

    async def open(self, session: str, agent: str, folder: Path) -> None:
        """Listens in `folder`, the session's own; one that is open stays so. Raises GatewayError, DatabaseError."""
        settings = self._agents.get(agent)
        if settings is None:
            raise GatewayError(f"there is no agent {agent}")
        rights = Rights.of(settings, all_usd=self._all_usd)
        await self._spend.load()
        if session in self._doors:
            return
        caller = Caller(rights, self._metrics, session=session, agent=agent, token=self.token(session))
        door = Door(folder / SOCKET, caller, self._messages, self._tunnel)
        try:
            accepting = door.open()
        except OSError as exc:
            raise GatewayError(
                f"the gateway's socket in {folder} cannot be made: {exc.strerror or exc}"
            ) from exc
        accepting.add_done_callback(self._ended)
        self._doors[session] = door

    def renew(self, agent: str) -> None:
        """The agent's settings have changed: they hold for what its sessions ask for from now on. A tunnel to a host
        that it may not reach any more is cut."""
        settings = self._agents.get(agent)
        if settings is None:
            return
        rights = Rights.of(settings, all_usd=self._all_usd)
        for door in self._doors.values():
            if door.caller.agent == agent:
                door.caller.renew(rights)

    async def close(self, session: str) -> None:
        """Hangs up and takes the socket away. Absent is success."""
        door = self._doors.pop(session, None)
        if door is not None:
            await door.close()

    def _ended(self, accepting: asyncio.Task[None]) -> None:
        if not accepting.cancelled() and (exc := accepting.exception()) and not self._broken.done():
            self._broken.set_result(exc)


def _secret(path: Path) -> bytes:
    """Made on first use, for nobody else to read. Raises GatewayError."""
    try:
        try:
            secret = path.read_bytes()
        except FileNotFoundError:
            secret = secrets.token_bytes(SECRET_BYTES)
            # Whole or not at all: whoever is killed here must not leave one that stops the next service.
            begun = path.with_suffix(".new")
            begun.unlink(missing_ok=True)
            fd = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(secret)
                file.flush()
                os.fsync(file.fileno())
            begun.rename(path)
    except OSError as exc:
        raise GatewayError(f"{path} cannot be used: {exc.strerror}.") from exc
    if len(secret) != SECRET_BYTES:
        raise GatewayError(f"{path} is damaged: remove it, and start what runs in containers anew.")
    return secret


def _upstream(
    config: GatewayConfig, environ: Mapping[str, str], policy: Policy, resolve: Resolve | None
) -> Upstream:
    try:
        proxies = Proxies(environ)
    except ValueError as exc:
        raise GatewayError(f"The variable {exc}.") from exc
    try:
        return Upstream(
            proxies=proxies,
            ca_file=config.ca_file,
            policy=policy,
            resolve=resolve,
            timeouts=Timeouts(config.connect_seconds, config.answer_seconds),
        )
    except (OSError, ssl.SSLError) as exc:
        raise GatewayError(
            f"[gateway] ca_file {config.ca_file} cannot be read as certificates: {exc.strerror or exc}."
        ) from exc
