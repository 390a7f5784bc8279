"""What keeps the channel adapters from working, by their own word: the newest sentence of each, and since when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from adapters.terminal.text import plain
from agent.protocol.clock import Clock
from bot import log
from bot.metrics import Metrics
from bot.redaction import redact

SHOWN_CHARS: Final = 300

_log = log.get("roost.troubles")


@dataclass(frozen=True)
class Trouble:
    """A channel adapter does not work since `since`, in epoch milliseconds; `text` is one line for the operator."""

    channel: str
    text: str
    since: int


class Troubles:
    """One for each channel at most. An adapter that says the same again and again is heard once."""

    def __init__(self, channels: Iterable[str], *, metrics: Metrics, clock: Clock) -> None:
        self._found: dict[str, Trouble] = {}
        self._metrics = metrics
        self._clock = clock
        for channel in channels:
            metrics.channel_trouble.labels(channel).set(0)

    def note(self, channel: str, text: str | None) -> None:
        """What keeps it from working now; None: it works."""
        before = self._found.get(channel)
        if text is None:
            if before is not None:
                del self._found[channel]
                _log.info("%s works again", channel)
        else:
            now = (
                replace(before, text=_line(text)) if before else Trouble(channel, _line(text), self._clock())
            )
            if now != before:
                self._found[channel] = now
                _log.error("%s does not work: %s", channel, now.text)
        self._metrics.channel_trouble.labels(channel).set(channel in self._found)

    def listed(self) -> list[Trouble]:
        """All of them, the oldest first."""
        return sorted(self._found.values(), key=lambda each: (each.since, each.channel))


def _line(text: str) -> str:
    # Redacted before it is cut: half a secret has no known shape.
    line = " ".join(redact(plain(text)).split())
    return line if len(line) <= SHOWN_CHARS else line[: SHOWN_CHARS - 1] + "…"
