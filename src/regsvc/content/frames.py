"""zstd frames seen from outside: where one ends, what it claims, and how to write one that does not compress.

Format: RFC 8878 §3.1.1. A frame is self-delimiting, so the planes of a chunk need no table of lengths.
"""

from typing import NamedTuple

from regsvc.content.buffer import Buffer

_MAGIC = b"\x28\xb5\x2f\xfd"
_MAX_BLOCK = 128 << 10
_RAW, _RLE, _COMPRESSED, _RESERVED = range(4)
_SIZE_BYTES = (0, 2, 4, 8)
_DICTIONARY_BYTES = (0, 1, 2, 4)

MAX_BLOCKS = 8192
"""Most blocks in a frame: 2 MiB in blocks of 256 bytes. More would only cost time to walk."""


class FrameError(ValueError):
    """These bytes do not decode to the chunk they claim to be; the message says why."""


class ZstdFrame(NamedTuple):
    """One zstd frame within a buffer, found by its headers alone; its blocks may yet be unsound."""

    end: int
    """Offset of the first byte after the frame."""
    header_end: int
    """Offset of the first block."""
    content_size: int | None
    """Decoded bytes that the header claims, if it does."""
    checksum: bool
    """Whether four bytes of XXH64 follow the last block."""


def find_frame(data: memoryview, begin: int) -> ZstdFrame:
    """The frame that starts at `begin`. Raises `FrameError` if none does, or if it is not all there."""
    if bytes(data[begin : begin + 4]) != _MAGIC:
        raise FrameError(f"truncated, or no zstd frame, at byte {begin}")
    if begin + 5 > len(data):
        raise FrameError("truncated zstd frame header")
    flags = data[begin + 4]
    if flags & 0x08:
        raise FrameError("reserved bit set in a zstd frame header")
    single_segment = flags & 0x20
    dictionary_at = begin + (5 if single_segment else 6)
    size_at = dictionary_at + _DICTIONARY_BYTES[flags & 3]
    size_bytes = _SIZE_BYTES[flags >> 6] or (1 if single_segment else 0)
    blocks_at = size_at + size_bytes
    if blocks_at > len(data):
        raise FrameError("truncated zstd frame header")
    if any(data[dictionary_at:size_at]):
        raise FrameError("zstd frame needs a dictionary")
    content_size = None
    if size_bytes:
        content_size = int.from_bytes(data[size_at:blocks_at], "little") + (256 if size_bytes == 2 else 0)
    checksum = bool(flags & 0x04)
    end = _walk(data, blocks_at) + (4 if checksum else 0)
    if end > len(data):
        raise FrameError("truncated zstd frame")
    return ZstdFrame(end, blocks_at, content_size, checksum)


def _walk(data: memoryview, position: int) -> int:
    """Offset after the last block of a frame whose blocks start at `position`."""
    for _ in range(MAX_BLOCKS):
        if position + 3 > len(data):
            raise FrameError("truncated zstd frame")
        header = data[position] | data[position + 1] << 8 | data[position + 2] << 16
        kind = header >> 1 & 3
        if kind == _RESERVED:
            raise FrameError("zstd block of the reserved type")
        position += 3 + (1 if kind == _RLE else header >> 3)
        if header & 1:
            return position
    raise FrameError(f"zstd frame of more than {MAX_BLOCKS} blocks")


def sized_frame(data: memoryview, begin: int, frame: ZstdFrame, size: int) -> Buffer:
    """The frame at `begin`, with `size` as its content size if it states none.

    A decoder that knows the size writes straight to its output. One that does not allocates the window that
    the frame asks for, up to 128 MiB, before it has seen a byte.
    """
    if frame.content_size is not None:
        return data[begin : frame.end]
    return b"".join((_header(size, checksum=frame.checksum), data[frame.header_end : frame.end]))


def raw_frame(data: Buffer) -> bytes:
    """A zstd frame that holds `data` in raw blocks: any decoder reads it, at the speed of a copy."""
    return b"".join(raw_pieces(data))


def raw_pieces(data: Buffer) -> list[Buffer]:
    """What `raw_frame` joins; the blocks are views of `data`."""
    view = memoryview(data)
    pieces: list[Buffer] = [_header(len(view), checksum=False)]
    for begin in range(0, max(len(view), 1), _MAX_BLOCK):
        block = view[begin : begin + _MAX_BLOCK]
        last = begin + _MAX_BLOCK >= len(view)
        pieces += ((len(block) << 3 | _RAW << 1 | last).to_bytes(3, "little"), block)
    return pieces


def _header(size: int, *, checksum: bool) -> bytes:
    """A single-segment frame header with a content size of 4 bytes."""
    return _MAGIC + bytes((0xA4 if checksum else 0xA0,)) + size.to_bytes(4, "little")
