"""The migrations of what admins decide in the chat: roles, agents, wirings, cards, approvals, the audit, money.

Each constant is one numbered migration of `migrations.MIGRATIONS`, in its order there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ROLES: Final[Sequence[str]] = (
    # `agent` is '' for a role that holds for all of them. Groups are Discord's roles and Slack's user groups.
    "ALTER TABLE roles RENAME TO roles_before",
    """CREATE TABLE roles (
    channel TEXT NOT NULL,
    user_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    granted_at INTEGER NOT NULL,
    granted_by TEXT,
    PRIMARY KEY (channel, user_id, agent),
    CHECK (role != 'owner' OR agent = '')
) WITHOUT ROWID""",
    "INSERT INTO roles SELECT channel, user_id, '', role, granted_at, NULL FROM roles_before",
    "DROP TABLE roles_before",
    """CREATE TABLE group_roles (
    channel TEXT NOT NULL,
    group_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    granted_at INTEGER NOT NULL,
    granted_by TEXT,
    PRIMARY KEY (channel, group_id, agent)
) WITHOUT ROWID""",
    # What the platforms have told of people who have said something that was taken; `groups` is JSON.
    """CREATE TABLE people (
    channel TEXT NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    groups TEXT NOT NULL,
    PRIMARY KEY (channel, user_id)
) WITHOUT ROWID""",
    # Whom an admin has denied: nobody is asked about them again.
    """CREATE TABLE denied (
    channel TEXT NOT NULL,
    user_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (channel, user_id, agent)
) WITHOUT ROWID""",
)

AGENTS: Final[Sequence[str]] = (
    # `settings` are those of [agents.<name>] that differ from config.toml, as JSON; `own` agents are not in the file,
    # and have from `base`, one that is, what they need to reach a model.
    """CREATE TABLE agents (
    name TEXT PRIMARY KEY,
    own INTEGER NOT NULL,
    settings TEXT NOT NULL,
    deleted_at INTEGER,
    changed_at INTEGER NOT NULL,
    base TEXT
) WITHOUT ROWID""",
    """CREATE TABLE destinations (
    agent TEXT NOT NULL,
    name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT,
    PRIMARY KEY (agent, name)
) WITHOUT ROWID""",
)

_NEW_TOLD: Final = "(new.kind = 'chat' AND new.trigger = 0)"
_OLD_TOLD: Final = "(old.kind = 'chat' AND old.trigger = 0)"
_SEVERAL_AGENTS: Final[Sequence[str]] = (
    # One event may be for several agents of a place, each in a session of its own. SQLite takes no constraint away, so
    # the table is made anew, with its indexes and triggers. What an agent was only told of is not counted.
    "ALTER TABLE inbox RENAME TO inbox_before",
    """CREATE TABLE inbox (
    id TEXT PRIMARY KEY,
    event_id TEXT NOT NULL,
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
    notice TEXT,
    sender_id TEXT,
    about INTEGER,
    by_bot INTEGER,
    UNIQUE (event_id, session),
    UNIQUE (session, seq)
)""",
    """INSERT INTO inbox SELECT id, event_id, session, seq, kind, trigger, state, created_at, accepted_at, settled_at,
tries, process_after, turn_id, error, channel, platform_id, thread_id, content, notice, sender_id, about, by_bot
FROM inbox_before ORDER BY rowid""",
    "DROP TABLE inbox_before",
    "CREATE INDEX inbox_unfinished ON inbox (session, seq) WHERE state IN ('accepted', 'posted')",
    "CREATE INDEX inbox_failed ON inbox (session) WHERE state = 'failed'",
    "CREATE INDEX inbox_turns ON inbox (session, turn_id) WHERE turn_id IS NOT NULL",
    "CREATE INDEX inbox_about ON inbox (session, about) WHERE about IS NOT NULL",
    "CREATE INDEX inbox_bots ON inbox (channel, platform_id, accepted_at) WHERE by_bot = 1",
    "CREATE INDEX inbox_people ON inbox (channel, sender_id, session, seq) WHERE sender_id IS NOT NULL",
    "CREATE INDEX inbox_asked ON inbox (session, channel, platform_id, thread_id) WHERE trigger = 1",
    f"""CREATE TRIGGER inbox_grows AFTER INSERT ON inbox WHEN NOT {_NEW_TOLD} BEGIN
    INSERT INTO tallies VALUES ('inbox ' || new.state, 1), ('asked', new.trigger = 1)
    ON CONFLICT (name) DO UPDATE SET count = count + excluded.count;
