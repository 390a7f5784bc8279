"""Everything that people can tell the service, one file per group."""

from typing import Any, Final

from bot.commands import (
    agent,
    agent_given,
    agent_set,
    approval,
    audit,
    backup,
    channel,
    channel_set,
    conversation,
    conversations,
    deadletter,
    destination,
    member,
    owner,
    privacy,
    provider,
    question,
    role,
    schedule,
    service,
    session,
    session_whole,
    trace,
    wiring,
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
    *session_whole.COMMANDS,
    *privacy.COMMANDS,
    *schedule.COMMANDS,
    *trace.COMMANDS,
    *deadletter.COMMANDS,
    *approval.COMMANDS,
    *audit.COMMANDS,
    *question.COMMANDS,
    *agent.COMMANDS,
    *agent_set.COMMANDS,
    *agent_given.COMMANDS,
    *channel.COMMANDS,
    *channel_set.COMMANDS,
    *wiring.COMMANDS,
    *destination.COMMANDS,
)
ALL: Final[tuple[Command[Context, Any], ...]] = (about(_GROUPS), *_GROUPS)
