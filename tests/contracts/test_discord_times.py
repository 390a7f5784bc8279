"""What the fake Discord notes of when: the measurements rest on it."""

from __future__ import annotations

import time

import discord
import pytest

from tests.contracts.discord_rig import connected, serving


async def test_an_event_on_the_wire_and_the_call_that_answers_it_are_timed_by_one_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[float] = []

    async def answer(message: discord.Message) -> None:
        heard.append(time.monotonic())
        await message.channel.send("an answer")

    async with serving(limits="none") as rig, connected(rig, monkeypatch) as bot:
        bot.answer = answer
        began = time.monotonic()
        asked = rig.ada.say(rig.general, "a question")
        await rig.discord.until(lambda: len(rig.general.messages) == 2)
        ended = time.monotonic()
        (session,) = rig.discord.hub.sessions
        await rig.discord.until(lambda: len(session.written) == session.seq)
    told = next(each.seq for each in session.events if each.data.get("id") == asked.id)
    written = dict(session.written)
    assert list(written) == [each.seq for each in session.events]
    posted = next(each for each in rig.discord.requests if each.method == "POST")
    assert began <= written[told] <= heard[0] <= posted.received <= ended
