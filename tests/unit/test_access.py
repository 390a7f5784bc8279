"""The one decision, held against a table that was written for itself: every kind of event, by everybody, about
everything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final, Literal, get_args

import pytest

from adapters.base import CARD, Event, EventKind, IncomingFile, RemoteFile, Sender
from agent.protocol.messages import Route
from bot.access import ASKED, NOT_LET_IN, ONLY_ADMINS, Allow, Ask, Drop, Facts, Level, decide, may
from bot.db.people import Role, Standing
from bot.engage import Senders, Strangers

ROLES: tuple[Role | None, ...] = (None, *get_args(Role))
LEVELS: tuple[Level, ...] = get_args(Level)
KINDS: tuple[EventKind, ...] = get_args(EventKind)
POLICIES: tuple[Strangers, ...] = get_args(Strangers)
HEARD: tuple[Senders, ...] = get_args(Senders)
YES_AND_NO = (False, True)
LADDER: dict[Role | None, set[Level]] = {
    None: {"anyone"},
    "member": {"anyone", "member"},
    "admin": {"anyone", "member", "admin"},
    "owner": {"anyone", "member", "admin", "owner"},
}
ADA: Final = Sender("7", "Ada")
DISCORD, SLACK = Route(channel="discord", platform_id="1"), Route(channel="slack", platform_id="C1")
COMMANDS: tuple[EventKind, ...] = ("command", "complete")


async def _fetch(_: Path, __: int) -> None:
    raise AssertionError("nothing is fetched by a decision")


def _of(kind: EventKind, **more: object) -> Event:
    return replace(Event("e", kind, SLACK, ADA, 1), **more)  # type: ignore[arg-type]


INBOUND: Final[dict[str, Event]] = {
    "message": _of("message", mentions_bot=True, text="hello"),
    "message in a direct conversation": _of("message", direct=True, text="hello"),
    "message in a direct conversation of several": _of("message", text="hello"),
    "message with a staged file": _of("message", files=[IncomingFile("f", "text/plain", Path("f"))]),
    "message with a remote file": _of("message", remote=[RemoteFile("f", "text/plain", 1, _fetch)]),
    "edit": _of("edit", about="x", text="changed"),
    "delete": _of("delete", about="x"),
    "reaction": _of("reaction", about="x", text="+1"),
    "reaction taken back": _of("reaction", about="x", text="+1", taken_back=True),
    "slash command": _of("command", command="status"),
    "typing of a command": _of("complete", command="status", completing="id"),
    "answer by a button": _of("answer", question_id="q", choice=0),
    "answer by a form": _of("answer", question_id="q", text="words"),
    "press on a card": _of("command", command="approval approve", arguments={"id": "a"}),
    "press on a card, before its command is known": _of("answer", question_id=f"{CARD}1", choice=0),
}
"""Every kind of event that an adapter hands in. What a card's button gives is a command, decided upon as one."""
TELLS: Final[set[EventKind]] = {"message", "answer", "command"}
"""By which somebody turns to the agent, and is told something."""
SENDERS: Final[dict[str, Sender]] = {
    "person": ADA,
    "bot": Sender("7", "Ada", is_bot=True),
    "webhook": Sender("hook", "Build", is_bot=True),
    "self": Sender("7", "Roost", is_bot=True, is_self=True),
}

Where = Literal["everywhere", "this agent", "another agent", "nowhere"]
SCOPES: tuple[Where, ...] = get_args(Where)


@dataclass(frozen=True)
class Case:
    """What is known, in words of its own."""

    role: Role | None
    where: Where
    level: Level | None
    policy: Strangers
    heard: Senders = "anyone"
    about_agent: bool = True
    addressed: bool = True

    def facts(self, **more: object) -> Facts:
        standing = {
            "everywhere": Standing(self.role),
            "this agent": Standing(None, {} if self.role is None else {"helper": self.role}),
            "another agent": Standing(None, {} if self.role is None else {"other": self.role}),
            "nowhere": Standing(),
        }[self.where]
        known = Facts(
            standing,
            "helper",
            self.level,
            strangers=self.policy,
            senders=self.heard,
            addressed=self.addressed,
        )
        known = known if self.about_agent else known.about(None)
        return replace(known, **more)  # type: ignore[arg-type]

    @property
    def counts(self) -> Role | None:
        """The role that ought to count, of whatever it is about."""
        own = (
            self.role
            if self.where == "everywhere" or (self.where == "this agent" and self.about_agent)
            else None
        )
        guest = self.policy == "answer" and self.about_agent
        return own or ("member" if guest else None)

    @property
    def is_known(self) -> bool:
        """Whether they are anything to anybody."""
        return self.role is not None and self.where != "nowhere"


