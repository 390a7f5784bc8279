from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from bot.agent_check import channels_of, check_agents
from bot.config import FIRST, OPTIONS, Config, load
from bot.config_gateway import PriceConfig
from bot.config_mounts import MountConfig
from bot.config_slack import PromptConfig, SlackConfig
from bot.config_tables import DestinationConfig
from bot.config_vault import PLACES
from bot.config_wiring import WiringConfig
from bot.errors import ConfigError

LISTS: list[tuple[str, type[BaseModel]]] = [
    ("agents.assistant.destinations", DestinationConfig),
    ("agents.assistant.mounts", MountConfig),
    ("slack.suggested_prompts", PromptConfig),
    ("wirings", WiringConfig),
]
EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


def write(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def mistakes(path: Path | None, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, env or {})
    return str(caught.value).replace(f"{path}: ", "config.toml: ").splitlines()


# ---------------------------------------------------------------- where it comes from


def test_without_file_or_variable_everything_is_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load(None, {"PATH": "/bin"})
    assert loaded.service.data_dir == tmp_path / "data"
    service = loaded.service.model_copy(update={"data_dir": Path("data")})
    assert loaded.model_copy(update={"service": service}).model_dump() == Config().model_dump()


def test_file_is_found_by_argument_then_variable_then_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("argument", "variable", "here"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, f'[terminal]\nname = "{name}"\n')
    monkeypatch.chdir(tmp_path / "here")
    env = {"ROOST_CONFIG": str(tmp_path / "variable" / "config.toml")}

    assert load(tmp_path / "argument" / "config.toml", env).terminal.name == "argument"
    assert load(None, env).terminal.name == "variable"
    assert load(None, {}).terminal.name == "here"


def test_missing_named_file_is_an_error(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "no.toml") == ["config.toml: cannot be read: No such file or directory"]
    assert mistakes(None, {"ROOST_CONFIG": str(tmp_path / "no.toml")})


def test_relative_paths_start_at_the_folder_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    file = write(tmp_path, '[service]\nlog_file = "logs/x.log"\n')
    service = load(file, {"ROOST_SERVICE__DATA_DIR": "here"}).service
    assert service.data_dir == tmp_path / "here"
    assert service.log_file == tmp_path / "logs" / "x.log"
    assert load(write(tmp_path, '[service]\ndata_dir = "/abs"\n'), {}).service.data_dir == Path("/abs")
    assert load(write(tmp_path, ""), {}).service.data_dir == tmp_path / "data"


def test_environment_goes_before_the_file(tmp_path: Path) -> None:
    file = write(
        tmp_path, '[delivery]\nmax_attempts = 3\nretry_base_seconds = 9.0\n[agents.bob]\nmodel = "a"\n'
    )
    config = load(
        file,
        {
            "ROOST_DELIVERY__MAX_ATTEMPTS": "7",
            "ROOST_AGENTS__BOB__MODEL": "b",
            "ROOST_AGENTS__BOB__PROVIDER_OPTIONS": '{"script": [1, 2]}',
            "ROOST_TERMINAL": '{"enabled": false}',
            "ROOST_FAILPOINT": "somewhere",
        },
    )
    assert (config.delivery.max_attempts, config.delivery.retry_base_seconds) == (7, 9.0)
    assert config.agents["bob"].model == "b"
    assert config.agents["bob"].provider_options == {"script": [1, 2]}
    assert not config.terminal.enabled


# ---------------------------------------------------------------- mistakes


def test_unknown_key_and_table_come_with_a_suggestion(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        '[service]\ndata_dri = "x"\nqqqq = 1\n[servce]\n[agents.bob]\nmodl = "x"\n'
        "[agents.bob.gateway]\nhots = []\n",
    )
    assert mistakes(file) == [
        'config.toml: [service] unknown key "data_dri"; did you mean "data_dir"?',
        'config.toml: [service] unknown key "qqqq"',
        'config.toml: [agents.bob.gateway] unknown key "hots"; did you mean "hosts"?',
        'config.toml: [agents.bob] unknown key "modl"; did you mean "model"?',
        "config.toml: unknown table [servce]; did you mean [service]?",
    ]


def test_wrong_values_say_what_was_expected(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "[service]\nlog_level = 'loud'\nmetrics_port = 'five'\n[turns]\nmax_tries = 0\n[limits]\nattachments = 99\n"
        "[[agents.bob.destinations]]\nname = 'a b'\nchannel = 'c'\nnam = 1\n",
    )
    assert mistakes(file) == [
        "config.toml: [service] log_level should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'",
        "config.toml: [service] metrics_port should be a valid integer, unable to parse string as an integer",
        r"config.toml: [agents.bob] destinations[0].name should match pattern '^[\w.-]+$'",
        "config.toml: [agents.bob] destinations[0].platform_id: is missing",
        'config.toml: [agents.bob] destinations[0] unknown key "nam"; did you mean "name"?',
        "config.toml: [turns] max_tries should be greater than or equal to 1",
        "config.toml: [limits] attachments should be less than or equal to 20",
    ]


def test_every_number_has_an_upper_bound(tmp_path: Path) -> None:
    for name, table in tables().items():
        for key, value in table:
            if type(value) in (int, float):
                (line,) = mistakes(write(tmp_path, f"[{name}]\n{key} = {10**23}\n"))
                assert line.startswith(f"config.toml: [{name}] {key} should be less than or equal to ")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("3", "should be a path in quotes"),
        ('""', "should not be empty; leave it out for the default"),
        ('" "', "should not be empty; leave it out for the default"),
        (r'"a\u0000b"', "should be a path, and no path holds a NUL character"),
        ('"~nobody-of-this-name/x"', ": begins with the home of a user whom this machine does not know"),
    ],
)
def test_a_path_names_something(tmp_path: Path, value: str, said: str) -> None:
    gap = "" if said.startswith(":") else " "
    for setting in ("data_dir", "log_file"):
        assert mistakes(write(tmp_path, f"[service]\n{setting} = {value}\n")) == [
            f"config.toml: [service] {setting}{gap}{said}"
        ]


