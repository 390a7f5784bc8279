"""Packages that an agent asks for, on a real engine: allowed, built while the service runs, used in a new container."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from docker import DockerClient
from docker.errors import APIError

from adapters.base import Question
from tests.service.conftest import House
from tests.service.test_requests import BACK, DIRECT, allow, asked, settings, told, use

BACKENDS = ("docker",)
PACKAGE: Final = "roost-probe==1.0"


@pytest.fixture(autouse=True)
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package of our own, the only place where pip looks."""
    folder = tmp_path / "packages"
    folder.mkdir()
    info = "roost_probe-1.0.dist-info"
    with zipfile.ZipFile(folder / "roost_probe-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("roost_probe.py", "def main():\n    print('probed')\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: roost-probe\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\nprobe = roost_probe:main\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture(autouse=True)
def no_images_stay(docker_client: DockerClient, house: House) -> Iterator[None]:
    yield
    house.kill_runners()
    for image in docker_client.images.list("roost-agent-assistant"):
        for tag in image.tags:
            with suppress(APIError):
                docker_client.images.remove(tag, force=True)


def image_of(house: House) -> str:
    """The image of the container that lives for the session."""
    return str(house.containers.inspect(house.runner_name())["Config"]["Labels"]["roost.image"])


async def test_a_package_is_there_when_the_agent_is_told_so(house: House) -> None:
    house.script(use("install_packages", pip=[PACKAGE]), BACK)
    async with house.open() as p:
        card: Question = await asked(p, "install_packages")
        assert f"+ pip {PACKAGE}" in card.question
        before = image_of(house)
        said = await allow(p, card)
        assert "The image of assistant is being built" in said
        assert f"They are in your container from now on: {PACKAGE}." in said
        assert image_of(house) != before and image_of(house).startswith("roost-agent-assistant:")
        assert settings(house)["image"] == {"pip": [PACKAGE]}
        assert house.app.context.rebuilding.state("assistant").state == "current"
        out = house.workspace().work / "probed"
        house.containers.run(house.runner_name(), ["sh", "-c", "probe > /workspace/probed"])
        await house.until(lambda: out.exists() and out.read_text() == "probed\n")
        there = image_of(house)
    async with house.open() as p:
        # Adopted as it is, and the next one is started from the same image.
        await p.say("hello")
        await house.until_quiet()
        assert image_of(house) == there


async def test_packages_that_cannot_be_had_leave_the_old_image_in_use(house: House) -> None:
    house.script(use("install_packages", pip=["roost-nothing==9"]), BACK)
    async with house.open() as p:
        card = await asked(p, "install_packages")
        before = image_of(house)
        said = await allow(p, card)
        assert "It was allowed, and failed: The image of assistant could not be built" in said
        assert "roost-nothing" in said
        assert settings(house) == {} and image_of(house) == before
        await p.say("hello")
        await house.until_quiet()
        assert image_of(house) == before


async def test_a_build_is_ended_with_the_service_and_begun_again_by_the_next(house: House) -> None:
    house.script(use("install_packages", pip=[PACKAGE]), BACK)
    async with house.open() as p:
        card = await asked(p, "install_packages")
        assert (await p.press(card, "Approve", place=DIRECT)).state == "accepted"
        await house.until(lambda: house.app.context.rebuilding.state("assistant").state == "building")
    assert house.query("SELECT state FROM approvals")[0]["state"] == "approved"
    assert settings(house) == {}
    async with house.open() as p:
        assert f"They are in your container from now on: {PACKAGE}." in await told(p)
        assert house.query("SELECT state FROM approvals")[0]["state"] == "done"
