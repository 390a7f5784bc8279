"""What disks and power cuts do to a file, by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

PAGE: Final = 4096


def flip_header(data: bytearray, chance: random.Random) -> None:
    _flip(data, chance, 0, 100)


def flip_first_page(data: bytearray, chance: random.Random) -> None:
    _flip(data, chance, 100, PAGE)


def flip_leaf(data: bytearray, chance: random.Random) -> None:
    """Some bytes of one page behind the first."""
    start = PAGE * chance.randrange(1, max(2, len(data) // PAGE))
    for _ in range(8):
        _flip(data, chance, start, start + PAGE)


def flip_anywhere(data: bytearray, chance: random.Random) -> None:
    _flip(data, chance, 0, len(data))


def zero_page(data: bytearray, chance: random.Random) -> None:
    start = PAGE * chance.randrange(len(data) // PAGE)
    data[start : start + PAGE] = bytes(PAGE)


def cut_short(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


DAMAGES: Final[Mapping[str, Callable[[bytearray, random.Random], None]]] = {
    damage.__name__: damage
    for damage in (flip_header, flip_first_page, flip_leaf, flip_anywhere, zero_page, cut_short)
}


def damage(path: Path, kind: str, seed: int) -> None:
    """Damages the file in place; whoever has it open goes on with it."""
    data = bytearray(path.read_bytes())
    DAMAGES[kind](data, random.Random(seed))
    with path.open("r+b") as file:
        file.write(data)
        file.truncate(len(data))


def _flip(data: bytearray, chance: random.Random, start: int, end: int) -> None:
    place = chance.randrange(start, min(end, len(data)))
    data[place] ^= chance.randrange(1, 256)
