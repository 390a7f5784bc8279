"""Agents as admins see, make, change, delete and restore them in the chat, on the whole service."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from bot import control_client
from bot.errors import CommandFailed
from tests.fakes.backend import FakeBackend
from tests.fakes.platform import PERSON, FakePlatform
from tests.service.admins import ADMIN, MEMBER, audited, done, give, grant, press, refused
from tests.service.conftest import House
from tests.service.test_completion import suggested

SAYS: dict[str, Any] = {"script": [{"steps": [{"do": "result", "text": "{model}|{instructions}"}]}]}
SECRET = "made-up-secret-of-a-test"  # noqa: S105


def two(house: House, **helper: Any) -> None:
    """A helper, who serves wherever nobody has decided, and a reviewer."""
    both = {**house.agent, "provider_options": SAYS}
    house.agents = {"helper": {**both, **helper}, "reviewer": both}


async def answer(house: House, p: FakePlatform, text: str = "who?", place: str = "p1") -> str:
    """What the agent says to one more message of a place: its model, and all that it is told."""
    count = len(p.settled(place))
    assert (await p.say(text, place=place)).state == "accepted"
    await p.ends(count + 1, place=place)
    last = [part.outgoing.id for part in p.sent if part.outgoing.route == p.route(place)][-1]
    return "".join(part.text for part in p.sent if part.outgoing.id == last)


# ---------------------------------------------------------------- a change, and when it counts


async def test_a_change_counts_from_the_next_turn_on(house: House) -> None:
    two(house, instructions="Be kind.", model="small", idle_seconds=600)
    async with house.open() as p:
        first = await answer(house, p)
        assert first.startswith("small|") and first.endswith("Be kind.")
        before = house.runner_name()
        said = await done(p, "agent set", name="helper", key="model", value="large")
        assert said.text == "helper: model is large now; it was small. It counts from the next turn on."
        assert said.data == {"agent": "helper", "before": {"model": "small"}, "after": {"model": "large"}}
        assert (await answer(house, p)).startswith("large|"), "also where a query of the provider was open"
        assert house.runner_name() == before, "one session has one container"
        await done(p, "agent set", name="helper", key="instructions", value="Be brief.\nAnd exact.")
        assert (await answer(house, p)).endswith("Be brief.\nAnd exact.")
        (newest, *_) = await audited(house)
        assert (newest.action, newest.subject, newest.agent) == ("agent set", "agent:helper", "helper")
        assert (newest.before, newest.after) == (
            {"instructions": "Be kind."},
            {"instructions": "Be brief.\nAnd exact."},
        )
        assert (newest.actor, newest.surface, newest.platform_id) == (PERSON.id, "fake", "p1")
    async with house.open() as p:
        assert (await answer(house, p)).startswith("large|"), "and beyond a restart"


async def test_what_is_at_work_finishes_its_turn_with_what_it_began_with(house: House) -> None:
    two(house)
    slow = [{"do": "stall", "seconds": 1}, {"do": "result", "text": "{model}"}]
    house.agents = {
        "helper": {**house.agent, "model": "small", "provider_options": {"script": [{"steps": slow}]}}
    }
    async with house.open() as p:
        await p.say("one")
        await p.at_work()
        await done(p, "agent set", name="helper", key="model", value="large")
        assert await p.replies(1) == ["small"]
        await p.say("two")
        assert await p.replies(2) == ["small", "large"]
        await house.until_quiet()
        assert house.states() == {"done": 2}


async def test_a_container_is_replaced_as_soon_as_it_is_idle(house: House) -> None:
    two(house, model="small")
    backend = FakeBackend()
    async with house.open(backend=backend) as p:
        await p.say("hello")
        await house.until(lambda: len(backend.started) == 1)
        (alive,) = backend.engine.alive()
        await house.app.context.operations.interrupt(house.session_id())
        await house.app.context.operations.stop(house.session_id())
        await p.say("again")
        await house.until(lambda: len(backend.started) == 2)
        await done(p, "agent set", name="helper", key="memory_mb", value="2048")
        assert backend.engine.alive() == [alive], "it is at work"
        await house.app.context.operations.stop(house.session_id())
        await p.say("and again")
        await house.until(lambda: len(backend.started) == 3)
        assert [each.limits.memory_mb for each in backend.started] == [1024, 1024, 2048]
        assert backend.started[0].labels["roost.settings"] == backend.started[1].labels["roost.settings"]
        assert backend.started[1].labels["roost.settings"] != backend.started[2].labels["roost.settings"]


async def test_what_only_the_host_looks_at_replaces_nobody(house: House) -> None:
    two(house)
    async with house.open() as p:
        await answer(house, p)
        pid = house.runner()
        await done(p, "agent set", name="helper", key="turn_limit_seconds", value="60")
        await done(p, "agent set", name="helper", key="disk_mb", value="100")
        await done(p, "agent set", name="reviewer", key="model", value="large")
        await answer(house, p)
        assert house.runner() == pid
        await done(p, "agent set", name="helper", key="effort", value="low")
        await answer(house, p)
        assert house.runner() != pid


async def test_an_earlier_services_container_is_replaced_if_its_agent_is_another_one_by_now(
    house: House,
) -> None:
    two(house, model="small")
    async with house.open() as p:
        await answer(house, p)
    two(house, model="large")
    async with house.open() as p:
        assert (await answer(house, p)).startswith("large|")


# ---------------------------------------------------------------- what may be set, and to what


async def test_each_value_is_held_against_the_configuration(house: House) -> None:
    two(house)
    async with house.open() as p:

        async def wrong(key: str, value: str) -> str:
            return await refused(p, "agent set", name="helper", key=key, value=value)

        assert await wrong("max_turns", "many") == (
            "The agent cannot be so: max_turns should be a valid integer, unable to parse string as an integer."
        )
        assert "limits.memory_mb should be greater than or equal to 64" in await wrong("memory_mb", "1")
        assert "unknown provider" in await wrong("provider", "gpt")
        assert "the process backend isolates nothing" in await wrong("provider", "claude")
        assert "cannot be none" in await wrong("cpus", "none")
        for key in ("folder", "model_key", "model_url", "workspace_settings", "provider_options", "x" * 500):
            assert (await wrong(key, "x")).startswith("There is no setting ") or key == "x" * 500
        assert await wrong("hosts", "a.org") == (
            "The setting hosts has a command of its own: `agent egress NAME add|remove ...`."
        )
        assert await audited(house) == [], "what was refused has changed nothing"
        assert house.query("SELECT * FROM agents") == []


async def test_instructions_of_any_length_that_a_container_can_be_given(house: House) -> None:
    two(house)
    async with house.open() as p:
        long = "Do this. " * 444 + "End."
        assert len(long) == 4000
        await done(p, "agent set", name="helper", key="instructions", value=long)
        assert house.app.context.roster["helper"].instructions == long
        shown = await done(p, "agent show", name="helper")
        assert "(4,000 characters)" in str(shown.text)
        assert shown.data["settings"]["instructions"] == {"value": long, "source": "chat"}
        too_long = await refused(p, "agent set", name="helper", key="instructions", value="x" * 100_000)
        assert too_long == (
            "The agent cannot be so: instructions: longer than 64 KiB; put them into INSTRUCTIONS.md in the"
            " agent's folder."
        )
        await done(p, "agent set", name="helper", key="instructions", value="none")
        assert house.app.context.roster["helper"].instructions is None


async def test_where_each_value_comes_from_and_the_way_back(house: House) -> None:
    two(house, model="small")
    async with house.open() as p:
        said = await done(p, "agent set", name="helper", key="model", value="large")
        await done(
            p, "agent set", name="helper", key="disallowed_tools", value="WebFetch, Bash(git log, git show)"
        )
        found = (await done(p, "agent show", name="helper")).data["settings"]
        assert found["model"] == {"value": "large", "source": "chat"}
        assert found["disallowed_tools"]["value"] == ["WebFetch", "Bash(git log, git show)"]
        assert found["idle_seconds"] == {"value": 0.3, "source": "config.toml"}
        assert found["max_turns"] == {"value": None, "source": "default"}
        await press(p, said, "Undo")
        assert house.app.context.roster["helper"].model == "small"
        assert (await done(p, "agent show", name="helper")).data["settings"]["model"][
            "source"
        ] == "config.toml"
        assert await refused(p, "agent unset", name="helper", key="model") == (
            "The setting model was not changed in the chat."
        )
        await done(p, "agent set", name="helper", key="model", value="a")
        again = await done(p, "agent set", name="helper", key="model", value="b")
        await press(p, again, "Undo")
        assert house.app.context.roster["helper"].model == "a", "it was set in the chat before"
        same = await done(p, "agent set", name="helper", key="model", value="a")
        assert same.text == "helper: model is a already." and len(await audited(house)) == 6


# ---------------------------------------------------------------- made, deleted, brought back


async def test_an_agent_is_made_in_the_chat_and_answers(house: House) -> None:
    two(house, model="small")
    async with house.open() as p:
        made = await done(p, "agent create", name="poet", instructions="You write poems.")
        assert "`/roost channel wire here poet`" in str(made.text)
        assert (house.data / "agents" / "poet").is_dir()
        assert (await press(p, made, "Have it answer here")).state == "accepted"
        assert (await answer(house, p)).endswith("You write poems.")
        assert await refused(p, "agent create", name="poet") == "There is an agent poet already."
        assert await refused(p, "agent create", name="helper") == "There is an agent helper already."
        for name in ("Poet", "two words", "(roost)", "ä"):
            assert "an agent is named" in (await refused(p, "agent create", name=name)).lower()
        listed = (await done(p, "agent list")).data
        assert [(each["name"], each["from"]) for each in listed] == [
            ("helper", "config.toml"),
            ("reviewer", "config.toml"),
            ("poet", "chat"),
        ]
    async with house.open() as p:
        assert (await answer(house, p)).endswith("You write poems.")


async def test_an_agent_like_another_has_its_settings(house: House) -> None:
    two(
        house,
        model="small",
        instructions="Be kind.",
        gateway={"hosts": ["a.org:443"], "spend_session_usd": 3},
    )
    async with house.open() as p:
        await done(p, "agent set", name="helper", key="max_turns", value="7")
        await done(p, "agent create", name="twin", like="helper")
        await done(p, "agent create", name="other", like="twin", model="large")
        await done(p, "agent create", name="bare")
        twin, other, bare = (house.app.context.roster[name] for name in ("twin", "other", "bare"))
        assert (twin.model, twin.instructions, twin.max_turns, twin.gateway.hosts) == (
            "small",
            "Be kind.",
            7,
            ["a.org:443"],
        )
        assert (other.model, other.instructions) == ("large", "Be kind.")
        assert (bare.model, bare.instructions, bare.gateway.hosts) == ("small", None, [])
        assert bare.gateway.spend_session_usd == 3, "what bounds the first agent bounds those of the chat"
        assert "no agent nobody" in await refused(p, "agent create", name="x", like="nobody")


async def test_a_deleted_agent_stops_and_can_be_brought_back(house: House) -> None:
    two(house)
    async with house.open() as p:
        await done(p, "agent create", name="poet", instructions="Poems.")
        await done(p, "channel wire", place="here", agent="poet", at="p2")
        assert (await answer(house, p, place="p2")).endswith("Poems.")
        asked = await done(p, "agent delete", name="poet")
        assert "its 1 conversations are kept and stopped" in str(asked.text) and "fake/p2" in str(asked.text)
        assert "poet" in house.app.context.roster, "nothing was done yet"
        gone = await press(p, asked, "Yes, delete it")
        assert gone.text == "The agent poet is deleted; `/roost agent restore poet` brings it back."
        await house.until(lambda: not house.runners())
        assert "poet" not in house.app.context.roster
        assert await refused(p, "agent show", name="poet") == (
            "There is no agent poet; `/roost agent list` shows them."
        )
        assert "agent restore poet" in await refused(p, "agent create", name="poet")
        listed = await done(p, "agent list")
        assert str(listed.text).endswith("Deleted: poet")
    async with house.open() as p:
        back = await done(p, "agent restore", name="poet")
        assert back.text == "The agent poet is back and serves fake/p2."
        assert (await answer(house, p, place="p2")).endswith("Poems.")
        assert await refused(p, "agent restore", name="poet") == "The agent poet was not deleted."


async def test_an_agent_at_work_is_stopped_when_it_is_deleted(house: House) -> None:
    two(house)
    async with house.open() as p:
        await done(p, "agent create", name="poet", like="helper")
        await done(p, "channel wire", place="here", agent="poet", at="p2")
        stall = {"script": [{"steps": [{"do": "stall", "seconds": 600}]}]}
    assert house.agents is not None
    house.agents["helper"]["provider_options"] = stall
    async with house.open() as p:
        await p.say("work", place="p2")
        await p.at_work(place="p2")
        await done(p, "agent delete", name="poet", yes="true")
        assert await p.replies(1, place="p2") == [
            "Sorry, I could not answer this: there is no agent poet any more."
        ]
        await house.until(lambda: not house.runners())


async def test_agents_that_have_to_stay(house: House) -> None:
    two(house)
    house.wirings = [{"channel": "other", "agent": "reviewer"}]
    async with house.open() as p:
        assert "first agent of config.toml" in await refused(p, "agent delete", name="helper")
        assert "config.toml has the agent reviewer serve" in await refused(p, "agent delete", name="reviewer")
        assert "no agent nobody" in await refused(p, "agent delete", name="nobody", yes="true")
    house.agents = {"helper": house.agent}
    house.wirings = []
    async with house.open() as p:
        assert "the last agent" in await refused(p, "agent delete", name="helper", yes="true")


async def test_schedules_of_a_deleted_agent_rest(house: House) -> None:
    two(house)
    async with house.open() as p:
        await done(p, "agent create", name="poet", like="helper")
        await done(p, "channel wire", place="here", agent="poet", at="p2")
        await answer(house, p, place="p2")
        order = "yes every monday at 9: Write"
        await done(p, "schedule create", at="p2", order=order)
        await done(p, "agent delete", name="poet", yes="true")
        house.clock_ahead_ms = 8 * 24 * 3_600_000
        session = house.session_id("p2")
        house.app.context.schedules.have_changed(session)
        await house.app.db.read(lambda db: None)
        assert house.query("SELECT * FROM runs") == []
        await done(p, "agent restore", name="poet")
        house.app.context.schedules.have_changed(session)
        await house.until(lambda: len(house.query("SELECT * FROM runs")) == 1)


# ---------------------------------------------------------------- what an agent is given


async def test_hosts_packages_and_servers(house: House) -> None:
    two(house, gateway={"hosts": ["a.org:443"]})
    async with house.open() as p:
        await done(p, "agent egress", name="helper", action="add", host="API.GitHub.com")
        assert house.app.context.roster["helper"].gateway.hosts == ["a.org:443", "api.github.com:443"]
        assert "already" in await refused(
            p, "agent egress", name="helper", action="add", host="api.github.com"
        )
        assert "is no name of a host" in await refused(
            p, "agent egress", name="helper", action="add", host="a b"
        )
        removed = await done(p, "agent egress", name="helper", action="remove", host="a.org")
        assert house.app.context.roster["helper"].gateway.hosts == ["api.github.com:443"]
        await press(p, removed, "Undo")
        assert "a.org:443" in house.app.context.roster["helper"].gateway.hosts
        await done(p, "agent packages", name="helper", action="add", kind="pip", package="pandas==2.3.0")
        await done(p, "agent packages", name="helper", action="add", package="ripgrep")
        assert "should be the name of a Debian package" in await refused(
            p, "agent packages", name="helper", action="add", package="x; rm -rf /"
        )
        listed = (await done(p, "agent packages", name="helper")).data
        assert listed == {"agent": "helper", "apt": ["ripgrep"], "pip": ["pandas==2.3.0"]}
        await done(p, "agent packages", name="helper", action="remove", kind="pip", package="pandas")
        assert house.app.context.roster["helper"].image.pip == []
        assert "there are: ripgrep" in await refused(
            p, "agent packages", name="helper", action="remove", package="jq"
        )


async def test_no_secret_of_a_server_is_shown_or_kept_in_the_audit(house: House) -> None:
    two(house)
    config = {"command": "search", "args": ["--fast"], "env": {"TOKEN": SECRET, "EMPTY": ""}}
    async with house.open() as p:
        said = [
            await done(
                p, "agent mcp", name="helper", action="add", server="search", definition=json.dumps(config)
            ),
            await done(p, "agent mcp", name="helper"),
            await done(p, "agent show", name="helper"),
        ]
        assert house.app.context.roster["helper"].mcp_servers == {"search": config}
        assert said[1].data["mcp_servers"]["search"]["env"] == {"TOKEN": "set", "EMPTY": "not set"}
        assert SECRET not in str(said) and SECRET not in str(await audited(house))
        for bad in ("{", "[]", "{}", json.dumps({"command": "x", "env": {"A": 1}}), SECRET):
            text = await refused(p, "agent mcp", name="helper", action="add", server="x", definition=bad)
            assert text.startswith("An MCP server is a JSON object") and SECRET not in text
        await refused(
            p, "agent mcp", name="helper", action="add", server="a b", definition=json.dumps(config)
        )
        await done(p, "agent mcp", name="helper", action="remove", server="search")
        assert house.app.context.roster["helper"].mcp_servers == {}


async def test_folders_are_an_owners_business(house: House) -> None:
    two(house)
    async with house.open() as p:
        await grant(house, ADMIN, "admin")
        for command, arguments in (
            ("agent mount", {"action": "add", "folder": "/srv"}),
            ("agent set", {"key": "directories", "value": "/srv"}),
            ("agent set", {"key": "provider", "value": "mock"}),
            ("agent unset", {"key": "directories"}),
        ):
            text = await refused(p, command, by=ADMIN, name="helper", **arguments)
            assert text == "This command is for people with the role owner for the agent helper."
        assert "for people with the role owner" in await refused(
            p, "agent create", by=ADMIN, name="x", provider="mock"
        )
        assert (await done(p, "agent mount", by=ADMIN, name="helper")).text == "mounts: none"
        assert "Without Docker" in await refused(p, "agent mount", name="helper", action="add", folder="/srv")
        assert "whole path" in await refused(p, "agent mount", name="helper", action="add", folder="srv")


# ---------------------------------------------------------------- who may


async def test_an_admin_of_one_agent_has_that_one_only(house: House) -> None:
    two(house)
    async with house.open() as p:
        await grant(house, ADMIN, "admin", "reviewer")
        await grant(house, MEMBER, "member")
        await done(p, "agent set", by=ADMIN, name="reviewer", key="model", value="large")
        assert [each["name"] for each in (await done(p, "agent list", by=ADMIN)).data] == ["reviewer"]
        assert await suggested(p, "agent set", "name", by=ADMIN) == ["reviewer"]
        for name in ("helper", "nobody"):
            for command, arguments in (
                ("agent show", {}),
                ("agent set", {"key": "model", "value": "x"}),
                ("agent set", {"key": "no such", "value": "x"}),
                ("agent unset", {"key": "model"}),
                ("agent delete", {"yes": "true"}),
                ("agent restore", {}),
                ("agent egress", {}),
                ("agent mcp", {}),
                ("agent packages", {"action": "add", "package": "jq"}),
            ):
                text = await refused(p, command, by=ADMIN, name=name, **arguments)
                assert text == f"This command is for people with the role admin for the agent {name}.", (
                    command
                )
        assert "role admin" in await refused(p, "agent create", by=ADMIN, name="x")
        for command in ("agent list", "agent show", "agent set", "agent delete"):
            assert (
                await give(p, command, by=MEMBER, name="helper", key="model", value="x")
            ).state == "refused"
        assert house.app.context.roster["helper"].model is None


async def test_two_admins_at_once_lose_nothing(house: House) -> None:
    two(house)
    async with house.open() as p:
        hosts = [f"h{n}.example.org:443" for n in range(20)]
        adds = [done(p, "agent egress", name="helper", action="add", host=host) for host in hosts]
        sets = [done(p, "agent set", name="helper", key="max_turns", value=str(n)) for n in range(1, 11)]
        await asyncio.gather(*adds, *sets, done(p, "agent set", name="helper", key="model", value="large"))
        helper = house.app.context.roster["helper"]
        assert sorted(helper.gateway.hosts) == sorted(hosts) and helper.model == "large"
        rows = [each for each in await audited(house) if "max_turns" in (each.after or {})]
        chain = [(each.before["max_turns"], each.after["max_turns"]) for each in reversed(rows)]
        assert len(chain) == 10 and chain[0][0] is None
        assert all(later[0] == earlier[1] for earlier, later in pairwise(chain))
        assert helper.max_turns == chain[-1][1], "what holds is what was written last"


async def test_completion_of_settings(house: House) -> None:
    two(house, model="small")
    async with house.open() as p:
        assert "max_turns" in await suggested(p, "agent set", "key", "max")
        assert await suggested(p, "agent set", "value", name="helper", key="model") == ["small", "none"]
        await done(p, "agent set", name="helper", key="model", value="large")
        assert await suggested(p, "agent unset", "key", name="helper") == ["model"]
        await done(p, "agent delete", name="reviewer", yes="true")
        assert await suggested(p, "agent restore", "name") == ["reviewer"]


async def test_the_command_line_gives_them_as_well(house: House) -> None:
    two(house)
    async with house.open():
        socket = house.data / "control.sock"
        answered = await control_client.ask(
            socket, ["agent", "set"], {"name": "helper", "key": "model", "value": "l"}
        )
        assert answered.data["after"] == {"model": "l"}
        (row,) = await audited(house)
        assert row.surface == "control"
        with pytest.raises(CommandFailed, match="no agent nobody; `roost agent list`"):
            await control_client.ask(socket, ["agent", "show"], {"name": "nobody"})
        made = await control_client.ask(socket, ["agent", "create"], {"name": "poet"})
        assert "`roost channel wire PLACE poet`" in made.text
