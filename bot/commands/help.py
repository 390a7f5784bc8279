"""The command about commands: help lists the groups, the commands of one, or all that one command takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from adapters.offers import OptionInfo, Suggestion
from bot.access import may
from bot.commands.context import Context
from bot.commands.groups import GROUPS
from bot.commands.options import Completes, options
from bot.commands.registry import Asked, Command, Invocation, Parameters, Reply
from bot.errors import CommandFailed

MAX_WORD_CHARS: Final = 60
NOTHING: Final = "There is nothing about {words} that you may use; `{listing}` lists what you may."
MORE: Final = "`{group}` lists the commands of one group, `{command}` all that one command takes."
KINDS: Final = {
    "flag": "yes or no",
    "group": "a group, by a mention or its id",
    "number": "a number",
    "person": "somebody, by a mention or their id",
    "place": "a channel, by a mention or its id",
    "text": "text",
    "who": "somebody or a group, by a mention or the id",
}


def about(commands: Sequence[Command[Context, Any]]) -> Command[Context, Any]:
    """The command that tells of itself and of those of `commands` that whoever asks may use."""

    def usable(invocation: Invocation) -> list[Command[Context, Any]]:
        roles = (invocation.role, invocation.standing.anywhere)
        return [each for each in (command, *commands) if any(may(role, each.level) for role in roles)]

    async def groups(_: Context, asked: Asked) -> list[Suggestion]:
        """What a command can begin with."""
        return _fitting({_first(each): _summary(each) for each in usable(asked.invocation)}, asked)

    async def words(_: Context, asked: Asked) -> list[Suggestion]:
        """The second word, where the first is known."""
        first = asked.given.get("group", "").split()[:1]
        found = [each for each in usable(asked.invocation) if [_first(each)] == first]
        return _fitting({each.name.split()[1]: each.summary for each in found if " " in each.name}, asked)

    class About(Parameters):
        """What somebody wants to know more about."""

        group: Annotated[str | None, Completes(groups)] = Field(
            None, max_length=MAX_WORD_CHARS, description="what the commands begin with"
        )
        command: Annotated[str | None, Completes(words)] = Field(
            None, max_length=MAX_WORD_CHARS, description="the second word of one of them"
        )

    async def answer(_: Context, invocation: Invocation, given: About) -> Reply:
        mine = usable(invocation)
        # A name of two words may come as one of them, from whoever puts it into quotes.
        wanted = f"{given.group or ''} {given.command or ''}".lower().split()
        if not wanted:
            return _groups(mine, invocation)
        found = [each for each in mine if each.name.split()[: len(wanted)] == wanted]
        if not found:
            listing = invocation.spelled(command.name)
            raise CommandFailed(NOTHING.format(words=_quoted(wanted), listing=listing))
        if len(found) == 1 and found[0].name.split() == wanted:
            return _one(found[0], invocation)
        return _listed(found, invocation)

    command: Command[Context, Any] = Command(
        "help", "what you can tell the bot", About, answer, level="anyone"
    )
    return command


def _groups(mine: Sequence[Command[Context, Any]], invocation: Invocation) -> Reply:
    """One line for each word that commands begin with; as data, every command."""
    first = dict.fromkeys(map(_first, mine))
    by_word = {word: [each for each in mine if _first(each) == word] for word in first}
    single = {word: found[0] for word, found in by_word.items() if found[0].name == word}
    lines = [(invocation.spelled(each.usage), each.summary) for each in single.values()]
    grouped = [
        (invocation.spelled(f"{word} ..."), GROUPS.get(word, "")) for word in by_word if word not in single
    ]
    more = MORE.format(
        group=invocation.spelled("help GROUP"), command=invocation.spelled("help GROUP COMMAND")
    )
    text = "\n\n".join(filter(None, (_table(lines), _table(grouped), more)))
    return Reply(text, [_brief(each) for each in mine])


def _listed(found: Sequence[Command[Context, Any]], invocation: Invocation) -> Reply:
    """The commands of a group."""
    lines = [(invocation.spelled(each.usage), each.summary) for each in found]
    sentence = GROUPS.get(_first(found[0]), "")
    return Reply("\n\n".join(filter(None, (sentence, _table(lines)))), [_brief(each) for each in found])


def _one(found: Command[Context, Any], invocation: Invocation) -> Reply:
    """One command with all that it takes."""
    takes = options(found.parameters)
    lines = [(invocation.option(each.name), _about(each)) for each in takes]
    head = f"{invocation.spelled(found.usage)}\n{_sentence(found.summary)} {_whose(found)}"
    data = _brief(found) | {"options": [_told(each) for each in takes]}
    return Reply("\n\n".join(filter(None, (head, _table(lines)))), [data])


def _brief(command: Command[Context, Any]) -> dict[str, Any]:
    return {
        "name": command.name,
        "usage": command.usage,
        "summary": command.summary,
        "level": command.level,
        "changes": command.changes,
    }


def _told(option: OptionInfo) -> dict[str, Any]:
    return {
        "name": option.name,
        "summary": option.summary,
        "kind": option.kind,
        "required": option.required,
        "choices": list(option.choices),
        "max_chars": option.max_chars,
    }


def _about(option: OptionInfo) -> str:
    choices = f"one of {', '.join(option.choices)}" if option.choices else KINDS[option.kind]
    needed = "needed; " if option.required else ""
    return f"{option.summary} ({needed}{choices})"


def _whose(command: Command[Context, Any]) -> str:
    match command.level:
        case "anyone":
            return "For anybody."
        case "member":
            return "For members."
        case "admin":
            return "For admins, of its agent at least." if command.about is not None else "For admins."
        case "owner":
            return "For owners, of its agent at least." if command.about is not None else "For the owner."


def _first(command: Command[Context, Any]) -> str:
    return command.name.split()[0]


def _summary(command: Command[Context, Any]) -> str:
    return command.summary if " " not in command.name else GROUPS.get(_first(command), "")


def _fitting(found: dict[str, str], asked: Asked) -> list[Suggestion]:
    typed = asked.typed.lower()
    return [
        Suggestion(word, f"{word}: {summary}" if summary else word)
        for word, summary in found.items()
        if typed in word
    ]


def _table(lines: Iterable[tuple[str, str]]) -> str:
    rows = list(lines)
    width = max((len(head) for head, _ in rows), default=0)
    return "\n".join(f"{head:<{width}}  {text}".rstrip() for head, text in rows)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _quoted(words: Sequence[str]) -> str:
    text = " ".join(words).replace("`", "")
    return f"“{text if len(text) <= MAX_WORD_CHARS else text[: MAX_WORD_CHARS - 1] + '…'}”"
