"""Removing trees that were made to be hard to remove."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.removal import remove
from tests.fakes.hostile import deepen


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    path.mkdir()
    return path


def test_a_tree_that_is_deeper_than_python_is_removed(tree: Path) -> None:
    deepen(tree, 3_000)
    before = len(os.listdir("/proc/self/fd"))
    assert remove(tree)
    assert not tree.exists() and len(os.listdir("/proc/self/fd")) == before


def test_links_are_removed_and_not_followed(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "link").symlink_to(tmp_path / "precious")
    (tree / "a" / "b" / "link").symlink_to(tmp_path / "precious")
    os.mkfifo(tree / "a" / "fifo")
    assert remove(tree)
    assert (tmp_path / "precious" / "file").exists()
    (tree).symlink_to(tmp_path / "precious")
    assert not remove(tree)
    assert (tmp_path / "precious" / "file").exists()


def test_so_many_steps_and_no_more_are_taken(tree: Path) -> None:
    for number in range(100):
        (tree / f"{number}").touch()
    deepen(tree, 50)
    assert not remove(tree, max_steps=60)
    assert 40 <= len(list(tree.rglob("*"))) < 150
    while not remove(tree, max_steps=60):
        pass


def test_absent_is_gone(tree: Path) -> None:
    assert remove(tree / "nothing")
