"""Slack as a round has it: the fake one, by Socket Mode, with a channel and threads in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from adapters.slack import ids
from adapters.slack.listening import PUT_DOWN
from adapters.slack.status import KEY as STATUS
from adapters.slack.streams import KEY as STREAM
from tests.crash.chat import DM, YES, Chat
from tests.crash.plan import Trick
from tests.crash.platform import Said
from tests.fakes.slack_forms import Given
from tests.fakes.slack_later import RETRY_SECONDS
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message

ACK_SECONDS: Final = 1.0
SLOW_SECONDS: Final = 0.8
"""Longer than the service waits before it puts an event down, and shorter than this Slack waits."""
WRONG: Final = frozenset({"invalid_arguments", "invalid_blocks", "missing_scope", "unknown_method"})
"""Errors that say that the adapter does not know what Slack takes."""


class Slack(Chat[Message]):
    """See Chat. Envelopes go to any connection."""

    name = ids.NAME

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.server = SlackServer(limits="none", ack_seconds=ACK_SECONDS)
        self.server.hub.shuffle(1)
        self.general = self.server.channel("general")
        self.ada = self.server.person("Ada")
        self.general.join(self.ada)
        self._roots: dict[str, Message] = {}
        self._given: dict[str, Given] = {}
        """The last answer to each question."""

    @property
    def connections(self) -> int:
        """See Chat."""
        return self.server.hub.opened

    @property
    def at_work(self) -> int:
        """See Chat. A session is in the state of it."""
        return sum(each.states.count("processing") for each in self.server.sessions.values())

    def address(self) -> Mapping[str, Any]:
        """See Chat."""
        return {name: getattr(self.server, name) for name in ("api_url", "bot_token", "app_token")}

    async def open(self) -> None:
        """See Chat."""
        await self.server.start()

    async def close(self) -> None:
        """See Chat."""
        await self.server.stop()

    async def play(self, trick: Trick) -> None:
        """Slack does what it may do at any time."""
        hub = self.server.hub
        match trick.how:
            case "again":
                for envelope in list(hub.envelopes):
                    if envelope.given is None:
                        hub.again(envelope)
                        await hub.twice(envelope)
            case "retry":
                await self.server.pass_time(RETRY_SECONDS[1])
            case "refresh":
                await hub.disconnect("refresh_requested")
            case "drop":
                hub.drop_all()
            case "plain":
                self.server.refuse("feature_not_enabled", "chat.startStream")
            case "slow":
                self.server.fail("download", "slow", seconds=SLOW_SECONDS)

    def known(self) -> tuple[str, Sequence[tuple[str, str]]]:
        """See Chat."""
        self.server.dm(self.ada)
        return self.ada.id, ()

    def post(self, event: Said) -> tuple[Message, str]:
        """See Chat. Where the beginning of a thread is gone, another one is begun."""
        place = self.server.dm(self.ada) if event.place == DM else self.general
        root = self._roots.get(event.place)
        if root is not None and root.is_gone:
            root = None
        files = [(name, text.encode(), "text/plain") for name, text in event.files]
        mention = [self.server.bot] if root is None and place is self.general else []
        message = self.ada.say(place, event.text, thread=root, mention=mention, files=files)
        self._roots[event.place] = root or message
        return message, ids.event_id(place.id, message.ts)

    def rewrite(self, message: Message, text: str) -> None:
        """See Chat."""
        named = f"{self.server.bot.mention} " if self.server.bot.mention in message.text else ""
        self.ada.edit(message, named + text)

    def take_away(self, message: Message) -> None:
        """See Chat."""
        self.ada.delete(message)

    def click(self, message: Message) -> None:
        """See Chat."""
        self._given[message.ts] = self.ada.click(message, YES)

    def went_wrong(self, message: Message) -> bool:
        """See Chat."""
        return self._given[message.ts].failed

    def standing(self) -> list[Message]:
        """See Chat."""
        bot = self.server.bot
        places = self.server.world.places.values()
        return sorted(
            (each for place in places for each in place.all() if each.user is bot), key=lambda each: each.ts
        )

    def is_gone(self, message: Message) -> bool:
        """See Chat."""
        return message.is_gone

    def stays(self, message: Message) -> bool:
        """See Chat. What a thread begins with does: without it there is no place for an answer."""
        return message.root is message

    def is_question(self, message: Message) -> bool:
        """See Chat."""
        return bool(message.labels)

    def part_id(self, message: Message) -> str:
        """See Chat."""
        return ids.part_id(message.place.id, message.ts)

    def text(self, message: Message) -> str:
        """See Chat."""
        return message.shown

    def files(self, message: Message) -> Sequence[tuple[str, bytes]]:
        """See Chat."""
        return [(each.name, each.data) for each in message.files]

    def where(self, message: Message) -> str:
        """See Chat."""
        return f"{message.place.id}/{message.root.ts}"

    def belongs(self, event: Said) -> str:
        """See Chat."""
        return self.where(self.messages[event.id])

    def left(self, notes: Mapping[str, str]) -> Iterator[str]:
        """See Chat."""
        for request in self.server.requests:
            if request.error in WRONG:
                yield f"the wire: {request.method} was refused by {request.error}"
        yield from (f"{key} is still noted" for key in notes if key.startswith((STREAM, STATUS, PUT_DOWN)))
        for message in self.standing():
            if message.streaming:
                yield f"{message.ts} still streams"
        for (channel, thread), session in self.server.sessions.items():
            if session.status not in ("", "active"):
                yield f"the session {channel}/{thread} is still {session.status}"
        for place in self.server.world.places.values():
            for message in place.all():
                if any(self.server.bot in users for users in message.reactions.values()):
                    yield f"an emoji is left on {message.ts}"
