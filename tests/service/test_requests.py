"""What an agent asks its admins for, through real runners: asked, shown, decided, carried out, told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest

from adapters.base import Question
from bot.approvals import EXPIRES_MS
from bot.db import approvals, egress
from bot.rebuilding import NO_CONTAINERS
from bot.requests import MAX_AN_HOUR
from tests.fakes.platform import PERSON, FakePlatform
from tests.service.admins import ADMIN, audited, give, grant
from tests.service.conftest import House

DIRECT: Final = f"@{PERSON.id}"
BACK: Final = {
    "match": "An admin has|Nobody has decided|It was allowed",
    "steps": [{"do": "result", "text": "told: {text}"}],
}
SERVER: Final = {
    "command": "git-mcp",
    "args": ["--token", "abc123"],
    "env": {"GIT_TOKEN": "s3cret", "LEVEL": "1"},
}


def use(tool: str, /, **arguments: Any) -> dict[str, Any]:
    """A rule: who says the tool's name has it called, and is shown what it says."""
    call = {"do": "tool", "name": tool, "arguments": {"reason": "to be of use", **arguments}}
    return {"match": tool, "steps": [call, {"do": "result", "text": "{tool}"}]}


async def asked(p: FakePlatform, tool: str, *, cards: int = 1) -> Question:
    """Has the agent ask, and returns the card that its admin is shown."""
    await p.say(tool)
    (told, *_) = (await p.replies(1))[-1:]
    assert told.startswith("An admin is asked (approval "), told
    ids: set[str] = set()

    def shown() -> bool:
        ids.update(
            part.outgoing.question.id
            for part in p.sent
            if part.outgoing.route.platform_id == DIRECT and part.outgoing.question
        )
        return len(ids) >= cards

    await p.until(shown)
    return p.card(place=DIRECT)


def settings(house: House, agent: str = "assistant") -> Mapping[str, Any]:
    """What was set for an agent in the chat."""
    rows = house.query("SELECT settings FROM agents WHERE name = ?", agent)
    return json.loads(rows[0]["settings"]) if rows else {}


async def allow(p: FakePlatform, card: Question, button: str = "Approve") -> str:
    """Presses it, and returns what the agent says when it is told what has come of that."""
    assert (await p.press(card, button, place=DIRECT)).state == "accepted"
    return await told(p)


async def told(p: FakePlatform) -> str:
    await p.until(lambda: any("told: " in text for text in p.texts()))
    return "".join(p.texts())


async def test_a_server_is_shown_without_its_secrets_and_there_when_it_is_allowed(house: House) -> None:
    house.script(use("add_mcp_server", name="git", config=SERVER), BACK)
    async with house.open() as p:
        card = await asked(p, "add_mcp_server")
        text = card.question
        assert "assistant asks for the MCP server git." in text and "> to be of use" in text
        assert "git-mcp" in text and '"LEVEL": "1"' in text and "for Ada, session" in text
        assert "abc123" not in text and "s3cret" not in text
        before = house.runner()
        assert "An admin has allowed it. You have the server git." in await allow(p, card)
        assert settings(house)["mcp_servers"] == {"git": SERVER}
        assert house.runner() != before, "it was told in a runner that has the server"
        assert not any("s3cret" in str(each) or "abc123" in str(each) for each in await audited(house))
        shown = await give(p, "approval show", id=card_id(house))
        assert shown.state == "accepted" and "s3cret" not in str(shown)


def card_id(house: House) -> str:
    (row,) = house.query("SELECT id FROM approvals")
    return str(row["id"])


async def test_what_is_denied_is_told_and_not_asked_for_again(house: House) -> None:
    house.script(use("add_mcp_server", name="git", config=SERVER), BACK)
    async with house.open() as p:
        card = await asked(p, "add_mcp_server")
        assert "An admin has denied this" in await allow(p, card, "Deny")
        assert settings(house) == {}
        await p.say("add_mcp_server")
        await p.until(lambda: any("has denied just this already" in text for text in p.texts()))
        assert len(house.query("SELECT 1 FROM approvals")) == 1


async def test_what_nobody_decides_expires_and_is_told(house: House) -> None:
    house.script(use("create_agent", name="helper", instructions="Help."), BACK)
    async with house.open() as p:
        card = await asked(p, "create_agent")
        house.clock_ahead_ms = EXPIRES_MS + 1_000
        await house.app.context.approvals.expire()
        assert "Nobody has decided in time" in await told(p)
        assert (await p.press(card, "Approve", place=DIRECT)).state == "refused"
        assert not house.query("SELECT 1 FROM agents")


