"""Attacks by people on Discord and by an agent that is not ours any more, over the wire. What each is after must not
happen, and Ada is answered all the same."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from adapters.base import Outgoing, OutgoingFile, Reaction, SendFailed
from adapters.discord import DiscordAdapter, adapter, gaps, ids, listening, rest, streams, threads
from agent.protocol.pace import Bucket
from agent.protocol.workspace import Workspace
from bot import log
from bot.db import people
from bot.gate import OF_ONE_PLACE
from tests.fakes import discord_wire as wire
from tests.fakes.discord_interactions import Asked, Interaction
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place, User
from tests.fakes.discord_values import Permission
from tests.fakes.hostile import insert, message_row
from tests.service.conftest import House
from tests.service.town import QUICK, Town

MIB: Final = 1024 * 1024
NOT_THERE: Final = "The message is not there any more, or I may not read it."
NOT_OPEN: Final = "This question is not open any more."
ASKS: Final = {
    "match": "ask",
    "steps": [
        {
            "do": "tool",
            "name": "ask_user_question",
            "arguments": {"title": "Colour", "question": "Which one?", "options": ["Red", "Green"]},
        },
        {"do": "result", "text": "{tool}"},
    ],
}


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with DiscordServer() as discord:
        yield Town(house, discord)


async def let_in(town: Town, user: User) -> None:
    """They are a member, and no admin."""
    grant = partial(people.grant, channel="discord", user_id=user.id, role="member", now=0)
    await town.house.app.db.write(grant)


def heard(town: Town) -> list[Mapping[str, Any]]:
    """What agents were told by people, in all places."""
    rows = town.house.query("SELECT content FROM inbox WHERE kind = 'chat' ORDER BY seq")
    return [json.loads(row["content"]) for row in rows]


def notes(town: Town, prefix: str) -> list[str]:
    """The keys of an adapter's notes."""
    rows = town.house.query("SELECT key FROM notes WHERE key >= ?1 AND key < ?1 || 'z' ORDER BY key", prefix)
    return [row["key"] for row in rows]


def forged(town: Town, by: User, place: Place, custom_id: str, text: str) -> Interaction:
    """A form that nobody was shown, filled in."""
    field = {"type": 4, "id": 2, "custom_id": "answer", "value": text}
    data = {"custom_id": custom_id, "components": [{"type": 18, "id": 1, "component": field}]}
    return town.discord.interactions.begin(Asked.MODAL, by, place, data)


def pressed(town: Town, by: User, message: Message, custom_id: str) -> Interaction:
    """A button that is none of the message's."""
    data = {"component_type": 2, "custom_id": custom_id}
    return town.discord.interactions.begin(Asked.COMPONENT, by, message.place, data, message=message)


# ---------------------------------------------------------------- people: what is not theirs to read


async def test_a_forged_form_reads_nothing_out_of_another_channel(town: Town) -> None:
    secret = town.lab.channel("secret")
    secret.deny(town.bob, Permission.VIEW_CHANNEL)
    async with town.open():
        await let_in(town, town.bob)
        said = town.ada.say(secret, "the safe opens with 1234")
        sent = forged(town, town.bob, town.general, f"ra:{secret.id}:{said.id}", "What does it say?")
        assert (await sent.answer()).text == NOT_THERE
        assert await town.answer_to("still there?") == "You said: still there?"
        assert "1234" not in json.dumps(heard(town))


async def test_a_forged_form_reads_nothing_that_was_said_before_its_person_came(town: Town) -> None:
    town.general.deny(town.bob, Permission.READ_MESSAGE_HISTORY)
    async with town.open():
        await let_in(town, town.bob)
        said = town.ada.say(town.general, "the safe opens with 1234")
        sent = forged(town, town.bob, town.general, f"ra:{town.general.id}:{said.id}", "What does it say?")
        assert (await sent.answer()).text == NOT_THERE
        assert heard(town) == []


