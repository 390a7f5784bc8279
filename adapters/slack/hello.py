"""One short connection of Socket Mode, to see whether Slack lets the app listen, and one knock at Roost's own listener.

The connection is beside those of a service that runs, and ends as soon as Slack has said hello: whatever came on it in
between is delivered again on another one. Slack's documentation, Using Socket Mode and Verifying requests from Slack.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import replace
from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from adapters.base import SendFailed
from adapters.slack.errors import error_of, translated
from adapters.slack.facts import SWITCHED_OFF, Door, Greeting, Json, app_of_token, warnings
from agent.protocol.clock import Clock

SECONDS: Final = 12.0
SILENT: Final = "it says nothing"
EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound to it here
"""Where a listener that listens everywhere is asked."""


async def hello(client: AsyncWebClient, app_token: str) -> Greeting:
    """What Slack says to a new connection; raises nothing. `client` has a session."""
    greeting = await _hello(client, app_token)
    return replace(greeting, app=greeting.app or app_of_token(app_token))


async def _hello(client: AsyncWebClient, app_token: str) -> Greeting:
    try:
        async with asyncio.timeout(SECONDS):
            with translated():
                answer = await client.apps_connections_open(app_token=app_token)
            data: Json = answer.data if isinstance(answer.data, dict) else {}
            doubted = any(SWITCHED_OFF in each.lower() for each in warnings(data))
            return await _listen(client, str(data["url"]), doubted=doubted)
    except SendFailed as exc:
        return Greeting(error=error_of(exc)) if error_of(exc) else Greeting(failure=_reason(exc))
    except TimeoutError:
        return Greeting(failure=SILENT)
    except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError) as exc:
        return Greeting(failure=type(exc).__name__)


async def _listen(client: AsyncWebClient, url: str, *, doubted: bool) -> Greeting:
    assert client.session is not None  # noqa: S101 - it was made with one
    # By the same proxy as the calls; one that lets these pass may stop sockets.
    async with client.session.ws_connect(url, proxy=client.proxy) as socket:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            told: dict[str, Any] = message.json()
            if told.get("type") == "disconnect":
                return Greeting(closed=str(told.get("reason") or SILENT))
            if told.get("type") == "hello":
                app = str((told.get("connection_info") or {}).get("app_id") or "")
                return Greeting(app, int(told.get("num_connections") or 1), doubted)
    return Greeting(failure=SILENT)


async def knock(
    session: aiohttp.ClientSession, listen: tuple[str, int], path: str, signing_secret: str, *, clock: Clock
) -> Door:
    """What Roost's own listener answers to what Slack asks first of an address; raises nothing."""
    host = EVERYWHERE.get(listen[0], listen[0])
    url = f"http://{f'[{host}]' if ':' in host else host}:{listen[1]}{path}"
    challenge = secrets.token_hex(16)
    body = json.dumps({"type": "url_verification", "challenge": challenge})
    verifier, now = SignatureVerifier(signing_secret), str(clock() // 1000)
    signature = verifier.generate_signature(timestamp=now, body=body) or ""
    headers = {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": now,
        "X-Slack-Signature": signature,
    }
    try:
        async with (
            asyncio.timeout(SECONDS),
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            text = await answer.text(errors="replace")
    except (aiohttp.ClientError, OSError, TimeoutError):
        return Door(url, "closed")
    if answer.status == 401:
        return Door(url, "refused", 401)
    is_open = answer.status == 200 and challenge in text
    return Door(url, "open" if is_open else "other", answer.status)


def _reason(exc: SendFailed) -> str:
    """Of a call that Slack has not answered."""
    cause = exc.__cause__
    return str(exc) if cause is None or isinstance(cause, SlackApiError) else type(cause).__name__