async def test_what_was_allowed_is_carried_out_by_the_next_service(house: House) -> None:
    house.script(use("create_agent", name="helper", instructions="Help."), BACK)
    async with house.open() as p:
        await asked(p, "create_agent")
        approval = card_id(house)
    # A service that was killed between the decision and its end leaves just this.
    async with house.open():
        await house.app.db.write(
            lambda db: (
                db.execute(
                    "UPDATE approvals SET state = 'approved', choice = 'Approve', decided_at = 1 WHERE id = ?",
                    (approval,),
                ).rowcount
            )
        )
    async with house.open() as p:
        assert "There is an agent helper now" in await told(p)
        assert settings(house, "helper")["instructions"] == "Help."
        assert house.query("SELECT state FROM approvals")[0]["state"] == "done"


async def test_an_effect_that_is_carried_out_twice_is_had_once(house: House) -> None:
    house.script(
        use("create_agent", name="helper", instructions="Help."),
        BACK,
    )
    async with house.open() as p:
        assert "There is an agent helper now" in await allow(p, await asked(p, "create_agent"))
        entries = len(await audited(house))
        effect = house.app.context.approvals._effects["create_agent"]
        record = await house.app.db.read(lambda db: approvals.get(db, card_id(house)))
        assert record is not None
        assert "helper" in await effect(record)
        assert len(await audited(house)) == entries
        assert len(house.query("SELECT 1 FROM destinations")) == 2


async def test_a_new_agent_can_be_written_to_by_its_name(house: House) -> None:
    house.script(use("create_agent", name="helper", instructions="Help."), BACK)
    async with house.open() as p:
        card = await asked(p, "create_agent")
        assert "asks for a new agent, helper" in card.question and "Help." in card.question
        await allow(p, card)
        rows = house.query("SELECT agent, name, channel, platform_id FROM destinations ORDER BY agent")
        assert [tuple(row) for row in rows] == [
            ("assistant", "helper", "agent", "helper"),
            ("helper", "assistant", "agent", "assistant"),
        ]
        assert (house.data / "agents" / "helper").is_dir()


async def test_only_an_owner_may_allow_a_new_agent(house: House) -> None:
    house.script(use("create_agent", name="helper", instructions="Help."), BACK)
    async with house.open() as p:
        await grant(house, ADMIN, "admin", "assistant")
        await asked(p, "create_agent")
        receipt = await give(p, "approval approve", by=ADMIN, id=card_id(house))
        assert receipt.state == "refused" and "owner" in (receipt.text or "")


async def test_a_command_is_given_in_the_name_of_whoever_allows_it(house: House) -> None:
    arguments = {"when": "every monday at 8", "prompt": "say what is due"}
    house.script(use("run_command", command="schedule create", arguments=arguments), BACK)
    async with house.open() as p:
        card = await asked(p, "run_command")
        assert "/roost schedule create\n  when: every monday at 8\n  prompt: say what is due" in card.question
        said = await allow(p, card)
        assert "It was given, and says:\nSchedule " in said
        (made,) = house.query("SELECT created_by, session FROM series")
        assert made["session"] == house.session_id()
        assert PERSON.id in made["created_by"] or made["created_by"]


async def test_a_command_that_its_admin_may_not_give_is_not_given(house: House) -> None:
    house.agents = {"assistant": house.agent, "other": {}}
    house.script(
        use("run_command", command="agent set", arguments={"name": "other", "key": "model", "value": "big"}),
        BACK,
    )
    async with house.open() as p:
        await grant(house, ADMIN, "admin", "assistant")
        await asked(p, "run_command")
        receipt = await give(p, "approval approve", by=ADMIN, id=card_id(house))
        assert receipt.state == "accepted", receipt
        assert "It was allowed, and failed: whoever has allowed it may not give it" in await told(p)
        assert settings(house, "other") == {}


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("run_command", {"command": "backup create"}, "cannot be asked for by an agent"),
        ("run_command", {"command": "nonsense"}, "There is no command nonsense."),
        ("run_command", {"command": "schedule create", "arguments": {"nothing": "x"}}, "nothing"),
        ("install_packages", {"apt": ["ripgrep"]}, NO_CONTAINERS),
        ("request_mount", {"source": "/srv"}, "Folders need containers"),
        ("create_agent", {"name": "assistant", "instructions": "x"}, "There is an agent assistant already"),
        ("request_host", {"host": "127.0.0.1"}, "is not in the public internet (loopback)"),
        ("request_host", {"host": "2130706433"}, "is a number and no address"),
        ("request_host", {"host": "*.org"}, "at least two parts"),
        ("request_destination", {"name": "me", "place": "agent:assistant"}, "That is you yourself."),
        ("request_destination", {"name": "x", "place": "agent:nobody"}, "There is no agent nobody."),
        ("request_destination", {"name": "x", "place": "#general!"}, "is no place that can be told for sure"),
        ("add_mcp_server", {"name": "a.b", "config": {"command": "x"}}, 'has letters, digits, "-" and "_"'),
    ],
)
async def test_what_nobody_could_allow_is_told_at_once(
    house: House, tool: str, arguments: dict[str, Any], said: str
) -> None:
    house.script(use(tool, **arguments))
    async with house.open() as p:
        await p.say(tool)
        await p.replies(1)
        assert said in "".join(p.texts())
        assert not house.query("SELECT 1 FROM approvals")


