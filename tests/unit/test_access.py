from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from adapters.base import Event, EventKind, IncomingFile, Sender
from agent.protocol.messages import Route
from bot.access import Allow, Drop, Facts, Level, decide, may
from bot.db.people import Role

ROLES: tuple[Role | None, ...] = (None, *get_args(Role))
LEVELS: tuple[Level, ...] = get_args(Level)
KINDS: tuple[EventKind, ...] = get_args(EventKind)
TALK: tuple[EventKind, ...] = ("message", "answer", "edit", "reaction")
COMMANDS: tuple[EventKind, ...] = ("command", "complete")
LADDER: dict[Role | None, set[Level]] = {
    None: {"anyone"},
    "member": {"anyone", "member"},
    "admin": {"anyone", "member", "admin"},
    "owner": {"anyone", "member", "admin", "owner"},
}


def event(kind: EventKind, *, is_bot: bool = False, name: str = "Ada") -> Event:
    return Event(
        id="e",
        kind=kind,
        route=Route(channel="slack", platform_id="C1"),
        sender=Sender("7", name, is_bot),
        created_at=1,
        direct=True,
        mentions_bot=True,
        files=[IncomingFile("f", "text/plain", Path("f"))],
    )


def test_the_tables_below_know_every_role_level_and_kind() -> None:
    assert set(LADDER) == set(ROLES)
    assert LADDER["owner"] == set(LEVELS)
    assert set(KINDS) == {*TALK, *COMMANDS, "delete"}


@pytest.mark.parametrize(("role", "level"), list(product(ROLES, LEVELS)))
def test_a_role_may_what_its_level_allows(role: Role | None, level: Level) -> None:
    assert may(role, level) == (level in LADDER[role])


@pytest.mark.parametrize(("kind", "role", "accepted"), list(product((*TALK, "delete"), ROLES, (False, True))))
def test_what_people_say_and_do_needs_a_role(kind: EventKind, role: Role | None, accepted: bool) -> None:
    decided = decide(event(kind), Facts(role, accepted=accepted))
    assert decided == (Drop("stranger") if role is None else Allow())


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_deletion_needs_nobody_who_did_it_and_only_of_what_was_accepted(kind: EventKind) -> None:
    nobody = replace(event(kind), sender=Sender("", ""))
    assert (decide(nobody, Facts(None, accepted=True)) == Allow()) == (kind == "delete")
    assert isinstance(decide(nobody, Facts(None)), Drop)


@pytest.mark.parametrize(("kind", "role", "level"), list(product(COMMANDS, ROLES, (None, *LEVELS))))
def test_commands_need_their_level(kind: EventKind, role: Role | None, level: Level | None) -> None:
    decided = decide(event(kind), Facts(role, level))
    if level in LADDER[role]:
        assert decided == Allow()
    elif role is None:
        assert decided == Drop("stranger"), "a stranger is told nothing, not even which commands there are"
    elif level is None:
        assert decided == Drop("unknown_command", "There is no such command; /help lists them.")
    else:
        assert decided == Drop("not_allowed", f"This command is for people with the role {level}.")


@pytest.mark.parametrize(("kind", "role", "level"), list(product(KINDS, ROLES, (None, *LEVELS))))
def test_a_bot_is_dropped_whoever_it_is(kind: EventKind, role: Role | None, level: Level | None) -> None:
    assert decide(event(kind, is_bot=True), Facts(role, level)) == Drop("bot")


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_decides_nothing(kind: EventKind) -> None:
    for role, level in product(ROLES, LEVELS):
        facts = Facts(role, level)
        assert decide(event(kind, name="owner"), facts) == decide(event(kind, name="x"), facts)
