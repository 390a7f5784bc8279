"""What an agent sees in its inbox of what people do after they have said something."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from agent.protocol import snapshot
from agent.protocol.mailbox import AgentEnd, HostEnd
from agent.protocol.mailbox.inbound_reader import MAX_PENDING
from agent.protocol.messages import Clear, Edited, Interrupt, Reacted, SystemIn
from agent.protocol.schema import INBOUND, OUTBOUND, VERSION
from agent.protocol.workspace import Workspace
from tests.fakes.mailroom import DONE, Rows


def test_what_people_do_afterwards_hides_no_word_that_somebody_waits_for(
    host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    reaction = SystemIn(system=Reacted(seq=1, emoji="x", by="Ada"))
    host.post([rows.make(reaction, trigger=False) for _ in range(MAX_PENDING + 50)])
    stop = rows.make(SystemIn(system=Interrupt()), trigger=False)
    host.post([stop])
    inbox = agent.look()
    assert inbox is not None and stop in inbox.system and len(inbox.messages) == MAX_PENDING + 1


def test_a_change_is_seen_with_its_message_however_many_rows_there_are(
    host: HostEnd, agent: AgentEnd, rows: Rows
) -> None:
    said, reaction = rows.make("one"), SystemIn(system=Reacted(seq=1, emoji="x", by="Ada"))
    changes = [SystemIn(system=Edited(seq=seq, text="uno", by="Ada")) for seq in (said.seq, 999)]
    host.post([said, *(rows.make(reaction, trigger=False) for _ in range(MAX_PENDING + 50))])
    posted = [rows.make(change, trigger=False) for change in changes]
    host.post(posted)
    inbox = agent.look()
    assert inbox is not None and list(inbox.revisions) == posted
    assert inbox.awaited == {said.seq}
    agent.finish({said.id: DONE}, turn_id=said.id)
    inbox = agent.look()
    assert inbox is not None and not inbox.awaited, "one that was dealt with has ended"


def test_a_change_that_cannot_be_decoded_is_told_apart(
    host: HostEnd, agent: AgentEnd, rows: Rows, workspace: Workspace
) -> None:
    contents = ("{", '{"system": {"type": "edited"}}', '{"system": {"type": "withdrawn", "seq": "x"}}')
    host.post([rows.make(SystemIn(system=Clear()), trigger=False) for _ in contents])
    with closing(sqlite3.connect(workspace.inbound)) as db, db:
        for seq, content in zip((2, 4, 6), contents, strict=True):
            db.execute("UPDATE messages_in SET content = ? WHERE seq = ?", (content, seq))
    inbox = agent.look()
    assert inbox is not None and inbox.undecodable == ("m2", "m4", "m6") and not inbox.revisions


def test_files_of_the_version_before_are_read_and_brought_up_to_date(workspace: Workspace) -> None:
    for path, versions in ((workspace.inbound, INBOUND), (workspace.outbound, OUTBOUND)):
        with closing(sqlite3.connect(path)) as db, db:
            for statement in versions[1]:
                db.execute(statement)
            db.execute("PRAGMA user_version = 1")
    assert snapshot.read(workspace.outbox).messages == ()
    with closing(HostEnd(workspace.inbound)) as host, closing(AgentEnd(workspace)) as agent:
        host.check({})
        assert agent.look() is not None
    for path in (workspace.inbound, workspace.outbound):
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert snapshot.read(workspace.outbox).messages == ()
