"""How a key or a token is shown to Anthropic's API. Pure.

An API key is the header `x-api-key` ("Authentication" of the API's reference). An OAuth token is a bearer token with
the beta `oauth-2025-04-20`: this is what the Claude CLI sends when it finds one in CLAUDE_CODE_OAUTH_TOKEN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

OAUTH_BETA: Final = "oauth-2025-04-20"
OAUTH_PREFIX: Final = "sk-ant-oat"
"""How Anthropic's OAuth tokens begin."""


def headers(secret: str, *, is_token: bool, own_server: bool) -> Mapping[str, str]:
    """The headers that show `secret`. `own_server`: whether the model is reached at another server than Anthropic's,
    which may issue bearer tokens of its own and know no beta."""
    if not is_token and not secret.startswith(OAUTH_PREFIX):
        return {"x-api-key": secret}
    bearer = {"authorization": f"Bearer {secret}"}
    if own_server and not secret.startswith(OAUTH_PREFIX):
        return bearer
    return {**bearer, "anthropic-beta": OAUTH_BETA}
