"""What every channel keeps to: a person talks to the service through an adapter, and sees what comes of it.

A channel's tests subclass AdapterContract and supply the fixture `rig`. What a channel has no way to do is left out of
its `can`, and that is the whole difference: what works on one of them and not on the other shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Final, Protocol

import pytest

from adapters.base import Outgoing
from agent.protocol.messages import Route
from bot import cards
from bot.db.cards import Option
from tests.service.conftest import House

Ability = str
EVERYTHING: Final = frozenset(
    {"conversations", "redelivery", "edit", "delete", "react", "mentions", "threads", "replace", "grows"}
)
"""conversations: several at once, each for itself. redelivery: the platform delivers what was acknowledged once more.
edit, delete, react: people do that. mentions: a text can call people. threads: others talk in a conversation before
the bot is called into it. replace: what the agent has said can be changed. grows: an answer is seen being written.
"""
STREAM: Final = [
    step
    for number in range(25)
    for step in ({"do": "delta", "text": f"word{number} "}, {"do": "stall", "seconds": 0.04})
]
STREAMED: Final = "".join(f"word{number} " for number in range(25)).strip()


def say(text: str) -> dict[str, Any]:
    return {"do": "result", "text": text}


def tool(name: str, **arguments: object) -> dict[str, Any]:
    return {"do": "tool", "name": name, "arguments": arguments}


class Talk(Protocol):
    """One conversation of the person with the bot."""


class Rig(Protocol):
    """A channel, with a person who may do everything."""

    house: House

    def open(self) -> AbstractAsyncContextManager[None]:
        """The service for the length of the block, connected."""

    async def until(self, holds: Callable[[], object]) -> None:
        """Returns when it is so. Raises TimeoutError."""

    async def ask(self, text: str, *, files: Sequence[tuple[str, bytes]] = ()) -> Any:
        """Begins a conversation."""

    async def follow(self, talk: Any, text: str) -> None:
        """Says more in it."""

    def said(self, talk: Any) -> list[str]:
        """What the bot has said in it, as it stands there now, and nothing that is still being written."""

    def files(self, talk: Any) -> list[tuple[str, bytes]]:
        """The files that the bot has sent in it."""

    def grown(self, talk: Any) -> list[str]:
        """How an answer read while it was written."""

    def works(self, talk: Any) -> bool:
        """Whether it can be seen that a turn runs."""

    def options(self, talk: Any) -> list[str]:
        """What can be answered to an open question."""

    async def choose(self, talk: Any, label: str) -> None:
        """Answers it."""

    async def command(self, talk: Any, words: str) -> str:
        """Gives a command there; what the person is told."""

    async def edit(self, talk: Any, text: str) -> None:
        """Changes what the conversation began with."""

    async def delete(self, talk: Any) -> None:
        """Takes that away."""

    async def react(self, talk: Any, emoji: str) -> None:
        """Puts an emoji on what the bot has said last."""

    async def redeliver(self) -> None:
        """The platform delivers everything once more."""

    def calls(self, talk: Any) -> list[str]:
        """Whom what the bot has said would call: everybody, or somebody by name."""

    async def overhear(self, *texts: str) -> Any:
        """Somebody says this in a thread, and then the person calls the bot into it."""

    def route(self, talk: Any) -> Route:
        """Where it is."""

    def buttons(self, talk: Any) -> list[str]:
        """What can be pressed in it of the service's own."""

    async def press(self, talk: Any, label: str) -> str:
        """Presses it; what the person alone is told."""

    async def grant(self, talk: Any) -> list[str]:
        """Gives a command that makes somebody a member; what can be pressed beneath its answer."""

    async def undo(self, talk: Any, label: str) -> tuple[str, list[str]]:
        """Presses that; what stands there then, and what can be pressed there."""

    @property
    def directly(self) -> Route:
        """Where the service writes to the person directly."""

    def told(self) -> list[str]:
        """What it has written there, with its buttons behind it."""

    async def send(self, outgoing: Outgoing) -> None:
        """Sends it by the adapter."""

    def footer(self, talk: Any) -> str:
        """The small print beneath what the bot has said last."""


