"""What nobody should send and somebody does, on Discord, over the wire: texts, names, files, events that are wrong."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import discord
import pytest

from tests.fakes import discord_wire as wire
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place, User
from tests.service.conftest import House
from tests.service.test_actions import rule, use
from tests.service.town import QUICK, Town, wirings

MIB: Final = 1024 * 1024
LIMIT_MB: Final = 1
END: Final = "the end."
LONG: Final = "0123456789 " * 363 + END
NOBODY: Final = "1"


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    async with DiscordServer() as discord_:
        yield Town(house, discord_)


def answers(town: Town, place: Place) -> list[str]:
    """What the bot has said there, as it reads now."""
    return [each.text for each in place.messages if each.author is town.discord.bot and not each.is_deleted]


async def bot_says(town: Town, place: Place, *texts: str) -> None:
    """Returns when the bot has said exactly these there."""
    await town.until(lambda: answers(town, place) == list(texts))


async def still_there(town: Town, place: Place) -> None:
    """Whatever has happened before, Ada is answered, by a connection that has never broken."""
    before = answers(town, place)
    town.ada.say(place, "still there?")
    await bot_says(town, place, *before, "You said: still there?")
    assert town.discord.hub.connections == 1


def draft(town: Town, place: Place, text: str = "", *, by: User | None = None) -> Message:
    """A message that is there, and of which the gateway says nothing."""
    message = town.discord.world.draft(place, by or town.ada, text)
    place.history.append(message)
    return message


def tell(town: Town, message: Message, event: str = "MESSAGE_CREATE", **changed: Any) -> None:
    """The gateway tells of it, changed so. What is None is left out."""
    data = {**wire.message_event(message, town.discord.bot), **changed}
    town.discord.dispatch_raw(event, {key: value for key, value in data.items() if value is not None})


def seen(house: House, place: Place) -> list[Mapping[str, Any]]:
    """What the agent of a place was told by people."""
    rows = house.query(
        "SELECT content FROM inbox WHERE kind = 'chat' AND platform_id = ? ORDER BY seq", place.id
    )
    return [json.loads(row["content"]) for row in rows]


def left_on_disk(house: House) -> list[Path]:
    """Files of people that nobody has accepted."""
    return [path for path in (house.data / "incoming").rglob("*") if path.is_file()]


# ---------------------------------------------------------------- texts and names


async def test_4001_characters_are_heard_whole_and_answered_in_pieces_that_discord_takes(town: Town) -> None:
    assert len(LONG) == 4_001
    dm = town.discord.dm(town.ada)
    town.house.wirings = wirings({"streaming": False})
    async with town.open():
        town.ada.say(dm, LONG)
        await town.until(lambda: "".join(answers(town, dm)).endswith(END))
        assert len(answers(town, dm)) > 2 and all(len(each) <= 2_000 for each in answers(town, dm))
        # Where a text is cut, the white space goes.
        assert "".join(answers(town, dm)).replace(" ", "") == f"You said: {LONG}".replace(" ", "")


async def test_a_name_that_nobody_sees_or_that_turns_the_line_is_made_harmless(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    town.ada.name = "\u200b\u202eada\u2066\u200d"
    town.bob.name = "\u200b\u2060\u202e"
    async with town.open():
        town.ada.say(town.general, "hello", mention=[town.discord.bot, town.bob])
        town.ada.say(dm, "mind the name")
        await bot_says(town, dm, "You said: mind the name")
        await town.house.until(lambda: len(seen(town.house, town.general)) == 1)
        assert [each["sender"] for each in seen(town.house, dm)] == ["ada"]
        assert [each["text"] for each in seen(town.house, town.general)] == ["@somebody hello"]
        (thread,) = town.general.threads
        assert thread.name == "@somebody hello"


async def test_somebody_without_a_name_that_can_be_seen_is_somebody(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    town.ada.name = "\u200b\u2060\u202e"
    async with town.open():
        town.ada.say(dm, "who am I?")
        await bot_says(town, dm, "You said: who am I?")
        assert [each["sender"] for each in seen(town.house, dm)] == ["somebody"]


# ---------------------------------------------------------------- files


async def test_a_file_of_100_megabytes_is_refused_by_what_discord_says_of_it(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    async with town.open():
        town.ada.say(dm, "look", files=[("big.bin", b"x", None)], promised=100 * MIB)
        await bot_says(town, dm, "big.bin is too large: a file can have 25 MiB.")
        assert town.discord._cdn.served == []
        await still_there(town, dm)


async def test_a_file_that_is_larger_than_discord_said_is_refused_and_leaves_nothing(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    town.house.limits = {"attachment_mb": LIMIT_MB}
    async with town.open():
        town.discord.fail("GET", "/attachments/", how="larger")
        town.ada.say(dm, "look", files=[("big.bin", b"x", None)])
        await bot_says(town, dm, "big.bin could not be fetched: it is larger than Discord said.")
        assert left_on_disk(town.house) == []
        await still_there(town, dm)


async def test_a_file_that_does_not_come_is_refused_after_a_while(town: Town) -> None:
    town.timing = replace(QUICK, fetch_silence=0.2)
    dm = town.discord.dm(town.ada)
    async with town.open():
        town.discord.fail("GET", "/attachments/", how="stall")
        town.ada.say(dm, "look", files=[("slow.bin", b"x" * 100_000, None)])
        await bot_says(town, dm, "slow.bin could not be fetched: Discord did not send it in time.")
        town.discord.fail("GET", "/attachments/", how="reset_before", times=2)
        town.ada.say(dm, "look again", files=[("cut.bin", b"x", None)])
        await town.until(lambda: len(answers(town, dm)) == 2)
        town.discord.fail("GET", "/attachments/", how="status", status=404)
        town.ada.say(dm, "and again", files=[("gone.bin", b"x", None)])
        await town.until(lambda: len(answers(town, dm)) == 3)
        assert answers(town, dm)[1:] == [
            "cut.bin could not be fetched: Discord did not send it in time.",
            "gone.bin could not be fetched: Discord does not give it out any more (404).",
        ]
        assert left_on_disk(town.house) == []
        await still_there(town, dm)


BAD_NAMES: Final = {
    "../../../etc/cron.d/roost": "roost",
    "..\\..\\windows\\win.ini": "win.ini",
    "annual\u202egpj.exe": "annualgpj.exe",
    "bomb.zip": "bomb.zip",
    "..": "file",
    "\u200b": "file",
}


async def test_no_name_of_a_file_leads_anywhere_or_looks_like_another(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    async with town.open():
        said = draft(town, dm)
        files = [town.discord.world.store(dm, str(n), b"PK\x03\x04", None) for n in range(len(BAD_NAMES))]
        told = [
            {**wire.attachment(file), "filename": name} for file, name in zip(files, BAD_NAMES, strict=True)
        ]
        tell(town, said, attachments=told)
        await town.until(lambda: len(answers(town, dm)) == 1)
        (heard,) = seen(town.house, dm)
        assert [each["name"] for each in heard["attachments"]] == list(BAD_NAMES.values())
        received = town.house.folder(dm.id)
        paths = [
            path for path in received.rglob("*") if path.is_file() and path.read_bytes() == b"PK\x03\x04"
        ]
        assert len(paths) == len(BAD_NAMES), "each lies in the session's folder, and none is unpacked"


async def test_a_name_of_300_characters_is_cut_and_keeps_its_extension(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    async with town.open():
        town.ada.say(dm, files=[("n" * 300 + ".tar.gz", b"x", None)])
        await town.until(lambda: len(answers(town, dm)) == 1)
        ((name,),) = [[file["name"] for file in each["attachments"]] for each in seen(town.house, dm)]
        assert re.fullmatch("n+….gz", name) and len(name) <= 100
        assert answers(town, dm) == [f"I received {name} (1 bytes)."]


async def test_no_name_of_a_file_of_the_agent_breaks_what_is_sent(town: Town) -> None:
    name = 'a"; x="\u202e\r\nX-Evil: 1\r\n\r\n../b.txt'
    town.house.script(rule("file", use("send_file", path="made.txt", filename=name), "end"))
    dm = town.discord.dm(town.ada)
    async with town.open():
        town.ada.say(dm, "hello")
        await bot_says(town, dm, "You said: hello")
        (town.house.workspace(dm.id).work / "made.txt").write_bytes(b"made")
        town.ada.say(dm, "file")
        await bot_says(town, dm, "You said: hello", "", "end")
        ((sent,),) = [each.attachments for each in dm.messages if each.attachments]
        assert sent.data == b"made" and not set("\r\n\u202e/") & set(sent.name)


async def test_stickers_and_voice_messages_come_as_files(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discord.Asset, "BASE", town.discord.cdn_url)
    dm = town.discord.dm(town.ada)
    async with town.open():
        town.ada.say(dm, sticker="wave/\u202ehello")
        await town.until(lambda: len(answers(town, dm)) == 1)
        town.ada.say(dm, voice=b"OggS" * 10)
        await town.until(lambda: len(answers(town, dm)) == 2)
        assert answers(town, dm)[0].startswith("I received hello.png (")
        assert answers(town, dm)[1] == "I received voice message voice-message.ogg (40 bytes)."


# ---------------------------------------------------------------- messages of other kinds


async def test_what_discord_itself_says_is_nobodys_message(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    async with town.open():
        for kind in (3, 6, 7, 18, 46, 999):
            tell(town, draft(town, dm, "do not answer"), type=kind)
        await still_there(town, dm)
        assert len(seen(town.house, dm)) == 1


async def test_a_forwarded_message_and_a_poll_are_read(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    async with town.open():
        elsewhere = {"type": 1, "message_id": NOBODY, "channel_id": NOBODY}
        snapshot = {
            **{key: wire.message(draft(town, dm), town.discord.bot)[key] for key in SNAPSHOT},
            "content": "the original",
        }
        tell(town, draft(town, dm), message_reference=elsewhere, message_snapshots=[{"message": snapshot}])
        await bot_says(town, dm, "You said: [forwarded] the original")
        poll = {
            "question": {"text": "Tea?"},
            "answers": [
                {"answer_id": n, "poll_media": media}
                for n, media in enumerate(({"text": "yes"}, {"text": "no"}, UNSAID), 1)
            ],
            "expiry": "2030-01-01T00:00:00+00:00",
            "allow_multiselect": False,
            "layout_type": 1,
        }
        tell(town, draft(town, dm), poll=poll)
        await town.until(lambda: len(answers(town, dm)) == 2)
        assert answers(town, dm)[1] == "You said: [poll] Tea?: yes; no; 🫖"


UNSAID: Final = {"text": None, "emoji": {"id": None, "name": "🫖"}}
SNAPSHOT: Final = (
    "attachments",
    "components",
    "content",
    "edited_timestamp",
    "embeds",
    "flags",
    "mention_roles",
    "mentions",
    "timestamp",
    "type",
)


async def test_webhooks_and_other_bots_are_not_heard(town: Town) -> None:
    other = town.discord.person("Other", bot=True)
    town.lab.join(other)
    town.house.wirings = wirings({"strangers": "answer"})
    async with town.open():
        other.say(town.general, "hello", mention=[town.discord.bot])
        town.lab.webhook("Build", town.general).say(f"{town.discord.bot.mention} it is red")
        await still_there(town, town.discord.dm(town.ada))
        assert seen(town.house, town.general) == []
        assert answers(town, town.general) == [] and town.general.threads == []


async def test_where_bots_are_heard_they_are_heard_so_often_and_no_more(town: Town) -> None:
    other = town.discord.person("Other", bot=True)
    town.lab.join(other)
    town.house.wirings = wirings({"bots": True, "bot_messages": 2, "engage": "all", "threads": False})
    async with town.open():
        webhook = town.lab.webhook("Build", town.general)
        other.say(town.general, "one")
        await bot_says(town, town.general, "You said: one")
        webhook.say("two")
        await bot_says(town, town.general, "You said: one", "You said: two")
        other.say(town.general, "three")
        webhook.say("four")
        await still_there(town, town.general)
        assert [each.get("bot", False) for each in seen(town.house, town.general)] == [True, True, False]


# ---------------------------------------------------------------- events that are wrong

MALFORMED: Final[tuple[Mapping[str, Any], ...]] = (
    {},
    {"id": NOBODY},
    {"id": NOBODY, "guild_id": NOBODY, "channel_id": NOBODY},
    {"id": None, "guild_id": "x", "channel_id": []},
)


async def test_no_event_that_cannot_be_read_ends_the_connection(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    async with town.open() as adapter:
        assert adapter._client is not None
        names = sorted(set(adapter._client._connection.parsers) - {"READY", "RESUMED"})
        assert len(names) > 60
        for name in [*names, "SOMETHING_NEW"]:
            for data in MALFORMED:
                town.discord.dispatch_raw(name, data)
                town.discord.dispatch_raw(name, {**data, "guild_id": town.lab.id})
                town.discord.dispatch_raw(name, {**data, "channel_id": dm.id})
        await still_there(town, dm)
        await town.answer_to("and in the server?")


UNREADABLE: Final[tuple[Mapping[str, Any], ...]] = (
    {"sticker_items": [{"id": NOBODY}]},
    {"poll": {"question": None}},
    {"components": [{"type": 1}], "embeds": [{"fields": [None]}]},
    {"message_snapshots": [{}]},
)


async def test_a_message_with_something_that_the_library_cannot_read_is_heard_without_it(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    async with town.open():
        for number, more in enumerate(UNREADABLE, start=1):
            tell(town, draft(town, dm, f"words {number}"), **more)
            await bot_says(town, dm, *(f"You said: words {n}" for n in range(1, number + 1)))
        assert town.discord.hub.connections == 1


async def test_a_change_without_an_author_or_a_text_is_let_be(town: Town) -> None:
    dm = town.discord.dm(town.ada)
    async with town.open():
        said = town.ada.say(dm, "hello")
        await bot_says(town, dm, "You said: hello")
        embeds = [{"type": "rich", "title": "A preview"}]
        tell(town, said, "MESSAGE_UPDATE", embeds=embeds)
        tell(town, said, "MESSAGE_UPDATE", author=None, embeds=embeds)
        tell(town, said, "MESSAGE_UPDATE", author=None, content=None, type=None)
        tell(town, said, "MESSAGE_UPDATE", content=None)
        town.discord.dispatch_raw("MESSAGE_UPDATE", {"id": said.id, "channel_id": dm.id, "embeds": embeds})
        await still_there(town, dm)
        await town.house.until_quiet(dm.id)
        kinds = town.house.query("SELECT kind FROM inbox ORDER BY seq")
        assert [row["kind"] for row in kinds] == ["chat", "chat"]


async def test_an_emoji_without_a_name_is_an_emoji(town: Town) -> None:
    """Discord gives no name of one that was deleted meanwhile."""
    dm = town.discord.dm(town.ada)
    async with town.open():
        town.ada.say(dm, "hello")
        await bot_says(town, dm, "You said: hello")
        (said,) = [each for each in dm.messages if each.author is town.discord.bot]
        await town.house.until_quiet(dm.id)
        reaction = wire.reaction_event(said, town.ada, "x", on=True)
        for emoji in (
            {"id": "123", "name": None},
            {"id": "124", "name": "\u202ex"},
            {"id": None, "name": None},
        ):
            town.discord.dispatch_raw("MESSAGE_REACTION_ADD", {**reaction, "emoji": emoji})
        await still_there(town, dm)
        rows = town.house.query("SELECT content FROM inbox WHERE content LIKE '%reacted%' ORDER BY seq")
        told = [json.loads(row["content"])["system"]["emoji"] for row in rows]
        assert told == [":emoji:", ":x:", ":emoji:"]
