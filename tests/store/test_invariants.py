"""What holds between the two ends of a mailbox whatever happens to either process."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.protocol import snapshot
from agent.protocol.mailbox import (
    AgentEnd,
    HostEnd,
    MailboxBusy,
    SessionLocked,
    StatusChange,
)
from agent.protocol.mailbox.agent_end import PRUNE_ABOVE_ROWS
from agent.protocol.mailbox.common import connect, translating
from agent.protocol.mailbox.host_end import BUSY_TIMEOUT_MS
from agent.protocol.mailbox.inbound_reader import MAX_PENDING
from agent.protocol.messages import Clear, Note, Receipt, SystemIn
from agent.protocol.snapshot import HotJournal
from agent.protocol.workspace import Workspace
from tests.fakes import mailroom
from tests.fakes.hostile import Child
from tests.fakes.mailroom import DONE, Rows, process, said

NOW = 1_700_000_000_000


@pytest.fixture
def agent(workspace: Workspace, host: HostEnd) -> Iterator[AgentEnd]:
    with closing(AgentEnd(workspace, clock=lambda: NOW)) as end:
        yield end


def seen(agent: AgentEnd) -> list[str]:
    inbox = agent.look()
    assert inbox is not None
    return [message.id for message in inbox.messages]


def acks(workspace: Workspace) -> dict[str, str]:
    return {ack.message_id: ack.status for ack in snapshot.read(workspace.outbox).acks}


def seqs(workspace: Workspace) -> list[int]:
    return [message.seq for message in snapshot.read(workspace.outbox).messages]


def deliver_all(host: HostEnd, workspace: Workspace) -> None:
    host.post(
        receipts=[
            Receipt(message_out_id=m.id, seq=m.seq, status="sent", at=1)
            for m in snapshot.read(workspace.outbox).messages
        ]
    )


# ---------------------------------------------------------------- 1: one writer process per file


def test_the_agent_never_writes_inbound(
    workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    host.post([rows.make("hello")])
    before = workspace.inbound.read_bytes(), workspace.inbound.stat().st_mtime_ns

    agent.look()
    agent.finish({"m2": DONE}, [said("hi")], turn_id="m2")

    assert (workspace.inbound.read_bytes(), workspace.inbound.stat().st_mtime_ns) == before
    db = agent._inbound._db
    assert db is not None
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM messages_in")


def test_an_agent_without_an_inbound_makes_none(workspace: Workspace) -> None:
    with closing(AgentEnd(workspace)) as agent:
        assert agent.look() is None
        assert agent.destinations() is None
    assert not workspace.inbound.exists()


def test_only_the_host_end_makes_inbound_and_only_the_agent_end_outbound(workspace: Workspace) -> None:
    with closing(HostEnd(workspace.inbound)):
        assert not workspace.outbound.exists()
    with closing(AgentEnd(workspace)):
        assert workspace.outbound.exists()


# ---------------------------------------------------------------- 2: a lock on inbound hurts nobody


def test_a_container_that_locks_inbound_makes_the_host_busy_and_nothing_is_lost(
    workspace: Workspace, host: HostEnd, rows: Rows
) -> None:
    host.post([rows.make("first")])
    batch = [rows.make("second"), rows.make("third")]
    with process(mailroom.reader, workspace) as container:
        assert container.hear() == "reading"
        with pytest.raises(MailboxBusy):
            host.post(batch, changes=[StatusChange("m2", "completed")])
        assert host.pending() == {"m2"}, "all of a post or nothing of it"
        container.tell()
        assert container.hear() == "done"

        host.post(batch, changes=[StatusChange("m2", "completed")])

    assert host.pending() == {"m4", "m6"}


def test_a_container_that_is_paused_while_it_reads_keeps_its_lock(
    workspace: Workspace, host: HostEnd, rows: Rows
) -> None:
    host.post([rows.make("first")])
    with process(mailroom.reader, workspace) as container:
        assert container.hear() == "reading"
        container.process.send_signal(signal.SIGSTOP)
        container.tell()
        with pytest.raises(MailboxBusy):
            host.post([rows.make("second")])
        container.process.send_signal(signal.SIGCONT)
        assert container.hear() == "done"
        host.post([rows.make("second")])


def test_a_container_that_is_killed_while_it_reads_keeps_nothing(
    workspace: Workspace, host: HostEnd, rows: Rows
) -> None:
    host.post([rows.make("first")])
    with process(mailroom.reader, workspace) as container:
        assert container.hear() == "reading"
        with pytest.raises(MailboxBusy):
            host.post([rows.make("second")])
        container.kill()
        host.post([rows.make("second")])


def test_the_host_waits_for_a_quarter_of_a_second_at_most(host: HostEnd) -> None:
    assert BUSY_TIMEOUT_MS == 250
    assert host._db.execute("PRAGMA busy_timeout").fetchone()[0] == BUSY_TIMEOUT_MS


def test_a_look_leaves_no_lock_behind(
    workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    host.post([rows.make(f"{n}") for n in range(MAX_PENDING + 5)])
    host._db.execute("PRAGMA busy_timeout = 0")
    for n in range(3):
        agent.look()
        agent.destinations()
        host.post([rows.make(f"more {n}")])


def test_an_agent_that_closed_inbound_has_it_open_no_more(
    workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    def opened() -> bool:
        links = [os.path.join("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd")]
        return str(workspace.inbound) in [os.readlink(link) for link in links if os.path.lexists(link)]

    host.close()
    agent.look()
    assert opened()

    agent.close_inbound()

    assert not opened()
    assert seen(agent) == []


# ---------------------------------------------------------------- 3: acks flow back


def test_an_acknowledged_message_is_not_seen_again_though_the_host_has_not_folded(
    workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    host.post([rows.make("one"), rows.make("two")])
    agent.finish({"m2": DONE}, turn_id="m2")
    assert seen(agent) == ["m4"]
    agent.close()

    with closing(AgentEnd(workspace)) as restarted:
        assert seen(restarted) == ["m4"]
    assert host.pending() == {"m2", "m4"}


def test_a_failed_ack_is_as_final_as_a_completed_one(
    workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    host.post([rows.make("one")])
    agent.finish({"m2": "failed"}, turn_id="m2")
    assert seen(agent) == []
    assert acks(workspace) == {"m2": "failed"}


# ---------------------------------------------------------------- 4: a turn ends in one transaction


def test_an_agent_killed_in_mid_commit_has_written_nothing_of_the_turn(
    workspace: Workspace, host: HostEnd, rows: Rows
) -> None:
    host.post([rows.make("one"), rows.make("two")])
    with process(mailroom.agent_dies_in_commit, workspace) as container:
        assert container.process.wait() == -signal.SIGKILL
    with pytest.raises(HotJournal):
        snapshot.read(workspace.outbox)

    with closing(AgentEnd(workspace)) as agent:
        assert seen(agent) == ["m4"], "it is done again"
        assert agent.state("continuation:mock") is None

    assert seqs(workspace) == [1]
    assert acks(workspace) == {"m2": "completed"}


# ---------------------------------------------------------------- 5: liveness


def test_the_heartbeat_is_touched(workspace: Workspace, agent: AgentEnd) -> None:
    os.utime(workspace.heartbeat, (1, 1))
    agent.beat()
    assert workspace.heartbeat.stat().st_mtime > 1


def test_a_start_is_a_sign_of_life(workspace: Workspace, host: HostEnd) -> None:
    workspace.heartbeat.touch()
    os.utime(workspace.heartbeat, (1, 1))
    AgentEnd(workspace).close()
    assert workspace.heartbeat.stat().st_mtime > 1


# ---------------------------------------------------------------- 6: claims of the dead are given up


def test_what_a_crashed_agent_held_is_done_again(
    workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    host.post([rows.make("one"), rows.make("two")])
    agent.finish({"m2": DONE}, turn_id="m2")
    agent.hold(["m4"], turn_id="m4")
    agent.close()
    assert acks(workspace) == {"m2": "completed", "m4": "processing"}

    with closing(AgentEnd(workspace)) as restarted:
        assert acks(workspace) == {"m2": "completed"}
        assert seen(restarted) == ["m4"]


# ---------------------------------------------------------------- 7: backoff


def test_a_row_in_backoff_holds_back_the_later_ones(workspace: Workspace, host: HostEnd, rows: Rows) -> None:
    now = NOW
    host.post(
        [rows.make("before"), rows.make("again"), rows.make("after"), rows.make("aside", trigger=False)]
    )
    host.post(changes=[StatusChange("m4", "pending", tries=2, process_after=NOW + 100)])
    with closing(AgentEnd(workspace, clock=lambda: now)) as agent:
        assert seen(agent) == ["m2"]
        inbox = agent.look()
        assert inbox is not None
        assert inbox.due_at == NOW + 100

        now = NOW + 100

        assert seen(agent) == ["m2", "m4", "m6", "m8"]
        inbox = agent.look()
        assert inbox is not None
        assert inbox.messages[1].tries == 2


# ---------------------------------------------------------------- 9: the continuation


def test_a_continuation_outlives_the_process(workspace: Workspace, host: HostEnd, agent: AgentEnd) -> None:
    agent.stage("continuation:mock", "c1")
    agent.hold((), turn_id="m2")
    agent.close()
    with closing(AgentEnd(workspace)) as restarted:
        assert restarted.state("continuation:mock") == "c1"


# ---------------------------------------------------------------- 10: nothing crowds out due work


def test_neither_context_nor_system_rows_hide_a_due_message(
    host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    crowd = 3 * MAX_PENDING
    host.post([rows.make("aside", trigger=False) for _ in range(crowd)])
    host.post([rows.make(SystemIn(system=Note(text="note")), trigger=False) for _ in range(crowd)])
    due = rows.make("due")
    control = rows.make(SystemIn(system=Clear()), trigger=False)
    host.post([due])

    assert seen(agent)[-1] == due.id

    agent.finish(dict.fromkeys(seen(agent)[:-1], DONE), turn_id=due.id)
    host.post([rows.make("aside", trigger=False) for _ in range(crowd)])
    assert due.id in seen(agent)

    agent.finish({f"m{2 * n}": DONE for n in range(crowd, 2 * crowd + 1)}, turn_id=due.id)
    host.post([control, *(rows.make("more work") for _ in range(crowd))])
    assert control.id in seen(agent)


# ---------------------------------------------------------------- 11: numbers


def test_seqs_are_odd_and_above_everything_seen(host: HostEnd, agent: AgentEnd, rows: Rows) -> None:
    first = agent.reply(said("early"))
    host.post([rows.make(f"{n}") for n in range(20)])
    agent.look()
    second, third = agent.finish({}, [said("a"), said("b")], turn_id="m2")

    assert (first.seq, second.seq, third.seq) == (1, 41, 43)


def test_a_seq_is_never_used_again_though_its_row_was_pruned(
    workspace: Workspace, host: HostEnd, agent: AgentEnd
) -> None:
    agent.finish({}, [said(f"{n}") for n in range(PRUNE_ABOVE_ROWS + 1)], turn_id="m2")
    newest = seqs(workspace)[-1]
    deliver_all(host, workspace)
    agent.finish({}, turn_id="m4")
    assert seqs(workspace) == []
    agent.close()

    with closing(AgentEnd(workspace)) as restarted:
        assert restarted.reply(said("next")).seq == newest + 2


# ---------------------------------------------------------------- 12: pruning


def test_a_message_is_pruned_only_when_the_host_has_said_what_became_of_it(
    workspace: Workspace, host: HostEnd, agent: AgentEnd
) -> None:
    written = agent.finish({}, [said(f"{n}") for n in range(PRUNE_ABOVE_ROWS + 8)], turn_id="m2")
    agent.finish({}, turn_id="m4")
    assert len(seqs(workspace)) == len(written)
    host.post(receipts=[Receipt(message_out_id=written[3].id, seq=7, status="failed", at=1)])

    agent.finish({}, [said("last")], turn_id="m6")

    assert 7 not in seqs(workspace)
    assert len(seqs(workspace)) == len(written)


def test_an_ack_is_pruned_only_when_its_message_is_at_its_end(
    workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    messages = [rows.make(f"{n}") for n in range(PRUNE_ABOVE_ROWS + 8)]
    host.post(messages)
    agent.finish({m.id: DONE for m in messages}, turn_id="m2")
    agent.finish({}, turn_id="m4")
    assert len(acks(workspace)) == len(messages)
    host.post(changes=[StatusChange(m.id, "completed") for m in messages[1:]])

    agent.finish({}, turn_id="m6")

    assert acks(workspace) == {"m2": "completed"}
    assert seen(agent) == []


def test_nothing_is_pruned_while_the_host_cannot_be_asked(
    workspace: Workspace, host: HostEnd, agent: AgentEnd
) -> None:
    many = {f"x{n}": DONE for n in range(PRUNE_ABOVE_ROWS + 8)}
    agent.finish(many, [said(name) for name in many], turn_id="m2")
    workspace.inbound.rename(workspace.inbound.with_suffix(".away"))

    agent.finish({}, turn_id="m4")

    assert (len(acks(workspace)), len(seqs(workspace))) == (len(many), len(many))


def test_both_files_stay_small(workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows) -> None:
    for _ in range(260):
        message = rows.make("x" * 1000)
        host.post([message])
        assert seen(agent) == [message.id]
        agent.finish({message.id: DONE}, [said("y" * 1000)], turn_id=message.id)
        host.post(changes=[StatusChange(message.id, "completed")])
        if len(seqs(workspace)) > PRUNE_ABOVE_ROWS:
            deliver_all(host, workspace)
            host.post(
                forgotten=list(host.receipts() - {m.id for m in snapshot.read(workspace.outbox).messages})
            )
    assert workspace.outbound.stat().st_size < 200_000
    assert workspace.inbound.stat().st_size < 600_000


# ---------------------------------------------------------------- 13: hot journals


def test_a_hot_inbound_is_not_now_until_the_host_is_back(workspace: Workspace) -> None:
    with process(mailroom.host_dies_in_commit, workspace) as service:
        assert service.process.wait() == -signal.SIGKILL
    assert workspace.inbound.with_name("inbound.db-journal").stat().st_size > 0
    before = workspace.inbound.read_bytes()
    with (
        closing(connect(workspace.inbound, timeout_ms=0, read_only=True)) as db,
        pytest.raises(MailboxBusy) as caught,
        translating(),
    ):
        db.execute("SELECT * FROM messages_in")
    assert getattr(caught.value.__cause__, "sqlite_errorcode", None) == 776

    with closing(AgentEnd(workspace)) as agent:
        assert agent.look() is None
        assert agent.home() is None
        assert workspace.inbound.read_bytes() == before, "nobody but the host rolls it back"
        with closing(HostEnd(workspace.inbound)) as host:
            assert seen(agent) == ["m2"]
            assert host.pending() == {"m2"}


def test_a_file_that_the_host_is_writing_is_not_now(
    workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    host.post([rows.make("hello")])
    with closing(sqlite3.connect(workspace.inbound, isolation_level=None)) as service:
        service.execute("BEGIN EXCLUSIVE")
        assert agent.look() is None
        service.execute("ROLLBACK")
    assert seen(agent) == ["m2"]


@pytest.mark.parametrize("journal", [bytes(512), b""], ids=["zeroed", "empty"])
def test_a_dead_journal_disturbs_nobody(
    workspace: Workspace, host: HostEnd, agent: AgentEnd, rows: Rows, journal: bytes
) -> None:
    host.post([rows.make("hello")])
    agent.finish({}, [said("one")], turn_id="m2")
    agent.close()
    workspace.outbound.with_name("outbound.db-journal").write_bytes(journal)
    workspace.inbound.with_name("inbound.db-journal").write_bytes(journal)

    assert seqs(workspace) == [1]
    with closing(AgentEnd(workspace)) as restarted:
        assert seen(restarted) == ["m2"]
        restarted.finish({"m2": DONE}, [said("two")], turn_id="m2")
    assert seqs(workspace) == [1, 3]
    host.post([rows.make("next")])
    assert host.pending() == {"m2", "m4"}


# ---------------------------------------------------------------- 14: one runner per session


def test_a_second_agent_is_refused_and_disturbs_nothing(workspace: Workspace, host: HostEnd) -> None:
    with process(mailroom.agent, workspace) as first:
        assert first.hear() == "open"
        os.utime(workspace.heartbeat, (1, 1))
        before = workspace.outbound.read_bytes()

        with pytest.raises(SessionLocked):
            AgentEnd(workspace)

        assert workspace.outbound.read_bytes() == before
        assert workspace.heartbeat.stat().st_mtime == 1
        leave(first)
    AgentEnd(workspace).close()


def leave(agent: Child) -> None:
    agent.tell()
    assert agent.process.wait() == 0


def test_the_lock_dies_with_its_process(workspace: Workspace, host: HostEnd) -> None:
    with process(mailroom.agent, workspace) as first:
        assert first.hear() == "open"
        first.kill()
        AgentEnd(workspace).close()


def test_a_planted_link_is_no_lock(workspace: Workspace, host: HostEnd, tmp_path: Path) -> None:
    workspace.lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        AgentEnd(workspace)
    assert not (tmp_path / "elsewhere").exists()


def test_the_state_is_what_the_host_reads(workspace: Workspace, host: HostEnd, agent: AgentEnd) -> None:
    agent.stage("tool", json.dumps({"name": "ask_user_question", "deadline": NOW + 5}))
    agent.hold((), turn_id="m2")
    assert snapshot.read(workspace.outbox).tool_deadline == NOW + 5
    agent.stage("tool", None)
    agent.hold((), turn_id="m2")
    assert snapshot.read(workspace.outbox).tool_deadline is None
