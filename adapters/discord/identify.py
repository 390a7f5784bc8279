"""One short session of the gateway, to see whether Discord lets the bot in as Roost asks to be let in.

It is beside the session of a service that runs, which notices nothing, and it ends as soon as it has begun. Discord's
documentation, Gateway, Connections and Identifying.
"""

from __future__ import annotations

import asyncio
import sys
from enum import IntEnum
from typing import Any, Final

import aiohttp
import yarl
from discord.http import HTTPClient

from adapters.discord.client import intents
from adapters.discord.facts import Greeting

API_VERSION: Final = "10"

SECONDS: Final = 12.0
AGAIN_SECONDS: Final = 5.2
"""Discord allows one session in five seconds, and a service may just have begun one."""
TRIES: Final = 2
SILENT: Final = "it says nothing"
BUSY: Final = "it asks to come back later"


class Op(IntEnum):
    """Discord's documentation, Gateway Opcodes."""

    EVENT = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    RECONNECT = 7
    INVALID_SESSION = 9
    HELLO = 10


async def identify(http: HTTPClient, url: str, token: str, *, shards: int) -> Greeting:
    """What the gateway at `url` says to the bot; raises nothing. `http` is logged in."""
    try:
        async with asyncio.timeout(SECONDS):
            for number in range(TRIES):
                if number:
                    await asyncio.sleep(AGAIN_SECONDS)
                greeting = await _try(http, url, token, shards=shards)
                if greeting is not None:
                    return greeting
    except TimeoutError:
        return Greeting(reason=SILENT)
    except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError) as exc:
        return Greeting(reason=type(exc).__name__)
    return Greeting(reason=BUSY)


async def _try(http: HTTPClient, url: str, token: str, *, shards: int) -> Greeting | None:
    """None where it is to be tried again."""
    socket = await http.ws_connect(str(yarl.URL(url).with_query(v=API_VERSION, encoding="json")))
    try:
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                return Greeting(code=socket.close_code) if socket.close_code else Greeting(reason=SILENT)
            told: dict[str, Any] = message.json()
            match told["op"]:
                case Op.HELLO:
                    await socket.send_json({"op": Op.IDENTIFY, "d": _myself(token, shards)})
                case Op.HEARTBEAT:
                    await socket.send_json({"op": Op.HEARTBEAT, "d": told.get("s")})
                case Op.EVENT if told["t"] == "READY":
                    return Greeting()
                case Op.RECONNECT | Op.INVALID_SESSION:
                    return None
    finally:
        # By this code the session ends with its connection.
        await socket.close(code=1000)


def _myself(token: str, shards: int) -> dict[str, Any]:
    return {
        "token": token,
        "intents": intents().value,
        "shard": [0, shards],
        "properties": {"os": sys.platform, "browser": "roost", "device": "roost"},
    }
