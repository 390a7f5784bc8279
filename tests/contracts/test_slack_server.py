"""The fake Slack's Web API: messages, threads, places and people, for the real AsyncWebClient and a raw one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.methods import METHODS, scopes
from tests.contracts.slack_rig import HandClock, Rig, serving
from tests.fakes.slack_refusals import CannotDo
from tests.fakes.slack_server import SlackServer

MARK = {"event_type": "roost_part", "event_payload": {"session": "s1", "out": "o1", "part": 0}}


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def rig(clock: HandClock) -> AsyncIterator[Rig]:
    async with serving(clock=clock, limits="none") as made:
        yield made


# -------------------------------------------------------------------- who calls, and how


async def test_the_real_client_finds_itself(rig: Rig) -> None:
    me = await rig.client.auth_test()
    assert (me["user_id"], me["bot_id"], me["team_id"]) == (
        rig.slack.bot.id,
        rig.slack.bot.bot_id,
        rig.slack.team,
    )
    assert me.headers["x-oauth-scopes"] == ",".join(scopes())


async def test_every_method_that_roost_calls_is_there(rig: Rig) -> None:
    for method in METHODS:
        token = rig.slack.app_token if method == "apps.connections.open" else rig.slack.bot_token
        answer = await rig.raw(method, {}, token=token)
        assert answer.get("error") not in ("unknown_method", "invalid_auth"), method


async def test_a_token_has_to_be_the_right_one(rig: Rig) -> None:
    for token, error in (
        ("", "not_authed"),
        ("xoxb-other", "invalid_auth"),
        (rig.slack.app_token, "not_allowed_token_type"),
    ):
        assert (await rig.raw("auth.test", {}, token=token))["error"] == error
    rig.slack.deny("token_revoked")
    assert (await rig.raw("auth.test", {}))["error"] == "token_revoked"


async def test_arguments_come_as_json_as_a_form_or_in_the_address(rig: Rig) -> None:
    url, token = rig.slack.api_url, rig.slack.bot_token
    header = {"Authorization": f"Bearer {token}"}
    said = {"channel": rig.general.id, "text": "hello"}
    async with aiohttp.ClientSession() as session:
        ways: list[dict[str, Any]] = [
            {"json": said, "headers": header},
            {"data": said, "headers": header},
            {"data": {**said, "token": token}},
            {"params": said, "headers": header},
        ]
        for given in ways:
            async with session.post(f"{url}chat.postMessage", **given) as answer:
                assert (await answer.json())["ok"], given
        async with session.get(f"{url}auth.test", params={"token": token}) as answer:
            assert (await answer.json())["ok"]
        place = {"channel": rig.general.id}
        async with session.post(f"{url}conversations.info", json=place, headers=header) as answer:
            assert (await answer.json())["error"] == "channel_not_found"
        async with session.post(f"{url}conversations.info", data=place, headers=header) as answer:
            assert (await answer.json())["channel"]["name"] == "general"
    assert rig.general.texts == ["hello"] * 4
    assert all("token" not in each.arguments for each in rig.slack.requests)


# -------------------------------------------------------------------- messages


async def test_a_message_is_posted_changed_and_taken_away(rig: Rig, clock: HandClock) -> None:
    said = rig.ada.say(rig.general, "1 < 2 & https://example.com/a?b=1&c=2", mention=[rig.slack.bot])
    posted = await rig.client.chat_postMessage(
        channel=rig.general.id,
        thread_ts=said.ts,
        text="an answer",
        blocks=[{"type": "markdown", "text": "**an** answer"}],
        metadata=MARK,
        unfurl_links=False,
        unfurl_media=False,
    )
    (reply,) = said.replies
    assert (posted["ts"], posted["channel"], posted["message"]["thread_ts"]) == (
        reply.ts,
        rig.general.id,
        said.ts,
    )
    assert (reply.shown, reply.unfurls, reply.metadata) == ("**an** answer", False, MARK)
    assert posted["message"]["bot_id"] == rig.slack.bot.bot_id
    clock.forward(5)
    await rig.client.chat_update(channel=rig.general.id, ts=reply.ts, text="only text")
    assert (reply.shown, reply.blocks, reply.metadata) == ("only text", [], MARK)
    assert [text for _, text in reply.edits] == ["**an** answer", "only text"]
    assert reply.edits[1][0] - reply.edits[0][0] == 5000
    await rig.client.chat_update(channel=rig.general.id, ts=reply.ts, text="bare", metadata={})
    assert reply.metadata is None
    await rig.client.chat_delete(channel=rig.general.id, ts=reply.ts)
    assert (said.replies, rig.general.find(reply.ts)) == ([], None)
    assert said.shown.endswith("1 < 2 & https://example.com/a?b=1&c=2")
    assert said.text.endswith("1 &lt; 2 &amp; <https://example.com/a?b=1&amp;c=2>")


async def test_history_and_threads_are_read_by_pages(rig: Rig) -> None:
    said = [rig.ada.say(rig.general, str(number)) for number in range(5)]
    replies = [rig.bob.say(rig.general, f"re {number}", thread=said[0]) for number in range(5)]
    rig.bob.say(rig.general, "for all", thread=said[0], broadcast=True)
    await rig.client.chat_postMessage(
        channel=rig.general.id, thread_ts=replies[0].ts, text="last", metadata=MARK
    )
    read = await pages(rig.client, "conversations.history", channel=rig.general.id, limit=2)
    assert [each["text"] for each in read] == ["for all", "4", "3", "2", "1", "0"]
    assert (read[0]["subtype"], read[0]["root"]["ts"]) == ("thread_broadcast", said[0].ts)
    assert (read[-1]["reply_count"], read[-1]["latest_reply"]) == (7, said[0].replies[-1].ts)
    first = await rig.client.conversations_replies(channel=rig.general.id, ts=replies[2].ts, limit=3)
    assert [each["text"] for each in first["messages"]] == ["0", "re 0", "re 1", "re 2"]
    assert first["has_more"]
    later = await rig.client.conversations_replies(
        channel=rig.general.id, ts=said[0].ts, oldest=replies[3].ts, include_all_metadata=True
    )
    assert [each["text"] for each in later["messages"]] == ["0", "re 4", "for all", "last"]
    assert later["messages"][-1]["metadata"] == MARK
    bare = await rig.client.conversations_replies(channel=rig.general.id, ts=said[0].ts)
    assert not any("metadata" in each for each in bare["messages"])
    bounded = await rig.client.conversations_history(
        channel=rig.general.id, oldest=said[1].ts, latest=said[3].ts, inclusive=True
    )
    assert [each["text"] for each in bounded["messages"]] == ["3", "2", "1"]
    await refused(
        rig.raw("conversations.history", {"channel": rig.general.id, "cursor": "2"}, form=True),
        "invalid_cursor",
    )


async def test_one_person_alone_sees_an_ephemeral_message(rig: Rig) -> None:
    said = rig.ada.say(rig.general, "hello")
    await rig.client.chat_postEphemeral(
        channel=rig.general.id, user=rig.ada.id, text="psst", thread_ts=said.ts
    )
    (only,) = rig.general.ephemeral
    assert (only.only_for, only.shown) == (rig.ada, "psst")
    assert [each.shown for each in rig.ada.sees(rig.general, thread=said)] == ["hello", "psst"]
    assert [each.shown for each in rig.bob.sees(rig.general, thread=said)] == ["hello"]
    stranger = rig.slack.person("Mallory")
    given = {"channel": rig.general.id, "user": stranger.id, "text": "psst"}
    await refused(rig.raw("chat.postEphemeral", given), "user_not_in_channel")


async def test_a_root_with_replies_leaves_a_stone(rig: Rig) -> None:
    said = rig.ada.say(rig.general, "question")
    rig.bob.say(rig.general, "answer", thread=said)
    rig.ada.delete(said)
    told = rig.events("message_changed")[-1]
    assert told["message"]["subtype"] == "tombstone"
    read = await rig.client.conversations_replies(channel=rig.general.id, ts=said.ts)
    assert [each["text"] for each in read["messages"]] == ["This message was deleted.", "answer"]
    given = {"channel": rig.general.id, "thread_ts": said.ts, "text": "hello"}
    await refused(rig.raw("chat.postMessage", given), "cannot_reply_to_message")


# -------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("method", "given", "error"),
    [
        ("chat.postMessage", {"channel": "C0NONE", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "elsewhere", "text": "x"}, "not_in_channel"),
        ("chat.postMessage", {"channel": "secret", "text": "x"}, "channel_not_found"),
        ("chat.postMessage", {"channel": "old", "text": "x"}, "is_archived"),
        ("chat.postMessage", {"channel": "news", "text": "x"}, "restricted_action_read_only_channel"),
        ("chat.postMessage", {"channel": "general"}, "no_text"),
        ("chat.postMessage", {"channel": "general", "text": " "}, "no_text"),
        (
            "chat.postMessage",
            {"channel": "general", "text": "x", "thread_ts": "1.000001"},
            "thread_not_found",
        ),
        ("chat.postMessage", {"channel": "general", "text": "x", "metadata": "{"}, "invalid_metadata_format"),
        ("chat.postMessage", {"channel": "general", "text": "x", "blocks": "["}, "invalid_blocks_format"),
        (
            "chat.postMessage",
            {"channel": "general", "text": "x", "metadata": {"event_type": "x"}},
            "invalid_metadata_format",
        ),
        (
            "chat.postMessage",
            {
                "channel": "general",
                "text": "x",
                "metadata": {**MARK, "event_payload": {"long": "x" * 20_000}},
            },
            "metadata_too_large",
        ),
        (
            "chat.postMessage",
            {"channel": "general", "text": "x", "markdown_text": "x"},
            "markdown_text_conflict",
        ),
        ("chat.update", {"channel": "general", "ts": "1.000001", "text": "x"}, "message_not_found"),
        ("chat.update", {"channel": "general", "ts": "hers", "text": "x"}, "cant_update_message"),
        ("chat.update", {"channel": "general", "ts": "mine", "text": "x" * 40_001}, "msg_too_long"),
        ("chat.update", {"channel": "general", "ts": "mine"}, "no_text"),
        ("chat.update", {"channel": "old", "ts": "mine", "text": "x"}, "is_inactive"),
        ("chat.delete", {"channel": "general", "ts": "hers"}, "cant_delete_message"),
        ("chat.delete", {"channel": "general", "ts": "1.000001"}, "message_not_found"),
        ("conversations.history", {"channel": "elsewhere"}, "not_in_channel"),
        ("conversations.history", {"channel": "general", "limit": "0"}, "invalid_limit"),
        ("conversations.history", {"channel": "general", "oldest": "x"}, "invalid_ts_oldest"),
        ("conversations.replies", {"channel": "general", "ts": "1.000001"}, "thread_not_found"),
        ("conversations.info", {"channel": "secret"}, "channel_not_found"),
        ("users.info", {"user": "U0NONE"}, "user_not_found"),
        ("users.conversations", {"types": "public"}, "invalid_types"),
        ("reactions.add", {"channel": "general", "timestamp": "1.000001", "name": "x"}, "message_not_found"),
        ("reactions.add", {"channel": "general", "timestamp": "hers", "name": ":x:"}, "invalid_name"),
        ("reactions.add", {"channel": "general", "name": "x"}, "no_item_specified"),
        ("reactions.remove", {"channel": "general", "timestamp": "hers", "name": "x"}, "no_reaction"),
        ("no.such", {}, "unknown_method"),
    ],
)
async def test_what_cannot_be_is_refused(rig: Rig, method: str, given: dict[str, Any], error: str) -> None:
    slack = rig.slack
    places = {
        "general": rig.general,
        "elsewhere": slack.channel("elsewhere", bot=False),
        "secret": slack.channel("secret", private=True, bot=False),
        "old": slack.channel("old"),
        "news": slack.channel("news"),
    }
    places["news"].is_read_only = True
    places["old"].archive()
    hers = rig.ada.say(rig.general, "hers")
    mine = (await rig.client.chat_postMessage(channel=rig.general.id, text="mine"))["ts"]
    names = {"hers": hers.ts, "mine": mine} | {name: place.id for name, place in places.items()}
    is_form = method.startswith(("conversations", "users"))
    answer = await rig.raw(
        method,
        {
            key: names.get(value, value) if key in ("channel", "ts", "timestamp") else value
            for key, value in given.items()
        },
        form=is_form,
    )
    assert answer["error"] == error
    assert len(rig.general.messages) == 2


@pytest.mark.parametrize(
    ("method", "scope", "form"),
    [
        ("chat.postMessage", "chat:write", False),
        ("conversations.history", "channels:history", True),
        ("conversations.info", "channels:read", True),
        ("users.info", "users:read", True),
        ("reactions.add", "reactions:write", False),
        ("files.info", "files:read", True),
        ("files.getUploadURLExternal", "files:write", True),
        ("assistant.threads.setSuggestedPrompts", "assistant:write", False),
    ],
)
async def test_a_method_takes_its_scope(rig: Rig, method: str, scope: str, form: bool) -> None:
    rig.slack.world.scopes.discard(scope)
    answer = await rig.raw(method, {"channel": rig.general.id}, form=form)
    assert (answer["error"], answer["needed"]) == ("missing_scope", scope)
    assert scope not in answer["provided"].split(",")


async def test_a_place_takes_the_scope_of_its_kind_alone(rig: Rig) -> None:
    secret = rig.slack.channel("secret", private=True)
    rig.slack.world.scopes -= {"groups:history", "groups:read"}
    assert (await rig.client.conversations_history(channel=rig.general.id))["ok"]
    with pytest.raises(SlackApiError) as error:
        await rig.client.conversations_history(channel=secret.id)
    assert error.value.response["needed"] == "groups:history"
    with pytest.raises(SlackApiError) as error:
        await rig.client.users_conversations(types="public_channel,private_channel")
    assert error.value.response["needed"] == "groups:read"


# -------------------------------------------------------------------- places, people, reactions


async def test_places_and_people_are_found(rig: Rig) -> None:
    secret = rig.slack.channel("secret", private=True)
    rig.slack.channel("elsewhere", bot=False)
    direct = rig.slack.dm(rig.ada)
    group = rig.slack.group_dm(rig.ada, rig.bob)
    old = rig.slack.channel("old")
    old.archive()
    kinds = "public_channel,private_channel,im,mpim"
    found = await pages(rig.client, "users.conversations", types=kinds, limit=2, exclude_archived=True)
    assert {each["id"] for each in found} == {rig.general.id, secret.id, direct.id, group.id}
    told = (await rig.client.conversations_info(channel=direct.id))["channel"]
    assert (told["is_im"], told["user"]) == (True, rig.ada.id)
    assert (await rig.client.conversations_info(channel=group.id))["channel"]["is_mpim"]
    assert (await rig.client.conversations_info(channel=old.id))["channel"]["is_archived"]
    person = (await rig.client.users_info(user=rig.ada.id))["user"]
    assert (person["real_name"], person["is_bot"], person["deleted"]) == ("Ada", False, False)
    assert (await rig.client.chat_postMessage(channel=rig.ada.id, text="hi"))["channel"] == direct.id


async def test_reactions_are_put_and_taken_away(rig: Rig) -> None:
    said = rig.ada.say(rig.general, "hello")
    await rig.client.reactions_add(channel=rig.general.id, timestamp=said.ts, name="eyes")
    rig.bob.react(said, "eyes")
    assert said.reactions == {"eyes": [rig.slack.bot, rig.bob]}
    given = {"channel": rig.general.id, "timestamp": said.ts, "name": "eyes"}
    await refused(rig.raw("reactions.add", given), "already_reacted")
    await rig.client.reactions_remove(channel=rig.general.id, timestamp=said.ts, name="eyes")
    rig.bob.unreact(said, "eyes")
    assert said.reactions == {}
    with pytest.raises(CannotDo):
        rig.bob.unreact(said, "eyes")


# -------------------------------------------------------------------- what is told


async def test_the_app_hears_of_what_it_sees_alone(rig: Rig) -> None:
    elsewhere = rig.slack.channel("elsewhere", bot=False)
    elsewhere.join(rig.ada)
    rig.ada.say(elsewhere, "unheard", mention=[rig.slack.bot])
    said = rig.ada.say(rig.general, "hello", mention=[rig.slack.bot])
    heard = rig.heard()
    assert [(each["type"], each["ts"]) for each in heard if "ts" in each] == [
        ("message", said.ts),
        ("app_mention", said.ts),
    ]
    body = rig.slack.world.told[-1]
    assert (body["type"], body["team_id"], body["api_app_id"]) == (
        "event_callback",
        rig.slack.team,
        rig.slack.app_id,
    )
    assert body["authorizations"][0]["user_id"] == rig.slack.bot.id
    assert len({each["event_id"] for each in rig.slack.world.told}) == len(rig.slack.world.told)


async def test_a_direct_mention_is_a_message_and_nothing_else(rig: Rig) -> None:
    rig.ada.say(rig.slack.dm(rig.ada), "hello", mention=[rig.slack.bot])
    assert [(each["type"], each["channel_type"]) for each in rig.heard()] == [("message", "im")]


async def test_a_program_and_slack_itself_say_something(rig: Rig) -> None:
    hook = rig.slack.webhook("CI")
    hook.say(rig.general, f"build is red {rig.slack.bot.mention}", attachments=[{"fallback": "x"}])
    said, mention = rig.heard()
    assert (said["subtype"], said["username"], said["bot_id"], "user" in said) == (
        "bot_message",
        "CI",
        hook.user.bot_id,
        False,
    )
    assert (mention["type"], mention["ts"], "subtype" in mention) == ("app_mention", said["ts"], False)
    joined = f"{rig.slack.bot.mention} has joined the channel"
    rig.slack.world.remark(rig.general, rig.slack.bot, "channel_join", joined)
    assert [each.get("subtype") for each in rig.heard()[2:]] == ["channel_join"]
    read = await rig.client.conversations_history(channel=rig.general.id)
    assert [each["subtype"] for each in read["messages"]] == ["channel_join", "bot_message"]


async def test_slack_keeps_no_order_of_what_is_said_twice(rig: Rig) -> None:
    rig.slack.world.mention_first = True
    rig.ada.say(rig.general, "hello", mention=[rig.slack.bot])
    assert [each["type"] for each in rig.heard()] == ["app_mention", "message"]


async def test_an_app_without_a_messages_tab_posts_nothing_there(rig: Rig) -> None:
    rig.slack.world.has_messages = False
    answer = await rig.raw("chat.postMessage", {"channel": rig.ada.id, "text": "hello"})
    assert answer["error"] == "messages_tab_disabled"


async def test_changes_are_told_with_what_was_before(rig: Rig) -> None:
    said = rig.ada.say(rig.general, "one")
    rig.ada.edit(said, f"two {rig.slack.bot.mention}")
    changed, mention = rig.heard()[-2:]
    assert (changed["subtype"], changed["hidden"]) == ("message_changed", True)
    assert changed["previous_message"]["text"] == "one"
    assert changed["message"]["edited"]["user"] == rig.ada.id
    assert (mention["type"], mention["ts"]) == ("app_mention", said.ts)
    rig.slack.unfurl(said)
    unfurled = rig.heard()[-1]
    assert unfurled["message"]["text"] == unfurled["previous_message"]["text"]
    rig.ada.delete(said)
    gone = rig.heard()[-1]
    assert (gone["subtype"], gone["deleted_ts"], gone["previous_message"]["ts"]) == (
        "message_deleted",
        said.ts,
        said.ts,
    )


async def test_what_becomes_of_places_is_told_to_who_subscribes(rig: Rig) -> None:
    rig.slack.world.events = None
    carol = rig.slack.person("Carol")
    rig.general.join(carol)
    rig.general.remove(carol)
    rig.general.archive()
    with pytest.raises(CannotDo):
        rig.ada.say(rig.general, "hello")
    rig.general.unarchive()
    rig.general.remove(rig.slack.bot)
    rig.ada.say(rig.general, "unheard")
    kinds = [each["type"] for each in rig.heard()]
    assert kinds == [
        "member_joined_channel",
        "member_left_channel",
        "channel_archive",
        "channel_unarchive",
        "channel_left",
    ]
    rig.slack.world.events = frozenset({"message.channels"})
    rig.general.join(rig.slack.bot)
    rig.ada.say(rig.general, "heard", mention=[rig.slack.bot])
    assert rig.heard()[-1]["type"] == "message"


async def pages(client: AsyncWebClient, method: str, **arguments: Any) -> list[dict[str, Any]]:
    """All pages of a list, as the real client turns them."""
    found: list[dict[str, Any]] = []
    answer = await client.api_call(method, http_verb="GET", params=arguments)
    async for page in answer:
        found += page.get("messages") or page.get("channels") or []
    return found


async def refused(call: Any, error: str) -> None:
    """The call is answered by this error."""
    assert (await call).get("error") == error


async def test_it_starts_again_on_the_same_port() -> None:
    slack = SlackServer(limits="none")
    await slack.start()
    port = int(slack.api_url.split(":")[2].split("/")[0])
    await slack.stop()
    await slack.start(port=port)
    try:
        client = AsyncWebClient(slack.bot_token, base_url=slack.api_url)
        assert (await client.auth_test())["ok"]
    finally:
        await slack.stop()
