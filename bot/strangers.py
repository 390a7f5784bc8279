"""Strangers: what people say of whom an admin is asked first. It is kept, with its files, until somebody has decided,
and has no other effect until then.

Two kinds of approvals come of it. "admit": a wiring has `strangers = "ask"`, and an admin of the agent is asked about
the person. "contact": nobody has wired the place, and an owner is asked what is to become of it, once for the place.
Each of these functions belongs into the transaction of the event or of the decision.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from adapters.base import Event, Receipt, RemoteFile
from adapters.text import escaped, shown_name, without_mass_mentions
from agent.protocol.messages import Attachment, Quote, Route
from bot import access, approvals, cards
from bot.access import Ask, Drop
from bot.db import approvals as approval_rows
from bot.db import cards as card_rows
from bot.db import held, inbox, people
from bot.db.approvals import ApprovalRecord
from bot.db.held import Held
from bot.db.people import Seen
from bot.errors import CommandFailed
from bot.files import MIB
from bot.redaction import redact

ADMIT: Final = "admit"
CONTACT: Final = "contact"
ALLOW_ONCE: Final = "Allow once"
ALLOW: Final = "Allow"
LET_IN: Final = "Let them in"
WIRE: Final = "Wire the place"
MAX_HELD: Final = 10
"""So many messages wait for one decision."""
MAX_HELD_CHARS: Final = 8_000
"""Of one message: an admin sees all of it on the card."""
MAX_FILE_BYTES: Final = 20 * MIB
"""Of all files of one message."""
MAX_BYTES: Final = 200 * MIB
"""Of all files that wait, over all people."""
MAX_REVISED: Final = 5
"""So often a message may be changed while it waits: an admin is told each time."""
MAX_ASKED: Final = 20
"""So many people and places admins are asked about at a time."""
DAY_MS: Final = 24 * 3_600_000
QUIET_MS: Final = 30 * DAY_MS
"""So long nobody is asked about a place again that an owner wants to stay silent."""
QUOTED_CHARS: Final = 300

TOO_LONG: Final = (
    "Until an admin has let you in, a message can have {limit:,} characters; this one has {count:,}."
)
ENOUGH: Final = "I keep {count} of your messages until an admin has decided; please wait for that."
CROWDED: Final = "Too many people wait for an admin's word at the moment; please try again later."
NOT_KEPT: Final = "These files are not kept until then; please send them again afterwards: {names}."
DENIED: Final = "An admin has decided that I am not to answer you."
NOT_DECIDED: Final = "No admin has decided in time, so your message is not answered; you may write again."
TAKEN_BACK: Final = "They have taken back what they said."
SELDOM: Final = frozenset({access.NOT_LET_IN, ENOUGH.format(count=MAX_HELD), CROWDED})
"""What strangers are told once in a while only."""
_DROPPED: Final = Receipt("dropped")
_MARKUP: Final = frozenset("*_~`|[]()<>#\\&")


@dataclass(frozen=True)
class Kept:
    """What was made ready of a message before the transaction: the id that its row is going to have, the files that
    were kept, the names of those that were not, and what was said in the thread before."""

    message_id: str = field(default_factory=inbox.new_id)
    attachments: Sequence[Attachment] = ()
    left_out: Sequence[str] = ()
    before: Sequence[Quote] = ()


@dataclass(frozen=True)
class Asked:
    """What has come of it: what the person is told, the sessions that are to be delivered once it is committed, and
    whether the message is kept."""

    receipt: Receipt
    kicked: Sequence[str] = ()
    kept: bool = False


def affordable(db: sqlite3.Connection, files: Sequence[RemoteFile]) -> tuple[list[RemoteFile], list[str]]:
    """Which files of a stranger are fetched and kept, by their sizes; and the names of the others."""
    room = min(MAX_FILE_BYTES, MAX_BYTES - held.file_bytes(db))
    kept: list[RemoteFile] = []
    left: list[str] = []
    for each in files:
        if each.size <= room:
            room -= each.size
            kept.append(each)
        else:
            left.append(shown_name(each.name))
    return kept, left


# ---------------------------------------------------------------- what a stranger does


def hold(db: sqlite3.Connection, event: Event, agent: str, asked: Ask, kept: Kept, *, now: int) -> Asked:
    """Keeps a message, and asks an admin unless one is asked already. The decision that it is asked was made by
    `access.decide`."""
    if inbox.known(db, event.id) or held.is_held(db, event.id):
        return Asked(Receipt("duplicate"))
    if asked.kind == CONTACT and held.is_quiet(db, event.route.channel, event.route.platform_id, now=now):
        return Asked(_DROPPED)
    if len(event.text) > MAX_HELD_CHARS:
        return _told(asked, TOO_LONG.format(limit=MAX_HELD_CHARS, count=len(event.text)))
    approval_id = _open(db, event, agent, asked)
    found = None if approval_id is None else approval_rows.get(db, approval_id)
    message = Held(event, agent, "", kept.message_id, kept.attachments, kept.before, kept.left_out)
    if found is None:
        return _begin(db, message, asked, now=now)
    if len(held.waiting(db, found.id)) >= MAX_HELD:
        return _told(asked, ENOUGH.format(count=MAX_HELD))
    _keep(db, replace(message, approval=found.id), now=now)
    _describe(db, found)
    kicked = _tell_admins(db, found, f"{_name(event)} has also written:\n\n{_message(message)}", now=now)
    return Asked(_receipt(asked, kept, first=False), kicked, kept=True)


def revise(db: sqlite3.Connection, event: Event, facts: access.Facts, *, now: int) -> Asked | None:
    """What waits is changed, or taken back; an admin is told, whatever they have read before. None: nothing waits that
    the event is about."""
    found = [each for each in held.of_event(db, event.about) if not each.admitted]
    if not found:
        return None
    decided = access.decide(event, replace(facts, held=True))
    if isinstance(decided, Drop) or (event.kind == "edit" and event.sender.id != found[0].event.sender.id):
        return Asked(_DROPPED)
    kicked: list[str] = []
    for each in found:
        approval = approval_rows.get(db, each.approval)
        if approval is None or approval.state != "open":
            continue
        if event.kind == "delete":
            kicked += _withdraw(db, each, approval, now=now)
        elif event.text != each.event.text and each.revised < MAX_REVISED and _fits(event):
            held.revise(db, event.about, event.text)
            _describe(db, approval)
            changed = replace(each, event=replace(each.event, text=event.text))
            said = f"{_name(each.event)} has changed it:\n\n{_message(changed)}"
            kicked += _tell_admins(db, approval, said, now=now)
    return Asked(_DROPPED, kicked)


def _fits(event: Event) -> bool:
    return len(event.text) <= MAX_HELD_CHARS


def _withdraw(db: sqlite3.Connection, each: Held, approval: ApprovalRecord, *, now: int) -> list[str]:
    held.drop(db, each.event.id, each.agent)
    if held.waiting(db, approval.id):
        _describe(db, approval)
        said = f"{_name(each.event)} has taken this back:\n\n{_message(each)}"
        return _tell_admins(db, approval, said, now=now)
    if (
        approval_rows.settle(db, approval.id, "withdrawn", choice=None, by=each.event.sender.id, now=now)
        is None
    ):
        return []
    return cards.close(db, approval.subject, TAKEN_BACK, now=now)


def _open(db: sqlite3.Connection, event: Event, agent: str, asked: Ask) -> str | None:
    route = event.route
    if asked.kind == CONTACT:
        return held.open_at_place(db, route.channel, route.platform_id)
    return held.open_for_person(db, route.channel, event.sender.id, agent)


def _begin(db: sqlite3.Connection, message: Held, asked: Ask, *, now: int) -> Asked:
    """The first message for which somebody is asked."""
    if held.asked_about(db) >= MAX_ASKED:
        return _told(asked, CROWDED)
    event, route = message.event, message.event.route
    about = {"channel": route.channel, "person": event.sender.id}
    if asked.kind == CONTACT:
        about = {**about, "place": route.platform_id}
    try:
        approval, kicked = approvals.ask(
            db,
            kind=asked.kind,
            agent=message.agent,
            asked_by=event.sender.id,
            summary=_summary(event, message.agent, asked.kind),
            details=_details([message], asked.kind),
            effect=about,
            now=now,
            route=Route(channel=route.channel, platform_id=route.platform_id),
            choices=(LET_IN, WIRE) if asked.kind == CONTACT else (ALLOW_ONCE, ALLOW),
            level="owner" if asked.kind == CONTACT else "admin",
        )
    except CommandFailed:
        # There is nobody who could decide.
        return _told(asked, access.NOT_LET_IN)
    _keep(db, replace(message, approval=approval.id), now=now)
    kept = Kept(left_out=message.left_out)
    return Asked(_receipt(asked, kept, first=True), kicked, kept=True)


def _keep(db: sqlite3.Connection, message: Held, *, now: int) -> None:
    event = message.event
    held.keep(db, message, now=now)
    people.saw(db, event.route.channel, event.sender.id, Seen(event.sender.name, event.sender.groups))


def _receipt(asked: Ask, kept: Kept, *, first: bool) -> Receipt:
    if asked.text is None:
        return _DROPPED
    told = [asked.text] if first else []
    if kept.left_out:
        told.append(NOT_KEPT.format(names=", ".join(kept.left_out)))
    return Receipt("refused", " ".join(told)) if told else _DROPPED


def _told(asked: Ask, text: str) -> Asked:
    """A stranger in a place that nobody has wired is told nothing."""
    return Asked(_DROPPED if asked.text is None else Receipt("refused", text))


def _describe(db: sqlite3.Connection, approval: ApprovalRecord) -> None:
    """Whoever looks the approval up reads all that waits for it, as it is now."""
    details = _details(held.waiting(db, approval.id), approval.kind)
    approval_rows.describe(db, approval.id, redact(details))


def _tell_admins(db: sqlite3.Connection, approval: ApprovalRecord, text: str, *, now: int) -> list[str]:
    """Beneath the cards that have asked about it."""
    shown = [each for each in card_rows.about(db, approval.subject) if each.state == "open" and each.notice]
    return [cards.say(db, each.route, text, now=now) for each in shown]


# ---------------------------------------------------------------- what was decided


def refused(db: sqlite3.Connection, approval: ApprovalRecord, now: int) -> list[str]:
    """It was denied, or nobody has decided in time: nothing waits any more, and the person is told where only they read
    it. Returns the sessions to be delivered."""
    dropped = held.drop_all(db, approval.id)
    channel = str(approval.effect["channel"])
    if approval.state == "denied" and approval.kind == CONTACT:
        held.hush(db, channel, str(approval.effect["place"]), until=now + QUIET_MS)
        return []
    if approval.state == "denied":
        people.deny(db, channel, str(approval.effect["person"]), agent=approval.agent, now=now)
    if approval.kind == CONTACT:
        return []
    direct = next((each.event.route for each in dropped if each.event.direct), None)
    text = DENIED if approval.state == "denied" else NOT_DECIDED
    return [] if direct is None else [cards.say(db, direct, text, now=now)]


# ---------------------------------------------------------------- what an admin reads


def _summary(event: Event, agent: str, kind: str) -> str:
    if kind == CONTACT:
        return f"{_name(event)} wrote in a place that nobody has wired"
    return f"{_name(event)} wants to talk to the agent {agent}"


def _details(messages: Sequence[Held], kind: str) -> str:
    first = messages[0]
    where = "a direct conversation" if first.event.direct else "a place that several people share"
    head = f"Where: {_where(first.event.route)}, {where}. Agent: {first.agent}."
    if kind == CONTACT:
        choices = (
            f'"{LET_IN}" makes them a member for the agent and answers this. "{WIRE}" has everybody answered there who'
            f" mentions the bot. {approvals.DENY}: the place stays silent for {QUIET_MS // DAY_MS} days."
        )
    else:
        choices = (
            f'"{ALLOW_ONCE}" answers what they have said until then. "{ALLOW}" makes them a member for the agent.'
            f" {approvals.DENY}: nobody is asked about them again."
        )
    said = [f"{_name(each.event)} says:\n\n{_message(each)}" for each in messages]
    return "\n\n".join([head, *said, choices])


def _message(message: Held) -> str:
    """What was said, all of it, as data: nothing in it calls anybody, or is taken for a word of ours."""
    event = message.event
    lines = [_quoted(event.text) if event.text.strip() else "(without words)"]
    if event.reply_to is not None:
        to, text = event.reply_to
        lines.append(f"In reply to {escaped(shown_name(to))}: {escaped(shown_name(text, QUOTED_CHARS))}")
    if message.attachments:
        lines.append(f"Files: {', '.join(escaped(shown_name(each.name)) for each in message.attachments)}")
    if message.left_out:
        lines.append(f"Files that are not kept: {', '.join(map(escaped, message.left_out))}")
    if message.before:
        lines.append(f"{len(message.before)} earlier messages of the thread go along.")
    return "\n\n".join(lines)


def _quoted(text: str) -> str:
    return "\n".join(f"> {escaped(line)}" for line in without_mass_mentions(text).splitlines())


def _name(event: Event) -> str:
    """Whoever it is as they are shown, without what could be markup, and their id."""
    name = without_mass_mentions(shown_name(event.sender.name))
    plain = " ".join("".join(" " if each in _MARKUP else each for each in name).split())
    return f"{plain or 'Somebody'} ({event.route.channel}:{event.sender.id})"


def _where(route: Route) -> str:
    return "/".join(part for part in (route.channel, route.platform_id, route.thread_id) if part)
