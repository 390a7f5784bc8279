"""User groups in the fake Slack, and direct conversations that a bot opens (Slack's documentation, usergroups.list,
subteam_created, subteam_updated, subteam_members_changed, conversations.open)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from tests.fakes.slack_calls import Call, Methods
from tests.fakes.slack_refusals import Refused
from tests.fakes.slack_things import User
from tests.fakes.slack_world import World

SCOPE: Final = "usergroups:read"
TOLD_USERS: Final = 500
"""So many of a group an event names."""


@dataclass(eq=False)
class UserGroup:
    """A group of people who are mentioned together."""

    world: World
    id: str
    handle: str
    users: list[User] = field(default_factory=list)
    is_off: bool = False

    def told(self, *, users: bool) -> dict[str, Any]:
        """A usergroup object."""
        body: dict[str, Any] = {
            "id": self.id,
            "team_id": self.world.team,
            "is_usergroup": True,
            "is_subteam": True,
            "name": self.handle.title(),
            "handle": self.handle,
            "is_external": False,
            "date_create": 1_700_000_000,
            "date_update": self.world.clock() // 1000,
            "date_delete": 1_700_000_001 if self.is_off else 0,
            "user_count": len(self.users),
        }
        return body | ({"users": [each.id for each in self.users]} if users else {})

    def add(self, *users: User) -> None:
        """These are in it from now on."""
        new = [each for each in users if each not in self.users]
        self.users += new
        self._changed(new, [])

    def remove(self, *users: User) -> None:
        """These are in it no more."""
        gone = [each for each in users if each in self.users]
        self.users = [each for each in self.users if each not in gone]
        self._changed([], gone)

    def switch_off(self) -> None:
        """It is there no more."""
        self.is_off = True
        self._tell("subteam_updated")

    def tell_made(self) -> None:
        """It was just made."""
        self._tell("subteam_created")

    def _changed(self, new: list[User], gone: list[User]) -> None:
        body = {
            "type": "subteam_members_changed",
            "subteam_id": self.id,
            "team_id": self.world.team,
            "date_previous_update": 1_700_000_000,
            "date_update": self.world.clock() // 1000,
            "added_users": [each.id for each in new],
            "added_users_count": str(len(new)),
            "removed_users": [each.id for each in gone],
            "removed_users_count": str(len(gone)),
            "event_ts": self.world.ts(),
        }
        self.world.tell(body, None, SCOPE, "subteam_members_changed")
        self._tell("subteam_updated")

    def _tell(self, kind: str) -> None:
        told = self.told(users=True)
        told["users"] = told["users"][:TOLD_USERS]
        self.world.tell({"type": kind, "subteam": told, "event_ts": self.world.ts()}, None, SCOPE, kind)
        self.world.changed()


def list_groups(call: Call) -> dict[str, Any]:
    """usergroups.list."""
    if not call.world.has_groups:
        raise Refused("plan_upgrade_required")
    wants, off = call.flag("include_users"), call.flag("include_disabled")
    found = [each for each in call.world.groups.values() if off or not each.is_off]
    return {"usergroups": [each.told(users=wants) for each in found]}


def open_direct(call: Call) -> dict[str, Any]:
    """conversations.open, for one person."""
    wanted = call.text("users")
    if not wanted and not call.text("channel"):
        raise Refused("users_list_not_supplied")
    if "," in wanted:
        raise Refused("not_enough_users")
    user = call.world.users.get(wanted)
    if user is None:
        raise Refused("user_not_found")
    if user.is_bot:
        raise Refused("cannot_dm_bot")
    if user.is_deleted:
        raise Refused("user_disabled")
    there = {each.id for each in call.world.places.values()}
    place = call.world.direct(user)
    more = {} if place.id not in there else {"no_op": True, "already_open": True}
    return {"channel": {"id": place.id}, **more}


METHODS: Final[Methods] = {"usergroups.list": list_groups, "conversations.open": open_direct}
