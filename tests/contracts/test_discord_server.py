"""The fake Discord's messages, threads, files and permissions, for the real discord.py client and a raw one."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import discord
import pytest

from tests.contracts.discord_rig import HandClock, Rig, connected, serving
from tests.fakes.discord_asking import CannotDo
from tests.fakes.discord_spec import Spec
from tests.fakes.discord_things import Place
from tests.fakes.discord_values import MIB, Kind, Permission

Patch = pytest.MonkeyPatch
described = pytest.mark.skipif(Spec.load() is None, reason="Discord's API description is not on this machine")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def rig(clock: HandClock) -> AsyncIterator[Rig]:
    async with serving(clock=clock, limits="none") as made:
        yield made


def types(place: Place) -> bool:
    """Whether people see the bot type there."""
    return place.typing


# -------------------------------------------------------------------- connected


async def test_the_real_client_finds_the_world(rig: Rig, monkeypatch: Patch) -> None:
    role = rig.lab.role("Testers", mentionable=True)
    forum = rig.lab.channel("ideas", "forum", topic="what next")
    rig.lab.join(rig.ada, roles=[role])
    async with connected(rig, monkeypatch) as bot:
        (guild,) = bot.guilds
        assert (guild.name, guild.me.id) == ("Lab", int(rig.discord.bot.id))
        assert {channel.name for channel in guild.channels} == {"general", "ideas"}
        assert isinstance(guild.get_channel(int(forum.id)), discord.ForumChannel)
        ada = await guild.fetch_member(int(rig.ada.id))
        assert [each.name for each in ada.roles] == ["@everyone", "Testers"]
        application = await bot.application_info()
        assert application.flags.gateway_message_content_limited
        assert len(await guild.fetch_channels()) == 2
        assert len(await guild.fetch_roles()) == 3
        assert (await bot.fetch_user(int(rig.ada.id))).global_name == "Ada"
        assert [each.name async for each in bot.fetch_guilds()] == ["Lab"]


async def test_messages_go_both_ways(rig: Rig, monkeypatch: Patch, clock: HandClock) -> None:
    async with connected(rig, monkeypatch) as bot:
        said = rig.ada.say(rig.general, "hello", mention=[rig.discord.bot])
        await rig.discord.until(lambda: bot.heard)
        (heard,) = bot.heard
        assert heard.content == f"<@{rig.discord.bot.id}> hello"
        assert heard.mentions == [heard.guild.me if heard.guild else None]
        async with heard.channel.typing():
            assert types(rig.general)
        answer = await heard.reply("hello yourself")
        assert not types(rig.general)
        assert len(rig.general.typed) == 1
        clock.forward(5)
        await answer.edit(content="hello again")
        await heard.add_reaction("👍")
        assert said.reactions == {"👍": [rig.discord.bot]}
        assert bot.user is not None
        await heard.remove_reaction("👍", bot.user)
        assert said.reactions == {}
        reply = rig.general.messages[1]
        assert (reply.content, reply.reference) == ("hello again", said)
        assert [text for _, text in reply.edits] == ["hello yourself", "hello again"]
        assert reply.edits[1][0] - reply.edits[0][0] == 5000
        assert reply.pings.users == (rig.ada,)
        await answer.delete()
        assert reply.is_deleted
        assert rig.general.texts == [said.content]


async def test_what_people_do_is_told(rig: Rig, monkeypatch: Patch) -> None:
    grace = rig.discord.person("Grace", bot=True)
    rig.lab.join(grace)
    async with connected(rig, monkeypatch) as bot:
        said = rig.ada.say(rig.general, "one", sticker="wave")
        rig.ada.edit(said, "two")
        rig.ada.react(said, "🎉")
        rig.ada.unreact(said, "🎉")
        rig.ada.type(rig.general)
        rig.ada.say(rig.general, voice=b"ogg")
        grace.say(rig.general, "beep", reply_to=said)
        rig.lab.webhook("CI", rig.general).say("build is red")
        rig.ada.delete(said)
        await rig.discord.until(lambda: bot.told("raw_message_delete"))
        first, voice, beep, hook = bot.heard
        assert [each.name for each in first.stickers] == ["wave"]
        assert [after.content for _, after in bot.told("message_edit")] == ["two"]
        assert [str(each.emoji) for (each,) in bot.told("raw_reaction_add")] == ["🎉"]
        assert bot.told("raw_reaction_remove")
        assert bot.told("typing")
        assert voice.flags.voice and voice.attachments[0].is_voice_message()
        assert beep.author.bot and beep.reference and isinstance(beep.reference.resolved, discord.Message)
        assert hook.webhook_id is not None


async def test_a_still_clock_ends_the_typing(rig: Rig, clock: HandClock) -> None:
    await rig.ask("POST", f"/channels/{rig.general.id}/typing")
    assert types(rig.general)
    clock.forward(10)
    assert not types(rig.general)


async def test_raw_events_and_waiting(rig: Rig, monkeypatch: Patch) -> None:
    async with connected(rig, monkeypatch) as bot:
        data = {"id": rig.lab.id, "unavailable": True}
        rig.discord.dispatch_raw("GUILD_DELETE", data, guild=rig.lab)
        await rig.discord.until(lambda: bot.told("guild_unavailable"))
    with pytest.raises(TimeoutError):
        await rig.discord.until(lambda: False, seconds=0.02)


# -------------------------------------------------------------------- forms


async def test_a_message_is_2000_characters_whatever_they_are(rig: Rig) -> None:
    status, _, _ = await rig.say(rig.general, "🎉" * 2000)
    assert status == 200
    status, body, _ = await rig.say(rig.general, "a" * 2001)
    assert (status, body["code"], body["message"]) == (400, 50035, "Invalid Form Body")
    assert body["errors"]["content"]["_errors"][0]["code"] == "BASE_TYPE_MAX_LENGTH"
    status, body, _ = await rig.say(rig.general, "")
    assert (status, body["code"]) == (400, 50006)
    rig.discord.take_violations()


EMBED: dict[str, Any] = {"title": "t", "description": "d"}
BUTTON: dict[str, Any] = {"type": 2, "style": 1, "label": "Yes", "custom_id": "yes"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"nonce": "n" * 26}, "nonce"),
    ({"embeds": [{"title": "t" * 257}]}, "embeds"),
    ({"embeds": [{"description": "t" * 4097}]}, "embeds"),
    ({"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]}, "embeds"),
    ({"embeds": [{"fields": [{"name": "n", "value": "v" * 1025}]}]}, "embeds"),
    ({"embeds": [{"description": "t" * 4000}, {"description": "t" * 4000}]}, "embeds"),
    ({"embeds": [EMBED] * 11}, "embeds"),
    ({"components": [{"type": 1, "components": [{**BUTTON, "label": "l" * 81}]}]}, "components"),
    ({"components": [{"type": 1, "components": [{**BUTTON, "custom_id": "c" * 101}]}]}, "components"),
    ({"components": [{"type": 1, "components": [BUTTON, BUTTON]}]}, "components"),
    ({"components": [{"type": 1, "components": [BUTTON]}] * 6}, "components"),
    ({"allowed_mentions": {"parse": ["users"], "users": ["1"]}}, "allowed_mentions"),
    ({"message_reference": {"message_id": "5"}}, "message_reference"),
]


@pytest.mark.parametrize(("form", "field"), WRONG, ids=range(len(WRONG)))
async def test_forms_that_are_wrong_name_the_field(rig: Rig, form: dict[str, Any], field: str) -> None:
    status, body, _ = await rig.say(rig.general, **form)
    assert (status, body["code"], list(body["errors"])) == (400, 50035, [field])
    assert not rig.general.messages
    rig.discord.take_violations()


async def test_a_nonce_is_enforced_for_a_few_minutes(rig: Rig, clock: HandClock) -> None:
    form = {"nonce": "once", "enforce_nonce": True}
    _, first, _ = await rig.say(rig.general, "a", **form)
    clock.forward(120)
    _, second, _ = await rig.say(rig.general, "a", **form)
    assert first["id"] == second["id"] and first["nonce"] == "once"
    clock.forward(300)
    _, third, _ = await rig.say(rig.general, "a", **form)
    assert third["id"] != first["id"]
    assert len(rig.general.messages) == 2


async def test_replies_quote_what_is_there(rig: Rig) -> None:
    other = rig.lab.channel("other")
    elsewhere = rig.ada.say(other, "there")
    reference = {"message_id": elsewhere.id, "fail_if_not_exists": False}
    status, body, _ = await rig.say(rig.general, message_reference=reference)
    assert status == 200 and "message_reference" not in body
    status, body, _ = await rig.say(rig.general, message_reference={"message_id": elsewhere.id})
    assert (status, list(body["errors"])) == (400, ["message_reference"])


async def test_only_whom_a_message_may_ping_is_pinged(rig: Rig) -> None:
    role = rig.lab.role("Testers", mentionable=True)
    text = f"@everyone {rig.ada.mention} <@&{role.id}>"
    await rig.say(rig.general, text)
    await rig.say(rig.general, text, allowed_mentions={"parse": []})
    await rig.say(rig.general, text, allowed_mentions={"parse": ["roles", "everyone"], "users": [rig.ada.id]})
    first, second, third = (each.pings for each in rig.general.messages)
    assert (first.users, first.roles, first.everyone) == ((rig.ada,), (role.id,), False)
    assert (second.users, second.roles) == ((), ())
    assert (third.users, third.roles) == ((rig.ada,), (role.id,))
    rig.general.allow(rig.discord.bot, Permission.MENTION_EVERYONE)
    await rig.say(rig.general, "@here")
    assert rig.general.messages[-1].pings.everyone


async def test_flags_are_kept_and_hide_embeds(rig: Rig) -> None:
    _, body, _ = await rig.say(rig.general, flags=(1 << 2) | (1 << 12) | (1 << 6), embeds=[EMBED])
    assert body["flags"] == (1 << 2) | (1 << 12)
    assert body["embeds"] == []


async def test_history_is_read_in_pages(rig: Rig) -> None:
    messages = [rig.ada.say(rig.general, str(n)) for n in range(6)]
    path = f"/channels/{rig.general.id}/messages"

    async def texts(query: str) -> list[str]:
        status, body, _ = await rig.ask("GET", path + query)
        assert status == 200
        return [each["content"] for each in body]

    assert await texts("") == ["5", "4", "3", "2", "1", "0"]
    assert await texts("?limit=2") == ["5", "4"]
    assert await texts(f"?before={messages[3].id}&limit=2") == ["2", "1"]
    assert await texts(f"?after={messages[2].id}&limit=2") == ["4", "3"]
    assert await texts(f"?around={messages[2].id}&limit=3") == ["3", "2", "1"]
    status, body, _ = await rig.ask("GET", path + "?limit=101")
    assert (status, list(body["errors"])) == (400, ["limit"])
    rig.discord.take_violations()


# -------------------------------------------------------------------- files


async def test_files_go_up_and_come_down(rig: Rig, monkeypatch: Patch) -> None:
    async with connected(rig, monkeypatch) as bot:
        rig.ada.say(rig.general, files=[("a.txt", b"from Ada", "text/plain")])
        await rig.discord.until(lambda: bot.heard)
        (attachment,) = bot.heard[0].attachments
        assert await attachment.read() == b"from Ada"
        files = [discord.File(io.BytesIO(each), name) for each, name in ((b"1", "1.bin"), (b"2", "2.bin"))]
        sent = await bot.heard[0].channel.send("two files", files=files)
        assert [await each.read() for each in sent.attachments] == [b"1", b"2"]
        third = discord.File(io.BytesIO(b"3"), "3.bin")
        await sent.edit(attachments=[sent.attachments[1], third])
        kept = rig.general.messages[-1].attachments
        assert [(each.name, each.data) for each in kept] == [("2.bin", b"2"), ("3.bin", b"3")]


async def test_a_file_is_as_large_as_the_guild_allows(rig: Rig, monkeypatch: Patch) -> None:
    boosted = rig.discord.guild("Boosted", tier=2).channel("files")
    data = b"\0" * (10 * MIB + 1)
    async with connected(rig, monkeypatch) as bot:
        small, large = (bot.get_channel(int(each.id)) for each in (rig.general, boosted))
        assert isinstance(small, discord.TextChannel) and isinstance(large, discord.TextChannel)
        with pytest.raises(discord.HTTPException) as refused:
            await small.send(file=discord.File(io.BytesIO(data), "big"))
        assert (refused.value.status, refused.value.code) == (413, 40005)
        await large.send(file=discord.File(io.BytesIO(data), "big"))
        assert len(boosted.messages[0].attachments[0].data) == len(data)


async def test_the_cdn_fails_as_it_is_told(rig: Rig) -> None:
    (file,) = rig.ada.say(
        rig.general, files=[("a.bin", b"x" * 1000, "application/x")], promised=10
    ).attachments
    assert (file.promised, len(file.data)) == (10, 1000)
    async with rig.http.get(file.url) as response:
        assert await response.read() == file.data
    async with rig.http.get(file.url.partition("?")[0]) as response:
        assert response.status == 404
    rig.discord.fail("GET", "/attachments/", status=404)
    rig.discord.fail("GET", "/attachments/", how="larger")
    rig.discord.fail("GET", "/attachments/", how="stall")
    # aiohttp asks once more where a connection that it has used before is cut.
    rig.discord.fail("GET", "/attachments/", how="reset_before", times=2)
    async with rig.http.get(file.url) as response:
        assert response.status == 404
    async with rig.http.get(file.url) as response:
        assert len(await response.content.readexactly(100_000)) == 100_000
        response.close()
    async with rig.http.get(file.url) as response:
        assert len(await response.content.readexactly(500)) == 500
        response.close()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await rig.http.get(file.url)


# -------------------------------------------------------------------- threads and conversations


async def test_threads_open_close_and_open_again(rig: Rig, monkeypatch: Patch) -> None:
    async with connected(rig, monkeypatch) as bot:
        said = rig.ada.say(rig.general, "let us talk")
        await rig.discord.until(lambda: bot.heard)
        thread = await bot.heard[0].create_thread(name="talk")
        assert str(thread.id) == said.id and said.thread is not None
        with pytest.raises(discord.HTTPException) as refused:
            await bot.heard[0].create_thread(name="again")
        assert refused.value.code == 160004
        first = await thread.send("here")
        assert [each.content for each in said.thread.messages] == ["here"]
        await thread.edit(archived=True, name="talked")
        assert (said.thread.name, said.thread.is_archived) == ("talked", True)
        with pytest.raises(discord.HTTPException) as refused:
            await first.edit(content="too late")
        assert refused.value.code == 50083
        rig.ada.say(said.thread, "one more thing")
        assert not said.thread.is_archived
        await rig.discord.until(lambda: bot.told("thread_update"))
        said.thread.archive(locked=True)
        with pytest.raises(discord.Forbidden) as locked:
            await thread.send("locked")
        assert locked.value.code == 160005
        parent = thread.parent
        assert isinstance(parent, discord.TextChannel)
        assert [each.id async for each in parent.archived_threads()] == [thread.id]


async def test_threads_without_a_message_and_posts_of_a_forum(rig: Rig, monkeypatch: Patch) -> None:
    forum = rig.lab.channel("ideas", "forum")
    async with connected(rig, monkeypatch) as bot:
        channel, ideas = bot.get_channel(int(rig.general.id)), bot.get_channel(int(forum.id))
        assert isinstance(channel, discord.TextChannel) and isinstance(ideas, discord.ForumChannel)
        alone = await channel.create_thread(name="alone", type=discord.ChannelType.public_thread)
        post = await ideas.create_thread(name="idea", content="a better one")
        assert post.message.id == post.thread.id
        theirs = rig.ada.post(forum, "another", "by Ada")
        opened = rig.ada.thread(rig.general, "theirs")
        await rig.discord.until(lambda: bot.get_channel(int(opened.id)))
        joined = bot.get_channel(int(opened.id))
        assert isinstance(joined, discord.Thread)
        await joined.join()
        assert rig.discord.bot.id in opened.joined
        await joined.leave()
        assert rig.discord.bot.id not in opened.joined
        active = {each.id for each in await bot.guilds[0].active_threads()}
        assert active == {alone.id, post.thread.id, int(theirs.id), int(opened.id)}
        assert bot.heard[0].content == "by Ada" and bot.heard[0].channel.id == int(theirs.id)
        assert rig.general.history[0].kind == 18


async def test_direct_messages_and_group_ones(rig: Rig, monkeypatch: Patch) -> None:
    shy = rig.discord.person("Shy", takes_dms=False)
    async with connected(rig, monkeypatch) as bot:
        dm = rig.discord.dm(rig.ada)
        rig.ada.say(dm, "psst")
        await rig.discord.until(lambda: bot.heard)
        assert isinstance(bot.heard[0].channel, discord.DMChannel) and bot.heard[0].guild is None
        await bot.heard[0].channel.send("what?")
        ada = await bot.fetch_user(int(rig.ada.id))
        await ada.send("the same place")
        assert dm.texts == ["psst", "what?", "the same place"]
        with pytest.raises(discord.Forbidden) as closed:
            await (await bot.fetch_user(int(shy.id))).send("hello?")
        assert closed.value.code == 50007
    group = rig.discord.group_dm(rig.ada, shy, name="us")
    status, body, _ = await rig.ask("GET", f"/channels/{group.id}")
    assert (status, body["type"], body["name"], len(body["recipients"])) == (200, Kind.GROUP_DM, "us", 2)


# -------------------------------------------------------------------- permissions and changes


async def test_permissions_are_those_of_roles_and_overwrites(rig: Rig) -> None:
    bot, path = rig.discord.bot, f"/channels/{rig.general.id}"
    said = rig.ada.say(rig.general, "mine")

    async def code(method: str, tail: str, form: Any = None) -> tuple[int, int]:
        status, body, _ = await rig.ask(method, path + tail, form)
        return status, body["code"] if isinstance(body, dict) and "code" in body else 0

    assert await code("DELETE", f"/messages/{said.id}") == (403, 50013)
    rig.general.allow(bot, Permission.MANAGE_MESSAGES)
    assert await code("DELETE", f"/messages/{said.id}") == (204, 0)
    said = rig.ada.say(rig.general, "mine")
    assert await code("PATCH", f"/messages/{said.id}", {"content": "yours"}) == (403, 50005)
    assert await code("PATCH", f"/messages/{said.id}", {"flags": 4}) == (200, 0)
    rig.general.deny(
        bot, Permission.ADD_REACTIONS | Permission.SEND_MESSAGES | Permission.CREATE_PUBLIC_THREADS
    )
    assert await code("PUT", f"/messages/{said.id}/reactions/%F0%9F%91%8D/@me") == (403, 50013)
    assert await code("POST", "/messages", {"content": "hi"}) == (403, 50013)
    assert await code("POST", f"/messages/{said.id}/threads", {"name": "x"}) == (403, 50013)
    rig.general.deny(bot, Permission.VIEW_CHANNEL)
    assert await code("POST", "/messages", {"content": "hi"}) == (403, 50001)
    rig.general.allow(bot, Permission.VIEW_CHANNEL | Permission.SEND_MESSAGES)
    assert await code("POST", "/messages", {"content": "hi"}) == (200, 0)
    assert await code("GET", "/messages/5") == (404, 10008)
    assert (await rig.ask("GET", "/channels/5"))[1]["code"] == 10003
    assert (await rig.ask("GET", "/nowhere"))[0] == 404
    rig.discord.take_violations()


async def test_a_role_gives_what_everybody_has_not(rig: Rig) -> None:
    closed = rig.lab.channel("closed")
    closed.deny(rig.lab.everyone, Permission.SEND_MESSAGES)
    assert (await rig.say(closed))[0] == 403
    speakers = rig.lab.role("Speakers")
    rig.lab.join(rig.discord.bot, roles=[speakers])
    assert (await rig.say(closed))[0] == 403
    closed.allow(speakers, Permission.SEND_MESSAGES)
    assert (await rig.say(closed))[0] == 200
    rig.lab.join(rig.discord.bot)
    assert (await rig.say(closed))[0] == 403
    rig.lab.permit(speakers, Permission.ADMINISTRATOR)
    rig.lab.join(rig.discord.bot, roles=[speakers])
    assert (await rig.say(closed))[0] == 200


async def test_a_token_opens_until_it_is_revoked(rig: Rig) -> None:
    old = rig.discord.token
    assert (await rig.ask("GET", "/users/@me"))[0] == 200
    status, body, _ = await rig.ask("GET", "/users/@me", token="another")  # noqa: S106
    assert (status, body) == (401, {"message": "401: Unauthorized", "code": 0})
    rig.discord.revoke_token()
    assert (await rig.ask("GET", "/users/@me", token=old))[0] == 401


async def test_the_client_is_told_of_changes(rig: Rig, monkeypatch: Patch) -> None:
    other = rig.lab.channel("other")
    async with connected(rig, monkeypatch) as bot:
        rig.lab.unavailable()
        rig.ada.say(rig.general, "nobody hears this")
        rig.lab.available()
        await rig.discord.until(lambda: bot.told("guild_available"))
        other.rename("renamed")
        other.deny(rig.discord.bot, Permission.VIEW_CHANNEL)
        rig.ada.say(other, "nor this")
        other.delete()
        rig.ada.say(rig.general, "this")
        await rig.discord.until(lambda: bot.heard)
        assert [each.content for each in bot.heard] == ["this"]
        assert [after.name for _, after in bot.told("guild_channel_update")] == ["renamed"] * 2
        assert bot.told("guild_channel_delete")
        rig.lab.leave(rig.discord.bot)
        await rig.discord.until(lambda: bot.told("guild_remove"))
        assert (await rig.ask("GET", f"/guilds/{rig.lab.id}"))[1]["code"] == 10004


async def test_a_revoked_token_ends_the_client(rig: Rig, monkeypatch: Patch) -> None:
    with pytest.raises(discord.ConnectionClosed) as closed:
        async with connected(rig, monkeypatch) as bot:
            rig.discord.revoke_token()
            await rig.discord.until(bot.is_closed)
    assert closed.value.code == 4004


async def test_a_large_guild_tells_of_nobody(rig: Rig, monkeypatch: Patch) -> None:
    large = rig.discord.guild("Large", large=True)
    large.join(rig.ada)
    assert (int(rig.lab.id) >> 22) % 2 != (int(large.id) >> 22) % 2, "they are on different shards"
    async with connected(rig, monkeypatch) as bot:
        guild = bot.get_guild(int(large.id))
        assert guild is not None and guild.large and guild.get_member(int(rig.ada.id)) is None


async def test_without_the_content_intent_there_is_no_content(rig: Rig) -> None:
    rig.discord.message_content(False)
    rig.ada.say(rig.general, "secret")
    rig.ada.say(rig.general, "told", mention=[rig.discord.bot])
    _, body, _ = await rig.ask("GET", f"/channels/{rig.general.id}/messages")
    assert [each["content"] for each in body] == [f"<@{rig.discord.bot.id}> told", ""]
    assert (await rig.ask("GET", "/applications/@me"))[1]["flags"] & (1 << 19) == 0


async def test_people_can_do_what_their_client_offers(rig: Rig) -> None:
    stranger = rig.discord.person("Stranger")
    said = rig.ada.say(rig.general, "hello")
    with pytest.raises(CannotDo):
        stranger.say(rig.general, "let me in")
    with pytest.raises(CannotDo):
        stranger.edit(said, "not mine")
    with pytest.raises(CannotDo):
        rig.ada.click(said, "no such button")


# -------------------------------------------------------------------- what is watched


@described
async def test_what_is_not_as_discord_has_it_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="contents"):
        async with serving() as rig:
            await rig.say(rig.general, "hi", contents="typo")
    async with serving() as rig:
        await rig.say(rig.general, "hi", contents="typo")
        assert len(rig.discord.take_violations()) == 1


async def test_every_request_is_remembered(rig: Rig, clock: HandClock) -> None:
    await rig.say(rig.general, "hi")
    (seen,) = rig.discord.requests
    assert (seen.method, seen.path) == ("POST", f"/channels/{rig.general.id}/messages")
    assert (seen.json, seen.status, seen.at) == ({"content": "hi"}, 200, clock.ms)
