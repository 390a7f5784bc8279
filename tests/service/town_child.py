"""The service before a fake Discord in a process of its own, which a test may kill:
`python -m tests.service.town_child ROOT REST_URL GATEWAY_URL TOKEN OWNER`."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from adapters.discord import DiscordAdapter, Settings
from bot.db import people
from tests.service.conftest import House
from tests.service.town import QUICK


async def main(root: str, rest_url: str, gateway_url: str, token: str, owner: str) -> None:
    """Runs until it is killed."""
    house = House(Path(root))
    settings = Settings(lambda: token, rest_url=rest_url, gateway_url=gateway_url, timing=QUICK)
    async with house.open(DiscordAdapter(settings)):
        await house.app.db.write(partial(people.grant, channel="discord", user_id=owner, role="owner", now=0))
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
