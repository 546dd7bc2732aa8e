"""Tensors are compared by chunks first; what that leaves is exact."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from regsvc.content.comparison import Direction, direction_of
from regsvc.content.difference import Piece, differing_elements, differing_ranges


def cut(data: bytes, sizes: list[int], names: dict[bytes, int]) -> list[Piece]:
    """The data as chunks of these sizes, repeated; equal chunks have one name."""
    pieces, offset, turn = [], 0, 0
    while offset < len(data):
        chunk = data[offset : offset + sizes[turn % len(sizes)]]
        pieces.append(Piece(offset, len(chunk), names.setdefault(chunk, len(names))))
        offset, turn = offset + len(chunk), turn + 1
    return pieces


@given(
    st.integers(0, 2**32),
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(1, 200),
)
def test_what_lies_outside_of_the_ranges_is_the_same(
    seed: int, left_sizes: list[int], right_sizes: list[int], left_at: int, right_at: int, size: int
) -> None:
    rng = random.Random(seed)
    tensor = bytes(rng.choices(range(3), k=size))
    other = bytearray(tensor)
    for _ in range(rng.randrange(3)):
        other[rng.randrange(size)] ^= 1
    left = rng.randbytes(left_at) + tensor + rng.randbytes(7)
    right = rng.randbytes(right_at) + bytes(other) + rng.randbytes(9)
    names: dict[bytes, int] = {}

    ranges = list(
        differing_ranges(
            cut(left, left_sizes, names), left_at, cut(right, right_sizes, names), right_at, size
        )
    )

    inside = {position for begin, end in ranges for position in range(begin, end)}
    assert all(0 <= begin < end <= size for begin, end in ranges)
    assert all(a[1] < b[0] for a, b in pairwise(ranges))
    assert all(tensor[i] == other[i] for i in range(size) if i not in inside)


def test_equal_chunks_at_one_place_leave_nothing_to_read() -> None:
    pieces = [Piece(0, 8, 1), Piece(8, 8, 2), Piece(16, 8, 3)]
    changed = [Piece(0, 8, 1), Piece(8, 8, 9), Piece(16, 8, 3)]
    assert list(differing_ranges(pieces, 0, pieces, 0, 24)) == []
    assert list(differing_ranges(pieces, 4, changed, 4, 16)) == [(4, 12)]


@given(st.sampled_from([1, 2, 4, 8]), st.integers(0, 50), st.integers(0, 2**32))
def test_differing_elements_are_counted_one_by_one(width: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 2, count * width, np.uint8)
    right = rng.integers(0, 2, count * width, np.uint8)
    expected = sum(
        left[i : i + width].tobytes() != right[i : i + width].tobytes()
        for i in range(0, count * width, width)
    )
    assert differing_elements(left.tobytes(), right.tobytes(), width) == expected


def test_nan_and_minus_zero_are_compared_as_bytes() -> None:
    left = np.array([np.nan, 0.0], np.float32).tobytes()
    right = np.array([np.nan, -0.0], np.float32).tobytes()
    assert differing_elements(left, right, 4) == 1


def test_the_direction_of_a_metric_is_in_its_name() -> None:
    for name in (
        "loss",
        "val_loss",
        "eval/loss",
        "RMSE",
        "log_loss",
        "latency_ms",
        "f1_error",
        "false_positive_rate",
    ):
        assert direction_of(name) is Direction.LOWER, name
    for name in (
        "f1",
        "accuracy",
        "top5_accuracy",
        "roc_auc",
        "eval/f1",
        "hits@10",
        "error_recall",
        "ndcg@10",
    ):
        assert direction_of(name) is Direction.HIGHER, name
    for name in ("lr", "epoch", "", "ünï", "steps"):
        assert direction_of(name) is Direction.UNKNOWN, name
