"""Removes a folder as a service does: `clear_folder TREE IMAGE NAMESPACE`. Prints whether it is gone after an attempt
of its own, and whether it is gone with the help of a container."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import aclosing
from pathlib import Path

from bot.clearing import Clearing
from bot.removal import remove
from container.docker import DockerBackend


async def main(tree: Path, image: str, namespace: str) -> None:
    print(remove(tree))
    async with aclosing(DockerBackend(namespace, os.environ)) as backend:
        print(await Clearing(backend, image=image, instance=namespace, logs=tree.parent).remove(tree))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
