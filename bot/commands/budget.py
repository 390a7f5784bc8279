"""Commands about budgets: budget list, show, set, unset, extend."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, Final

from pydantic import Field

from bot import money
from bot.commands import shown, subjects
from bot.commands.context import Context
from bot.commands.options import Completes
from bot.commands.registry import Command, Invocation, NoParameters, Parameters, Reply, Scope
from bot.config_gateway import MAX_USD
from bot.db import audit
from bot.db import budgets as rows
from bot.db.budgets import State
from bot.db.cards import Option
from bot.errors import CommandFailed
from bot.money import EACH, MICROS, PERIODS, Budget, Period

NONE: Final = "There are no budgets; `{set}` makes one."
NOT_SET: Final = "There is no budget of {named} for a {period}."
EACH_BY_ITSELF: Final = "A budget for each is extended for one of them: say which."
SHARE: Final = "{named}, {period}: {spent} of {limit} spent ({percent} %){reserved}; it begins again {again}."


class Subject(Parameters):
    """Whose budget."""

    subject: Annotated[str, Completes(subjects.suggested)] = Field(
        min_length=1,
        max_length=300,
        description="bot, an agent, here or a channel, me or a person, or person:*, channel:*, agent:* for each",
    )


class OfPeriod(Subject):
    """One budget."""

    period: Period = Field(description="a day or a month, both of UTC")


class Amount(OfPeriod):
    """One budget, and a sum."""

    usd: float = Field(gt=0, le=MAX_USD, allow_inf_nan=False, description="so many US dollars")


class Unset(OfPeriod):
    """One budget that is not to be any more."""

    yes: bool = Field(False, description="do it; else only say what would be done")


async def about(context: Context, invocation: Invocation, given: Subject) -> Scope:
    """Whoever may decide about it."""
    return subjects.scope(context, subjects.parse(context, invocation, given.subject))


async def about_own(context: Context, invocation: Invocation, given: Subject) -> Scope:
    """The same; everybody may see their own."""
    subject = subjects.parse(context, invocation, given.subject)
    if subject == subjects.own(invocation):
        return Scope(None if invocation.route is None else context.agent_of(invocation.route), "member")
    return Scope(subjects.scope(context, subject).agent, "admin")


async def about_any(_: Context, invocation: Invocation, __: NoParameters) -> Scope:
    """Whoever is an admin of anything may list; each sees what they may decide."""
    return Scope.of_any(invocation.standing)


async def list_budgets(context: Context, invocation: Invocation, _: NoParameters) -> Reply:
    """The budgets that there are, and how far they are used up."""
    day = money.day_of(context.clock())
    found = [
        Budget(subject, period, micros)
        for (subject, period), micros in sorted(context.budgets.all.items())
        if subjects.may_see(context, invocation, subject)
    ]

    def work(db: sqlite3.Connection) -> list[State | Budget]:
        return [each if _is_each(each.subject) else rows.seen(db, each, day) for each in found]

    states = await context.db.read(work)
    lines = [["SUBJECT", "PERIOD", "BUDGET", "SPENT", "SET ASIDE", "USED"]]
    for each in states:
        if isinstance(each, Budget):
            lines.append([each.subject, each.period, money.usd(each.usd_micros), "", "", "each"])
        else:
            lines.append(
                [
                    *(each.budget.subject, each.budget.period, money.usd(each.limit)),
                    *(money.usd(each.spent), money.usd(each.reserved), f"{each.percent} %"),
                ]
            )
    text = shown.table(lines) if states else NONE.format(set=invocation.spelled("budget set"))
    return Reply(text, [_data(each) for each in states])


async def show(context: Context, invocation: Invocation, given: Subject) -> Reply:
    """The budgets of one subject."""
    subject = subjects.parse(context, invocation, given.subject)
    states = await _states(context, subject)
    if not states:
        return Reply(f"There is no budget of {money.named(subject)}.", [])
    day = money.day_of(context.clock())
    lines = [each if isinstance(each, str) else _line(each, day) for each in map(_described, states)]
    buttons = [
        _extend(each)
        for each in states
        if isinstance(each, State) and subjects.may_see(context, invocation, subject) and each.percent >= 80
    ]
    mine = subject == subjects.own(invocation)
    return Reply("\n".join(lines), [_data(each) for each in states], () if mine else buttons)


async def set_budget(context: Context, invocation: Invocation, given: Amount) -> Reply:
    """Sets a budget in place of the one that there was."""
    subject = subjects.parse(context, invocation, given.subject)
    before = context.budgets.all.get((subject, given.period))
    after = money.to_micros(given.usd)
    await _put(context, invocation, subject, given.period, before, after, "budget set")
    said = f"The budget of {money.named(subject)} is {money.usd(after)} for each {given.period} now"
    if before is not None:
        back = Option(
            f"Back to {money.usd(before)}",
            "budget set",
            {"subject": subject, "period": given.period, "usd": _plain(before)},
        )
    else:
        back = Option(
            "Take it back", "budget unset", {"subject": subject, "period": given.period, "yes": "true"}
        )
    text = f"{said}; it was {money.usd(before)}." if before is not None else f"{said}."
    states = await _states(context, subject)
    return Reply(text, [_data(each) for each in states], [back])


async def unset(context: Context, invocation: Invocation, given: Unset) -> Reply:
    """Takes a budget away; one of config.toml as well, until it is set again."""
    subject = subjects.parse(context, invocation, given.subject)
    key = (subject, given.period)
    before = context.budgets.all.get(key)
    if before is None:
        raise CommandFailed(NOT_SET.format(named=money.named(subject), period=given.period))
    arguments = {"subject": subject, "period": given.period}
    if not given.yes:
        amount = f"{money.usd(before)} for each {given.period}"
        said = f"The budget of {money.named(subject)}, {amount}, would be taken away."
        said += f" Nothing has changed yet; to do it, say the same with {invocation.option('yes')}."
        yes = Option("Yes, take it away", "budget unset", {**arguments, "yes": "true"})
        return Reply(said, {"removed": False}, [yes])
    await _put(context, invocation, subject, given.period, before, None, "budget unset")
    back = Option("Set it again", "budget set", {**arguments, "usd": _plain(before)})
    again = invocation.spelled(f"budget set {subject} {given.period} {_plain(before)}")
    text = f"The budget of {money.named(subject)} for a {given.period} is gone; `{again}` sets it again."
    return Reply(text, {"removed": True}, [back])


async def extend(context: Context, invocation: Invocation, given: Amount) -> Reply:
    """Adds to a budget for the period that runs, and has what waits for it answered."""
    subject = subjects.parse(context, invocation, given.subject)
    if _is_each(subject):
        raise CommandFailed(EACH_BY_ITSELF)
    budget = context.budgets.of(subject, given.period)
    if budget is None:
        raise CommandFailed(NOT_SET.format(named=money.named(subject), period=given.period))
    micros, now = money.to_micros(given.usd), context.clock()
    agent = subjects.scope(context, subject).agent

    def work(db: sqlite3.Connection) -> State:
        before, after = context.budgets.extend(db, budget, micros, invocation.by)
        audit.record(
            db, invocation.by, "budget extend", f"budget:{subject}", now=now, agent=agent,
            before={"period": given.period, "begins": before.begins, "usd": before.limit / MICROS},
            after={"period": given.period, "begins": after.begins, "usd": after.limit / MICROS},
        )  # fmt: skip
        return after

    after = await context.db.write(work)
    context.budgets.stir()
    which = money.now_in_words(given.period)
    text = (
        f"The budget of {money.named(subject)} for {which} is {money.usd(after.limit)} now, {money.usd(micros)} more;"
        f" {money.usd(after.spent)} of it is spent."
    )
    return Reply(text, _data(after))


async def _put(
    context: Context,
    invocation: Invocation,
    subject: str,
    period: Period,
    before: int | None,
    after: int | None,
    action: str,
) -> None:
    now, agent = context.clock(), subjects.scope(context, subject).agent

    def work(db: sqlite3.Connection) -> None:
        if after is None and context.budgets.configured(subject, period) is None:
            rows.drop(db, subject, period)
        else:
            rows.put(db, subject, period, after, now=now)
        audit.record(
            db, invocation.by, action, f"budget:{subject}", now=now, agent=agent,
            before={"period": period, "usd": None if before is None else before / MICROS},
            after={"period": period, "usd": None if after is None else after / MICROS},
        )  # fmt: skip

    await context.db.write(work)
    await context.budgets.refresh()


async def _states(context: Context, subject: str) -> list[State | Budget]:
    """Those of one subject; of one for each only the sum is known."""
    day = money.day_of(context.clock())
    found = [budget for period in PERIODS if (budget := context.budgets.of(subject, period)) is not None]
    if _is_each(subject):
        sums = context.budgets.all
        return [Budget(subject, each, sums[subject, each]) for each in PERIODS if (subject, each) in sums]
    return await context.db.read(lambda db: [rows.seen(db, each, day) for each in found])


def _described(found: State | Budget) -> State | str:
    if isinstance(found, State):
        return found
    return f"{money.named(found.subject)}: {money.usd(found.usd_micros)} for each {found.period}."


def _line(state: State, day: str) -> str:
    budget = state.budget
    aside = f", {money.usd(state.reserved)} set aside" if state.reserved else ""
    return SHARE.format(
        named=money.named(budget.subject),
        period=money.now_in_words(budget.period),
        spent=money.usd(state.spent),
        limit=money.usd(state.limit),
        percent=state.percent,
        reserved=aside,
        again=money.again(budget.period, day),
    )


def _extend(state: State) -> Option:
    budget = state.budget
    arguments = {"subject": budget.subject, "period": budget.period, "usd": _plain(budget.usd_micros)}
    return Option(f"Extend the {budget.period} by {money.usd(budget.usd_micros)}", "budget extend", arguments)


def _plain(micros: int) -> str:
    """A sum as the option `usd` takes it."""
    return f"{micros / MICROS:.6f}".rstrip("0").rstrip(".")


def _is_each(subject: str) -> bool:
    return subject.endswith(f":{EACH}")


def _data(found: State | Budget) -> dict[str, Any]:
    budget = found.budget if isinstance(found, State) else found
    data: dict[str, Any] = {
        "subject": budget.subject,
        "period": budget.period,
        "budget_usd": budget.usd_micros / MICROS,
    }
    if isinstance(found, State):
        data |= {
            "begins": found.begins,
            "limit_usd": found.limit / MICROS,
            "spent_usd": found.spent / MICROS,
            "reserved_usd": found.reserved / MICROS,
            "percent": found.percent,
        }
    return data


COMMANDS: Final[tuple[Command[Context, Any], ...]] = (
    Command(
        "budget list",
        "what may be spent, and how much of it is",
        NoParameters,
        list_budgets,
        level="admin",
        about=about_any,
    ),
    Command("budget show", "the budgets of one subject; me: your own", Subject, show, about=about_own),
    Command(
        "budget set",
        "what somebody or something may spend",
        Amount,
        set_budget,
        level="admin",
        about=about,
        changes=True,
    ),
    Command("budget unset", "take a budget away", Unset, unset, level="admin", about=about, changes=True),
    Command(
        "budget extend",
        "add to a budget for the day or month that runs",
        Amount,
        extend,
        level="admin",
        about=about,
        changes=True,
        agents_may=False,
    ),
)
