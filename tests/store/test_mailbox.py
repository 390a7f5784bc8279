"""The two ends of a mailbox on real files: what is written, what is seen, what is kept small."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.protocol import room, snapshot
from agent.protocol.mailbox import (
    AgentEnd,
    HostEnd,
    MailboxBroken,
    MailboxBusy,
    MailboxError,
    MailboxGone,
    OutboxCrowded,
    StatusChange,
)
from agent.protocol.mailbox import agent_end as agent_end_module
from agent.protocol.mailbox.host_end import TERMINAL_ROWS_KEPT
from agent.protocol.mailbox.inbound_reader import MAX_PENDING
from agent.protocol.messages import (
    Ack,
    Clear,
    Destination,
    Interrupt,
    MessageIn,
    MessageOut,
    Note,
    Receipt,
    Route,
    Schedule,
    SystemIn,
)
from agent.protocol.workspace import Workspace
from tests.fakes import mailroom
from tests.fakes.mailroom import DONE, OTHER_THREAD, ROUTE, Rows, make_workspace, process, said

OPS = Destination(name="ops", display_name="Operations", route=Route(channel="terminal", platform_id="ops"))


def seen(agent: AgentEnd) -> list[str]:
    inbox = agent.look()
    assert inbox is not None
    return [message.id for message in inbox.messages]


def acks(workspace: Workspace) -> dict[str, str]:
    return {ack.message_id: ack.status for ack in snapshot.read(workspace.outbox).acks}


def replies(workspace: Workspace) -> list[MessageOut]:
    return list(snapshot.read(workspace.outbox).messages)


def receipt(message: MessageOut) -> Receipt:
    return Receipt(message_out_id=message.id, seq=message.seq, status="sent", at=1)


# ---------------------------------------------------------------- from the host to the agent


def test_what_was_posted_is_seen_as_it_was(host: HostEnd, agent: AgentEnd, rows: Rows) -> None:
    posted = [rows.make("hello"), rows.make(SystemIn(system=Note(text="by the way")), trigger=False)]

    host.post(posted)

    inbox = agent.look()
    assert inbox is not None
    assert inbox.messages == tuple(posted)
    assert inbox.newest_seq == 4


def test_a_message_that_was_posted_before_is_left_alone(host: HostEnd, agent: AgentEnd, rows: Rows) -> None:
    message = rows.make("hello")
    host.post([message])

    host.post([message, message.model_copy(update={"id": "another", "seq": 8}), rows.make("next")])

    assert seen(agent) == ["m2", "m4"]


def test_an_end_is_for_good(host: HostEnd, agent: AgentEnd, rows: Rows) -> None:
    host.post([rows.make("hello")], changes=[StatusChange("m2", "failed")])

    host.post(changes=[StatusChange("m2", "pending"), StatusChange("m2", "completed")])

    assert seen(agent) == []
    assert host.pending() == set()


def test_places_are_seen_and_replaced(host: HostEnd, agent: AgentEnd) -> None:
    assert agent.home() is None
    host.address(ROUTE, [OPS])
    assert (agent.home(), agent.destinations()) == (ROUTE, [OPS])

    host.address(OTHER_THREAD, [])

    assert (agent.home(), agent.destinations()) == (OTHER_THREAD, [])


def test_a_clear_is_never_seen_without_what_came_before_it(
    host: HostEnd, agent: AgentEnd, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of a look are one state of the file, however many statements read them."""
    chat, clear = rows.make("before"), rows.make(SystemIn(system=Clear()), trigger=False)
    refused: list[MailboxError] = []

    def meddle(statement: str) -> None:
        if "NOT IN ('edited'" in statement:
            try:
                host.post([chat, clear])
            except MailboxBusy as exc:
                refused.append(exc)

    assert seen(agent) == []
    db = agent._inbound._db
    assert db is not None
    db.set_trace_callback(meddle)
    ids = seen(agent)
    db.set_trace_callback(None)

    assert ids == []
    assert len(refused) == 1


