"""A person's day on Discord, over the wire and through a container: what they see is what stands on the server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Place
from tests.service.conftest import House
from tests.service.town import Town

BACKENDS = ("process", "docker")
WORDS = "".join(f"word{n} " for n in range(30))
STREAM = [
    step
    for n in range(30)
    for step in ({"do": "delta", "text": f"word{n} "}, {"do": "stall", "seconds": 0.04})
]


def say(text: str) -> dict[str, str]:
    return {"do": "result", "text": text}


def tool(name: str, **arguments: object) -> dict[str, object]:
    return {"do": "tool", "name": name, "arguments": arguments}


SCRIPT = (
    {"match": "stream", "steps": STREAM},
    {"match": "think", "steps": [{"do": "stall", "seconds": 1.0}, say("thought about it")]},
    {
        "match": "for ever",
        "steps": [{"do": "delta", "text": "It goes on and on"}, {"do": "stall", "seconds": 90}],
    },
    {
        "match": "file",
        "steps": [tool("send_file", path="notes.txt", text="As you wish."), say("sent")],
    },
    {
        "match": "colour",
        "steps": [
            tool("ask_user_question", title="Colour", question="Which one?", options=["Red", "Green"]),
            say("So be it: {tool}"),
        ],
    },
    {"steps": [say("You said: {text}")]},
)


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    house.script(*SCRIPT)
    async with DiscordServer() as discord:
        yield Town(house, discord)


def mine(town: Town, place: Place) -> list[str]:
    """What the bot has said in a place, as it stands there now."""
    return [each.text for each in place.messages if each.author is town.discord.bot and not each.is_deleted]


async def test_a_day(town: Town) -> None:
    discord, ada, bot = town.discord, town.ada, town.discord.bot
    async with town.open():
        # A mention opens a thread, in which the answer grows.
        asked = ada.say(town.general, "stream it", mention=[bot])
        thread = await town.thread_of(asked)
        await town.until(lambda: mine(town, thread) == [WORDS.strip()])
        assert len(thread.messages[0].edits) > 1

        # A follow-up while a turn runs is answered in its place.
        ada.say(thread, "think hard")
        await town.until(lambda: thread.typing)
        ada.say(thread, "and then this")
        await town.until(lambda: len(mine(town, thread)) >= 2 and not thread.typing)

        # A file goes in, another comes out.
        notes = town.house.workspace(town.general.id).work / "notes.txt"
        notes.write_text("my notes")
        notes.chmod(0o644)
        ada.say(thread, "file please", files=[("data.csv", b"1,2", "text/csv")])
        await town.until(lambda: "sent" in mine(town, thread))
        (sent,) = [each for each in thread.messages if each.attachments and each.author is bot]
        assert sent.attachments[0].data == b"my notes"

        # A question is asked ...
        ada.say(thread, "which colour")
        await town.until(lambda: thread.messages[-1].components)
        question = thread.messages[-1]

    async with town.open():
        # ... and answered when the service has been started anew.
        shown = ada.click(question, "Green")
        assert (await shown.answer()).text.endswith("**Ada** answered: Green")
        await town.until(lambda: "Green" in mine(town, thread)[-1])

        # A turn is stopped by a command of admins.
        ada.say(thread, "on for ever")
        await town.until(lambda: mine(town, thread)[-1] == "It goes on and")
        session = town.house.session_id(town.general.id)
        told = await ada.command("session stop", thread, id=session).answer()
        assert told.ephemeral
        assert told.text == f"Session {session} is stopped; 1 unanswered messages were given up."
        await town.until(lambda: mine(town, thread)[-1] == "It goes on and\n\nStopped.")

        # The connection is cut in mid-turn: once it is resumed ...
        ada.say(thread, "stream again")
        await town.until(lambda: mine(town, thread)[-1].startswith("word0"))
        discord.hub.drop()
        ada.say(thread, "said while it was cut")
        await town.until(lambda: "You said: said while it was cut" in mine(town, thread))
        assert mine(town, thread).count(WORDS.strip()) == 2

        # ... and once it has to begin anew.
        ada.say(thread, "stream once more")
        await town.until(lambda: mine(town, thread)[-1].startswith("word0"))
        discord.hub.forget_sessions()
        discord.hub.drop()
        ada.say(thread, "said while it was gone")
        await town.until(lambda: "You said: said while it was gone" in mine(town, thread))
        assert mine(town, thread).count(WORDS.strip()) == 3

        await town.house.until_quiet_everywhere()
        said = mine(town, thread)
        assert len([text for text in said if text.startswith("You said: said")]) == 2
        assert not thread.typing
        assert town.general.texts == [asked.text]
        assert [each for each in discord.world.places.values() if each.is_thread] == [thread]
