"""What people see while a turn runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import Live, Settled
from agent.protocol.bell import LiveText
from bot.presence import MAX_RUN_CHARS, Presence, presentable
from bot.redaction import redact
from bot.services import running
from bot.session import Session
from tests.fakes.platform import FakePlatform
from tests.fakes.rooms import HOME, accept, room

SECRET = "ghp_" + "a1B2" * 10


def frame(turn_id: str, offset: int, text: str) -> LiveText:
    return LiveText(turn_id=turn_id, offset=offset, text=text)


def feed(presence: Presence, session: Session, turn_id: str, *texts: str) -> None:
    offset = 0
    for text in texts:
        presence.live(session, frame(turn_id, offset, text))
        offset += len(text)


def test_the_last_word_is_held_back() -> None:
    assert presentable("one two thr") == len("one two ")
    assert presentable("one") == 0
    assert presentable("x" * MAX_RUN_CHARS) == 0
    assert presentable("x" * (MAX_RUN_CHARS + 1)) == -1
    assert presentable("one two" + "x" * MAX_RUN_CHARS, 4) == -1
    assert presentable("今日は") == 3
    assert presentable("one two", 7) == 7


async def test_the_last_word_is_shown_before_something_else_is_said(tmp_path: Path) -> None:
    platform = FakePlatform()
    presence = Presence({"fake": platform})
    async with room(tmp_path) as session, running(presence):
        message = await accept(session, "one")
        feed(presence, session, message.id, "Let me ", "ask first.")
        await presence.catch_up(session)
        assert platform.live()[-1] == "Let me ask first."
        feed(presence, session, message.id, "Let me ", f"show {SECRET}")
        await presence.catch_up(session)
        assert platform.live()[-1] == "Let me show "


@given(st.lists(st.text(alphabet="ab \n", max_size=20), max_size=8), st.integers(1, 12))
def test_no_part_of_a_secret_is_ever_shown(words: list[str], step: int) -> None:
    text = "".join(words) + f" {SECRET} and more of it"
    shown = 0
    for end in range(0, len(text) + step, step):
        found = presentable(text[:end], shown)
        if found < 0:
            break
        shown = max(shown, found)
        assert redact(text[:shown]) == text[:shown] and "ghp" not in text[:shown]
    assert shown <= text.index(SECRET)


@pytest.mark.parametrize("step", [1, 7, 100, 4_096])
@pytest.mark.parametrize(
    "secret",
    [
        f"eyJ{'h' * 40}.eyJ{'p' * 900}.{'s' * 43}",
        f"sk-ant-\x1b[mapi03-{'A' * 30}",
        f"sk-ant-\u200bapi03-{'A' * 30}",
        "sk-ant-\u2064api03-" + "A\ufe0f" * 30,
        f"https://discord.com/api/webhooks/123456789012345678/{'w' * 68}",
        f"bearer \t {'b' * 3_000}",
    ],
)
def test_no_part_of_a_long_secret_is_shown(secret: str, step: int) -> None:
    text = f"here: {secret} done. " + "x " * 200
    shown = 0
    for end in range(0, len(text) + step, step):
        found = presentable(text[:end], shown)
        if found < 0:
            break
        shown = found
    assert shown <= text.index(secret) + len("bearer \t ")


async def test_live_text_belongs_to_a_message_that_is_being_answered(tmp_path: Path) -> None:
    platform = FakePlatform()
    presence = Presence({"fake": platform})
    async with room(tmp_path) as session, running(presence):
        message = await accept(session, "one")
        presence.live(session, frame("unknown", 0, "for nobody at all "))
        feed(presence, session, message.id, "Hello ", "there, ", "you")
        await platform.until(lambda: platform.live() == ["Hello there, "])
        # A gap, and with it the end of it; from the beginning it may come again.
        presence.live(session, frame(message.id, 500, "lost "))
        presence.live(session, frame(message.id, 16, " more "))
        feed(presence, session, message.id, "Anew ", "it ")
        await platform.until(lambda: platform.live()[-1:] == ["Anew it "])
        assert all(isinstance(u, Live) and u.turn_id == message.id for u in platform.updates)


async def test_the_end_of_a_turn_leaves_the_text_of_the_next_one(tmp_path: Path) -> None:
    platform = FakePlatform()
    presence = Presence({"fake": platform})
    async with room(tmp_path) as session, running(presence):
        one, two = await accept(session, "one"), await accept(session, "two")
        feed(presence, session, two.id, "The ", "second ")
        session.end(one, turn_id=one.id, ok=True)
        presence.settled(session, Settled(HOME, one.event_id, one.id, ok=True))
        presence.live(session, frame(two.id, len("The second "), "goes on "))
        await platform.until(lambda: platform.live()[-1:] == ["The second goes on "])


async def test_an_adapter_that_breaks_is_still_told_of_the_end(tmp_path: Path) -> None:
    class Breaking(FakePlatform):
        async def show(self, update: object) -> None:
            if isinstance(update, Settled):
                await super().show(update)
            else:
                raise ValueError("a fault")

    platform = Breaking()
    presence = Presence({"fake": platform})
    async with room(tmp_path) as session, running(presence):
        message = await accept(session, "one")
        presence.working(session, HOME, on=True)
        presence.settled(session, Settled(HOME, message.event_id, None, ok=True))
        await platform.ends(1)