def test_an_undecodable_row_is_told_apart(
    host: HostEnd, agent: AgentEnd, rows: Rows, workspace: Workspace
) -> None:
    host.post([rows.make("one"), rows.make("two"), rows.make("three"), rows.make("four")])
    with closing(sqlite3.connect(workspace.inbound)) as db:
        db.execute("UPDATE messages_in SET content = '{\"text\": 1}' WHERE seq = 4")
        db.execute("UPDATE messages_in SET kind = 'telepathy' WHERE seq = 6")
        db.commit()

    inbox = agent.look()

    assert inbox is not None
    assert [message.id for message in inbox.messages] == ["m2", "m8"]
    assert inbox.undecodable == ("m4", "m6")


def test_only_the_newest_context_is_told_and_the_rest_is_named(
    host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    context = [rows.make(f"aside {n}", trigger=False) for n in range(MAX_PENDING + 3)]
    host.post([*context, rows.make("now")])

    inbox = agent.look()

    assert inbox is not None
    assert [m.id for m in inbox.messages] == [m.id for m in context[3:]] + ["m208"]
    assert set(inbox.outdated) == {"m2", "m4", "m6"}
    agent.finish(dict.fromkeys(["m2", "m8"], DONE), turn_id="m208")
    inbox = agent.look()
    assert inbox is not None
    assert inbox.messages[0].id == "m6"
    assert inbox.outdated == ("m4",)


# ---------------------------------------------------------------- from the agent to the host


def test_a_turn_is_written_whole(host: HostEnd, agent: AgentEnd, workspace: Workspace) -> None:
    agent.stage("continuation:mock", "c1")

    agent.finish({"m2": DONE}, [said("one", in_reply_to="m2"), said("two")], turn_id="m2")

    found = snapshot.read(workspace.outbox)
    assert [(m.seq, m.content) for m in found.messages] == [
        (1, said("one").content),
        (3, said("two").content),
    ]
    assert [(ack.message_id, ack.status, ack.turn_id) for ack in found.acks] == [("m2", "completed", "m2")]
    assert agent.state("continuation:mock") == "c1"


def test_a_turn_that_cannot_be_written_leaves_nothing_and_loses_nothing(
    host: HostEnd, agent: AgentEnd, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.finish({"m2": DONE}, [said("one", message_id="same")], turn_id="m2")
    agent.stage("continuation:mock", "c2")
    with pytest.raises(MailboxBroken):
        agent.finish({"m4": DONE}, [said("two"), said("three", message_id="same")], turn_id="m4")

    assert (acks(workspace), [m.seq for m in replies(workspace)]) == ({"m2": "completed"}, [1])

    agent.finish({"m4": DONE}, [said("two")], turn_id="m4")

    assert [m.seq for m in replies(workspace)] == [1, 3]
    with closing(sqlite3.connect(workspace.outbound)) as db:
        state = dict(db.execute("SELECT key, value FROM session_state"))
    assert state == {"continuation:mock": "c2", "seq": "3"}


def test_a_state_that_was_taken_back_is_none(agent: AgentEnd) -> None:
    agent.stage("tool", "something")
    agent.hold((), turn_id="m2")
    agent.stage("tool", None)
    assert agent.state("tool") is None
    agent.stage("tool", "something")
    assert agent.state("tool") == "something"


def test_a_claim_is_written_once(agent: AgentEnd, workspace: Workspace) -> None:
    agent.hold(["m2", "m4"], turn_id="m2")
    before = workspace.outbound.stat().st_mtime_ns

    agent.hold(["m2", "m4"], turn_id="m2")

    assert workspace.outbound.stat().st_mtime_ns == before
    assert acks(workspace) == {"m2": "processing", "m4": "processing"}


def test_a_claimed_message_is_still_to_be_done(host: HostEnd, agent: AgentEnd, rows: Rows) -> None:
    host.post([rows.make("hello")])
    agent.hold(["m2"], turn_id="m2")
    assert seen(agent) == ["m2"]


def test_the_space_of_pruned_rows_is_given_back(
    host: HostEnd, agent: AgentEnd, workspace: Workspace, rows: Rows
) -> None:
    big = agent.finish({}, [said("x" * 300_000) for _ in range(5)], turn_id="m2")
    host.post(receipts=[receipt(message) for message in big])
    agent.finish({}, turn_id="m4")
    assert replies(workspace) == [], "large rows are pruned however few they are"
    assert workspace.outbound.stat().st_size > 1_000_000

    agent.compact()

    assert workspace.outbound.stat().st_size < 100_000


def test_a_file_that_is_being_read_is_compacted_another_time(
    host: HostEnd, agent: AgentEnd, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = agent.finish({}, [said("x" * 300_000) for _ in range(5)], turn_id="m2")
    host.post(receipts=[receipt(message) for message in big])
    agent.finish({}, turn_id="m4")
    agent._out.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(workspace.outbound, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM session_state").fetchall()

        agent.compact()

        assert workspace.outbound.stat().st_size > 1_000_000
        reader.execute("ROLLBACK")


def test_the_files_of_a_pruned_message_go_with_it(
    host: HostEnd, agent: AgentEnd, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_end_module, "PRUNE_ABOVE_ROWS", 0)
    (sent, unsent) = agent.finish({}, [said("a file"), said("another")], turn_id="m2")
    for message in (sent, unsent):
        workspace.sent(message.id).mkdir(parents=True)
        (workspace.sent(message.id) / "report.txt").write_text("numbers")
    host.post(receipts=[receipt(sent)])

    agent.finish({}, turn_id="m4")

    assert not workspace.sent(sent.id).exists()
    assert (workspace.sent(unsent.id) / "report.txt").exists()


def test_the_files_of_no_message_are_discarded_at_the_next_start(host: HostEnd, workspace: Workspace) -> None:
    with closing(AgentEnd(workspace)) as agent:
        kept = agent.reply(said("with a file"))
    for name in (kept.id, "killed-before-it-was-written"):
        workspace.sent(name).mkdir(parents=True)
        (workspace.sent(name) / "report.txt").write_text("numbers")
    AgentEnd(workspace).close()
    assert [path.name for path in workspace.sent_files.iterdir()] == [kept.id]


# ---------------------------------------------------------------- files that are not what they were


def test_a_file_of_a_newer_version_is_refused(workspace: Workspace) -> None:
    HostEnd(workspace.inbound).close()
    AgentEnd(workspace).close()
    for path in (workspace.inbound, workspace.outbound):
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 99")
    with pytest.raises(MailboxBroken, match="version 99"):
        HostEnd(workspace.inbound)
    with pytest.raises(MailboxBroken, match="version 99"):
        AgentEnd(workspace)
    with pytest.raises(MailboxBroken, match="version 99"):
        AgentEnd(workspace)  # and the first one has let go of the session's lock


def test_a_file_that_is_no_database_is_broken(workspace: Workspace) -> None:
    workspace.inbound.write_bytes(b"not a database" * 100)
    workspace.outbound.write_bytes(b"not a database" * 100)
    with pytest.raises(MailboxBroken):
        HostEnd(workspace.inbound)
    with pytest.raises(MailboxBroken):
        AgentEnd(workspace)


def test_a_host_whose_file_was_taken_away_says_so(workspace: Workspace, host: HostEnd, rows: Rows) -> None:
    workspace.inbound.unlink()
    with pytest.raises(MailboxGone):
        host.post([rows.make("hello")])


def test_an_agent_whose_folder_was_taken_away_says_so(workspace: Workspace, agent: AgentEnd) -> None:
    for path in workspace.outbox.iterdir():
        path.unlink()
    with pytest.raises(MailboxGone):
        agent.beat()
    with pytest.raises(MailboxGone):
        agent.finish({"m2": DONE}, turn_id="m2")


def test_a_rebuilt_inbound_is_noticed(
    workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    host.post([rows.make("old")])
    assert seen(agent) == ["m2"]

    again = HostEnd.rebuild(
        workspace.inbound,
        messages=[rows.make("new")],
        receipts=[Receipt(message_out_id="out", seq=1, status="sent", at=1)],
        home=ROUTE,
        destinations=[OPS],
    )

    with closing(again):
        assert seen(agent) == ["m4"]
        assert (again.receipts(), again.pending(), agent.home()) == ({"out"}, {"m4"}, ROUTE)
        assert agent.destinations() == [OPS]
        with pytest.raises(MailboxGone):
            host.post([rows.make("into the old one")])


TICK = Schedule(
    series_id="s1", prompt="tick", recurrence="Monday 8:00 UTC", timezone="UTC", status="active", next_at=9
)
PAUSED = Schedule(series_id="s0", prompt="p", recurrence=None, timezone=None, status="paused", next_at=None)


def test_the_agent_knows_the_schedules_that_were_posted_last(
    workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    assert agent.schedules() == []
    host.post([rows.make("hello")], schedules=[PAUSED, TICK])
    assert agent.schedules() == [TICK, PAUSED]
    later = TICK.model_copy(update={"next_at": 20})
    host.post(schedules=[later])
    host.post([rows.make("more")])
    assert agent.schedules() == [later]
    host.post(schedules=[])
    assert agent.schedules() == []

    again = HostEnd.rebuild(
        workspace.inbound, messages=[], receipts=[], home=ROUTE, destinations=[], schedules=[TICK, PAUSED]
    )
    with closing(again):
        assert agent.schedules() == [TICK, PAUSED]
        again.post([rows.make("and more")])
        assert agent.schedules() == [TICK, PAUSED]


def test_schedules_that_cannot_be_read_now_are_not_said_to_be_none(
    workspace: Workspace, host: HostEnd, agent: AgentEnd
) -> None:
    host.post(schedules=[TICK])
    away = workspace.inbound.with_name("away")
    workspace.inbound.rename(away)
    assert agent.schedules() is None
    away.rename(workspace.inbound)
    with closing(sqlite3.connect(workspace.inbound, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert agent.schedules() is None
    assert agent.schedules() == [TICK]


def test_a_rebuild_trusts_nothing_that_lies_there(workspace: Workspace, rows: Rows) -> None:
    """Neither a torn file, nor its journal, which would be played back into the new one, nor half of an
    earlier rebuild."""
    with process(mailroom.host_dies_in_commit, workspace) as service:
        service.process.wait()
    assert workspace.inbound.with_name("inbound.db-journal").exists()
    for name in ("inbound.db.new", "inbound.db.new-journal"):
        (workspace.inbox / name).write_bytes(b"torn" * 500)

    message = rows.make("all that there is")
    HostEnd.rebuild(workspace.inbound, messages=[message], receipts=[], home=ROUTE, destinations=[]).close()

    assert sorted(os.listdir(workspace.inbox)) == ["inbound.db"]
    with closing(AgentEnd(workspace)) as agent:
        inbox = agent.look()
        assert inbox is not None
        assert inbox.messages == (message,)
        assert agent.home() == ROUTE


def test_inbound_is_readable_for_another_user(workspace: Workspace, host: HostEnd) -> None:
    assert workspace.inbound.stat().st_mode & 0o777 == 0o644


def test_terminal_rows_are_pruned_and_others_never(
    workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    oldest = rows.make("waits for ever")
    done = [rows.make("done") for _ in range(TERMINAL_ROWS_KEPT + 50)]
    host.post([oldest, *done], changes=[StatusChange(m.id, "completed") for m in done])

    with closing(sqlite3.connect(workspace.inbound)) as db:
        kept = [row[0] for row in db.execute("SELECT id FROM messages_in ORDER BY seq")]
    assert kept == ["m2", *(m.id for m in done[50:])]


def test_receipts_are_kept_until_they_have_served(host: HostEnd) -> None:
    host.post(receipts=[Receipt(message_out_id=name, seq=1, status="sent", at=1) for name in ("a", "b")])
    host.post(forgotten=["a"])
    assert host.receipts() == {"b"}


@pytest.mark.parametrize("escape", ["\\u0000", "\\u0007", "\\ud83d\\ude00"])
def test_odd_characters_pass(
    host: HostEnd, agent: AgentEnd, workspace: Workspace, rows: Rows, escape: str
) -> None:
    host.post([rows.make("placeholder")])
    content = '{"sender": "Ada", "text": "' + escape + '"}'
    with closing(sqlite3.connect(workspace.inbound)) as db:
        db.execute("UPDATE messages_in SET content = ?", (content,))
        db.commit()
    inbox = agent.look()
    assert inbox is not None
    (message,) = inbox.messages
    assert isinstance(message, MessageIn)
    text = getattr(message.content, "text")  # noqa: B009
    agent.finish({}, [said(text)], turn_id="m2")
    assert replies(workspace)[0].content == said(text).content


def test_half_a_character_cannot_be_decoded(
    host: HostEnd, agent: AgentEnd, workspace: Workspace, rows: Rows
) -> None:
    host.post([rows.make("placeholder")])
    with closing(sqlite3.connect(workspace.inbound)) as db:
        db.execute("UPDATE messages_in SET content = ?", ('{"sender": "Ada", "text": "\\ud83d"}',))
        db.commit()
    inbox = agent.look()
    assert inbox is not None
    assert inbox.undecodable == ("m2",)


def test_an_ack_has_the_time_and_the_turn(workspace: Workspace, host: HostEnd) -> None:
    with closing(AgentEnd(workspace, clock=lambda: 1234)) as agent:
        agent.finish({"m2": "failed"}, turn_id="m2")
    assert snapshot.read(workspace.outbox).acks == (
        Ack(message_id="m2", status="failed", status_changed=1234, turn_id="m2"),
    )


def test_an_interrupt_is_seen_behind_a_backoff(host: HostEnd, workspace: Workspace, rows: Rows) -> None:
    host.post(
        [
            rows.make("again", tries=1, process_after=2_000),
            rows.make(SystemIn(system=Interrupt()), trigger=False),
        ]
    )
    with closing(AgentEnd(workspace, clock=lambda: 1_000)) as agent:
        inbox = agent.look()
    assert inbox is not None
    assert (inbox.messages, [row.id for row in inbox.system], inbox.due_at) == ((), ["m4"], 2_000)


def test_an_agent_writes_no_more_while_much_waits_for_its_delivery(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    host = HostEnd.rebuild(workspace.inbound, messages=[], receipts=[], home=ROUTE, destinations=[])
    with closing(host), closing(AgentEnd(workspace)) as end:
        written = end.finish({}, [said(str(n)) for n in range(room.WRITTEN_ROWS - 1)], turn_id="t1")
        assert not end.crowded()
        written.append(end.reply(said("the last one")))
        assert end.crowded()
        with pytest.raises(OutboxCrowded):
            end.reply(said("too much"))
        end.finish({}, [said("an answer")], turn_id="t2")
        host.post(receipts=[receipt(message) for message in written])
        assert not end.crowded()
        assert end.reply(said("and on")).seq > written[-1].seq
    assert len(snapshot.read(workspace.outbox).messages) == 2


def test_an_agent_writes_no_more_while_what_waits_is_large(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    with closing(AgentEnd(workspace)) as end:
        while not end.crowded():
            end.finish({}, [said("x" * 2_000_000)], turn_id="t1")
        assert workspace.outbound.stat().st_size < snapshot.Bounds().file_bytes / 2
