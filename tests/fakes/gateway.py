"""A gateway in a folder of its own, a vault that says what a test wants, and a client that writes bytes as they are."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from agent.protocol.clock import now_ms
from agent.protocol.messages import ChatIn, MessageIn, Route
from bot.budgets import Budgets
from bot.charges import Charges
from bot.config_gateway import GatewayConfig
from bot.config_money import BudgetConfig
from bot.config_tables import AgentConfig
from bot.db import inbox
from bot.db import sessions as rows
from bot.db.engine import Database, open_database
from bot.db.sessions import SessionRecord
from bot.gateway.addresses import forbidden
from bot.gateway.prices import Prices
from bot.gateway.service import SOCKET, Gateway
from bot.metrics import Metrics
from bot.services import running
from bot.sessions import Sessions
from bot.vault.base import Access

PATIENCE_SECONDS: Final = 10.0
KEY: Final = "sk-ant-the-real-key-of-the-vault"
LOOPBACK: Final = "127.0.0.1"


class FakeVault:
    """Implements bot.vault.base.Vault: gives `given`, or raises it."""

    def __init__(self, given: Access | Exception | None = None) -> None:
        self.given = given or Access({"x-api-key": KEY})
        self.asked: list[str] = []

    async def ensure_identity(self, agent: str) -> None: ...

    async def access(self, agent: str) -> Access:
        self.asked.append(agent)
        if isinstance(self.given, Exception):
            raise self.given
        return self.given

    async def aclose(self) -> None: ...


def but_loopback(address: str) -> str | None:
    """The policy of production, but for the address on which a test's servers listen."""
    return None if address == LOOPBACK else forbidden(address)


class Names:
    """A resolver: `known` says which addresses a name has; with several sets, each look-up takes the next one."""

    def __init__(self, **known: Sequence[str]) -> None:
        self.known: dict[str, list[Sequence[str]]] = {
            name.replace("_", "."): [each] for name, each in known.items()
        }
        self.asked: list[str] = []

    async def __call__(self, name: str, port: int) -> Sequence[str]:
        self.asked.append(name)
        found = self.known.get(name)
        if found is None:
            raise OSError(-2, "Name or service not known")
        return found.pop(0) if len(found) > 1 else found[0]


