"""Commands for what answers in a conversation: its own compact, context and cost, and which model it uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from pydantic import Field

from bot.commands import completion
from bot.commands.completion import CONFIGURED
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.registry import Command, Invocation, NoParameters, Parameters, Reply
from bot.db import inbox
from bot.errors import CommandFailed

TOO_MUCH: Final = "Too many messages wait to be answered here; please try again in a moment."

Handler = Callable[[Context, Invocation, NoParameters], Awaitable[Reply]]


class Model(Parameters):
    """A model, by the name that the provider knows it by."""

    # It becomes a word of a command line: none that could be taken for an option.
    name: Annotated[str | None, Completes(completion.models)] = Field(
        None,
        pattern=r"^[A-Za-z0-9][\w.:/@\[\]-]{0,199}$",
        max_length=200,
        description=f"its name; {CONFIGURED} is the configured one; left out: which one it is now",
    )


def _passed_on(command: str) -> Handler:
    async def handler(context: Context, invocation: Invocation, _: NoParameters) -> Reply:
        """Passes the command on to the provider, in order with what was said."""
        record = await context.here(invocation.route)
        place, by = invocation.route or record.route, invocation.actor
        if not await context.operations.pass_on(record.id, place, f"/{command}", by=by):
            raise CommandFailed(TOO_MUCH)
        return Reply(f"`{invocation.spelled(command)}` is passed on to the agent.", {"session": record.id})

    return handler


async def model(context: Context, invocation: Invocation, given: Model) -> Reply:
    """Says which model this conversation uses, or has it use another one from the next turn on."""
    if given.name is None:
        return await _which_model(context, invocation)
    record = await context.begun_at(invocation.route)
    chosen = None if given.name == CONFIGURED else given.name
    await context.operations.set_model(record.id, chosen, by=invocation.by)
    said = _configured(context, record.agent) if chosen is None else f"the model {chosen}"
    return Reply(f"From the next turn on this conversation uses {said}.", {"model": chosen})


async def _which_model(context: Context, invocation: Invocation) -> Reply:
    record = await context.found_at(invocation.route)
    chosen = None if record is None else await context.db.read(lambda db: inbox.model(db, record.id))
    if chosen is not None:
        back = invocation.spelled(f"model {CONFIGURED}")
        return Reply(
            f"This conversation uses the model {chosen}; `{back}` goes back to the configured one.",
            {"model": chosen},
        )
    assert invocation.route is not None  # noqa: S101 - found_at has refused it
    agent = context.agent_of(invocation.route) if record is None else record.agent
    return Reply(f"This conversation uses {_configured(context, agent)}.", {"model": None})


def _configured(context: Context, agent: str) -> str:
    settings = context.roster.get(agent)
    name = None if settings is None else settings.model
    return "the provider's own choice of a model" if name is None else f"the configured model {name}"


COMMANDS: Final = (
    Command(
        "model",
        f"which model answers here; {CONFIGURED}: the configured one",
        Model,
        model,
        changes=True,
        in_place=True,
    ),
    Command(
        "compact",
        "have the agent shorten its memory of this",
        NoParameters,
        _passed_on("compact"),
        in_place=True,
    ),
    Command("context", "what fills the agent's memory", NoParameters, _passed_on("context"), in_place=True),
    Command("cost", "what this conversation has cost", NoParameters, _passed_on("cost"), in_place=True),
)
