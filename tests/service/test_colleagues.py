"""Agents that write to each other: what one asks another is answered where the first was asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapters.base import Outgoing
from agent.protocol.messages import Route
from bot.colleagues import MAX_AN_HOUR, MAX_HOPS
from tests.fakes.discord_server import DiscordServer
from tests.service.conftest import ON_BOTH, House
from tests.service.town import Town


def to(name: str, text: str, **more: Any) -> dict[str, Any]:
    """A step that writes to a destination."""
    return {"do": "tool", "name": "send_message", "arguments": {"text": text, "to": name, **more}}


def say(text: str) -> dict[str, Any]:
    return {"do": "result", "text": text}


def rule(match: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"match": match, "steps": list(steps)}


def agent(*rules: dict[str, Any], knows: str | None = None) -> dict[str, Any]:
    """An agent that may write to another one."""
    places = [] if knows is None else [{"name": knows, "channel": "agent", "platform_id": knows}]
    return {"idle_seconds": 0.3, "provider_options": {"script": list(rules)}, "destinations": places}


ASKS = rule("find out", to("researcher", "What is the capital of Lesotho?"), say("I have asked."))
TELLS = rule("Maseru", say("It is Maseru."))
KNOWS = rule("capital", say("Maseru, says the {prompt}"))


def team(
    house: House, *, lead: list[dict[str, Any]], researcher: list[dict[str, Any]], back: bool = False
) -> None:
    house.agents = {
        "lead": agent(*lead, knows="researcher"),
        "researcher": agent(*researcher, knows="lead" if back else None),
    }


@ON_BOTH
async def test_an_agent_asks_another_and_answers_where_it_was_asked(house: House) -> None:
    team(house, lead=[ASKS, TELLS], researcher=[KNOWS])
    async with house.open() as p:
        await p.say("find out", thread="t1")
        assert await p.replies(2, thread="t1") == ["I have asked.", "It is Maseru."]
        await house.until_quiet_everywhere()
    own = {
        str(row["id"]): row
        for row in house.query("SELECT * FROM sessions WHERE agent IN ('lead', 'researcher')")
    }
    (lead,) = [row for row in own.values() if row["agent"] == "lead"]
    (researcher,) = [row for row in own.values() if row["agent"] == "researcher"]
    assert (researcher["channel"], researcher["platform_id"], researcher["thread_id"]) == (
        "agent",
        "lead",
        lead["id"],
    )
    there, back = house.query("SELECT * FROM errands ORDER BY hops")
    assert (there["sender"], there["receiver"], there["hops"]) == (lead["id"], researcher["id"], 1)
    assert (back["sender"], back["receiver"], back["hops"]) == (researcher["id"], lead["id"], 2)
    assert (back["began_platform_id"], back["began_thread_id"], back["person"]) == ("p1", "t1", "u1")
    rows = house.query("SELECT sender_id, content FROM inbox WHERE kind = 'chat' ORDER BY accepted_at, rowid")
    assert [row["sender_id"] for row in rows] == ["u1", "u1", "u1"]
    assert [json.loads(row["content"]).get("agent", False) for row in rows] == [False, True, True]
    prompt = json.loads(rows[2]["content"])["text"]
    assert '<message id="2"' in prompt and 'from="lead" agent="true"' in prompt


async def test_it_is_the_same_on_discord(house: House) -> None:
    team(house, lead=[ASKS, TELLS], researcher=[KNOWS])
    async with DiscordServer() as discord:
        town = Town(house, discord)
        async with town.open():
            said = town.ada.say(town.general, "find out", mention=[discord.bot])
            thread = await town.thread_of(said)
            await town.until(lambda: "It is Maseru." in thread.texts)
            assert [each.text for each in thread.messages if each.author is discord.bot] == [
                "I have asked.",
                "It is Maseru.",
            ]


async def test_files_go_both_ways(house: House) -> None:
    make = {
        "do": "tool",
        "name": "send_file",
        "arguments": {"path": "notes.txt", "text": "capital", "to": "researcher"},
    }
    back = {"do": "tool", "name": "send_file", "arguments": {"path": "notes.txt", "text": "Maseru"}}
    team(
        house,
        lead=[rule("find out", make, say("{tool}")), rule("Maseru", say("{prompt}"))],
        researcher=[rule("capital", back, say(""))],
    )
    async with house.open() as p:
        await p.say("hello")
        await p.replies(1)
        (house.workspace().work / "notes.txt").write_text("what I know")
        await p.say("find out")
        await p.until(lambda: len(p.texts()) >= 2)
        await house.until(lambda: len(house.query("SELECT 1 FROM errands")) == 1)
        await house.until_quiet_everywhere()
        other = _session(house, "researcher")
        received = list((house.data / "sessions" / other / "in" / "files").rglob("*notes.txt"))
        assert [each.read_text() for each in received] == ["what I know"]
        (house.data / "sessions" / other / "work" / "notes.txt").write_text("what they know")
        await p.say("find out")
        await p.until(lambda: any("attachment name=" in text for text in "".join(p.texts()).split("\n")))
        files = [each.read_text() for each in (house.folder() / "in" / "files").rglob("*notes.txt")]
        assert files == ["what they know"]


def _session(house: House, name: str) -> str:
    (row,) = house.query("SELECT id FROM sessions WHERE agent = ?", name)
    return str(row["id"])


async def test_agents_that_pass_everything_on_come_to_an_end(house: House) -> None:
    """Each answers what it hears by asking the other one."""
    team(
        house,
        lead=[rule("", to("researcher", "and you?"), say("<internal>{tool}</internal>"))],
        researcher=[rule("", to("lead", "and you?"), say("<internal>{tool}</internal>"))],
        back=True,
    )
    async with house.open() as p:
        await p.say("begin")
        await house.until(
            lambda: bool(house.query("SELECT 1 FROM deliveries WHERE error LIKE 'agents have passed%'"))
        )
        await house.until_quiet_everywhere()
    hops = [row["hops"] for row in house.query("SELECT hops FROM errands ORDER BY hops")]
    assert hops == list(range(1, MAX_HOPS + 1))
    assert len(house.query("SELECT id FROM sessions WHERE agent IN ('lead', 'researcher')")) == 2


async def test_an_agent_writes_so_much_in_an_hour(house: House) -> None:
    steps = [to("researcher", f"note {number}") for number in range(MAX_AN_HOUR + 1)]
    team(
        house,
        lead=[rule("begin", *steps, say("done"))],
        researcher=[rule("", say("<internal>so</internal>"))],
    )
    async with house.open() as p:
        await p.say("begin")
        await p.replies(1)
        await house.until_quiet_everywhere()
        await house.until(
            lambda: bool(house.query("SELECT 1 FROM deliveries WHERE error LIKE 'you have written%'"))
        )
    assert len(house.query("SELECT 1 FROM errands")) == MAX_AN_HOUR


async def test_nobody_writes_to_whom_they_do_not_know(house: House) -> None:
    house.agents = {
        "lead": agent(rule("find", to("researcher", "x"), say("{tool}"))),
        "researcher": agent(KNOWS),
    }
    async with house.open() as p:
        await p.say("find")
        assert "There is no destination 'researcher'" in (await p.replies(1))[0]
        assert not house.query("SELECT 1 FROM errands")


async def test_a_question_or_an_edit_is_not_for_an_agent(house: House) -> None:
    ask = {
        "do": "tool",
        "name": "ask_user_question",
        "arguments": {"title": "T", "question": "Which?", "timeout_seconds": 5},
    }
    team(
        house,
        lead=[rule("find out", to("researcher", "capital?"), say("asked"))],
        researcher=[rule("capital", ask, say("{tool}"))],
    )
    async with house.open() as p:
        await p.say("find out")
        await house.until(
            lambda: bool(
                house.query("SELECT 1 FROM deliveries WHERE error LIKE 'another agent can be sent%'")
            )
        )


async def test_what_is_sent_again_arrives_once(house: House) -> None:
    """Whoever was killed between a send and its record sends again."""
    team(house, lead=[ASKS, TELLS], researcher=[KNOWS])
    async with house.open() as p:
        await p.say("find out")
        assert await p.replies(2) == ["I have asked.", "It is Maseru."]
        await house.until_quiet_everywhere()
        colleagues = house.app.delivery._sending._adapters["agent"]
        route = Route(channel="agent", platform_id="researcher")
        again = Outgoing("m1", route, "capital", session=_session(house, "lead"))
        (part,) = colleagues.render(again)
        sent = await colleagues.send(part)
        assert await colleagues.send(part) == sent
        await house.until_quiet_everywhere()
    async with house.open():
        await house.until_quiet_everywhere()
        by_lead = house.query("SELECT 1 FROM errands WHERE sender = ?", _session(house, "lead"))
        assert len(by_lead) == 2, "what was asked at first, and what was sent twice"


async def test_an_agent_that_fails_says_so_to_the_one_that_asked(house: House, tmp_path: Path) -> None:
    house.turns = {"retry_base_seconds": 0.02, "max_tries": 1}
    crash = rule("capital", {"do": "crash", "code": 3})
    team(
        house, lead=[ASKS, rule("researcher|could not|give", say("It could not: {text}"))], researcher=[crash]
    )
    async with house.open() as p:
        await p.say("find out")
        _, told = await p.replies(2)
        assert told.startswith("It could not: ")
