"""The two ends of a session's mailbox: each the only writer of its own file."""

from agent.protocol.mailbox.agent_end import AgentEnd, Draft
from agent.protocol.mailbox.common import (
    MailboxBroken,
    MailboxBusy,
    MailboxError,
    MailboxFull,
    MailboxGone,
    OutboxCrowded,
    SessionLocked,
)
from agent.protocol.mailbox.host_end import HostEnd, StatusChange

__all__ = [
    "AgentEnd",
    "Draft",
    "HostEnd",
    "MailboxBroken",
    "MailboxBusy",
    "MailboxError",
    "MailboxFull",
    "MailboxGone",
    "OutboxCrowded",
    "SessionLocked",
    "StatusChange",
]
