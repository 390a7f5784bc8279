"""Places as admins wire and set them in the chat, and where agents may write, on the whole service."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapters.base import Event, Receipt, Sender
from agent.protocol.clock import now_ms
from agent.protocol.messages import Route
from bot import control_client
from bot.commands.place_names import UNHEARD
from bot.errors import CommandFailed
from tests.fakes.platform import PERSON, FakePlatform
from tests.service.admins import ADMIN, audited, done, give, grant, press, refused
from tests.service.conftest import House

STRANGER = Sender("u9", "Sam")


def three(house: House) -> None:
    """A helper, who serves wherever nobody has decided, a reviewer and a poet, each of whom says who it is."""
    house.agents = {
        name: {
            **house.agent,
            "provider_options": {"script": [{"steps": [{"do": "result", "text": f"I am {name}"}]}]},
        }
        for name in ("helper", "reviewer", "poet")
    }


async def say(
    p: FakePlatform, text: str = "who?", *, by: Sender = PERSON, place: str = "p1", mention: bool = False
) -> Receipt:
    event = Event(p.new_id(), "message", p.route(place), by, now_ms(), text=text, mentions_bot=mention)
    return await p.hand_in(event)


def served(house: House, place: str = "p1") -> list[str]:
    return [each.agent for each in house.app.context.wirings.at(Route(channel="fake", platform_id=place))]


def route(place: str = "p1") -> Route:
    return Route(channel="fake", platform_id=place)


# ---------------------------------------------------------------- who serves a place


async def test_a_place_is_wired_and_unwired_in_the_chat(house: House) -> None:
    three(house)
    async with house.open() as p:
        assert (await say(p)).state == "dropped"
        wired = await done(p, "channel wire", place="here", agent="reviewer", engage="all")
        assert wired.text == "reviewer serves this place now: everything that is said there is for it."
        assert served(house) == ["reviewer"], "what nobody has decided has no claim to a place"
        assert (await say(p)).state == "accepted"
        assert await p.replies(1) == ["I am reviewer"]
        assert "serves fake/p1 already" in await refused(p, "channel wire", place="here", agent="reviewer")
        await done(p, "channel wire", agent="poet", engage="mention", priority="5")
        assert served(house) == ["poet", "reviewer"]
        gone = await done(p, "channel unwire", agent="reviewer")
        assert gone.text == "reviewer serves this place no more.\npoet does."
        await press(p, gone, "Wire reviewer again")
        assert served(house) == ["poet", "reviewer"]
        wiring = house.app.context.wirings.by_agent(route(), "reviewer")
        assert wiring is not None and wiring.mode == "all", "it is as it was"
        nobody = await done(p, "channel unwire", place="fake:p1")
        assert str(nobody.text).endswith("Nobody answers there now.")
        assert served(house) == [] and (await say(p, mention=True)).state == "dropped"
    async with house.open() as p:
        assert served(house) == [], "and beyond a restart"
        await done(p, "wiring reset", yes="true")
        assert served(house) == ["helper"]


async def test_what_the_file_has_is_taken_over_and_said_so(house: House) -> None:
    three(house)
    house.wirings = [
        {"channel": "fake", "agent": "reviewer", "engage": "all", "streaming": False},
        {"channel": "fake", "place": "p2", "agent": "poet", "strangers": "refuse"},
    ]
    async with house.open() as p:
        wired = await done(p, "channel wire", place="here", agent="poet")
        assert "What config.toml has for this place (reviewer) was taken over" in str(wired.text)
        assert served(house) == ["reviewer", "poet"]
        kept = house.app.context.wirings.by_agent(route(), "reviewer")
        assert kept is not None and kept.mode == "all" and not kept.manners.streaming
        assert served(house, "p3") == ["reviewer"], "other places are as they were"
        again = await done(p, "wiring set", place="here", agent="poet", strangers="ask")
        assert "taken over" not in str(again.text)
        changed = await done(p, "wiring set", place="fake:p2", agent="poet", bots="true")
        assert changed.data["taken_over"] == ["poet"]
        poet = house.app.context.wirings.by_agent(route("p2"), "poet")
        assert poet is not None and poet.bots and poet.strangers == "refuse"
        asked = await done(p, "wiring reset", place="fake:p2")
        assert asked.data["reset"] is False and poet == house.app.context.wirings.by_agent(
            route("p2"), "poet"
        )
        await press(p, asked, "Yes, reset it")
        back = house.app.context.wirings.by_agent(route("p2"), "poet")
        assert back is not None and not back.bots and back.strangers == "refuse"


async def test_what_is_listed_and_shown(house: House) -> None:
    three(house)
    house.wirings = [{"channel": "fake", "place": "p2", "agent": "poet"}]
    async with house.open() as p:
        await p.say("hello", place="p3")
        await p.replies(1, place="p3")
        await done(p, "channel wire", place="here", agent="reviewer", engage="all")
        house.app.intake.place("fake", "p1", "the lobby")
        await house.app.context.place_names.write()
        listed = await done(p, "channel list")
        assert {(each["place"], each["name"], each["by"]) for each in listed.data} == {
            ("fake/p1", "the lobby", "wired in the chat"),
            ("fake/p2", None, "config.toml"),
            ("fake/p3", None, "nobody has decided"),
        }
        shown = await done(p, "channel show")
        assert shown.data["wirings"][0]["settings"]["engage"] == "all"
        assert str(shown.text).startswith("fake/p1 the lobby (wired in the chat)\nreviewer: engage all")
        house.app.intake.place("fake", "p1", "the hall")
        assert (await done(p, "channel show")).data["name"] == "the hall", "it goes by its id"
        house.app.intake.place("fake", "p1", None, gone=True)
        assert "the hall (deleted)" in str((await done(p, "channel list")).text)
        lines = str((await done(p, "wiring list")).text).splitlines()
        assert [line.split()[:2] for line in lines] == [
            ["PLACE", "AGENT"],
            ["fake/p1", "reviewer"],
            ["fake/p2", "poet"],
        ]
        one = await done(p, "wiring show", agent="reviewer")
        assert one.data["settings"]["bot_messages"] == 5 and one.data["settings"]["engage"] == "all"


# ---------------------------------------------------------------- how it serves there


async def test_only_what_is_given_changes(house: House) -> None:
    three(house)
    async with house.open() as p:
        said = await done(p, "wiring set", agent="helper", engage="all", threads="false", strangers="refuse")
        assert said.data["before"] == {"engage": "mention-sticky", "strangers": "ignore", "threads": True}
        assert said.data["after"] == {"engage": "all", "strangers": "refuse", "threads": False}
        assert "engage is all now; it was mention-sticky." in str(said.text)
        (row,) = await audited(house)
        assert (row.action, row.subject, row.agent) == ("wiring set", "wiring:fake/p1:helper", "helper")
        assert (row.before, row.after) == (said.data["before"], said.data["after"])
        await done(p, "wiring set", agent="helper", priority="7")
        assert house.app.intake.manners(route()).threads is False
        await press(p, said, "Undo")
        wiring = house.app.context.wirings.by_agent(route(), "helper")
        assert wiring is not None and (wiring.mode, wiring.strangers, wiring.priority) == (
            "mention-sticky",
            "ignore",
            7,
        )
        assert "it is so already" in str((await done(p, "wiring set", agent="helper", priority="7")).text)
        assert await refused(p, "wiring set", agent="poet", engage="all") == "poet does not serve fake/p1."
        assert (await refused(p, "wiring set", agent="helper")).startswith("Say what is to be otherwise")
        assert "is none of" in await refused(p, "wiring set", agent="helper", engage="always")
        assert "priority should be less than or equal to 100" in await refused(
            p, "wiring set", agent="helper", priority="1000"
        )


async def test_bad_patterns_are_refused_when_they_are_set(house: House) -> None:
    three(house)
    async with house.open() as p:
        assert "needs a `pattern`" in await refused(p, "wiring set", agent="helper", engage="pattern")
        assert "pattern" in await refused(p, "wiring set", agent="helper", engage="pattern", pattern="(")
        await done(p, "wiring set", agent="helper", engage="pattern", pattern="^deploy")
        assert "needs a `pattern`" in await refused(p, "wiring set", agent="helper", pattern="none")
        await done(p, "wiring set", agent="helper", engage="mention", pattern="none")
        wiring = house.app.context.wirings.by_agent(route(), "helper")
        assert wiring is not None and wiring.pattern is None


async def test_what_holds_for_a_whole_place(house: House) -> None:
    three(house)
    async with house.open() as p:
        await done(p, "channel wire", place="here", agent="reviewer")
        await done(p, "channel wire", place="here", agent="poet")
        said = await done(p, "channel set", key="strangers", value="refuse")
        assert said.data["before"] == {"reviewer": "ignore", "poet": "ignore"}
        assert {each.strangers for each in house.app.context.wirings.at(route())} == {"refuse"}
        for key, value in (
            ("retention_messages_days", "30"),
            ("retention_transcripts_days", "7"),
            ("retention-files-days", "90"),
            ("forget_deleted", "on"),
            ("footer", "off"),
            ("approvals", "yes"),
        ):
            await done(p, "channel set", key=key, value=value)
        assert house.app.context.wirings.settings(route()).model_dump() == {
            "approvals": True,
            "retention_messages_days": 30,
            "retention_transcripts_days": 7,
            "retention_files_days": 90,
            "forget_deleted": True,
            "footer": False,
        }
        undo = await done(p, "channel set", key="retention_messages_days", value="none")
        assert "it was 30" in str(undo.text)
        await press(p, undo, "Undo")
        assert house.app.context.wirings.settings(route()).retention_messages_days == 30
        assert "greater than or equal to 1" in await refused(
            p, "channel set", key="retention_files_days", value="0"
        )
        assert "should be a valid boolean" in await refused(p, "channel set", key="footer", value="maybe")
        assert "should be 'ignore'" in await refused(p, "channel set", key="strangers", value="off")
        assert (await refused(p, "channel set", key="folder", value="x")).startswith(
            "There is no setting folder"
        )
    async with house.open():
        assert house.app.context.wirings.settings(route()).approvals


async def test_a_place_without_wirings_of_its_own_can_be_set(house: House) -> None:
    three(house)
    async with house.open() as p:
        await done(p, "channel set", key="footer", value="on")
        assert served(house) == ["helper"], "its agent is not touched"
        wiring = house.app.context.wirings.of(route())
        assert not wiring.wired
        await done(p, "channel set", key="strangers", value="answer")
        assert served(house) == ["helper"]
        await done(p, "wiring set", agent="helper", engage="all")
        assert (await say(p, by=STRANGER)).state == "accepted"


# ---------------------------------------------------------------- where agents may write


async def test_a_living_session_knows_its_destinations_at_once(house: House) -> None:
    steps = [
        {"do": "tool", "name": "send_message", "arguments": {"to": "news", "text": "hear, hear"}},
        {"do": "result", "text": "{tool}"},
    ]
    house.agent["idle_seconds"] = 600
    house.script({"match": "tell", "steps": steps})
    async with house.open() as p:
        await p.say("hello")
        assert await p.replies(1) == ["You said: hello"]
        pid = house.runner()
        await p.say("tell")
        assert "news" in (await p.replies(2))[1], "it has no such destination"
        added = await done(p, "destination add", agent="assistant", name="news", place="fake:p9")
        assert str(added.text).startswith("assistant may write to fake/p9 now, as news.")
        await p.say("tell")
        assert await p.replies(1, place="p9") == ["hear, hear"]
        await p.replies(3)
        listed = await done(p, "destination list", agent="assistant")
        assert [(each["name"], each["place"], each["from"]) for each in listed.data] == [
            ("news", "fake/p9", "chat")
        ]
        removed = await done(p, "destination remove", agent="assistant", name="news")
        await p.say("tell")
        await p.replies(4)
        assert p.texts("p9") == ["hear, hear"]
        await press(p, removed, "Undo")
        await p.say("tell")
        assert await p.replies(2, place="p9") == ["hear, hear"] * 2
        assert house.runner() == pid, "nobody was started anew for it"


async def test_a_destination_that_is_removed_is_refused_whatever_the_agent_believes(house: House) -> None:
    steps = [
        {"do": "stall", "seconds": 1.5},
        {"do": "tool", "name": "send_message", "arguments": {"to": "news", "text": "too late"}},
        {"do": "result", "text": "said"},
    ]
    house.script({"steps": steps})
    async with house.open() as p:
        await done(p, "destination add", agent="assistant", name="news", place="fake:p9")
        await p.say("tell")
        await p.at_work()
        await done(p, "destination remove", agent="assistant", name="news")
        assert (await p.replies(1))[-1] == "said"
        await house.until_quiet()
        assert p.texts("p9") == []


async def test_destinations_that_cannot_be(house: House) -> None:
    house.agent["destinations"] = [{"name": "log", "channel": "fake", "platform_id": "p8"}]
    async with house.open() as p:
        assert "stands in config.toml" in await refused(
            p, "destination remove", agent="assistant", name="log"
        )
        assert "has no destination x; there are: log" in await refused(
            p, "destination remove", agent="assistant", name="x"
        )
        assert "is not of the right form" in await refused(
            p, "destination add", agent="assistant", name="a b"
        )
        over = await done(p, "destination add", agent="assistant", name="log", place="here", thread="t1")
        assert over.data["place"] == "fake/p1/t1"
        back = await done(p, "destination remove", agent="assistant", name="log")
        assert back.text == "log is what config.toml has again: fake/p8."


# ---------------------------------------------------------------- what is no place, and who may


async def test_places_are_named_by_ids(house: House) -> None:
    three(house)
    async with house.open(FakePlatform("slack"), FakePlatform("discord")) as p:
        for text in (
            "#general",
            "general",
            "slack:general",
            "discord:general",
            "nowhere:C1",
            "@u1",
            "fake:@u1",
        ):
            if text == "general":  # an id may be anything on a platform that is a fake
                continue
            answer = await refused(p, "channel wire", place=text, agent="poet")
            assert "names are not taken" in answer, text
        unheard = await done(p, "channel wire", place="discord:1146523344556677001", agent="poet")
        assert str(unheard.text).endswith(UNHEARD)
        private = await done(p, "channel wire", place="slack:D0123456789", agent="poet")
        assert str(private.text).endswith("That is a direct conversation of one person with me.")
        house.app.intake.place("slack", "C0123456789", "general")
        known = await done(p, "channel wire", place="slack:C0123456789", agent="poet")
        assert "Nobody has talked" not in str(known.text)
        assert "no agent nobody" in await refused(p, "channel wire", place="here", agent="nobody")


async def test_the_place_may_be_left_out_where_words_are_given(house: House) -> None:
    three(house)
    async with house.open() as p:
        await done(p, "channel wire", text="poet")
        assert served(house) == ["poet"]
        await done(p, "channel set", text="footer on")
        await done(p, "channel set", text="fake:p2 footer on")
        assert house.app.context.wirings.settings(route("p2")).footer
        with pytest.raises(CommandFailed, match="names a place: discord:123 or slack:C123"):
            await control_client.ask(house.data / "control.sock", ["channel", "wire"], {"agent": "poet"})


async def test_an_admin_of_one_agent_wires_that_one_only(house: House) -> None:
    three(house)
    async with house.open() as p:
        await grant(house, ADMIN, "admin", "poet")
        await done(p, "channel wire", by=ADMIN, place="here", agent="poet")
        assert served(house) == ["helper", "poet"], "it takes no place away from an agent of others"
        denied: list[tuple[str, dict[str, Any]]] = [
            ("channel wire", {"agent": "reviewer"}),
            ("channel unwire", {"agent": "helper"}),
            ("channel unwire", {}),
            ("channel set", {"key": "footer", "value": "on"}),
            ("channel set", {"key": "strangers", "value": "answer"}),
            ("wiring set", {"agent": "helper", "engage": "all"}),
            ("wiring show", {"agent": "helper"}),
            ("wiring reset", {"yes": "true"}),
            ("destination add", {"agent": "helper", "name": "x"}),
            ("destination list", {"agent": "helper"}),
        ]
        for command, arguments in denied:
            text = await refused(p, command, by=ADMIN, **arguments)
            assert text.startswith("This command is for people with the role admin"), (command, text)
        await done(p, "wiring set", by=ADMIN, agent="poet", engage="all")
        await done(p, "channel unwire", agent="helper")
        await done(p, "channel set", by=ADMIN, key="footer", value="on")
        text = await refused(p, "channel set", by=ADMIN, key="approvals", value="on")
        assert text == "This command is for people with the role admin.", "others' requests are shown there"
        await done(p, "channel wire", place="fake:p2", agent="reviewer")
        assert [each["place"] for each in (await done(p, "channel list", by=ADMIN)).data] == ["fake/p1"]
        assert [each["agent"] for each in (await done(p, "wiring list", by=ADMIN)).data] == ["poet"]
        assert (await give(p, "channel show", by=ADMIN, place="fake:p2")).state == "refused"
        assert (await give(p, "channel list", by=STRANGER)).state == "dropped"


async def test_two_admins_at_once_lose_nothing(house: House) -> None:
    three(house)
    async with house.open() as p:
        changes = [
            {"engage": "all"},
            {"strangers": "refuse"},
            {"bots": "true"},
            {"bot_messages": "9"},
            {"threads": "false"},
            {"mentions": "true"},
            {"priority": "3"},
        ]
        await asyncio.gather(
            *(done(p, "wiring set", agent="helper", **each) for each in changes),
            done(p, "channel wire", place="here", agent="poet"),
            done(p, "channel set", key="footer", value="on"),
            done(p, "channel set", key="forget_deleted", value="on"),
        )
        wiring = house.app.context.wirings.by_agent(route(), "helper")
        assert wiring is not None
        assert (wiring.mode, wiring.strangers, wiring.bots, wiring.bot_messages, wiring.priority) == (
            "all",
            "refuse",
            True,
            9,
            3,
        )
        assert wiring.manners.mentions and not wiring.manners.threads
        settings = house.app.context.wirings.settings(route())
        assert settings.footer and settings.forget_deleted and served(house) == ["helper", "poet"]


async def test_an_agent_writes_to_another_one_if_an_admin_of_both_says_so(house: House) -> None:
    three(house)
    async with house.open() as p:
        await grant(house, ADMIN, "admin", "poet")
        text = await refused(p, "destination add", by=ADMIN, agent="poet", name="boss", place="agent:helper")
        assert text == "To let an agent write to the agent helper you have to be an admin of both."
        await done(p, "destination add", agent="poet", name="boss", place="agent:helper")


async def test_an_agent_is_told_where_it_may_write_now_though_a_query_is_open(house: House) -> None:
    house.agent["idle_seconds"] = 600
    house.script({"match": "where", "steps": [{"do": "result", "text": "{instructions}"}]})
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        await done(p, "destination add", agent="assistant", name="news", place="fake:p9")
        await p.say("where?")
        await p.ends(2)
        assert "- news: news" in "".join(p.texts())
