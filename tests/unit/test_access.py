from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from adapters.base import Event, EventKind, IncomingFile, Sender
from agent.protocol.messages import Route
from bot.access import NOT_LET_IN, Allow, Ask, Drop, Facts, Level, decide, may
from bot.db.people import Role, Standing
from bot.engage import Strangers

ROLES: tuple[Role | None, ...] = (None, *get_args(Role))
LEVELS: tuple[Level, ...] = get_args(Level)
KINDS: tuple[EventKind, ...] = get_args(EventKind)
POLICIES: tuple[Strangers, ...] = get_args(Strangers)
YES_AND_NO = (False, True)
LADDER: dict[Role | None, set[Level]] = {
    None: {"anyone"},
    "member": {"anyone", "member"},
    "admin": {"anyone", "member", "admin"},
    "owner": {"anyone", "member", "admin", "owner"},
}
TALK: tuple[EventKind, ...] = ("message", "answer", "edit", "delete", "reaction")
COMMANDS: tuple[EventKind, ...] = ("command", "complete")
OF_BOTS: tuple[EventKind, ...] = ("message", "edit", "delete")
TOLD: tuple[EventKind, ...] = ("message", "answer", "command")
"""The kinds by which a stranger turns to the agent."""


def event(kind: EventKind, *, by: Sender = Sender("7", "Ada")) -> Event:  # noqa: B008 - it is frozen
    return Event(
        id="e",
        kind=kind,
        route=Route(channel="slack", platform_id="C1"),
        sender=by,
        created_at=1,
        direct=True,
        mentions_bot=True,
        files=[IncomingFile("f", "text/plain", Path("f"))],
    )


def everything() -> list[Facts]:
    """Each combination of what may be known."""
    return [
        Facts(Standing(role), None, level, strangers=strangers, bots=bots, addressed=addressed)
        for role, level, strangers, bots, addressed in product(
            ROLES, (None, *LEVELS), POLICIES, YES_AND_NO, YES_AND_NO
        )
    ]


def turned_away(kind: EventKind, facts: Facts) -> Ask | Drop:
    if facts.strangers == "ask" and kind == "message" and facts.addressed:
        return Ask()
    told = facts.strangers == "refuse" and facts.addressed and kind in TOLD
    return Drop("stranger", NOT_LET_IN if told else None)


def test_the_tables_below_know_every_role_level_and_kind() -> None:
    assert set(LADDER) == set(ROLES)
    assert LADDER["owner"] == set(LEVELS)
    assert {*TALK, *COMMANDS} == set(KINDS)
    assert set(POLICIES) == {"ignore", "refuse", "ask", "answer"}


@pytest.mark.parametrize(("role", "level"), list(product(ROLES, LEVELS)))
def test_a_role_may_what_its_level_allows(role: Role | None, level: Level) -> None:
    assert may(role, level) == (level in LADDER[role])


@pytest.mark.parametrize("kind", TALK)
def test_talking_needs_a_role_or_a_place_where_strangers_are_answered(kind: EventKind) -> None:
    for facts in everything():
        welcome = facts.role is not None or facts.strangers == "answer"
        assert decide(event(kind), facts) == (Allow() if welcome else turned_away(kind, facts)), facts


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_deletion_needs_nobody_who_did_it_and_only_of_what_was_accepted(kind: EventKind) -> None:
    nobody = event(kind, by=Sender("", ""))
    assert (decide(nobody, Facts(accepted=True)) == Allow()) == (kind == "delete")
    assert isinstance(decide(nobody, Facts()), Drop)


@pytest.mark.parametrize("kind", COMMANDS)
def test_commands_need_their_level(kind: EventKind) -> None:
    for facts in everything():
        role: Role | None = facts.role
        decided = decide(event(kind), facts)
        if facts.command_level in LADDER[role]:
            assert decided == Allow(), facts
        elif role is None:
            assert decided == turned_away(kind, facts), "a stranger is not told which commands there are"
        elif facts.command_level is None:
            assert decided == Drop("unknown_command", "There is no such command; /roost help lists them.")
        else:
            text = f"This command is for people with the role {facts.command_level}."
            assert decided == Drop("not_allowed", text)


def test_a_guest_has_no_command_of_admins() -> None:
    for level in ("admin", "owner"):
        assert isinstance(decide(event("command"), Facts(Standing(), None, level, strangers="answer")), Drop)
    assert Facts(strangers="answer").guest
    assert not Facts(Standing("member"), strangers="answer").guest and not Facts(strangers="refuse").guest


@pytest.mark.parametrize("kind", KINDS)
def test_a_bot_is_heard_where_the_wiring_says_so_whoever_it_is(kind: EventKind) -> None:
    for facts in everything():
        heard = facts.bots and kind in OF_BOTS
        decided = decide(event(kind, by=Sender("7", "Ada", is_bot=True)), facts)
        assert decided == (Allow() if heard else Drop("bot")), facts


@pytest.mark.parametrize(("kind", "is_bot"), list(product(KINDS, YES_AND_NO)))
def test_the_bot_itself_is_never_heard(kind: EventKind, is_bot: bool) -> None:
    for facts in everything():
        assert decide(event(kind, by=Sender("7", "Ada", is_bot, is_self=True)), facts) == Drop("itself")


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_decides_nothing(kind: EventKind) -> None:
    for facts in everything():
        assert decide(event(kind, by=Sender("7", "owner")), facts) == decide(
            event(kind, by=Sender("7", "x")), facts
        )