async def test_the_name_of_a_place_that_its_person_does_not_see_is_not_told(town: Town) -> None:
    secret, open_ = town.lab.channel("layoffs"), town.lab.channel("lunch")
    secret.deny(town.bob, Permission.VIEW_CHANNEL)
    async with town.open():
        await let_in(town, town.bob)
        text = f"what is <#{secret.id}> and <#{open_.id}>?"
        asked = town.bob.say(town.general, text, mention=[town.discord.bot])
        await town.reads(await town.thread_of(asked), "You said: what is #channel and #lunch?")


# ---------------------------------------------------------------- people: answers


async def test_a_question_is_answered_only_where_it_was_asked(town: Town) -> None:
    town.house.script(ASKS)
    other = town.discord.guild("Elsewhere")
    other.join(town.bob)
    foreign = other.channel("foreign")
    async with town.open():
        await let_in(town, town.bob)
        asked = town.ada.say(town.general, "ask", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: thread.messages and thread.messages[0].components)
        custom_id = thread.messages[0].components[0]["components"][1]["custom_id"]
        for place in (town.general, foreign, town.discord.dm(town.bob)):
            message = town.discord.world.draft(place, town.discord.bot, "Which one?")
            place.history.append(message)
            told = await pressed(town, town.bob, message, custom_id).answer()
            assert told.ephemeral and told.text == NOT_OPEN
            entered = forged(town, town.bob, place, custom_id.replace("rq:1:", "rm:"), "Green")
            assert (await entered.answer()).text == NOT_OPEN
            assert message.content == "Which one?"
        town.ada.click(thread.messages[0], "Red")
        await town.until(lambda: len(thread.messages) == 2)
        assert "Red" in thread.texts[1]


async def test_who_administers_a_server_of_their_own_is_a_stranger_to_roost_there_as_well(town: Town) -> None:
    theirs = town.discord.guild("Theirs")
    theirs.join(town.bob)
    channel = theirs.channel("channel")
    channel.allow(town.bob, Permission.ADMINISTRATOR)
    async with town.open():
        assert await town.answer_to("hello") == "You said: hello"
        await town.until(lambda: list(town.discord.commands.leaves(None)))
        session = town.house.session_id(town.general.id)
        for command in ("session list", "session stop"):
            more = {"id": session} if command == "session stop" else {}
            told = await town.bob.command(command, channel, **more).answer()
            assert told.text == "You may not do this here; whoever runs me can let you in."
        assert (await town.bob.complete("session show", channel, id="").answer()).choices == []
        direct = await town.bob.command("session list", town.discord.dm(town.bob)).answer()
        assert direct.text == "You may not do this here; whoever runs me can let you in."


# ---------------------------------------------------------------- people: floods, and what is kept of them


async def test_direct_conversations_of_strangers_are_not_kept_and_push_no_member_out(town: Town) -> None:
    ours, theirs = town.discord.dm(town.ada), town.discord.dm(town.bob)
    async with town.open():
        town.bob.say(theirs, "hello")
        town.ada.say(ours, "hello")
        # Ada is asked about Bob there as well.
        await town.until(lambda: "You said: hello" in ours.texts)
        await town.house.until(lambda: notes(town, gaps.DIRECT) != [])
        assert notes(town, gaps.DIRECT) == [f"{gaps.DIRECT}{ours.id}"]


async def test_reactions_to_what_people_say_among_themselves_cost_no_call(town: Town) -> None:
    theirs = town.discord.dm(town.bob)
    async with town.open():
        said = town.bob.say(theirs, "nobody answers me")
        for number in range(50):
            event = wire.reaction_event(said, town.bob, chr(0x1F600 + number), on=True)
            town.discord.dispatch_raw("MESSAGE_REACTION_ADD", {**event, "message_author_id": town.bob.id})
        assert await town.answer_to("still there?") == "You said: still there?"
        assert [each.path for each in town.discord.requests if each.path == f"/channels/{theirs.id}"] == []


