"""A service of its own: starts programs through a ProcessBackend, says so, and stays until it is killed.

process_service.py FOLDER LOG COUNT      starts p0, p1, ... and prints each name
process_service.py FOLDER                prints the names that are running, stops them and leaves
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from container.base import Spec
from container.process import ProcessBackend

MARKED = "mkdir -p $MARKER; exec sleep 1000"


async def start(folder: Path, log: Path, count: int) -> None:
    backend = ProcessBackend(folder, "test")
    for number in range(count):
        spec = Spec(
            name=f"p{number}",
            command=("/bin/sh", "-c", MARKED),
            env={"MARKER": os.environ["MARKER"]},
            workdir=folder,
            log=log,
            labels={"number": str(number)},
        )
        await backend.start(spec)
        print(spec.name, flush=True)
    await asyncio.Event().wait()


async def stop_all(folder: Path) -> None:
    backend = ProcessBackend(folder, "test")
    for program in await backend.running():
        await backend.stop(program.name, grace_seconds=10)
        print(program.name, flush=True)
    await backend.aclose()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        asyncio.run(start(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
    else:
        asyncio.run(stop_all(Path(sys.argv[1])))
