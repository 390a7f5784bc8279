"""What a request of the Messages API may look like: its target, its headers, its body. Pure.

What reaches the model's server is put together anew from what was checked here: a fixed path, headers of a short list,
and a body that has one reading.
"""

from __future__ import annotations

import hmac
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from bot.gateway.refusals import Refusal

Route = Literal["messages", "count", "local"]
RawHeaders = Sequence[tuple[bytes, bytes]]

ROUTES: Final[Mapping[tuple[str, str], Route]] = {
    ("POST", "/v1/messages"): "messages",
    ("POST", "/v1/messages?beta=true"): "messages",
    ("POST", "/v1/messages/count_tokens"): "count",
    ("POST", "/v1/messages/count_tokens?beta=true"): "count",
    ("HEAD", "/"): "local",
}
"""Compared byte for byte: no decoding, no dots, no other host in it. HEAD / is how a client asks whether anybody is
there."""
BACKGROUND_MODELS: Final = ("claude-haiku-*",)
"""What the CLI uses by itself for small things."""
ALIASES: Final[Mapping[str, Sequence[str]]] = {
    "haiku": ("claude-haiku-*",),
    "sonnet": ("claude-sonnet-*",),
    "opus": ("claude-opus-*",),
    "opusplan": ("claude-opus-*", "claude-sonnet-*"),
    "default": ("*",),
    "best": ("*",),
}
"""Names that the CLI turns into those of models ("Model configuration" of its documentation)."""
BETA: Final = "anthropic-beta"
MAX_NODES: Final = 300_000
MAX_VALUES: Final = 2_000_000
"""Of a body, those in its texts counted as well: a long conversation has tens of thousands, and to read millions would
hold up everybody."""
MAX_MODELS: Final = 16
"""That a body may name: each is looked for in the lists of models and of prices."""
MAX_TOKENS: Final = 1_000_000
TOKENS_A_SECOND: Final = 150
"""As fast as models write."""
MAX_DIGITS: Final = 100
"""Of a whole number: to read one takes the square of its length, and nobody else goes on meanwhile."""
_PASSED_ON: Final = re.compile(r"accept|anthropic-(?:version|beta)|user-agent|x-app|x-stainless-[a-z-]{1,40}")
_ALONE: Final = frozenset(
    {
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "proxy-authorization",
        "transfer-encoding",
        "x-api-key",
    }
)
_UNWANTED: Final = frozenset({"content-encoding", "upgrade", "trailer", "http2-settings"})
_VALUE: Final = re.compile(r"[ -~]{0,4096}")
_SERVER_FIELDS: Final = ("mcp_servers", "container")
_OWN_TOOL: Final = frozenset({None, "custom"})
_CLIENT_TOOL: Final = re.compile(r"(?:bash|text_editor|computer|memory|tool_search_tool\w*)_\d+|advisor_\d+")
"""Tools of the API's own definition that the client carries out, or that stay within the conversation."""


@dataclass(frozen=True)
class Asked:
    """What a body asks for: its model, and others that it may come to; how long an answer, and whether bit by bit."""

    models: Sequence[str]
    max_tokens: int
    streamed: bool

    def unseen_tokens(self, seconds: float) -> int:
        """How many may have been written after so long for somebody who did not read them. What is not streamed goes
        on being written when nobody is there any more."""
        return (
            min(self.max_tokens, math.ceil(seconds * TOKENS_A_SECOND)) if self.streamed else self.max_tokens
        )


def route(method: str, target: str) -> Route:
    """Raises Refusal."""
    found = ROUTES.get((method, target))
    if found is None:
        raise Refusal(
            403,
            "permission_error",
            "The gateway passes on the Messages API and nothing else.",
            reason="path",
            detail=f"{method[:20]} {target[:200]!r} is no path of the Messages API",
        )
    return found


def check_headers(raw: RawHeaders) -> dict[str, str]:
    """The headers by their names in small letters. Raises Refusal for what could be read in two ways."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in _UNWANTED or (name in headers and name in _ALONE):
            what = "is not taken here" if name in _UNWANTED else "stands there twice"
            raise _malformed(f"the header {name} {what}", "headers")
        headers[name] = value
    return headers


def check_token(headers: Mapping[str, str], token: str) -> None:
    """Each credential that is shown has to be the session's own token. Raises Refusal."""
    shown = [headers[name] for name in ("x-api-key",) if name in headers]
    if "authorization" in headers:
        scheme, _, value = headers["authorization"].partition(" ")
        shown.append(value.strip() if scheme.lower() == "bearer" else "")
    if not shown or not all(same(each, token) for each in shown):
        raise Refusal(
            401,
            "authentication_error",
            "This is not the key of this conversation.",
            reason="token",
            detail="a wrong token" if shown else "no token",
        )


