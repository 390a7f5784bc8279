"""The tables of config.toml about money: what may be spent on models, and whether people see it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from bot.config_gateway import Usd
from bot.config_model import ConfigModel
from bot.money import Budgets, Period, to_micros

SUBJECT: Final = re.compile(r"bot|agent:[^\s:]{1,200}|(?:channel|person):(?:\*|[a-z][a-z0-9_-]*:\S{1,200})")


def _subject(value: str) -> str:
    if SUBJECT.fullmatch(value) is None:
        raise ValueError(
            'is none: give "bot", "agent:NAME", "channel:CHANNEL:PLACE" or "person:CHANNEL:ID", or * for each'
        )
    return value


class BudgetConfig(ConfigModel):
    """[[budgets]]"""

    subject: Annotated[str, AfterValidator(_subject)] = Field(
        description='Whose: "bot", everything; "agent:NAME"; "channel:CHANNEL:PLACE"; "person:CHANNEL:ID"; '
        '"person:*", "channel:*" or "agent:*" for each by itself.'
    )
    day_usd: Usd | None = Field(
        None, description="What it may spend in a day of UTC; without it there is no bound."
    )
    month_usd: Usd | None = Field(None, description="The same for a month.")


class UsageConfig(ConfigModel):
    """[usage]"""

    footer: bool = Field(
        False,
        description="Whether tokens, cost and time stand under each answer; a place may have it otherwise.",
    )
    keep_days: Annotated[int, Field(ge=32, le=10_000)] = Field(
        400, description="How many days it is known what each turn has cost."
    )


def sums(budgets: Iterable[BudgetConfig]) -> Budgets:
    """The sums of [[budgets]] by subject and period."""
    found: dict[tuple[str, Period], int] = {}
    for each in budgets:
        if each.day_usd is not None:
            found[each.subject, "day"] = to_micros(each.day_usd)
        if each.month_usd is not None:
            found[each.subject, "month"] = to_micros(each.month_usd)
    return found


def repeated(budgets: Sequence[BudgetConfig]) -> list[str]:
    """A line for each budget whose subject an earlier one has."""
    seen: dict[str, int] = {}
    return [
        f"budgets[{number}]: is for the same subject as budgets[{earlier}]; leave one of them out"
        for number, each in enumerate(budgets)
        if (earlier := seen.setdefault(each.subject, number)) != number
    ]
