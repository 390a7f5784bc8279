"""The image as it comes out of the engine: what is in it, as whom it runs, what it says when it does not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient
from docker.errors import ContainerError

from agent.protocol.schema import VERSION
from agent.protocol.settings import EXIT_MISFIT, EXIT_UNUSABLE
from bot.backends import choose
from bot.config import Config
from bot.images import ROOT, check_all, ensure_image, recipes
from container.image import build as building
from container.image import debian, wheels
from container.image.engine import Engine
from container.image.recipe import DEBIAN_BASE, AgentRecipe, ImageError, Options, Recipe

pytestmark = pytest.mark.docker

SETTINGS = {
    "AGENT_SESSION": "s1",
    "AGENT_INBOX": "/session/in",
    "AGENT_BELL_DIR": "/session/bell",
    "AGENT_OUTBOX": "/session/out",
    "AGENT_HOME": "/home/agent",
    "AGENT_WORK": "/workspace",
}
CODE = "/opt/roost/lib/python3.11/site-packages"
UID = 10001


class Ran:
    """How a command in the image ended, and what it said."""

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text


def run(
    client: DockerClient,
    image: str,
    *command: str,
    env: Mapping[str, str] | None = None,
    mounts: Mapping[Path, str] | None = None,
) -> Ran:
    """Runs a command as a session's container would be run."""
    try:
        said = client.containers.run(
            image,
            list(command),
            environment=dict(env or {}),
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            tmpfs={"/tmp": "noexec"},
            volumes={str(here): {"bind": there, "mode": "rw"} for here, there in (mounts or {}).items()},
            stderr=True,
            remove=True,
        )
    except ContainerError as exc:
        text = exc.stderr
        return Ran(exc.exit_status, text.decode() if isinstance(text, bytes) else str(text))
    return Ran(0, said.decode())


def python(client: DockerClient, image: str, code: str) -> Any:
    """What an expression in the image is."""
    ran = run(
        client, image, "python", "-I", "-c", f"import json, os, pathlib, sys; print(json.dumps({code}))"
    )
    assert ran.code == 0, ran.text
    return json.loads(ran.text)


# ---------------------------------------------------------------- how it was made


def test_it_says_what_it_is(docker_client: DockerClient, image: str) -> None:
    attributes = docker_client.images.get(image).attrs["Config"]
    assert attributes["User"] == "10001:10001"
    assert attributes["Entrypoint"] == ["tini", "--", "/usr/local/bin/entrypoint.sh"]
    assert attributes["Cmd"] == ["agent"]
    recipe = recipes(Config())["assistant"]
    assert image == recipe.tag and recipe.labels.items() <= attributes["Labels"].items()
    assert attributes["Labels"]["roost.protocol"] == str(VERSION)
    assert f"roost-agent:{attributes['Labels']['roost.source'][:12]}" == image


def test_of_ours_it_holds_the_agent_and_nothing_else(docker_client: DockerClient, image: str) -> None:
    found = python(
        docker_client,
        image,
        f"[str(p.relative_to('{CODE}')) for p in pathlib.Path('{CODE}').rglob('agent/**/*') if p.is_file()]",
    )
    modules = {name for name in found if not name.endswith(".pyc")}
    assert modules == {path.relative_to(ROOT).as_posix() for path in (ROOT / "agent").rglob("*.py")}
    assert sum(name.endswith(".pyc") for name in found) == len(modules)
    everywhere = run(docker_client, image, "find", "/", "-xdev", "-name", "*.toml", "-o", "-name", "*.whl")
    assert not [name for name in everywhere.text.splitlines() if name.endswith("config.toml")]
    for name in ("bot", "container", "adapters", "tests", "pip", "docker"):
        assert python(docker_client, image, f"pathlib.Path('{CODE}/{name}').exists()") is False, name
    assert "/wheels" not in everywhere.text and ".whl" not in everywhere.text.replace("ensurepip", "")