def same(shown: str, token: str) -> bool:
    """Takes as long whatever was shown."""
    return hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode())


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that the model's server gets of the client's; of its credentials none, whatever they are called."""
    return {
        name: value
        for name, value in headers.items()
        if _PASSED_ON.fullmatch(name) and _VALUE.fullmatch(value)
    }


def with_access(headers: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The headers for the model's server: what the vault gives goes before the client's own, but for the list of
    betas, which both sides write."""
    betas = [
        each.strip() for each in f"{headers.get(BETA, '')},{given.get(BETA, '')}".split(",") if each.strip()
    ]
    merged = {**headers, **given}
    return {**merged, BETA: ",".join(dict.fromkeys(betas))} if betas else merged


def models_of(named: Iterable[str], *, model: str | None, fallback: str | None) -> list[str]:
    """The patterns of the models that an agent may ask: those that are named, or else its own and the CLI's small one.
    An agent without a model of its own may ask any."""
    if patterns := list(named):
        return patterns
    if model is None:
        return ["*"]
    own = [each.removesuffix("[1m]") for each in (model, fallback) if each is not None]
    return [pattern for each in own for pattern in ALIASES.get(each, (each,))] + list(BACKGROUND_MODELS)


def check_body(body: bytes, models: Sequence[str], *, server_tools: bool) -> Asked:
    """Raises Refusal."""
    if len(body) > MAX_NODES and _is_endless(body):
        raise _malformed("the body has too many parts", "body")
    try:
        read = json.loads(
            body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_whole
        )
        asked = _asked(read)
        outside = None if server_tools else _outside(read)
    except (ValueError, RecursionError) as exc:
        raise _malformed("the body is no JSON with one reading, or names no model", "body") from exc
    for model in asked.models:
        if not any(fnmatchcase(model, pattern) for pattern in models):
            raise Refusal(
                404,
                "not_found_error",
                f"The model {model[:100]} is not among those that this agent may use.",
                reason="model",
                detail=f"the model {model[:100]!r} is not among [agents.<name>.gateway] models",
            )
    if outside is not None:
        raise Refusal(
            400,
            "invalid_request_error",
            f"The gateway does not let the model's server reach other places for this agent ({outside}).",
            reason="server_tool",
        )
    return asked


def _is_endless(body: bytes) -> bool:
    """Whether there are too many of them."""
    nodes = body.count(b"{") + body.count(b"[")
    return nodes > MAX_NODES or body.count(b",") + body.count(b":") > MAX_VALUES


def _asked(body: Any) -> Asked:
    """Raises ValueError."""
    model = body.get("model") if isinstance(body, dict) else None
    if not isinstance(model, str):
        raise ValueError("it names no model")
    # A model may stand in for another, or be asked by it; what people and models have said names none.
    rest = [value for name, value in body.items() if name not in ("messages", "system")]
    models = {model: None}
    for each in _named(rest):
        models[each] = None
        if len(models) > MAX_MODELS:
            raise ValueError("it names too many models")
    wanted = body.get("max_tokens")
    max_tokens = min(max(wanted, 0), MAX_TOKENS) if isinstance(wanted, int) else 0
    return Asked(tuple(models), max_tokens, streamed=body.get("stream") is True)


def _named(value: Any) -> Iterator[str]:
    """The models that are named anywhere in a value, however deep."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, list):
            left += each
        elif isinstance(each, dict):
            if isinstance(each.get("model"), str):
                yield each["model"]
            left += each.values()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _outside(body: Mapping[str, Any]) -> str | None:
    """What in a body makes the model's server reach other places, or run things: a way around the allow-list."""
    for name in _SERVER_FIELDS:
        if body.get(name):
            return name
    for tool in _list(body.get("tools")):
        kind = tool.get("type") if isinstance(tool, Mapping) else "of no form"
        if kind not in _OWN_TOOL and not (isinstance(kind, str) and _CLIENT_TOOL.fullmatch(kind)):
            return f"tool {str(kind)[:50]}"
    messages = _list(body.get("messages"))
    contents = [each.get("content") for each in messages if isinstance(each, Mapping)]
    if any(_fetches(each) for each in (*contents, body.get("system"))):
        return "a file by its URL"
    return None


def _fetches(content: Any) -> bool:
    """Whether a block of a content, or of a tool's result in it, is a file that the server is to fetch."""
    for block in _list(content):
        if not isinstance(block, Mapping):
            continue
        source = block.get("source")
        if isinstance(source, Mapping) and source.get("type") == "url":
            return True
        if block.get("type") != "tool_use":
            inner = [block.get("content"), source.get("content") if isinstance(source, Mapping) else None]
            if any(_fetches(each) for each in inner):
                return True
    return False


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _malformed(detail: str, reason: Literal["headers", "body"]) -> Refusal:
    return Refusal(
        400, "invalid_request_error", f"The request is malformed: {detail}.", reason=reason, detail=detail
    )