def test_tables_and_agents_have_a_form(tmp_path: Path) -> None:
    assert mistakes(write(tmp_path, "service = 3\n")) == ["config.toml: [service] should be a table"]
    assert mistakes(write(tmp_path, "[agents]\n")) == ["config.toml: [agents] should not be empty"]
    for name in ("Bad", "a b", "../x", "é", ""):
        assert mistakes(write(tmp_path, f'[agents."{name}"]\n'))[0].endswith(
            'an agent is named with small letters, digits, "-" and "_"'
        )


def test_bad_toml_names_file_and_line(tmp_path: Path) -> None:
    (line,) = mistakes(write(tmp_path, "[service]\n[terminal\n"))
    assert line.startswith("config.toml: is not valid TOML:")
    assert "line 2" in line
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xff")
    assert mistakes(file)[0].startswith("config.toml: is not valid TOML:")


def test_mistakes_in_variables_name_the_variable(tmp_path: Path) -> None:
    file = write(tmp_path, "[turns]\nmax_tries = 0\n")
    env = {
        "ROOST_SERVICE__DATA_DRI": "x",
        "ROOST_SERVIC__LOG_LEVEL": "x",
        "ROOST_ZZZ": "x",
        "ROOST_DELIVERY__MAX_ATTEMPTS": "many",
        "ROOST_LIMITS": "{",
        "ROOST_SERVICE__METRICS_PORT__X": "1",
        "ROOST_AGENTS__BOB__PROVIDER": "magic",
    }
    said = mistakes(file, env)
    assert "ROOST_SERVICE__DATA_DRI: unknown setting; did you mean ROOST_SERVICE__DATA_DIR?" in said
    assert "ROOST_SERVIC__LOG_LEVEL: unknown setting; did you mean ROOST_SERVICE__LOG_LEVEL?" in said
    assert "ROOST_ZZZ: unknown setting" in said
    assert any(line.startswith("ROOST_LIMITS: should be JSON: ") for line in said)
    assert any(
        line.startswith("ROOST_DELIVERY__MAX_ATTEMPTS: [delivery] max_attempts should") for line in said
    )
    assert any(line.startswith("ROOST_SERVICE__METRICS_PORT__X: ") for line in said)
    assert any(
        line.startswith("ROOST_AGENTS__BOB__PROVIDER: [agents.bob] provider: unknown") for line in said
    )
    assert "config.toml: [turns] max_tries should be greater than or equal to 1" in said
    assert len(said) == 8


