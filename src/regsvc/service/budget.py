"""How much of a long answer fits one message."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

R = TypeVar("R")


class Budget:
    """Rows of several kinds until they are too many for one message; what is cut is said in `notes`."""

    def __init__(self, size: int):
        self._left = size
        self.notes: list[str] = []

    def take(
        self, what: str, rows: Iterable[R], weigh: Callable[[R], int], most: int | None = None
    ) -> list[R]:
        """The first of these rows, at most `most`; `weigh` tells about how many bytes one takes."""
        taken: list[R] = []
        for row in rows:
            weight = weigh(row)
            if weight > self._left or len(taken) == most:
                self.notes.append(f"only the first {len(taken)} {what} are listed")
                break
            self._left -= weight
            taken.append(row)
        return taken


def size_of(*texts: str) -> int:
    """Bytes that texts take on the wire, with what frames them."""
    return sum(len(text.encode("utf-8", "replace")) + 6 for text in texts)