CASES: Final = [
    Case(*each) for each in product(ROLES, SCOPES, (None, *LEVELS), POLICIES, HEARD, YES_AND_NO, YES_AND_NO)
]
SOME: Final = CASES[::11]
"""Enough of them for what does not depend on each: 11 goes into none of the counts that they are made of."""


def expected(kind: EventKind, case: Case) -> str:
    """What is to become of it, as it stands in docs/channels.md."""
    if kind in COMMANDS:
        if case.level is not None and case.level in LADDER[case.counts]:
            return "allow"
        if case.counts is not None or case.is_known:
            return "not this command"
        return "told off" if case.policy == "refuse" and case.about_agent and told(kind, case) else "silence"
    if case.counts is not None:
        if case.heard == "anyone" or kind == "delete" or case.counts in ("admin", "owner"):
            return "allow"
        return "told of admins" if kind in ("message", "answer") and case.addressed else "silence"
    # Beyond its agent the rule of a place for strangers says nothing.
    policy = case.policy if case.about_agent else "ignore"
    if policy == "ask" and kind == "message" and case.addressed and case.heard == "anyone":
        return "ask"
    return "told off" if policy == "refuse" and told(kind, case) else "silence"


def told(kind: EventKind, case: Case) -> bool:
    return kind in TELLS and case.addressed


def outcome(decided: Allow | Ask | Drop) -> str:
    match decided:
        case Allow():
            return "allow"
        case Ask(kind="admit", text=text) if text == ASKED:
            return "ask"
        case Drop(reason="not_allowed" | "unknown_command", text=str()):
            return "not this command"
        case Drop(text=text) if text == NOT_LET_IN:
            return "told off"
        case Drop(text=text) if text == ONLY_ADMINS:
            return "told of admins"
        case Drop(text=None):
            return "silence"
    raise AssertionError(decided)


def test_the_tables_know_every_role_level_and_kind() -> None:
    assert set(LADDER) == set(ROLES) and LADDER["owner"] == set(LEVELS)
    assert {each.kind for each in INBOUND.values()} == set(KINDS)
    assert set(POLICIES) == {"ignore", "refuse", "ask", "answer"} and set(HEARD) == {"anyone", "admins"}


@pytest.mark.parametrize(("role", "level"), list(product(ROLES, LEVELS)))
def test_a_role_may_what_its_level_allows(role: Role | None, level: Level) -> None:
    assert may(role, level) == (level in LADDER[role])


@pytest.mark.parametrize("inbound", INBOUND)
def test_every_event_of_everybody_about_everything(inbound: str) -> None:
    event = INBOUND[inbound]
    for case in CASES:
        decided = decide(event, case.facts())
        assert outcome(decided) == expected(event.kind, case), (case, decided)


@pytest.mark.parametrize("inbound", INBOUND)
def test_a_group_counts_as_if_the_role_were_their_own(inbound: str) -> None:
    """A group is no fact of its own: what it gives is in the standing (tests/store/test_repositories.py), and whoever
    says that they are in one has nothing of it here."""
    event = INBOUND[inbound]
    grouped = replace(event, sender=replace(ADA, groups=("owners", "7")))
    for case in SOME:
        assert decide(grouped, case.facts()) == decide(event, case.facts())


@pytest.mark.parametrize(("inbound", "who"), list(product(INBOUND, ("bot", "webhook", "self"))))
def test_bots_are_heard_where_the_wiring_says_so_and_the_bot_itself_never(inbound: str, who: str) -> None:
    event = replace(INBOUND[inbound], sender=SENDERS[who])
    for case, bots, held, admitted in product(SOME, YES_AND_NO, YES_AND_NO, YES_AND_NO):
        decided = decide(event, case.facts(bots=bots, held=held, admitted=admitted, first_contact=True))
        heard = who != "self" and bots and event.kind in ("message", "edit", "delete")
        assert decided == (Allow() if heard else Drop("itself" if who == "self" else "bot")), case


