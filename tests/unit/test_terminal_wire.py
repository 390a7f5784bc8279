"""Frames of the terminal's socket, the text on the screen, and the names of files."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.terminal import files, wire
from adapters.terminal.text import plain, printable, question_lines

FRAMES: list[wire.ClientFrame | wire.SeatFrame] = [
    wire.Say(id="1", text="héllo\n\u2028🙂", files=[wire.File(name="a.bin", data=bytes(range(256)))]),
    wire.Command(id="2", name="status", arguments={"a": "1"}),
    wire.Stop(id="3"),
    wire.Receipt(id="1", state="refused", text="No.", data={"rows": [1, None]}),
    wire.Shown(text="x", files=["/tmp/f"], turn_id="t", question=wire.Question(title="T", question="Q?")),
    wire.Live(turn_id="t", offset=3, text="abc"),
    wire.Working(on=True, progress="reading"),
    wire.Settled(id="1", turn_id="t", ok=False),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_a_frame_survives_its_line(frame: wire.ClientFrame | wire.SeatFrame) -> None:
    line = wire.encode(frame)
    decode = wire.decode_client if isinstance(frame, wire.ClientFrame) else wire.decode_seat
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode(line) == frame


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"not json",
        b'{"frame":"say","id":1,"text":"x"}',
        b'{"frame":"working","on":true}',
        b"\xff",
    ],
)
def test_what_no_client_says_is_refused(line: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_client(line)


def test_the_largest_message_fits_a_line() -> None:
    text = "\x01" * (2 * 1024 * 1024)  # Six bytes each in JSON.
    data = wire.File(name="f", data=b"\xff" * wire.MAX_FILES_BYTES)
    assert len(wire.encode(wire.Say(id="1", text=text, files=[data]))) <= wire.MAX_LINE


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("2", "Green"),
        (" green ", "Green"),
        ("RED", "Red"),
        ("7", "7"),
        ("4", None),
        ("0", None),
        ("gree", None),
    ],
)
def test_an_option_is_chosen_by_label_or_number(said: str, label: str | None) -> None:
    assert wire.match_answer(said, ["Red", "Green", "7"]) == label


def test_without_options_every_text_is_an_answer() -> None:
    assert wire.match_answer(" whatever ", []) == "whatever"
    assert wire.match_answer("  ", []) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b2Jgone", "gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0;2\x1b\\sixel", "sixel"),
        ("\x1bcreset", "reset"),
        ("a\r\nb\tc\x07\x00\x7f", "a\nb\tc"),
        ("\x1b\x1b[0m[31mx", "[31mx"),
        ("half \x1b[3", "half 3"),
        ("\x9d0;never\x9d0;title\x07ended", "0;neverended"),
        ("\x90\x1bPone\x9eother\x9c.", "one."),
        ("שלום 👩‍👩‍👧 e\u0301 \u202eabc", "שלום 👩‍👩‍👧 e\u0301 \u202eabc\u202c"),
    ],
)
def test_text_does_not_control_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.one_of(st.sampled_from("\x1b[]0m;P\\\x07\x9b\x9d\n\t\x7f"), st.characters())))
def test_no_control_character_is_left(text: str) -> None:
    shown = printable(text)
    assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 for c in shown)
    assert printable(shown) == shown


@pytest.mark.parametrize(
    "introducer", ["\x9d", "\x90", "\x9b", "\x1b]", "\x1b[", "\x1b[" + "0" * 64, "\x9d" + "a" * 4_000]
)
def test_introducers_that_nothing_follows_cost_what_they_are_long(introducer: str) -> None:
    # Where each of them looked for its end among all the later ones, this took hours.
    many = introducer * (2 * 2**20 // len(introducer))
    assert printable(many) == re.sub(r"[\x1b\x90\x9b\x9d]\[?\]?", "", many)


def test_a_question_is_a_numbered_list() -> None:
    lines = question_lines(title="Colour", question="Which\x1b[2J?", options=["Red", "Green"]).splitlines()
    assert lines[:4] == ["Colour", "Which?", "  1. Red", "  2. Green"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\dir\\a.txt", "a.txt"),
        ("..", "file"),
        ("", "file"),
        (".bashrc", "bashrc"),
        ("a\x1b[31m\nb.txt", "a[31mb.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("naïve 🙂.png", "naïve 🙂.png"),
        ("\ud800.txt", "\N{REPLACEMENT CHARACTER}.txt"),
    ],
)
def test_a_file_name_is_made_safe(name: str, safe: str) -> None:
    assert files.safe_name(name) == safe


@given(st.text())
def test_any_name_can_be_saved(name: str) -> None:
    safe = files.safe_name(name)
    assert safe not in ("", ".", "..")
    assert "/" not in safe
    assert not safe.startswith(".")
    assert len(os.fsencode(safe)) <= files.MAX_NAME_BYTES
    assert files.safe_name(safe) == safe


def test_a_long_name_keeps_its_ending() -> None:
    assert files.safe_name("é" * 500 + ".pdf").endswith("é.pdf")


def test_saving_never_overwrites_and_follows_no_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    folder = tmp_path / "downloads"
    first = files.save(folder, "a.txt", b"one")
    (folder / "a-2.txt").symlink_to(target)
    third = files.save(folder, "../a.txt", b"three")
    assert (first, third) == (folder / "a.txt", folder / "a-3.txt")
    assert (first.read_bytes(), third.read_bytes()) == (b"one", b"three")
    assert not target.exists()
    assert first.stat().st_mode & 0o777 == 0o600


def test_a_file_is_loaded_with_its_type(tmp_path: Path) -> None:
    path = tmp_path / "a b.png"
    path.write_bytes(b"\x89PNG")
    assert files.load(path) == wire.File(name="a b.png", media_type="image/png", data=b"\x89PNG")


def test_what_is_no_file_is_named_in_a_sentence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, words in [("none", "There is no file"), ("fifo", "is not a file"), (".", "cannot be read")]:
        with pytest.raises(files.FileProblem, match=words) as caught:
            files.load(tmp_path / name)
        assert str(caught.value).endswith(".")
    with pytest.raises(files.FileProblem):
        files.load(Path("a\x00b"))


def test_a_file_that_is_too_large_is_not_loaded(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as file:
        file.truncate(wire.MAX_FILES_BYTES + 1)
    with pytest.raises(files.FileProblem, match="larger than 32 MiB"):
        files.load(tmp_path / "large")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a\u202eb\u202c"),
        ("a\u202eb\nc", "a\u202eb\u202c\nc"),
        ("\u2067x\u202dy", "\u2067x\u202dy\u202c\u2069"),
        ("\u2067x\u202dy\u2069", "\u2067x\u202dy\u2069"),
        ("\u202ax\u202c \u2069", "\u202ax\u202c \u2069"),
        ("שלום", "שלום"),
    ],
)
def test_a_change_of_direction_ends_with_its_line(text: str, shown: str) -> None:
    assert printable(text) == printable(shown) == shown
    assert plain(text) == "".join(
        c for c in text if not "\u202a" <= c <= "\u202e" and not "\u2066" <= c <= "\u2069"
    )
