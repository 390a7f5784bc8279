"""Removing what a container's user owns, where the service is another one and not root: a container does it."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from bot import log
from bot.removal import remove
from container.base import Backend, BackendError, Mount, Spec

THERE: Final = Path("/mnt/left")
"""Where the container sees what it is to remove."""
SECONDS: Final = 60.0
"""How long it may take; what is left then is met again by whoever removes next."""

_log = log.get("roost.clearing")


class Clearing:
    """Removes folders. Without an `image` nothing was ever another user's."""

    def __init__(self, backend: Backend, *, image: str | None, instance: str, logs: Path) -> None:
        self._backend = backend
        self._image = image
        self._instance = instance
        self._logs = logs

    async def remove(self, tree: Path) -> bool:
        """Removes the folder `tree` and all that is below it. Returns whether it is gone; what is left can be removed
        by another call."""
        if await asyncio.to_thread(remove, tree):
            return True
        if self._image is None or await asyncio.to_thread(tree.is_symlink):
            return False
        await asyncio.to_thread(_let_in, tree)
        try:
            async with asyncio.timeout(SECONDS):
                await self._empty(tree, self._image)
        except (BackendError, TimeoutError) as exc:
            _log.warning("what a container has left stays for now: %s", exc, folder=str(tree))
            return False
        return await asyncio.to_thread(remove, tree)

    async def _empty(self, tree: Path, image: str) -> None:
        """Raises BackendError."""
        name = f"roost-{self._instance}-remove-{secrets.token_hex(4)}"
        spec = Spec(
            name,
            ["remove", str(THERE)],
            env={},
            workdir=Path("/"),
            log=self._logs / "removal.log",
            image=image,
            mounts=[Mount(tree, THERE, writable=True)],
        )
        await self._backend.start(spec)
        try:
            await self._backend.wait(name)
        finally:
            await self._backend.stop(name, grace_seconds=0)


def _let_in(tree: Path) -> None:
    """The container's user may remove what lies at the top. Nobody else gets here: what holds the folders of
    sessions is the service's alone."""
    with suppress(OSError):
        tree.chmod(0o777)