async def test_interactions_that_nobody_takes_are_not_hoarded(town: Town) -> None:
    async with town.open() as discord:
        await town.until(lambda: list(town.discord.commands.leaves(None)))
        more = listening.MAX_INTERACTIONS + 50
        town.discord.fail("POST", "/interactions/", how="stall", times=more, seconds=20.0)
        for _ in range(more):
            forged(town, town.bob, town.general, "nothing of ours", "x")
        await town.house.until(lambda: len(discord._listening._tasks) >= listening.MAX_INTERACTIONS)
        assert await town.answer_to("still there?") == "You said: still there?"
        assert len(discord._listening._tasks) <= listening.MAX_INTERACTIONS + 2


async def test_what_is_kept_of_threads_and_channels_has_a_bound(town: Town) -> None:
    keys = [(f"{threads.ASIDE}{number}", "1", 0) for number in range(1, threads.MAX_KNOWN + 101)]
    async with town.open():
        assert await town.answer_to("hello") == "You said: hello"
        await town.house.app.db.write(lambda db: db.executemany("INSERT INTO notes VALUES (?, ?, ?)", keys))
    async with town.open() as discord:
        assert len(notes(town, threads.ASIDE)) == threads.MAX_KNOWN
        assert f"{threads.ASIDE}1" not in notes(town, threads.ASIDE), "the oldest are forgotten"
        for place in range(streams.MAX_PLACES + 100):
            discord._streams.pause(place)
        assert len(discord._streams._next) <= streams.MAX_PLACES


async def test_files_that_do_not_come_hold_up_nobody_who_sends_none(town: Town) -> None:
    """Sixteen events of one channel are dealt with at once."""
    town.timing = replace(QUICK, fetch_silence=30.0)
    async with town.open():
        await let_in(town, town.bob)
        stalled = town.discord.fail("GET", "/attachments/", how="stall", times=100, seconds=60.0)
        for number in range(OF_ONE_PLACE):
            thread = town.bob.thread(town.general, f"thread {number}")
            file = ("slow.bin", b"x" * 100_000, None)
            town.bob.say(thread, "look", mention=[town.discord.bot], files=[file])
        await town.until(lambda: stalled.met > 0)
        assert await town.answer_to("and now?") == "You said: and now?"


# ---------------------------------------------------------------- the agent: what it sends


def sent_by(route: Any, **more: Any) -> Outgoing:
    """A reply of an agent's, of whatever kind."""
    return Outgoing(more.pop("id", "out-1"), route, more.pop("text", ""), session="s", **more)


async def send_all(discord: DiscordAdapter, out: Outgoing) -> None:
    """Raises SendFailed."""
    for part in discord.render(out):
        await discord.send(part)


async def test_files_that_were_sent_or_wait_do_not_fill_the_memory(town: Town) -> None:
    async with town.open() as discord:
        route = ids.route(int(town.general.id))
        out = sent_by(route, files=[OutgoingFile("a.bin", "text/plain", bytes(MIB))])
        await send_all(discord, out)
        assert not discord._drafts, "what is sent is not kept"
        for number in range(60):
            data = number.to_bytes(1, "big") * (4 * MIB)
            discord.render(sent_by(route, id=f"out-{number}", files=[OutgoingFile("a", "text/plain", data)]))
        kept = [file for out, _ in discord._drafts.values() for file in out.files]
        assert sum(len(file.data) for file in kept) <= adapter.DRAFTS_BYTES


async def test_a_file_is_sent_whatever_its_agent_calls_it(town: Town) -> None:
    names = {
        'a\r\nX-Evil: 1\r\n\r\n"; filename="b.txt': "a X-Evil: 1 '; filename='b.txt",
        "../../etc/passwd": "passwd",
        "photo\u202egpj.exe": "photogpj.exe",
        "n" * 500: "n" * 99 + "…",
    }
    async with town.open() as discord:
        files = [OutgoingFile(name, "text/plain\r\nX-Evil: 1", b"x") for name in names]
        await send_all(discord, sent_by(ids.route(int(town.general.id)), files=files))
        shown = [file.name for each in town.general.messages for file in each.attachments]
        assert shown == list(names.values())


