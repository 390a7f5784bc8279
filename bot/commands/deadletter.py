"""Commands about dead letters: list, show, replay, drop."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from adapters.base import Outgoing
from adapters.terminal.text import plain
from agent.protocol.messages import ChatIn, TaskIn
from bot.commands import completion, shown
from bot.commands.completion import ALL
from bot.commands.context import Context, Records
from bot.commands.options import Completes
from bot.commands.registry import Command, Invocation, Parameters, Reply
from bot.db import dead_letters, inbox
from bot.db.audit import Actor
from bot.db.cards import Option
from bot.db.dead_letters import Letter
from bot.db.inbox import Entry
from bot.errors import CommandFailed
from bot.outgoing import in_words

LISTED: Final = 50
MAX_LISTED: Final = 1000
SHOWN_CHARS: Final = 60
SURE: Final = (
    'This lets go of dead letter {id} to {place} for good, with its files: "{preview}". It cannot be undone; to do it,'
    " say the same with {yes}."
)
HINT: Final = "`{show}` has the whole of one, `{replay}` sends it again."


class Which(Parameters):
    """Of which session, by the beginning of its id; how many; and whether also those that are over."""

    session: Annotated[str, Completes(completion.sessions)] = Field(
        "", description="of this session only, by its id or the beginning of it"
    )
    limit: int = Field(
        LISTED, ge=1, le=MAX_LISTED, description=f"how many at most, the newest; {LISTED} if left out"
    )
    all: bool = Field(False, description="also those that were sent again or dropped")


class LetterId(Parameters):
    """A dead letter, by its id or the beginning of it."""

    id: Annotated[str, Completes(completion.letters)] = Field(
        min_length=1, description="the dead letter's id, or the beginning of it"
    )


class Drop(LetterId):
    """A dead letter, and whether it is meant."""

    yes: bool = Field(False, description="do it; else only say what would be dropped")


class LetterIdOrAll(Parameters):
    """The same, or all of them."""

    id: Annotated[str, Completes(completion.letters_or_all)] = Field(
        min_length=1,
        title="ID|all",
        description="the dead letter's id, or the beginning of it; all for all of them",
    )


async def list_letters(context: Records, invocation: Invocation, given: Which) -> Reply:
    """The dead letters, the newest on top."""
    session = (await context.session(given.session, invocation)).id if given.session else None
    letters = await context.db.read(
        lambda db: dead_letters.listed(db, session, everything=given.all, limit=given.limit)
    )
    lines = [
        f"{each.id}  {each.state}  {each.kind}  {shown.iso(each.created_at)}  {_place(each)}  {_line(each.reason)}:"
        f" {_line(each.preview)}"
        for each in letters
    ]
    hint = HINT.format(
        show=invocation.spelled("deadletter show ID"), replay=invocation.spelled("deadletter replay ID")
    )
    text = "\n".join([*lines, hint]) if lines else "There are no dead letters."
    return Reply(text, [_data(each) for each in letters])


async def show(context: Records, invocation: Invocation, given: LetterId) -> Reply:
    """One dead letter: what it says, why it was not delivered, when, and where it was to go."""
    letter = await _find(context, invocation, given.id)
    content = await context.db.read(lambda db: dead_letters.content(db, letter.id))
    about = None
    if (event_id := letter.answers) is not None:
        about = await context.db.read(lambda db: inbox.of_event(db, letter.session, event_id))
    lines = [
        f"{letter.id}: a {letter.kind}, {letter.state}",
        f"where: {_place(letter)}",
        f"session: {letter.session}",
        f"not delivered: {shown.iso(letter.created_at)}",
        f"reason: {plain(letter.reason)}",
        f"attempts: {letter.attempts}",
        *([f"parts sent before: {letter.part}"] if letter.part else []),
        *([f"{letter.state} by: {letter.changed_by}, {_at(letter)}"] if letter.changed_by else []),
        *(
            [f"{'about' if letter.kind == 'notice' else 'answers'}: {_asked(letter, about)}"]
            if event_id
            else []
        ),
        *(f"file: {_file(letter, number)}" for number in range(1, len(letter.files) + 1)),
    ]
    data = {**_data(letter), "about": None if about is None else _said(about), "content": None}
    if content is None:
        lines.append("Its content is no longer kept.")
    else:
        data["content"] = dead_letters.as_data(content)
        lines += ["", *(plain(text) for text in _content(content) if text)]
    return Reply("\n".join(lines), data)


def _content(said: Outgoing) -> list[str]:
    if (asked := said.question) is not None:
        return [asked.title, asked.question, *asked.options]
    if (reaction := said.reaction) is not None:
        return [f"{reaction.emoji} on message #{reaction.number}"]
    edits = [] if said.edit is None else [f"in the place of message #{said.edit.number}:"]
    card = [] if said.card is None or said.text else [in_words(said.card)]
    return [*edits, said.text, *card]


async def replay(context: Context, invocation: Invocation, given: LetterIdOrAll) -> Reply:
    """Sends a dead letter again, from the first part that was not sent; or all that are kept."""
    by = invocation.by
    if given.id.lower() == ALL:
        return await _replay_all(context, by)
    letter = await _find(context, invocation, given.id)
    await context.letters.replay(letter, by=by)
    return Reply(
        f"Dead letter {letter.id} is being sent again to {_place(letter)}.", {"replaying": [letter.id]}
    )


async def drop(context: Context, invocation: Invocation, given: Drop) -> Reply:
    """Lets go of a dead letter for good."""
    letter = await _find(context, invocation, given.id)
    if not given.yes and letter.state == "kept":
        said = SURE.format(
            id=letter.id, place=_place(letter), preview=_line(letter.preview), yes=invocation.option("yes")
        )
        sure = Option("Drop it", "deadletter drop", {"id": letter.id, "yes": "true"})
        return Reply(said, {"dropped": None}, [sure])
    await context.letters.drop(letter, by=invocation.by)
    return Reply(f"Dead letter {letter.id} is dropped.", {"dropped": letter.id})


async def _replay_all(context: Context, by: Actor) -> Reply:
    letters = await context.letters.replay_all(by=by)
    left = await context.db.read(dead_letters.kept)
    data = {"replaying": [each.id for each in letters], "left": left}
    if not letters:
        return Reply("There are no dead letters to send again.", data)
    one = len(letters) == 1
    text = f"{len(letters)} dead letter{'' if one else 's'} {'is' if one else 'are'} being sent again."
    return Reply(text + (f" {left} more are kept: say it once more for them." if left else ""), data)


async def _find(context: Records, invocation: Invocation, prefix: str) -> Letter:
    """Raises CommandFailed."""
    found = await context.db.read(lambda db: dead_letters.by_prefix(db, prefix))
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandFailed(f"More than one dead letter begins with {prefix}; give more of its id.")
    listing = invocation.spelled("deadletter list")
    raise CommandFailed(f"There is no dead letter {prefix}; `{listing}` shows them.")


def _asked(letter: Letter, about: Entry | None) -> str:
    event = plain(letter.answers or "")
    return event if about is None else f"{event}: {_line(_said(about))}"


def _said(about: Entry) -> str:
    match about.message.content:
        case ChatIn(sender=sender, text=text):
            return f"{sender}: {text}"
        case TaskIn(prompt=prompt):
            return prompt
        case other:
            return type(other).__name__.removesuffix("In").lower()


def _file(letter: Letter, number: int) -> str:
    file = letter.files[number - 1]
    named = f"{_line(file.name)} ({plain(file.media_type)}, {file.size:,} bytes)"
    return f"{named}, {_path(letter, number)}" if letter.state in ("kept", "replaying") else named


def _path(letter: Letter, number: int) -> str:
    """Within the data folder."""
    return f"deadletters/{letter.id}/{number}"


def _place(letter: Letter) -> str:
    return plain(shown.place(letter.route))


def _data(letter: Letter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "state": letter.state,
        "kind": letter.kind,
        "session": letter.session,
        "out_id": letter.out_id,
        **letter.route.model_dump(),
        "reason": letter.reason,
        "attempts": letter.attempts,
        "part": letter.part,
        "answers": letter.answers,
        "turn_id": letter.turn_id,
        "files": [
            {
                "name": file.name,
                "media_type": file.media_type,
                "size": file.size,
                "path": _path(letter, number),
            }
            for number, file in enumerate(letter.files, start=1)
        ],
        "preview": letter.preview,
        "created_at": shown.iso(letter.created_at),
        "next_at": None if letter.next_at is None else shown.iso(letter.next_at),
        "changed_at": None if letter.changed_at is None else shown.iso(letter.changed_at),
        "changed_by": letter.changed_by,
    }


def _at(letter: Letter) -> str:
    return shown.iso(letter.changed_at or letter.created_at)


def _line(text: str) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= SHOWN_CHARS else line[: SHOWN_CHARS - 1] + "…"


READING: Final[tuple[Command[Records, Any], ...]] = (
    Command("deadletter list", "what could not be delivered", Which, list_letters, level="admin"),
    Command("deadletter show", "one dead letter, all of it", LetterId, show, level="admin"),
)
"""Those that need no running service."""
COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    *READING,
    Command(
        "deadletter replay", "send a dead letter again", LetterIdOrAll, replay, level="admin", changes=True
    ),
    Command("deadletter drop", "let go of a dead letter for good", Drop, drop, level="admin", changes=True),
)
