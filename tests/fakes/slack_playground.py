"""A Slack to try things in: two people, two channels and direct messages, acted in by lines and seen as lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.fakes import playground
from tests.fakes.playground import CHANNELS, PEOPLE, mentioning, read_file
from tests.fakes.playground_lines import Line, Unclear
from tests.fakes.playground_picture import Picture
from tests.fakes.slack_board import Board, Here
from tests.fakes.slack_forms import Given
from tests.fakes.slack_lines import HELP, KINDS
from tests.fakes.slack_people import Person
from tests.fakes.slack_refusals import CannotDo
from tests.fakes.slack_server import SlackServer
from tests.fakes.slack_things import Message, Place

NO_ANSWER: Final = "That did not work: the app did not answer in time."
AT_WORK: Final = "processing"
"""The state of a session in which an agent works (Slack's documentation, agents.sessions.setStatus)."""
OCTETS: Final = "application/octet-stream"


class Playground(playground.Playground):
    """`say` is given each line that there is to see."""

    def __init__(self, slack: SlackServer, say: Callable[[str], None]) -> None:
        self.slack = slack
        self.channels = {f"#{name}": slack.channel(name) for name in CHANNELS}
        self.people = {name: slack.person(name) for name in PEOPLE}
        for channel in self.channels.values():
            channel.join(*self.people.values())
        super().__init__(self.people, KINDS, say, CannotDo)
        self._board = Board(slack.world)
        self._who = self.people[PEOPLE[0]]
        self._places: dict[Person, Here] = {}
        self._asked: dict[Given, list[str]] = {}
        """What people have asked the bot by command, button or form, and what of it was told."""

    @property
    def prompt(self) -> str:
        """Who would say the next line, and where."""
        return f"{self._who.name} {self._board.label(self._here)}> "

    @property
    def waits(self) -> bool:
        """Somebody waits for the bot's answer to a command or a click, or sees it at work or write."""
        world = self.slack.world
        return (
            any(each.waits for each in self._asked)
            or any(each.status == AT_WORK for each in world.sessions.values())
            or any(each.streaming for place in world.places.values() for each in place.all())
        )

    @property
    def url(self) -> str:
        """Where Slack's Web API is."""
        return self.slack.api_url

    async def until(self, holds: Callable[[], object], seconds: float) -> None:
        """Returns when `holds` does; it is asked at every change. Raises TimeoutError."""
        await self.slack.until(holds, seconds)

    def _now(self) -> int:
        return self.slack.world.clock()

    def _seen(self) -> Picture:
        return self._board.look()

    # ---------------------------------------------------------------- what people do

    @property
    def _here(self) -> Here:
        return self._places.get(self._who, (self.channels[f"#{CHANNELS[0]}"], None))

    def _act(self, line: Line) -> None:
        if line.who is not None:
            self._who = self.people[line.who]
        if line.place is not None:
            self._places[self._who] = self._place(line.place)
        who, (place, thread) = self._who, self._here
        match line.kind:
            case "say":
                who.say(place, self._mentioning(line.text), thread=thread)
            case "as":
                self._who = self.people[self._name(line.text)]
            case "in":
                self._places[who] = self._place(line.text)
            case "reply":
                root = self._message(line)
                who.say(root.place, self._mentioning(line.text), thread=root)
            case "file":
                name, data, kind, said = read_file(line.text)
                files = [(name, data, kind or OCTETS)]
                who.say(place, self._mentioning(said), thread=thread, files=files)
            case "edit" | "delete" | "react" | "unreact":
                self._touch(line)
            case "cut":
                self.slack.hub.drop_all()
                self._say("The bot's connections are cut; what is said now reaches it when it is back.")
            case "help":
                self._say(HELP)
            case _:
                self._ask(line)

    def _touch(self, line: Line) -> None:
        who, message = self._who, self._message(line)
        match line.kind:
            case "edit":
                who.edit(message, self._mentioning(line.text))
            case "delete":
                who.delete(message)
            case "react":
                who.react(message, line.text.strip(":"))
            case _:
                who.unreact(message, line.text.strip(":"))

    def _ask(self, line: Line) -> None:
        who, (place, thread) = self._who, self._here
        given: Given | None = None
        match line.kind:
            case "roost":
                if thread is not None:
                    raise Unclear("Slack has no slash commands in threads; say @roost help instead.")
                given = who.command(line.text, place)
            case "click":
                given = self._click(line.number or 0)
            case "shortcut":
                given = who.shortcut(self._message(line))
            case "fill":
                given = self._fill(line.text)
            case "close":
                given = who.close(self._form())
            case "stop":
                if thread is None:
                    raise Unclear("The stop button is in the thread in which the bot works: t1 /stop.")
                who.stop(thread)
            case "home":
                who.open_home()
            case "open":
                self._places[who] = (self.slack.dm(who), None)
                who.open_messages()
        if given is not None:
            self._asked[given] = []

    def _click(self, number: int) -> Given:
        if number not in self._board.choices:
            raise Unclear(f"There is no button ({number}).")
        message, label = self._board.choices[number]
        try:
            return self._who.click(message, label) if message is not None else self._who.click_home(label)
        except CannotDo as exc:
            raise Unclear(
                f"{self._who.name} cannot choose ({number}): it is gone, or not to be seen."
            ) from exc

    def _fill(self, text: str) -> Given:
        form = self._form()
        values = [each.strip() for each in text.split("|")]
        labels = fields(form)
        if len(values) > len(labels):
            raise Unclear(f"The form has {len(labels)} fields.")
        return self._who.fill(form, dict(zip(labels, values, strict=False)))

    def _form(self) -> Given:
        for each in reversed(self._asked):
            if each.user is self._who and each.views and not each.is_closed:
                return each
        raise Unclear(f"No form was shown to {self._who.name}.")

    # ---------------------------------------------------------------- names

    def _place(self, name: str) -> Here:
        if name == "dm":
            return self.slack.dm(self._who), None
        if (root := self._board.threads.get(name)) is not None:
            return root.place, root
        found: Place | None = self.channels.get(name)
        if found is None:
            raise Unclear(f"There is no {name} here; there are {', '.join(self.channels)}, dm and threads.")
        return found, None

    def _message(self, line: Line) -> Message:
        """The one with the line's number; without one the person's own last one, or the bot's to react to."""
        place, thread = self._here
        if line.number is not None:
            found = self._board.messages.get(line.number)
        else:
            author = self._who if line.kind in ("edit", "delete") else self.slack.bot
            there = [each for each in place.all() if thread is None or each.root is thread]
            mine = [each for each in there if each.user is author and not each.is_gone]
            found = mine[-1] if mine else None
        if found is None or found.is_gone:
            raise Unclear("There is no such message.")
        return found

    def _mentioning(self, text: str) -> str:
        """A text in which names have become mentions."""
        known = {**self.people, self.slack.bot.name.lower(): self.slack.bot}
        return mentioning(text, {name: each.mention for name, each in known.items()})

    # ---------------------------------------------------------------- what the bot says to what was asked of it

    def _has_news(self) -> bool:
        return any(self._told(each) for each in self._asked)

    def _news(self) -> list[str]:
        lines = []
        for each, told in self._asked.items():
            new = self._told(each)
            told += new
            lines += new
        return lines

    def _told(self, given: Given) -> list[str]:
        """What is to be told of it and was not; its messages are seen where they stand."""
        name, all_ = given.user.name, []
        for number, view in enumerate(given.views, start=1):
            again = f" ({number})" if number > 1 else ""
            labels = ", ".join(each["label"]["text"] for each in view["blocks"] if each["type"] == "input")
            title = view["title"]["text"]
            all_.append(f"{name} sees the form {title!r}{again}: {labels}; /fill TEXT | TEXT")
        all_ += [f"{name} is told: {each}" for each in given.errors.values()]
        if given.failed:
            all_.append(f"{name} is told: {NO_ANSWER}")
        return [each for each in all_ if each not in self._asked[given]]


def fields(form: Given) -> list[str]:
    """The labels of the fields of a form that is open. Raises CannotDo."""
    return [str(each["label"]["text"]) for each in form.view["blocks"] if each["type"] == "input"]
