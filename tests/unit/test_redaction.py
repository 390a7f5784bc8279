from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.redaction import find, redact

# Made up here from pieces, so that no scanner takes this file for a leak.
ALNUM = "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY"
DASHES = "-" * 5
SECRETS = {
    "anthropic": ("api key", "sk-" + "ant-" + "api03-" + ALNUM + "_" + ALNUM),
    "openai": ("api key", "sk-" + ALNUM + "abcd"),
    "openai project": ("api key", "sk-" + "proj-" + ALNUM),
    "slack bot": ("slack token", "xox" + "b-1234567890-" + ALNUM),
    "slack user": ("slack token", "xox" + "p-1234567890-" + ALNUM),
    "slack rotated": ("slack token", "xox" + "e.xox" + "b-1-" + ALNUM),
    "slack app": ("slack token", "xapp" + "-1-A0123456789-" + ALNUM),
    "discord": ("discord token", "M" + ALNUM[:25] + "." + ALNUM[:6] + "." + ALNUM[:30]),
    "github": ("github token", "gh" + "p_" + ALNUM + "abcd"),
    "github fine": ("github token", "github" + "_pat_" + ALNUM),
    "aws": ("aws key", "AK" + "IA" + "ABCDEFGHIJKLMNOP"),
    "google": ("google key", "AI" + "za" + ALNUM + "abc"),
    "jwt": ("web token", "ey" + "J" + ALNUM + ".ey" + "J" + ALNUM + "." + ALNUM),
    "pem": (
        "private key",
        f"{DASHES}BEGIN RSA PRIVATE" + f" KEY{DASHES}\n{ALNUM}\n{DASHES}END RSA PRIVATE KEY{DASHES}",
    ),
    "pem in json": (
        "private key",
        f"{DASHES}BEGIN PRIVATE" + f" KEY{DASHES}\\n{ALNUM}\\n{DASHES}END PRIVATE KEY{DASHES}",
    ),
}


@pytest.mark.parametrize("name", SECRETS)
def test_secret_is_struck_out_wherever_it_stands(name: str) -> None:
    kind, secret = SECRETS[name]
    assert redact(secret) == f"[redacted {kind}]"
    assert redact(f'{{"key":"{secret}"}}') == f'{{"key":"[redacted {kind}]"}}'
    assert redact(f"a={secret}\nb={secret} c") == f"a=[redacted {kind}]\nb=[redacted {kind}] c"


HEX = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("before", "secret", "after", "kind"),
    [
        ("https://hooks.slack.com/services/", f"T0123/B0123/{ALNUM}", " is it", "slack webhook"),
        ("https://hooks.slack.com/commands/", f"T0123/456/{ALNUM}", "", "slack webhook"),
        ("wss://wss-primary.slack.com/link/?ticket=", ALNUM, "&app_id=A1", "slack ticket"),
        ('signing_secret = "', HEX, '"', "slack secret"),
        ("SLACK_SIGNING_SECRET: SIGNING SECRET, Signing Secret: ", HEX, "", "slack secret"),
    ],
)
def test_what_a_secret_of_slack_is_for_stays(before: str, secret: str, after: str, kind: str) -> None:
    assert redact(f"{before}{secret}{after}") == f"{before}[redacted {kind}]{after}"


def test_what_only_looks_like_a_secret_of_slack_stays() -> None:
    for text in (f"commit {HEX}", "ticket=4711", "hooks.slack.com/services/", f"signing_secret {HEX}{HEX}"):
        assert redact(text) == text


def test_bearer_keeps_its_word() -> None:
    token = ALNUM + "/+=="
    assert redact("Authorization: Bearer " + token) == "Authorization: Bearer [redacted bearer token]"
    assert redact("authorization: bearer " + token) == "authorization: bearer [redacted bearer token]"


def test_two_shapes_at_one_place_are_one_secret() -> None:
    text = "Bearer " + SECRETS["jwt"][1]
    assert len(find(text)) == 1
    assert redact(text).startswith("Bearer [redacted ")


def test_key_block_that_was_cut_short_is_struck_out_to_the_end() -> None:
    text = "see: " + SECRETS["pem"][1][:60]
    assert redact(text) == "see: [redacted private key]"


@pytest.mark.parametrize(
    "text",
    [
        "the task-force-of-very-long-names-in-one-word-and-more is at risk-" + "a" * 40,
        "the task-admin-istration-of-the-whole-department",
        "sk-learn is a library, sk- is not a key",
        "Bearer of good news, bearer bonds",
        "AKIAVERYSHORT eyJhbGciOi.short.x ghp_short xoxb-1",
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
        "b6d1d5b4-0c9b-4f0e-9f4e-3b8f7b8c9d0e 2026-11-22T17:00:00Z 550e8400e29b41d4a716446655440000",
        "",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert find(text) == []
    assert redact(text) == text


def test_spans_say_where() -> None:
    kind, secret = SECRETS["github"]
    (span,) = find(f"ab {secret} cd")
    assert (span.kind, span.start, span.end) == (kind, 3, 3 + len(secret))


@given(
    st.lists(st.sampled_from([secret for _, secret in SECRETS.values()]) | st.text(max_size=20), max_size=8)
)
def test_no_secret_survives_any_company(pieces: list[str]) -> None:
    clean = redact(" ".join(pieces))
    assert not any(secret in clean for _, secret in SECRETS.values())
    assert redact(clean) == clean


@pytest.mark.parametrize(
    "piece",
    [
        "eyJ",
        "eyJaaaaaaaa-",
        "eyJaaaaaaaa.eyJaaaaaaaa.",
        "M" * 29 + ".",
        "-----BEGIN PRIVATE" + " KEY-----",
        "-----BEGIN ",
        "bearer ",
        "Bearer a.",
        "sk-ant-",
        "xoxb-",
        "gho_",
        "A",
    ],
)
def test_hostile_text_of_a_megabyte_takes_one_pass(piece: str) -> None:
    # Whoever makes a pattern quadratic will wait here for minutes.
    text = piece * (1024 * 1024 // len(piece))
    assert len(redact(text)) <= len(text)
