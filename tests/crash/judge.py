"""The judge: what the platform saw and what lies in the data folder, held against what was promised.

Nothing here asks the service for anything. A violation is a sentence.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from adapters.base import DIRECT
from bot.booking import NOT_DELIVERED
from bot.db.accounts import accounts
from tests.crash.books import TOKEN, Books, books, ids, written
from tests.crash.platform import UNHEARD, Scene, Sent

NOTE: Final = "note "
"""So begins what a tool said in the middle of a turn, which a rerun may say again."""
CARD_TEXT: Final = "May I?"
DONE_TEXT: Final = "Approved by Ada. Done."
"""What a card of a round asks, and how it ends."""
STOPPED: Final = "(Stopped.)"
"""So ends an answer that somebody has stopped."""
KEPT: Final = (
    r"bot\.db(-wal|-shm)?|roost\.lock|gateway\.key|incoming(/wire)?|run(/roost(/roost-[0-9a-f-]+\.json)?)?|logs(/[0-9a-f]+\.log)?|backups|deadletters|sessions|agents(/assistant)?",
    r"deadletters/[0-9a-f]+(/[0-9]+)?",
    r"backups/(roost-[^/]*|\.roost-backup-.*)",
    r"sessions/[0-9a-f]+(/(in|in/files|bell|home|work|out|out/files|damaged|damaged/.*))?",
    r"sessions/[0-9a-f]+/in/(inbound\.db|files/[0-9a-f]{32}(/.*)?)",
    r"sessions/[0-9a-f]+/bell/bell\.sock",
    r"sessions/[0-9a-f]+/out/(outbound\.db|lock|heartbeat|files/[0-9a-f]{32}(/.*)?)",
)
"""What may lie in a data folder when nobody works. A work folder of a backup that was killed stays for a day."""


def answers(platform: Scene) -> dict[str, list[str]]:
    """Which message_outs answer the message with a token, in the order in which they were shown."""
    texts: dict[str, dict[int, str]] = {}
    for sent in platform.taken():
        texts.setdefault(sent.out_id, {}).setdefault(sent.part, sent.text)
    notices = {sent.out_id for sent in platform.taken() if sent.notice}
    found: dict[str, list[str]] = defaultdict(list)
    for out_id, parts in texts.items():
        text = "".join(parts[part] for part in sorted(parts))
        if out_id not in notices and not text.startswith(NOTE):
            for token in dict.fromkeys(TOKEN.findall(text)):
                found[token].append(out_id)
    return dict(found)


def missing(platform: Scene, data: Path, said: Books, series: int) -> list[str]:
    """What is still to come before all is quiet."""
    shown = answers(platform)
    return [
        *(f"{event.id} is not acknowledged" for event in platform.events.values() if event.receipt is None),
        *(f"{row.token or row.event_id} is {row.state}" for row in said.unfinished),
        *([f"{said.waiting} deliveries wait"] if said.waiting else []),
        *(
            f"{row.token} is done and not answered"
            for row in said.rows
            if row.state == "done" and row.token and not shown.get(row.token)
            if row.event_id not in _changed(platform, "delete")
            if not said.given_up and row.place not in _stopped(platform)
        ),
        *(f"{out_id} is not delivered" for out_id in sorted(written(data) - said.ended)),
        *(f"schedule {series_id} is still to run" for series_id, status in said.series if status == "active"),
        *([f"{len(said.runs)} runs of {series}"] if len(said.runs) < series else []),
        *(f"approval {each} is {state}" for each, state in said.approvals if state in ("open", "approved")),
    ]


def violations(
    platform: Scene, data: Path, *, series: int, killed: Collection[int], may_fail: Collection[str]
) -> Iterator[str]:
    """Everything that is not as it was promised, when nobody works any more."""
    said, shown = books(data), answers(platform)
    yield from missing(platform, data, said, series)
    yield from _acknowledged(platform, said)
    yield from _accounts(data, said, may_fail)
    yield from _ends(platform, said, shown, may_fail)
    yield from _given_up(platform, said)
    yield from _order(said, shown)
    yield from _records(platform, said)
    yield from _wire(platform, killed)
    yield from _actions(platform, said)
    yield from _schedules(said)
    yield from _approvals(platform, said)
    yield from _files(data, said)


def _acknowledged(platform: Scene, said: Books) -> Iterator[str]:
    known = Counter(row.event_id for row in said.rows)
    changes = Counter(event.about for event in platform.events.values() if event.about)
    for event in platform.events.values():
        if event.kind == "command" or event.receipt == UNHEARD:
            continue
        if event.receipt == "dropped" and changes[event.about] > 1:
            continue  # Another change of the same message has left nothing to be changed.
        if event.receipt not in ("accepted", "duplicate"):
            yield f"{event.id} was {event.receipt}: {event.why}"
        elif known[event.id] != 1:
            yield f"{event.id} was acknowledged and has {known[event.id]} rows"
    for row in said.rows:
        if row.kind == "chat" and row.event_id not in platform.events:
            yield f"{row.event_id} was never said"


def _accounts(data: Path, said: Books, may_fail: Collection[str]) -> Iterator[str]:
    with closing(sqlite3.connect(data / "bot.db")) as db:
        kept = accounts(db)
    asked = sum(row.trigger for row in said.rows)
    if kept.accepted != asked or kept.open or kept.delivered + kept.failed + kept.dead != asked:
        yield f"{asked} were accepted, and the accounts are {kept}"
    if (kept.failed or kept.dead) and not may_fail:
        yield f"nothing can have failed, and the accounts are {kept}"


def _ends(
    platform: Scene, said: Books, shown: dict[str, list[str]], may_fail: Collection[str]
) -> Iterator[str]:
    notices: dict[str, set[str]] = defaultdict(set)
    for sent in platform.taken():
        if sent.notice and sent.answers:
            notices[sent.answers].add(sent.out_id)
    stopped = _stopped(platform)
    for row in said.rows:
        if row.token is None or row.event_id in _changed(platform, "edit", "delete"):
            # What was changed while it was worked on is answered again, or not at all.
            continue
        times, told = len(shown.get(row.token, ())), len(notices[row.event_id])
        excused = row.place in may_fail and (said.given_up or row.place in stopped)
        if row.state == "done" and times != 1 and not (times == 0 and excused):
            yield f"{row.token} was answered {times} times"
        elif row.state == "failed" and (times or told != 1):
            yield f"{row.token} has failed, was answered {times} times and given up {told} times in public"
        if row.state == "failed" and row.place not in may_fail:
            yield f"{row.token} has failed"


def _changed(platform: Scene, *how: str) -> set[str]:
    """The events of what somebody has edited or deleted."""
    return {event.about for event in platform.events.values() if event.kind in how}


def _stopped(platform: Scene) -> set[str]:
    """Where somebody has stopped an answer, which then lacks the word of its question."""
    return {sent.place for sent in platform.taken() if STOPPED in sent.text}


def _given_up(platform: Scene, said: Books) -> Iterator[str]:
    opening = NOT_DELIVERED.split("(")[0]
    told = {sent.out_id for sent in platform.taken() if sent.notice and sent.text.startswith(opening)}
    if len(told) != len(said.given_up):
        yield f"{len(said.given_up)} replies were given up, {len(told)} of them in public"


def _order(said: Books, shown: dict[str, list[str]]) -> Iterator[str]:
    """Per conversation: accepted as they were said, answered as they were accepted."""
    places: dict[str, list[str]] = defaultdict(list)
    for row in said.rows:
        if row.token:
            places[row.place].append(row.token)
    order = {token: number for number, token in enumerate(shown)}
    for place, tokens in places.items():
        heard = [token for token in tokens if token.startswith("m")]
        if heard != sorted(heard, key=lambda token: int(token[1:])):
            yield f"{place} was accepted in the order {heard}"
        seen = sorted((token for token in tokens if token in order), key=order.__getitem__)
        if seen != [token for token in tokens if token in order]:
            yield f"{place} was accepted in the order {tokens} and answered in the order {seen}"


def _records(platform: Scene, said: Books) -> Iterator[str]:
    seen = {(sent.out_id, sent.part) for sent in platform.taken()}
    yield from (
        f"part {part} of {out_id} was recorded as sent and is not" for out_id, part in said.sent - seen
    )
    yield from (f"part {part} of {out_id} was sent and not recorded" for out_id, part in seen - said.sent)


def _wire(platform: Scene, killed: Collection[int]) -> Iterator[str]:
    """A part goes out once; again only when its sender cannot know, and then as the very same."""
    keys: dict[tuple[str, int], list[Sent]] = defaultdict(list)
    in_doubt: Counter[tuple[str, int]] = Counter()
    for sent in platform.taken():
        keys[sent.out_id, sent.part].append(sent)
    for (out_id, part), times in keys.items():
        for first, again in pairwise(times):
            if (again.text, again.place, again.file) != (first.text, first.place, first.file):
                yield f"part {part} of {out_id} was {first.text!r} and then {again.text!r}"
            if not first.answered:
                continue
            if first.life not in killed or again.life <= first.life:
                yield f"part {part} of {out_id} ({first.text[:40]!r}) went out twice for no reason"
            else:
                in_doubt[first.place, first.life] += 1
        if part and (out_id, part - 1) not in keys:
            yield f"part {part} of {out_id} went out without the one before"
    for (place, life), count in in_doubt.items():
        if count > 1:
            yield f"{count} parts in {place} were in doubt when life {life} was killed"


def _actions(platform: Scene, said: Books) -> Iterator[str]:
    """Each has been answered, and none that was never done; an edit finds what it edits."""
    told = {row.event_id for row in said.rows if row.event_id.startswith("action:")}
    yield from (f"nobody was told of {event_id}" for event_id in sorted(said.actions - told))
    yield from (f"{event_id} was told and never done" for event_id in sorted(told - said.actions))
    for sent in platform.taken():
        if sent.replaces is not None and sent.replaces not in platform.ids.values():
            yield f"part {sent.part} of {sent.out_id} replaces {sent.replaces}, which is nothing"


def _schedules(said: Books) -> Iterator[str]:
    runs = Counter(series for series, _, _ in said.runs)
    for series, status in said.series:
        if runs[series] != 1 or status != "finished":
            yield f"schedule {series} is {status} and has run {runs[series]} times"
    for series, _, state in said.runs:
        if state == "running":
            yield f"a run of {series} goes on for ever"
    tokens = Counter(row.token for row in said.rows if row.kind == "task" and row.token)
    yield from (f"{token} is due {count} times" for token, count in tokens.items() if count != 1)


def _approvals(platform: Scene, said: Books) -> Iterator[str]:
    """Each was decided once, carried out, told once to the agent that has asked, and its card says so."""
    shown: dict[str, str] = {}
    for sent in platform.taken():
        if sent.place.startswith(DIRECT):
            shown[sent.replaces or platform.ids[sent.out_id, sent.part]] = sent.text
    cards = [text for text in shown.values() if CARD_TEXT in text]
    told = Counter(row.event_id for row in said.rows if row.event_id.startswith("approval:"))
    for approval_id, state in said.approvals:
        subject = f"approval:{approval_id}"
        if state != "done":
            yield f"{subject} is {state}"
        for action in ("approval approve", "approval done"):
            times = said.audit.count((action, subject))
            if times != 1:
                yield f"{subject} has {times} rows of {action} in the audit"
        if told[subject] != 1:
            yield f"the agent was told {told[subject]} times of {subject}"
    closed = sum(text.endswith(DONE_TEXT) for text in cards)
    if len(cards) != len(said.approvals) or closed != len(cards):
        yield f"{closed} of {len(cards)} cards are closed, for {len(said.approvals)} approvals"


def _files(data: Path, said: Books) -> Iterator[str]:
    kept = re.compile("|".join(KEPT))
    for path in sorted(data.rglob("*")):
        name = str(path.relative_to(data))
        if not kept.fullmatch(name):
            yield f"{name} is left over"
    files = [data / "bot.db"]
    for session in sorted((data / "sessions").glob("*")):
        files += [path for path in (session / "in/inbound.db", session / "out/outbound.db") if path.exists()]
        wanted = {row.id for row in said.rows if row.session == session.name}
        yield from _orphans(session / "in/files", wanted)
        if (session / "out/outbound.db").exists():
            yield from _orphans(session / "out/files", ids(session / "out/outbound.db"))
    for file in files:
        yield from (f"{file.relative_to(data)}: {what}" for what in _damage(file))


def _orphans(folder: Path, wanted: Collection[str]) -> Iterator[str]:
    if folder.exists():
        left = sorted(path.name for path in folder.iterdir() if path.name not in wanted)
        yield from (f"{folder.parent.name}/files/{name} is nobody's" for name in left)


def _damage(file: Path) -> list[Any]:
    with closing(sqlite3.connect(file)) as db:
        found = [row[0] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]
        return found + db.execute("PRAGMA foreign_key_check").fetchall()