EMOJI: Final = (
    "../../../../users/@me",
    "..%2F..%2Fusers",
    "\N{THUMBS UP SIGN}/../../1",
    "\N{THUMBS UP SIGN}?x",
    "\N{THUMBS UP SIGN}?1=2#3",
    "\N{THUMBS UP SIGN}%2F..",
    "\N{THUMBS UP SIGN}\r\nX:1",
    "a:1/../2",
    "\\..\\",
    "\N{THUMBS UP SIGN}..",
)


async def test_no_emoji_leads_to_another_path(town: Town) -> None:
    async with town.open() as discord:
        said = town.ada.say(town.general, "hello")
        route = ids.route(int(town.general.id))
        before = len(town.discord.requests)
        for number, emoji in enumerate(EMOJI):
            wanted = Reaction(emoji, 1, message=ids.part_id(int(town.general.id), int(said.id)))
            with pytest.raises(SendFailed):
                await send_all(discord, sent_by(route, id=f"out-{number}", reaction=wanted))
        paths = [each.path for each in town.discord.requests[before:] if each.method != "GET"]
        home = f"/channels/{town.general.id}/messages/{said.id}/reactions/"
        assert all(path.startswith(home) and ".." not in path.split("/") for path in paths), paths
        assert said.reactions == {}


async def test_who_is_refused_again_and_again_in_one_channel_silences_no_other(town: Town) -> None:
    async with town.open() as discord:
        discord._rest._pace = Bucket(a_second=1e6, at_once=1e6)
        said = town.ada.say(town.general, "hello")
        town.discord.fail(
            "PUT", "/reactions/", status=403, times=10_000, body={"code": 50013, "message": "Missing"}
        )
        tried, failure = 0, SendFailed("", retry_after=None)
        while failure.retry_after is None and tried < rest.REFUSALS:
            tried += 1
            try:
                await discord._rest.react(int(town.general.id), int(said.id), "x")
            except SendFailed as exc:
                failure = exc
        assert failure.retry_after is not None and not failure.everywhere
        assert tried <= rest.REFUSALS_OF_ONE + 1
        other = town.lab.channel("other")
        assert await town.answer_to("still there?", place=other) == "You said: still there?"


async def test_two_agents_that_choose_the_same_ids_do_not_hide_each_others_words(town: Town) -> None:
    async with town.open() as discord:
        route = ids.route(int(town.general.id))
        for session in ("one", "two"):
            out = replace(sent_by(route, id="out-1", text=f"I am {session}"), session=session)
            await send_all(discord, out)
        assert town.general.texts == ["I am one", "I am two"]


NOISE: Final = "@everyone @here <@&1> <@{ada}> [bank](https://evil.example) https://evil.example"


async def test_nobody_is_notified_whatever_an_agent_puts_where(town: Town) -> None:
    noise = NOISE.format(ada=town.ada.id)
    steps = [
        {
            "do": "tool",
            "name": "send_card",
            "arguments": {"title": noise, "text": noise, "fallback_text": noise},
        },
        {"do": "tool", "name": "edit_message", "arguments": {"message": 3, "text": noise}},
        {
            "do": "tool",
            "name": "ask_user_question",
            "arguments": {"title": noise, "question": noise, "options": ["@everyone", "no"]},
        },
        {"do": "result", "text": noise},
    ]
    town.house.script({"match": "noise", "steps": steps})
    async with town.open():
        asked = town.ada.say(town.general, "noise please", mention=[town.discord.bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: any(each.components for each in thread.messages))
        question = next(each for each in thread.messages if each.components)
        town.ada.click(question, question.components[0]["components"][0]["custom_id"])
        await town.until(lambda: any("evil" in each.text for each in thread.messages[-1:]))
        await town.house.until_quiet(town.general.id)
        for each in thread.messages:
            pinged = each.pings
            assert not (pinged.users or pinged.roles or pinged.everyone), each.text
            assert "@everyone" not in each.text and "@here" not in each.text
            assert each.embeds or each.flags & 1 << 2, "no preview"


async def forge(
    town: Town, thread: Place, rows: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]]
) -> None:
    """Rows of a kind, with a content, and with other columns than honest ones, as whoever has taken over the
    container of the conversation in a thread writes them."""
    (found,) = town.house.query("SELECT id FROM sessions WHERE thread_id = ?", thread.id)
    outbound = Workspace.on_host(town.house.data / "sessions" / found["id"]).outbound
    place = {"platform_id": town.general.id, "thread_id": thread.id, "turn_id": None}
    with closing(sqlite3.connect(outbound, timeout=10)) as db, db:
        for number, (kind, content, columns) in enumerate(rows):
            row = {**place, "kind": kind, "content": json.dumps(content), **columns}
            insert(db, [message_row(101 + 2 * number, **row)])
    town.house.app.intake._delivery.kick(found["id"])


