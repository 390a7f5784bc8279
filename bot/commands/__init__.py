"""Everything that people can tell the service, one file per group."""

from typing import Any, Final

from bot.commands import (
    approval,
    audit,
    backup,
    conversation,
    conversations,
    deadletter,
    member,
    owner,
    provider,
    role,
    schedule,
    service,
    session,
    trace,
)
from bot.commands.context import Context
from bot.commands.help import about
from bot.commands.registry import Command

_GROUPS: Final[tuple[Command[Context, Any], ...]] = (
    *service.COMMANDS,
    *backup.COMMANDS,
    *conversation.COMMANDS,
    *conversations.COMMANDS,
    *provider.COMMANDS,
    *owner.COMMANDS,
    *role.COMMANDS,
    *member.COMMANDS,
    *session.COMMANDS,
    *schedule.COMMANDS,
    *trace.COMMANDS,
    *deadletter.COMMANDS,
    *approval.COMMANDS,
    *audit.COMMANDS,
)
ALL: Final[tuple[Command[Context, Any], ...]] = (about(_GROUPS), *_GROUPS)
