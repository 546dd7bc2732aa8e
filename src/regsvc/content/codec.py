"""Encodes one chunk so that it takes less room, and decodes it without trusting it.

A chunk is stored raw, as one zstd frame, or as w zstd frames, one a byte plane: byte i of every w-byte
element is gathered into plane i. Sign and exponent bytes of weights compress well once mantissa bytes are out
of the way; zstd's match search finds nothing there, so it is all but off and zstd acts as an entropy coder.

All functions may be called from any number of threads and release the GIL while they copy and compress.
"""

import threading
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import zstandard

from regsvc.content.buffer import Buffer
from regsvc.content.frames import FrameError, find_frame, raw_pieces, sized_frame
from regsvc.content.layout import Layout
from regsvc.content.plans import MAX_CHUNK

__all__ = ["Codec", "Frame", "FrameError", "decode", "encode"]

_Bytes = npt.NDArray[np.uint8]

_WORTH = 0.97
"""What does not shrink to less than this share is stored as it is: a pull is then a copy."""


class Codec(IntEnum):
    """How a chunk is stored; the same numbers on disk and on the wire, where 0 is unspecified."""

    RAW = 1
    ZSTD = 2
    PLANES2_ZSTD = 3
    PLANES4_ZSTD = 4
    PLANES8_ZSTD = 5


_WIDTHS = {Codec.PLANES2_ZSTD: 2, Codec.PLANES4_ZSTD: 4, Codec.PLANES8_ZSTD: 8}
_PLANES = {
    Layout.WIDTH2: Codec.PLANES2_ZSTD,
    Layout.WIDTH4: Codec.PLANES4_ZSTD,
    Layout.WIDTH8: Codec.PLANES8_ZSTD,
}


class Frame(NamedTuple):
    """A chunk as it is stored and sent."""

    codec: Codec
    payload: Buffer


def encode(raw: Buffer, layout: Layout) -> Frame:
    """The smallest form of a chunk that `layout` suggests, or the chunk itself where that saves under 3 %.

    Raises `ValueError` for more than `MAX_CHUNK` bytes. A `RAW` payload is `raw`, not a copy.
    """
    data = np.frombuffer(raw, np.uint8)
    if len(data) > MAX_CHUNK:
        raise ValueError(f"chunk of {len(data)} bytes, more than {MAX_CHUNK}")
    if layout in _PLANES and len(data) % layout == 0:
        codec, parts = _PLANES[layout], _encode_planes(data, layout)
    else:
        codec, parts = Codec.ZSTD, _encode_whole(data, entropy_only=layout is not Layout.OPAQUE)
    if parts and sum(len(part) for part in parts) < _WORTH * len(data):
        return Frame(codec, b"".join(parts))
    return Frame(Codec.RAW, raw)


