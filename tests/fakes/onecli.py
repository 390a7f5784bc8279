"""A stand-in for OneCLI: the two calls of its API that Roost makes, answered as strictly as the real one does, and
a forward proxy's address that nobody serves.

`POST /api/agents` and `GET /api/container-config`, with the validation, the statuses and the shapes of its own source.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from aiohttp import web

KEY: Final = "oc_made-up-key-of-a-test"
IDENTIFIER: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")
PROXY: Final = "127.0.0.1:10255"
NEW_AUTHORITY: Final = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    *("-nodes", "-days", "2", "-subj", "/CN=made up"),
)

Trouble = Callable[[web.Request], web.StreamResponse]


@dataclass
class Asked:
    """What was called, and how often."""

    made: list[str] = field(default_factory=list)
    configs: list[str] = field(default_factory=list)


class OneCliServer:
    """Serves on loopback for the length of a block. `trouble` answers in its place."""

    def __init__(self, *, key: str = KEY) -> None:
        self.key = key
        self.agents: dict[str, str] = {}
        self.asked = Asked()
        self.requests: list[str] = []
        self.trouble: Trouble | None = None
        self.pause = asyncio.Event()
        """While it is cleared, what was decided is not answered."""
        self.pause.set()
        self.held = {"GET", "POST"}
        """The methods for which that counts."""
        self.waiting = asyncio.Event()
        """Somebody has asked while nothing is answered."""
        self.answered = asyncio.Condition()
        self.oauth = False
        self.answer: dict[str, Any] = {}
        """What stands in the container config in the place of its usual members; None leaves a member out."""
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it serves, or did."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> OneCliServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serves, the second time at the same port."""
        app = web.Application(middlewares=[self._guarded], client_max_size=64 * 1024)
        app.router.add_post("/api/agents", self._make)
        app.router.add_get("/api/container-config", self._config)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Nothing listens at its port any more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def until_asked(self, times: int) -> None:
        """Returns when so many requests were answered."""
        async with self.answered:
            await self.answered.wait_for(lambda: len(self.requests) >= times)

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Any) -> web.StreamResponse:
        response = await self._response(request, handler)
        if request.method in self.held and not self.pause.is_set():
            self.waiting.set()
            await self.pause.wait()
        self.requests.append(f"{request.method} {request.path}")
        async with self.answered:
            self.answered.notify_all()
        return response

    async def _response(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.trouble is not None:
            return self.trouble(request)
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        try:
            response: web.StreamResponse = await handler(request)
        except web.HTTPException as exc:
            return web.json_response({"error": exc.reason}, status=exc.status)
        return response

    async def _make(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except json.JSONDecodeError:
            return web.json_response({"error": "Invalid JSON"}, status=400)
        name, identifier = body.get("name"), body.get("identifier")
        if body.keys() != {"name", "identifier"} or not isinstance(name, str) or not 0 < len(name) <= 255:
            return web.json_response({"error": "Invalid body"}, status=400)
        if not isinstance(identifier, str) or not IDENTIFIER.fullmatch(identifier):
            return web.json_response({"error": "Invalid identifier"}, status=400)
        self.asked.made.append(identifier)
        if identifier in self.agents:
            return web.json_response({"error": "Identifier is taken"}, status=409)
        self.agents[identifier] = name
        return web.json_response({"id": f"id-{identifier}", **body}, status=201)

    async def _config(self, request: web.Request) -> web.Response:
        identifier = request.query.get("agent", "")
        self.asked.configs.append(identifier)
        if identifier not in self.agents:
            return web.json_response({"error": "none", "code": "AGENT_NOT_FOUND"}, status=404)
        proxy = self.proxy(identifier)
        key = "CLAUDE_CODE_OAUTH_TOKEN" if self.oauth else "ANTHROPIC_API_KEY"
        usual = {
            "env": {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "NODE_USE_ENV_PROXY": "1", key: "placeholder"},
            "caCertificate": certificate(),
            "caCertificateContainerPath": "/tmp/onecli-gateway-ca.pem",
        }
        said = {**usual, **self.answer}
        return web.json_response({name: value for name, value in said.items() if value is not None})

    def proxy(self, identifier: str) -> str:
        """Where an agent's requests go, with its password."""
        return f"http://x:token-of-{identifier}@{PROXY}"


@cache
def certificate() -> str:
    """A certificate authority in PEM form, made for this run."""
    with TemporaryDirectory() as folder:
        pem = Path(folder) / "ca.pem"
        subprocess.run(
            [*NEW_AUTHORITY, "-keyout", f"{folder}/key.pem", "-out", str(pem)],
            check=True,
            capture_output=True,
        )
        return pem.read_text()
