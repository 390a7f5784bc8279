"""The routes by which an application registers its commands ("Application Commands")."""

from __future__ import annotations

from typing import Final

from tests.fakes.discord_calls import DONE, Answer, Call, Route
from tests.fakes.discord_limits import COMMANDS
from tests.fakes.discord_values import MISSING_ACCESS, Refused


def listed(call: Call) -> Answer:
    """All of a scope."""
    return Answer(call.commands.listed(_scope(call)))


def overwrite(call: Call) -> Answer:
    """These and no others."""
    return Answer(call.commands.overwrite(_scope(call), call.form))


def create(call: Call) -> Answer:
    """One more, or another one of the same name."""
    made, is_new = call.commands.put(_scope(call), call.form)
    return Answer(made, status=201 if is_new else 200)


def read(call: Call) -> Answer:
    """One of them."""
    return Answer(call.commands.find(_scope(call), call.params["command"]))


def edit(call: Call) -> Answer:
    """Changes one."""
    return Answer(call.commands.edit(_scope(call), call.params["command"], call.form))


def delete(call: Call) -> Answer:
    """Takes one away."""
    call.commands.delete(_scope(call), call.params["command"])
    return DONE


def _scope(call: Call) -> str:
    if call.params["application"] != call.world.application_id:
        raise Refused(*MISSING_ACCESS)
    if "guild" not in call.params:
        return ""
    guild = call.world.guilds.get(call.params["guild"])
    if guild is None or call.me.id not in guild.members:
        raise Refused(*MISSING_ACCESS)
    return guild.id


GLOBAL: Final = "/applications/{application}/commands"
OF_GUILD: Final = "/applications/{application}/guilds/{guild}/commands"
ROUTES: Final = tuple(
    route
    for base in (GLOBAL, OF_GUILD)
    for route in (
        Route("GET", base, listed, COMMANDS),
        Route("PUT", base, overwrite, COMMANDS),
        Route("POST", base, create, COMMANDS),
        Route("GET", base + "/{command}", read, COMMANDS),
        Route("PATCH", base + "/{command}", edit, COMMANDS),
        Route("DELETE", base + "/{command}", delete, COMMANDS),
    )
)
