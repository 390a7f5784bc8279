"""Who has asked what: Slack wants to be told for whom an answer is streamed, and a reply knows only the event."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MAX_KEPT: Final = 10_000
"""More are forgotten, the oldest first: their answers come whole, or by edits."""


@dataclass(frozen=True)
class Asker:
    """The ids of a person and of their workspace, which in a shared channel may be another one."""

    user: str
    team: str


class Asked:
    """Of this service's life alone."""

    def __init__(self) -> None:
        self._askers: OrderedDict[str, Asker] = OrderedDict()

    def note(self, event: str, asker: Asker) -> None:
        """The event was this person's."""
        self._askers[event] = asker
        while len(self._askers) > MAX_KEPT:
            self._askers.popitem(last=False)

    def by(self, event: str | None) -> Asker | None:
        """Whose event it was, as far as is known."""
        return None if event is None else self._askers.get(event)
