"""Replies that could not be delivered: kept with all that belongs to them, looked at, sent again, dropped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, cast

import pytest

from adapters.base import Event, Outgoing, Part, Receipt
from agent.protocol.clock import now_ms
from bot import control_client, delivery
from bot.booking import NOT_DELIVERED
from bot.control_wire import Answer
from bot.db import dead_letters, deliveries
from bot.db.accounts import Accounts, accounts
from bot.db.dead_letters import Letter
from bot.errors import CommandFailed, DatabaseError
from bot.sending import UNREADABLE
from bot.turns import GAVE_UP
from tests.fakes.platform import PART_CHARS, PERSON, FakePlatform, refusal
from tests.service.conftest import House, Kind
from tests.service.test_backup import roost

BACKENDS = ("process", "docker")

ROOT: Final = Path(__file__).parents[2]
NO: Final = refusal(retry_after=None)
SAID: Final = NOT_DELIVERED.format(reason="the platform said no")
LONG: Final = "".join(f"{number:0{PART_CHARS - 10}d}----------" for number in range(3))
PARTS: Final = [LONG[i : i + PART_CHARS] for i in range(0, len(LONG), PART_CHARS)]
LONG_SCRIPT: Final = {"match": "long", "steps": [{"do": "result", "text": LONG}]}
FILE_SCRIPT: Final = {
    "match": "file",
    "steps": [
        {"do": "tool", "name": "send_file", "arguments": {"path": "made.txt", "text": "Here."}},
        {"do": "result", "text": None},
    ],
}
CRASH: Final = {"match": "crash", "steps": [{"do": "kill"}]}


YES: Final = {"yes": "true"}


async def ask(house: House, *words: str, given: Mapping[str, str] | None = None) -> Answer:
    """What the running service answers to the command line."""
    return await control_client.ask(house.data / "control.sock", ["deadletter", *words], given)


async def refused(house: House, *words: str, given: Mapping[str, str] | None = None) -> str:
    """The sentence with which it refuses."""
    with pytest.raises(CommandFailed) as caught:
        await ask(house, *words, given=given)
    return str(caught.value)


def letters(house: House) -> list[sqlite3.Row]:
    return house.query("SELECT * FROM dead_letters ORDER BY rowid")


def states(house: House) -> list[tuple[str, str]]:
    return [(row["kind"], row["state"]) for row in letters(house)]


def books(house: House) -> Accounts:
    with closing(sqlite3.connect(house.data / "bot.db")) as db:
        return accounts(db)


async def command(platform: FakePlatform, text: str) -> Receipt:
    """What a person is answered who gives the command in a channel."""
    event = Event(
        platform.new_id(), "command", platform.route("p1"), PERSON, now_ms(), command="deadletter",
        arguments={"text": text},
    )  # fmt: skip
    return await platform.hand_in(event)


# ---------------------------------------------------------------- kept


async def test_a_reply_that_is_given_up_is_kept_and_sent_from_where_it_stopped(house: House) -> None:
    house.script(LONG_SCRIPT)
    async with house.open() as p:
        p.failures += [None, NO]
        await p.say("long", event_id="e1")
        assert await p.replies(2) == [PARTS[0], SAID]
        await p.ends(1)
        (letter,) = letters(house)
        assert (letter["state"], letter["part"], letter["answers"]) == ("kept", 1, "e1")
        assert (letter["reason"], letter["attempts"]) == ("the platform said no", 1)
        assert books(house) == Accounts(1, 0, 0, 1, 0)
        answer = await ask(house, "replay", letter["id"])
        assert answer.text == f"Dead letter {letter['id']} is being sent again to fake/p1."
        assert (await p.replies(4))[2:] == PARTS[1:]
        await house.until(lambda: states(house) == [("reply", "replayed")])
        (same,) = {part.outgoing.id for part in p.sent if not part.outgoing.notice}
        assert same == letter["out_id"], "a platform that knows the part again shows it once"
        assert books(house) == Accounts(1, 1, 0, 0, 0)
        rows = house.query("SELECT state, last FROM deliveries WHERE out_id = ? ORDER BY part", same)
        assert [tuple(row) for row in rows] == [("sent", 0), ("sent", 0), ("sent", 1)]
        await p.say("next")
        assert (await p.replies(5))[4] == "You said: next"


async def test_the_files_of_a_letter_are_kept_and_go_with_it(house: House) -> None:
    house.script(FILE_SCRIPT)
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        (house.workspace().work / "made.txt").write_bytes(b"made")
        p.failures += [None, NO]
        await p.say("file")
        await p.until(lambda: SAID in p.texts())
        (letter,) = letters(house)
        folder = house.data / "deadletters" / letter["id"]
        (file,) = folder.iterdir()
        assert (file.name, file.read_bytes()) == ("1", b"made")
        assert [path.stat().st_mode & 0o777 for path in (folder.parent, folder, file)] == [
            0o700,
            0o700,
            0o600,
        ]
        shown = await ask(house, "show", letter["id"])
        assert f"made.txt (text/plain, 4 bytes), deadletters/{letter['id']}/1" in shown.text
        await ask(house, "replay", letter["id"])
        await p.until(lambda: any(part.file for part in p.sent))
        (sent,) = [part.file for part in p.sent if part.file]
        assert (sent.name, sent.media_type, sent.data) == ("made.txt", "text/plain", b"made")
        assert p.texts().count("Here.") == 1
        await house.until(lambda: not folder.exists())


async def test_a_question_is_kept_with_its_buttons(house: House) -> None:
    arguments = {"title": "Colour", "question": "Which?", "options": ["red", "green"]}
    step = {"do": "tool", "name": "ask_user_question", "arguments": arguments}
    house.script({"match": "ask", "steps": [step, {"do": "result", "text": "{tool}"}]})
    async with house.open() as p:
        p.failures += [NO]
        await p.say("ask")
        assert await p.replies(1) == [SAID]
        (letter,) = letters(house)
        shown = await ask(house, "show", letter["id"])
        assert shown.text.endswith("\n\nColour\nWhich?\nred\ngreen")
        await ask(house, "replay", letter["id"])
        await p.until(lambda: p.sent[-1].outgoing.question is not None)
        question = p.sent[-1].outgoing.question
        assert question is not None and list(question.options) == ["red", "green"]
        assert (await p.answer(question.id, "green")).state == "accepted"
        await p.until(lambda: "Ada answered: green" in p.texts())


async def test_a_notice_that_is_given_up_is_kept_and_names_its_event(house: House) -> None:
    house.script(CRASH)
    house.turns["max_tries"] = 1
    async with house.open() as p:
        p.failures += [NO]
        await p.say("crash", event_id="e1")
        await house.until(lambda: states(house) == [("notice", "kept")])
        assert books(house) == Accounts(1, 0, 0, 1, 0)
        (letter,) = letters(house)
        shown = await ask(house, "show", letter["id"])
        assert "about: e1: Ada: crash" in shown.text and shown.data["about"] == "Ada: crash"
        assert shown.text.endswith(GAVE_UP.format(tries=1))
        await ask(house, "replay", letter["id"])
        assert await p.replies(1) == [GAVE_UP.format(tries=1)]
        await house.until(lambda: states(house) == [("notice", "replayed")])
        assert books(house) == Accounts(1, 0, 1, 0, 0)


async def test_a_notice_about_a_letter_goes_when_the_letter_was_sent(house: House) -> None:
    async with house.open() as p:
        p.failures += [NO, NO]
        await p.say("one")
        await house.until(lambda: states(house) == [("reply", "kept"), ("notice", "kept")])
        answer = await ask(house, "replay", "all")
        assert answer.text == "2 dead letters are being sent again."
        await house.until(lambda: states(house) == [("reply", "replayed"), ("notice", "dropped")])
        await p.say("two")
        assert await p.replies(2) == ["You said: one", "You said: two"]
    assert books(house) == Accounts(2, 2, 0, 0, 0)


async def test_a_reply_for_a_platform_that_is_gone_is_kept_until_it_is_back(house: House) -> None:
    other = FakePlatform("other")
    other.absent.add("p1")
    async with house.open(other):
        await other.say("one")
        await other.until(lambda: len(other.tried) == 1)
    async with house.open():
        await house.until(lambda: states(house) == [("reply", "kept")])
    other.absent.clear()
    async with house.open(other):
        await ask(house, "replay", "all")
        assert await other.replies(1) == ["You said: one"]


async def test_a_hostile_row_is_no_dead_letter(house: House) -> None:
    async with house.open() as p:
        await p.say("one")
        await p.ends(1)
        house.kill_runners()
        await house.until(lambda: not list(house.app.containers))
        with closing(sqlite3.connect(house.workspace().outbound)) as db, db:
            for number, (place, seq) in enumerate([("elsewhere", 1001), ("p1", 2**40 + 1)]):
                db.execute(
                    "INSERT INTO messages_out (id, seq, kind, created_at, channel, platform_id, content)"
                    " VALUES (?, ?, 'chat', 1, 'fake', ?, '{\"text\": \"forged\"}')",
                    (f"forged-{number}", seq, place),
                )
        await p.say("two")
        # The agent counts on from the number that was out of line, so that its own reply is refused as well.
        await p.ends(2)
        assert len(house.query("SELECT 1 FROM deliveries WHERE state = 'failed'")) == 3
    assert letters(house) == [] and "forged" not in p.texts()


async def test_a_session_keeps_no_more_than_its_bound(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "MAX_ALIVE", 2)
    house.script(FILE_SCRIPT)
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        (house.workspace().work / "made.txt").write_bytes(b"made")
        for number in range(1, 4):
            p.failures += [NO]
            await p.say("file")
            await p.until(lambda number=number: p.texts().count(SAID) == number)  # type: ignore[misc]
        assert [state for _, state in states(house)] == ["dropped", "kept", "kept"]
        alive = {row["id"] for row in letters(house)[1:]}
        await house.until(lambda: {path.name for path in (house.data / "deadletters").iterdir()} == alive)
        figures = house.app.context.metrics.snapshot()
        assert figures['roost_dead_letter_steps_total{state="kept"}'] == 3
        assert figures['roost_dead_letter_steps_total{state="dropped"}'] == 1
        assert figures["roost_dead_letters"] == 2
        await p.ends(4)
        # The channel was told of the one that was dropped.
        assert books(house) == Accounts(4, 1, 1, 2, 0)


async def test_a_full_disk_makes_neither_two_letters_nor_two_notices(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, notices, failed = dead_letters.keep, deliveries.notices, list[str]()

    def full_at_first(db: sqlite3.Connection, letter: Letter, reply: Outgoing) -> list[str]:
        if not failed:
            failed.append("letter")
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return keep(db, letter, reply)

    def unreadable_once(db: sqlite3.Connection, session_id: str) -> list[deliveries.Notice]:
        if failed == ["letter"]:
            failed.append("notice")
            raise DatabaseError("bot.db could not be read.")
        return notices(db, session_id)

    monkeypatch.setattr(dead_letters, "keep", full_at_first)
    monkeypatch.setattr(delivery, "RETRY_SECONDS", 0.1)
    async with house.open() as p:
        monkeypatch.setattr(deliveries, "notices", unreadable_once)
        p.failures += [NO]
        await p.say("one")
        assert await p.replies(1) == [SAID]
        await p.ends(1)
        await p.say("two")
        assert await p.replies(2) == [SAID, "You said: two"]
        assert failed == ["letter", "notice"] and len(p.tried) == 3
    assert states(house) == [("reply", "kept")]


# ---------------------------------------------------------------- again


async def test_a_letter_that_is_refused_again_is_kept_again_and_nothing_is_said(house: House) -> None:
    house.delivery["max_attempts"] = 2
    async with house.open() as p:
        p.failures += [NO]
        await p.say("one")
        assert await p.replies(1) == [SAID]
        (letter,) = letters(house)
        p.failures += [refusal(), ValueError("a fault")]
        await ask(house, "replay", letter["id"][:6])
        await house.until(lambda: letters(house)[0]["reason"] == "ValueError")
        (letter,) = letters(house)
        assert (letter["state"], letter["attempts"]) == ("kept", 2)
        await p.say("two")
        assert await p.replies(2) == [SAID, "You said: two"]
        await ask(house, "replay", letter["id"])
        assert (await p.replies(3))[2] == "You said: one"


async def test_a_letter_is_sent_once_however_often_it_is_asked_for(house: House) -> None:
    async with house.open() as p:
        p.failures += [NO, None, NO]
        await p.say("one")
        assert await p.replies(1) == [SAID]
        await p.say("two")
        assert await p.replies(2) == [SAID, SAID]
        first, second = (row["id"] for row in letters(house))
        p.block("p1")
        found = await asyncio.gather(*(ask(house, "replay", first) for _ in range(5)), return_exceptions=True)
        errors = [str(each) for each in found if isinstance(each, CommandFailed)]
        assert errors == [f"Dead letter {first} is being sent again already."] * 4
        assert (
            await refused(house, "drop", first, given=YES)
            == f"Dead letter {first} is being sent again already."
        )
        p.free("p1")
        await house.until(lambda: letters(house)[0]["state"] == "replayed")
        assert p.texts().count("You said: one") == 1
        said = await refused(house, "replay", first)
        assert said.startswith(f"Dead letter {first} was sent again already, 20")
        assert said.endswith("by control:operator.")
        would = await ask(house, "drop", second)
        assert "You said: two" in would.text and "It cannot be undone" in would.text and "--yes" in would.text
        assert states(house)[1] == ("reply", "kept")
        assert (await ask(house, "drop", second, given=YES)).text == f"Dead letter {second} is dropped."
        for again in ("replay", "drop"):
            assert (await refused(house, again, second)).startswith(f"Dead letter {second} was dropped, 20")
        assert (await ask(house, "show", second)).text.endswith("Its content is no longer kept.")
        assert (await ask(house, "replay", "all")).text == "There are no dead letters to send again."
        assert await refused(house, "show", "nope") == (
            "There is no dead letter nope; `roost deadletter list` shows them."
        )


async def test_a_letter_whose_files_are_gone_is_kept_and_says_so(house: House) -> None:
    house.script(FILE_SCRIPT)
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        (house.workspace().work / "made.txt").write_bytes(b"made")
        p.failures += [NO]
        await p.say("file")
        await p.until(lambda: SAID in p.texts())
        (letter,) = letters(house)
        (house.data / "deadletters" / letter["id"] / "1").unlink()
        await ask(house, "replay", letter["id"])
        await house.until(lambda: letters(house)[0]["reason"] == UNREADABLE)
        assert letters(house)[0]["state"] == "kept" and "Here." not in p.texts()


async def test_what_a_killed_service_left_is_removed_and_nothing_else(house: House) -> None:
    house.script(FILE_SCRIPT)
    async with house.open() as p:
        await p.say("hello")
        await p.ends(1)
        (house.workspace().work / "made.txt").write_bytes(b"made")
        p.failures += [NO]
        await p.say("file")
        await p.until(lambda: SAID in p.texts())
    kept = letters(house)[0]["id"]
    left = house.data / "deadletters" / "0123456789"
    left.mkdir()
    (left / "1").write_bytes(b"half")
    async with house.open():
        assert [path.name for path in left.parent.iterdir()] == [kept]


def test_a_replay_survives_a_kill_at_every_step(house: House) -> None:
    house.script(LONG_SCRIPT)
    asyncio.run(_refused_in_the_middle(house))
    with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
        db.row_factory = sqlite3.Row
        (letter,) = dead_letters.listed(db, None, everything=False, limit=9)
        assert dead_letters.replay(db, letter.id, now=1, by="x")
    sent = house.data / "sent.log"
    for failpoint, seen in (
        ("after-send", [1]),  # The one moment at which something can show twice.
        ("sent-recorded", [1, 1]),
        ("sent-recorded", [1, 1, 2]),
    ):
        killed = subprocess.run(
            [sys.executable, "-m", "tests.service.test_dead_letters", str(house.data.parent), house.kind],
            cwd=ROOT, env={**os.environ, "ROOST_FAILPOINT": failpoint}, capture_output=True, timeout=60,
        )  # fmt: skip
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        assert [int(line) for line in sent.read_text().split()] == seen
    asyncio.run(_nothing_is_left(house))


async def _refused_in_the_middle(house: House) -> None:
    async with house.open() as p:
        p.failures += [None, NO]
        await p.say("long")
        await p.ends(1)
        await p.until(lambda: SAID in p.texts())
    house.kill_runners()
    (house.data / "sent.log").touch()


async def _nothing_is_left(house: House) -> None:
    house.platform = FakePlatform()
    async with house.open() as p:
        await house.until(lambda: states(house) == [("reply", "replayed")])
        await p.say("next")
        assert await p.replies(1) == ["You said: next"]
    assert books(house) == Accounts(2, 2, 0, 0, 0)


async def test_a_replay_waits_over_a_restart_and_counts_its_attempts(house: House) -> None:
    house.delivery |= {"max_attempts": 3, "retry_base_seconds": 0.2}
    p = house.platform
    async with house.open():
        p.failures += [NO]
        await p.say("one")
        assert await p.replies(1) == [SAID]
        p.failures += [refusal(), refusal()]
        await ask(house, "replay", "all")
        await house.until(lambda: letters(house)[0]["attempts"] == 1)
    # Nothing else is left to do there that would have the session looked at.
    house.kill_runners()
    with closing(sqlite3.connect(house.data / "bot.db")) as db, db:
        db.execute("UPDATE sessions SET awake = 0")
    async with house.open():
        await house.until(lambda: letters(house)[0]["attempts"] == 2)
    async with house.open():
        assert await p.replies(2) == [SAID, "You said: one"]
    assert len(p.tried) == 5


# ---------------------------------------------------------------- whoever asks


@pytest.mark.only("process", "what the command line prints is the same wherever an agent runs")
async def test_the_command_line_with_and_without_a_service(house: House) -> None:
    async with house.open() as p:
        _, out, _ = await roost(house, "deadletter", "list")
        assert out == "There are no dead letters.\n"
        p.failures += [NO]
        await p.say("one")
        assert await p.replies(1) == [SAID]
        (letter,) = letters(house)
        _, online, _ = await roost(house, "deadletter", "list", "--json")
        _, status, _ = await roost(house, "status")
        assert status.endswith(" Dead letters: 1 (roost deadletter list). Today: $0.00 for 1 turn.\n")
        _, figures, _ = await roost(house, "status", "--json")
        assert json.loads(figures)["accounts"] == {
            "accepted": 1, "delivered": 0, "failed": 0, "dead": 1, "open": 0,
        }  # fmt: skip
        code, _, err = await roost(house, "deadletter", "drop", "nope", check=False)
        assert (code, err) == (
            1,
            "roost: There is no dead letter nope; `roost deadletter list` shows them.\n",
        )
        _, out, _ = await roost(house, "deadletter", "replay", "--all")
        assert out == "1 dead letter is being sent again.\n"
        assert (await p.replies(2))[1] == "You said: one"
        p.failures += [NO]
        await p.say("two")
        await p.until(lambda: p.texts().count(SAID) == 2)
    _, offline, _ = await roost(house, "deadletter", "list", "--all", "--limit", "9", "--json")
    newest, oldest = json.loads(offline)
    assert oldest["id"] == json.loads(online)[0]["id"] == letter["id"]
    assert (newest["state"], oldest["state"]) == ("kept", "replayed")
    _, out, _ = await roost(house, "deadletter", "list", "--session", house.session_id()[:4])
    assert newest["id"] in out and oldest["id"] not in out and "You said: two" in out
    _, out, _ = await roost(house, "deadletter", "show", newest["id"], "--json")
    assert json.loads(out)["content"]["text"] == "You said: two"
    for words in (("replay", "--all"), ("drop", newest["id"])):
        code, _, err = await roost(house, "deadletter", *words, check=False)
        assert code == 1 and "is not running" in err
    for wrong in (("replay",), ("replay", newest["id"], "--all"), ("list", "--limit", "0"), ("show",)):
        code, _, err = await roost(house, "deadletter", *wrong, check=False)
        assert code == 2 and "Traceback" not in err


async def test_a_person_in_a_channel_can_do_the_same(house: House) -> None:
    async with house.open() as p:
        p.failures += [NO]
        await p.say("one")
        assert await p.replies(1) == [SAID]
        (letter,) = letters(house)
        listed = await command(p, "list")
        assert listed.text is not None
        assert listed.text.startswith(f"{letter['id']}  kept  reply  20") and "You said: one" in listed.text
        shown = await command(p, f"show {letter['id']}")
        assert shown.text is not None and shown.text.endswith("\n\nYou said: one")
        assert (await command(p, "replay")).text == "Usage: /roost deadletter replay ID|all"
        await command(p, f"replay {letter['id']}")
        assert (await p.replies(2))[1] == "You said: one"
        await house.until(lambda: states(house) == [("reply", "replayed")])
        assert letters(house)[0]["changed_by"] == f"fake:{PERSON.id}"


async def _serve(root: Path, kind: Kind) -> None:
    """A service that notes which parts the platform took, until it is killed."""

    class Logged(FakePlatform):
        async def send(self, part: Part) -> str | None:
            sent = await super().send(part)
            with (house.data / "sent.log").open("a") as log:
                log.write(f"{part.index}\n")
            return sent

    house = House(root, kind)
    house.platform = Logged()
    async with house.open():
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), cast(Kind, sys.argv[2])))
