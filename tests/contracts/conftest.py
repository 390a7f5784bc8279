"""What tests of the Docker backend share; a container that is left behind is shown with its log."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from container.base import Limits, Mount, Spec
from tests.fakes.engine import Namespace


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:  # pragma: no cover
    report = yield
    containers = getattr(item, "funcargs", {}).get("containers")
    if isinstance(containers, Namespace) and report.when == "call" and report.failed:  # type: ignore[attr-defined]
        report.sections.append(("containers", containers.told()))  # type: ignore[attr-defined]
    return report


@pytest.fixture
def containers(tmp_path: Path, image: str) -> Iterator[Namespace]:
    """A namespace of its own, empty again at the end."""
    made = Namespace(f"test-{os.getpid()}-{abs(hash(tmp_path)) % 10**8}")
    yield made
    made.remove_all()
    # What was on its way to the engine when its backend was closed may come about after that look.
    made.remove_all()
    made.close()


@pytest.fixture
def docker_spec(tmp_path: Path, image: str) -> Callable[..., Spec]:
    """Makes Specs of programs in the image, with tmp_path/work for a workspace."""
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)

    def spec(
        command: tuple[str, ...],
        name: str = "one",
        env: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Spec:
        values: dict[str, Any] = {
            "workdir": Path("/workspace"),
            "log": tmp_path / f"{name}.log",
            "labels": labels or {},
            "image": image,
            "mounts": [Mount(folder, Path("/workspace"), writable=True)],
            "limits": Limits(memory_mb=64),
        }
        return Spec(name, command, env or {}, **{**values, **more})

    return spec
