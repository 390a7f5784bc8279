"""What OneCLI answers, checked: from its JSON to what the gateway can use. Pure."""

from __future__ import annotations

import hashlib
import re
import ssl
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.vault.anthropic import OAUTH_BETA
from bot.vault.base import Access, VaultError, VaultUnavailable

MAX_IDENTIFIER_CHARS: Final = 50
IDENTIFIER_FORM: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")
"""What OneCLI takes."""
PROXY_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
TOKEN_VARIABLE: Final = "CLAUDE_CODE_OAUTH_TOKEN"  # noqa: S105
"""In `env` with a placeholder when the credential is an OAuth token; ANTHROPIC_API_KEY when it is a key."""
DOCKER_HOST: Final = "host.docker.internal"
"""How a container calls the machine that runs it."""


class ContainerConfig(BaseModel):
    """The answer to GET /api/container-config. `env` holds the proxy's password, so no error may repeat it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    env: dict[str, str] = Field(repr=False)
    caCertificate: str | None = None  # noqa: N815
    caCertificateContainerPath: str | None = None  # noqa: N815


def identifier(prefix: str, agent: str) -> str:
    """What an agent is called in OneCLI: the same for ever, and different for different agents."""
    plain = f"{prefix}-{agent}"
    if len(plain) <= MAX_IDENTIFIER_CHARS and "_" not in plain:
        return plain
    digest = hashlib.sha256(agent.encode()).hexdigest()[:8]
    room = MAX_IDENTIFIER_CHARS - len(digest) - 1
    return f"{plain.replace('_', '-')[:room]}-{digest}"


def container_config(content: bytes) -> ContainerConfig:
    """Raises VaultUnavailable for what is no such answer: some other server may be standing in for now."""
    try:
        return ContainerConfig.model_validate_json(content)
    except ValidationError as exc:
        raise VaultUnavailable(
            "OneCLI's answer is none of its API; is [vault] url the address of OneCLI itself?"
        ) from exc


def access_in(config: ContainerConfig, url: str) -> Access:
    """What the gateway needs. `url` is OneCLI's own. Raises VaultError."""
    given = next((config.env[name] for name in PROXY_VARIABLES if config.env.get(name)), None)
    if given is None:
        raise VaultError("OneCLI names no proxy; start its gateway")
    beta = {"anthropic-beta": OAUTH_BETA} if TOKEN_VARIABLE in config.env else {}
    return Access(beta, proxy_url(given, url), _certificates(config.caCertificate))


def proxy_url(given: str, url: str) -> str:
    """The proxy as it is reached from here: what a container would call its host is where OneCLI is. Raises
    VaultError, without the URL, which may hold a password."""
    try:
        parts = urlsplit(given)
        fits = bool(parts.hostname) and parts.port != 0 and parts.scheme in ("http", "https")
    except ValueError:
        fits = False
    if not fits or not given.isascii() or not given.isprintable() or any(each in given for each in ' \\"<>'):
        raise VaultError(
            "OneCLI names a proxy by something that is no http:// address; mend its GATEWAY_BASE_URL"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise VaultError("OneCLI names a proxy with a path; mend its GATEWAY_BASE_URL")
    return f"{parts.scheme}://{_reached(parts, url)}"


def _reached(parts: SplitResult, url: str) -> str:
    if parts.hostname != DOCKER_HOST:
        return parts.netloc
    user, at, _ = parts.netloc.rpartition("@")
    host = urlsplit(url).hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{user}{at}{host}" + (f":{parts.port}" if parts.port else "")


def _certificates(pem: str | None) -> str | None:
    """Raises VaultError."""
    if pem is None or not pem.strip():
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as exc:
        raise VaultError("OneCLI's caCertificate is no certificate in PEM form; restart its gateway") from exc
    if "PRIVATE KEY" in pem:
        raise VaultError("OneCLI's caCertificate holds a private key, which nobody should have been given")
    return pem
