"""Revisions: what people have changed and taken back since, applied to what one look at the inbox shows. Pure.

A message that was not begun with reads as it was changed last, and one that was withdrawn is as if it had never been
said. What has become of one that the running query was asked is told to that, and of an older one in a context.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.protocol.mailbox.inbound_reader import Inbox
from agent.protocol.messages import ChatIn, Edited, MessageIn, SystemIn, Withdrawn, revised_by


@dataclass(frozen=True)
class Revised:
    """An inbox as it reads now. `spent` are the rows that have changed a message, by its id: they are done with
    together with it. `withdrawn` are the ids of all that is done with and asks nobody for anything. `late` are the
    rows about messages that were begun with."""

    inbox: Inbox
    spent: Mapping[str, Sequence[str]]
    withdrawn: Sequence[str]
    late: Sequence[MessageIn]

    def spent_on(self, messages: Sequence[MessageIn]) -> list[str]:
        """The ids of the rows that have changed any of these."""
        return [row for message in messages for row in self.spent.get(message.id, ())]


def revise(inbox: Inbox, *, taken: Collection[str] = (), begun: Collection[int] = ()) -> Revised:
    """`taken` are the ids of the rows that the running query has, and `begun` the numbers of the messages that it was
    asked about."""
    unbegun = {message.seq: message for message in inbox.messages if message.id not in taken}
    changes: dict[int, list[MessageIn]] = {}
    late: list[MessageIn] = []
    gone: set[str] = set()
    for row in inbox.revisions:
        seq = revised_by(row)
        if seq is None or row.id in taken:
            continue
        if seq in begun:
            late.append(row)
        elif seq in unbegun:
            changes.setdefault(seq, []).append(row)
        elif seq not in inbox.awaited:
            continue  # Its message has ended: it is context.
        # One whose message is out of sight, or waits for its time, waits with it.
        gone.add(row.id)
    withdrawn: list[str] = []
    spent: dict[str, list[str]] = {}
    for seq, rows in changes.items():
        message, ids = unbegun[seq], [row.id for row in rows]
        if any(_is_withdrawal(row) for row in rows):
            withdrawn += [message.id, *ids]
            gone.add(message.id)
        else:
            spent[message.id] = ids
            unbegun[seq] = _as_edited(message, rows[-1])
    messages = tuple(unbegun.get(each.seq, each) for each in inbox.messages if each.id not in gone)
    return Revised(replace(inbox, messages=messages), spent, withdrawn, late)


def _is_withdrawal(row: MessageIn) -> bool:
    return isinstance(row.content, SystemIn) and isinstance(row.content.system, Withdrawn)


def _as_edited(message: MessageIn, row: MessageIn) -> MessageIn:
    edited = row.content.system if isinstance(row.content, SystemIn) else None
    if not isinstance(edited, Edited) or not isinstance(message.content, ChatIn):
        return message
    return message.model_copy(update={"content": message.content.model_copy(update={"text": edited.text})})
