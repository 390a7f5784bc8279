"""A Discord to try things in: two people, two channels and direct messages, acted in by lines and seen as lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.fakes import playground
from tests.fakes.discord_asking import CannotDo
from tests.fakes.discord_board import Board
from tests.fakes.discord_interactions import Interaction
from tests.fakes.discord_lines import HELP, KINDS, command
from tests.fakes.discord_people import Person
from tests.fakes.discord_server import DiscordServer
from tests.fakes.discord_things import Message, Place
from tests.fakes.playground import CHANNELS, PEOPLE, mentioning, read_file
from tests.fakes.playground_lines import Line, Unclear
from tests.fakes.playground_picture import Picture

NO_ANSWER: Final = "The application did not respond."


class Playground(playground.Playground):
    """`say` is given each line that there is to see."""

    def __init__(self, discord: DiscordServer, say: Callable[[str], None]) -> None:
        self.discord = discord
        self.guild = discord.guild("Lab")
        self.channels = {f"#{name}": self.guild.channel(name) for name in CHANNELS}
        self.people = {name: discord.person(name) for name in PEOPLE}
        for person in self.people.values():
            self.guild.join(person)
        super().__init__(self.people, KINDS, say, CannotDo)
        self._board = Board(discord.world)
        self._who = self.people[PEOPLE[0]]
        self._places: dict[Person, Place] = {}
        self._asked: dict[Interaction, str] = {}
        """What people have asked the bot by command or button, and what of it was told."""

    @property
    def prompt(self) -> str:
        """Who would say the next line, and where."""
        return f"{self._who.name} {self._board.label(self._here)}> "

    @property
    def waits(self) -> bool:
        """Somebody waits for the bot's answer to a command or a click, or sees it type."""
        return bool(self._picture.typing) or any(
            each.shown() is None and not each.is_late for each in self._asked
        )

    @property
    def url(self) -> str:
        """Where Discord's REST API is."""
        return self.discord.rest_url

    async def until(self, holds: Callable[[], object], seconds: float) -> None:
        """Returns when `holds` does; it is asked at every change. Raises TimeoutError."""
        await self.discord.until(holds, seconds)

    def _now(self) -> int:
        return self.discord.world.clock()

    def _seen(self) -> Picture:
        return self._board.look()

    # ---------------------------------------------------------------- what people do

    @property
    def _here(self) -> Place:
        return self._places.get(self._who, self.channels[f"#{CHANNELS[0]}"])

    def _act(self, line: Line) -> None:
        if line.who is not None:
            self._who = self.people[line.who]
        if line.place is not None:
            self._places[self._who] = self._place(line.place)
        who, here = self._who, self._here
        match line.kind:
            case "say":
                who.say(here, self._mentioning(line.text))
            case "as":
                self._who = self.people[self._name(line.text)]
            case "in":
                self._places[who] = self._place(line.text)
            case "reply":
                target = self._message(line)
                who.say(target.place, self._mentioning(line.text), reply_to=target)
            case "file":
                self._send_file(who, here, line.text)
            case "thread":
                message = self._message(line) if line.number is not None else None
                who.thread(message.place if message is not None else here, line.text, message)
            case "click" | "run" | "fill":
                self._ask(line)
            case "cut":
                self.discord.hub.drop()
                self._say("The bot's connection is cut; what is said now reaches it when it is back.")
            case "help":
                self._say(HELP)
            case "edit" | "delete" | "react" | "unreact":
                self._touch(line)

    def _touch(self, line: Line) -> None:
        who, message = self._who, self._message(line)
        match line.kind:
            case "edit":
                who.edit(message, self._mentioning(line.text))
            case "delete":
                who.delete(message)
            case "react":
                who.react(message, line.text)
            case _:
                who.unreact(message, line.text)

    def _ask(self, line: Line) -> None:
        match line.kind:
            case "click":
                asked = self._click(line.number or 0)
            case "run":
                name, options = command(line.text)
                asked = self._who.command(name, self._here, **options)
            case _:
                asked = self._fill(line.text)
        self._asked[asked] = ""

    def _click(self, number: int) -> Interaction:
        if number not in self._board.choices:
            raise Unclear(f"There is no button ({number}).")
        message, custom_id, value = self._board.choices[number]
        try:
            if value is None:
                return self._who.click(message, custom_id)
            return self._who.choose(message, value, custom_id=custom_id)
        except CannotDo as exc:
            raise Unclear(
                f"{self._who.name} cannot choose ({number}): it is gone, or not to be seen."
            ) from exc

    def _fill(self, text: str) -> Interaction:
        form = next((each for each in reversed(self._asked) if each.modal and each.user is self._who), None)
        if form is None or form.modal is None:
            raise Unclear(f"No form was shown to {self._who.name}.")
        values = [each.strip() for each in text.split("|")]
        names = [field["custom_id"] for field in fields(form.modal)]
        if len(values) > len(names):
            raise Unclear(f"The form has {len(names)} fields.")
        return self._who.submit(form, dict(zip(names, values, strict=False)))

    def _send_file(self, who: Person, here: Place, text: str) -> None:
        name, data, media_type, said = read_file(text)
        who.say(here, self._mentioning(said), files=[(name, data, media_type)])

    # ---------------------------------------------------------------- names

    def _place(self, name: str) -> Place:
        if name == "dm":
            return self.discord.dm(self._who)
        found = self.channels.get(name) or self._board.threads.get(name)
        if found is None:
            raise Unclear(f"There is no {name} here; there are {', '.join(self.channels)}, dm and threads.")
        return found

    def _message(self, line: Line) -> Message:
        """The one with the line's number; without one the person's own last one, or the bot's to react to."""
        if line.number is not None:
            found = self._board.messages.get(line.number)
        else:
            author = self.discord.bot if line.kind in ("react", "unreact") else self._who
            mine = [each for each in self._here.messages if each.author is author and not each.is_deleted]
            found = mine[-1] if mine else None
        if found is None:
            raise Unclear("There is no such message.")
        return found

    def _mentioning(self, text: str) -> str:
        """A text in which names have become mentions."""
        known = {**self.people, self.discord.bot.name.lower(): self.discord.bot}
        return mentioning(text, {name: each.mention for name, each in known.items()})

    # ---------------------------------------------------------------- what the bot says to what was asked of it

    def _has_news(self) -> bool:
        return any(self._told(each) for each in self._asked)

    def _news(self) -> list[str]:
        news = {each: said for each in self._asked if (said := self._told(each))}
        self._asked |= news
        return list(news.values())

    def _told(self, asked: Interaction) -> str:
        """What is to be told of an interaction and was not; its messages are seen where they stand."""
        if self._asked[asked]:
            return ""
        if asked.modal is not None:
            names = ", ".join(str(each.get("label")) for each in fields(asked.modal))
            return f"{asked.user.name} sees the form {asked.modal.get('title')!r}: {names}; /fill TEXT | TEXT"
        return f"{asked.user.name} is told: {NO_ANSWER}" if asked.callback is None and asked.is_late else ""


def fields(modal: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The fields of a form, in their order, each with its `label`."""
    found = []
    for row in modal["components"]:
        parts = row.get("components") or [row["component"]]
        found += [{"label": row.get("label"), **part} for part in parts]
    return found
