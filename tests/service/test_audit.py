"""The audit: nobody changes or shortens it, it holds no secrets, and every admin reads their own part of it."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from adapters.base import Sender
from bot import control_client, since
from bot.commands.audit import EXPORT_BYTES, difference
from bot.db import audit, people
from bot.db.audit import SERVICE
from bot.recurrence import BadTime
from tests.service.conftest import House
from tests.service.test_cards import OWNER_DM, ask

OTHER: Final = Sender("u3", "Cy")
STRANGER: Final = Sender("u9", "Zed")
SECRET: Final = "sk-ant-" + "a1B2" * 10
HOUR_MS: Final = 3_600_000
NOW: Final = 1_763_892_000_000
"""Sunday 2025-11-23 10:00 UTC."""


async def keep(house: House, action: str, subject: str = "x:1", **more: Any) -> None:
    """A row by the service itself."""
    at = more.pop("at", house.now())
    await house.app.db.write(lambda db: audit.record(db, SERVICE, action, subject, now=at, **more))


async def test_nobody_changes_a_row_or_takes_one_away(house: House) -> None:
    async with house.open():
        await keep(house, "agent set", before={"model": "a"}, after={"model": "b"})
    with closing(sqlite3.connect(house.data / "bot.db")) as db:
        before = db.execute("SELECT * FROM audit ORDER BY number").fetchall()
        for sql in (
            "UPDATE audit SET actor = 'me'",
            "UPDATE audit SET after = NULL WHERE number = 1",
            "DELETE FROM audit",
            "DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="the audit is only added to"):
                db.execute(sql)
        assert db.execute("SELECT * FROM audit ORDER BY number").fetchall() == before


async def test_a_backup_has_it(house: House) -> None:
    async with house.open() as p:
        await keep(house, "agent set", "agent:helper")
        made = await p.order("backup create")
        assert made.state == "accepted", made.text
    (archive,) = (house.data / "backups").glob("*.tar*")
    with tarfile.open(archive) as packed:
        member = packed.extractfile(next(each for each in packed.getnames() if each.endswith("bot.db")))
        assert member is not None
        copy = house.data.parent / "copy.db"
        copy.write_bytes(member.read())
    with closing(sqlite3.connect(copy)) as db:
        assert ("agent set", "agent:helper") in db.execute("SELECT action, subject FROM audit").fetchall()
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("DELETE FROM audit")


async def test_secrets_are_struck_out(house: House) -> None:
    async with house.open() as p:
        nested = {"env": [f"KEY={SECRET}", {SECRET: 1}], "note": f"it is {SECRET}"}
        await keep(house, "agent set", before=nested, after=SECRET)
        await ask(house, details=f"with {SECRET}")
        await p.replies(1, place=OWNER_DM)
        rows = [tuple(row) for row in house.query("SELECT before, after FROM audit")]
        assert SECRET not in str(rows) and "[redacted api key]" in str(rows)
        assert SECRET not in "".join(p.texts(OWNER_DM))


async def test_an_admin_of_one_agent_sees_what_is_about_it_alone(house: House) -> None:
    house.agents = {"assistant": house.agent, "other": house.agent}
    async with house.open() as p:
        await house.app.db.write(lambda db: people.grant(db, "fake", OTHER.id, "admin", now=1, agent="other"))
        await keep(house, "agent set", "agent:assistant", agent="assistant")
        await keep(house, "agent set", "agent:other", agent="other")
        await keep(house, "backup create", "backup")
        seen = await p.order("audit list", by=OTHER)
        assert [each["subject"] for each in seen.data] == ["agent:other"]
        assert (await p.order("audit list", by=OTHER, agent="assistant")).data == []
        exported = await p.order("audit export", by=OTHER)
        assert [json.loads(line)["subject"] for line in (exported.text or "").splitlines()] == ["agent:other"]
        numbers = {row["subject"]: str(row["number"]) for row in house.query("SELECT * FROM audit")}
        assert (await p.order("audit show", by=OTHER, number=numbers["agent:other"])).state == "accepted"
        for subject in ("agent:assistant", "backup"):
            assert (await p.order("audit show", by=OTHER, number=numbers[subject])).state == "refused"
        everything = await p.order("audit list")
        assert len(everything.data) > 3
        assert (await p.order("audit list", by=STRANGER)).state == "dropped"


async def test_rows_are_found_by_who_what_and_when(house: House) -> None:
    async with house.open() as p:
        now = house.now()
        await p.order("member add", who="fake:u3")
        await keep(house, "agent set", "agent:helper", at=now - 50 * HOUR_MS)
        await keep(house, "agent delete", "agent:helpers", at=now - 3 * HOUR_MS)

        async def found(**arguments: Any) -> list[str]:
            receipt = await p.order("audit list", **arguments)
            assert receipt.state == "accepted", receipt.text
            return [each["action"] for each in receipt.data]

        assert await found(actor="fake:u1") == ["member add"]
        assert await found(actor="u1") == ["member add"]
        assert "agent set" in await found(actor="roost")
        assert await found(action="agent") == ["agent delete", "agent set"]
        assert await found(action="agent set") == ["agent set"]
        assert await found(subject="agent:helper") == ["agent set"]
        assert await found(subject="agent") == ["agent delete", "agent set"]
        assert await found(action="agent", since="2d") == ["agent delete"]
        assert await found(action="agent", until="2 days ago") == ["agent set"]
        assert len(await found(limit="1")) == 1
        assert await found(action="age") == []
        bad = await p.order("audit list", since="next tuesday")
        assert bad.state == "refused" and "is no date or time" in (bad.text or "")
        assert "ends before it begins" in str((await p.order("audit list", since="1d", until="2d")).text)
        assert "names are not taken" in str((await p.order("audit list", actor="Ada Lovelace")).text)


async def test_a_row_is_shown_with_what_was_changed(house: House) -> None:
    async with house.open() as p:
        before = {"model": "a", "tools": ["x"], "limits": {"cpu": 1, "memory": 2}}
        after = {"model": "b", "tools": ["x"], "limits": {"cpu": 1}, "new": "y"}
        await keep(house, "agent set", "agent:helper", agent="assistant", before=before, after=after)
        number = house.query("SELECT max(number) FROM audit")[0][0]
        shown = await p.order("audit show", number=str(number))
        assert (shown.text or "").splitlines()[3:] == [
            "agent: assistant",
            "- model: a",
            "+ model: b",
            '  tools: ["x"]',
            "  limits.cpu: 1",
            "- limits.memory: 2",
            "+ new: y",
        ]
        assert (await p.order("audit show", number="99999")).state == "refused"


async def test_what_is_too_much_for_one_answer_is_said(house: House) -> None:
    async with house.open() as p:

        def fill(db: sqlite3.Connection) -> None:
            for number in range(5):
                text = "x" * (EXPORT_BYTES // 4)
                audit.record(db, SERVICE, "agent set", f"agent:{number}", now=number * HOUR_MS, after=text)

        await house.app.db.write(fill)
        whole = await p.order("audit export", until="1970-01-01")
        assert whole.state == "refused" and "too much for one answer: 5 rows" in (whole.text or "")
        part = await p.order("audit export", until="1970-01-01 02:00")
        assert len((part.text or "").splitlines()) == 3


async def test_what_is_no_command_is_kept_as_well(house: House) -> None:
    async with house.open():
        first = [dict(row) for row in house.query("SELECT actor, action, subject FROM audit")]
        assert [each["action"] for each in first if "terminal" in each["subject"]] == ["owner add"]
    async with house.open():
        again = house.query("SELECT 1 FROM audit WHERE subject LIKE 'person:terminal:%'")
        assert len(again) == 1


async def test_a_code_for_the_owner_is_kept_without_the_code(house: House) -> None:
    """owner code"""
    async with house.open():
        await house.app.db.write(lambda db: people.revoke(db, "fake", "u1"))
        answer = await control_client.ask(house.data / "control.sock", ["owner", "code"], {"channel": "fake"})
        assert answer.ok, answer.text
        (row,) = house.query("SELECT * FROM audit WHERE action = 'owner code'")
        assert row["surface"] == "control" and row["subject"] == "channel:fake"
        assert answer.data["code"] not in str(tuple(row))


# ---------------------------------------------------------------- pure


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (None, None, []),
        (None, {"role": "admin"}, ["+ role: admin"]),
        ({"role": "admin"}, None, ["- role: admin"]),
        ("a", "b", ["- a", "+ b"]),
        ({"a": {}}, {"a": None}, ["- a: {}", "+ a: null"]),
        ({"a": "x" * 3000}, None, [f"- a: {'x' * 2000}… (3,000 characters)"]),
    ],
)
def test_what_was_changed_in_lines(before: Any, after: Any, lines: list[str]) -> None:
    assert difference(before, after) == lines


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("2025-11-23", "2025-11-23T00:00:00", "2025-11-23T23:59:59.999000"),
        ("today", "2025-11-23T00:00:00", "2025-11-23T23:59:59.999000"),
        (" Yesterday ", "2025-11-22T00:00:00", "2025-11-22T23:59:59.999000"),
        ("2025-11-23 08:00", "2025-11-23T08:00:00", "2025-11-23T08:00:00"),
        ("2025-11-23T08:00+02:00", "2025-11-23T06:00:00", "2025-11-23T06:00:00"),
        ("3d", "2025-11-20T10:00:00", "2025-11-20T10:00:00"),
        ("12 hours ago", "2025-11-22T22:00:00", "2025-11-22T22:00:00"),
    ],
)
def test_a_time_that_has_passed(text: str, begins: str, ends: str) -> None:
    def at(said: str) -> int:
        return round(datetime.fromisoformat(said).replace(tzinfo=UTC).timestamp() * 1000)

    assert since.begins(text, now=NOW, timezone="UTC") == at(begins)
    assert since.ends(text, now=NOW, timezone="UTC") == at(ends)


def test_a_day_on_which_clocks_change_has_its_own_length() -> None:
    day = "2025-10-26"
    begins = since.begins(day, now=NOW, timezone="Europe/Athens")
    assert since.ends(day, now=NOW, timezone="Europe/Athens") - begins == 25 * HOUR_MS - 1


@pytest.mark.parametrize("text", ["", "soon", "2025-13-01", "2025-11-23 25:00", "-3d", "3 fortnights"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadTime, match="write it like"):
        since.begins(text, now=NOW, timezone="UTC")
