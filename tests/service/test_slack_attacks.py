"""Attacks by people on Slack and by an agent that is not ours any more, over the wire. What each is after must not
happen, and Ada is answered all the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from adapters.base import Outgoing, OutgoingFile, Reaction, SendFailed
from adapters.slack import SlackAdapter, adapter, ids
from bot import log
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message
from tests.service.conftest import House
from tests.service.slack_town import QUICK, Town, wirings
from tests.service.test_actions import SECRET, rule, use

MIB: Final = 1024 * 1024
NOISE: Final = (
    "@everyone @here <!channel> <!here> &lt;!everyone&gt; <!subteam^S0ALL> <@{ada}> "
    "[bank.com](https://evil.example) <https://evil.example|bank.com>"
)


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with SlackServer() as slack:
        yield Town(house, slack)


def sent_by(route: Any, **more: Any) -> Outgoing:
    """A reply of an agent's, of whatever kind."""
    return Outgoing(more.pop("id", "out-1"), route, more.pop("text", ""), session="s", **more)


async def send_all(slack: SlackAdapter, out: Outgoing) -> None:
    """Raises SendFailed."""
    for part in slack.render(out):
        await slack.send(part)


def raw(messages: Sequence[Message]) -> str:
    """All that was handed to Slack, as it came."""
    return "\n".join(json.dumps([each.text, each.blocks], ensure_ascii=False) for each in messages)


# ---------------------------------------------------------------- the agent: what it says


@pytest.mark.parametrize("streaming", [False, True])
async def test_nobody_is_notified_whatever_an_agent_puts_where(town: Town, streaming: bool) -> None:
    noise = NOISE.format(ada=town.ada.id)
    card = use("send_card", title=noise[:200], text=noise, fallback_text=noise)
    question = use("ask_user_question", title=noise[:200], question=noise, options=["<!channel>", "no"])
    words = ({"do": "delta", "text": noise[:30]}, {"do": "stall", "seconds": 0.4})
    town.house.script(rule("noise", card, question, *words, noise))
    town.house.wirings = wirings({"streaming": streaming})
    async with town.open():
        asked = town.ask("noise please")
        await town.until(lambda: any(each.labels for each in asked.replies))
        town.ada.click(next(each for each in asked.replies if each.labels), "no")
        await town.until(
            lambda: len(asked.replies) >= 3 and not any(each.streaming for each in asked.replies)
        )
        await town.house.until_quiet_everywhere()
        told = raw(asked.replies)
        for call in ("<!channel>", "<!here>", "<!everyone>", "<!subteam^S0ALL>", "&lt;!everyone&gt;"):
            assert call not in told, call
        assert "answered" in told, "who has answered is named, by us"
        assert "<https://evil.example|bank.com>" not in told and "[bank.com](https" not in told
        assert "@everyone" not in told and "@here" not in told
        assert not any(each.unfurls for each in asked.replies), "no preview"


async def test_a_secret_in_an_answer_is_not_shown(town: Town) -> None:
    pieces = [{"do": "delta", "text": each} for each in (SECRET[:10], SECRET[10:])]
    town.house.script(rule("secret", *pieces, {"do": "stall", "seconds": 0.4}, f"It is {SECRET}."))
    async with town.open():
        asked = town.ask("secret")
        await town.until(
            lambda: (
                any(each.shown.startswith("It is") for each in asked.replies)
                and not any(each.streaming for each in asked.replies)
            )
        )
        assert SECRET not in raw(asked.replies)
        written = json.dumps([dict(each.arguments) for each in town.slack.requests])
        assert SECRET not in written


EMOJI: Final = ("../x", "eyes\r\nX: 1", "eyes&channel=C0", "<!here>", "x" * 500, "\x00", "a b")


async def test_no_emoji_is_more_than_a_name(town: Town) -> None:
    async with town.open() as slack:
        said = town.ada.say(town.general, "hello")
        route = ids.route(town.general.id)
        for number, emoji in enumerate(EMOJI):
            wanted = Reaction(emoji, 1, message=ids.part_id(town.general.id, said.ts))
            with pytest.raises(SendFailed):
                await send_all(slack, sent_by(route, id=f"out-{number}", reaction=wanted))
        assert said.reactions == {}