async def test_forged_rows_hurt_their_own_conversation_alone(town: Town) -> None:
    async with town.open():
        ours = town.ada.say(town.general, "ours", mention=[town.discord.bot])
        theirs = town.ada.say(town.general, "theirs", mention=[town.discord.bot])
        home, victim = await town.thread_of(ours), await town.thread_of(theirs)
        await town.reads(home, "You said: ours")
        await town.reads(victim, "You said: theirs")
        await town.house.until_quiet_everywhere()
        before = len(town.discord.requests)
        question = {"title": "t", "question": "q", "options": ["a"], "expires_at": 2**53}
        edits: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
            ("action", {"do": {"action": "edit_message", "message": 101, "text": f"edit {n}"}}, {})
            for n in range(200)
        ]
        await forge(
            town,
            home,
            [
                ("chat", {"text": "first"}, {}),
                ("chat", {"text": "into theirs"}, {"thread_id": victim.id}),
                ("chat", {"text": "into no place"}, {"platform_id": "../../users/@me", "thread_id": None}),
                ("chat", {"text": "some day"}, {"deliver_after": 2**53}),
                ("action", {"do": {"action": "ask_user_question", "question_id": "q" * 200, **question}}, {}),
                ("action", {"do": {"action": "add_reaction", "message": 101, "emoji": "../@me"}}, {}),
                *edits,
                ("chat", {"text": "honest"}, {}),
            ],
        )
        await town.until(lambda: "first" in home.texts or "edit 0" in home.texts)
        town.ada.say(victim, "and now?")
        await town.reads(victim, "You said: theirs", "and now?", "You said: and now?")
        assert "honest" not in home.texts, "the others were answered before the flood was through"
        homes = f"/channels/{home.id}/", f"/channels/{victim.id}/"
        paths = [each.path for each in town.discord.requests[before:] if each.path.startswith("/channels/")]
        assert all(path.startswith(homes) for path in paths), paths
        assert "into theirs" not in victim.texts and "into no place" not in town.general.texts


# ---------------------------------------------------------------- the token


async def test_neither_the_bots_token_nor_that_of_an_interaction_gets_anywhere(town: Town) -> None:
    town.timing = replace(QUICK, defer=0.0)
    file = town.house.data / "roost.log"
    log.setup("DEBUG", "json", file=file)
    try:
        async with town.open():
            await town.until(lambda: list(town.discord.commands.leaves(None)))
            town.discord.fail("PATCH", "/webhooks/", status=429, retry_after=0.05, body={"message": "slow"})
            given = town.ada.command("roost status", town.general)
            told = await given.answer()
            assert await town.answer_to("hello") == "You said: hello"
            runner = Path("/proc") / str(town.house.runner(town.general.id))
            inside = (runner / "environ").read_bytes() + (runner / "cmdline").read_bytes()
            town.discord.fail("POST", "/messages$", status=401, body={"message": "401", "code": 0})
            town.ada.say(town.general.threads[0], "again")
            await town.until(lambda: town.discord.requests[-1].status == 401)
    finally:
        log.close()
    written = file.read_text()
    assert "429" in written and "/webhooks/" in written, "it is logged what was refused"
    for secret in (town.discord.token, given.token):
        assert secret not in written and secret not in told.text
        assert secret.encode() not in inside
        for path in town.house.data.rglob("*"):
            if path.is_file():
                assert secret.encode() not in path.read_bytes(), path
