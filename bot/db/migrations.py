"""The schema of bot.db as numbered migrations. Each runs once; a published one is never edited.

Times are epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bot.db import migrations_admin

MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    (
        """CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    agent TEXT NOT NULL,
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT,
    created_at INTEGER NOT NULL,
    last_active INTEGER NOT NULL,
    awake INTEGER NOT NULL DEFAULT 0,
    boot_id TEXT,
    last_in_seq INTEGER NOT NULL DEFAULT 0,
    last_out_seq INTEGER NOT NULL DEFAULT 0
)""",
        "CREATE UNIQUE INDEX sessions_place ON sessions (agent, channel, platform_id, coalesce(thread_id, ''))",
        "CREATE INDEX sessions_awake ON sessions (id) WHERE awake = 1",
        """CREATE TABLE inbox (
    id TEXT PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    session TEXT NOT NULL REFERENCES sessions (id),
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    trigger INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('accepted', 'posted', 'done', 'failed')),
    created_at INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    settled_at INTEGER,
    tries INTEGER NOT NULL DEFAULT 0,
    process_after INTEGER,
    turn_id TEXT,
    error TEXT,
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT,
    content TEXT NOT NULL,
    UNIQUE (session, seq)
)""",
        "CREATE INDEX inbox_unfinished ON inbox (session, seq) WHERE state IN ('accepted', 'posted')",
        """CREATE TABLE deliveries (
    session TEXT NOT NULL REFERENCES sessions (id),
    out_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'failed')),
    last INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at INTEGER,
    platform_id TEXT,
    error TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (session, out_id, part)
)""",
        "CREATE INDEX deliveries_waiting ON deliveries (next_at) WHERE state = 'waiting'",
        """CREATE TABLE notices (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions (id),
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT,
    text TEXT NOT NULL,
    answers TEXT,
    created_at INTEGER NOT NULL
)""",
        "CREATE INDEX notices_session ON notices (session)",
        """CREATE TABLE streams (
    turn_key TEXT PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions (id),
    platform_id TEXT,
    created_at INTEGER NOT NULL
)""",
        """CREATE TABLE questions (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions (id),
    out_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT,
    title TEXT NOT NULL,
    question TEXT NOT NULL,
    options TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'answered')),
    answer TEXT,
    answered_by TEXT,
    asked_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
)""",
        """CREATE TABLE roles (
    channel TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (channel, user_id)
)""",
        """CREATE TABLE owner_codes (
    channel TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    wrong_tries INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
)""",
    ),
    (
        """CREATE TABLE series (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions (id),
    prompt TEXT NOT NULL,
    recurrence TEXT NOT NULL,
    catch_up TEXT NOT NULL CHECK (catch_up IN ('once', 'skip', 'all')),
    status TEXT NOT NULL CHECK (status IN ('active', 'paused', 'finished', 'cancelled')),
    next_at INTEGER,
    remaining INTEGER,
    ends_at INTEGER,
    failures INTEGER NOT NULL,
    max_failures INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK ((status = 'active') = (next_at IS NOT NULL))
)""",
        "CREATE INDEX series_due ON series (next_at) WHERE status = 'active'",
        "CREATE INDEX series_session ON series (session) WHERE status IN ('active', 'paused')",
        """CREATE TABLE runs (
    series_id TEXT NOT NULL REFERENCES series (id),
    due_at INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    manual INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    started_at INTEGER NOT NULL,
    settled_at INTEGER,
    UNIQUE (series_id, due_at)
)""",
        "CREATE INDEX runs_running ON runs (message_id) WHERE state = 'running'",
    ),
    (
        """CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions (id),
    out_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('reply', 'notice')),
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT,
    answers TEXT,
    turn_id TEXT,
    content TEXT,
    files TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    part INTEGER NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_at INTEGER,
    state TEXT NOT NULL CHECK (state IN ('kept', 'replaying', 'replayed', 'dropped')),
    created_at INTEGER NOT NULL,
    changed_at INTEGER,
    changed_by TEXT,
    CHECK ((state IN ('kept', 'replaying')) = (content IS NOT NULL))
)""",
        "CREATE INDEX dead_letters_alive ON dead_letters (session) WHERE state IN ('kept', 'replaying')",
        "ALTER TABLE deliveries ADD COLUMN turn_id TEXT",
        "ALTER TABLE inbox ADD COLUMN notice TEXT",
    ),
    (
        # `number` only grows, so that the oldest rows are found without an index of their own.
        """CREATE TABLE traces (
    number INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    marks TEXT NOT NULL
)""",
    ),
    ("CREATE INDEX sessions_by_place ON sessions (channel, platform_id)",),
    (
        # What an agent needs to edit a message or to react to it. `edits` is the seq of the message that was edited.
        "ALTER TABLE deliveries ADD COLUMN route TEXT",
        "ALTER TABLE deliveries ADD COLUMN kind TEXT",
        "ALTER TABLE deliveries ADD COLUMN edits INTEGER",
        "CREATE INDEX deliveries_numbered ON deliveries (session, seq)",
        "CREATE INDEX deliveries_edits ON deliveries (session, edits) WHERE edits IS NOT NULL",
    ),
    ("ALTER TABLE series ADD COLUMN script TEXT",),
    ("CREATE INDEX questions_open ON questions (expires_at) WHERE state = 'open'",),
    (
        """CREATE TABLE problems (
    agent TEXT PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions (id),
    turn_id TEXT,
    problem TEXT NOT NULL,
    detail TEXT NOT NULL,
    since INTEGER NOT NULL,
    reported_at INTEGER NOT NULL
)""",
    ),
    ("CREATE INDEX deliveries_expected ON deliveries (session) WHERE state = 'waiting'",),
    (
        # Kept by SQLite itself, with the row that is counted or not at all, whoever writes it.
        "CREATE TABLE tallies (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
        "INSERT INTO tallies SELECT 'inbox ' || state, count(*) FROM inbox GROUP BY state",
        "INSERT INTO tallies SELECT 'asked', count(*) FROM inbox WHERE trigger = 1",
        """INSERT INTO tallies SELECT 'deliveries ' || state, count(*) FROM deliveries