def decode(codec: int, payload: Buffer, raw_size: int) -> bytes:
    """The `raw_size` bytes that were encoded.

    Takes what any zstd encoder writes without a dictionary: with or without content size, checksum, or small
    window. Allocates about twice `raw_size` at most, whatever the payload claims. Raises `FrameError` on an
    unknown codec, a size over `MAX_CHUNK`, a payload that is truncated or corrupt, holds more or less than
    `raw_size`, or is followed by anything.
    """
    if not 0 <= raw_size <= MAX_CHUNK:
        raise FrameError(f"chunk of {raw_size} bytes, more than {MAX_CHUNK}")
    try:
        known = Codec(codec)
    except ValueError:
        raise FrameError(f"unknown codec {codec}") from None
    view = memoryview(payload).cast("B")
    if known is Codec.RAW:
        if len(view) != raw_size:
            raise FrameError(f"raw payload of {len(view)} bytes for a chunk of {raw_size}")
        return bytes(view)
    width = _WIDTHS.get(known, 1)
    if raw_size % width:
        raise FrameError(f"chunk of {raw_size} bytes is no multiple of {width}")
    planes = _decode_frames(view, width, raw_size // width)
    return planes[0] if width == 1 else _join(planes).tobytes()


def _encode_whole(data: _Bytes, *, entropy_only: bool) -> list[Buffer]:
    """One frame; nothing if samples do not shrink."""
    sample = _sample(data, spots=16, spot=4096)
    compressor = _contexts.tuned if entropy_only else _contexts.plain
    if sample is not None and not _shrinks(sample, compressor):
        return []
    return [compressor.compress(data.data)]


def _encode_planes(data: _Bytes, width: int) -> list[Buffer]:
    """The frames of the planes, in pieces; nothing if samples of no plane shrink.

    Samples are taken from the chunk, not from its planes: splitting it is most of what incompressible bytes cost.
    """
    compressor = _contexts.tuned
    sample = _sample(data, spots=8, spot=2048 * width)
    shrink = [True] * width
    if sample is not None:
        shrink = [_shrinks(plane, compressor) for plane in _split(sample, width)]
        if not any(shrink):
            return []
    parts: list[Buffer] = []
    for plane, shrinks in zip(_split(data, width), shrink, strict=True):
        frame = compressor.compress(plane.data) if shrinks else None
        if frame is not None and len(frame) < _WORTH * len(plane):
            parts.append(frame)
        else:
            parts += raw_pieces(plane.data)
    return parts


def _sample(data: _Bytes, *, spots: int, spot: int) -> _Bytes | None:
    """`spots` evenly spread pieces of `spot` bytes; nothing if they are much of `data`."""
    if len(data) < 4 * spots * spot:
        return None
    # A piece starts where an element does.
    stride = len(data) // spots // 8 * 8
    return np.concatenate([data[i * stride : i * stride + spot] for i in range(spots)])


def _shrinks(sample: _Bytes, compressor: zstandard.ZstdCompressor) -> bool:
    return len(compressor.compress(sample.data)) < _WORTH * len(sample)


def _decode_frames(view: memoryview, count: int, size: int) -> list[bytes]:
    """What exactly `count` frames that fill `view` hold: `size` bytes each."""
    planes = []
    position = 0
    for _ in range(count):
        frame = find_frame(view, position)
        if frame.content_size not in {None, size}:
            raise FrameError(f"zstd frame of {frame.content_size} bytes where {size} belong")
        try:
            plane = _contexts.decompressor.decompress(sized_frame(view, position, frame, size))
        except zstandard.ZstdError as error:
            raise FrameError(f"corrupt zstd frame: {error}") from error
        if len(plane) != size:
            raise FrameError(f"zstd frame holds {len(plane)} bytes where {size} belong")
        planes.append(plane)
        position = frame.end
    if position != len(view):
        raise FrameError(f"{len(view) - position} bytes after the last zstd frame")
    return planes


def _split(data: _Bytes, width: int) -> list[_Bytes]:
    """Plane i holds byte i of every element. Halving elements is up to 4 times faster than strides."""
    if width == 1:
        return [data]
    elements, half = data.view(f"<u{width}"), f"<u{width // 2}"
    low, high = elements.astype(half), (elements >> 4 * width).astype(half)
    return _split(low.view(np.uint8), width // 2) + _split(high.view(np.uint8), width // 2)


def _join(planes: list[bytes]) -> _Bytes:
    """The inverse of `_split`."""
    width = len(planes)
    if width == 1:
        return np.frombuffer(planes[0], np.uint8)
    low, high = _join(planes[: width // 2]), _join(planes[width // 2 :])
    half, whole = f"<u{width // 2}", f"<u{width}"
    # Both are widened first: NumPy mixes types in an operation only through a buffer, at half the speed.
    elements = high.view(half).astype(whole)
    elements <<= 4 * width
    elements |= low.view(half).astype(whole)
    return elements.view(np.uint8)


class _Contexts(threading.local):
    """zstd contexts of this thread: they may not be used by two at once, and are costly to make."""

    def __init__(self) -> None:
        tuned = zstandard.ZstdCompressionParameters(
            strategy=zstandard.STRATEGY_FAST,
            min_match=7,
            hash_log=6,
            chain_log=6,
            search_log=1,
            window_log=17,
            target_length=0,
            write_content_size=True,
            write_checksum=False,
        )
        self.tuned = zstandard.ZstdCompressor(compression_params=tuned)
        self.plain = zstandard.ZstdCompressor(level=1, write_content_size=True, write_checksum=False)
        self.decompressor = zstandard.ZstdDecompressor()


_contexts = _Contexts()
