"""What is kept of replies that wait: so many, and so many bytes of memory. Pure."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar

from adapters.terminal import wire

FRAME_BYTES: Final = 1_000
"""About what a frame takes besides its texts."""

T = TypeVar("T")


def weight(frame: wire.SeatFrame) -> int:
    """About how many bytes of memory a frame takes."""
    texts: list[str] = []
    match frame:
        case wire.Shown(text=text, files=files, question=question):
            texts += [text, *files]
            if question is not None:
                texts += [question.title, question.question, *question.options]
        case wire.Live(text=text):
            texts.append(text)
    return FRAME_BYTES + sum(map(sys.getsizeof, texts))


class Kept(Generic[T]):
    """A line of them. The oldest give way to a newer one for which there is no room; one at least is kept."""

    def __init__(self, most: int, most_bytes: int, weigh: Callable[[T], int]) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._weigh = weigh
        self._items: deque[T] = deque()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def append(self, item: T) -> None:
        """Puts it at the end."""
        self._items.append(item)
        self.bytes += self._weigh(item)
        while len(self._items) > 1 and not self.has_room:
            self.popleft()

    @property
    def has_room(self) -> bool:
        """Whether no more is kept than may be."""
        return len(self._items) <= self._most and self.bytes <= self._most_bytes

    def extend(self, items: Iterable[T]) -> None:
        """Puts all of them at the end, one after the other."""
        for item in items:
            self.append(item)

    def popleft(self) -> T:
        """Takes the oldest. Raises IndexError."""
        item = self._items.popleft()
        self.bytes -= self._weigh(item)
        return item

    def remove(self, item: T) -> None:
        """Raises ValueError when it is not there."""
        self._items.remove(item)
        self.bytes -= self._weigh(item)

    def clear(self) -> None:
        """Keeps nothing."""
        self._items.clear()
        self.bytes = 0
