"""Files in the fake Slack, as messages and files.info tell of them (Slack's documentation, File object)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.slack_users import User

if TYPE_CHECKING:
    from tests.fakes.slack_things import Message


@dataclass(eq=False, repr=False)
class File:
    """Something that was uploaded. `promised` is the size that is told of it, where that is not the real one; one whose
    `access` is not "visible" is told in full by files.info alone."""

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
    title: str = ""
    created_at: int = 0
    is_uploaded: bool = True
    """Its bytes are there; those of an app come after its id."""

    def told(self, *, full: bool = False) -> dict[str, Any]:
        """A File object; `full` is that of files.info."""
        at = self.created_at // 1000
        body: dict[str, Any] = {"id": self.id, "created": at, "timestamp": at, "user": self.user.id}
        body["mode"] = self.mode
        if self.mode == "tombstone":
            return body
        if self.access != "visible" and not full:
            return body | {"file_access": self.access}
        ending = self.name.rpartition(".")[2].lower() if "." in self.name else "binary"
        return body | {
            "name": self.name,
            "title": self.title or self.name,
            "mimetype": self.media_type,
            "filetype": ending,
            "pretty_type": ending.upper(),
            "user_team": self.user.team,
            "editable": False,
            "size": len(self.data) if self.promised is None else self.promised,
            "is_external": self.mode == "external",
            "external_type": "",
            "is_public": any(each.place.kind == "channel" for each in self.shares),
            "public_url_shared": False,
            "display_as_bot": False,
            "username": "",
            "file_access": "visible",
            "url_private": self.url,
            "url_private_download": self._download,
            "permalink": f"https://lab.slack.com/files/{self.id}",
            "has_rich_preview": False,
            "shares": self._shares(),
        }

    @property
    def _download(self) -> str:
        folder, _, name = self.url.rpartition("/")
        return f"{folder}/download/{name}"

    def _shares(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        shares: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for each in self.shares:
            kind = "public" if each.place.kind == "channel" else "private"
            share = {"ts": each.ts, "channel_name": each.place.name, "team_id": each.user.team}
            share |= {"share_user_id": each.user.id, "source": "UNKNOWN"}
            share |= {"thread_ts": each.thread.ts} if each.thread else {}
            shares.setdefault(kind, {}).setdefault(each.place.id, []).append(share)
        return shares
