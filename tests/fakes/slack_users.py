"""Those who have an account in the fake Slack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(eq=False, repr=False)
class User:
    """Somebody, or something, with an id. A bot has a second one. `team` is their own workspace."""

    id: str
    name: str
    team: str
    is_bot: bool = False
    bot_id: str = ""
    is_deleted: bool = False
    app: str = ""
    """The id of a bot's app, where it has to be a certain one."""

    @property
    def mention(self) -> str:
        """As it stands in a text."""
        return f"<@{self.id}>"

    @property
    def app_id(self) -> str:
        """The app whose bot it is."""
        return self.app or (f"A{self.bot_id[1:]}" if self.bot_id else "")

    @property
    def profile(self) -> dict[str, Any]:
        """A bot, as its messages have it."""
        return {
            "id": self.bot_id,
            "app_id": self.app_id,
            "name": self.name,
            "icons": {},
            "deleted": self.is_deleted,
            "updated": 1_700_000_000,
            "team_id": self.team,
        }

    def told(self) -> dict[str, Any]:
        """A User object."""
        return {
            "id": self.id,
            "team_id": self.team,
            "name": self.name.lower(),
            "deleted": self.is_deleted,
            "real_name": self.name,
            "tz": "Europe/London",
            "profile": {"real_name": self.name, "display_name": self.name, "team": self.team},
            "is_admin": False,
            "is_owner": False,
            "is_restricted": False,
            "is_ultra_restricted": False,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "updated": 1_700_000_000,
        }

    def __repr__(self) -> str:
        return f"<{self.name}>"
