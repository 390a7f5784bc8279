"""/compact, /context, /cost and /model, from the channel to a real agent and back."""

from __future__ import annotations

import pytest

from adapters.base import Event, Receipt
from agent.protocol.clock import now_ms
from tests.fakes.platform import PERSON, FakePlatform
from tests.service.conftest import House

BACKENDS = ("process", "docker")

NATIVE = "tests.fakes.providers:NativeProvider"


async def command(p: FakePlatform, name: str, text: str = "", *, place: str = "p1") -> Receipt:
    return await p.hand_in(
        Event(
            id=p.new_id(),
            kind="command",
            route=p.route(place),
            sender=PERSON,
            created_at=now_ms(),
            command=name,
            arguments={"text": text},
        )
    )


def has_commands(house: House) -> None:
    house.agent["provider"] = NATIVE
    house.backend["allow_unsandboxed"] = True


@pytest.mark.parametrize("name", ["compact", "context", "cost"])
async def test_a_command_of_the_provider_is_passed_on(house: House, name: str) -> None:
    has_commands(house)
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        receipt = await command(p, name)
        assert (receipt.state, receipt.text) == ("accepted", f"`/roost {name}` is passed on to the agent.")
        assert await p.replies(2) == ["You said: hello", f"I received the command /{name}"]
        await p.say("and now")
        assert (await p.replies(3))[2] == "You said: and now"


async def test_a_command_wakes_an_agent_that_sleeps(house: House) -> None:
    has_commands(house)
    house.backend["runner_idle_seconds"] = 0.2
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        await house.until(lambda: not house.runners())
        await command(p, "cost")
        assert (await p.replies(2))[1] == "I received the command /cost"


async def test_a_provider_without_the_command_says_so(house: House) -> None:
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        await command(p, "compact")
        assert (await p.replies(2))[1] == "This agent's provider knows no /compact."


async def test_what_only_begins_like_a_command_is_none(house: House) -> None:
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        for name in ("compactx", "models", "compact now"):
            receipt = await command(p, name)
            assert receipt.state == "refused", name
        await p.say("/compact")
        assert (await p.replies(2))[1] == "You said: /compact", "a message is one, whatever it looks like"


async def test_commands_cannot_pile_up(house: House) -> None:
    has_commands(house)
    house.limits["backlog"] = 2
    house.script({"match": "slow", "steps": [{"do": "stall", "seconds": 600}]})
    async with house.open() as p:
        await p.say("slow")
        await p.at_work()
        assert (await command(p, "cost")).state == "accepted"
        refused = await command(p, "cost")
        assert refused.state == "refused" and "Too many messages" in str(refused.text)
        await p.interrupt()
        assert (await p.replies(2))[1] == "I received the command /cost"


async def test_a_command_needs_a_conversation(house: House) -> None:
    async with house.open() as p:
        assert (await command(p, "cost")).text == "There is no conversation here yet."


# ---------------------------------------------------------------- model


async def test_a_conversation_has_a_model_of_its_own(house: House) -> None:
    house.agent["model"] = "configured"
    house.script({"steps": [{"do": "result", "text": "{model}"}]})
    async with house.open() as p:
        asked = await command(p, "model")
        assert asked == Receipt(
            "accepted", "This conversation uses the configured model configured.", {"model": None}
        )
        said = await command(p, "model", "large[1m]")
        assert said.text == "From the next turn on this conversation uses the model large[1m]."
        await p.say("one")
        await p.say("two", place="p2")
        assert await p.replies(1) == ["large[1m]"]
        assert await p.replies(1, place="p2") == ["configured"]
    async with house.open() as p:
        asked = await command(p, "model")
        assert asked.data == {"model": "large[1m]"} and "`/roost model default`" in str(asked.text)
        await p.say("three")
        assert (await p.replies(2))[1] == "large[1m]"
        back = await command(p, "model", "default")
        assert back.text == "From the next turn on this conversation uses the configured model configured."
        assert (await command(p, "model")).data == {"model": None}
        await p.say("four")
        assert (await p.replies(3))[2] == "configured"


async def test_without_a_configured_model_it_is_the_providers_choice(house: House) -> None:
    async with house.open() as p:
        asked = await command(p, "model")
        assert asked.text == "This conversation uses the provider's own choice of a model."


@pytest.mark.parametrize("name", ["--dangerous", "-x", "two words", "a;b", "x" * 201, "$(id)"])
async def test_a_name_that_cannot_be_a_models_is_refused(house: House, name: str) -> None:
    async with house.open() as p:
        refused = await command(p, "model", name)
        assert (refused.state, refused.text) == ("refused", "Usage: /roost model [NAME]")
    assert not house.query("SELECT 1 FROM inbox")


async def test_a_model_outlives_the_agents_own_files(house: House) -> None:
    house.script({"match": "which", "steps": [{"do": "result", "text": "{model}"}]})
    house.backend["runner_idle_seconds"] = 0.2
    async with house.open() as p:
        await command(p, "model", "large")
        await p.say("which")
        assert await p.replies(1) == ["large"]
        await house.until(lambda: not house.runners())
        house.workspace().outbound.write_bytes(b"garbage" * 5000)
        # What is asked before the damage is found may still be answered by the configured model.
        await p.say("hello")
        await p.until(lambda: "You said: hello" in p.texts())
        await p.say("which")
        await p.until(lambda: p.texts()[-1] != "You said: hello")
        assert p.texts()[-1] == "large"
    assert list((house.folder() / "damaged").iterdir()), "outbound.db was put aside"
