"""What there is in the fake Slack: people, places, messages, sessions of agents. A test holds these as handles.

Texts are as Slack keeps them, with its three escapes in them; `shown` is what somebody reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tests.fakes.slack_attached import File
from tests.fakes.slack_reading import pressable, shown, unescaped
from tests.fakes.slack_users import User

if TYPE_CHECKING:
    from tests.fakes.slack_world import World

__all__ = ["TOLD_AS", "File", "Kind", "Message", "Place", "Session", "User", "pressable", "shown"]

Kind = Literal["channel", "private", "im", "mpim"]
TOLD_AS: Mapping[Kind, str] = {"channel": "channel", "private": "group", "im": "im", "mpim": "mpim"}
"""The `channel_type` of an event."""


@dataclass(eq=False, repr=False)
class Message:
    """What stands in a place, or in a thread of it. `edits` has when it was said and changed, in epoch milliseconds,
    and how it read then; `streaming` says that it is being written, `stopped` that a person has ended that."""

    place: Place
    ts: str
    user: User
    text: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    thread: Message | None = None
    files: list[File] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    subtype: str = ""
    edited: str = ""
    edits: list[tuple[int, str]] = field(default_factory=list)
    replies: list[Message] = field(default_factory=list)
    reactions: dict[str, list[User]] = field(default_factory=dict)
    streaming: bool = False
    stopped: bool = False
    started_at: int = 0
    appended_at: int = 0
    unfurls: bool = False
    only_for: User | None = None
    is_gone: bool = False
    is_broadcast: bool = False
    """A reply that stands in the place as well."""
    nonce: str = ""
    """What the client of a person has made up for it (`client_msg_id`)."""

    @property
    def channel(self) -> str:
        """The id of its place."""
        return self.place.id

    @property
    def root(self) -> Message:
        """What its thread begins with: itself, outside of one."""
        return self.thread or self

    @property
    def shown(self) -> str:
        """What somebody reads."""
        return shown(self.blocks) or unescaped(self.text)

    @property
    def reply_texts(self) -> list[str]:
        """What stands in the thread that begins with it."""
        return [each.shown for each in self.replies]

    @property
    def labels(self) -> list[str]:
        """What can be pressed or chosen under it."""
        return [label for label, _, _ in pressable(self.blocks)]

    def told(self, *, metadata: bool = False) -> dict[str, Any]:
        """A message as history and events have it."""
        body: dict[str, Any] = {"type": "message", "ts": self.ts, "text": self.text, "team": self.user.team}
        if not self.user.id:
            body |= {"username": self.user.name, "bot_id": self.user.bot_id}
        elif self.user.is_bot:
            body |= {"bot_id": self.user.bot_id, "app_id": self.user.app_id, "bot_profile": self.user.profile}
        if self.user.id:
            body["user"] = self.user.id
        if self.nonce:
            body["client_msg_id"] = self.nonce
        if self.subtype:
            body["subtype"] = self.subtype
        if self.blocks:
            body["blocks"] = self.blocks
        if self.files:
            body |= {"files": [each.told() for each in self.files], "upload": False, "display_as_bot": False}
        if self.attachments:
            body["attachments"] = self.attachments
        if self.edited:
            body["edited"] = {"user": self.user.id, "ts": self.edited}
        if self.reactions:
            body["reactions"] = [
                {"name": name, "users": [each.id for each in users], "count": len(users)}
                for name, users in self.reactions.items()
            ]
        if self.metadata is not None and metadata:
            body["metadata"] = self.metadata
        return body | self._of_thread()

    def _of_thread(self) -> dict[str, Any]:
        if self.thread is not None:
            told: dict[str, Any] = {"thread_ts": self.thread.ts, "parent_user_id": self.thread.user.id}
            return told | ({"root": self.thread.told()} if self.is_broadcast else {})
        if not self.replies:
            return {}
        users = list(dict.fromkeys(each.user.id for each in self.replies))
        return {
            "thread_ts": self.ts,
            "reply_count": len(self.replies),
            "reply_users": users[:5],
            "reply_users_count": len(users),
            "latest_reply": self.replies[-1].ts,
            "is_locked": False,
            "subscribed": False,
        }


@dataclass(eq=False, repr=False)
class Place:
    """A channel, or a conversation of a few. Who is not in it does not hear of it. `messages` stand outside of
    threads; in one that `is_read_only` nobody but admins may post, and one that `is_shared` is so with another
    workspace."""

    id: str
    name: str
    kind: Kind
    members: list[User] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    ephemeral: list[Message] = field(default_factory=list)
    is_archived: bool = False
    is_gone: bool = False
    is_read_only: bool = False
    is_shared: bool = False
    created_at: int = 0
    world: World | None = None
    known: dict[str, Message] = field(default_factory=dict)
    """All that stands in it, by its ts."""

    @property
    def archived(self) -> bool:
        """Nothing can be said there any more."""
        return self.is_archived

    @property
    def texts(self) -> list[str]:
        """What stands in it, outside of threads."""
        return [each.shown for each in self.messages]

    def all(self) -> list[Message]:
        """With all that stands in threads, in the order in which it was said."""
        return sorted(self.known.values(), key=lambda each: each.ts)

    def find(self, ts: str) -> Message | None:
        """The message with this ts."""
        return self.known.get(ts)

    def join(self, *users: User) -> None:
        """These are in it from now on."""
        for each in users:
            if each not in self.members:
                self.members.append(each)
                if self.world is not None:
                    self.world.tell_joined(self, each)

    def remove(self, *users: User) -> None:
        """These are in it no more."""
        for each in users:
            if each in self.members:
                self.members.remove(each)
                if self.world is not None:
                    self.world.tell_left(self, each)

    def archive(self) -> None:
        """Nothing can be said there any more."""
        self._archive(True)

    def unarchive(self) -> None:
        """It is open again."""
        self._archive(False)

    def rename(self, name: str) -> None:
        """It is called otherwise from now on."""
        self.name = name
        if self.world is not None:
            self.world.tell_renamed(self)

    def delete(self) -> None:
        """It is gone for good."""
        self.is_gone = True
        if self.world is not None:
            self.world.tell_deleted(self)

    def _archive(self, on: bool) -> None:
        self.is_archived = on
        if self.world is not None:
            self.world.tell_archived(self)

    def told(self) -> dict[str, Any]:
        """A Channel object, as the bot sees it."""
        if self.kind == "im":
            other = next((each for each in self.members if not each.is_bot), None)
            return {
                "id": self.id,
                "created": self.created_at // 1000,
                "is_im": True,
                "is_org_shared": False,
                "is_archived": False,
                "user": other.id if other is not None else "",
                "is_user_deleted": other is not None and other.is_deleted,
            }
        bot = self.world.bot if self.world is not None else None
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "created": self.created_at // 1000,
            "is_channel": self.kind in ("channel", "private"),
            "is_group": False,
            "is_im": False,
            "is_mpim": self.kind == "mpim",
            "is_private": self.kind != "channel",
            "is_archived": self.is_archived,
            "is_general": False,
            "is_shared": self.is_shared,
            "is_ext_shared": self.is_shared,
            "is_org_shared": False,
            "is_member": bot in self.members,
            "is_read_only": self.is_read_only,
            "num_members": len(self.members),
        }


@dataclass
class Session:
    """An agent's session: its states in their order, each with its time in epoch milliseconds, and what it is
    called."""

    states: list[str] = field(default_factory=list)
    title: str = ""
    initiator: str = ""
    titles: list[str] = field(default_factory=list)
    history: list[tuple[int, str]] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The state that it is in."""
        return self.states[-1] if self.states else ""
