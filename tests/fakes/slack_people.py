"""What people do in the fake Slack, by the client that they have: at once, and told to the app where it listens.

What Slack's client would not let them do raises CannotDo.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.slack_interactions import Given, Interactions
from tests.fakes.slack_reading import escaped, rich_text
from tests.fakes.slack_refusals import CannotDo
from tests.fakes.slack_things import Message, Place, User
from tests.fakes.slack_world import World

Attached = tuple[str, bytes, str]
"""A file's name, its bytes and its media type."""


@dataclass(eq=False, repr=False)
class Person(User):
    """Somebody who uses Slack."""

    world: World = field(kw_only=True)
    interactions: Interactions = field(kw_only=True)

    def say(
        self,
        place: Place,
        text: str = "",
        *,
        thread: Message | None = None,
        files: Sequence[Attached] = (),
        mention: Sequence[User] = (),
        promised: int | None = None,
        access: str | None = None,
        broadcast: bool = False,
        raw: bool = False,
        **more: Any,
    ) -> Message:
        """Says something, in a thread where one is named; a `broadcast` stands in the place as well. Mentions are put
        before the text, which is escaped as Slack's client does it unless it is `raw`. Of a file the size that is told
        can be `promised`; `more` is set on the message as it is."""
        self._may_post(place)
        written = " ".join([*(each.mention for each in mention), text if raw else escaped(text)]).strip()
        root = thread.root if thread is not None else None
        message = Message(place, self.world.ts(), self, written, thread=root)
        message.is_broadcast = broadcast and root is not None
        message.nonce = str(uuid.UUID(int=int(message.ts.replace(".", ""))))
        if written and not self.is_bot:
            message.blocks = [rich_text(written, f"r{message.ts[-6:]}")]
        if files:
            message.subtype = "file_share"
            message.files = [
                self.world.store(self, name, data, kind, self.interactions.base) for name, data, kind in files
            ]
            for each in message.files:
                each.promised = promised
                foreign = self.team != self.world.team or place.is_shared
                each.access = access or ("check_file_info" if foreign else "visible")
        for name, value in more.items():
            setattr(message, name, value)
        return self.world.post(message)

    def edit(self, message: Message, text: str) -> None:
        """Puts another text in place of one of their own messages."""
        self._owns(message)
        before = message.told()
        message.text = escaped(text)
        message.blocks = [rich_text(message.text, f"r{message.ts[-6:]}")]
        self.world.rewrite(message, before)

    def delete(self, message: Message) -> None:
        """Takes one of their messages away."""
        self._owns(message)
        self.world.remove(message)

    def react(self, message: Message, name: str) -> None:
        """Puts an emoji on a message, by its name."""
        self._may_see(message.place)
        if self in message.reactions.get(name, ()):
            raise CannotDo("They have put it there already.")
        self.world.react(message, self, name, on=True)

    def unreact(self, message: Message, name: str) -> None:
        """Takes their emoji away."""
        if self not in message.reactions.get(name, ()):
            raise CannotDo("They have not put it there.")
        self.world.react(message, self, name, on=False)

    def sees(self, place: Place, *, thread: Message | None = None) -> list[Message]:
        """What they read in a place, or in a thread of it, with what only they see."""
        if self not in place.members:
            return []
        there = place.messages if thread is None else [thread, *thread.replies]
        own = [each for each in place.ephemeral if each.only_for is self and each.thread is thread]
        return sorted([*there, *own], key=lambda each: each.ts)

    def command(self, text: str, place: Place, *, command: str = "/roost") -> Given:
        """Gives a slash command in a channel."""
        return self.interactions.command(self, place, command, text)

    def click(self, message: Message, label: str) -> Given:
        """Presses a button, or chooses an option of a menu, by what stands on it."""
        return self.interactions.press(self, message, label)

    def choose(self, message: Message, *labels: str) -> Given:
        """Chooses options of a menu, by what stands on them: several, where it takes several."""
        return self.interactions.press(self, message, *labels)

    def click_home(self, label: str) -> Given:
        """Presses a button in the app's Home tab."""
        return self.interactions.press_home(self, label)

    def fill(self, given: Given, texts: str | Mapping[str, str]) -> Given:
        """Fills in the form that something has opened, and sends it off: its first field, or each by its label."""
        return self.interactions.submit(self, given, texts)

    def type(self, given: Given, field: str, typed: str, texts: Mapping[str, str] | None = None) -> Given:
        """Types into a field that offers something; the other fields hold `texts`."""
        return self.interactions.type(self, given, field, typed, texts)

    def close(self, given: Given) -> Given | None:
        """Closes the form that something has opened; what the app was told of it."""
        return self.interactions.close(self, given)

    def shortcut(self, message: Message, callback_id: str = "ask_roost") -> Given:
        """Chooses a shortcut in the menu of a message."""
        return self.interactions.shortcut(self, message, callback_id)

    def stop(self, thread: Message) -> None:
        """Presses the stop button that is shown while an agent works."""
        place, root = thread.place, thread.thread or thread
        session = self.world.sessions.get((place.id, root.ts))
        if session is None or session.status != "processing":
            raise CannotDo("Nothing can be stopped here.")
        streams = [each for each in (root, *root.replies) if each.streaming]
        for each in streams:
            each.streaming, each.stopped = False, True
        body = {
            "type": "agent_session_stopped",
            "channel": place.id,
            "thread_ts": root.ts,
            "user": self.id,
            "streaming_message_ts": [each.ts for each in streams],
            "event_ts": self.world.ts(),
        }
        self.world.tell(body, place, None, "agent_session_stopped")
        self.world.changed()

    def open_home(self) -> None:
        """Opens the app's Home tab."""
        self._open("home")

    def open_messages(self) -> None:
        """Opens the conversation with the app."""
        self._open("messages")

    def _open(self, tab: str) -> None:
        place = self.world.direct(self)
        body: dict[str, Any] = {"type": "app_home_opened", "user": self.id, "channel": place.id, "tab": tab}
        body["event_ts"] = self.world.ts()
        if tab == "home" and self.id in self.world.homes:
            body["view"] = self.world.homes[self.id]
        self.world.tell(body, None, None, "app_home_opened")

    def _may_see(self, place: Place) -> None:
        if self not in place.members:
            raise CannotDo(f"{self.name} is not in {place.name}.")

    def _may_post(self, place: Place) -> None:
        self._may_see(place)
        if place.is_archived or place.is_read_only:
            raise CannotDo(f"Nobody may post in {place.name}.")

    def _owns(self, message: Message) -> None:
        if message.user is not self:
            raise CannotDo("That is somebody else's.")