def test_no_value_is_repeated(tmp_path: Path) -> None:
    file = write(tmp_path, "[service]\nmetrics_port = 'hunter2'\nlog_level = 'hunter2'\n")
    assert "hunter2" not in "\n".join(mistakes(file))


def test_unknown_provider_lists_the_known_ones(tmp_path: Path) -> None:
    for provider in ("magic", "a.b", "a:b:c", "a..b:C", ":C", "a.b:", "mock "):
        (line,) = mistakes(write(tmp_path, f'[agents.bob]\nprovider = "{provider}"\n'))
        assert line.startswith("config.toml: [agents.bob] provider: unknown provider; known are"), provider
        assert '"mock"' in line


def test_the_address_of_a_model_is_a_plain_url(tmp_path: Path) -> None:
    for url in ("127.0.0.1:8080", "ftp://x", "http://", "http://[x", "http://host:port", "https://host:0"):
        (line,) = mistakes(write(tmp_path, f'[agents.bob]\nmodel_url = "{url}"\n'))
        assert line.startswith("config.toml: [agents.bob] model_url should be a URL that begins with"), url
    for url in ("http://me:hunter2@host", "https://host/?key=hunter2", "https://host/#hunter2"):
        (line,) = mistakes(write(tmp_path, f'[agents.bob]\nmodel_url = "{url}"\n'))
        assert "without a user" in line and "hunter2" not in line, url
    for url in ("http://127.0.0.1:8080", "https://models.example/v1/"):
        assert (
            load(write(tmp_path, f'[agents.bob]\nmodel_url = "{url}"\n'), {}).agents["bob"].model_url == url
        )


def test_a_key_in_the_place_of_its_variable_is_refused(tmp_path: Path) -> None:
    (line,) = mistakes(write(tmp_path, '[agents.bob]\nmodel_key_env = "sk-hunter2"\n'))
    assert line.startswith("config.toml: [agents.bob] model_key_env should match") and "hunter2" not in line


def test_bounds_of_a_turn_are_positive(tmp_path: Path) -> None:
    for setting in ("max_turns = 0", "max_budget_usd = 0", "max_budget_usd = inf", "auto_compact_window = 0"):
        assert mistakes(write(tmp_path, f"[agents.bob]\n{setting}\n")), setting


def test_provider_that_is_not_harmless_needs_consent(tmp_path: Path) -> None:
    agent = '[agents.bob]\nprovider = "my.own:Provider"\n'
    assert load(write(tmp_path, agent), {}).unsandboxed()  # which is found out when there is no Docker
    process = '[backend]\nkind = "process"\n'
    agent += process
    assert mistakes(write(tmp_path, agent)) == [
        'config.toml: the process backend isolates nothing, so provider "my.own:Provider" of agent "bob" is refused;'
        " if you accept that, set [backend] allow_unsandboxed = true, or start it with --allow-unsandboxed"
    ]
    # What is wrong with all of it is no variable's fault.
    assert mistakes(write(tmp_path, agent), {"ROOST_TERMINAL__NAME": "Ada"})[0].startswith("config.toml: the")
    consent = write(tmp_path, agent + "allow_unsandboxed = true\n")
    assert load(consent, {}).agents["bob"].provider == "my.own:Provider"


# ---------------------------------------------------------------- wirings


