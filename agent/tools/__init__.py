"""The tools that an agent has, whatever provider thinks for it."""

from __future__ import annotations

from agent.providers.base import Tool
from agent.tools import cards, changes, messages, questions, schedules
from agent.tools.base import Desk


def build(desk: Desk) -> list[Tool]:
    """Every tool, over `desk`."""
    return [
        messages.send_message(desk),
        messages.send_file(desk),
        changes.edit_message(desk),
        changes.add_reaction(desk),
        cards.send_card(desk),
        questions.ask_user_question(desk),
        schedules.schedule_task(desk),
        schedules.list_tasks(desk),
        schedules.update_task(desk),
        schedules.pause_task(desk),
        schedules.resume_task(desk),
        schedules.cancel_task(desk),
    ]
