"""The tools that an agent has, whatever provider thinks for it."""

from __future__ import annotations

from agent.providers.base import Tool
from agent.tools import messages, questions
from agent.tools.base import Desk


def build(desk: Desk) -> list[Tool]:
    """Every tool, over `desk`."""
    return [messages.send_message(desk), messages.send_file(desk), questions.ask_user_question(desk)]
