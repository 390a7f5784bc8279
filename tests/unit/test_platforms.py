"""The secrets of the platforms: where each is, and what is said of one that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import NoSecret
from bot.config import Config
from bot.config_slack import SlackConfig
from bot.errors import ConfigError
from bot.platforms import open_platforms, slack_secrets

BOT = "xox" + "b-1-made-up"
APP = "xapp" + "-1-made-up"
SECRET = "0123456789abcdef" * 2
ENVIRON = {"SLACK_BOT_TOKEN": BOT, "SLACK_APP_TOKEN": APP, "SLACK_SIGNING_SECRET": SECRET}


def on(**settings: object) -> SlackConfig:
    return SlackConfig.model_validate({"enabled": True, **settings})


def refusal(settings: SlackConfig, environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        slack_secrets(settings, environ)
    return str(caught.value).splitlines()


def test_a_mode_has_the_secrets_that_it_needs() -> None:
    socket = slack_secrets(on(), ENVIRON)
    assert socket.app_token is not None and socket.signing_secret is None
    assert (socket.bot_token(), socket.app_token()) == (BOT, APP)
    http = slack_secrets(on(mode="http"), ENVIRON)
    assert http.app_token is None and http.signing_secret is not None
    assert (http.bot_token(), http.signing_secret()) == (BOT, SECRET)


def test_all_that_are_missing_are_said_at_once() -> None:
    assert refusal(on(), {}) == [
        "[slack] enabled: there is no bot token; put it into a file and name it in bot_token_file,"
        " or into the variable SLACK_BOT_TOKEN",
        "[slack] enabled: there is no app-level token; put it into a file and name it in app_token_file,"
        " or into the variable SLACK_APP_TOKEN",
    ]
    elsewhere = {"signing_secret_env": "SIGNS", "mode": "http"}
    (line,) = refusal(SlackConfig.model_validate(elsewhere), {"SLACK_BOT_TOKEN": BOT})
    assert "signing secret" in line and line.endswith("the variable SIGNS")
    both = Config.model_validate({"discord": {"enabled": True}, "slack": {"enabled": True}})
    with pytest.raises(ConfigError) as caught:
        open_platforms(both, {})
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["[discord]", "[slack]", "[slack]"]


@pytest.mark.parametrize(("bot", "app"), [(APP, APP), (BOT, BOT), ("xox" + "p-1-made-up", APP)])
def test_one_in_the_place_of_another_is_said_and_not_shown(bot: str, app: str) -> None:
    (line,) = refusal(on(), {"SLACK_BOT_TOKEN": bot, "SLACK_APP_TOKEN": app})
    assert "this is no" in line and "made-up" not in line


def test_a_secret_is_read_again_each_time(tmp_path: Path) -> None:
    file = tmp_path / "bot"
    file.write_text(f"{BOT}\n")
    file.chmod(0o600)
    environ = dict(ENVIRON)
    secrets = slack_secrets(on(bot_token_file=file), environ)
    assert secrets.app_token is not None
    file.write_text(f"{BOT}-anew\n")
    environ["SLACK_APP_TOKEN"] = f"{APP}-anew"
    assert (secrets.bot_token(), secrets.app_token()) == (f"{BOT}-anew", f"{APP}-anew")
    file.write_text(APP)
    with pytest.raises(NoSecret, match="this is no bot token"):
        secrets.bot_token()
    environ.clear()
    with pytest.raises(NoSecret, match="there is no app-level token"):
        secrets.app_token()


def test_nothing_is_opened_that_is_switched_off() -> None:
    assert open_platforms(Config(), {}) == []
