"""What was said while nobody listened to Slack, and cannot be taken in at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.base import Receipt
from adapters.slack.gaps import HEARD, MAX_TRIES, Gaps
from adapters.slack.intakes import NotTaken
from adapters.slack.timing import Timing
from agent.protocol.clock import now_ms
from tests.fakes.slack_server import SlackServer
from tests.service.slack_out import Out, out

QUICK = Timing(noted=0.01)
SECONDS = 10.0


@pytest.fixture
async def life() -> AsyncIterator[Out]:
    async with SlackServer() as slack:
        slack.world.listeners = []
        async with out(slack) as made:
            ada, general = slack.person("Ada"), slack.channel("general")
            general.join(ada)
            for text in ("one", "two", "three"):
                ada.say(general, text)
            await made.notes.put(HEARD, str(now_ms()))
            yield made


class Taking:
    """Takes messages in; of `text` so many tries fail."""

    def __init__(self, text: str, failures: int) -> None:
        self.taken: list[str] = []
        self.tries = 0
        self.news = asyncio.Event()
        self._text = text
        self._failures = failures

    async def take(self, message: Mapping[str, Any], _channel: str, _heard: bool) -> Receipt | None:
        """See Gaps."""
        text = str(message["text"])
        if text == self._text:
            self.tries += 1
            if self.tries <= self._failures:
                raise NotTaken("nothing can be saved now")
        if text in self.taken:
            return Receipt("duplicate")
        self.taken.append(text)
        if text == "three":
            self.news.set()
        return Receipt("accepted")


@asynccontextmanager
async def reading(life: Out, taking: Taking) -> AsyncIterator[Gaps]:
    """A gap is read, and what is left of it from time to time."""
    gaps = Gaps(life.web, taking.take, QUICK, clock=now_ms)
    await gaps.recall(life.notes)
    gaps.opened()
    await gaps.fill()
    keeping = asyncio.create_task(gaps.keep())
    try:
        yield gaps
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_a_message_that_cannot_be_taken_in_is_read_again_before_what_follows_it(life: Out) -> None:
    taking = Taking("two", failures=2)
    async with reading(life, taking), asyncio.timeout(SECONDS):
        await taking.news.wait()
    assert taking.taken == ["one", "two", "three"]


async def test_a_message_that_can_never_be_taken_in_does_not_keep_back_what_follows_it(life: Out) -> None:
    taking = Taking("two", failures=MAX_TRIES)
    async with reading(life, taking), asyncio.timeout(SECONDS):
        await taking.news.wait()
    assert taking.taken == ["one", "three"] and taking.tries == MAX_TRIES