def test_nothing_in_it_can_be_changed_or_raises_rights(docker_client: DockerClient, image: str) -> None:
    code = """
        found=$(find / -xdev -perm /6000 -type f 2>/dev/null; find /opt/roost -writable ! -type l)
        [ -z "$found" ] || { echo "$found"; exit 1; }
        if touch /home/agent/x 2>/dev/null; then exit 2; fi
        stat -c '%U %a' /home/agent /workspace /session/in /session/bell /session/out /agent
    """
    ran = run(docker_client, image, "sh", "-c", code)
    assert ran.code == 0, ran.text
    assert ran.text.splitlines()[-6:] == ["agent 755"] * 2 + ["root 755"] * 4


# ---------------------------------------------------------------- how it runs


def test_it_runs_without_rights_and_beneath_tini(docker_client: DockerClient, image: str) -> None:
    told = python(
        docker_client,
        image,
        "[os.getuid(), os.getgid(), os.getppid(), pathlib.Path('/proc/1/comm').read_text(), os.getcwd(),"
        " __import__('agent.protocol.schema', fromlist=['x']).VERSION, os.umask(0)]",
    )
    assert told == [UID, UID, 1, "tini\n", "/workspace", VERSION, 0o022]


def test_the_runner_is_tried_out(docker_client: DockerClient, image: str) -> None:
    for env, code, said in (
        (SETTINGS, 0, ""),
        ({**SETTINGS, "AGENT_PROVIDER_OPTIONS": '{"script": 1}'}, EXIT_UNUSABLE, "script"),
        ({**SETTINGS, "AGENT_NEWER": "1"}, EXIT_MISFIT, "AGENT_NEWER"),
    ):
        ran = run(docker_client, image, "agent", "--check", env=env)
        assert ran.code == code and said in ran.text, ran.text


def test_another_protocol_is_a_sentence_for_the_operator(docker_client: DockerClient, image: str) -> None:
    # A host of that version need not have any of the settings that are known here.
    ran = run(docker_client, image, env={"AGENT_PROTOCOL": "99", "AGENT_NEWER": "1"})
    assert ran.code == EXIT_MISFIT
    assert "protocol 99" in ran.text and "`roost image build`" in ran.text


def test_what_an_agent_leaves_in_its_folders_is_not_imported(
    docker_client: DockerClient, image: str, tmp_path: Path
) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    site = home / ".local" / "lib" / "python3.11" / "site-packages"
    for folder in (work, site):
        folder.mkdir(parents=True)
        for name in ("asyncio", "pydantic", "usercustomize"):
            (folder / f"{name}.py").write_text("raise SystemExit('taken in')")
    mounts = {work: "/workspace", home: "/home/agent"}
    ran = run(docker_client, image, "agent", "--check", env=SETTINGS, mounts=mounts)
    assert (ran.code, ran.text) == (0, "")


def test_claude_is_in_it_and_starts(docker_client: DockerClient, image: str) -> None:
    cli = python(
        docker_client,
        image,
        "str(next((pathlib.Path(__import__('claude_agent_sdk').__file__).parent / '_bundled').glob('claude')))",
    )
    ran = run(docker_client, image, cli, "--version", env={"HOME": "/tmp"})
    assert ran.code == 0 and "Claude Code" in ran.text, ran.text


