"""What an image is made from, whether it fits, and who can build it: without an engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.config import Config, load
from bot.errors import ConfigError
from bot.images import ROOT, recipes
from container.image.check import judge
from container.image.client import find_client, run
from container.image.context import context
from container.image.engine import client_environment
from container.image.recipe import (
    AGENT_DOCKERFILE,
    BASE_LABEL,
    DEBIAN_BASE,
    DOCKERFILE,
    PROTOCOL_LABEL,
    AgentRecipe,
    ImageError,
    Options,
    Recipe,
)

RECIPE = Recipe(ROOT, 1, "0.1", "python:3.11-slim-bookworm")


def script(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


# ---------------------------------------------------------------- the digest


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A copy of `agent/` in a project folder with what such a folder holds besides."""
    root = tmp_path / "project"
    shutil.copytree(ROOT / "agent", root / "agent")
    (root / "config.toml").write_text("key = 'hunter2'")
    (root / "data").mkdir()
    (root / "agent" / "notes.txt").write_text("hunter2")
    yield root


def test_digest_is_that_of_the_code(project: Path) -> None:
    assert replace(RECIPE, source=project).digest == RECIPE.digest
    (project / "agent" / "loop.py").write_text("pass\n")
    changed = replace(RECIPE, source=project)
    assert changed.digest != RECIPE.digest
    assert changed.tag == f"roost-agent:{changed.digest[:12]}"
    (project / "agent" / "new.py").write_text("")
    assert replace(RECIPE, source=project).digest != changed.digest


def test_digest_is_no_matter_of_what_is_not_in_the_image(project: Path) -> None:
    (project / "agent" / "__pycache__").mkdir(exist_ok=True)
    (project / "agent" / "__pycache__" / "loop.py").write_text("left over")
    (project / "bot.py").write_text("pass")
    assert replace(RECIPE, source=project, version="9", base_image="debian:12").digest == RECIPE.digest


@pytest.mark.parametrize(
    "changed",
    [
        replace(RECIPE, protocol=2),
        replace(RECIPE, options=Options(cjk_fonts=True)),
        replace(RECIPE, options=Options(browser=True)),
        replace(RECIPE, options=Options(apt=("jq",))),
        replace(RECIPE, options=Options(pip=("jq",))),
    ],
)
def test_digest_changes_with_every_option(changed: Recipe) -> None:
    assert changed.digest != RECIPE.digest


def test_an_agent_s_image_follows_the_common_one() -> None:
    one = AgentRecipe(RECIPE, "bob", Options(apt=("jq",)))
    assert one.digest not in (RECIPE.digest, AgentRecipe(RECIPE, "bob", Options(apt=("rg",))).digest)
    assert AgentRecipe(replace(RECIPE, protocol=2), "bob", one.options).digest != one.digest
    assert one.tag.startswith("roost-agent-bob:")


@pytest.mark.parametrize(("agent", "name"), [("_x", "x"), ("a_-b", "a-b"), ("-", "agent"), ("a1", "a1")])
def test_every_agent_has_a_name_that_an_image_can_have(agent: str, name: str) -> None:
    assert AgentRecipe(RECIPE, agent, Options()).name == f"roost-agent-{name}"


# ---------------------------------------------------------------- whether it fits


def test_an_image_fits_by_its_labels() -> None:
    labels = {**RECIPE.labels, BASE_LABEL: RECIPE.base_image}
    assert judge(RECIPE, labels).state == "fits"
    assert judge(RECIPE, {**labels, BASE_LABEL: DEBIAN_BASE}).state == "fits"
    assert judge(RECIPE, None).state == "missing"
    for wrong, said in (
        ({PROTOCOL_LABEL: "7"}, "speaks protocol 7, this Roost 1"),
        ({"roost.source": "0"}, "other code or other options"),
        ({BASE_LABEL: "alpine"}, "stands on alpine"),
    ):
        verdict = judge(RECIPE, {**labels, **wrong})
        assert verdict.state == "old"
        assert said in verdict.sentence and verdict.sentence.endswith("`roost image build` again.")


# ---------------------------------------------------------------- what the engine is given


def test_only_the_image_s_own_files_reach_the_engine(project: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "a.whl").write_text("a")
    recipe = replace(RECIPE, source=project)
    with context(recipe, wheels=wheels, extra=None) as folder:
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert {path.name for path in folder.iterdir()} == {
            "Dockerfile",
            "agent",
            "entrypoint.sh",
            "extra",
            "requirements.txt",
            "wheels",
        }
        code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "agent").rglob("*.py")}
        assert {name for name in found if name.startswith("agent/")} == code
        assert "wheels/a.whl" in found
        assert all(path.stat().st_mode & 0o777 == 0o755 for path in folder.rglob("*") if path.is_dir())
        assert (folder / "agent" / "loop.py").stat().st_mode & 0o777 == 0o644
    assert not folder.exists()


def test_no_dockerfile_would_have_a_frontend_pulled() -> None:
    for file in (DOCKERFILE, AGENT_DOCKERFILE):
        assert not any(line.lower().startswith("# syntax") for line in file.read_text().splitlines())


def test_the_client_builds_where_we_look() -> None:
    env = client_environment({"PATH": "/bin", "DOCKER_CONTEXT": "far", "BUILDX_BUILDER": "x"}, "unix:///x")
    assert env == {"PATH": "/bin", "DOCKER_HOST": "unix:///x", "DOCKER_BUILDKIT": "1"}


# ---------------------------------------------------------------- the client

