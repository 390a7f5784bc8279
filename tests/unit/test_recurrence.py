"""When something happens next, and what people write for it."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.recurrence import (
    WHEN,
    At,
    BadTime,
    Cron,
    Every,
    When,
    cron,
    instant,
    newest_times,
    next_times,
    zone,
)
from bot.spoken_time import parse, parse_end

ATHENS = "Europe/Athens"
ZONES = [ATHENS, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def ms(text: str, timezone: str = "UTC", fold: int = 0) -> int:
    wall = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone), fold=fold)
    return round(wall.timestamp() * 1000)


def shown(at: int | None, timezone: str) -> str:
    """With the offset: a clock that shows a time twice shows it with two of them."""
    assert at is not None
    return datetime.fromtimestamp(at / 1000, ZoneInfo(timezone)).isoformat(sep=" ", timespec="minutes")


def times(when: When, start: str, count: int) -> list[str]:
    return [shown(at, when.timezone) for at in next_times(when, ms(start, when.timezone), count)]


NOW = ms("2026-11-22 10:00", ATHENS)  # a Sunday


def read(text: str, *, now: int = NOW, minimum: float = 60) -> When:
    return parse(text, now=now, timezone=ATHENS, minimum_seconds=minimum)


# ---------------------------------------------------------------- what people write


@pytest.mark.parametrize(
    ("text", "described", "following"),
    [
        ("in 10 minutes", "once, Sunday 2026-11-22 10:10 Europe/Athens", ["2026-11-22 10:10+02:00"]),
        ("in an hour", "once, Sunday 2026-11-22 11:00 Europe/Athens", ["2026-11-22 11:00+02:00"]),
        ("In 2 days", "once, Tuesday 2026-11-24 10:00 Europe/Athens", ["2026-11-24 10:00+02:00"]),
        ("tomorrow at 9:30", "once, Monday 2026-11-23 9:30 Europe/Athens", ["2026-11-23 09:30+02:00"]),
        ("today at 10:01", "once, Sunday 2026-11-22 10:01 Europe/Athens", ["2026-11-22 10:01+02:00"]),
        ("at 9", "once, Monday 2026-11-23 9:00 Europe/Athens", ["2026-11-23 09:00+02:00"]),
        ("at 8 pm", "once, Sunday 2026-11-22 20:00 Europe/Athens", ["2026-11-22 20:00+02:00"]),
        ("at 12am", "once, Monday 2026-11-23 0:00 Europe/Athens", ["2026-11-23 00:00+02:00"]),
        ("monday at 8", "once, Monday 2026-11-23 8:00 Europe/Athens", ["2026-11-23 08:00+02:00"]),
        ("on Sunday at 9", "once, Sunday 2026-11-29 9:00 Europe/Athens", ["2026-11-29 09:00+02:00"]),
        ("sun at 11", "once, Sunday 2026-11-22 11:00 Europe/Athens", ["2026-11-22 11:00+02:00"]),
        (
            "every monday at 8",
            "Monday 8:00 Europe/Athens",
            ["2026-11-23 08:00+02:00", "2026-11-30 08:00+02:00"],
        ),
        (
            "every  Mon,  wed and sunday at 8:05",
            "Monday, Wednesday, Sunday 8:05 Europe/Athens",
            ["2026-11-23 08:05+02:00", "2026-11-25 08:05+02:00", "2026-11-29 08:05+02:00"],
        ),
        (
            "every weekday at 9:15",
            "Monday to Friday 9:15 Europe/Athens",
            ["2026-11-23 09:15+02:00", "2026-11-24 09:15+02:00"],
        ),
        ("daily at 8", "every day 8:00 Europe/Athens", ["2026-11-23 08:00+02:00", "2026-11-24 08:00+02:00"]),
        (
            "every 2 hours",
            "every 2 hours from Sunday 2026-11-22 12:00 Europe/Athens",
            ["2026-11-22 12:00+02:00", "2026-11-22 14:00+02:00"],
        ),
        (
            "every 2 weeks at 9",
            "every 2 weeks from Monday 2026-11-23 9:00 Europe/Athens",
            ["2026-11-23 09:00+02:00", "2026-12-07 09:00+02:00"],
        ),
        (
            "every minute",
            "every minute from Sunday 2026-11-22 10:01 Europe/Athens",
            ["2026-11-22 10:01+02:00"],
        ),
        ("2026-11-23 08:00", "once, Monday 2026-11-23 8:00 Europe/Athens", ["2026-11-23 08:00+02:00"]),
        ("2026-11-23 8:00", "once, Monday 2026-11-23 8:00 Europe/Athens", ["2026-11-23 08:00+02:00"]),
        ("2026-11-23T08:00:00Z", "once, Monday 2026-11-23 10:00 Europe/Athens", ["2026-11-23 10:00+02:00"]),
        (
            "2026-11-23T08:00-05:00",
            "once, Monday 2026-11-23 15:00 Europe/Athens",
            ["2026-11-23 15:00+02:00"],
        ),
        ("0 8 * * 1", "Monday 8:00 Europe/Athens", ["2026-11-23 08:00+02:00"]),
        ("0 8 * * 7", "Sunday 8:00 Europe/Athens", ["2026-11-29 08:00+02:00"]),
        (
            "30 9 1 * *",
            "At 09:30 on the first day of every month Europe/Athens",
            ["2026-12-01 09:30+02:00", "2027-01-01 09:30+02:00"],
        ),
        ("every monday at 8 America/New_York", "Monday 8:00 America/New_York", ["2026-11-23 08:00-05:00"]),
        ("every monday at 8 in UTC", "Monday 8:00 UTC", ["2026-11-23 08:00+00:00"]),
    ],
)
def test_a_time_is_understood(text: str, described: str, following: list[str]) -> None:
    when = read(text)
    assert when.describe() == described
    assert [shown(at, when.timezone) for at in next_times(when, NOW, len(following))] == following
    assert WHEN.validate_json(when.model_dump_json()) == when


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("whenever", 'I do not understand the time whenever; say for example "in 10 minutes"'),
        ("", "I do not understand the time of nothing"),
        ("every monday", "I do not understand the time every monday"),
        ("every 2 hours at 9", "every 2 hours at 9 is two times in one"),
        ("every 0 hours", "every 0 hours is no time"),
        ("monday at 25", "monday at 25 is no time of a day"),
        ("at 13 pm", "at 13 pm is no time of a day"),
        ("0 0 31 2 *", "0 0 31 2 * never comes: there is no such day."),
        ("0 0 31 4,6 *", "0 0 31 4,6 * never comes: there is no such day."),
        ("61 * * * *", "61 * * * * is no cron pattern: bad minute."),
        ("0 0 1 13 *", "0 0 1 13 * is no cron pattern: bad month."),
        ("0 0 * * 1L/2", "0 0 * * 1L/2 is no cron pattern: bad day-of-week."),
        ("today at 9", "This time is in the past: say one that is to come."),
        ("2026-11-22 10:00", "This time is in the past: say one that is to come."),
        ("1926-11-22 10:00", "This time is in the past: say one that is to come."),
        ("2026-13-22 10:00", "2026-13-22 10:00 is no date and time; write it like 2026-11-23 08:00."),
        ("in 999999 weeks", "in 999999 weeks is too far away."),
        ("every 59 seconds", "every 59 seconds is too often: the shortest interval is 60 seconds."),
        ("at 9 Europe/Atlantis", "There is no time zone Europe/Atlantis; they are named like Europe/Athens."),
        ("at 9 America/Argentina", "There is no time zone America/Argentina"),
    ],
)
def test_what_is_no_time_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(BadTime) as caught:
        read(text)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["* * * * *", "0,4 9 * * *", "59 23,0 * * *", "*/4 9 * * 1"])
def test_a_pattern_that_is_ever_too_fast_is_refused(text: str) -> None:
    with pytest.raises(BadTime, match="the shortest interval is 300 seconds"):
        read(text if text != "59 23,0 * * *" else "58,59 23 * * *", minimum=300)
    assert read("*/5 9 * * *", minimum=300)


def test_a_machine_without_time_zones_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    with pytest.raises(BadTime, match="install its package tzdata"):
        zone("Mars/Olympus")


@given(st.text(alphabet="0123456789*/,-#L:apmTZ+ ineveryatdo\n", max_size=30) | st.text(max_size=30))
def test_any_text_is_a_time_or_a_sentence(text: str) -> None:
    try:
        when = read(text)
    except BadTime as exc:
        assert str(exc)
    else:
        assert next_times(when, NOW, 1)[0] > NOW
        assert when.describe()


def test_what_is_no_end_is_told_what_one_looks_like() -> None:
    with pytest.raises(BadTime, match="junk is no date; write it like 2026-11-23, or 2026-11-23 08:00"):
        parse_end("junk", now=NOW, timezone=ATHENS)


def test_an_end_is_the_end_of_the_day_that_it_names() -> None:
    assert parse_end("2026-11-23", now=NOW, timezone=ATHENS) == ms("2026-11-24 00:00", ATHENS) - 1
    assert parse_end("friday at 18:00", now=NOW, timezone=ATHENS) == ms("2026-11-27 18:00", ATHENS)
    for wrong in ("2026-11-21", "2026-11-31", "every monday at 8", "soon"):
        with pytest.raises(BadTime):
            parse_end(wrong, now=NOW, timezone=ATHENS)


# ---------------------------------------------------------------- the days on which clocks change


@pytest.mark.parametrize(
    ("timezone", "pattern", "start", "following"),
    [
        # 3:00 becomes 4:00: 3:30 is not.
        (
            ATHENS,
            "30 3 * * *",
            "2026-03-28 04:00",
            ["2026-03-29 04:00+03:00", "2026-03-30 03:30+03:00", "2026-03-31 03:30+03:00"],
        ),
        # Both of two times that are not, and the one after them: one run.
        (ATHENS, "15,45 3 * * *", "2026-03-28 04:00", ["2026-03-29 04:00+03:00", "2026-03-30 03:15+03:00"]),
        (ATHENS, "0 3,4 * * *", "2026-03-28 05:00", ["2026-03-29 04:00+03:00", "2026-03-30 03:00+03:00"]),
        (ATHENS, "*/30 * * * *", "2026-03-29 02:30", ["2026-03-29 04:00+03:00", "2026-03-29 04:30+03:00"]),
        # 4:00 becomes 3:00: 3:30 comes twice.
        (ATHENS, "30 3 * * *", "2026-10-24 04:00", ["2026-10-25 03:30+03:00", "2026-10-26 03:30+02:00"]),
        (
            ATHENS,
            "*/30 * * * *",
            "2026-10-25 03:00",
            ["2026-10-25 03:30+03:00", "2026-10-25 04:00+02:00"],
        ),
        (
            "America/New_York",
            "30 2 * * *",
            "2026-03-07 03:00",
            ["2026-03-08 03:00-04:00", "2026-03-09 02:30-04:00"],
        ),
        (
            "America/New_York",
            "30 1 * * *",
            "2026-10-31 02:00",
            ["2026-11-01 01:30-04:00", "2026-11-02 01:30-05:00"],
        ),
        # Half an hour: 2:00 becomes 2:30, and in April 2:00 becomes 1:30.
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-03 03:00",
            ["2026-10-04 02:30+11:00", "2026-10-05 02:15+11:00"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-04 02:00",
            ["2026-04-05 01:45+11:00", "2026-04-06 01:45+10:30"],
        ),
        (
            "Australia/Lord_Howe",
            "*/15 2 * * *",
            "2026-04-05 00:00",
            ["2026-04-05 02:00+10:30", "2026-04-05 02:15+10:30", "2026-04-05 02:30+10:30"],
        ),
        # The ends of a year and of February.
        (ATHENS, "0 0 1 1 *", "2026-12-31 23:59", ["2027-01-01 00:00+02:00", "2028-01-01 00:00+02:00"]),
        ("UTC", "0 9 29 2 *", "2026-01-01 00:00", ["2028-02-29 09:00+00:00", "2032-02-29 09:00+00:00"]),
        ("UTC", "0 9 29 2 *", "2096-03-01 00:00", ["2104-02-29 09:00+00:00"]),
    ],
)
def test_when_clocks_change_nothing_is_lost_or_doubled(
    timezone: str, pattern: str, start: str, following: list[str]
) -> None:
    assert times(Cron(expression=pattern, timezone=timezone), start, len(following)) == following


def test_from_within_the_hour_that_comes_twice_it_never_goes_back() -> None:
    pattern = Cron(expression="30 3 * * *", timezone=ATHENS)
    second = ms("2026-10-25 03:10", ATHENS, fold=1)
    assert shown(pattern.after(second), ATHENS) == "2026-10-26 03:30+02:00"


def test_elapsed_time_knows_no_change_of_clocks_and_days_do() -> None:
    start = ms("2026-03-28 03:30", ATHENS)
    hours = Every(amount=24, unit="hours", start=start, timezone=ATHENS)
    days = Every(amount=1, unit="days", start=start, timezone=ATHENS)
    assert times(hours, "2026-03-28 04:00", 2) == ["2026-03-29 04:30+03:00", "2026-03-30 04:30+03:00"]
    assert times(days, "2026-03-28 04:00", 2) == ["2026-03-29 04:00+03:00", "2026-03-30 03:30+03:00"]


def test_one_time_in_the_gap_is_the_next_minute_that_is() -> None:
    now = ms("2026-03-28 12:00", ATHENS)
    assert shown(read("2026-03-29 03:20", now=now).after(now), ATHENS) == "2026-03-29 04:00+03:00"
    now = ms("2026-10-24 12:00", ATHENS)
    assert shown(read("tomorrow at 3:20", now=now).after(now), ATHENS) == "2026-10-25 03:20+03:00"


# ---------------------------------------------------------------- properties

moments = st.integers(ms("2024-01-01 00:00"), ms("2040-01-01 00:00"))
days_of_change = st.sampled_from(
    [ms(day) for day in ("2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31", "2026-10-03", "2026-04-04")]
)
near_a_change = st.builds(lambda day, plus: day + plus, days_of_change, st.integers(0, 2 * DAY))


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    one = st.integers(low, high)
    return st.one_of(
        st.just("*"), one.map(str), st.tuples(one, one).map(lambda two: f"{two[0]},{two[1]}"), st.just("*/7")
    )


patterns = st.builds(
    lambda minute, hour, weekday, timezone: Cron(
        expression=f"{minute} {hour} * * {weekday}", timezone=timezone
    ),
    fields(0, 59),
    fields(0, 23),
    st.sampled_from(["*", "1-5", "0"]),
    st.sampled_from(ZONES),
)
intervals = st.builds(
    Every,
    amount=st.integers(1, 50),
    unit=st.sampled_from(["minutes", "hours", "days", "weeks"]),
    start=moments,
    timezone=st.sampled_from(ZONES),
)
recurrences = st.one_of(patterns, intervals)


@given(when=recurrences, moment=st.one_of(moments, near_a_change), further=st.integers(0, 3 * DAY))
def test_next_is_after_and_monotone_and_the_same_from_anywhere_before(
    when: When, moment: int, further: int
) -> None:
    following = when.after(moment)
    assert following is not None and following > moment
    later = when.after(moment + further)
    assert later is not None and later >= following
    if moment + further < following:
        assert later == following


@settings(max_examples=40)
@given(when=patterns, moment=near_a_change)
def test_no_wall_clock_time_is_run_twice_and_none_is_left_out(when: Cron, moment: int) -> None:
    found = next_times(when, moment, 40)
    walls = [shown(at, when.timezone)[:16] for at in found]
    assert len(set(walls)) == len(walls)
    plain = Cron(expression=when.expression, timezone="UTC")
    place = ZoneInfo(when.timezone)
    last = datetime.fromtimestamp(found[-1] / 1000, place).replace(tzinfo=UTC)
    first = datetime.fromtimestamp(moment / 1000, place).replace(tzinfo=UTC)
    named = next_times(plain, round(first.timestamp() * 1000), 200)
    resolved = {
        instant(datetime.fromtimestamp(at / 1000, UTC).replace(tzinfo=None), place)
        for at in named
        if at <= last.timestamp() * 1000
    }
    assert {at for at in resolved if at > moment} <= set(found)


@settings(max_examples=40)
@given(when=recurrences, first=near_a_change, length=st.integers(0, DAY), limit=st.integers(1, 5))
def test_the_newest_times_are_the_last_of_all(when: When, first: int, length: int, limit: int) -> None:
    every: list[int] = []
    at = when.after(first - 1)
    while at is not None and at <= first + length:
        every.append(at)
        at = when.after(at)
    assert newest_times(when, first=first, last=first + length, limit=limit) == every[-limit:]


def test_ten_years_of_minutes_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    after = Cron.after

    def counting(self: Cron, moment: int) -> int | None:
        nonlocal looked
        looked += 1
        return after(self, moment)

    monkeypatch.setattr(Cron, "after", counting)
    found = newest_times(cron("* * * * *", "UTC"), first=NOW - 3650 * DAY, last=NOW, limit=5)
    assert found == [NOW - n * MINUTE for n in (4, 3, 2, 1, 0)]
    assert looked < 200


def test_once_is_once() -> None:
    once = At(at=NOW, timezone="UTC")
    assert next_times(once, NOW - 1, 3) == [NOW]
    assert next_times(once, NOW, 3) == []
    assert newest_times(once, first=NOW, last=NOW + timedelta(days=400).days * DAY, limit=3) == [NOW]
