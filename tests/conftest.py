"""For every test: the settings of whoever runs them stay outside."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.fakes import engine

# A busy machine is no failure, and a failure in CI must be the same one at a desk.
settings.register_profile("roost", deadline=None, derandomize=bool(os.environ.get("CI")), database=None)
settings.load_profile("roost")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith(("ROOST_", "AGENT_")):
            monkeypatch.delenv(variable)


@pytest.fixture(scope="session")
def agent_image() -> str:
    """The tag of the image that agents run in, built once. Skips the test where there is no engine."""
    engine.need_engine()
    return engine.common_image()
