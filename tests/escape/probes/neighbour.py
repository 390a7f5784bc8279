"""Goes on with its work: writes a row, takes memory and starts a program, again and again, and says how far it is."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from contextlib import closing

COUNT = "/session/out/count"


def main() -> None:
    """Until the container is ended."""
    with closing(sqlite3.connect("/session/out/work.db", isolation_level=None)) as db:
        db.execute("CREATE TABLE IF NOT EXISTS work (number INTEGER)")
        number = 0
        while True:
            number += 1
            db.execute("INSERT INTO work VALUES (?)", (number,))
            bytearray(8 * 1024 * 1024)
            subprocess.run(["true"], check=True)
            with open(f"{COUNT}.new", "w") as file:
                file.write(str(number))
            os.replace(f"{COUNT}.new", COUNT)
            time.sleep(0.05)


if __name__ == "__main__":
    main()
