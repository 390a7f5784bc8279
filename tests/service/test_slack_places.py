"""What the channels on Slack are called, and a line in small print beneath an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest

from adapters.base import Edit, Outgoing, OutgoingFile, SendFailed
from adapters.slack import ids
from adapters.slack.render import drafts, plainly
from tests.fakes.slack_server import SlackServer
from tests.service.slack_lab import Lab, standing
from tests.service.slack_out import out, talk

FOOT = "opus · 3 s · $0.02"


@pytest.fixture(params=["socket", "http"])
async def lab(request: pytest.FixtureRequest, unused_tcp_port: int) -> AsyncIterator[Lab]:
    async with SlackServer() as slack:
        slack.channel("elsewhere", bot=False)
        slack.dm(slack.person("Bob"))
        async with standing(request.param, unused_tcp_port, slack) as made:
            yield made


async def test_the_service_is_told_what_the_channels_of_the_bot_are_called(lab: Lab) -> None:
    general = lab.general.id
    await lab.until(lambda: lab.host.places)
    assert lab.host.places == [("slack", general, "#general", False)]
    lab.general.rename("all-hands")
    await lab.until(lambda: lab.host.places[-1] == ("slack", general, "#all-hands", False))
    lab.general.archive()
    await lab.until(lambda: lab.host.places[-1] == ("slack", general, "#all-hands (archived)", False))
    lab.general.unarchive()
    await lab.until(lambda: lab.host.places[-1] == ("slack", general, "#all-hands", False))
    lab.general.delete()
    await lab.until(lambda: lab.host.places[-1] == ("slack", general, None, True))


async def test_private_channels_are_told_by_the_name_of_groups(lab: Lab) -> None:
    den = lab.slack.channel("den", private=True)
    for change, shown in (
        (partial(den.rename, "lair"), "#lair"),
        (den.archive, "#lair (archived)"),
        (den.unarchive, "#lair"),
        (den.delete, None),
    ):
        change()
        wanted = ("slack", den.id, shown, shown is None)
        await lab.until(lambda wanted=wanted: lab.host.places[-1:] == [wanted])  # type: ignore[misc]


@pytest.mark.parametrize("channel", [None, 5, "x", {}, {"id": 5, "name": []}, {"id": "C1", "name": {}}])
async def test_an_event_of_another_shape_is_let_be(lab: Lab, channel: object) -> None:
    await lab.until(lambda: lab.host.places)
    for kind in ("channel_rename", "group_deleted", "channel_archive", "subteam_updated"):
        told = {"type": kind, "channel": channel, "subteam": channel, "event_ts": "1700000000.000100"}
        lab.slack.world.tell(told, None, None, kind)
    lab.ada.say(lab.general, "hello")
    await lab.until(lambda: lab.of_kind("message"))
    assert {each[1] for each in lab.host.places} <= {lab.general.id, "C1"}


# -------------------------------------------------------------------- small print


def answer(text: str, **more: object) -> Outgoing:
    return Outgoing("1", ids.route("C1"), text, session="s", **more)  # type: ignore[arg-type]


def test_a_footer_stands_below_the_last_of_the_texts_alone() -> None:
    made = drafts(answer("word " * 4_000, footer=FOOT))
    assert len(made) == 2
    assert [each.blocks[-1]["type"] for each in made] == ["markdown", "context"]
    assert made[1].blocks[-1]["elements"][0]["text"] == FOOT
    assert made[1].markdown and made[1].below == made[1].blocks[-1:]
    assert drafts(answer("word " * 4_000))[1].blocks == made[1].blocks[:-1]


def test_a_footer_stands_above_files_and_below_a_new_text() -> None:
    made = drafts(answer("Here.", footer=FOOT, files=[OutgoingFile("a.txt", "text/plain", b"x")]))
    assert made[0].below and made[1].file is not None and len(made) == 2
    (edited,) = drafts(answer("New.", footer=FOOT, edit=Edit(["C1:1700000000.000100"], 1)))
    assert edited.blocks[-1]["type"] == "context" and edited.replaces
    alone = drafts(answer("", footer=FOOT, files=[OutgoingFile("a.txt", "text/plain", b"x")]))
    assert alone[0].blocks[0]["type"] == "context" and alone[1].file is not None


def test_nothing_in_a_footer_is_markup_and_it_is_said_without_blocks_as_well() -> None:
    (made,) = drafts(answer("Hi.", footer="<!channel> @here *x*\n\u202e" + "y" * 999))
    line = made.blocks[-1]["elements"][0]
    assert line["type"] == "plain_text" and "\n" not in line["text"] and len(line["text"]) <= 300
    assert plainly(drafts(answer("Hi.", footer=FOOT))[0])[0].text == f"Hi.\n{FOOT}"


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_footer_comes_with_the_end_of_what_was_shown_while_it_was_written(streaming: bool) -> None:
    async with SlackServer(streaming=streaming) as slack, out(slack) as life:
        asked = talk(slack)
        life.heard(asked.question)
        life.streams.show(asked.live("one two"))
        await slack.until(lambda: asked.replies)
        await life.send(replace(asked.answer("one two three"), footer=FOOT))
        await life.streams.end("turn")
        (reply,) = asked.replies
        assert reply.shown == f"one two three\n{FOOT}" and not reply.streaming
        assert bool(slack.called("chat.stopStream")) is streaming
        assert len(slack.called("chat.update")) == (0 if streaming else 1)


async def test_a_footer_comes_once_after_an_end_that_nobody_saw() -> None:
    async with SlackServer() as slack, out(slack) as life:
        asked = talk(slack)
        life.heard(asked.question)
        life.streams.show(asked.live("one two"))
        await slack.until(lambda: asked.replies)
        slack.fail("chat.stopStream", how="reset_after")
        said = replace(asked.answer("one two three"), footer=FOOT)
        with pytest.raises(SendFailed):
            await life.send(said)
        await life.send(said, since=1_700_000_000_000)
        (reply,) = asked.replies
        assert reply.shown == f"one two three\n{FOOT}"
