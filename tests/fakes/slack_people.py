"""What people do in the fake Slack, by the client that they have: at once, and told to the app where it listens.

What Slack's client would not let them do raises CannotDo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.slack_interactions import Given, Interactions
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
        access: str = "visible",
        **more: Any,
    ) -> Message:
        """Says something, in a thread where one is named. Mentions are put before the text. Of a file the size that is
        told can be `promised`; `more` is set on the message as it is."""
        if self not in place.members:
            raise CannotDo(f"{self.name} is not in {place.name}.")
        if place.is_archived:
            raise CannotDo(f"{place.name} is archived.")
        named = " ".join(each.mention for each in mention)
        root = thread.thread or thread if thread is not None else None
        message = Message(place, self.world.ts(), self, f"{named} {text}".strip(), thread=root)
        if files:
            message.subtype = "file_share"
            message.files = [
                self.world.store(self, name, data, kind, self.interactions.base) for name, data, kind in files
            ]
            for each in message.files:
                each.promised, each.access = promised, access
        for name, value in more.items():
            setattr(message, name, value)
        return self.world.post(message)

    def edit(self, message: Message, text: str) -> None:
        """Puts another text in place of one of their own messages."""
        self._owns(message)
        before = message.told()
        message.text = text
        self.world.rewrite(message, before)

    def delete(self, message: Message) -> None:
        """Takes one of their messages away."""
        self._owns(message)
        self.world.remove(message)

    def react(self, message: Message, name: str) -> None:
        """Puts an emoji on a message, by its name."""
        self.world.react(message, self, name, on=True)

    def unreact(self, message: Message, name: str) -> None:
        """Takes their emoji away."""
        self.world.react(message, self, name, on=False)

    def command(self, text: str, place: Place, *, command: str = "/roost") -> Given:
        """Gives a slash command in a channel."""
        return self.interactions.command(self, place, command, text)

    def click(self, message: Message, label: str) -> Given:
        """Presses a button, or chooses an option of a menu, by what stands on it."""
        return self.interactions.press(self, message, label)

    def fill(self, given: Given, text: str) -> Given:
        """Fills in the form that something has opened, and sends it off."""
        return self.interactions.submit(self, given.view, text)

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
            each.streaming = False
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
        body = {
            "type": "app_home_opened",
            "user": self.id,
            "channel": self.world.direct(self).id,
            "tab": tab,
            "event_ts": self.world.ts(),
        }
        self.world.tell(body, None, None, "app_home_opened")

    def _owns(self, message: Message) -> None:
        if message.user is not self:
            raise CannotDo("That is somebody else's.")
