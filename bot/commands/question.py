"""Commands about what agents have asked people: question list, show, answer, cancel."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from adapters.offers import Suggestion
from adapters.terminal.text import plain
from agent.protocol.messages import MAX_TEXT_CHARS
from bot.access import may
from bot.commands import shown
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.registry import Asked, Command, Invocation, NoParameters, Parameters, Reply, Scope
from bot.commands.scopes import administered
from bot.db import questions
from bot.db.cards import Option
from bot.db.questions import Open, QuestionRecord, Seen
from bot.errors import CommandFailed

LISTED: Final = 50
QUESTION_CHARS: Final = 60
MAX_NUMBER_CHARS: Final = 4
ID_CHARS: Final = 8
"""So much of an id is listed: enough to name a question by."""
GONE: Final = "There is no question {id}; `{listing}` shows those that are open."


async def suggested(context: Context, asked: Asked) -> list[Suggestion]:
    """The open questions that whoever is typing may answer."""
    seen, now = _seen(asked.invocation), context.now()
    found = await context.db.read(lambda db: questions.open_ones(db, seen, now, LISTED))
    return [
        Suggestion(each.question.id, f"{each.question.id[:ID_CHARS]} {_line(each.question.question)}")
        for each in found
        if asked.typed in f"{each.question.id} {each.question.question}"
    ]


class QuestionId(Parameters):
    """A question."""

    id: Annotated[str, Completes(suggested)] = Field(
        min_length=1, max_length=200, description="the question's id, or the beginning of it"
    )


class Answer(QuestionId):
    """What it is answered with."""

    rest: ClassVar[str | None] = "answer"
    # Not `text`: so surfaces call all the words of a command.
    answer: str = Field(
        min_length=1, max_length=MAX_TEXT_CHARS, description="the answer, or the number of an option, from 1"
    )


class Cancel(QuestionId):
    """A question that nobody is to answer any more."""

    yes: bool = Field(False, description="do it; else only say what would be done")


async def about_open(context: Context, invocation: Invocation, _: NoParameters) -> Scope:
    """Admins see those of their agents, members those of the conversation."""
    if may(invocation.standing.anywhere, "admin"):
        return Scope(Scope.of_any(invocation.standing).agent, "admin")
    return Scope(None if invocation.route is None else context.agent_of(invocation.route))


async def about(context: Context, invocation: Invocation, given: QuestionId) -> Scope:
    """Its agent: members have a say where it was asked, admins everywhere."""
    found = await _find(context, invocation, given.id)
    return Scope(found.agent, "member" if _is_here(invocation, found) else "admin")


async def about_cancelled(context: Context, invocation: Invocation, given: Cancel) -> Scope:
    """Its agent."""
    return Scope((await _find(context, invocation, given.id)).agent)


async def list_questions(context: Context, invocation: Invocation, _: NoParameters) -> Reply:
    """What agents wait for an answer to."""
    seen, now = _seen(invocation), context.now()
    mine = await context.db.read(lambda db: questions.open_ones(db, seen, now, LISTED))
    rows = [["ID", "AGENT", "WHERE", "UNTIL", "QUESTION"], *map(_row, mine)]
    hint = f"`{invocation.spelled('question answer ID ANSWER')}` answers one."
    text = f"{shown.table(rows)}\n\n{hint}" if mine else "No agent waits for an answer."
    return Reply(text, [_data(each) for each in mine])


async def show(context: Context, invocation: Invocation, given: QuestionId) -> Reply:
    """One question, all of it, with its answers as buttons."""
    found = await _find(context, invocation, given.id)
    asked = found.question
    lines = [
        *([asked.title] if asked.title else []),
        asked.question,
        *(f"{number}. {each}" for number, each in enumerate(asked.options, start=1)),
        "",
        f"state: {asked.state}",
        f"agent: {found.agent}",
        f"where: {shown.place(asked.route)}",
        f"until: {shown.iso(asked.expires_at)}",
        *([f"answer: {asked.answer}"] if asked.answer is not None else []),
        *([f"by: {asked.answered_by}"] if asked.answered_by else []),
    ]
    buttons = [
        Option(each, "question answer", {"id": asked.id, "answer": str(number)})
        for number, each in enumerate(asked.options, start=1)
    ]
    still = asked.state == "open" and asked.expires_at > context.now()
    return Reply("\n".join(plain(line) for line in lines), _data(found), buttons if still else [])


async def answer(context: Context, invocation: Invocation, given: Answer) -> Reply:
    """Answers it in the name of whoever gives the command."""
    found = await _find(context, invocation, given.id)
    text = given.answer.strip()
    # Not `isdigit`: "²" is a digit, and no number; and int() refuses thousands of them.
    if text.isdecimal() and len(text) <= MAX_NUMBER_CHARS:
        text = found.question.option(int(text) - 1) or text
    await context.operations.answer(found, text, by=invocation.by)
    return Reply(f"Answered: {_line(text)}", {**_data(found), "state": "answered", "answer": text})


async def cancel(context: Context, invocation: Invocation, given: Cancel) -> Reply:
    """Tells the agent that nobody answers."""
    found = await _find(context, invocation, given.id)
    if not given.yes:
        text = (
            f'The agent {found.agent} would be told that nobody answers "{_line(found.question.question)}".'
            f" To do it, say the same with {invocation.option('yes')}."
        )
        yes = Option("Yes, cancel it", "question cancel", {"id": found.question.id, "yes": "true"})
        return Reply(text, _data(found), [yes])
    await context.operations.answer(found, None, by=invocation.by)
    return Reply("The agent is told that nobody answers.", {**_data(found), "state": "answered"})


async def _find(context: Context, invocation: Invocation, prefix: str) -> Open:
    """One that whoever asks may see; another is as unknown as one that never was. Raises CommandFailed."""
    seen = _seen(invocation)
    found = await context.db.read(lambda db: questions.by_prefix(db, seen, prefix, LISTED))
    exact = [each for each in found if each.question.id == prefix]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        raise CommandFailed(f"More than one question begins with {prefix}; give more of its id.")
    raise CommandFailed(GONE.format(id=prefix, listing=invocation.spelled("question list")))


def _is_here(invocation: Invocation, found: Open) -> bool:
    return invocation.route == found.question.route


def _seen(invocation: Invocation) -> Seen:
    return Seen(administered(invocation.standing), invocation.route)


def _row(found: Open) -> list[str]:
    asked = found.question
    until, where = shown.iso(asked.expires_at), shown.place(asked.route)
    return [asked.id[:ID_CHARS], found.agent, where, until, _line(asked.question)]


def _line(text: str) -> str:
    return shown.beginning(text, QUESTION_CHARS)


def _data(found: Open) -> dict[str, Any]:
    asked: QuestionRecord = found.question
    return {
        "id": asked.id,
        "agent": found.agent,
        "session": asked.session,
        **asked.route.model_dump(),
        "title": asked.title,
        "question": asked.question,
        "options": list(asked.options),
        "state": asked.state,
        "answer": asked.answer,
        "answered_by": asked.answered_by,
        "expires_at": shown.iso(asked.expires_at),
    }


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "question list", "what agents wait for an answer to", NoParameters, list_questions, about=about_open
    ),
    Command("question show", "one question, all of it", QuestionId, show, about=about),
    Command("question answer", "answer it", Answer, answer, about=about, changes=True),
    Command(
        "question cancel",
        "tell the agent that nobody answers",
        Cancel,
        cancel,
        level="admin",
        about=about_cancelled,
        changes=True,
    ),
)
