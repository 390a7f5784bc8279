"""A person's day on Slack, over the wire and through a container: what they see is what stands on the server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message
from tests.service.conftest import House
from tests.service.slack_town import Mode, Town

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
    {"match": "file", "steps": [tool("send_file", path="notes.txt", text="As you wish."), say("sent")]},
    {
        "match": "colour",
        "steps": [
            tool("ask_user_question", title="Colour", question="Which one?", options=["Red", "Green"]),
            say("So be it: {tool}"),
        ],
    },
    {"match": "table", "steps": [say("Here:\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\nThat is it.")]},
    {"steps": [say("You said: {text}")]},
)


@pytest.fixture
async def town(house: House) -> AsyncIterator[Town]:
    # By one way in with the one backend, and by the other with the other: each has its own tests.
    mode: Mode = "socket" if house.kind == "docker" else "http"
    house.script(*SCRIPT)
    async with SlackServer() as slack:
        yield Town(house, slack, mode=mode)


def mine(town: Town, asked: Message) -> list[str]:
    """What the bot has said in a thread, as it stands there now."""
    return [each.shown for each in asked.replies if each.user is town.slack.bot and not each.streaming]


async def test_a_day(town: Town) -> None:
    slack, ada = town.slack, town.ada

    def status() -> str:
        return slack.session(asked).status

    async with town.open():
        # A mention begins a thread, in which the answer grows.
        asked = town.ask("stream it")
        await town.until(lambda: mine(town, asked) == [WORDS.strip()])
        assert len(asked.replies[0].edits) > 1
        await town.until(lambda: status() == "active")

        # A follow-up while a turn runs is answered in its place.
        ada.say(town.general, "think hard", thread=asked)
        await town.until(lambda: status() == "processing")
        ada.say(town.general, "and then this", thread=asked)
        await town.until(lambda: len(mine(town, asked)) >= 2 and status() == "active")

        # A file goes in, another comes out.
        notes = town.house.workspace(town.general.id).work / "notes.txt"
        notes.write_text("my notes")
        notes.chmod(0o644)
        ada.say(town.general, "file please", thread=asked, files=[("data.csv", b"1,2", "text/csv")])
        await town.until(lambda: "sent" in mine(town, asked))
        (sent,) = [each for each in asked.replies if each.files and each.user is slack.bot]
        assert sent.files[0].data == b"my notes"

        # A table is one.
        ada.say(town.general, "table please", thread=asked)
        await town.until(lambda: any("That is it." in text for text in mine(town, asked)))
        assert any(block["type"] == "table" for each in asked.replies for block in each.blocks)

        # A question is asked, and the session waits for its answer ...
        ada.say(town.general, "which colour", thread=asked)
        await town.until(lambda: asked.replies[-1].labels)
        question = asked.replies[-1]
        await town.until(lambda: status() == "suspended")

    async with town.open():
        # ... which comes when the service has been started anew.
        ada.click(question, "Green")
        await town.until(lambda: "Green" in mine(town, asked)[-1] and not question.labels)
        assert question.shown.endswith(f"{ada.mention}* answered: Green")
        waited = slack.session(asked).states
        assert waited[waited.index("suspended") + 1 :].count("suspended") == 0

        # A turn is stopped by Slack's own button.
        ada.say(town.general, "on for ever", thread=asked)
        await town.until(lambda: asked.replies[-1].shown.startswith("It goes on"))
        await town.until(lambda: status() == "processing")
        ada.stop(asked)
        await town.until(lambda: "topped" in mine(town, asked)[-1])
        assert mine(town, asked)[-1].startswith("It goes on and")
        await town.until(lambda: status() == "active")

        # Commands: by the slash, and in the thread, where there is none, by a mark.
        shown = ada.command("session list", town.general)
        await town.until(lambda: shown.acked and "assistant" in shown.text)
        ada.say(town.general, "!status", thread=asked)
        await town.until(lambda: town.general.ephemeral)
        assert town.general.ephemeral[-1].only_for is ada

        # The connection is cut in mid-turn.
        ada.say(town.general, "stream again", thread=asked)
        await town.until(lambda: asked.replies[-1].shown.startswith("word0"))
        slack.hub.drop_all()
        ada.say(town.general, "said while it was cut", thread=asked)
        await town.until(lambda: any("You said: said while it was cut" in text for text in mine(town, asked)))
        await town.house.until_quiet_everywhere()
        assert mine(town, asked).count(WORDS.strip()) == 2
        assert len([text for text in mine(town, asked) if "said while it was cut" in text]) == 1
        await town.until(lambda: status() == "active")
        assert town.general.texts == [asked.text]
