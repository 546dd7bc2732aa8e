import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyfastcdc import FastCDC
from safetensors.numpy import save

from regsvc.content.chunking import MAX_CHUNK, SLICE, SMALL_TENSOR, Chunk, Cutter, cut
from regsvc.content.layout import Layout

RANDOM = np.random.default_rng(7).bytes(9_000_000)


def joined(chunks: list[Chunk]) -> bytes:
    return b"".join(chunk.data for chunk in chunks)


def ranges(chunks: list[Chunk]) -> list[tuple[int, Layout]]:
    return [(len(chunk.data), chunk.layout) for chunk in chunks]


def stream(data: bytes, lengths: list[int], size: int | None) -> list[Chunk]:
    """Feeds in pieces of the given lengths, over and over; copies chunks, as their blocks are overwritten."""
    cutter = Cutter(size)
    chunks: list[Chunk] = []
    position = turn = 0
    while position < len(data):
        length = lengths[turn % len(lengths)]
        block = bytearray(data[position : position + length])
        fed = cutter.feed(block)
        chunks += [Chunk(memoryview(bytes(chunk.data)), chunk.layout) for chunk in fed]
        del fed
        block[:] = bytes(len(block))
        position, turn = position + length, turn + 1
    return chunks + cutter.finish()


def safetensors_file(tensors: list[tuple[str, str, int]], *, data: bytes = RANDOM, **metadata: str) -> bytes:
    """A file of one-dimensional tensors (name, dtype, elements) in this order."""
    widths = {"I8": 1, "BF16": 2, "F16": 2, "F32": 4, "I64": 8}
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, dtype, count in tensors:
        end = at + count * widths[dtype]
        header[name] = {"dtype": dtype, "shape": [count], "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    assert at <= len(data)
    return len(text).to_bytes(8, "little") + text + data[:at]


MIXED = safetensors_file(
    [("a", "BF16", 1_300_000), ("b", "F32", 900), ("c", "F32", 15_000), ("d", "I64", 90_000), ("e", "I8", 70)]
)
LYING = len(MIXED).to_bytes(8, "little") + MIXED[8:]


def test_empty_file_has_no_chunks() -> None:
    assert cut(b"") == []
    assert Cutter().finish() == []


@pytest.mark.parametrize("size", [1, 1000, 128 << 10])
def test_file_up_to_the_shortest_chunk_is_one_chunk(size: int) -> None:
    assert ranges(cut(RANDOM[:size])) == [(size, Layout.OPAQUE)]


@pytest.mark.parametrize("size", [(128 << 10) + 1, 3_000_001, len(RANDOM)])
def test_unknown_bytes_are_cut_by_fastcdc(size: int) -> None:
    whole = FastCDC(524288, min_size=131072, max_size=MAX_CHUNK, normalized_chunking=2, seed=0)
    expected = [piece.length for piece in whole.cut_buf(RANDOM[:size])]
    assert [len(chunk.data) for chunk in cut(RANDOM[:size])] == expected


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["random", "zeros", "tensors", "lying"]),
    size=st.integers(0, 6_000_000),
    lengths=st.lists(st.integers(1, 3_000_000), min_size=1, max_size=8),
    known=st.booleans(),
)
@example(kind="random", size=4_000_000, lengths=[4096], known=False)
@example(kind="tensors", size=3_000_000, lengths=[1000], known=True)
@example(kind="zeros", size=2 << 20, lengths=[1 << 20], known=False)
def test_cuts_do_not_depend_on_how_the_stream_arrives(
    kind: str, size: int, lengths: list[int], known: bool
) -> None:
    data = {"random": RANDOM, "zeros": bytes(size), "tensors": MIXED, "lying": LYING}[kind][:size]
    lengths = [max(length, len(data) // 2000) for length in lengths]
    declared = len(data) if known else None
    once = Cutter(declared)
    expected = once.feed(data) + once.finish()
    chunks = stream(data, lengths, declared)
    assert ranges(chunks) == ranges(expected)
    assert joined(chunks) == data
    assert all(0 < len(chunk.data) <= MAX_CHUNK for chunk in chunks)


@settings(max_examples=40, deadline=None)
@given(
    declared=st.integers(0, 9_000_000), lengths=st.lists(st.integers(1, 2_000_000), min_size=1, max_size=4)
)
@example(declared=len(MIXED) + 1, lengths=[1 << 20])
@example(declared=len(MIXED), lengths=[1 << 20])
def test_a_wrong_declared_size_loses_nothing(declared: int, lengths: list[int]) -> None:
    lengths = [max(length, 5000) for length in lengths]
    for data in (MIXED, MIXED + RANDOM[:1_000_000], MIXED[:1_000_000]):
        assert joined(stream(data, lengths, declared)) == data


def test_tiny_blocks_do_not_cost_quadratic_time() -> None:
    begin = time.process_time()
    assert joined(stream(RANDOM[:3_000_000], [64], None)) == RANDOM[:3_000_000]
    assert time.process_time() - begin < 10


def test_large_blocks_are_not_copied() -> None:
    block = bytearray(MIXED)
    cutter = Cutter(len(block))
    chunks = cutter.feed(block)
    block[:] = bytes(len(block))
    assert chunks
    assert not any(any(chunk.data) for chunk in chunks)


def test_chunks_of_earlier_blocks_stay_what_they_were() -> None:
    cutter = Cutter()
    chunks: list[Chunk] = []
    for position in range(0, len(RANDOM), 300_000):
        chunks += cutter.feed(RANDOM[position : position + 300_000])
    assert joined(chunks + cutter.finish()) == RANDOM


def test_feed_after_finish_is_refused() -> None:
    cutter = Cutter()
    cutter.finish()
    with pytest.raises(ValueError, match="after finish"):
        cutter.feed(b"a")
    with pytest.raises(ValueError, match="twice"):
        cutter.finish()


def test_tensors_are_cut_from_their_own_start() -> None:
    data = safetensors_file([("a", "BF16", 1_300_000), ("b", "F32", 20_000)])
    header = 8 + int.from_bytes(data[:8], "little")
    assert ranges(cut(data)) == [
        (header, Layout.OPAQUE),
        (SLICE, Layout.WIDTH2),
        (SLICE, Layout.WIDTH2),
        (2_600_000 - 2 * SLICE, Layout.WIDTH2),
        (80_000, Layout.WIDTH4),
    ]


def test_small_neighbours_of_one_width_are_joined_until_the_next_does_not_fit() -> None:
    small = SMALL_TENSOR // 4 - 1
    tensors = [
        ("big", "F32", 30_000),
        *((f"t{i}", "F32", small) for i in range(18)),
        ("h", "F16", 9),
        ("i", "BF16", 9),
    ]
    assert ranges(cut(safetensors_file(tensors)))[1:] == [
        (120_000, Layout.WIDTH4),
        (16 * small * 4, Layout.WIDTH4),
        (2 * small * 4, Layout.WIDTH4),
        (36, Layout.WIDTH2),
    ]


def test_tensor_of_64_kib_stands_alone_and_one_without_elements_does_not_count() -> None:
    tensors = [
        ("a", "F32", 16_000),
        ("none", "I8", 0),
        ("b", "F32", 16_384),
        ("c", "F32", 1),
        ("d", "F32", 20_000),
    ]
    assert [length for length, _ in ranges(cut(safetensors_file(tensors)))[1:]] == [64_000, 65_536, 4, 80_000]


def test_gaps_belong_to_the_run_before_and_bytes_after_the_last_tensor_are_cut_as_unknown() -> None:
    header = json.dumps(
        {
            "a": {"dtype": "F32", "shape": [20_000], "data_offsets": [50, 80_050]},
            "b": {"dtype": "F32", "shape": [20_000], "data_offsets": [80_060, 160_060]},
        }
    ).encode()
    data = len(header).to_bytes(8, "little") + header + RANDOM[:200_000]
    assert ranges(cut(data)) == [
        (8 + len(header) + 50, Layout.OPAQUE),
        (80_010, Layout.WIDTH4),
        (80_000, Layout.WIDTH4),
        (200_000 - 160_060, Layout.OPAQUE),
    ]


def test_long_header_is_cut_by_fastcdc_apart_from_the_tensors() -> None:
    data = safetensors_file([("a", "F32", 100_000)], note=RANDOM[:1_500_000].hex())
    header = 8 + int.from_bytes(data[:8], "little")
    chunks = cut(data)
    assert ranges(chunks)[-1] == (400_000, Layout.WIDTH4)
    assert ranges(chunks)[:-1] == ranges(cut(data[:header]))
    assert ranges(stream(data, [70_000], len(data))) == ranges(chunks)


def test_header_edit_keeps_every_tensor_chunk() -> None:
    tensors = [("a", "BF16", 700_000), ("b", "F32", 30), ("c", "I64", 100_000)]
    plain, edited = (cut(safetensors_file(tensors, **note)) for note in ({}, {"note": "edited"}))
    assert [chunk.data for chunk in plain[1:]] == [chunk.data for chunk in edited[1:]]
    assert plain[0].data != edited[0].data


def test_changed_tensor_changes_only_its_own_chunks() -> None:
    arrays = {f"layer.{i}": np.random.default_rng(i).normal(size=(700, 500)).astype("f4") for i in range(4)}
    before = cut(save(arrays))
    arrays["layer.2"] = arrays["layer.2"] + 1
    after = cut(save(arrays))
    changed = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old.data != new.data]
    assert changed == [5, 6]


@settings(max_examples=25, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(0, 90), max_size=3), min_size=1, max_size=8),
    dtype=st.sampled_from(["f2", "f4", "f8", "i1", "i8", "bool"]),
)
def test_files_of_the_safetensors_library_are_cut_at_their_tensors(
    shapes: list[list[int]], dtype: str
) -> None:
    arrays = {f"t{i}": np.ones(shape, dtype) for i, shape in enumerate(shapes)} | {
        "big": np.ones(200_000, "f4")
    }
    data = save(arrays)
    chunks = cut(data)
    assert joined(chunks) == data
    assert len(chunks[0].data) == 8 + int.from_bytes(data[:8], "little")


@pytest.mark.parametrize("data", [LYING, (1 << 63).to_bytes(8, "little") + MIXED[8:], MIXED[:-1]])
def test_file_with_a_lying_header_is_cut_by_fastcdc(data: bytes) -> None:
    unknown = Cutter()
    assert ranges(cut(data)) == ranges(unknown.feed(data) + unknown.finish())


def test_memory_held_between_blocks_is_bounded() -> None:
    claimed = (200_000_000).to_bytes(8, "little") + b"{" + RANDOM
    cutter = Cutter(300_000_000)
    for position in range(0, len(claimed), 100_000):
        cutter.feed(claimed[position : position + 100_000])
        assert len(cutter._held) <= MAX_CHUNK
