"""What goes out to Slack, over the wire to a fake one and without the service around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.base import Live, Manners, Outgoing, OutgoingFile
from adapters.slack import ids
from adapters.slack.asked import Asked, Asker
from adapters.slack.posting import Posting
from adapters.slack.render import drafts, parts
from adapters.slack.status import Status
from adapters.slack.streams import Streams
from adapters.slack.timing import Timing
from adapters.slack.web import Web
from agent.protocol.clock import now_ms
from agent.protocol.messages import Route
from tests.fakes.host import FakeNotes
from tests.fakes.slack_people import Person
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message, Place

QUICK: Final = Timing(first_text=0.01, append=0.01, edit=0.01, status_begins=0.0, status_again=0.2, call=2.0)


@dataclass
class Out:
    """One life of what sends. `notes` outlive it."""

    slack: SlackServer
    client: AsyncWebClient
    notes: FakeNotes
    asked: Asked = field(default_factory=Asked)
    manners: Manners = field(default_factory=Manners)
    timing: Timing = QUICK

    def __post_init__(self) -> None:
        self.web = Web()
        self.status = Status(self.web, self.asked, self.timing)
        self.streams = Streams(
            self.web,
            self.status,
            self.asked,
            self.timing,
            manners=lambda _: self.manners,
            clock=now_ms,
        )
        self.posting = Posting(self.web, self.streams, self.status, clock=now_ms)

    async def begin(self) -> None:
        """Logs in."""
        self.web.use(self.client)
        await self.web.call("auth.test")
        await self.streams.recall(self.notes)
        await self.status.recall(self.notes)

    async def end(self) -> None:
        """Ends as a service does that is stopped."""
        await self.status.close()
        await self.streams.close()

    def heard(self, message: Message) -> str:
        """Takes in what somebody asks; the id of its event."""
        event = ids.event_id(message.place.id, message.ts)
        self.asked.note(event, Asker(message.user.id, message.user.team))
        return event

    async def send(
        self, outgoing: Outgoing, *, since: int | None = None, first: int = 0
    ) -> Sequence[str | None]:
        """Sends all parts of a reply, or those from one on."""
        made = drafts(outgoing)
        sent: list[str | None] = []
        for part in parts(outgoing, made)[first:]:
            draft, *more = made[part.index :]
            last = draft.file is None and all(each.file is not None for each in more)
            sent.append(await self.posting.send(replace(part, since=since), draft, last=last))
        return sent


@asynccontextmanager
async def out(slack: SlackServer, notes: FakeNotes | None = None, **more: object) -> AsyncIterator[Out]:
    """A life of it that is logged in."""
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(slack.bot_token, slack.api_url, timeout=2, session=session, retry_handlers=[])
        life = Out(slack, client, FakeNotes() if notes is None else notes, **more)  # type: ignore[arg-type]
        await life.begin()
        try:
            yield life
        finally:
            await life.end()


@dataclass
class Talk:
    """Ada asks in a channel, and is answered in the thread of what she asked."""

    slack: SlackServer
    ada: Person
    general: Place
    question: Message

    @property
    def route(self) -> Route:
        """Where the answer goes."""
        return ids.route(self.general.id, self.question.ts)

    @property
    def event(self) -> str:
        """What she asked."""
        return ids.event_id(self.general.id, self.question.ts)

    def answer(
        self, text: str, *, out: str = "1", files: Sequence[OutgoingFile] = (), **more: object
    ) -> Outgoing:
        """The whole answer to it."""
        return Outgoing(
            out,
            self.route,
            text,
            files=files,
            answers=self.event,
            turn_id="turn",
            ends=(self.event,),
            session="s",
            **more,  # type: ignore[arg-type]
        )

    def live(self, text: str, *, turn_id: str = "turn") -> Live:
        """The answer so far."""
        return Live(self.route, turn_id, text, self.event)

    @property
    def replies(self) -> list[Message]:
        """What the bot says to it."""
        return self.question.replies


def talk(slack: SlackServer, text: str = "why?") -> Talk:
    """Ada has asked. The bot does not listen, it only sends."""
    slack.world.listeners = []
    ada, general = slack.person("Ada"), slack.channel("general")
    general.join(ada)
    return Talk(slack, ada, general, ada.say(general, text, mention=[slack.bot]))