WHERE last = 1 OR state = 'waiting' GROUP BY state""",
        """CREATE TRIGGER inbox_grows AFTER INSERT ON inbox BEGIN
    INSERT INTO tallies VALUES ('inbox ' || new.state, 1), ('asked', new.trigger = 1)
    ON CONFLICT (name) DO UPDATE SET count = count + excluded.count;
END""",
        """CREATE TRIGGER inbox_changes AFTER UPDATE OF state ON inbox WHEN old.state != new.state BEGIN
    INSERT INTO tallies VALUES ('inbox ' || old.state, -1), ('inbox ' || new.state, 1)
    ON CONFLICT (name) DO UPDATE SET count = count + excluded.count;
END""",
        """CREATE TRIGGER inbox_shrinks AFTER DELETE ON inbox BEGIN
    INSERT INTO tallies VALUES ('inbox ' || old.state, -1), ('asked', -(old.trigger = 1))
    ON CONFLICT (name) DO UPDATE SET count = count + excluded.count;
END""",
        """CREATE TRIGGER deliveries_grow AFTER INSERT ON deliveries BEGIN
    INSERT INTO tallies VALUES ('deliveries ' || new.state,
        (new.last = 1 OR new.state = 'waiting') AND new.kind IS NOT 'action')
    ON CONFLICT (name) DO UPDATE SET count = count + excluded.count;
END""",
        """CREATE TRIGGER deliveries_change AFTER UPDATE OF state, last, kind ON deliveries BEGIN
    INSERT INTO tallies VALUES ('deliveries ' || old.state,
        -((old.last = 1 OR old.state = 'waiting') AND old.kind IS NOT 'action')),
        ('deliveries ' || new.state, (new.last = 1 OR new.state = 'waiting') AND new.kind IS NOT 'action')
    ON CONFLICT (name) DO UPDATE SET count = count + excluded.count;
END""",
        """CREATE TRIGGER deliveries_shrink AFTER DELETE ON deliveries BEGIN
    INSERT INTO tallies VALUES ('deliveries ' || old.state,
        -((old.last = 1 OR old.state = 'waiting') AND old.kind IS NOT 'action'))
    ON CONFLICT (name) DO UPDATE SET count = count + excluded.count;
END""",
        "CREATE INDEX inbox_failed ON inbox (session) WHERE state = 'failed'",
        "CREATE INDEX inbox_turns ON inbox (session, turn_id) WHERE turn_id IS NOT NULL",
        """CREATE INDEX deliveries_unsent ON deliveries (session, turn_id, state)
WHERE state != 'sent' AND turn_id IS NOT NULL""",
    ),
    ("CREATE INDEX sessions_pooled ON sessions (agent, created_at, id) WHERE channel = '(pool)'",),
    (
        # Without a reference to sessions: what was spent counts for its day, whatever becomes of the session.
        """CREATE TABLE spend (
    day TEXT NOT NULL,
    agent TEXT NOT NULL,
    session TEXT NOT NULL,
    requests INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    usd_micros INTEGER NOT NULL,
    PRIMARY KEY (day, agent, session)
) WITHOUT ROWID""",
    ),
    (
        # What adapters remember; a stream that was begun is one of these.
        "CREATE TABLE notes (key TEXT PRIMARY KEY, text TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID",
        "DROP TABLE streams",
        "CREATE INDEX deliveries_platform ON deliveries (platform_id) WHERE platform_id IS NOT NULL",
    ),
    (
        # By whom a message was said, by the platform's own id, and whether by a bot; and the number of the message that
        # a row is about.
        "ALTER TABLE inbox ADD COLUMN sender_id TEXT",
        "ALTER TABLE inbox ADD COLUMN about INTEGER",
        "CREATE INDEX inbox_about ON inbox (session, about) WHERE about IS NOT NULL",
        "ALTER TABLE inbox ADD COLUMN by_bot INTEGER",
        "CREATE INDEX inbox_bots ON inbox (channel, platform_id, accepted_at) WHERE by_bot = 1",
    ),
    ("CREATE INDEX inbox_people ON inbox (channel, sender_id, session, seq) WHERE sender_id IS NOT NULL",),
    *migrations_admin.ALL,
)
