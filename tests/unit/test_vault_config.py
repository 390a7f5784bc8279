"""What the configuration says of the vault, and what OneCLI's answers become."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bot.config import Config, load
from bot.errors import ConfigError
from bot.vault import open_vault
from bot.vault.base import Vault, VaultError
from bot.vault.onecli import OneCli
from bot.vault.onecli_answers import IDENTIFIER_FORM, access_in, container_config, identifier, proxy_url

# ---------------------------------------------------------------- the configuration


def written(folder: Path, text: str) -> Config:
    (folder / "config.toml").write_text(text)
    return load(folder / "config.toml", {})


def opened(config: Config) -> Vault:
    return open_vault(config, config.agents, {})


async def test_the_vault_is_opened_by_its_name(tmp_path: Path) -> None:
    agent = '[agents.bob]\nmodel_key = "k1"\n'
    vault: Vault = opened(written(tmp_path, agent))
    assert (await vault.access("bob")).headers == {"x-api-key": "k1"}
    other = opened(written(tmp_path, '[vault]\nkind = "onecli"\nurl = "http://127.0.0.1:1"\n'))
    assert isinstance(other, OneCli)
    await other.aclose()


def test_the_embedded_vault_does_without_a_client_of_http() -> None:
    code = "import sys, bot.vault, bot.vault.embedded; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_key_in_the_configuration_is_shown_nowhere(tmp_path: Path) -> None:
    config = written(tmp_path, '[agents.bob]\nmodel_key = "hunter2"\n')
    assert "hunter2" not in repr(config) + str(config.model_dump(mode="json")) + config.model_dump_json()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[agents.bob]\nmodel_key = "hunter2"\nmodel_key_file = "k"\n',
            "model_key and model_key_file say two",
        ),
        ('[agents.bob]\nmodel_key = ["hunter2"]\n', "model_key should be a valid string"),
        ('[agents.bob]\nmodel_token_env = "hunter-2"\n', "model_token_env should match"),
        ('[vault]\nkind = "onecli"\n', 'kind = "onecli" needs url'),
        ('[vault]\nkind = "hunter2"\n', "kind should be 'embedded' or 'onecli'"),
        ("[vault]\nstale_seconds = 1\n", "stale_seconds should not be less than refresh_seconds"),
        (
            '[vault]\nkind = "onecli"\nurl = "http://h"\n[agents.bob]\nmodel_key = "hunter2"\n',
            "take model_key out",
        ),
    ],
)
def test_mistakes_are_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, text)
    assert said in str(caught.value) and "hunter" not in str(caught.value)


# ---------------------------------------------------------------- names and addresses


def test_identifiers_fit_onecli_and_differ() -> None:
    names = ["bob", "a-b", "a_b", "a__b", "x" * 60, "x" * 61, "_", "-"]
    made = [identifier("roost", name) for name in names]
    assert made == [identifier("roost", name) for name in names]
    assert len(set(made)) == len(names)
    assert all(IDENTIFIER_FORM.fullmatch(each) for each in made), made
    assert identifier("roost", "bob") == "roost-bob" != identifier("two", "bob")


@pytest.mark.parametrize(
    ("given", "reached"),
    [
        ("http://x:t@gateway:10255", "http://x:t@gateway:10255"),
        ("http://gateway/", "http://gateway"),
        ("http://x:t@host.docker.internal:10255", "http://x:t@10.0.0.7:10255"),
        ("http://host.docker.internal", "http://10.0.0.7"),
    ],
)
def test_the_host_of_a_container_is_where_onecli_is(given: str, reached: str) -> None:
    assert proxy_url(given, "http://10.0.0.7:10254") == reached


@pytest.mark.parametrize(
    "given",
    [
        *("", "gateway:1", "ftp://h", "http://:1", "http://h:0", "http://h:99999", "http://[x", "http://h x"),
        *(
            "http://h\r\nX: y",
            "http://h\tx",
            "http://é",
            "http://h/path",
            "http://h?query",
            "http://h#x",
            'http://"h',
        ),
    ],
)
def test_what_is_no_address_of_a_proxy_is_refused_unrepeated(given: str) -> None:
    with pytest.raises(VaultError) as caught:
        proxy_url(given, "http://127.0.0.1:1")
    assert not given or given not in str(caught.value)


def test_the_first_variable_that_names_a_proxy_counts() -> None:
    config = container_config(b'{"env": {"all_proxy": "http://c:1", "http_proxy": "http://b:1"}}')
    assert access_in(config, "http://x").proxy == "http://b:1"
    assert access_in(config, "http://x").ca_pem is None
