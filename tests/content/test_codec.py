import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from regsvc.content.chunking import MAX_CHUNK, cut
from regsvc.content.codec import Codec, FrameError, decode, encode
from regsvc.content.frames import MAX_BLOCKS, raw_frame
from regsvc.content.layout import Layout

RNG = np.random.default_rng(3)
WEIGHTS = RNG.normal(0, 0.02, 1 << 18).astype("<f4")
BF16 = (WEIGHTS.view("<u4") >> 16).astype("<u2").tobytes()
F32 = WEIGHTS.tobytes()
LAYOUTS = list(Layout)


def round_trip(raw: bytes, layout: Layout) -> tuple[Codec, float]:
    codec, payload = encode(raw, layout)
    assert decode(codec, payload, len(raw)) == raw
    assert len(payload) <= len(raw)
    return codec, len(payload) / max(len(raw), 1)


@settings(max_examples=150, deadline=None)
@given(
    piece=st.binary(max_size=300),
    times=st.integers(1, 2000),
    tail=st.binary(max_size=9),
    layout=st.sampled_from(LAYOUTS),
)
def test_any_bytes_round_trip(piece: bytes, times: int, tail: bytes, layout: Layout) -> None:
    round_trip(piece * times + tail, layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("raw", [b"", b"a", bytes(MAX_CHUNK), BF16, F32, os.urandom(MAX_CHUNK), F32[:-1]])
def test_every_layout_takes_every_chunk(raw: bytes, layout: Layout) -> None:
    round_trip(raw, layout)
    round_trip(raw[:4096], layout)


def test_bfloat16_weights_shrink_to_68_percent() -> None:
    codec, ratio = round_trip(BF16, Layout.WIDTH2)
    assert codec is Codec.PLANES2_ZSTD
    assert ratio <= 0.68


def test_float32_weights_shrink_to_86_percent() -> None:
    codec, ratio = round_trip(F32, Layout.WIDTH4)
    assert codec is Codec.PLANES4_ZSTD
    assert ratio <= 0.86


def test_float64_and_int64_use_eight_planes() -> None:
    assert round_trip(WEIGHTS.astype("<f8").tobytes(), Layout.WIDTH8)[0] is Codec.PLANES8_ZSTD
    codec, ratio = round_trip(RNG.integers(0, 30_000, 100_000).tobytes(), Layout.WIDTH8)
    assert codec is Codec.PLANES8_ZSTD
    assert ratio < 0.3


def test_one_byte_elements_are_entropy_coded() -> None:
    codec, ratio = round_trip(RNG.normal(0, 20, 1 << 20).astype("i1").tobytes(), Layout.WIDTH1)
    assert codec is Codec.ZSTD
    assert ratio < 0.85


def test_text_is_plain_zstd() -> None:
    codec, ratio = round_trip(b"".join(b'"##%d": %d,\n' % (i, i) for i in range(60_000)), Layout.OPAQUE)
    assert codec is Codec.ZSTD
    assert ratio < 0.4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_incompressible_chunk_is_stored_as_it_is(layout: Layout) -> None:
    raw = os.urandom(1 << 20)
    codec, payload = encode(raw, layout)
    assert codec is Codec.RAW
    assert payload is raw


@pytest.mark.parametrize("layout", LAYOUTS)
def test_incompressible_chunk_costs_little(layout: Layout) -> None:
    def seconds(raw: bytes) -> float:
        begin = time.thread_time()
        encode(raw, layout)
        return time.thread_time() - begin

    random, shrinking = os.urandom(1 << 20), F32 if layout is Layout.WIDTH4 else BF16 * 2
    assert min(seconds(random) for _ in range(9)) < min(seconds(shrinking) for _ in range(9)) / 3


def test_one_plane_that_shrinks_is_enough() -> None:
    raw = bytearray(os.urandom(1 << 20))
    raw[5::8] = bytes(len(raw) // 8)
    codec, ratio = round_trip(bytes(raw), Layout.WIDTH8)
    assert codec is Codec.PLANES8_ZSTD
    assert ratio < 0.89


def test_length_that_is_no_multiple_of_the_width_is_plain_zstd() -> None:
    assert round_trip(bytes(10_001), Layout.WIDTH4)[0] is Codec.ZSTD


def test_incompressible_plane_lies_in_raw_blocks() -> None:
    payload = bytes(encode(BF16, Layout.WIDTH2).payload)
    low = BF16[::2]
    assert payload.startswith(raw_frame(low))
    assert len(raw_frame(low)) == len(low) + 9 + 3 * 2


@pytest.mark.parametrize("size", [0, 1, 255, 256, 128 << 10, (128 << 10) + 1, MAX_CHUNK])
def test_plain_zstd_reads_raw_frames(size: int) -> None:
    data = os.urandom(size)
    frame = raw_frame(data)
    assert zstandard.get_frame_parameters(frame).content_size == size
    assert zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False) == data


def test_frames_state_their_size_and_carry_no_checksum() -> None:
    for raw, layout in ((BF16, Layout.WIDTH2), (bytes(9000), Layout.OPAQUE)):
        parameters = zstandard.get_frame_parameters(bytes(encode(raw, layout).payload))
        assert parameters.content_size == len(raw) // max(layout, 1)
        assert not parameters.has_checksum


def other_encoder(data: bytes, *, level: int, window: int, sized: bool, checksum: bool, block: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=window, write_content_size=sized, write_checksum=checksum
    )
    encoder = zstandard.ZstdCompressor(compression_params=parameters).compressobj(len(data) if sized else -1)
    parts = []
    for begin in range(0, len(data), block):
        parts += [
            encoder.compress(data[begin : begin + block]),
            encoder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK),
        ]
    return b"".join(parts) + encoder.flush()


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(0, 300_000),
    options=st.fixed_dictionaries(
        {
            "level": st.sampled_from([-5, 1, 3, 9, 19]),
            "window": st.integers(10, 27),
            "sized": st.booleans(),
            "checksum": st.booleans(),
            "block": st.integers(500, 200_000),
        }
    ),
)
def test_frames_of_any_encoder_decode(size: int, options: dict[str, Any]) -> None:
    raw = BF16[: size * 2]
    frames = [other_encoder(plane, **options) for plane in (raw[::2], raw[1::2])]
    assert decode(Codec.PLANES2_ZSTD, b"".join(frames), len(raw)) == raw
    assert decode(Codec.ZSTD, frames[1], len(raw) // 2) == raw[1::2]


def test_wrong_checksum_is_refused() -> None:
    frame = other_encoder(BF16, level=1, window=17, sized=False, checksum=True, block=1 << 17)
    with pytest.raises(FrameError, match="corrupt"):
        decode(Codec.ZSTD, frame[:-1] + bytes([frame[-1] ^ 1]), len(BF16))


@pytest.mark.parametrize(
    ("codec", "payload", "size", "message"),
    [
        (0, b"", 0, "unknown codec"),
        (6, b"", 0, "unknown codec"),
        (Codec.RAW, b"abc", 4, "raw payload of 3"),
        (Codec.ZSTD, raw_frame(b"abc"), MAX_CHUNK + 1, "more than"),
        (Codec.ZSTD, raw_frame(b"abc"), -1, "chunk of -1"),
        (Codec.ZSTD, raw_frame(b"abc"), 4, "of 3 bytes where 4"),
        (Codec.ZSTD, raw_frame(b"abc") + b"x", 3, "1 bytes after"),
        (Codec.ZSTD, b"", 0, "truncated"),
        (Codec.PLANES2_ZSTD, raw_frame(b"abc"), 6, "truncated"),
        (Codec.PLANES4_ZSTD, raw_frame(b"abc") * 4, 13, "no multiple"),
        (Codec.PLANES8_ZSTD, raw_frame(b"abc") * 9, 24, "after the last"),
    ],
)
def test_bad_payload_is_refused(codec: int, payload: bytes, size: int, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        decode(codec, payload, size)


@pytest.mark.parametrize("raw", [BF16[1::2], bytes(5000)])
def test_truncation_anywhere_is_refused(raw: bytes) -> None:
    payload = bytes(encode(raw, Layout.WIDTH1).payload)
    for end in {*range(min(20, len(payload))), *range(0, len(payload), 997), len(payload) - 1}:
        with pytest.raises(FrameError):
            decode(Codec.ZSTD, payload[:end], len(raw))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_is_refused_or_gives_a_chunk_of_the_right_size(data: st.DataObject) -> None:
    payload = bytearray(bytes(encode(F32[:40_000], Layout.WIDTH4).payload))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FrameError):
        assert len(decode(Codec.PLANES4_ZSTD, payload, 40_000)) == 40_000


@given(st.binary(max_size=200), st.integers(0, 100), st.integers(1, 5))
def test_garbage_is_refused(payload: bytes, size: int, codec: int) -> None:
    with contextlib.suppress(FrameError):
        assert len(decode(codec, payload, size)) == size


def bomb(size: int, *, sized: bool) -> bytes:
    """A frame of zeros in 4 bytes per 128 KiB, which asks for a window of 128 MiB."""
    head = b"\x28\xb5\x2f\xfd" + (b"\x80" if sized else b"\x00") + bytes([17 << 3])
    head += size.to_bytes(4, "little") if sized else b""
    blocks = size // (128 << 10)
    return head + b"".join(
        (128 << 10 << 3 | 1 << 1 | (i == blocks - 1)).to_bytes(3, "little") + b"\0" for i in range(blocks)
    )


def test_the_bomb_is_a_good_frame() -> None:
    assert zstandard.ZstdDecompressor().decompressobj().decompress(bomb(1 << 20, sized=False)) == bytes(
        1 << 20
    )
    assert decode(Codec.ZSTD, bomb(MAX_CHUNK, sized=False), MAX_CHUNK) == bytes(MAX_CHUNK)


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("size", [MAX_CHUNK // 2, 256 << 20])
def test_frame_of_another_size_is_refused_without_inflating_it(size: int, sized: bool) -> None:
    payload = bomb(size, sized=sized)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("peak memory cannot be reset here")
    before = memory("VmRSS")
    with pytest.raises(FrameError):
        decode(Codec.ZSTD, payload, MAX_CHUNK)
    assert memory("VmHWM") - before < 8 << 10


def memory(field: str) -> int:
    """A line of this process's /proc status, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def test_frame_of_too_many_blocks_is_refused() -> None:
    empty = b"\x28\xb5\x2f\xfd\xa0" + bytes(4) + bytes(3) * MAX_BLOCKS + b"\1\0\0"
    with pytest.raises(FrameError, match="blocks"):
        decode(Codec.ZSTD, empty, 0)


def test_chunk_over_the_limit_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="more than"):
        encode(bytes(MAX_CHUNK + 1), Layout.OPAQUE)


def test_many_threads_encode_and_decode_at_once() -> None:
    chunks = [(BF16, Layout.WIDTH2), (F32, Layout.WIDTH4), (os.urandom(300_000), Layout.OPAQUE)] * 8
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda chunk: round_trip(*chunk), chunks))


def test_chunks_of_the_cutter_are_encoded_as_views() -> None:
    for chunk in cut(F32 + os.urandom(600_000)):
        codec, payload = encode(chunk.data, chunk.layout)
        assert decode(codec, payload, len(chunk.data)) == chunk.data