END""",
    f"""CREATE TRIGGER inbox_changes AFTER UPDATE OF state ON inbox
WHEN old.state != new.state AND NOT {_OLD_TOLD} BEGIN
    INSERT INTO tallies VALUES ('inbox ' || old.state, -1), ('inbox ' || new.state, 1)
    ON CONFLICT (name) DO UPDATE SET count = count + excluded.count;
END""",
    f"""CREATE TRIGGER inbox_shrinks AFTER DELETE ON inbox WHEN NOT {_OLD_TOLD} BEGIN
    INSERT INTO tallies VALUES ('inbox ' || old.state, -1), ('asked', -(old.trigger = 1))
    ON CONFLICT (name) DO UPDATE SET count = count + excluded.count;
END""",
)

WIRINGS: Final[Sequence[str]] = (
    # A place with `wired` is served by the rows of `wirings` alone, whatever config.toml has for it; `settings` of a
    # place are those that hold for all its agents (retention, deletion, ...).
    """CREATE TABLE places (
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    name TEXT,
    wired INTEGER NOT NULL,
    settings TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (channel, platform_id)
) WITHOUT ROWID""",
    """CREATE TABLE wirings (
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    settings TEXT NOT NULL,
    wired_at INTEGER NOT NULL,
    PRIMARY KEY (channel, platform_id, agent)
) WITHOUT ROWID""",
    # What people have said in a place that was not for an agent of it, which is told with the next message that is.
    """CREATE TABLE overheard (
    number INTEGER PRIMARY KEY,
    agent TEXT NOT NULL,
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT,
    event_id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    text TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (event_id, agent)
)""",
    "CREATE INDEX overheard_place ON overheard (agent, channel, platform_id, thread_id, number)",
    "CREATE INDEX overheard_at ON overheard (at)",
    # Where a schedule was made, as JSON, when that is not where its conversation is.
    "ALTER TABLE series ADD COLUMN place TEXT",
    *_SEVERAL_AGENTS,
)

CARDS: Final[Sequence[str]] = (
    # What a notice has besides its text, and the message that it takes the place of, as JSON.
    "ALTER TABLE notices ADD COLUMN content TEXT",
    # Buttons of the service's own. `options` are commands, as JSON; `notice` is the id of the notice that shows them,
    # in the session that has sent it, '' where the answer to a command does; `edits` is how often it was changed since.
    # `subject` is what the card is about ("approval:<id>"), for closing them all.
    """CREATE TABLE cards (
    id TEXT PRIMARY KEY,
    subject TEXT NOT NULL,
    session TEXT NOT NULL REFERENCES sessions (id),
    notice TEXT NOT NULL,
    edits INTEGER NOT NULL DEFAULT 0,
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT,
    text TEXT NOT NULL,
    options TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed')),
    outcome TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
)""",
    "CREATE INDEX cards_open ON cards (expires_at) WHERE state = 'open'",
    "CREATE INDEX cards_subject ON cards (subject)",
    "CREATE INDEX cards_closed ON cards (created_at) WHERE state = 'closed'",
)

APPROVALS: Final[Sequence[str]] = (
    # `effect` is all that is carried out, as JSON, `details` the same in words. Approved ones are carried out until
    # they are `done` or `failed`. `announced`: what becomes of it is said in the place where it came from.
    """CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    agent TEXT NOT NULL,
    session TEXT REFERENCES sessions (id),
    channel TEXT,
    platform_id TEXT,
    thread_id TEXT,
    asked_by TEXT NOT NULL,
    summary TEXT NOT NULL,
    details TEXT NOT NULL,
    effect TEXT NOT NULL,
    announced INTEGER NOT NULL,
    choices TEXT NOT NULL,
    level TEXT NOT NULL CHECK (level IN ('admin', 'owner')),
    state TEXT NOT NULL CHECK (state IN ('open', 'approved', 'denied', 'expired', 'withdrawn', 'done', 'failed')),
    choice TEXT,
    outcome TEXT,
    decided_by TEXT,
    decided_as TEXT,
    decided_at INTEGER,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
)""",
    "CREATE INDEX approvals_open ON approvals (expires_at) WHERE state = 'open'",
    "CREATE INDEX approvals_approved ON approvals (decided_at) WHERE state = 'approved'",
)

AUDIT: Final[Sequence[str]] = (
    """CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    surface TEXT NOT NULL,
    platform_id TEXT,
    thread_id TEXT,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    agent TEXT,
    before TEXT,
    after TEXT
)""",
    "CREATE INDEX audit_action ON audit (action)",
    "CREATE INDEX audit_at ON audit (at)",
    """CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit is only added to');
