"""What tests of troubles with Slack have in common."""

from __future__ import annotations

import asyncio

from bot import control_client
from tests.fakes.platform import TIMEOUT_SECONDS
from tests.service.conftest import LOOK_SECONDS
from tests.service.slack_town import Town


async def until_told(town: Town, sentence: str | None) -> None:
    """Returns when `roost status` says that of Slack, or nothing at all. Raises AssertionError."""
    texts: list[str] = []
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                answer = await control_client.ask(town.house.data / "control.sock", ["status"], None)
                texts = [each["text"] for each in answer.data["troubles"]]
                if any(sentence in each for each in texts) if sentence else not texts:
                    return
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise AssertionError(f"told is {texts}, and not {sentence!r}") from None
