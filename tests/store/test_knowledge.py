"""What an agent is given to read, from real folders: some of them made by somebody who wants to do harm."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import knowledge
from agent.knowledge import (
    MAX_FRONT_MATTER_BYTES,
    MAX_INSTRUCTIONS_BYTES,
    MAX_NOTES_BYTES,
    MAX_SKILLS,
    Notes,
    Skill,
    front_matter,
    gather,
    read_instructions,
    read_notes,
    read_skills,
)

NOBODY: Final = 65_534


def skill(folder: Path, name: str, text: str) -> Path:
    path = folder / "skills" / name / "SKILL.md"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def said(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records)


# ---------------------------------------------------------------- instructions and notes


def test_an_empty_folder_says_nothing_and_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        assert read_instructions(folder) is None
        assert read_skills(folder) == ()
        assert read_notes(folder) is None
    assert said(caplog) == ""


def test_instructions_are_read_up_to_their_bound_and_not_in_half(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "INSTRUCTIONS.md"
    file.write_text("\ufeffBe brief.")
    assert read_instructions(tmp_path) == "Be brief."
    file.write_bytes(b"x" * MAX_INSTRUCTIONS_BYTES)
    assert read_instructions(tmp_path) == "x" * MAX_INSTRUCTIONS_BYTES
    assert said(caplog) == ""
    file.write_bytes(b"x" * (MAX_INSTRUCTIONS_BYTES + 1))
    assert read_instructions(tmp_path) is None
    assert said(caplog) == f"{file} has more than 262144 bytes; going on without"


def test_of_long_notes_the_beginning_is_read(tmp_path: Path) -> None:
    file = tmp_path / "MEMORY.md"
    file.write_bytes(b"x" * MAX_NOTES_BYTES)
    assert read_notes(tmp_path) == Notes("x" * MAX_NOTES_BYTES, file)
    file.write_bytes(b"x" * MAX_NOTES_BYTES + b"y")
    assert read_notes(tmp_path) == Notes("x" * MAX_NOTES_BYTES, file, cut=True)
    file.write_text(" \n")
    assert read_notes(tmp_path) is None


def test_notes_of_a_gigabyte_cost_no_more_than_their_beginning(tmp_path: Path) -> None:
    with (tmp_path / "MEMORY.md").open("wb") as file:
        file.truncate(2**30)
    found = read_notes(tmp_path)
    assert found is not None and found.cut and len(found.text) == MAX_NOTES_BYTES


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "MEMORY.md").write_bytes(b"caf\xe9 \xff\xfe end")
    found = read_notes(tmp_path)
    assert found is not None and found.text == "caf\ufffd \ufffd\ufffd end"


@pytest.mark.parametrize("trap", ["fifo", "folder", "link", "loop", "device", "socket"])
def test_what_is_no_regular_file_is_left_alone(
    tmp_path: Path, trap: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "MEMORY.md"
    (tmp_path / "secret").write_text("secret")
    match trap:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(tmp_path / "secret")
        case "loop":
            path.symlink_to(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "socket":
            os.mknod(path, stat.S_IFSOCK | 0o600)
    assert read_notes(tmp_path) is None
    assert said(caplog).startswith(str(path)) and said(caplog).endswith("going on without")


def test_instructions_that_are_a_fifo_are_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "INSTRUCTIONS.md").symlink_to(tmp_path / "fifo")
    assert read_instructions(tmp_path) is None
    assert "is no regular file" in said(caplog)


def test_an_operator_may_link_instructions_to_where_they_are_kept(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.md").write_text("Be brief.")
    (tmp_path / "INSTRUCTIONS.md").symlink_to("elsewhere.md")
    assert read_instructions(tmp_path) == "Be brief."


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever runs this may not read everything any more; its folder is where it is, for it cannot go there."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    yield
    os.seteuid(before)


@pytest.fixture
def unreadable(tmp_path: Path) -> None:
    (tmp_path / "INSTRUCTIONS.md").touch(mode=0o000)


@pytest.mark.usefixtures("unreadable", "nobody")
def test_a_file_without_permission_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert read_instructions(Path()) is None
    assert "cannot be read (Permission denied)" in said(caplog)


# ---------------------------------------------------------------- skills


def test_skills_are_listed_by_their_front_matter(tmp_path: Path) -> None:
    second = skill(tmp_path, "b", "---\nname: reports\ndescription: Writes reports.\n---\n# How\n")
    first = skill(tmp_path, "a", '---\ndescription: "Reads: mail"\n---\n')
    third = skill(tmp_path, "plain", "# No front matter\n")
    (tmp_path / "skills" / "empty").mkdir()
    (tmp_path / "skills" / "stray.md").write_text("stray")
    skill(tmp_path, ".hidden", "---\nname: hidden\n---\n")
    assert read_skills(tmp_path) == (
        Skill("a", "Reads: mail", first),
        Skill("reports", "Writes reports.", second),
        Skill("plain", "", third),
    )


def test_skills_are_bounded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MAX_SKILLS + 1):
        skill(tmp_path, f"{number:03}", "---\nname: " + "n" * 999 + "\ndescription: " + "d" * 9999)
    found = read_skills(tmp_path)
    assert len(found) == MAX_SKILLS and found[-1].path.parent.name == "099"
    assert {(len(each.name), len(each.description)) for each in found} == {(64, 1024)}
    assert "there are more than 100 skills" in said(caplog)
    monkeypatch.setattr(knowledge, "MAX_ENTRIES", 7)
    assert len(read_skills(tmp_path)) == 7


def test_front_matter_that_never_ends_is_read_in_part(tmp_path: Path) -> None:
    skill(tmp_path, "endless", "---\nname: endless\n" + "x" * MAX_FRONT_MATTER_BYTES + "\ndescription: late")
    (found,) = read_skills(tmp_path)
    assert (found.name, found.description) == ("endless", "")


def test_skills_that_cannot_be_listed_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "skills").touch()
    assert read_skills(tmp_path) == ()
    assert "going on without skills" in said(caplog)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        ("name: x", {}),
        ("---", {}),
        ("---\n---\nname: late", {}),
        ("---\nName: x\n---", {"name": "x"}),
        ("--- \nname : x\n...\nname: y", {"name": "x"}),
        ("---\r\nname: x\r\n---\r\n", {"name": "x"}),
        ("---\ndescription: 'it''s'\n---", {"description": "it''s"}),
        ("---\ndescription: >-\n  one\n  two\n\nname: x\n---", {"description": "one two", "name": "x"}),
        ("---\ndescription: one\n  two\n---", {"description": "one two"}),
        ("---\n- item\n  more\n# comment\nname: x\n---", {"name": "x"}),
        ("---\nurl: http://x: y\ntags: [a, b]\nname:x\n---", {"url": "http://x: y", "tags": "[a, b]"}),
    ],
)
def test_front_matter(text: str, fields: dict[str, str]) -> None:
    assert front_matter(text) == fields


@given(st.text() | st.text("-:|> \nabc'\"").map("---\n{}".format))
def test_no_front_matter_breaks_it(text: str) -> None:
    front_matter(text)


# ---------------------------------------------------------------- all of it


async def test_all_of_it_is_gathered_as_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "INSTRUCTIONS.md").write_text("one")
    (tmp_path / "MEMORY.md").write_text("noted")
    path = skill(tmp_path, "a", "---\ndescription: does a\n---")
    found = await gather(tmp_path, tmp_path, notes=True)
    assert found == knowledge.Knowledge(
        "one", (Skill("a", "does a", path),), Notes("noted", tmp_path / "MEMORY.md")
    )
    (tmp_path / "INSTRUCTIONS.md").write_text("two")
    again = await gather(tmp_path, tmp_path, notes=False)
    assert (again.instructions, again.notes) == ("two", None)
    assert (await gather(None, tmp_path, notes=False)) == knowledge.Knowledge()


async def test_a_disk_that_hangs_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that hangs is a pipe that nobody writes into, read as if it were a file."""
    os.mkfifo(tmp_path / "MEMORY.md")
    monkeypatch.setattr(knowledge, "_FLAGS", os.O_RDONLY)
    monkeypatch.setattr(knowledge, "READ_SECONDS", 0.05)
    try:
        assert await gather(None, tmp_path, notes=True) == knowledge.Knowledge()
        assert "could not be read" in said(caplog)
    finally:
        os.close(os.open(tmp_path / "MEMORY.md", os.O_RDWR | os.O_NONBLOCK))
