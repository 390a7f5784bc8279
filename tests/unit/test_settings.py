"""Settings go into an environment and come out of it unchanged; what does not fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.schema import VERSION
from agent.protocol.settings import AgentSettings, SettingsError
from agent.protocol.workspace import Workspace, socket_address

FOLDERS: dict[str, Any] = {
    name: Path("/session") / name for name in ("inbox", "bell_dir", "outbox", "home", "work")
}
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))


@given(
    session=PLAIN,
    model=st.none() | PLAIN,
    instructions=st.none() | PLAIN,
    idle_ms=st.integers(0, 2**40),
    budget=st.none() | st.floats(0.01, 1e6),
    options=st.dictionaries(PLAIN, st.recursive(st.none() | st.booleans() | PLAIN, st.lists, max_leaves=5)),
)
def test_they_come_back_as_they_went(
    session: str,
    model: str | None,
    instructions: str | None,
    idle_ms: int,
    budget: float | None,
    options: dict[str, Any],
) -> None:
    settings = AgentSettings(
        session=session,
        model=model,
        instructions=instructions,
        idle_ms=idle_ms,
        provider_options=options,
        max_budget_usd=budget,
        mcp_servers={"one": options},
        workspace_settings=True,
        gateway_port=8080,
        folder=Path('/agents/"a b"'),
        allowed_tools=["Bash(git:*)"],
        directories=[Path("/a b"), Path('/"c"')],
        log_level="DEBUG",
        **FOLDERS,
    )
    env = settings.to_env()
    assert all("\x00" not in value for value in env.values())
    assert AgentSettings.from_env({**env, "PATH": "/bin", "HOME": "/root"}) == settings


def test_the_defaults_of_the_protocol_are_this_code() -> None:
    settings = AgentSettings(session="s", **FOLDERS)
    assert settings.protocol == VERSION
    assert settings.workspace == Workspace(**FOLDERS)


@pytest.mark.parametrize(
    ("variable", "value", "hint"),
    [
        ("AGENT_SESSION", None, "AGENT_SESSION: Field required"),
        ("AGENT_IDLE_MS", "soon", "AGENT_IDLE_MS is not JSON"),
        ("AGENT_IDLE_MS", "-1", "AGENT_IDLE_MS: "),
        ("AGENT_POLL_IDLE_MS", "0", "AGENT_POLL_IDLE_MS: "),
        ("AGENT_PROVIDER_OPTIONS", "[]", "AGENT_PROVIDER_OPTIONS: "),
        ("AGENT_DIRECTORIES", "[1]", "AGENT_DIRECTORIES: "),
        ("AGENT_LOG_LEVEL", "LOUD", "AGENT_LOG_LEVEL: "),
        ("AGENT_ASISTANT_NAME", "Roost", "AGENT_ASISTANT_NAME is not a setting"),
    ],
)
def test_what_does_not_fit_is_named(variable: str, value: str | None, hint: str) -> None:
    env = AgentSettings(session="s", **FOLDERS).to_env()
    if value is None:
        del env[variable]
    else:
        env[variable] = value
    with pytest.raises(SettingsError) as caught:
        AgentSettings.from_env(env)
    assert str(caught.value).startswith(hint)


def test_host_and_container_see_the_same_folders() -> None:
    here, there = Workspace.on_host(Path("/data/s")), Workspace.in_container()
    assert (here.inbound, there.inbound) == (Path("/data/s/in/inbound.db"), Path("/session/in/inbound.db"))
    assert (here.outbound, there.outbound) == (
        Path("/data/s/out/outbound.db"),
        Path("/session/out/outbound.db"),
    )
    assert (here.received("m2"), here.sent("o1")) == (
        Path("/data/s/in/files/m2"),
        Path("/data/s/out/files/o1"),
    )


@pytest.mark.parametrize(("length", "direct"), [(107, True), (108, False), (300, False)])
def test_a_socket_address_fits(tmp_path: Path, length: int, direct: bool) -> None:
    folder = tmp_path
    while len(str(folder)) + len("/bell.sock") < length:
        missing = length - len(str(folder)) - len("/bell.sock") - 1
        folder = folder / ("x" * max(1, min(missing, 200)))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bell.sock"
    with socket_address(path) as address:
        assert (address == str(path)) is (len(str(path)) <= 107)
        assert len(address) <= 107
        Path(address).touch()
    assert path.exists()
    assert direct or address != str(path)