END""",
    """CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit is only added to');
END""",
)

HELD: Final[Sequence[str]] = (
    # Messages of people who are not let in yet, or from places that nobody has wired, kept until an admin has decided;
    # `event` is the normalised one as JSON, `message_id` the id that its row of inbox is going to have.
    """CREATE TABLE held (
    event_id TEXT NOT NULL,
    agent TEXT NOT NULL,
    approval TEXT NOT NULL REFERENCES approvals (id),
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    sender_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    event TEXT NOT NULL,
    attachments TEXT NOT NULL,
    before TEXT NOT NULL,
    left_out TEXT NOT NULL,
    file_bytes INTEGER NOT NULL,
    revised INTEGER NOT NULL DEFAULT 0,
    admitted INTEGER NOT NULL DEFAULT 0,
    at INTEGER NOT NULL,
    PRIMARY KEY (event_id, agent)
)""",
    "CREATE INDEX held_sender ON held (channel, sender_id)",
    "CREATE INDEX held_approval ON held (approval)",
    # Places about which nobody is to be asked for a while.
    """CREATE TABLE quiet (
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (channel, platform_id)
) WITHOUT ROWID""",
)

MONEY: Final[Sequence[str]] = (
    # What turns have cost, by the day of UTC on which it was spent and by model. `turn_id` is the oldest message that
    # asked for the turn; the row whose model is '' is the turn's own, with how long it took, and is there once it has
    # ended. `person` is whose message began it, "<channel>:<id>".
    """CREATE TABLE usage (
    session TEXT NOT NULL,
    turn_id TEXT NOT NULL,
    day TEXT NOT NULL,
    model TEXT NOT NULL,
    at INTEGER NOT NULL,
    agent TEXT NOT NULL,
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    person TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    usd_micros INTEGER NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (session, turn_id, day, model)
) WITHOUT ROWID""",
    "CREATE INDEX usage_day ON usage (day)",
    "CREATE INDEX usage_turns ON usage (agent, at) WHERE model = ''",
    # What admins have set in the chat, before config.toml; without a sum there is no bound. `subject` is
    # 'person:<channel>:<id>', 'channel:<channel>:<place>', 'agent:<name>', one of these with * for each by itself, or
    # 'bot'.
    """CREATE TABLE budgets (
    subject TEXT NOT NULL,
    period TEXT NOT NULL CHECK (period IN ('day', 'month')),
    usd_micros INTEGER,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (subject, period)
) WITHOUT ROWID""",
    # How far a budget is used up in one day or month, which begins on the day `begins`; a row is made when it is
    # looked at first, out of `usage`. `noticed` is the highest share, in percent, of which somebody was told.
    """CREATE TABLE budget_periods (
    subject TEXT NOT NULL,
    period TEXT NOT NULL,
    begins TEXT NOT NULL,
    spent_micros INTEGER NOT NULL,
    extended_micros INTEGER NOT NULL DEFAULT 0,
    noticed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (subject, period, begins)
) WITHOUT ROWID""",
    # What is set aside for messages that are not answered yet. Triggers keep the sums in `reserved`, and give back what
    # is left as soon as the message has come to its end, whoever it is that ends it.
    """CREATE TABLE reservations (
    message_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    usd_micros INTEGER NOT NULL,
    PRIMARY KEY (message_id, subject)
) WITHOUT ROWID""",
    """CREATE TABLE reserved (
    subject TEXT PRIMARY KEY,
    usd_micros INTEGER NOT NULL
) WITHOUT ROWID""",
    """CREATE TRIGGER reservations_grow AFTER INSERT ON reservations BEGIN
    INSERT INTO reserved VALUES (new.subject, new.usd_micros)
    ON CONFLICT (subject) DO UPDATE SET usd_micros = usd_micros + excluded.usd_micros;