async def test_a_file_is_sent_whatever_its_agent_calls_it(town: Town) -> None:
    names = {
        'a\r\nX-Evil: 1\r\n\r\n"; filename="b.txt': None,
        "../../etc/passwd": "passwd",
        "photo\u202egpj.exe": "photogpj.exe",
        "n" * 500: None,
    }
    async with town.open() as slack:
        files = [OutgoingFile(name, "text/plain\r\nX-Evil: 1", b"x") for name in names]
        await send_all(slack, sent_by(ids.route(town.general.id), files=files))
        await town.until(lambda: sum(len(each.files) for each in town.general.messages) == len(names))
        shown = [file.name for each in town.general.messages for file in each.files]
        assert not any(set("\r\n\u202e/") & set(name) for name in shown), shown
        assert [name for name, wanted in zip(shown, names.values(), strict=True) if wanted] == [
            wanted for wanted in names.values() if wanted
        ]


async def test_files_that_were_sent_or_wait_do_not_fill_the_memory(town: Town) -> None:
    async with town.open() as slack:
        route = ids.route(town.general.id)
        await send_all(slack, sent_by(route, files=[OutgoingFile("a.bin", "text/plain", bytes(MIB))]))
        assert not slack._drafts, "what is sent is not kept"
        for number in range(60):
            data = number.to_bytes(1, "big") * (4 * MIB)
            slack.render(sent_by(route, id=f"out-{number}", files=[OutgoingFile("a", "text/plain", data)]))
        kept = [file for out, _ in slack._drafts.values() for file in out.files]
        assert sum(len(file.data) for file in kept) <= adapter.DRAFTS_BYTES


async def test_two_agents_that_choose_the_same_ids_do_not_hide_each_others_words(town: Town) -> None:
    async with town.open() as slack:
        for session in ("one", "two"):
            out = sent_by(ids.route(town.general.id), text=f"I am {session}")
            await send_all(slack, replace(out, session=session))
        assert town.general.texts == ["I am one", "I am two"]


# ---------------------------------------------------------------- people


async def test_reactions_to_what_people_say_among_themselves_cost_no_call(town: Town) -> None:
    async with town.open():
        said = town.bob.say(town.general, "nobody answers me")
        before = len(town.slack.called("conversations.replies"))
        for number in range(30):
            town.ada.react(said, f"emoji-{number}")
        assert await town.answer_to("still there?") == "You said: still there?"
        assert len(town.slack.called("conversations.replies")) == before


async def test_metadata_that_somebody_else_has_put_on_a_message_hides_no_answer(town: Town) -> None:
    """Another app may write of its message that it is a part of a reply of ours."""
    other = town.slack.person("Other", bot=True)
    town.general.join(other)
    async with town.open() as slack:
        out = sent_by(ids.route(town.general.id), text="mine")
        payload = {"session": "s", "out": "out-1", "part": 0}
        metadata = {"event_type": "roost_part", "event_payload": payload}
        other.say(town.general, "not mine", metadata=metadata)
        (part,) = slack.render(out)
        await slack.send(replace(part, since=1))
        assert town.general.texts == ["not mine", "mine"]


# ---------------------------------------------------------------- the tokens


async def test_no_token_of_slacks_gets_anywhere(town: Town) -> None:
    town.timing = replace(QUICK, defer=0.0)
    file = town.house.data / "roost.log"
    log.setup("DEBUG", "json", file=file)
    try:
        async with town.open():
            given = town.ada.command("status", town.general)
            await town.until(lambda: given.texts)
            assert await town.answer_to("hello") == "You said: hello"
            runner = Path("/proc") / str(town.house.runner(town.general.id))
            inside = (runner / "environ").read_bytes() + (runner / "cmdline").read_bytes()
            town.slack.fail("chat.*", error="invalid_auth")
            town.ask("again")
            await town.until(lambda: any(each.error == "invalid_auth" for each in town.slack.requests))
    finally:
        log.close()
    written = file.read_text()
    for secret in (town.slack.bot_token, town.slack.app_token, town.slack.signing_secret, "/actions/"):
        assert secret not in written and secret not in given.text, secret[:9]
        assert secret.encode() not in inside
    for path in town.house.data.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert town.slack.bot_token.encode() not in held and town.slack.app_token.encode() not in held
