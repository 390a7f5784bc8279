"""What the model's server is shown: the vault's word goes before the client's."""

from __future__ import annotations

from bot.gateway.request import passed_on, with_access

OAUTH = {"authorization": "Bearer made-up", "anthropic-beta": "oauth-2025-04-20"}


def test_the_betas_of_both_sides_are_named_once() -> None:
    sent = with_access({"anthropic-beta": "tools-1, oauth-2025-04-20", "accept": "*/*"}, OAUTH)
    assert sent["anthropic-beta"] == "tools-1,oauth-2025-04-20"
    assert sent["accept"] == "*/*"
    assert with_access({}, OAUTH)["anthropic-beta"] == "oauth-2025-04-20"
    assert "anthropic-beta" not in with_access({}, {"x-api-key": "made-up"})


def test_no_credential_of_the_client_gets_through() -> None:
    client = {"x-api-key": "token", "authorization": "Bearer token", "user-agent": "x"}
    assert with_access(passed_on(client), OAUTH) == {"user-agent": "x", **OAUTH}
    assert with_access(passed_on(client), {}) == {"user-agent": "x"}
