"""What an agent asks its admins for, through real runners: asked, shown, decided, carried out, told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from adapters.base import Event, Part
from agent.protocol.clock import now_ms
from tests.fakes.platform import PERSON, FakePlatform
from tests.service.conftest import House

DIRECT: Final = f"@{PERSON.id}"
BACK: Final = {
    "match": "An admin has|Nobody has decided|It was allowed",
    "steps": [{"do": "result", "text": "{text}"}],
}
REASON: Final = {"reason": "to be of use"}


def use(tool: str, /, **arguments: Any) -> dict[str, Any]:
    """A rule: who says the tool's name has it called, and is shown what it says."""
    return {
        "match": tool,
        "steps": [
            {"do": "tool", "name": tool, "arguments": {**REASON, **arguments}},
            {"do": "result", "text": "{tool}"},
        ],
    }


def cards(p: FakePlatform, place: str = DIRECT) -> list[Part]:
    """What was shown with buttons in a place."""
    return [each for each in p.sent if each.outgoing.question and each.outgoing.route.platform_id == place]


async def card(p: FakePlatform, number: int = 1, place: str = DIRECT) -> Part:
    """The one of this number, once it is there."""
    await p.until(lambda: len(cards(p, place)) >= number)
    return cards(p, place)[number - 1]


async def press(p: FakePlatform, shown: Part, label: str) -> None:
    """Presses a button, as the person. Raises AssertionError when that is refused."""
    asked = shown.outgoing.question
    assert asked is not None
    receipt = await p.hand_in(
        Event(
            id=p.new_id(),
            kind="answer",
            route=shown.outgoing.route,
            sender=PERSON,
            created_at=now_ms(),
            question_id=asked.id,
            choice=list(asked.options).index(label),
        )
    )
    assert receipt.state == "accepted", receipt


def settings(house: House, agent: str = "assistant") -> Mapping[str, Any]:
    """What was set for an agent in the chat."""
    rows = house.query("SELECT settings FROM agents WHERE name = ?", agent)
    return json.loads(rows[0]["settings"]) if rows else {}


async def test_a_server_is_asked_for_shown_without_its_secrets_and_there_when_it_is_allowed(
    house: House,
) -> None:
    config = {
        "command": "git-mcp",
        "args": ["--token", "abc123"],
        "env": {"GIT_TOKEN": "s3cret", "LEVEL": "1"},
    }
    house.script(use("add_mcp_server", name="git", config=config), BACK)
    async with house.open() as p:
        await p.say("add_mcp_server")
        (told,) = await p.replies(1)
        assert told.startswith("An admin is asked (approval ")
        shown = await card(p)
        assert shown.outgoing.question is not None
        text = shown.outgoing.question.question
        assert "assistant asks for the MCP server git." in text and "> to be of use" in text
        assert "git-mcp" in text and '"LEVEL": "1"' in text
        assert "abc123" not in text and "s3cret" not in text
        await press(p, shown, "Approve")
        (_, after) = await p.replies(2)
        assert "An admin has allowed it. You have the server git." in after
        assert settings(house)["mcp_servers"] == {"git": config}
        kept = house.query("SELECT before, after FROM audit")
        assert kept and not any("s3cret" in str(tuple(row)) for row in kept)
