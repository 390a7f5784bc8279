"""Heeded: the commands among messages that were run, which a message that is read again must not run again.

A message is an event with an id that the service knows; a command is not kept by it, and would be run once more when a
gap is read, or Slack delivers it to the next service.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

from adapters.base import Notes
from adapters.slack import ids

KEY: Final = f"{ids.NAME}:heeded"
MAX_KEPT: Final = 200


class Heeded:
    """The ids of the last MAX_KEPT, in the notes."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._lock = asyncio.Lock()

    async def first(self, event_id: str) -> bool:
        """Whether it was not run yet; from now on it counts as run. Raises NotSaved."""
        async with self._lock:
            kept = _read(await self._notes.get(KEY))
            if event_id in kept:
                return False
            await self._notes.put(KEY, json.dumps([*kept, event_id][-MAX_KEPT:]))
            return True


def _read(text: str | None) -> list[str]:
    try:
        kept = json.loads(text or "[]")
    except ValueError:
        return []
    return [each for each in kept if isinstance(each, str)] if isinstance(kept, list) else []
