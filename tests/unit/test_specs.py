"""What a backend is asked to run: the settings reach the runner, and a key only the runner that needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import options
from agent.protocol.settings import AgentSettings
from agent.providers.base import Limits
from bot.config_tables import AgentConfig
from bot.session import Session
from bot.specs import MODEL_KEY, spec
from container.base import Limits as Bounds
from container.base import Mount, Spec
from tests.fakes.rooms import room

FOLDER = Path("/data/agents/assistant")
KEY = "made-up-key-of-a-test"
EVERYTHING: dict[str, Any] = {
    "provider": "claude",
    "model": "large",
    "fallback_model": "small",
    "effort": "low",
    "max_turns": 7,
    "max_budget_usd": 1.5,
    "allowed_tools": ["Read", "Bash(git:*)"],
    "disallowed_tools": ["WebFetch"],
    "directories": [Path("/srv/a b")],
    "mcp_servers": {"search": {"command": "search-server", "args": ["--fast"]}},
    "auto_compact_window": 90_000,
    "workspace_settings": True,
    "model_url": "http://127.0.0.1:8080",
    "provider_options": {"x": [1]},
}


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    async with room(tmp_path) as session:
        yield session


def asked_for(
    session: Session,
    agent: AgentConfig,
    environ: dict[str, str] | None = None,
    *,
    mounts: bool = False,
    folder: Path | None = None,
) -> Spec:
    return spec(
        session,
        agent,
        name="roost-1",
        mounts=mounts,
        limits=Bounds(),
        logs=Path("/logs"),
        folder=FOLDER if folder is None else folder,
        environ=environ or {},
    )


def test_what_is_configured_reaches_the_provider(session: Session) -> None:
    found = asked_for(session, AgentConfig.model_validate(EVERYTHING))
    made = options(AgentSettings.from_env(found.env), ())
    assert made.limits == Limits(max_turns=7, max_budget_usd=1.5)
    assert made.additional_directories == EVERYTHING["directories"]
    assert made.extra == EVERYTHING["provider_options"]
    for name in EVERYTHING.keys() - {
        "provider",
        "max_turns",
        "max_budget_usd",
        "directories",
        "provider_options",
    }:
        assert getattr(made, name) == EVERYTHING[name], name
    assert made.env == {}
    assert made.home == session.workspace.home
    assert made.archive == session.workspace.work / "conversations"


def test_without_configuration_the_provider_chooses(session: Session) -> None:
    made = options(AgentSettings.from_env(asked_for(session, AgentConfig()).env), ())
    assert made.limits == Limits()
    assert (made.model, made.fallback_model, made.model_url, made.auto_compact_window) == (None,) * 4
    assert (made.allowed_tools, made.mcp_servers, made.workspace_settings) == ([], {}, False)


def test_the_agents_folder_is_mounted_for_reading(session: Session, tmp_path: Path) -> None:
    found = asked_for(session, AgentConfig(), mounts=True, folder=tmp_path)
    assert Mount(tmp_path, Path("/agent"), writable=False) in found.mounts
    assert AgentSettings.from_env(found.env).folder == Path("/agent")
    bare = asked_for(session, AgentConfig(), folder=tmp_path)
    assert AgentSettings.from_env(bare.env).folder == tmp_path


def test_an_agents_folder_that_is_not_there_is_not_mounted(session: Session, tmp_path: Path) -> None:
    found = asked_for(session, AgentConfig(), mounts=True, folder=tmp_path / "none")
    assert not [mount for mount in found.mounts if mount.target == Path("/agent")]


def test_the_agents_folder_is_the_configured_one_or_its_own_in_the_data_folder() -> None:
    assert AgentConfig().folder_in(Path("/data"), "bob") == Path("/data/agents/bob")
    assert AgentConfig(folder=Path("/srv/bob")).folder_in(Path("/data"), "bob") == Path("/srv/bob")


def test_the_key_is_that_of_the_named_variable_and_no_setting(session: Session) -> None:
    agent = AgentConfig(provider="claude", model_key_env="TEAM_KEY")
    found = asked_for(session, agent, {"TEAM_KEY": KEY, MODEL_KEY: "another", "OTHER": "x"})
    assert found.env[MODEL_KEY] == KEY
    assert [name for name, value in found.env.items() if KEY in value] == [MODEL_KEY]
    assert "OTHER" not in found.env
    AgentSettings.from_env(found.env)
    assert KEY not in repr(found)


def test_without_a_key_there_is_no_variable(session: Session) -> None:
    agent = AgentConfig(provider="claude")
    assert MODEL_KEY not in asked_for(session, agent, {}).env
    assert MODEL_KEY not in asked_for(session, agent, {MODEL_KEY: ""}).env


def test_a_provider_that_needs_no_key_gets_none(session: Session) -> None:
    assert MODEL_KEY not in asked_for(session, AgentConfig(), {MODEL_KEY: KEY}).env
