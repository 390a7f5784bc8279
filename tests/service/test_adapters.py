"""The three channels, held to one contract: the terminal's seats, Discord over its wire, Slack over its own."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Adapter, Outgoing
from adapters.terminal import wire
from adapters.terminal.seat import Seat
from agent.protocol.messages import Route
from tests.contracts.adapter_contract import EVERYTHING, AdapterContract, Rig
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message as DiscordMessage
from tests.fakes.discord_things import Place as DiscordPlace
from tests.fakes.discord_values import Kind as DiscordKind
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message as SlackMessage
from tests.service import slack_town, town
from tests.service.conftest import House

SECONDS = 15.0
CALLS = re.compile(r"(?<!\\)<!?(?:@[UWB\d]|!(?:channel|here|everyone|subteam))[^>]*>")
"""What calls somebody in a text of Slack's."""


# -------------------------------------------------------------------- the terminal


@dataclass
class SeatTalk:
    """A conversation at the terminal, and all that was shown in it."""

    name: str
    seat: Seat | None = None
    frames: list[Any] = field(default_factory=list)
    asked: wire.Question | None = None
    working: bool = False


class TerminalRig:
    """A person at this machine; who may sit here may do everything."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._talks: list[SeatTalk] = []
        self._numbers = itertools.count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._main: SeatTalk | None = None
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self.house.open():
            for talk in self._talks:
                self._sit(talk)
            yield
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tasks.clear()

    def _sit(self, talk: SeatTalk) -> None:
        talk.seat = self.house.app.terminal.sit(talk.name)
        self._tasks.append(asyncio.create_task(self._look(talk, talk.seat)))

    async def _look(self, talk: SeatTalk, seat: Seat) -> None:
        async for frame in seat:
            talk.frames.append(frame)
            if isinstance(frame, wire.Shown) and frame.question is not None and not frame.question.card:
                talk.asked = frame.question
            if isinstance(frame, wire.Working):
                talk.working = frame.on
            self._changed.set()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(SECONDS):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def _do(self, talk: SeatTalk, frame: wire.ClientFrame) -> wire.Receipt:
        assert talk.seat is not None
        await talk.seat.handle(frame)

        def told() -> wire.Receipt | None:
            return next((e for e in talk.frames if isinstance(e, wire.Receipt) and e.id == frame.id), None)

        await self.until(told)
        receipt = told()
        assert receipt is not None
        return receipt

    async def ask(self, text: str, *, files: Sequence[tuple[str, bytes]] = ()) -> SeatTalk:
        talk = SeatTalk(f"talk{next(self._numbers)}")
        self._talks.append(talk)
        self._sit(talk)
        attached = [wire.File(name=name, data=data) for name, data in files]
        await self._do(talk, wire.Say(id=f"say{next(self._numbers)}", text=text, files=attached))
        return talk

    async def follow(self, talk: SeatTalk, text: str) -> None:
        await self._do(talk, wire.Say(id=f"say{next(self._numbers)}", text=text))

    def said(self, talk: SeatTalk) -> list[str]:
        return [each.text for each in _shown(talk) if each.question is None and each.text]

    def files(self, talk: SeatTalk) -> list[tuple[str, bytes]]:
        paths = [Path(each) for shown in _shown(talk) for each in shown.files]
        return [(each.name, each.read_bytes()) for each in paths]

    def grown(self, talk: SeatTalk) -> list[str]:
        text, grown = "", []
        for frame in talk.frames:
            if isinstance(frame, wire.Live):
                text = text[: frame.offset] + frame.text
                grown.append(text)
        return grown

    def works(self, talk: SeatTalk) -> bool:
        return talk.working

    def options(self, talk: SeatTalk) -> list[str]:
        return [] if talk.asked is None else talk.asked.options

    async def choose(self, talk: SeatTalk, label: str) -> None:
        await self.follow(talk, label)
        talk.asked = None

    async def command(self, talk: SeatTalk, words: str) -> str:
        receipt = await self._do(talk, wire.Command(id=f"say{next(self._numbers)}", name=words))
        return receipt.text or ""

    async def edit(self, talk: Any, text: str) -> None:
        raise NotImplementedError

    async def delete(self, talk: Any) -> None:
        raise NotImplementedError

    async def react(self, talk: Any, emoji: str) -> None:
        raise NotImplementedError

    async def redeliver(self) -> None:
        raise NotImplementedError

    def calls(self, talk: SeatTalk) -> list[str]:
        return []

    async def overhear(self, *texts: str) -> Any:
        raise NotImplementedError

    def route(self, talk: SeatTalk) -> Route:
        return Route(channel="terminal", platform_id=talk.name)

    def buttons(self, talk: SeatTalk) -> list[str]:
        # What scrolled by says so until something else took its place.
        last = next((each for each in reversed(_shown(talk)) if each.notice), None)
        return [] if last is None or last.question is None else last.question.options

    async def press(self, talk: SeatTalk, label: str) -> str:
        receipt = await self._do(talk, wire.Say(id=f"say{next(self._numbers)}", text=label))
        return receipt.text or ""

    async def grant(self, talk: SeatTalk) -> list[str]:
        given = wire.Command(
            id=f"say{next(self._numbers)}", name="role", arguments={"text": "grant 77 member"}
        )
        receipt = await self._do(talk, given)
        return [] if receipt.ask is None else receipt.ask.options

    async def undo(self, talk: SeatTalk, label: str) -> tuple[str, list[str]]:
        receipt = await self._do(talk, wire.Say(id=f"say{next(self._numbers)}", text=label))
        return receipt.text or "", [] if receipt.ask is None else receipt.ask.options

    @property
    def directly(self) -> Route:
        self._main = self._main or self._begun("local")
        return Route(channel="terminal", platform_id=f"@{self.house.app.terminal.person.id}")

    def _begun(self, name: str) -> SeatTalk:
        talk = SeatTalk(name)
        self._talks.append(talk)
        self._sit(talk)
        return talk

    def told(self) -> list[str]:
        shown = [] if self._main is None else _shown(self._main)
        asked = [each.question for each in shown]
        return [
            text
            for each, question in zip(shown, asked, strict=True)
            for text in ([each.text] if question is None else [question.question, *question.options])
        ]

    async def send(self, outgoing: Outgoing) -> None:
        for part in self.house.app.terminal.render(outgoing):
            await self.house.app.terminal.send(part)

    def footer(self, talk: SeatTalk) -> str:
        return _shown(talk)[-1].footer or ""


def _shown(talk: SeatTalk) -> list[wire.Shown]:
    return [each for each in talk.frames if isinstance(each, wire.Shown)]


# -------------------------------------------------------------------- Discord


class DiscordRig:
    """Ada, who owns the bot, in a channel of a server."""

    _adapter: Adapter
    _offered: DiscordMessage

    def __init__(self, lived_in: town.Town) -> None:
        self.town = lived_in
        self.house = lived_in.house

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self.town.open() as self._adapter:
            yield

    async def until(self, holds: Callable[[], object]) -> None:
        await self.town.until(holds)

    async def ask(self, text: str, *, files: Sequence[tuple[str, bytes]] = ()) -> DiscordMessage:
        attached = [(name, data, None) for name, data in files]
        message = self.town.ada.say(self.town.general, text, mention=[self.town.discord.bot], files=attached)
        await self.town.thread_of(message)
        return message

    def _thread(self, talk: DiscordMessage) -> DiscordPlace:
        assert talk.thread is not None
        return talk.thread

    def _mine(self, talk: DiscordMessage) -> list[DiscordMessage]:
        bot = self.town.discord.bot
        return [each for each in self._thread(talk).messages if each.author is bot and not each.is_deleted]

    async def follow(self, talk: DiscordMessage, text: str) -> None:
        self.town.ada.say(self._thread(talk), text)

    def said(self, talk: DiscordMessage) -> list[str]:
        return [each.text for each in self._mine(talk) if each.text and not each.components]

    def files(self, talk: DiscordMessage) -> list[tuple[str, bytes]]:
        return [(file.name, file.data) for each in self._mine(talk) for file in each.attachments]

    def grown(self, talk: DiscordMessage) -> list[str]:
        return [text for each in self._mine(talk) for _, text in each.edits]

    def works(self, talk: DiscordMessage) -> bool:
        return bool(self._thread(talk).typing)

    def options(self, talk: DiscordMessage) -> list[str]:
        rows = [row for each in self._mine(talk) for row in each.components]
        return [each["label"] for row in rows for each in row["components"]]

    async def choose(self, talk: DiscordMessage, label: str) -> None:
        asked = next(each for each in self._mine(talk) if each.components)
        self.town.ada.click(asked, label)

    async def command(self, talk: DiscordMessage, words: str) -> str:
        name = words if " " in words else f"roost {words}"
        shown = await self.town.ada.command(name, self._thread(talk)).answer()
        assert shown.ephemeral
        return str(shown.text)

    async def edit(self, talk: DiscordMessage, text: str) -> None:
        self.town.ada.edit(talk, f"{self.town.discord.bot.mention} {text}")

    async def delete(self, talk: DiscordMessage) -> None:
        self.town.ada.delete(talk)

    async def react(self, talk: DiscordMessage, emoji: str) -> None:
        self.town.ada.react(self._mine(talk)[-1], emoji)

    async def redeliver(self) -> None:
        told = [each for each in self.town.discord.hub.sessions[-1].events if each.event == "MESSAGE_CREATE"]
        assert told
        for each in told:
            self.town.discord.dispatch_raw(each.event, each.data)

    def calls(self, talk: DiscordMessage) -> list[str]:
        pings = [each.pings for each in self._mine(talk)]
        return [user.name for each in pings for user in each.users] + [
            "everyone" for each in pings if each.everyone
        ]

    async def overhear(self, *texts: str) -> DiscordMessage:
        ada, bob = self.town.ada, self.town.bob
        root = bob.say(self.town.general, texts[0])
        thread = ada.thread(self.town.general, "talk", root)
        for text in texts[1:]:
            bob.say(thread, text)
        ada.say(thread, "what now?", mention=[self.town.discord.bot])
        return root

    def route(self, talk: DiscordMessage) -> Route:
        return Route(channel="discord", platform_id=self.town.general.id, thread_id=self._thread(talk).id)

    def buttons(self, talk: DiscordMessage) -> list[str]:
        return self.options(talk)

    async def press(self, talk: DiscordMessage, label: str) -> str:
        asked = next(each for each in self._mine(talk) if each.components)
        shown = await self.town.ada.click(asked, label).answer()
        assert shown.ephemeral
        return str(shown.text)

    async def grant(self, talk: DiscordMessage) -> list[str]:
        given = self.town.ada.command("role grant", self._thread(talk), who=self.town.bob, role="member")
        shown = await given.answer()
        assert shown.ephemeral and shown.message is not None
        self._offered = shown.message
        return _labels(shown.components)

    async def undo(self, talk: DiscordMessage, label: str) -> tuple[str, list[str]]:
        shown = await self.town.ada.click(self._offered, label).answer()
        assert shown.message is self._offered
        return str(shown.text), _labels(shown.components)

    @property
    def directly(self) -> Route:
        return Route(channel="discord", platform_id=f"@{self.town.ada.id}")

    def told(self) -> list[str]:
        found = [each for each in self.town.discord.world.places.values() if each.kind is DiscordKind.DM]
        said = [message for each in found for message in each.messages if not message.is_deleted]
        return [text for each in said for text in (each.text, *_labels(each.components))]

    async def send(self, outgoing: Outgoing) -> None:
        for part in self._adapter.render(outgoing):
            await self._adapter.send(part)

    def footer(self, talk: DiscordMessage) -> str:
        *_, last = self.said(talk)[-1].splitlines()
        assert last.startswith("-# ")
        return last


def _labels(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(each["label"]) for row in rows for each in row["components"]]


# -------------------------------------------------------------------- Slack


class SlackRig:
    """Ada, who owns the bot, in a channel of a workspace."""

    _adapter: Adapter

    def __init__(self, lived_in: slack_town.Town) -> None:
        self.town = lived_in
        self.house = lived_in.house

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self.town.open() as self._adapter:
            yield

    async def until(self, holds: Callable[[], object]) -> None:
        await self.town.until(holds)

    async def ask(self, text: str, *, files: Sequence[tuple[str, bytes]] = ()) -> SlackMessage:
        return self.town.ask(text, files=[(name, data, "application/octet-stream") for name, data in files])

    def _mine(self, talk: SlackMessage) -> list[SlackMessage]:
        return [each for each in talk.replies if each.user is self.town.slack.bot]

    async def follow(self, talk: SlackMessage, text: str) -> None:
        self.town.ada.say(self.town.general, text, thread=talk)

    def said(self, talk: SlackMessage) -> list[str]:
        return [
            each.shown for each in self._mine(talk) if each.shown and not each.labels and not each.streaming
        ]

    def files(self, talk: SlackMessage) -> list[tuple[str, bytes]]:
        return [(file.name, file.data) for each in self._mine(talk) for file in each.files]

    def grown(self, talk: SlackMessage) -> list[str]:
        return [text for each in self._mine(talk) for _, text in each.edits]

    def works(self, talk: SlackMessage) -> bool:
        return self.town.slack.session(talk).status == "processing"

    def options(self, talk: SlackMessage) -> list[str]:
        return [label for each in self._mine(talk) for label in each.labels]

    async def choose(self, talk: SlackMessage, label: str) -> None:
        self.town.ada.click(next(each for each in self._mine(talk) if each.labels), label)

    async def command(self, talk: SlackMessage, words: str) -> str:
        # A slash command does not work in a thread, but the words do.
        before = len(self.town.general.ephemeral)
        self.town.ada.say(self.town.general, f"!{words}", thread=talk)
        await self.until(lambda: len(self.town.general.ephemeral) > before)
        told = self.town.general.ephemeral[-1]
        assert told.only_for is self.town.ada
        return told.shown

    async def edit(self, talk: SlackMessage, text: str) -> None:
        self.town.ada.edit(talk, f"{self.town.slack.bot.mention} {text}")

    async def delete(self, talk: SlackMessage) -> None:
        self.town.ada.delete(talk)

    async def react(self, talk: SlackMessage, emoji: str) -> None:
        self.town.ada.react(self._mine(talk)[-1], "thumbsup")

    async def redeliver(self) -> None:
        for envelope in list(self.town.slack.hub.envelopes):
            self.town.slack.hub.again(envelope)

    def calls(self, talk: SlackMessage) -> list[str]:
        texts = [text for each in self._mine(talk) for text in (each.text, each.shown)]
        return [found for text in texts for found in CALLS.findall(text)]

    async def overhear(self, *texts: str) -> SlackMessage:
        root = self.town.bob.say(self.town.general, texts[0])
        for text in texts[1:]:
            self.town.bob.say(self.town.general, text, thread=root)
        self.town.ada.say(self.town.general, "what now?", thread=root, mention=[self.town.slack.bot])
        return root

    def route(self, talk: SlackMessage) -> Route:
        return Route(channel="slack", platform_id=self.town.general.id, thread_id=talk.ts)

    def buttons(self, talk: SlackMessage) -> list[str]:
        return self.options(talk)

    async def press(self, talk: SlackMessage, label: str) -> str:
        asked = next(each for each in self._mine(talk) if each.labels)
        before = len(self.town.general.ephemeral)
        self.town.ada.click(asked, label)
        await self.until(lambda: len(self.town.general.ephemeral) > before)
        told = self.town.general.ephemeral[-1]
        assert told.only_for is self.town.ada
        return told.shown

    async def grant(self, talk: SlackMessage) -> list[str]:
        before = len(self.town.general.ephemeral)
        self.town.ada.say(self.town.general, f"!role grant {self.town.bob.mention} member", thread=talk)
        await self.until(lambda: len(self.town.general.ephemeral) > before)
        return list(self.town.general.ephemeral[-1].labels)

    async def undo(self, talk: SlackMessage, label: str) -> tuple[str, list[str]]:
        offered = self.town.general.ephemeral[-1]
        before = offered.shown
        self.town.ada.click(offered, label)
        await self.until(lambda: offered.shown != before)
        return offered.shown, list(offered.labels)

    @property
    def directly(self) -> Route:
        return Route(channel="slack", platform_id=f"@{self.town.ada.id}")

    def told(self) -> list[str]:
        found = [each for each in self.town.slack.world.places.values() if each.id.startswith("D")]
        said = [message for each in found for message in each.messages]
        return [text for each in said for text in (each.shown, *each.labels)]

    async def send(self, outgoing: Outgoing) -> None:
        for part in self._adapter.render(outgoing):
            await self._adapter.send(part)

    def footer(self, talk: SlackMessage) -> str:
        return self._mine(talk)[-1].shown


# -------------------------------------------------------------------- the contract


class TestTerminal(AdapterContract):
    can = frozenset({"conversations", "grows"})

    @pytest.fixture
    def rig(self, house: House) -> Rig:
        return TerminalRig(house)


class TestDiscord(AdapterContract):
    can = EVERYTHING

    @pytest.fixture
    async def rig(self, house: House) -> AsyncIterator[Rig]:
        async with DiscordServer() as discord:
            yield DiscordRig(town.Town(house, discord))


class TestSlackBySockets(AdapterContract):
    can = EVERYTHING

    @pytest.fixture
    async def rig(self, house: House) -> AsyncIterator[Rig]:
        async with SlackServer() as slack:
            yield SlackRig(slack_town.Town(house, slack))