def test_a_wiring_names_its_mistake(tmp_path: Path) -> None:
    text = (
        '[[wirings]]\nchannel = "terminal"\nengage = "loud"\nstrangers = "eat"\nbot_messages = 0\n'
        '[[wirings]]\nplase = "x"\n[[wirings]]\nchannel = ""\nagent = "Bob B"\n'
    )
    assert mistakes(write(tmp_path, text)) == [
        "config.toml: wirings[0].engage should be 'mention', 'mention-sticky', 'all' or 'pattern'",
        "config.toml: wirings[0].strangers should be 'ignore', 'refuse', 'ask' or 'answer'",
        "config.toml: wirings[0].bot_messages should be greater than or equal to 1",
        "config.toml: wirings[1].channel: is missing",
        'config.toml: wirings[1] unknown key "plase"; did you mean "place"?',
        "config.toml: wirings[2].channel should have at least 1 character",
        'config.toml: wirings[2].agent: an agent is named with small letters, digits, "-" and "_"',
    ]
    for text in ("wirings = 3\n", '[wirings]\nchannel = "terminal"\n'):
        assert mistakes(write(tmp_path, text)) == [
            "config.toml: [wirings] should be a list: each of its tables begins with [[wirings]], in two brackets"
        ]


def test_a_server_is_named_by_its_id(tmp_path: Path) -> None:
    text = '[discord]\ndevelopment_servers = ["1234567890", "Lab"]\n'
    assert mistakes(write(tmp_path, text)) == [
        "config.toml: [discord] development_servers[1] should be the id of a server, which has digits alone: "
        "Copy Server ID in its menu"
    ]


def test_a_wiring_names_an_agent_that_there_is_and_a_place_once(tmp_path: Path) -> None:
    agents = "[agents.ann]\n[agents.bob]\n"
    text = agents + (
        '[[wirings]]\nchannel = "terminal"\nagent = "hunter2"\n[[wirings]]\nchannel = "terminal"\nplace = "p"\n'
        '[[wirings]]\nchannel = "terminal"\nagent = "bob"\n[[wirings]]\nchannel = "terminal"\nagent = "ann"\n'
        '[[wirings]]\nchannel = "terminal"\n'
    )
    assert mistakes(write(tmp_path, text)) == [
        'config.toml: wirings[0].agent: there is no such agent; known are "ann", "bob"; '
        "wirings[4]: is for the same place and agent as wirings[3]; leave one of them out"
    ]
    fine = load(write(tmp_path, agents + '[[wirings]]\nchannel = "discord"\nagent = "bob"\n'), {})
    assert fine.wirings[0].agent == "bob"


def test_wirings_come_from_a_variable_as_well(tmp_path: Path) -> None:
    file = write(tmp_path, '[[wirings]]\nchannel = "terminal"\n')
    env = {"ROOST_WIRINGS": '[{"channel": "discord", "threads": false}]'}
    (wiring,) = load(file, env).wirings
    assert (wiring.channel, wiring.threads) == ("discord", False)
    assert mistakes(file, {"ROOST_WIRINGS": "[{}]"}) == ["ROOST_WIRINGS: wirings[0].channel: is missing"]


def test_every_place_is_served_by_a_channel_that_there_is(tmp_path: Path) -> None:
    text = (
        '[[agents.bob.destinations]]\nname = "team"\nchannel = "hunter2"\nplatform_id = "p"\n'
        '[[wirings]]\nchannel = "terminal"\n[[wirings]]\nchannel = "hunter2"\n'
    )
    config = load(write(tmp_path, text), {})
    assert channels_of(config) == ("terminal",)
    with pytest.raises(ConfigError) as caught:
        check_agents(config)
    assert str(caught.value).splitlines() == [
        '[agents.bob] destinations[0].channel: nothing serves this channel; known is "terminal"',
        'wirings[1].channel: nothing serves this channel; known is "terminal"',
    ]


def test_slack_says_what_is_wrong_with_its_addresses_and_prompts(tmp_path: Path) -> None:
    wrong = {
        'mode = "webhook"': "mode should be 'socket' or 'http'",
        "sockets = 11": "sockets should be less than or equal to 10",
        'listen = "3000"': 'listen should be an address and a port of this machine, such as "127.0.0.1:3000"',
        'listen = "127.0.0.1:99999"': (
            'listen should be an address and a port of this machine, such as "127.0.0.1:3000"'
        ),
        'path = "slack"': 'path should be the path of a URL, such as "/slack/events"',
        'bot_token_env = "xoxb-hunter2"': "bot_token_env should match pattern '^[A-Za-z_][A-Za-z0-9_]*$'",
        'bot_token = "xoxb-hunter2"': 'unknown key "bot_token"; did you mean "bot_token_env"?',
        'suggested_prompts = [{ title = "Plan" }]': "suggested_prompts[0].message: is missing",
    }
    for setting, sentence in wrong.items():
        (line,) = mistakes(write(tmp_path, f"[slack]\n{setting}\n"))
        assert line == f"config.toml: [slack] {sentence}" and "hunter2" not in line
    five = "[[slack.suggested_prompts]]\ntitle = 'a'\nmessage = 'b'\n" * 5
    assert mistakes(write(tmp_path, five)) == [
        "config.toml: [slack] suggested_prompts should have at most 4 items, not 5"
    ]