@pytest.mark.parametrize("inbound", INBOUND)
def test_only_a_deletion_needs_nobody_who_did_it(inbound: str) -> None:
    nobody = replace(INBOUND[inbound], sender=Sender("", ""))
    for accepted, held in product(YES_AND_NO, YES_AND_NO):
        decided = decide(nobody, Facts(accepted=accepted, held=held))
        assert isinstance(decided, Allow) == (nobody.kind == "delete" and (accepted or held)), decided


@pytest.mark.parametrize("inbound", INBOUND)
def test_what_waits_may_be_changed_by_strangers_and_nothing_else(inbound: str) -> None:
    event = INBOUND[inbound]
    for case in SOME:
        decided = decide(event, case.facts(held=True))
        if event.kind in ("edit", "delete") and case.counts is None:
            assert decided == Ask(None), case
        else:
            assert decided == decide(event, case.facts()), case


@pytest.mark.parametrize("inbound", INBOUND)
def test_what_was_let_through_is_a_message_and_no_command(inbound: str) -> None:
    event = INBOUND[inbound]
    for case in SOME:
        decided = decide(event, case.facts(admitted=True))
        assert decided == (Allow() if event.kind == "message" else decide(event, case.facts())), case


@pytest.mark.parametrize("inbound", INBOUND)
def test_an_owner_is_asked_about_a_place_by_messages_that_turn_to_the_bot(inbound: str) -> None:
    event = INBOUND[inbound]
    for case in (each for each in CASES[::3] if each.policy == "ignore"):
        decided = decide(event, case.facts(first_contact=True))
        turns = event.kind == "message" and case.addressed
        if case.counts is None and turns:
            assert decided == Ask(None, "contact"), case
        else:
            assert decided == decide(event, case.facts()), case


@pytest.mark.parametrize(
    ("denied", "agent", "asked"),
    [
        (set(), "helper", True),
        ({""}, "helper", False),
        ({"helper"}, "helper", False),
        ({"other"}, "helper", True),
    ],
)
def test_nobody_is_asked_about_whoever_was_denied(denied: set[str], agent: str, asked: bool) -> None:
    standing = Standing(denied=frozenset(denied))
    for facts in (Facts(standing, agent, strangers="ask"), Facts(standing, agent, first_contact=True)):
        decided = decide(INBOUND["message"], facts)
        assert isinstance(decided, Ask) == asked
        assert asked or decided == Drop("denied"), "and they are told nothing"
    assert decide(INBOUND["message"], Facts(replace(standing, everywhere="member"), agent)) == Allow()


def test_a_guest_has_no_command_of_admins() -> None:
    for level in ("admin", "owner"):
        assert isinstance(
            decide(INBOUND["slash command"], Facts(Standing(), None, level, strangers="answer")), Drop
        )
    assert Facts(strangers="answer").guest
    assert not Facts(Standing("member"), strangers="answer").guest and not Facts(strangers="refuse").guest


def test_which_role_is_missing_is_told_to_those_who_are_known() -> None:
    asked = replace(INBOUND["slash command"], route=DISCORD)
    assert decide(asked, Facts(Standing("member"), "helper", "admin")) == Drop(
        "not_allowed", "This command is for people with the role admin for the agent helper."
    )
    assert decide(asked, Facts(Standing("admin"), None, "owner")) == Drop(
        "not_allowed", "This command is for people with the role owner."
    )
    unknown = decide(asked, Facts(Standing("member"), "helper", None))
    assert isinstance(unknown, Drop) and unknown.reason == "unknown_command"


@pytest.mark.parametrize("inbound", INBOUND)
def test_a_name_decides_nothing(inbound: str) -> None:
    event = INBOUND[inbound]
    for case in SOME:
        named = replace(event, sender=Sender("7", "owner"))
        assert decide(named, case.facts()) == decide(event, case.facts())
