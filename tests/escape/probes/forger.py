"""A runner of another kind: writes the rows and acks that it is given as JSON into outbound.db, and rings.

What a row does not say is that of an honest reply to the session's own place.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import time
from contextlib import closing
from typing import Any

from agent.protocol import bell
from agent.protocol.mailbox import AgentEnd
from agent.protocol.messages import ChatOut, MessageOut
from agent.protocol.settings import AgentSettings


def main() -> None:
    """Writes it all at once, tells the host, and goes on living."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    at = AgentSettings.from_env(os.environ).workspace
    with closing(AgentEnd(at)) as end, socket.socket(socket.AF_UNIX) as line:
        home, inbox = end.home(), end.look()
        assert home is not None
        assert inbox is not None
        own = next(iter(inbox.messages)).id
        with closing(sqlite3.connect(at.outbound, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            for number, columns in enumerate(given["rows"]):
                honest = MessageOut(
                    id=f"out-{number}",
                    seq=2 * number + 3,
                    kind="chat",
                    created_at=1,
                    turn_id="t",
                    in_reply_to=own,
                    route=home,
                    content=ChatOut(text=columns.pop("text")),
                ).to_row()
                row = {**honest, **columns}
                names = ", ".join(f":{name}" for name in row)
                db.execute(f"INSERT INTO messages_out ({', '.join(row)}) VALUES ({names})", row)
            acks = [(message, "completed", 1, "t") for message in [*given["acks"], own]]
            db.executemany("INSERT INTO processing_ack VALUES (?, ?, ?, ?)", acks)
            db.execute("COMMIT")
        line.connect(str(at.bell))
        line.sendall(bell.encode(bell.Changed()))
        time.sleep(600)


if __name__ == "__main__":
    main()