async def test_a_conversation_asks_for_so_much_in_an_hour(house: House) -> None:
    house.script(use("add_mcp_server", name="s{text}", config={"command": "x"}))
    house.script(
        {
            "match": "",
            "steps": [
                {
                    "do": "tool",
                    "name": "request_host",
                    "arguments": {"host": "h{text}.example.org", "reason": "r"},
                },
                {"do": "result", "text": "{tool}"},
            ],
        }
    )
    async with house.open() as p:
        for number in range(MAX_AN_HOUR + 1):
            await p.say(str(number))
            await p.replies(number + 1)
        assert "has asked for 20 things in the last hour" in p.texts()[-1] or "requests open" in p.texts()[-1]
        assert len(house.query("SELECT 1 FROM approvals")) == MAX_AN_HOUR


async def test_a_destination_is_there_in_the_session_that_has_asked(house: House) -> None:
    send = {
        "match": "post it",
        "steps": [
            {"do": "tool", "name": "send_message", "arguments": {"text": "news!", "to": "news"}},
            {"do": "result", "text": "{tool}"},
        ],
    }
    house.script(use("request_destination", name="news", place="fake:p2"), send, BACK)
    async with house.open() as p:
        await p.say("post it")
        assert "ask for one with request_destination" in "".join(await p.replies(1))
        await p.say("request_destination")
        await p.replies(2)
        await p.until(lambda: any(part.outgoing.route.platform_id == DIRECT for part in p.sent))
        await allow(p, p.card(place=DIRECT))
        await p.say("post it")
        assert await p.replies(1, place="p2") == ["news!"]


@pytest.mark.parametrize(
    ("choice", "told_so"),
    [
        ("Once", "is open to you for one connection within 10 minutes"),
        ("This session", "is open to you in this conversation"),
        ("This agent", "is open to you in all your conversations"),
    ],
)
async def test_a_host_is_opened_as_it_was_allowed(house: House, choice: str, told_so: str) -> None:
    house.script(use("request_host", host="API.example.org"), BACK)
    async with house.open() as p:
        card = await asked(p, "request_host")
        assert "Host: `api.example.org`" in card.question and "Ports: 80, 443" in card.question
        assert list(card.options) == ["Once", "This session", "This agent", "Deny"]
        assert told_so in await allow(p, card, choice)
        listed = await give(p, "agent egress", name="assistant")
        assert "api.example.org:443" in (listed.text or "")
        found = await house.app.db.read(lambda db: egress.listed(db, "assistant", now=house.now()))
        if choice == "This agent":
            assert settings(house)["gateway"] == {"hosts": ["api.example.org:80", "api.example.org:443"]}
            assert found == []
        else:
            assert [(each.session, each.ports, each.once) for each in found] == [
                (house.session_id(), (80, 443), choice == "Once")
            ]
            taken = await give(p, "agent egress", name="assistant", action="remove", host="api.example.org")
            assert taken.state == "accepted" and "may reach" in (taken.text or "")
            found = await house.app.db.read(lambda db: egress.listed(db, "assistant", now=house.now()))
            assert found == []


async def test_a_command_that_was_begun_is_not_given_twice(house: House) -> None:
    arguments = {"when": "daily at 8", "prompt": "look"}
    house.script(use("run_command", command="schedule create", arguments=arguments), BACK)
    async with house.open() as p:
        await asked(p, "run_command")
        approval = card_id(house)
        # A service that was killed in the middle of it leaves just this.
        await house.app.db.write(lambda db: egress.begin(db, approval, now=1))
        assert (await give(p, "approval approve", id=approval)).state == "accepted"
        assert "the service was stopped while the command was given" in await told(p)
        assert not house.query("SELECT 1 FROM series")