OLD = 'test "$*" = --version && echo "Docker version 20.10.24+dfsg1, build 297e128"'
"""Debian 12's: BuildKit is a part of it, and it knows no plugin."""
BARE = 'test "$*" = --version && echo "Docker version 28.2.2, build e6534b4"'
PLUGIN = 'test "$*" = "buildx version" && echo "github.com/docker/buildx v0.14.0"'
PODMAN = 'test "$*" = --version && echo "podman version 4.3.1"'


@pytest.fixture
def clients(tmp_path: Path) -> Callable[..., str]:
    """Puts a client into a folder for each text, and gives their PATH."""

    def put(*texts: str) -> str:
        files = [script(tmp_path / str(number) / "docker", text) for number, text in enumerate(texts)]
        return ":".join(str(file.parent) for file in files)

    return put


@pytest.mark.parametrize(
    ("texts", "chosen"),
    [((OLD,), 0), ((PLUGIN,), 0), ((BARE, OLD), 1), ((PODMAN, PLUGIN, OLD), 1), (("exit 1", PLUGIN), 1)],
)
def test_a_client_with_buildkit_is_found(
    clients: Callable[..., str], texts: tuple[str, ...], chosen: int
) -> None:
    path = clients(*texts)
    assert find_client(path, ()) == f"{path.split(':')[chosen]}/docker"
    assert find_client("", path.split(":")) == find_client(path, ())


def test_without_one_it_says_what_to_install(clients: Callable[..., str]) -> None:
    path = clients(BARE, PODMAN)
    with pytest.raises(ImageError) as caught:
        find_client(path, ())
    assert "apt install docker.io" in str(caught.value)
    assert all(f"{folder}/docker" in str(caught.value) for folder in path.split(":"))
    with pytest.raises(ImageError, match="there is none at all"):
        find_client("", ())


def test_what_is_no_program_is_no_client(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    with pytest.raises(ImageError, match="there is none at all"):
        find_client(str(tmp_path), ())


def test_what_a_program_says_is_passed_on_and_kept_for_its_failure(tmp_path: Path) -> None:
    said: list[str] = []
    program = script(tmp_path / "builds", 'for n in $(seq 30); do echo "step $n"; done; echo no >&2; exit 3')
    with pytest.raises(ImageError) as caught:
        run([str(program)], said.append, what="It cannot be built")
    assert said == [*(f"step {number}" for number in range(1, 31)), "no"]
    lines = str(caught.value).splitlines()
    assert lines[0] == f"It cannot be built: {program} ended with code 3."
    assert lines[1:] == said[-20:]
    with pytest.raises(ImageError, match="cannot be run: No such file"):
        run([str(tmp_path / "none")], said.append, what="It cannot be built")


def test_no_engine_is_one_sentence(tmp_path: Path) -> None:
    # In a process of its own: docker-py leaves the socket of a failed connection open.
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    roost = Path(sys.executable).parent / "roost"
    for command in ("build", "check"):
        done = subprocess.run(
            [roost, "image", command],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"roost: No Docker engine answers at unix://{tmp_path}/no.sock; is it")
        assert (done.returncode, done.stdout) == (1, "")


# ---------------------------------------------------------------- the settings


def write(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def test_every_agent_has_the_common_image_or_one_of_its_own(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "[image]\nname = 'x/y'\ncjk_fonts = true\napt = ['g++', 'jq=1.6-2.1+b1']\npip = ['a[b,c]==1.0.post1']\n"
        "[agents.ann]\n[agents.bob.image]\npip = ['pandas']\n",
    )
    found = recipes(load(file, {"ROOST_IMAGE__BROWSER": "true"}))
    ann, bob = found["ann"], found["bob"]
    assert isinstance(ann, Recipe) and isinstance(bob, AgentRecipe) and bob.common == ann
    assert ann.options.apt_packages == (
        "fonts-noto-cjk",
        "chromium",
        "fonts-liberation",
        "g++",
        "jq=1.6-2.1+b1",
    )
    assert (ann.name, ann.options.pip, bob.options.pip) == ("x/y", ("a[b,c]==1.0.post1",), ("pandas",))
    assert recipes(Config())["assistant"].tag.startswith("roost-agent:")


@pytest.mark.parametrize(
    "name",
    ["", "-o", "--force", "a b", "jq;id", "jq-", "$(id)", "jq\n", "../x", "jq=", "jq=-1", "Jq", "jq/stable"],
)
def test_a_debian_package_is_a_name_and_nothing_else(tmp_path: Path, name: str) -> None:
    for table in ("image", "agents.bob.image"):
        with pytest.raises(ConfigError, match=r"apt\[0\] should be the name of a Debian package"):
            load(write(tmp_path, f"[{table}]\napt = [{name!r}]\n"), {})


@pytest.mark.parametrize(
    "name",
    ["", "-r", "--pre", "a b", "a;id", "a @ http://x", "git+https://x", "./a", "a\n", "a==", "a==*", "a>=1"],
)
def test_a_python_package_is_a_name_and_nothing_else(tmp_path: Path, name: str) -> None:
    for table in ("image", "agents.bob.image"):
        with pytest.raises(ConfigError, match=r"pip\[0\] should be the name of a Python package"):
            load(write(tmp_path, f"[{table}]\npip = [{name!r}]\n"), {})


@pytest.mark.parametrize(
    "setting", ["name = 'A'", "name = '-x'", "base_image = '--x'", "base_image = ''", "name = 'a:b'"]
)
def test_an_image_s_name_is_one(tmp_path: Path, setting: str) -> None:
    with pytest.raises(ConfigError, match=setting.split()[0]):
        load(write(tmp_path, f"[image]\n{setting}\n"), {})