def test_slack_listens_at_what_was_written(tmp_path: Path) -> None:
    for listen, address in {
        "127.0.0.1:3000": ("127.0.0.1", 3000),
        "[::1]:80": ("::1", 80),
        "roost.internal:8443": ("roost.internal", 8443),
    }.items():
        text = f'[slack]\nlisten = "{listen}"\napi_url = "http://127.0.0.1:8/api"\n'
        slack = load(write(tmp_path, text), {}).slack
        assert slack.address == address
        assert slack.api_url == "http://127.0.0.1:8/api/", "the library puts a method right behind it"
    assert SlackConfig().address == ("127.0.0.1", 3000)


def test_a_platform_that_is_switched_on_is_a_channel(tmp_path: Path) -> None:
    both = load(write(tmp_path, "[discord]\nenabled = true\n[slack]\nenabled = true\n"), {})
    assert channels_of(both) == ("terminal", "discord", "slack")


# ---------------------------------------------------------------- options of the command line


def test_options_go_before_everything_for_the_first_agent(tmp_path: Path) -> None:
    file = write(tmp_path, '[agents.bob]\nmodel = "a"\neffort = "low"\n[agents.ann]\nmodel = "c"\n')
    options = {"--provider": "claude", "--model": "b", "--model-url": "http://x", "--allow-unsandboxed": True}
    config = load(file, {"ROOST_AGENTS__BOB__MODEL": "z"}, options)
    bob, ann = config.agents["bob"], config.agents["ann"]
    assert (bob.provider, bob.model, bob.model_url, bob.effort) == ("claude", "b", "http://x", "low")
    assert (ann.provider, ann.model, ann.model_url) == ("mock", "c", None)
    assert config.backend.allow_unsandboxed


def test_options_do_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(None, {}, {"--model": "b"})
    assert list(config.agents) == ["assistant"] and config.agents["assistant"].model == "b"


def test_a_mistake_in_an_option_names_it(tmp_path: Path) -> None:
    for options, said in (
        ({"--provider": "magic"}, "--provider: [agents.bob] provider: unknown provider; known are "),
        ({"--model-url": "ftp://x"}, "--model-url: [agents.bob] model_url should be a URL"),
    ):
        with pytest.raises(ConfigError) as caught:
            load(write(tmp_path, "[agents.bob]\n"), {}, options)
        assert str(caught.value).startswith(said)


def test_an_option_asks_for_consent_like_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"allow_unsandboxed = true, or start it with --allow-unsandboxed$"):
        load(write(tmp_path, '[backend]\nkind = "process"\n'), {}, {"--provider": "claude"})
    for consent in ({"--allow-unsandboxed": True}, {}):
        more = "" if consent else "allow_unsandboxed = true\n"
        file = write(tmp_path, f'[backend]\nkind = "process"\n{more}')
        assert load(file, {}, {"--provider": "claude", **consent}).agents["assistant"].provider == "claude"


def test_every_option_names_a_setting() -> None:
    for place in OPTIONS.values():
        found: Any = Config()
        for step in place:
            found = found["assistant"] if step == FIRST else getattr(found, step)


# ---------------------------------------------------------------- the models


def test_config_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().service.log_level = "DEBUG"  # type: ignore[misc]


def test_destination_falls_back_to_its_name() -> None:
    config = DestinationConfig(name="team", display_name=None, channel="c", platform_id="p", thread_id=None)
    assert config.destination.display_name == "team"
    assert config.destination.route.platform_id == "p"


