"""The tools that an agent has, whatever provider thinks for it."""

from __future__ import annotations

from agent.providers.base import Tool
from agent.tools import admin, cards, changes, messages, questions, schedules
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
        admin.install_packages(desk),
        admin.add_mcp_server(desk),
        admin.create_agent(desk),
        admin.request_destination(desk),
        admin.request_host(desk),
        admin.request_mount(desk),
        admin.run_command(desk),
    ]
