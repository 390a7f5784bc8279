"""Commands about the service itself: status."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Final

from adapters.terminal.text import plain
from agent.protocol.clock import steady_ms
from bot import money, version
from bot.access import may
from bot.commands import shown
from bot.commands.context import Context
from bot.commands.registry import Command, Invocation, NoParameters, Reply
from bot.db import problems, usage
from bot.db.problems import Problem
from bot.db.usage import Used, Wanted
from bot.money import MICROS

SHOWN_CHARS: Final = 300


async def status(context: Context, invocation: Invocation, _: NoParameters) -> Reply:
    """How the service is doing. Whoever runs it is told what is so now, and in a channel what was just now."""
    figures = context.figures
    counted = await (figures.exact() if invocation.channel == "control" else figures.recent())
    messages, replies, dead = counted.messages, counted.replies, counted.dead
    runners, admission = list(context.containers), context.admission
    working = sum(context.containers.state(runner.session.id) == "working" for runner in runners)
    ready = sum(runner.session.pooled for runner in runners)
    unfinished = messages["accepted"] + messages["posted"]
    uptime_seconds = (steady_ms() - context.started_at) // 1000
    text = (
        f"Roost {version.VERSION}, up {_duration(uptime_seconds)}. Runners: {len(runners)} of "
        f"{admission.limit}, working: {working}{f', ready: {ready}' if ready else ''}, waiting: {admission.waiting}. "
        f"Messages: {messages['done']} answered, {unfinished} under way, {messages['failed']} failed. "
        f"Replies: {replies['sent']} sent, {replies['waiting']} waiting, {replies['failed']} failed."
    )
    if dead:
        text += f" Dead letters: {dead} ({invocation.spelled('deadletter list')})."
    # What it says of the configuration, and of money, is for those who decide about it.
    admin = may(invocation.role, "admin")
    spent = await context.db.read(partial(_spent_today, now=context.clock())) if admin else None
    if spent is not None:
        turns = "1 turn" if spent.turns == 1 else f"{spent.turns:,} turns"
        text += f" Today: {money.usd(spent.usd_micros)} for {turns}."
    reported = await context.db.read(problems.listed) if admin else []
    for each in reported:
        text += f"\nThe agent {each.agent} has a problem since {_time(each.since)}: {_line(each)}"
    troubles = context.troubles.listed() if admin else []
    for trouble in troubles:
        text += f"\nThe channel {trouble.channel} has not worked since {_time(trouble.since)}: {trouble.text}"
    failing = context.patterns.failing() if admin else []
    for bad in failing:
        text += f"\nThe pattern {plain(bad.pattern)} fails since {_time(bad.since)}, {bad.times} times: {bad.why}."
    data = {
        "version": version.VERSION,
        "uptime_seconds": uptime_seconds,
        "runners": len(runners),
        "working": working,
        "ready": ready,
        "max_awake": admission.limit,
        "waiting": admission.waiting,
        "messages": {"unfinished": unfinished, **messages},
        "replies": replies,
        "accounts": asdict(counted.books),
        "dead_letters": dead,
        "today": None if spent is None else {"turns": spent.turns, "usd": spent.usd_micros / MICROS},
        "problems": [
            {**asdict(each), "since": shown.iso(each.since), "reported_at": shown.iso(each.reported_at)}
            for each in reported
        ],
        "troubles": [{**asdict(each), "since": shown.iso(each.since)} for each in troubles],
        "patterns": [
            {**asdict(bad), "since": shown.iso(bad.since), "last": shown.iso(bad.last)} for bad in failing
        ],
        "metrics": context.metrics.snapshot(),
    }
    return Reply(text, data)


def _spent_today(db: sqlite3.Connection, now: int) -> Used:
    today = money.day_of(now)
    return usage.total(db, Wanted(today, today))


def _line(problem: Problem) -> str:
    said = f"{problem.problem}. {problem.detail}" if problem.detail else problem.problem
    line = " ".join(plain(said).split())
    return line if len(line) <= SHOWN_CHARS else line[: SHOWN_CHARS - 1] + "…"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _duration(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    shown = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(shown[:2]) or "0 s"


COMMANDS: Final = (Command("status", "how the service is doing", NoParameters, status),)
