"""How the fake Slack says no."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """Raised for an answer that is not ok: `error` is Slack's own name, `more` what else the answer has."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.more = more


class CannotDo(Exception):
    """Raised for what Slack's client would not let somebody do."""
