from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from adapters.base import Said
from agent.protocol.messages import MAX_BEFORE, Quote
from bot import beforehand
from bot.beforehand import MAX_CHARS, MAX_QUOTE_CHARS, bounded
from tests.unit.test_redaction import SECRETS


def said(count: int, text: str = "word") -> list[Said]:
    return [Said("Bob", f"{number} {text}") for number in range(count)]


def test_what_was_said_keeps_its_order_and_its_names() -> None:
    assert bounded([Said("Bob", "It is down."), Said("Carol", " \n"), Said("", "Since when?")]) == [
        Quote(sender="Bob", text="It is down."),
        Quote(sender="somebody", text="Since when?"),
    ]
    assert bounded([]) == []


def test_of_a_long_thread_the_first_message_and_the_last_ones_are_kept() -> None:
    kept = [quote.text.split()[0] for quote in bounded(said(100))]
    assert kept == ["0", *map(str, range(100 - MAX_BEFORE + 1, 100))]


def test_there_is_room_for_so_many_characters() -> None:
    kept = bounded(said(20, "x" * 990))
    assert sum(len(each.sender) + len(each.text) for each in kept) <= MAX_CHARS
    assert [quote.text.split()[0] for quote in kept] == ["0", *map(str, range(9, 20))]
    (first, *_) = bounded(said(1, "x" * 100_000))
    assert len(first.text) == MAX_QUOTE_CHARS


@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_that_were_not_told_to_the_agent_are_struck_out(kind: str) -> None:
    _, secret = SECRETS[kind]
    at_the_end = "x" * (MAX_QUOTE_CHARS - 12) + f" {secret}"
    for quote in bounded([Said(f"Bob {secret}", f"the key is {secret}"), Said("Bob", at_the_end)]):
        assert secret not in quote.sender + quote.text and secret[:11] not in quote.text


def test_any_text_can_be_kept() -> None:
    (quote,) = bounded([Said("B\ud800\nb", "a\0b\udfff")])
    assert (quote.sender, quote.text) == ("B\ufffd b", "a\ufffdb\ufffd")


async def test_who_takes_too_long_or_fails_costs_the_context_alone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beforehand, "READ_SECONDS", 0.01)
    ended = asyncio.Event()

    async def hangs() -> Sequence[Said]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return []

    async def fails() -> Sequence[Said]:
        raise KeyError("ts")

    assert await beforehand.read(hangs, event_id="e1") == []
    assert ended.is_set() and "not read in time" in caplog.text
    assert await beforehand.read(fails, event_id="e2") == []
    assert "could not be read" in caplog.text and "KeyError" in caplog.text
