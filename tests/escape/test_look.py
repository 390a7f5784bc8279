"""A look from inside: what a container made as the service makes it shows to whoever is in it.

All that is seen is printed (`pytest -s`, or the log of a failure), and every list is exact where it can be: what nobody
has expected is a failure. Each check has to fail for an administrator's container, or it would not be one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.escape.wall import NO_BOUNDS, NO_WALLS, TOKEN, Cell

pytestmark = pytest.mark.docker

DEVICES = {f"/dev/{name}" for name in ("full", "null", "random", "tty", "urandom", "zero", "pts/ptmx")}
PLACES = {"/tmp", "/dev/shm", "/home/agent", "/workspace", "/session/out"}
"""Where a program may leave something."""
UNREACHABLE = {"/var/tmp", "/run/lock", "/dev/mqueue"}
"""Open to all by their modes, on file systems that nobody can write to."""
ENGINE_FILES = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"}
SECRET = "hush-of-the-service"  # noqa: S105
SETTINGS_OF_THE_SERVICE = {
    "ANTHROPIC_API_KEY": SECRET,
    "DISCORD_TOKEN": SECRET,
    "SLACK_BOT_TOKEN": SECRET,
    "PIP_INDEX_URL": f"https://{SECRET}@packages.example/simple",
    "HTTPS_PROXY": f"http://{SECRET}@proxy.example:3128",
}
IMAGE_VARIABLES = {
    "PATH",
    "HOME",
    "LANG",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "HOSTNAME",
    "PWD",
}

Look = Mapping[str, Any]


@pytest.fixture(scope="module")
def looks(once: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Look, Look]:
    """What is seen behind every wall, and what without."""
    engine = tmp_path_factory.mktemp("engine")
    proxies = {"httpProxy": SETTINGS_OF_THE_SERVICE["HTTPS_PROXY"]}
    (engine / "config.json").write_text(json.dumps({"proxies": {"default": proxies}}))

    async def look(cell: Cell) -> tuple[Look, Look]:
        seen = await cell.inside("look")
        print(seen.text)
        changes = {**NO_WALLS, "NetworkMode": "bridge", "PidMode": "host", **NO_BOUNDS}
        bare = await cell.bare("look", "plant", changes=changes, user="0:0", use_config_proxy=True)
        facts = {"given": dict(cell.spec.env), "source": str(cell.session.root)}
        return {**seen.told, **facts}, {**bare.told, **facts}

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS_OF_THE_SERVICE, "DOCKER_CONFIG": str(engine)}.items():
            patch.setenv(name, value)
        found: tuple[Look, Look] = once(look)
    return found


def environment(seen: Look) -> None:
    """Exactly what the Spec says, and what the image is; nothing of the service's, no proxy, no registry."""
    variables: dict[str, str] = seen["environment"]
    given: dict[str, str] = seen["given"]
    assert variables.keys() - given.keys() <= IMAGE_VARIABLES
    assert {name: variables[name] for name in given} == given
    assert variables["ANTHROPIC_API_KEY"] == TOKEN
    assert SECRET not in str(variables)
    assert seen["source"] not in str(variables)


def user(seen: Look) -> None:
    """Nobody, with no capability now or ever, under the filter."""
    status: dict[str, str] = seen["status"]
    assert status["Uid"].split() == status["Gid"].split() == ["10001"] * 4
    assert status["Groups"] == "10001"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def mounts(seen: Look) -> None:
    """The session's folders and what the engine adds; read-only whatever is not the container's."""
    by_place = {mount["at"]: mount for mount in seen["mounts"]}
    at = [mount["at"] for mount in seen["mounts"]]
    assert {place for place in at if at.count(place) > 1} <= {"/dev/mqueue"}
    root = seen["source"]
    sources = {place: mount["root"] for place, mount in by_place.items() if mount["root"].startswith(root)}
    assert {place: source.removeprefix(root) for place, source in sources.items()} == {
        "/session/in": "/in",
        "/session/bell": "/bell",
        "/session/out": "/out",
        "/home/agent": "/home",
        "/workspace": "/work",
    }
    binds = {
        place
        for place, mount in by_place.items()
        if mount["kind"] not in ("proc", "sysfs", "tmpfs", "cgroup", "cgroup2", "devpts", "mqueue", "overlay")
    }
    assert binds == sources.keys() | {"/agent"} | ENGINE_FILES
    writable = {place for place in binds if "rw" in by_place[place]["flags"].split(",")}
    assert writable == {"/session/out", "/home/agent", "/workspace"}
    for place in ("/", "/sys", "/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs"):
        assert "ro" in by_place[place]["flags"].split(","), place
    assert "docker.sock" not in str(seen["mounts"])


