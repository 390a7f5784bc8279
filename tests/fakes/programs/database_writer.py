"""A process that writes to a bot.db until it is killed, or until its disk is full and has room again.

python -m tests.fakes.programs.database_writer until-killed|full PATH
"""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
import sys
from functools import partial
from pathlib import Path
from typing import Any

from bot.db.engine import Database, open_database
from bot.errors import DatabaseError

BIG = "x" * 100_000


def put(word: str, db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO words VALUES (?)", (word,))


def say(value: Any) -> None:
    print(json.dumps(value), flush=True)


async def until_killed(db: Database) -> None:
    """Says each word once it is durable. Half of them ride along as `later`, and are not said."""
    number = 0
    while True:
        db.later(partial(put, f"later {number}"))
        words = [f"word {number} {n}" for n in range(5)]
        await asyncio.gather(*(db.write(partial(put, word)) for word in words))
        say(words)
        number += 1


async def full(db: Database, path: Path) -> None:
    """Says what was told to those who wrote while no file could grow, and afterwards."""
    said: dict[str, str] = {}

    async def write(word: str) -> None:
        try:
            await db.write(partial(put, word))
        except DatabaseError as exc:
            said[word[:20]] = str(exc)
        else:
            said[word[:20]] = "ok"

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(file.stat().st_size for file in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, hard))
    db.later(partial(put, "later"))
    await asyncio.gather(write("small"), *(write(f"big {n} " + BIG) for n in range(5)))
    await write("alone " + BIG)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await write("afterwards")
    await db.close()
    say(said)


async def main(how: str, path: Path) -> None:
    db = open_database(path)
    await db.write(lambda db: db.execute("CREATE TABLE words (word TEXT)"))
    await (until_killed(db) if how == "until-killed" else full(db, path))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
