"""How much two runs of bytes differ, element by element."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


class Piece(NamedTuple):
    """A chunk of a file: where it begins there, its raw size, and what identifies its bytes."""

    offset: int
    size: int
    chunk: int


def differing_elements(left: bytes, right: bytes, width: int) -> int:
    """Elements of `width` bytes (1, 2, 4 or 8) that are not the same bytes in both, which have one length."""
    kind = _UNSIGNED[width]
    whole = len(left) - len(left) % width
    a, b = np.frombuffer(left[:whole], kind), np.frombuffer(right[:whole], kind)
    return int(np.count_nonzero(a != b)) + int(left[whole:] != right[whole:])


def differing_ranges(
    left: Sequence[Piece], left_at: int, right: Sequence[Piece], right_at: int, size: int
) -> Iterator[tuple[int, int]]:
    """Ranges [begin, end) of `size` bytes, from `left_at` and `right_at`, that are not one chunk in both files.

    Counted from the start of the run, ascending and not touching. `left` and `right` are whole files, in order.
    """
    i, j = _at(left, left_at), _at(right, right_at)
    position, begun = 0, -1
    while position < size:
        a, b = left[i], right[j]
        a_in, b_in = left_at + position - a.offset, right_at + position - b.offset
        end = min(size, position + min(a.size - a_in, b.size - b_in))
        if a.chunk == b.chunk and a_in == b_in:
            if begun >= 0:
                yield begun, position
                begun = -1
        elif begun < 0:
            begun = position
        i += left_at + end >= a.offset + a.size
        j += right_at + end >= b.offset + b.size
        position = end
    if begun >= 0:
        yield begun, size


def _at(pieces: Sequence[Piece], position: int) -> int:
    return max(0, bisect_right(pieces, position, key=lambda piece: piece.offset) - 1)
