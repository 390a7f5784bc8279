"""A fake Slack on 127.0.0.1: the Web API, Socket Mode and signed HTTP, for the real slack-bolt and for raw clients.

async with SlackServer() as slack:
    general = slack.channel("general")
    ada = slack.person("Ada")
    general.join(ada)
    ...                                         # an app connects to slack.api_url
    ada.say(general, "hello", mention=[slack.bot])
    await slack.until(lambda: general.messages[0].replies)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from adapters.slack.methods import scopes as all_scopes
from agent.protocol.clock import Clock, now_ms
from tests.fakes.changes import News
from tests.fakes.slack_api import Api, Fault, How, Request
from tests.fakes.slack_faults import Faults
from tests.fakes.slack_files import Files
from tests.fakes.slack_groups import UserGroup
from tests.fakes.slack_http import Push
from tests.fakes.slack_interactions import Given, Interactions, Triggers
from tests.fakes.slack_later import Later
from tests.fakes.slack_methods_agents import AGENT_VIEW, ASSISTANT
from tests.fakes.slack_methods_streams import STREAMING
from tests.fakes.slack_people import Person
from tests.fakes.slack_rules import Limits, Strictness
from tests.fakes.slack_sockets import ACK_SECONDS, Hub
from tests.fakes.slack_things import File, Message, Place, Session, User
from tests.fakes.slack_webhooks import Webhook
from tests.fakes.slack_world import World

LARGEST_BODY_BYTES: Final = 1 << 30


class SlackServer:
    """Serves for the length of a block. `clock` is the time of everything in the world, in epoch milliseconds; the rate
    limits count on a steady one. Without `agent_view`, `assistant` or `streaming` the workspace has no such methods."""

    def __init__(
        self,
        *,
        clock: Clock = now_ms,
        limits: Strictness = "slack",
        agent_view: bool = True,
        assistant: bool = True,
        streaming: bool = True,
        scopes: Iterable[str] | None = None,
        ack_seconds: float = ACK_SECONDS,
    ) -> None:
        self.requests: list[Request] = []
        self._news = News()
        self.world = World(clock, self._news, all_scopes() if scopes is None else scopes)
        self.world.has_agent_view, self.world.has_assistant = agent_view, assistant
        self.world.triggers = Triggers(self.world)
        self.interactions = Interactions(self.world)
        self.later = Later()
        self.hub = Hub(self._news.tell, ack_seconds=ack_seconds, later=self.later)
        self.hub.app_id = self.world.app_id
        self.signing_secret = "8f742231b10e8888abcd99yyyzzz85a5"[:20] + "0123456789ab"
        self.push = Push(self.signing_secret, clock, self._news.tell, later=self.later)
        self._limits = Limits(limits)
        self.faults = Faults()
        self._api = Api(self.world, self._limits, self._remember, self.faults)
        self._api.connect = self.hub.open
        self._files = Files(self.world, self.faults, self._api.takes)
        for there, methods in ((agent_view, AGENT_VIEW), (assistant, ASSISTANT), (streaming, STREAMING)):
            self._api.missing |= set() if there else methods
        self._runner: web.AppRunner | None = None
        self.api_url = ""

    # ---------------------------------------------------------------- life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self, *, port: int = 0) -> None:
        """Opens the port, one that is free for 0."""
        app = web.Application(client_max_size=LARGEST_BODY_BYTES)
        app.router.add_route("*", "/api/{method}", self._api.handle)
        app.router.add_get("/link", self.hub.handle)
        app.router.add_post("/actions/{id}", self.interactions.answer)
        app.router.add_post("/upload/v1/{id}", self._files.upload)
        app.router.add_get("/files-pri/{id}/{name:.*}", self._files.download)
        app.router.add_get("/login", self._files.login)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        address = f"127.0.0.1:{self._runner.addresses[0][1]}"
        self.api_url = self._api.base = f"http://{address}/api/"
        self.hub.url = f"ws://{address}/link"
        self.interactions.base = f"http://{address}/"
        self.by_sockets()

    async def stop(self) -> None:
        """Cuts every connection and closes the port."""
        await self.world.stop()
        await self.push.stop()
        await self.hub.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def by_sockets(self) -> None:
        """The app hears by Socket Mode."""
        self.world.listeners = [self.hub.event]
        self.interactions.deliver = self._by_socket

    def by_http(self, url: str) -> None:
        """The app hears by signed requests to this address."""
        self.push.url = url
        self.world.listeners = [self.push.event]
        self.interactions.deliver = self.push.deliver

    async def pass_time(self, seconds: float) -> None:
        """So much later: what nobody has taken is delivered again, where it is due by then."""
        await self.later.pass_time(seconds)

    def _by_socket(self, kind: str, body: dict[str, Any], given: Given) -> None:
        self.hub.deliver(kind, body, given)

    # ---------------------------------------------------------------- what there is

    @property
    def bot(self) -> User:
        """The app's bot."""
        return self.world.bot

    @property
    def bot_token(self) -> str:
        """The bot's token."""
        return self._api.bot_token

    @property
    def app_token(self) -> str:
        """The app's token, for Socket Mode."""
        return self._api.app_token

    @property
    def team(self) -> str:
        """The id of the workspace."""
        return self.world.team

    @property
    def app_id(self) -> str:
        """The id of the app."""
        return self.world.app_id

    @property
    def sessions(self) -> dict[tuple[str, str], Session]:
        """Agents' sessions, by the ids of a place and of a thread in it."""
        return self.world.sessions

    @property
    def statuses(self) -> dict[tuple[str, str], list[str]]:
        """Of each thread what assistant.threads.setStatus has said there."""
        return self.world.statuses

    @property
    def prompts(self) -> dict[str, list[dict[str, Any]]]:
        """What is suggested in each place."""
        return self.world.prompts

    @property
    def homes(self) -> dict[str, dict[str, Any]]:
        """The Home tab of each user."""
        return self.world.homes

    @property
    def files(self) -> dict[str, File]:
        """All files."""
        return self.world.files

    @property
    def limited(self) -> list[Request]:
        """Every call that was answered by 429."""
        return [each for each in self.requests if each.status == 429]

    def called(self, method: str) -> list[Request]:
        """Every call of a method."""
        return [each for each in self.requests if each.method == method]

    def session(self, thread: Any) -> Session:
        """The agent's session in the thread that begins with a message."""
        return self.world.sessions.get((thread.place.id, thread.ts), Session())

    def channel(self, name: str, *, private: bool = False, bot: bool = True, shared: bool = False) -> Place:
        """Makes a channel, with the bot in it or without; one that is `shared` is so with another workspace."""
        members = [self.bot] if bot else []
        return self.world.add_place(name, "private" if private else "channel", members, shared=shared)

    def person(self, name: str, *, bot: bool = False, team: str | None = None) -> Person:
        """Makes somebody who uses Slack; another bot as well, or somebody of another workspace."""
        person = Person(
            self.world.id("U"),
            name,
            team or self.world.team,
            bot,
            self.world.id("B") if bot else "",
            world=self.world,
            interactions=self.interactions,
        )
        self.world.users[person.id] = person
        return person

    def usergroup(self, handle: str, *users: User) -> UserGroup:
        """Makes a user group with these in it, and tells the app so."""
        group = UserGroup(self.world, self.world.id("S"), handle, list(users))
        self.world.groups[group.id] = group
        group.tell_made()
        return group

    def webhook(self, name: str) -> Webhook:
        """Makes something outside that posts in places, and is no user."""
        return Webhook(self.world, User("", name, self.world.team, True, self.world.id("B")))

    def dm(self, person: User) -> Place:
        """The direct messages of somebody with the bot."""
        return self.world.direct(person)

    def group_dm(self, *people: User) -> Place:
        """A conversation of several people and the bot."""
        name = "mpdm-" + "--".join(each.name.lower() for each in (*people, self.bot)) + "-1"
        return self.world.add_place(name, "mpim", [*people, self.bot])

    # ---------------------------------------------------------------- what a test asks, and does

    async def until(self, holds: Callable[[], object], seconds: float = 10.0) -> None:
        """Returns when `holds` does; it is asked at every change. Raises TimeoutError."""
        await self._news.until(holds, seconds)

    def fail(self, method: str, how: How = "error", error: str = "internal_error", **more: Any) -> Fault:
        """Lets the next calls of a method go wrong; see `slack_faults.Fault`."""
        return self.faults.order(Fault(method, how, error, **more))

    def refuse(self, error: str, *methods: str) -> None:
        """These methods answer by this error from now on; "": they do not."""
        for each in methods:
            self._api.refused.pop(each, None)
            if error:
                self._api.refused[each] = error

    def unfurl(self, message: Message) -> None:
        """Slack shows what is behind a link of a message: it has changed, and nobody has touched its text."""
        before = message.told()
        message.attachments = [
            {"id": 1, "fallback": "A page", "from_url": "https://example.com/", "text": "A page"}
        ]
        self.world.tell_change(message, before)
        self.world.changed()

    def deny(self, error: str) -> None:
        """Every token is refused by this error from now on; "": none."""
        self._api.denied = error

    def revoke(self) -> None:
        """The workspace takes the app's right away, and says so."""
        self.world.tell(
            {
                "type": "tokens_revoked",
                "event_ts": self.world.ts(),
                "tokens": {"oauth": [], "bot": [self.bot.id]},
            },
            None,
            None,
            "tokens_revoked",
        )
        self.deny("token_revoked")

    def uninstall(self) -> None:
        """The app is removed from the workspace, and hears so."""
        self.world.tell(
            {"type": "app_uninstalled", "event_ts": self.world.ts()}, None, None, "app_uninstalled"
        )
        self.deny("account_inactive")

    def _remember(self, request: Request) -> None:
        self.requests.append(request)
        self._news.tell()