class House:
    """A gateway with the sessions s1 and s2 of the agent `assistant`, and o1 of the agent `other`. bot.db knows of
    those alone to whom something was said by `asked`."""

    budgets: Budgets
    sessions: Sessions

    def __init__(
        self, root: Path, gateway: Gateway, db: Database, metrics: Metrics, vault: FakeVault
    ) -> None:
        self.root = root
        self.gateway = gateway
        self.db = db
        self.metrics = metrics
        self.vault = vault

    def folder(self, session: str = "s1") -> Path:
        folder = self.root / session / "bell"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def open(self, session: str = "s1", agent: str = "assistant") -> None:
        await self.gateway.open(session, agent, self.folder(session))

    def token(self, session: str = "s1") -> str:
        return self.gateway.token(session)

    async def asked(self, person: str, *, session: str = "s1", agent: str = "assistant") -> MessageIn:
        """A person says something to a session, whose turn it begins."""

        def accept(db: sqlite3.Connection) -> tuple[SessionRecord, MessageIn]:
            route = Route(channel="fake", platform_id=f"place-{session}")
            db.execute(
                "INSERT OR IGNORE INTO sessions (id, agent, channel, platform_id, created_at, last_active)"
                " VALUES (?, ?, ?, ?, 0, 0)",
                (session, agent, route.channel, route.platform_id),
            )
            record = rows.find(db, agent, route)
            assert record is not None
            message_id = inbox.new_id()
            message = inbox.accept(
                db,
                record,
                message_id=message_id,
                event_id=message_id,
                kind="chat",
                content=ChatIn(sender=person, text="hello"),
                route=route,
                created_at=0,
                now=0,
                sender_id=person,
            )
            return record, message

        record, message = await self.db.write(accept)
        await self.sessions.get(session)
        self.sessions.accepted(record, message)
        return message

    def refusals(self) -> dict[str, float]:
        """How many there were, by reason."""
        name = "roost_gateway_refusals_total{reason="
        found = self.metrics.snapshot().items()
        return {key.removeprefix(name).strip('"}'): value for key, value in found if key.startswith(name)}

    async def connect(self, session: str = "s1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(str(self.folder(session) / SOCKET))

    async def raw(self, data: bytes, session: str = "s1") -> bytes:
        """Writes it as it is, and gives what is answered until the connection ends."""
        reader, writer = await self.connect(session)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                writer.write(data)
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def ask(
        self,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        session: str = "s1",
        target: str = "/v1/messages",
        token: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        method: str = "POST",
    ) -> Answer:
        """One request on a connection of its own."""
        shown = [("x-api-key", self.token(session) if token is None else token)]
        return Answer.parse(
            await self.raw(request(body, target=target, headers=[*shown, *headers], method=method), session)
        )

    async def tunnel(
        self, target: str, *, session: str = "s1", token: str | None = None, headers: str = ""
    ) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
        """Asks for a CONNECT and gives the head of the answer, and the connection."""
        reader, writer = await self.connect(session)
        shown = self.token(session) if token is None else token
        writer.write(
            f"CONNECT {target} HTTP/1.1\r\nProxy-Authorization: Bearer {shown}\r\n{headers}\r\n".encode()
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await reader.readuntil(b"\r\n\r\n"), reader, writer


class Answer:
    """An answer, taken apart."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @classmethod
    def parse(cls, data: bytes) -> Answer:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            body = _joined(body)
        return cls(int(first.split()[1]) if first else 0, headers, body)

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, kind and message of an error."""
        found = json.loads(self.body)
        assert found["type"] == "error", found
        return self.status, found["error"]["type"], found["error"]["message"]


def request(
    body: Mapping[str, Any] | bytes | None = None,
    *,
    target: str = "/v1/messages",
    headers: Sequence[tuple[str, str]] = (),
    method: str = "POST",
    close: bool = True,
) -> bytes:
    """A request as bytes."""
    if body is None:
        body = ask_for()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: 127.0.0.1:8080",
        *(f"{name}: {value}" for name, value in headers),
        *(["Connection: close"] if close else []),
        *([f"Content-Length: {len(data)}"] if method == "POST" else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + (data if method == "POST" else b"")


def ask_for(text: str = "hello", **more: Any) -> dict[str, Any]:
    """The body of a request."""
    return {
        "model": "claude-sonnet-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": text}],
        **more,
    }


@asynccontextmanager
async def gateway(
    root: Path,
    agent: Mapping[str, Any],
    *,
    other: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    vault: FakeVault | None = None,
    environ: Mapping[str, str] | None = None,
    budgets: Sequence[BudgetConfig] = (),
    **more: Any,
) -> AsyncIterator[House]:
    """`agent` are the settings of `assistant`; `more` goes to the Gateway."""
    root.mkdir(parents=True, exist_ok=True)
    db, metrics, vault = open_database(root / "bot.db"), Metrics(), vault or FakeVault()
    agents = {"assistant": AgentConfig.model_validate(dict(agent))}
    agents["other"] = AgentConfig.model_validate(dict(other or agent))
    clock = more.get("clock", now_ms)
    limits = Budgets(db, list(budgets), agents, metrics=metrics, clock=clock)
    sessions = Sessions(db, root / "sessions", root / "incoming", lambda _: (), boot_id="boot", clock=clock)
    try:
        service = Gateway(
            root,
            GatewayConfig.model_validate(dict(config or {})),
            agents,
            vault=vault,
            db=db,
            charges=charges(db, limits, sessions, metrics),
            metrics=metrics,
            environ=environ or {},
            **({"clock": now_ms, "policy": but_loopback} | more),
        )
        async with running(service):
            house = House(root, service, db, metrics, vault)
            house.budgets, house.sessions = limits, sessions
            await house.open("s1")
            await house.open("s2")
            await house.open("o1", "other")
            yield house
    finally:
        await sessions.close()
        await db.close()


def charges(db: Database, budgets: Budgets, sessions: Sessions, metrics: Metrics) -> Charges:
    """Of a gateway without a service around it."""
    return Charges(
        db,
        budgets,
        sessions,
        Prices({}),
        believes=lambda _: False,
        shows=lambda _: False,
        metrics=metrics,
    )


def _joined(body: bytes) -> bytes:
    pieces = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        if not size:
            break
        pieces += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return pieces
