"""The user groups that somebody on Slack is in: what is read, what Slack tells, and what counts when neither is had."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack import groups as groups_of_slack
from adapters.slack.groups import TRUSTED_SECONDS, Groups
from adapters.slack.methods import scopes
from adapters.slack.web import Web
from tests.fakes.slack_server import SlackServer
from tests.service.slack_lab import Lab, standing


class Steady:
    """A steady clock that the test sets forward."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def reading(slack: SlackServer, clock: Steady) -> AsyncIterator[Groups]:
    """The groups of a workspace, by the real calls."""
    async with aiohttp.ClientSession() as session:
        web = Web()
        web.use(AsyncWebClient(slack.bot_token, slack.api_url, session=session, retry_handlers=[]))
        yield Groups(web, clock=clock)


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    async with SlackServer() as slack:
        slack.world.listeners = []
        yield slack


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change is read without waiting for more of them."""
    monkeypatch.setattr(groups_of_slack, "SETTLE_SECONDS", 0.0)


@contextmanager
def kept(groups: Groups) -> Iterator[None]:
    task = asyncio.create_task(groups.keep())
    try:
        yield
    finally:
        task.cancel()


async def test_people_are_in_the_groups_that_slack_tells(slack: SlackServer) -> None:
    ada, bob = slack.person("Ada"), slack.person("Bob")
    ops, all_ = slack.usergroup("ops", ada), slack.usergroup("all", ada, bob)
    slack.usergroup("old", ada).switch_off()
    async with reading(slack, Steady()) as groups:
        await groups.begin()
        assert groups.of(ada.id) == tuple(sorted((ops.id, all_.id)))
        assert groups.of(bob.id) == (all_.id,)
        assert groups.of("U0NOBODY") == ()
        assert {each.handle for each in groups.all()} == {"ops", "all"}


async def test_what_was_read_last_counts_for_an_hour_of_an_outage_and_no_longer(slack: SlackServer) -> None:
    ada, clock = slack.person("Ada"), Steady()
    ops = slack.usergroup("ops", ada)
    async with reading(slack, clock) as groups:
        await groups.begin()
        slack.fail("usergroups.list", error="internal_error")
        await groups.begin()
        clock.now += TRUSTED_SECONDS - 1
        assert groups.of(ada.id) == (ops.id,)
        clock.now += 2
        assert groups.of(ada.id) == ()


@pytest.mark.parametrize("why", ["scope", "plan"])
async def test_without_the_scope_or_the_plan_nobody_is_in_any(slack: SlackServer, why: str) -> None:
    ada = slack.person("Ada")
    slack.usergroup("ops", ada)
    async with reading(slack, Steady()) as groups:
        await groups.begin()
        assert groups.of(ada.id)
        if why == "scope":
            slack.world.scopes.discard("usergroups:read")
        else:
            slack.world.has_groups = False
        await groups.begin()
        assert groups.of(ada.id) == ()


async def test_who_is_taken_out_is_out_before_anything_is_read(slack: SlackServer) -> None:
    ada, bob = slack.person("Ada"), slack.person("Bob")
    ops = slack.usergroup("ops", ada, bob)
    async with reading(slack, Steady()) as groups:
        await groups.begin()
        slack.fail("usergroups.list", error="internal_error", times=99)
        told: list[dict[str, object]] = []
        slack.world.listeners = [lambda body: told.append(body["event"])]
        ops.remove(ada)
        groups.changed(told[0])
        assert (groups.of(ada.id), groups.of(bob.id)) == ((), (ops.id,))
        ops.switch_off()
        groups.changed(told[-1])
        assert groups.of(bob.id) == ()


async def test_a_list_of_some_of_a_large_group_takes_nobody_out(slack: SlackServer) -> None:
    many = [slack.person(f"P{number}") for number in range(501)]
    ops = slack.usergroup("ops", *many)
    async with reading(slack, Steady()) as groups:
        await groups.begin()
        told: list[dict[str, object]] = []
        slack.world.listeners = [lambda body: told.append(body["event"])]
        ops.tell_made()
        groups.changed(told[0] | {"type": "subteam_updated"})
        assert groups.of(many[-1].id) == (ops.id,)


@pytest.mark.usefixtures("at_once")
async def test_a_change_is_read_when_slack_tells_of_it(slack: SlackServer) -> None:
    ada, bob = slack.person("Ada"), slack.person("Bob")
    ops = slack.usergroup("ops", ada)
    async with reading(slack, Steady()) as groups:
        await groups.begin()
        with kept(groups):
            slack.world.listeners = [lambda body: groups.changed(body["event"])]
            ops.add(bob)
            await slack.until(lambda: len(slack.called("usergroups.list")) > 1 and groups.of(bob.id))
            slack.usergroup("new", bob)
            await slack.until(lambda: len(groups.of(bob.id)) == 2)


# -------------------------------------------------------------------- with the adapter around it


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_a_message_a_command_and_a_press_say_the_groups_of_who_did_it(
    mode: str, unused_tcp_port: int, at_once: None
) -> None:
    async with SlackServer() as slack, standing(mode, unused_tcp_port, slack) as lab:  # type: ignore[arg-type]
        ops = slack.usergroup("ops", lab.ada)
        await slack.until(lambda: len(slack.called("usergroups.list")) > 1)
        for number in range(10):
            await said(lab, f"number {number}")
        given = lab.ada.command("status", lab.general)
        await lab.until(lambda: given.texts)
        assert {each.sender.groups for each in lab.host.events} == {(ops.id,)}
        calls = len(slack.called("usergroups.list"))
        assert calls <= 3, (
            "of a login, of its first connection, and of the group that is new: a message costs none"
        )
        lab.ada.react(lab.general.messages[0], "eyes")
        ops.remove(lab.ada)
        await said(lab, "after")
        assert lab.host.events[-1].sender.groups == ()


async def said(lab: Lab, text: str) -> None:
    """Ada has said it, and it was heard."""
    lab.ada.say(lab.general, text)
    await lab.until(lambda: any(each.text == text for each in lab.host.events))


async def test_a_slow_answer_does_not_keep_the_bot_from_working(unused_tcp_port: int) -> None:
    async with SlackServer() as slack:
        slack.fail("usergroups.list", how="stall")
        async with standing("socket", unused_tcp_port, slack) as lab:
            await said(lab, "hello")
            assert lab.host.events[-1].sender.groups == ()


async def test_an_app_that_was_made_before_works_without_the_scope(unused_tcp_port: int) -> None:
    granted = [each for each in scopes() if each != "usergroups:read"]
    async with SlackServer(scopes=granted) as slack:
        slack.usergroup("ops")
        async with standing("socket", unused_tcp_port, slack) as lab:
            await said(lab, "hello")
            assert lab.host.events[-1].sender.groups == ()