def test_it_removes_what_its_user_owns(docker_client: DockerClient, image: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    locked = folder / "a" / "locked"
    locked.mkdir(parents=True)
    (locked / ".hidden").write_text("x")
    (folder / "to host").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.lchown(path, UID, UID)
        locked.chmod(0)
    else:
        folder.chmod(0o777)
    ran = run(docker_client, image, "remove", "/session/out", mounts={folder: "/session/out"})
    if os.geteuid() == 0:
        assert (ran.code, ran.text) == (0, "")
        assert folder.is_dir() and not any(folder.iterdir())
    assert (tmp_path / "kept").is_dir()


# ---------------------------------------------------------------- having it built


@pytest.fixture
def engine(docker_client: DockerClient) -> Any:
    with Engine(os.environ) as found:
        yield found


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> building.Workshop:
    """Keeps wheels of its own and says nothing."""
    return building.Workshop(engine, os.environ, tmp_path / "cache", lambda _: None)


@pytest.fixture
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
    return folder


def test_an_image_that_fits_is_not_built_again(image: str) -> None:
    said: list[str] = []
    assert ensure_image(Config(), ["assistant"], said.append) == {"assistant": image}
    assert said == []
    told = check_all(Config())
    assert told.fits and told.text == f"The image {image} fits."


def test_check_tells_people_and_scripts(image: str, tmp_path: Path) -> None:
    roost = Path(sys.executable).parent / "roost"
    config = tmp_path / "config.toml"
    for text, code, told in (
        ("", 0, {"image": image, "state": "fits", "text": f"The image {image} fits."}),
        ('[image]\nname = "roost-unbuilt"\n', 1, {"state": "missing"}),
    ):
        config.write_text(text)
        done = subprocess.run(
            [roost, "image", "check", "--config", config, "--json"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (code, "")
        (found,) = json.loads(done.stdout)
        assert told.items() <= found.items()


async def test_a_trial_without_an_image_goes_on_without_docker_and_says_why(tmp_path: Path) -> None:
    config = Config.model_validate({"service": {"data_dir": tmp_path}, "image": {"name": "roost-unbuilt"}})
    chosen = await choose(config, os.environ, print)
    await chosen.backend.aclose()
    assert (chosen.kind, chosen.why) == (
        "process",
        "there is no image roost-unbuilt yet: build it with `roost image build`",
    )


def test_an_agent_s_own_packages_lie_on_top(
    docker_client: DockerClient, image: str, shop: building.Workshop, probe: Path
) -> None:
    common = recipes(Config())["assistant"]
    assert isinstance(common, Recipe)
    recipe = AgentRecipe(common, "probe", Options(pip=("roost-probe==1.0",)))
    tag = building.build(recipe, shop, base=building.base_for(recipe, shop.engine))
    try:
        assert tag == recipe.tag
        assert run(docker_client, tag, "probe").text == "probed\n"
        assert run(docker_client, tag, "agent", "--check", env=SETTINGS).code == 0
        attributes = docker_client.images.get(tag).attrs["Config"]
        assert attributes["User"] == "10001:10001" and attributes["Entrypoint"][0] == "tini"
        assert attributes["Labels"]["roost.source"] == recipe.digest
        layers = [docker_client.images.get(name).attrs["RootFS"]["Layers"] for name in (image, tag)]
        assert layers[1][: len(layers[0])] == layers[0]
    finally:
        for name in (tag, f"{recipe.name}:latest"):
            docker_client.images.remove(name)


def test_a_base_that_cannot_be_pulled_has_its_remedy(image: str, shop: building.Workshop) -> None:
    recipe = Recipe(ROOT, VERSION, "0", "127.0.0.1:1/roost-nowhere:1", name="roost-unbuilt")
    wheels_of_the_image = building.Workshop(
        shop.engine, os.environ, Path("~/.cache/roost/wheels").expanduser(), shop.say
    )
    with pytest.raises(ImageError) as caught:
        building.build(recipe, wheels_of_the_image, base=recipe.base_image)
    assert "`roost image build --base-from-debian`" in str(caught.value).splitlines()[-1]
    assert shop.engine.labels(recipe.tag) is None


def test_making_a_base_says_what_it_takes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="apt install mmdebstrap"):
        debian.make_base(engine, print, anew=True)
    if engine.labels(DEBIAN_BASE) is not None:
        debian.make_base(engine, print)


def test_further_packages_are_fetched_once(probe: Path, tmp_path: Path) -> None:
    said: list[str] = []
    cache = tmp_path / "cache"
    folder = wheels.further(cache, "x86_64", ("roost-probe==1.0",), said.append)
    assert folder is not None
    assert {path.name for path in folder.iterdir()} == {
        "requirements.txt",
        "roost_probe-1.0-py3-none-any.whl",
    }
    assert list(cache.iterdir()) == [folder]
    said.clear()
    assert wheels.further(cache, "x86_64", ("roost-probe==1.0",), said.append) == folder
    assert said == []
    assert wheels.further(cache, "x86_64", ("roost-probe==1.0",), said.append, anew=True) == folder
    assert said
    assert wheels.further(cache, "x86_64", (), said.append) is None


def test_a_further_package_may_not_contradict_the_lock(probe: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="packages cannot be fetched"):
        wheels.further(tmp_path / "cache", "x86_64", ("pydantic==1.0",), lambda _: None)
    assert not any((tmp_path / "cache").iterdir())
