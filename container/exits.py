"""Hears from the engine which containers have ended, in a thread that follows its events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import requests
from docker.errors import DockerException

from container.base import BackendError
from container.engine import Engine

FIRST_WAIT_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 2.0

Told = Callable[[str, str, dict[str, str]], None]
"""Called with what has happened (die, oom), the id of the container, and what is known of it."""


class Exits:
    """Follows the events of the containers that have `label`. `connected` is called whenever it can hear from now on:
    what happened before has to be looked for."""

    def __init__(self, engine: Engine, label: str, told: Told, connected: Callable[[], None]) -> None:
        self._engine = engine
        self._filters = {"type": "container", "event": ["die", "oom"], "label": label}
        self._told = told
        self._connected = connected
        self._loop = asyncio.get_running_loop()
        self._over = threading.Event()
        self._stream: Any = None
        self._thread = threading.Thread(target=self._follow, name="docker events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Hears nothing any more. Does not wait for the thread."""
        self._over.set()
        if self._stream is not None:
            with suppress(OSError, AttributeError, requests.RequestException):
                self._stream.close()

    def _follow(self) -> None:
        wait = FIRST_WAIT_SECONDS
        while not self._over.is_set():
            with suppress(BackendError, DockerException, requests.RequestException, OSError, ValueError):
                self._listen()
                wait = FIRST_WAIT_SECONDS
            self._over.wait(wait)
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    def _listen(self) -> None:
        """Until the engine ends it. Raises whatever docker-py does."""
        client = self._engine.client(seconds=None)
        try:
            self._stream = client.events(decode=True, filters=self._filters)
            self._call(self._connected)
            for event in self._stream:
                actor = event.get("Actor", {})
                self._call(
                    self._told, event.get("Action", ""), actor.get("ID", ""), actor.get("Attributes", {})
                )
        finally:
            client.close()

    def _call(self, callback: Callable[..., None], *args: Any) -> None:
        with suppress(RuntimeError):  # the loop may have been closed before this thread was
            self._loop.call_soon_threadsafe(callback, *args)
