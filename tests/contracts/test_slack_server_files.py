"""The fake Slack's files, up and down, for the real AsyncWebClient and a raw one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from tests.contracts.slack_rig import Rig, serving
from tests.fakes.slack_files import LOGIN


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with serving(limits="none") as made:
        yield made


async def got(rig: Rig, url: str, *, by: str | None = None) -> tuple[int, str, bytes, str]:
    """Status, type, body and last address of what an address answers."""
    header = {"Authorization": f"Bearer {rig.slack.bot_token if by is None else by}"}
    async with rig.session.get(url, headers=header) as answer:
        return answer.status, answer.content_type, await answer.read(), str(answer.url)


async def test_the_real_client_uploads_a_file(rig: Rig) -> None:
    said = rig.ada.say(rig.general, "a picture?")
    answer = await rig.client.files_upload_v2(
        channel=rig.general.id,
        thread_ts=said.ts,
        content=b"\x89PNG" * 10,
        filename="a.png",
        title="A",
        initial_comment="here",
    )
    number = answer["files"][0]["id"]
    await rig.slack.until(lambda: said.replies)
    (reply,) = said.replies
    assert (reply.text, reply.user, [each.name for each in reply.files]) == ("here", rig.slack.bot, ["a.png"])
    told = rig.events("file_share")[-1]
    assert (told["ts"], told["files"][0]["id"], told["thread_ts"]) == (reply.ts, number, said.ts)
    told = (await rig.client.files_info(file=number))["file"]
    (share,) = told["shares"]["public"][rig.general.id]
    assert (share["ts"], share["thread_ts"], told["title"], told["size"]) == (reply.ts, said.ts, "A", 40)
    assert (await got(rig, told["url_private"]))[2] == b"\x89PNG" * 10


async def test_the_message_of_a_file_comes_after_the_answer(rig: Rig) -> None:
    rig.slack.world.share_seconds = 0.2
    number = await uploaded(rig, b"data")
    answer = await rig.raw(
        "files.completeUploadExternal", {"files": [{"id": number}], "channel_id": rig.general.id}
    )
    assert (answer["ok"], answer["files"][0]["shares"], rig.general.messages) == (True, {}, [])
    await rig.slack.until(lambda: rig.general.messages)
    shares = (await rig.client.files_info(file=number))["file"]["shares"]
    assert shares["public"][rig.general.id][0]["ts"] == rig.general.messages[0].ts


async def uploaded(rig: Rig, data: bytes, name: str = "a.txt") -> str:
    """A file whose bytes are there, and that is shown nowhere."""
    begun = await rig.client.files_getUploadURLExternal(filename=name, length=len(data))
    async with rig.session.post(begun["upload_url"], data=data) as answer:
        assert (answer.status, await answer.text()) == (200, f"OK - {len(data)}")
    return str(begun["file_id"])


async def test_an_upload_goes_by_its_steps(rig: Rig) -> None:
    begun = await rig.client.files_getUploadURLExternal(filename="a.txt", length=4)
    given: dict[str, Any] = {"files": [{"id": begun["file_id"]}], "channel_id": rig.general.id}
    assert (await rig.raw("files.completeUploadExternal", given))["error"] == "file_not_found"
    async with rig.session.post(begun["upload_url"], data=b"other") as answer:
        assert answer.status == 400
    async with rig.session.post(begun["upload_url"], data=b"four") as answer:
        assert answer.status == 200
    for where, error in (
        ({"channel_id": "C0NONE"}, "channel_not_found"),
        ({"thread_ts": "1.000001"}, "invalid_thread_ts"),
        ({"channel_id": rig.slack.channel("elsewhere", bot=False).id}, "not_in_channel"),
    ):
        assert (await rig.raw("files.completeUploadExternal", given | where))["error"] == error
    assert (await rig.raw("files.completeUploadExternal", given))["ok"]
    await rig.slack.until(lambda: rig.general.messages)
    assert (await rig.raw("files.completeUploadExternal", given))["error"] == "file_not_found"
    for length in ("0", "x", "2000000000"):
        assert not (await rig.raw("files.getUploadURLExternal", {"filename": "a", "length": length}))["ok"]


async def test_a_file_wants_the_token_and_its_scope(rig: Rig) -> None:
    said = rig.ada.say(rig.general, files=[("notes – 1.txt", b"hello", "text/plain")])
    told = said.told()["files"][0]
    for url in (told["url_private"], told["url_private_download"]):
        assert (await got(rig, url))[:3] == (200, "text/plain", b"hello")
    status, kind, body, address = await got(rig, told["url_private"], by="xoxb-other")
    assert (status, kind, body.decode(), "/login?redir=" in address) == (200, "text/html", LOGIN, True)
    rig.slack.world.scopes.discard("files:read")
    assert (await got(rig, told["url_private"]))[1] == "text/html"
    async with rig.session.get(told["url_private"], allow_redirects=False) as answer:
        assert answer.status == 302


async def test_a_file_of_another_workspace_is_told_by_files_info(rig: Rig) -> None:
    shared = rig.slack.channel("shared", shared=True)
    eve = rig.slack.person("Eve", team="T0OTHER")
    shared.join(eve)
    eve.say(shared, "look", files=[("a.txt", b"hello", "text/plain")])
    (told,) = rig.heard()[-1]["files"]
    assert (told["file_access"], "url_private" in told) == ("check_file_info", False)
    whole = (await rig.client.files_info(file=told["id"]))["file"]
    assert (whole["user_team"], (await got(rig, whole["url_private"]))[2]) == ("T0OTHER", b"hello")


async def test_what_the_bot_does_not_see_is_no_file(rig: Rig) -> None:
    elsewhere = rig.slack.channel("elsewhere", bot=False)
    elsewhere.join(rig.ada)
    said = rig.ada.say(elsewhere, files=[("a.txt", b"hello", "text/plain")])
    with pytest.raises(SlackApiError) as error:
        await rig.client.files_info(file=said.files[0].id)
    assert error.value.response["error"] == "file_not_found"
    assert (await got(rig, said.files[0].url))[1] == "text/html"
    rig.ada.say(rig.general, files=[("b.txt", b"hello", "text/plain")]).files[0].mode = "tombstone"
    assert rig.general.messages[0].told()["files"][0]["mode"] == "tombstone"


async def test_files_go_wrong_on_purpose(rig: Rig) -> None:
    said = rig.ada.say(rig.general, files=[("a.txt", b"hello" * 100, "text/plain")], promised=7)
    assert said.told()["files"][0]["size"] == 7
    url = said.files[0].url
    rig.slack.fail("download", "status", status=503)
    assert (await got(rig, url))[0] == 503
    rig.slack.fail("download", "slow_body", seconds=0.01)
    with pytest.raises(aiohttp.ClientError):
        await got(rig, url)
    assert (await got(rig, url))[0] == 200
    begun = await rig.client.files_getUploadURLExternal(filename="a.txt", length=4)
    rig.slack.fail("upload", "reset_after")
    with pytest.raises(aiohttp.ClientError):
        await rig.session.post(begun["upload_url"], data=b"four")
    assert rig.slack.files[begun["file_id"]].data == b"four"
