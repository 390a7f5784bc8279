"""Everything that people can tell the service, one file per group."""

from dataclasses import replace
from typing import Any, Final

from bot.commands import (
    agent,
    agent_given,
    agent_set,
    approval,
    audit,
    backup,
    budget,
    channel,
    channel_set,
    conversation,
    conversations,
    deadletter,
    destination,
    explain,
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
    usage,
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
    *usage.COMMANDS,
    *budget.COMMANDS,
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
AGENTS_MAY: Final = frozenset(
    {
        *("schedule create", "schedule list", "schedule show", "schedule history"),
        *("schedule pause", "schedule resume", "schedule run", "schedule cancel"),
        *("agent list", "agent show", "agent set", "agent unset"),
        *("channel list", "channel show", "channel set", "channel wire"),
        *("wiring list", "wiring show", "wiring set"),
        *("destination list", "destination add", "destination remove"),
    }
)
"""What an agent can have done in the name of an admin who allows it, in one place for whoever reviews it: never a role,
an approval, the audit, a person's data, a backup or money."""
_MARKED: Final = tuple(replace(each, agents_may=each.name in AGENTS_MAY) for each in _GROUPS)
_EXPLAINED: Final[tuple[Command[Context, Any], ...]] = (explain.about(_MARKED), *_MARKED)
ALL: Final[tuple[Command[Context, Any], ...]] = (about(_EXPLAINED), *_EXPLAINED)
