"""What there is in the fake Slack: people, places, messages, files, sessions of agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["channel", "private", "im", "mpim"]
TOLD_AS: Mapping[Kind, str] = {"channel": "channel", "private": "group", "im": "im", "mpim": "mpim"}
"""The `channel_type` of an event."""


@dataclass(eq=False, repr=False)
class User:
    """Somebody, or something, with an id. A bot has a second one."""

    id: str
    name: str
    team: str
    is_bot: bool = False
    bot_id: str = ""
    is_deleted: bool = False

    @property
    def mention(self) -> str:
        """As it stands in a text."""
        return f"<@{self.id}>"

    def told(self) -> dict[str, Any]:
        """A User object."""
        return {
            "id": self.id,
            "team_id": self.team,
            "name": self.name.lower(),
            "deleted": self.is_deleted,
            "real_name": self.name,
            "is_bot": self.is_bot,
            "profile": {"real_name": self.name, "display_name": self.name},
        }


@dataclass(eq=False, repr=False)
class File:
    """Something that was uploaded."""

    id: str
    name: str
    media_type: str
    data: bytes
    user: User
    url: str
    promised: int | None = None
    mode: str = "hosted"
    access: str = "visible"
    shares: list[Message] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """A File object."""
        if self.access != "visible":
            return {"id": self.id, "mode": self.mode, "file_access": self.access, "user": self.user.id}
        by_kind: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for each in self.shares:
            kind = "public" if each.place.kind == "channel" else "private"
            share = {"ts": each.ts} | ({"thread_ts": each.thread.ts} if each.thread else {})
            by_kind.setdefault(kind, {}).setdefault(each.place.id, []).append(share)
        return {
            "id": self.id,
            "name": self.name,
            "title": self.name,
            "mimetype": self.media_type,
            "filetype": self.name.rpartition(".")[2],
            "size": len(self.data) if self.promised is None else self.promised,
            "user": self.user.id,
            "mode": self.mode,
            "file_access": "visible",
            "url_private": self.url,
            "url_private_download": f"{self.url}/download",
            "shares": by_kind,
        }


@dataclass(eq=False, repr=False)
class Message:
    """What stands in a place, or in a thread of it. `edits` has when it was changed, in epoch milliseconds, and how it
    read then; `streaming` says that it is being written."""

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
    appended_at: int = 0
    unfurls: bool = False
    only_for: User | None = None
    is_gone: bool = False
    nonce: str = ""

    @property
    def shown(self) -> str:
        """What somebody reads."""
        return shown(self.blocks) or self.text

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
        body["user"] = self.user.id
        if self.user.is_bot:
            body |= {"bot_id": self.user.bot_id, "app_id": f"A{self.user.bot_id[1:]}"}
            body["bot_profile"] = {"id": self.user.bot_id, "name": self.user.name}
        if self.subtype:
            body["subtype"] = self.subtype
        if self.blocks:
            body["blocks"] = self.blocks
        if self.files:
            body["files"] = [each.told() for each in self.files]
        if self.attachments:
            body["attachments"] = self.attachments
        if self.thread is not None:
            body |= {"thread_ts": self.thread.ts, "parent_user_id": self.thread.user.id}
        elif self.replies:
            body |= {
                "thread_ts": self.ts,
                "reply_count": len(self.replies),
                "latest_reply": self.replies[-1].ts,
            }
        if self.edited:
            body["edited"] = {"user": self.user.id, "ts": self.edited}
        if self.reactions:
            body["reactions"] = [
                {"name": name, "users": [each.id for each in users], "count": len(users)}
                for name, users in self.reactions.items()
            ]
        if self.metadata is not None and metadata:
            body["metadata"] = self.metadata
        return body


@dataclass(eq=False, repr=False)
class Place:
    """A channel, or a conversation of a few. Who is not in it does not hear of it."""

    id: str
    name: str
    kind: Kind
    members: list[User] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    ephemeral: list[Message] = field(default_factory=list)
    is_archived: bool = False
    is_gone: bool = False

    def join(self, *users: User) -> None:
        """These are in it from now on."""
        self.members += [each for each in users if each not in self.members]

    @property
    def texts(self) -> list[str]:
        """What stands in it, outside of threads."""
        return [each.shown for each in self.messages]

    def all(self) -> list[Message]:
        """With all that stands in threads, in the order in which it was said."""
        every = [each for root in self.messages for each in (root, *root.replies)]
        return sorted(every, key=lambda each: each.ts)

    def find(self, ts: str) -> Message | None:
        """The message with this ts."""
        return next((each for each in self.all() if each.ts == ts), None)

    def told(self) -> dict[str, Any]:
        """A Channel object."""
        return {
            "id": self.id,
            "name": self.name,
            "is_channel": self.kind == "channel",
            "is_group": self.kind == "private",
            "is_im": self.kind == "im",
            "is_mpim": self.kind == "mpim",
            "is_private": self.kind != "channel",
            "is_archived": self.is_archived,
            "is_member": any(each.is_bot for each in self.members),
        }


@dataclass
class Session:
    """An agent's session: its states in their order, and what it is called."""

    states: list[str] = field(default_factory=list)
    title: str = ""
    initiator: str = ""

    @property
    def status(self) -> str:
        """The state that it is in."""
        return self.states[-1] if self.states else ""


def shown(blocks: Sequence[Mapping[str, Any]]) -> str:
    """What stands in blocks, as somebody reads it; a table has a line for each row."""
    return "\n".join(text for text in map(_read, blocks) if text)


def _read(block: Mapping[str, Any]) -> str:
    match block.get("type"):
        case "markdown":
            return str(block["text"])
        case "section":
            texts = [block["text"]] if block.get("text") else []
            return "\n".join(str(each["text"]) for each in [*texts, *block.get("fields", ())])
        case "header":
            return str(block["text"]["text"])
        case "context":
            return " ".join(str(each.get("text", "")) for each in block.get("elements", ()))
        case "table":
            return "\n".join(" | ".join(str(cell.get("text", "")) for cell in row) for row in block["rows"])
        case _:
            return ""


def pressable(blocks: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """What can be pressed or chosen: its label, its element, and what is chosen of it (nothing of a button)."""
    found: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []
    for block in blocks:
        elements = block.get("elements", ()) if block.get("type") == "actions" else ()
        accessory = block.get("accessory")
        for element in [*elements, *([accessory] if accessory else [])]:
            if element.get("type") == "button":
                found.append((str(element["text"]["text"]), element, {}))
            found += [(str(each["text"]["text"]), element, each) for each in element.get("options", ())]
    return found
