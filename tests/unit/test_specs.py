"""What a backend is asked to run: the settings reach the runner, and a key only the runner that needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import options
from agent.protocol.settings import AgentSettings
from agent.providers.base import Limits
from bot.config_tables import AgentConfig
from bot.session import Session
from bot.specs import TOKEN, Outside, is_outdated, spec
from container.base import Limits as Bounds
from container.base import Mount, Spec
from tests.fakes.rooms import room

FOLDER = Path("/data/agents/assistant")
KEY = "made-up-key-of-a-test"
TOKEN_OF_A_TEST = "made-up-token"  # noqa: S105
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
    "provider_options": {"x": [1]},
}


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    async with room(tmp_path) as session:
        yield session


def asked_for(
    session: Session,
    agent: AgentConfig,
    outside: Outside | None = None,
    *,
    mounts: bool = False,
    folder: Path = FOLDER,
    image: str | None = None,
    extra: Sequence[Mount] = (),
) -> Spec:
    return spec(
        session,
        agent,
        name="roost-1",
        mounts=mounts,
        limits=Bounds(),
        logs=Path("/logs"),
        folder=folder,
        image=image,
        outside=outside,
        extra=extra,
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


def test_a_runner_is_given_a_token_and_the_port_of_its_way_out(session: Session) -> None:
    agent = AgentConfig(provider="claude")
    found = asked_for(session, agent, Outside(TOKEN_OF_A_TEST), mounts=True)
    assert [name for name, value in found.env.items() if TOKEN_OF_A_TEST in value] == [TOKEN]
    assert AgentSettings.from_env(found.env).gateway_port == 8080
    assert AgentSettings.from_env(asked_for(session, agent, Outside("x")).env).gateway_port == 0
    assert TOKEN_OF_A_TEST not in repr(found)


def test_without_a_way_out_there_is_neither(session: Session) -> None:
    found = asked_for(session, AgentConfig())
    assert TOKEN not in found.env
    assert AgentSettings.from_env(found.env).gateway_port is None


def test_nothing_of_the_services_own_environment_reaches_a_runner(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, KEY)
    monkeypatch.setenv("DISCORD_TOKEN", KEY)
    for mounts in (False, True):
        found = asked_for(session, AgentConfig(provider="claude"), Outside("x"), mounts=mounts)
        assert KEY not in str(found.env)


def test_what_else_it_may_see_is_mounted_and_named_to_it(session: Session) -> None:
    extra = Mount(Path("/srv/handbook"), Path("/mnt/handbook"))
    found = asked_for(session, AgentConfig(directories=[Path("/srv/x")]), mounts=True, extra=[extra])
    assert extra in found.mounts
    assert AgentSettings.from_env(found.env).directories == [Path("/mnt/handbook")]


def test_a_runner_of_another_image_or_protocol_is_outdated(session: Session) -> None:
    labels = asked_for(session, AgentConfig(), mounts=True, image="roost-agent:1").labels
    assert not is_outdated(labels, "roost-agent:1")
    assert is_outdated(labels, "roost-agent:2")
    assert is_outdated({**labels, "roost.protocol": "0"}, "roost-agent:1")
