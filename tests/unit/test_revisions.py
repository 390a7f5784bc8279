"""What people have changed and taken back since, on the agent's side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from agent.batching import Batch, follow_ups, forgotten_by, next_batch
from agent.protocol.mailbox.inbound_reader import Inbox
from agent.protocol.messages import (
    ChatIn,
    Clear,
    Edited,
    MessageIn,
    Reacted,
    SystemIn,
    Withdrawn,
    revised_by,
)
from agent.revisions import Revised, revise
from tests.fakes.mailroom import OTHER_THREAD, ROUTE, Rows

CLEAR = SystemIn(system=Clear())


def edit(seq: int, text: str) -> SystemIn:
    return SystemIn(system=Edited(seq=seq, text=text, by="Ada"))


def withdrawal(seq: int) -> SystemIn:
    return SystemIn(system=Withdrawn(seq=seq))


def inbox(rows: Sequence[MessageIn], done: Sequence[str] = ()) -> Inbox:
    """As one look shows it that sees everything."""
    pending = [row for row in rows if row.id not in done]
    revisions = tuple(row for row in pending if revised_by(row) is not None)
    about = {revised_by(row) for row in revisions}
    return Inbox(
        messages=tuple(pending),
        system=tuple(row for row in pending if row.kind == "system"),
        revisions=revisions,
        awaited=frozenset(row.seq for row in pending if row.seq in about),
    )


def texts(revised: Revised) -> list[str]:
    return [row.content.text for row in revised.inbox.messages if isinstance(row.content, ChatIn)]


def test_the_newest_edit_wins_and_is_spent_with_its_message() -> None:
    rows = Rows()
    said = [rows.make("one"), rows.make("two")]
    said += [rows.make(edit(2, "uno"), trigger=False), rows.make(edit(2, "ein"), trigger=False)]
    revised = revise(inbox(said))
    assert texts(revised) == ["ein", "two"]
    assert [row.id for row in revised.inbox.messages] == ["m2", "m4"]
    assert revised.spent_on(said[:1]) == ["m6", "m8"] and not revised.spent_on(said[1:2])
    assert not revised.late and not revised.withdrawn


def test_what_is_withdrawn_goes_with_all_that_is_about_it() -> None:
    rows = Rows()
    said = [rows.make("one"), rows.make(edit(2, "uno"), trigger=False), rows.make("two")]
    said += [rows.make(withdrawal(2), trigger=False), rows.make(edit(2, "due"), trigger=False)]
    revised = revise(inbox(said))
    assert texts(revised) == ["two"]
    assert sorted(revised.withdrawn) == ["m10", "m2", "m4", "m8"]


def test_what_was_begun_with_is_told_late_and_what_has_ended_as_context() -> None:
    rows = Rows()
    said = [rows.make("begun"), rows.make("ended")]
    said += [rows.make(edit(2, "x"), trigger=False), rows.make(withdrawal(4), trigger=False)]
    revised = revise(inbox(said, done=["m4"]), taken={"m2"}, begun={2})
    assert [row.id for row in revised.late] == ["m6"]
    assert [row.id for row in revised.inbox.messages] == ["m2", "m8"]
    assert texts(revised) == ["begun"]
    again = revise(inbox(said, done=["m4"]), taken={"m2", "m6"}, begun={2})
    assert not again.late, "once"


def test_an_edit_waits_for_a_message_that_is_out_of_sight() -> None:
    rows = Rows()
    changed = rows.make(edit(4, "uno"), trigger=False)
    revised = revise(Inbox(messages=(changed,), revisions=(changed,), awaited=frozenset({4})))
    assert revised.inbox.messages == () and not revised.spent and not revised.late


def test_a_row_beyond_the_window_changes_its_message_all_the_same() -> None:
    rows = Rows()
    said, changed = rows.make("one"), rows.make(edit(2, "uno"), trigger=False)
    revised = revise(Inbox(messages=(said,), revisions=(changed,), awaited=frozenset({2})))
    assert texts(revised) == ["uno"]


def test_what_came_afterwards_is_context_wherever_it_was_said() -> None:
    rows = Rows()
    reaction = SystemIn(system=Reacted(seq=1, emoji="x", by="Ada"))
    said = [rows.make(reaction, trigger=False, route=OTHER_THREAD), rows.make(edit(40, "x"), trigger=False)]
    assert next_batch(revise(inbox(said)).inbox.messages) is None, "it asks for nothing"
    said.append(rows.make("one"))
    batch = next_batch(revise(inbox(said)).inbox.messages)
    assert isinstance(batch, Batch) and [row.id for row in batch.messages] == ["m2", "m4", "m6"]


# ---------------------------------------------------------------- in any order


@dataclass
class Agent:
    """What the loop and a conversation do about an inbox that grows."""

    rows: Rows = field(default_factory=Rows)
    posted: list[MessageIn] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    route: object = None
    knows: dict[int, str | None] = field(default_factory=dict)
    """How the agent believes that each message reads; None: it was taken back."""
    words: itertools.count[int] = field(default_factory=itertools.count)

    def act(self, what: str, which: int) -> None:
        chats = [row for row in self.posted if isinstance(row.content, ChatIn)]
        match what:
            case "say":
                route = OTHER_THREAD if which % 3 == 0 else ROUTE
                self._post(f"word {next(self.words)}", trigger=which % 5 != 0, route=route)
            case "clear":
                self._post(CLEAR, trigger=False)
            case "edit" if chats:
                self._post(edit(chats[which % len(chats)].seq, f"word {next(self.words)}"), trigger=False)
            case "withdraw" if chats:
                self._post(withdrawal(chats[which % len(chats)].seq), trigger=False)
            case "begin" if not self.taken:
                self.begin()
            case "look" if self.taken:
                self.look()
            case "end":
                self.end()

    def begin(self) -> bool:
        revised = self._revised()
        step = next_batch(revised.inbox.messages)
        if isinstance(step, MessageIn):
            self.done |= {step.id, *(row.id for row in forgotten_by(step, revised.inbox.messages))}
        elif step is not None:
            self.route = step.route
            self._take(step.messages, revised)
        return step is not None

    def look(self) -> None:
        revised = self._revised()
        for row in revised.late:
            self.taken.add(row.id)
            self._learn(row)
        batch = next_batch([row for row in revised.inbox.messages if row.id in self.taken])
        if batch is None or isinstance(batch, Batch):
            self._take(follow_ups(revised.inbox.messages, self.route, self.taken), revised)  # type: ignore[arg-type]

    def end(self) -> None:
        self.done |= self.taken
        self.taken, self.begun = set(), set()

    def _post(self, content: object, **more: object) -> None:
        self.posted.append(self.rows.make(content, **more))  # type: ignore[arg-type]

    def _revised(self) -> Revised:
        revised = revise(inbox(self.posted, list(self.done)), taken=self.taken, begun=self.begun)
        self.done |= set(revised.withdrawn)
        return revised

    def _take(self, messages: Sequence[MessageIn], revised: Revised) -> None:
        self.taken |= {row.id for row in messages} | set(revised.spent_on(messages))
        for row in messages:
            self._learn(row)
            if isinstance(row.content, ChatIn):
                self.begun.add(row.seq)
                assert row.content.text == self.newest(row.seq), "it is asked as it reads now"

    def _learn(self, row: MessageIn) -> None:
        system = row.content.system if isinstance(row.content, SystemIn) else None
        if isinstance(row.content, ChatIn):
            self.knows[row.seq] = row.content.text
        elif isinstance(system, Edited):
            self.knows[system.seq] = system.text
        elif isinstance(system, Withdrawn):
            self.knows[system.seq] = None

    def newest(self, seq: int) -> str | None:
        """How the message reads; the host tells of no edit after a withdrawal."""
        text: str | None = None
        for row in self.posted:
            system = row.content.system if isinstance(row.content, SystemIn) else None
            if isinstance(row.content, ChatIn) and row.seq == seq:
                text = row.content.text
            elif isinstance(system, Edited) and system.seq == seq and text is not None:
                text = system.text
            elif isinstance(system, Withdrawn) and system.seq == seq:
                text = None
        return text


ACTS = st.tuples(
    st.sampled_from(["say", "say", "edit", "edit", "withdraw", "begin", "look", "end", "clear"]),
    st.integers(0, 20),
)


@given(st.lists(ACTS, max_size=40))
def test_whatever_comes_in_whichever_order_all_is_done_with_and_the_newest_word_counts(
    acts: list[tuple[str, int]],
) -> None:
    agent = Agent()
    for what, which in acts:
        if what == "edit":
            chats = [row for row in agent.posted if isinstance(row.content, ChatIn)]
            if chats and agent.newest(chats[which % len(chats)].seq) is None:
                continue  # The host drops it.
        agent.act(what, which)
    agent.end()
    while agent.begin():
        agent.end()
    for route in (ROUTE, OTHER_THREAD):
        agent.posted.append(agent.rows.make("the last word", route=route))
    while agent.begin():
        agent.end()
    assert {row.id for row in agent.posted} == agent.done
    for seq, text in agent.knows.items():
        cleared = any(row.content == CLEAR and row.seq > seq for row in agent.posted)
        assert text == agent.newest(seq) or cleared