def test_import_does_without_the_settings_library() -> None:
    code = "import sys, bot.config; sys.exit('pydantic_settings' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------- config.example.toml


def tables() -> dict[str, BaseModel]:
    config = Config()
    found: dict[str, BaseModel] = {}
    for name in Config.model_fields:
        if name == "agents":
            found |= {f"agents.{agent}": table for agent, table in config.agents.items()}
        elif isinstance(getattr(config, name), BaseModel):
            found[name] = getattr(config, name)
    below = {
        f"{name}.{key}": value
        for name, table in found.items()
        for key, value in table
        if isinstance(value, BaseModel)
    }
    return found | below


def settings_of(table: BaseModel) -> dict[str, Any]:
    """The fields that are no tables of their own."""
    fields = type(table).model_fields
    return {key: fields[key] for key, value in table if not isinstance(value, BaseModel)}


def example() -> dict[str, dict[str, tuple[str, Any]]]:
    """table -> key -> (its sentence, its value), as the example has them behind `# `."""
    found: dict[str, dict[str, tuple[str, Any]]] = {}
    table = sentence = ""
    for line in re.sub(r"^# \[\[(.+\n)+", "", EXAMPLE.read_text(), flags=re.MULTILINE).splitlines():
        if header := re.fullmatch(r"\[([\w.]+)\]", line):
            table = header[1]
            found[table] = {}
        elif setting := re.fullmatch(r"# (\w+) = (.+)", line):
            found[table][setting[1]] = (sentence, tomllib.loads(f"v = {setting[2]}")["v"])
        elif line.startswith("# "):
            sentence = line.removeprefix("# ")
    return found


def list_lines(name: str) -> list[str]:
    block = EXAMPLE.read_text().split(f"# [[{name}]]\n")[1].split("\n\n")[0]
    return [line.removeprefix("# ") for line in block.splitlines()]


def test_example_has_every_setting_with_its_sentence_and_default() -> None:
    found = example()
    assert found.keys() == tables().keys()
    for name, table in tables().items():
        fields = settings_of(table)
        assert found[name].keys() == fields.keys(), name
        for key, field in fields.items():
            sentence, value = found[name][key]
            assert sentence == field.description, (name, key)
            default = getattr(table, key)
            if default is None:
                assert "without it" in sentence, f"[{name}] {key} has no default and does not say what then"
            else:
                assert value == (str(default) if isinstance(default, Path) else default), (name, key)


def test_example_loads_as_it_is_and_with_every_setting_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(EXAMPLE, {}).agents == Config().agents
    # A list of tables and the empty list that it replaces cannot both stand in a file, nor can two places of one key.
    text = re.sub(
        r"^# (destinations|mounts|suggested_prompts) = \[\]\n", "", EXAMPLE.read_text(), flags=re.MULTILINE
    )
    for place in set(PLACES) - {"model_key_file"}:
        text = re.sub(rf"^# {place} = .*\n", "", text, flags=re.MULTILINE)
    full = load(write(tmp_path, re.sub(r"^# (?=\w+ = |\[\[)", "", text, flags=re.MULTILINE)), {})
    assert full.service.metrics_port is not None
    assert full.agents["assistant"].destinations[0].destination.route.thread_id is not None
    assert full.wirings[0].place is not None


@pytest.mark.parametrize(("name", "model"), LISTS)
def test_example_shows_a_whole_member_of_each_list(name: str, model: type[BaseModel]) -> None:
    lines = list_lines(name)
    assert tomllib.loads("\n".join(lines)).keys() == model.model_fields.keys()
    sentences = [line.removeprefix("# ") for line in lines if line.startswith("# ")]
    assert sentences == [field.description for field in model.model_fields.values()]


def test_every_setting_has_one_sentence() -> None:
    models: list[type[BaseModel]] = [
        *(type(table) for table in tables().values()),
        *(each for _, each in LISTS),
        PriceConfig,
    ]
    for table in models:
        for key, field in table.model_fields.items():
            assert field.description and field.description.endswith("."), f"{table.__name__}.{key}"