END""",
    """CREATE TRIGGER reservations_change AFTER UPDATE OF usd_micros ON reservations BEGIN
    UPDATE reserved SET usd_micros = usd_micros + new.usd_micros - old.usd_micros WHERE subject = new.subject;
END""",
    """CREATE TRIGGER reservations_shrink AFTER DELETE ON reservations BEGIN
    UPDATE reserved SET usd_micros = usd_micros - old.usd_micros WHERE subject = old.subject;
    DELETE FROM reserved WHERE subject = old.subject AND usd_micros <= 0;
END""",
    """CREATE TRIGGER reservations_end AFTER UPDATE OF state ON inbox
WHEN new.state NOT IN ('accepted', 'posted') BEGIN
    DELETE FROM reservations WHERE message_id = new.id;
END""",
    """CREATE TRIGGER reservations_gone AFTER DELETE ON inbox BEGIN
    DELETE FROM reservations WHERE message_id = old.id;
END""",
    # Messages that a budget has refused, kept for when there is room again; `content` is as it would stand in inbox.
    """CREATE TABLE budget_kept (
    message_id TEXT PRIMARY KEY,
    event_id TEXT NOT NULL,
    session TEXT NOT NULL,
    agent TEXT NOT NULL,
    kind TEXT NOT NULL,
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT,
    content TEXT NOT NULL,
    sender_id TEXT,
    person TEXT NOT NULL,
    subject TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (event_id, session)
)""",
)

EGRESS: Final[Sequence[str]] = (
    # Hosts that admins have let an agent, or one session of it, or one session once, reach; '' is every session.
    """CREATE TABLE egress (
    agent TEXT NOT NULL,
    session TEXT NOT NULL,
    host TEXT NOT NULL,
    ports TEXT NOT NULL,
    once INTEGER NOT NULL,
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (agent, session, host, once)
) WITHOUT ROWID""",
    # What was approved and can be had only once: begun with, and perhaps not finished.
    """CREATE TABLE begun (
    approval TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID""",
    # Messages between agents. `route` is where the sender was asked, `began` where a person has begun it.
    """CREATE TABLE errands (
    event_id TEXT PRIMARY KEY,
    sender TEXT NOT NULL,
    receiver TEXT NOT NULL,
    hops INTEGER NOT NULL,
    channel TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    thread_id TEXT,
    began_channel TEXT NOT NULL,
    began_platform_id TEXT NOT NULL,
    began_thread_id TEXT,
    person TEXT,
    at INTEGER NOT NULL
)""",
    "CREATE INDEX errands_receiver ON errands (receiver, at)",
    "CREATE INDEX errands_at ON errands (at)",
)

PRIVACY: Final[Sequence[str]] = (
    "CREATE INDEX inbox_place ON inbox (channel, platform_id, accepted_at) WHERE kind = 'chat'",
)

ALL: Final[Sequence[Sequence[str]]] = (
    ROLES,
    AGENTS,
    WIRINGS,
    CARDS,
    APPROVALS,
    AUDIT,
    HELD,
    MONEY,
    EGRESS,
    PRIVACY,
)