class AdapterContract:
    """`can` has the abilities that the channel has."""

    can: ClassVar[frozenset[Ability]] = EVERYTHING

    @pytest.fixture(autouse=True)
    def has_it(self, request: pytest.FixtureRequest) -> None:
        """Leaves a test out that is about what this channel has no way to do."""
        needed = {each.args[0] for each in request.node.iter_markers("needs")}
        if missing := needed - self.can:
            pytest.skip(f"this channel has no {', '.join(sorted(missing))}")

    async def answers(self, rig: Rig, talk: Any, *texts: str) -> None:
        """Returns when the bot has said exactly these there."""
        try:
            await rig.until(lambda: rig.said(talk) == list(texts))
        except TimeoutError:
            raise AssertionError(f"the bot has said {rig.said(talk)}, and not {list(texts)}") from None

    # ---------------------------------------------------------------- talking

    async def test_a_question_is_answered_where_it_was_asked(self, rig: Rig) -> None:
        async with rig.open():
            talk = await rig.ask("hello there")
            await self.answers(rig, talk, "You said: hello there")

    async def test_a_follow_up_goes_to_the_same_agent(self, rig: Rig) -> None:
        async with rig.open():
            talk = await rig.ask("one")
            await self.answers(rig, talk, "You said: one")
            await rig.follow(talk, "two")
            await self.answers(rig, talk, "You said: one", "You said: two")
            assert rig.house.query("SELECT count(DISTINCT session) FROM inbox")[0][0] == 1

    @pytest.mark.needs("conversations")
    async def test_conversations_at_once_are_kept_apart(self, rig: Rig) -> None:
        async with rig.open():
            talks = [await rig.ask(f"number {number}") for number in range(3)]
            for number, talk in enumerate(talks):
                await self.answers(rig, talk, f"You said: number {number}")

    async def test_what_looks_like_markup_arrives_as_it_was_said(self, rig: Rig) -> None:
        text = 'a < b & c > d, *stars* `code` <script> "quoted" &amp; 1_000_000'
        async with rig.open():
            talk = await rig.ask(text)
            await rig.until(lambda: rig.said(talk))
        content = rig.house.query("SELECT content FROM inbox")[0][0]
        assert '"text":' + _json(text) in content

    async def test_a_very_long_answer_comes_whole(self, rig: Rig) -> None:
        paragraphs = [f"{n}. " + "All work and no play makes Jack a dull boy. " * 20 for n in range(40)]
        rig.house.script({"steps": [say("\n\n".join(paragraphs))]})
        async with rig.open():
            talk = await rig.ask("much")

            def is_whole() -> bool:
                shown = "".join([*rig.said(talk), *(data.decode() for _, data in rig.files(talk))])
                return all("".join(each.split()) in "".join(shown.split()) for each in paragraphs)

            await rig.until(is_whole)

    @pytest.mark.needs("grows")
    async def test_an_answer_is_seen_while_it_is_written_and_ends_whole_and_once(self, rig: Rig) -> None:
        rig.house.script({"steps": STREAM})
        async with rig.open():
            talk = await rig.ask("go on")
            await self.answers(rig, talk, STREAMED)
            grown = rig.grown(talk)
            assert len(grown) > 1
            assert all(STREAMED.startswith(text.strip()) for text in grown)

    async def test_it_can_be_seen_that_a_turn_runs_and_not_when_it_is_over(self, rig: Rig) -> None:
        rig.house.script({"steps": [{"do": "stall", "seconds": 0.8}, say("done")]})
        async with rig.open():
            talk = await rig.ask("think")
            await rig.until(lambda: rig.works(talk))
            await self.answers(rig, talk, "done")
            await rig.until(lambda: not rig.works(talk))

    # ---------------------------------------------------------------- files and questions

    async def test_a_file_goes_in_and_a_file_comes_out(self, rig: Rig) -> None:
        rig.house.script(
            {
                "match": "send",
                "steps": [tool("send_file", path="note.txt", text="Here it is."), say("done")],
            }
        )
        async with rig.open():
            talk = await rig.ask("read", files=[("data.csv", b"1,2\n")])
            await rig.until(lambda: rig.said(talk))
            (folder,) = rig.house.data.glob("sessions/*/work")
            (folder / "note.txt").write_text("my notes")
            await rig.follow(talk, "send it")
            await rig.until(lambda: "done" in rig.said(talk) and rig.files(talk))
            assert rig.files(talk) == [("note.txt", b"my notes")]
            (received,) = rig.house.data.glob("sessions/*/in/files/*/*data.csv")
            assert received.read_bytes() == b"1,2\n"

    async def test_a_question_is_answered_also_after_a_restart(self, rig: Rig) -> None:
        rig.house.script(
            {
                "match": "ask",
                "steps": [
                    tool(
                        "ask_user_question", title="Colour", question="Which one?", options=["Red", "Green"]
                    ),
                    say("You chose {tool}"),
                ],
            }
        )
        async with rig.open():
            talk = await rig.ask("ask me")
            await rig.until(lambda: rig.options(talk) == ["Red", "Green"])
        async with rig.open():
            await rig.choose(talk, "Green")
            await rig.until(lambda: any("You chose" in text and "Green" in text for text in rig.said(talk)))
            await rig.until(lambda: not rig.options(talk))

    # ---------------------------------------------------------------- commands

    async def test_a_command_tells_the_person_and_nobody_else(self, rig: Rig) -> None:
        async with rig.open():
            talk = await rig.ask("hello")
            await self.answers(rig, talk, "You said: hello")
            assert "assistant" in await rig.command(talk, "session list")
            assert rig.said(talk) == ["You said: hello"]

    async def test_a_turn_is_stopped(self, rig: Rig) -> None:
        rig.house.script({"match": "for ever", "steps": [{"do": "stall", "seconds": 90}]})
        async with rig.open():
            talk = await rig.ask("go on for ever")
            await rig.until(lambda: rig.works(talk))
            assert await rig.command(talk, "stop") == "Stopping."
            await rig.until(lambda: rig.said(talk))
            assert re.search(r"[Ss]topped", rig.said(talk)[0])
            await rig.until(lambda: not rig.works(talk))

    # ---------------------------------------------------------------- the service's own words

    async def show(self, rig: Rig, route: Route, text: str = "**May it?**") -> None:
        """Shows a card with three buttons that are commands."""
        options = [Option("Who am I", "whoami"), Option("Help", "help"), Option("Nobody knows", "nonsense")]
        app, now = rig.house.app, rig.house.now()
        sender = await app.db.write(
            lambda db: cards.show(
                db, route, text, options, subject="test:1", expires_at=now + 3_600_000, now=now
            )
        )
        app.context.cards.deliver([sender])

    async def settle(self, rig: Rig, outcome: str) -> None:
        """The card loses its buttons, for all to see."""
        app, now = rig.house.app, rig.house.now()
        app.context.cards.deliver(await app.db.write(lambda db: cards.close(db, "test:1", outcome, now=now)))

    async def test_a_button_is_a_command_of_whoever_presses_it_and_stays(self, rig: Rig) -> None:
        labels = ["Who am I", "Help", "Nobody knows"]
        async with rig.open():
            talk = await rig.ask("hello")
            await self.answers(rig, talk, "You said: hello")
            await self.show(rig, rig.route(talk))
            await rig.until(lambda: rig.buttons(talk) == labels)
        async with rig.open():
            assert "owner" in await rig.press(talk, "Who am I")
            assert "no such command" in await rig.press(talk, "Nobody knows")
            assert rig.buttons(talk) == labels
            assert rig.said(talk)[:1] == ["You said: hello"]
            assert rig.house.query("SELECT count(*) FROM inbox")[0][0] == 1
            await self.settle(rig, "It may not.")
            await rig.until(lambda: not rig.buttons(talk))
            await rig.until(lambda: "It may not." in rig.said(talk)[-1])

    async def test_a_long_card_is_shown_whole_and_settled_whole(self, rig: Rig) -> None:
        text = "\n\n".join(f"{number}. " + "word " * 100 for number in range(15))
        async with rig.open():
            talk = await rig.ask("hello")
            await self.answers(rig, talk, "You said: hello")
            await self.show(rig, rig.route(talk), text)
            await rig.until(lambda: rig.buttons(talk))
            assert "owner" in await rig.press(talk, "Who am I")
            await self.settle(rig, "All of it is settled.")
            await rig.until(lambda: not rig.buttons(talk))
            await rig.until(lambda: "All of it is settled." in rig.said(talk)[-1])
            assert " ".join(rig.said(talk)).count("word") == 1_500

    async def test_what_a_command_offers_takes_its_place(self, rig: Rig) -> None:
        async with rig.open():
            talk = await rig.ask("hello")
            await self.answers(rig, talk, "You said: hello")
            offered = await rig.grant(talk)
            assert offered == ["Undo"]
            said, offered = await rig.undo(talk, "Undo")
            assert "not a member any more" in said and offered == ["Undo"]
            assert rig.said(talk) == ["You said: hello"]

    async def test_the_service_writes_to_a_person_directly(self, rig: Rig) -> None:
        async with rig.open():
            talk = await rig.ask("hello")
            await self.answers(rig, talk, "You said: hello")
            app, now, directly = rig.house.app, rig.house.now(), rig.directly
            sender = await app.db.write(
                lambda db: cards.say(db, directly, "Somebody wants to talk to me.", now=now)
            )
            app.context.cards.deliver([sender])
            await self.show(rig, directly, "May they?")
            await rig.until(
                lambda: (
                    rig.told()
                    == ["Somebody wants to talk to me.", "May they?", "Who am I", "Help", "Nobody knows"]
                )
            )
            await self.settle(rig, "They may.")
            await rig.until(lambda: "They may." in rig.told()[-1])

    async def test_a_footer_stands_beneath_what_was_said(self, rig: Rig) -> None:
        async with rig.open():
            talk = await rig.ask("hello")
            await self.answers(rig, talk, "You said: hello")
            said = Outgoing("out-9", rig.route(talk), "All is well.", session="s", footer="mock · $0.04")
            await rig.send(said)
            await rig.until(lambda: "All is well." in rig.said(talk)[-1])
            assert "mock · $0.04" in rig.footer(talk)

    # ---------------------------------------------------------------- what people change

    @pytest.mark.needs("redelivery")
    async def test_what_is_delivered_again_is_answered_once(self, rig: Rig) -> None:
        async with rig.open():
            talk = await rig.ask("once")
            await self.answers(rig, talk, "You said: once")
            await rig.redeliver()
            await rig.follow(talk, "and now")
            await self.answers(rig, talk, "You said: once", "You said: and now")

    @pytest.mark.needs("edit")
    async def test_an_edit_before_the_turn_is_what_is_answered(self, rig: Rig) -> None:
        async with rig.open():
            talk = await rig.ask("frist")
            await rig.edit(talk, "first")
            await rig.until(lambda: rig.said(talk))
            await rig.house.until_quiet_everywhere()
            assert rig.said(talk)[-1] in ("You said: first", "You said: frist")
            assert rig.house.query("SELECT count(*) FROM inbox WHERE kind = 'system'")[0][0] == 1

    @pytest.mark.needs("delete")
    async def test_what_was_taken_back_is_told(self, rig: Rig) -> None:
        async with rig.open():
            talk = await rig.ask("never mind")
            await rig.delete(talk)
            await rig.house.until(lambda: rig.house.query("SELECT 1 FROM inbox WHERE kind = 'system'") != [])

    @pytest.mark.needs("react")
    async def test_a_reaction_on_an_answer_is_told_to_its_agent(self, rig: Rig) -> None:
        async with rig.open():
            talk = await rig.ask("hello")
            await self.answers(rig, talk, "You said: hello")
            # Nobody reacts on what was posted this very millisecond.
            await rig.house.until_quiet_everywhere()
            await rig.react(talk, "\N{THUMBS UP SIGN}")
            await rig.house.until(lambda: rig.house.query("SELECT 1 FROM inbox WHERE kind = 'system'") != [])
            assert '"reacted"' in rig.house.query("SELECT content FROM inbox WHERE kind = 'system'")[0][0]

    @pytest.mark.needs("replace")
    async def test_an_agent_changes_what_it_has_said(self, rig: Rig) -> None:
        rig.house.script(
            {
                "match": "begin",
                "steps": [
                    tool("send_message", text="a draft"),
                    tool("edit_message", message="{sent}", text="the whole of it"),
                    say("done"),
                ],
            }
        )
        async with rig.open():
            talk = await rig.ask("begin")
            await self.answers(rig, talk, "the whole of it", "done")

    @pytest.mark.needs("mentions")
    async def test_an_agent_calls_nobody(self, rig: Rig) -> None:
        rig.house.script({"steps": [say("@everyone @here <!channel> <!here> <@U0000001> look <@1>")]})
        async with rig.open():
            talk = await rig.ask("call everybody")
            await rig.until(lambda: rig.said(talk))
            assert rig.calls(talk) == []

    @pytest.mark.needs("threads")
    async def test_who_is_called_into_a_thread_is_told_what_was_said_there(self, rig: Rig) -> None:
        async with rig.open():
            talk = await rig.overhear("the server is on fire", "it is the disk")
            await rig.until(lambda: rig.said(talk))
            content = rig.house.query("SELECT content FROM inbox")[0][0]
            assert "the server is on fire" in content
            assert "it is the disk" in content

    # ---------------------------------------------------------------- the service goes and comes

    async def test_an_answer_that_falls_into_a_restart_comes_once(self, rig: Rig) -> None:
        rig.house.script({"steps": [{"do": "stall", "seconds": 1.0}, say("after all")]})
        async with rig.open():
            talk = await rig.ask("take your time")
            await rig.house.until(lambda: rig.house.query("SELECT 1 FROM inbox WHERE state = 'posted'") != [])
        async with rig.open():
            await self.answers(rig, talk, "after all")
            await rig.house.until_quiet_everywhere()
            assert rig.said(talk) == ["after all"]


def _json(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)
