"""How much of a long answer fits one message."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

R = TypeVar("R")

MOST_TOO_LONG = 100
"""Rows that are looked at in vain; then the answer is full."""


class Budget:
    """Rows of several kinds until they are too many for one message; what is cut is said in `notes`."""

    def __init__(self, size: int):
        self._left = size
        self.notes: list[str] = []

    def take(
        self, what: str, rows: Iterable[R], weigh: Callable[[R], int], most: int | None = None
    ) -> list[R]:
        """These rows, at most the first `most`, without those too long for what is left: a long description must not
        hide the commit. `weigh` tells about how many bytes one takes."""
        taken: list[R] = []
        too_long = 0
        for row in rows:
            weight = weigh(row)
            if weight > self._left:
                too_long += 1
            if len(taken) == most or too_long > MOST_TOO_LONG:
                self.notes.append(f"only the first {len(taken)} {what} are listed")
                break
            if weight <= self._left:
                self._left -= weight
                taken.append(row)
        else:
            if too_long:
                self.notes.append(f"{too_long} of the {what} are left out, they are too long")
        return taken


def size_of(*texts: str) -> int:
    """Bytes that texts take on the wire, with what frames them."""
    return sum(len(text.encode("utf-8", "replace")) + 6 for text in texts)
