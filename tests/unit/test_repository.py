"""The repository as a stranger finds it: nothing unexpected, nothing of one machine, no false promise."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from bot import commands
from bot.commands.groups import GROUPS
from bot.commands.offered import document

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {
    ".ci",
    ".editorconfig",
    ".gitignore",
    ".pre-commit-config.yaml",
    ".requirements",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "adapters",
    "agent",
    "bot",
    "config.example.toml",
    "container",
    "docs",
    "pyproject.toml",
    "tests",
}
LOCK = ROOT / ".requirements" / "lock.txt"
IMAGE_LOCK = ROOT / ".requirements" / "agent.txt"


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments, "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.split("\0") if line]


def files() -> list[Path]:
    """What a clone holds, and what is about to be added to it."""
    names = git("ls-files", "--cached", "--others", "--exclude-standard")
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def documents() -> list[Path]:
    return [file for file in files() if file.suffix == ".md"]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_top_level_is_as_agreed() -> None:
    assert {file.relative_to(ROOT).parts[0] for file in files()} - TOP_LEVEL == set()


# ---------------------------------------------------------------- the lock


def pinned(lock: Path = LOCK) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", lock.read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", [LOCK, IMAGE_LOCK])
def test_lock_names_packages_and_no_place(lock: Path) -> None:
    for line in lock.read_text().splitlines():
        known = r"[a-z0-9-]+==[\w.]+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?|\s*#.*|"
        assert re.fullmatch(known, line), line
        assert "/" not in line, line


def test_lock_pins_every_declared_dependency_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    declared = [*project["dependencies"], *(line for extra in extras for line in extra)]
    # A lock file has each name in its normal form (PEP 503).
    names = {re.sub(r"[-_.]+", "-", re.split(r"[>=<!~\[ ;]", line)[0]) for line in declared}
    assert names - pinned().keys() == set()
    blocks = re.split(r"\n(?=[a-z0-9-]+==)", LOCK.read_text())
    assert len(blocks) >= len(names)
    assert all("--hash=sha256:" in block for block in blocks)


def hashes(lock: Path) -> dict[str, set[str]]:
    blocks = re.split(r"\n(?=[a-z0-9-]+==)", lock.read_text())
    return {block.split("==")[0]: set(re.findall(r"sha256:[0-9a-f]{64}", block)) for block in blocks}


def test_the_image_s_lock_is_the_agent_s_part_of_the_other() -> None:
    assert pinned(IMAGE_LOCK).items() <= pinned().items()
    assert all(found and found <= hashes(LOCK)[name] for name, found in hashes(IMAGE_LOCK).items())
    assert {"pydantic", "claude-agent-sdk"} <= pinned(IMAGE_LOCK).keys()
    assert not {"docker", "typer", "pytest"} & pinned(IMAGE_LOCK).keys()
    # As a part of the package it is found where Roost is installed without its clone.
    assert (ROOT / "container" / "image" / "requirements.txt").resolve() == IMAGE_LOCK


# ---------------------------------------------------------------- nothing of one machine


def test_no_file_knows_a_package_index_or_this_machine() -> None:
    option = re.compile(r"--(?:extra-)?index-url[ =]|--find-links[ =]|--trusted-host[ =]|/simple/")
    for file in files():
        if file == Path(__file__):
            continue
        text = file.read_text(encoding="utf-8")
        assert not option.search(text), file
        assert str(ROOT) not in text, file


# ---------------------------------------------------------------- what the documents say


def test_documents_name_only_targets_that_exist() -> None:
    for file in documents():
        named = set(re.findall(r"(?:`|^    |^)make ([a-z]+)", file.read_text(), re.MULTILINE))
        assert named - targets() == set(), file


def test_documents_link_to_what_exists() -> None:
    for file in documents():
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", file.read_text()):
            if "://" not in link and not link.startswith("mailto:"):
                assert (file.parent / link).exists(), f"{file.relative_to(ROOT)} links to {link}"


def test_documents_name_paths_that_exist() -> None:
    ours = "|".join(re.escape(name) for name in sorted(TOP_LEVEL))
    for file in documents():
        for path in re.findall(rf"`((?:{ours})(?:/[\w./-]*)?)`", file.read_text()):
            assert (ROOT / path).exists(), f"{file.relative_to(ROOT)} names {path}"


# ---------------------------------------------------------------- make


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # One make in another inherits its flags; what a person types has none.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )


def test_help_lists_every_target() -> None:
    shown = re.findall(r"^  make ([a-z]+)", make("help").stdout, re.MULTILINE)
    assert len(shown) == len(set(shown))
    assert set(shown) == targets() >= {"install", "run", "test", "lint", "bench", "lock", "clean", "help"}


def test_an_old_python_is_refused_with_a_sentence(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make("install", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "Roost needs Python 3.11 or newer" in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("status", [0, 3])
def test_run_passes_on_input_output_and_failure(tmp_path: Path, status: int) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    roost = venv / "bin" / "roost"
    roost.write_text(f'#!/bin/sh\necho "args: $*"\ncat\nexit {status}\n')
    roost.chmod(0o755)
    (venv / ".installed").touch()
    done = subprocess.run(
        ["make", "-s", "-C", str(ROOT), "run", f"VENV={venv}"],
        cwd=tmp_path,
        input="hello\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "args: run\nhello\n"
    assert (done.returncode == 0) == (status == 0)


def test_the_commands_are_documented_as_they_are() -> None:
    assert (ROOT / "docs" / "commands.md").read_text() == document(), "`make docs` writes it anew"
    assert {each.name.split()[0] for each in commands.ALL if " " in each.name} <= set(GROUPS)