def temporary_files(seen: Look) -> None:
    """Bounded, and no place for programs or devices."""
    by_place = {mount["at"]: mount for mount in seen["mounts"]}
    for place in ("/tmp", "/dev/shm"):
        assert place in by_place
        assert {"noexec", "nosuid", "nodev"} <= set(by_place[place]["flags"].split(","))
        assert "size=65536k" in by_place[place]["options"].split(",")


def hidden(seen: Look) -> None:
    """What tells of the machine is covered."""
    covered = {mount["at"] for mount in seen["mounts"]}
    assert {"/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/pressure", "/dev/mqueue"} <= covered


def network(seen: Look) -> None:
    """Loopback and nothing else, and nobody's socket."""
    found = seen["network"]
    assert found["interfaces"] == ["lo"]
    assert found["routes"] == []
    assert {line[-1] for line in found["routes6"]} <= {"lo"}
    assert found["unix"] == []
    assert found["resolvers"] == ["nameserver 127.0.0.1"]


def processes(seen: Look) -> None:
    """The container's own: the init process, and the probe that looks."""
    assert [line.split(" ", 1)[1] for line in seen["processes"]] == ["tini", "python3"]
    assert seen["descriptors"] == ["0", "1", "2", "3"]


def limits(seen: Look) -> None:
    """Those that the Spec asks for."""
    assert seen["limits"]["Max core file size"] == ["0", "0"]
    assert seen["limits"]["Max file size"] == [str(512 * 2**20)] * 2
    assert seen["limits"]["Max open files"] == ["4096"] * 2
    assert seen["sacrifice"] == "500"
    bounds: dict[str, str] = seen["bounds"]
    gibibyte = str(2**30)
    assert bounds in (
        {
            "memory/memory.limit_in_bytes": gibibyte,
            "memory/memory.memsw.limit_in_bytes": gibibyte,
            "pids/pids.max": "256",
            "cpu/cpu.cfs_quota_us": "100000",
            "cpu/cpu.cfs_period_us": "100000",
        },
        {"memory.max": gibibyte, "memory.swap.max": "0", "pids.max": "256", "cpu.max": "100000 100000"},
    )


def writable_places(seen: Look) -> None:
    """Exactly these."""
    assert set(seen["files"]["writable"]) == DEVICES | PLACES


def writable_inventions(seen: Look) -> None:
    """Nothing of the kernel's opens for writing but what is about the process itself."""
    assert seen["inventions"] == []


def loose_files(seen: Look) -> None:
    """By their modes open to all."""
    assert set(seen["files"]["loose"]) == DEVICES | PLACES | UNREACHABLE


def borrowed_rights(seen: Look) -> None:
    """No program makes somebody else of who runs it."""
    assert seen["files"]["setuid"] == []
    assert seen["privileged"] == []


def devices(seen: Look) -> None:
    """No disk, no memory, no terminal of the host's."""
    assert set(seen["files"]["devices"]) == DEVICES
    assert seen["files"]["sockets"] == []


CHECKS = [
    environment,
    user,
    mounts,
    temporary_files,
    hidden,
    network,
    processes,
    limits,
    writable_places,
    writable_inventions,
    loose_files,
    borrowed_rights,
    devices,
]


@pytest.mark.parametrize("check", CHECKS)
def test_it_looks_as_it_should(check: Callable[[Look], None], looks: tuple[Look, Look]) -> None:
    check(looks[0])


@pytest.mark.parametrize("check", CHECKS)
def test_without_walls_the_check_finds_it(check: Callable[[Look], None], looks: tuple[Look, Look]) -> None:
    with pytest.raises(AssertionError):
        check(looks[1])
