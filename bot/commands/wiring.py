"""Commands about how an agent serves a place: list, show, set, reset."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from pydantic import Field

from bot import place_editing
from bot.access import may
from bot.commands import shown, wiring_options
from bot.commands.agent_names import existing
from bot.commands.channel import NOT_THERE, TAKEN_OVER
from bot.commands.context import Context
from bot.commands.place_names import AtPlace, Target, looked_up
from bot.commands.registry import Command, Invocation, Parameters, Reply, Scope
from bot.commands.wiring_options import AgentAt, How
from bot.commands.refs import PlaceName
from bot.config_wiring import WiringConfig, settings_of
from bot.db import audit, places
from bot.db.cards import Option
from bot.engage import Wiring
from bot.errors import CommandFailed
from agent.protocol.messages import Route
