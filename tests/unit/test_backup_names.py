"""When a backup is due, what it is called, and which ones go."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.backup import names
from bot.backup.daily import due


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("since", "started", "now", "expected"),
    [
        # There at the hour: made then, and once.
        ("2026-03-01 03:00", "2026-03-01 00:00", "2026-03-02 02:59", False),
        ("2026-03-01 03:00", "2026-03-01 00:00", "2026-03-02 03:00", True),
        ("2026-03-02 03:00", "2026-03-01 00:00", "2026-03-02 03:05", False),
        ("2026-03-02 03:01", "2026-03-01 00:00", "2026-03-03 02:00", False),
        # One that was made by hand in between counts until the hour.
        ("2026-03-01 20:00", "2026-03-01 00:00", "2026-03-02 03:00", True),
        # Down at the hour: made at start, when the last one is older than a day.
        ("2026-03-01 03:00", "2026-03-02 10:00", "2026-03-02 10:00", True),
        ("2026-03-01 20:00", "2026-03-02 10:00", "2026-03-02 10:00", False),
        ("2026-03-01 20:00", "2026-03-02 10:00", "2026-03-02 20:00", True),
        # The first one of a new service, whose first conversation is as old as this.
        ("2026-03-01 10:00", "2026-03-01 09:00", "2026-03-01 23:00", False),
        ("2026-03-01 10:00", "2026-03-01 09:00", "2026-03-02 03:00", True),
        # A clock that went back makes none twice.
        ("2026-03-02 03:00", "2026-03-01 00:00", "2026-03-02 02:10", False),
        (None, "2026-03-01 00:00", "2026-03-09 00:00", False),
    ],
)
def test_due(since: str | None, started: str, now: str, *, expected: bool) -> None:
    assert due(since and at(since), started_at=at(started), now=at(now), hour=3) is expected  # type: ignore[arg-type]


def test_a_name_says_when_and_none_is_taken_twice(tmp_path: Path) -> None:
    now = at("2026-03-01 03:00")
    first = names.free(tmp_path, now)
    assert first.name == "roost-20260301T030000Z.tar.gz"
    for _ in range(12):
        names.free(tmp_path, now).touch()
    found = names.found(tmp_path)
    assert len(found) == 12
    assert [each.number for each in found] == list(range(11, -1, -1))
    assert {each.made_at for each in found} == {now}


def test_only_what_is_named_like_a_backup_and_is_a_file_is_one(tmp_path: Path) -> None:
    for name in (
        "notes.txt", "roost-20260301T030000Z.tar.gz.old", "my-roost-20260301T030000Z.tar.gz",
        "roost-20261301T030000Z.tar.gz", "roost-now.tar.gz", "roost-20260301T030000Z-.tar.gz",
    ):  # fmt: skip
        (tmp_path / name).touch()
    (tmp_path / "roost-20260302T030000Z.tar.gz").mkdir()
    (tmp_path / "roost-20260303T030000Z.tar.gz").symlink_to(tmp_path / "notes.txt")
    (tmp_path / "roost-20260304T030000Z.tar.gz").touch()
    assert [each.path.name for each in names.found(tmp_path)] == ["roost-20260304T030000Z.tar.gz"]
    assert names.found(tmp_path / "none") == []


def test_what_was_just_made_stays_whatever_the_clock_said(tmp_path: Path) -> None:
    for day in range(1, 6):
        names.free(tmp_path, at(f"2026-03-0{day} 03:00")).touch()
    found = names.found(tmp_path)
    newest, oldest = found[0].path, found[-1].path
    assert [each.path for each in names.surplus(found, 3, newest)] == [each.path for each in found[3:]]
    assert oldest not in {each.path for each in names.surplus(found, 3, oldest)}
    assert names.surplus(found, 9, newest) == []
