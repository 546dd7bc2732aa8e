"""The pack format, version 1: bytes to values and back. No I/O. All integers are little-endian.

`docs/format.md` has the same byte by byte. Every checksum of a header, footer or trailer (not of a payload)
starts from the CRC32C of the 16-byte pack id, so only a record written for this pack can pass for one: a pack
stored as a file inside another pack leaves no false records to find when the damage around it is scanned, and
a file under another pack's name cannot be read by mistake.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import IntEnum

import google_crc32c
import numpy as np

if google_crc32c.implementation != "c":
    raise ImportError("google-crc32c runs without its C extension: far too slow to check every read")

PACK_TARGET = 64 * 2**20
"""Seal a pack that has reached this size, in bytes."""
MAX_RECORDS = 8192
"""A pack holds at most this many records; its footer then takes 384 KiB."""
MAX_STORED = PACK_TARGET
"""The largest payload of one record, in bytes."""

VERSION = 1
ALIGN = 8
HEADER_SIZE = 64
RECORD_MAGIC = b"RGR1"
RECORD_HEADER_SIZE = 64
ENTRY_SIZE = 48
TRAILER_SIZE = 32
DIGEST_SIZE = 32
MAX_SIZE = 2**32 - ALIGN

_PACK_MAGIC = b"RGSPACK1"
_TRAILER_MAGIC = b"RGTRAIL1"
_HEADER = struct.Struct("<8sHH16sQ24x")
_RECORD = struct.Struct("<4sBBHII32sI8x")
_ENTRY = struct.Struct("<32sIIIBB2x")
_TRAILER = struct.Struct("<QIIH2x")
_CRC = struct.Struct("<I")
_PACK_ID = re.compile(r"[0-9a-f]{32}")


class DamagedPack(Exception):
    """A pack's own header, footer or trailer is not what was written. Its records may well be good."""

    def __init__(self, pack: str, reason: str) -> None:
        super().__init__(f"pack {pack}: {reason}")
        self.pack = pack
        self.reason = reason


class UnsupportedPack(Exception):
    """The pack is whole, and of a later version of the format: leave it alone."""


class Kind(IntEnum):
    """What a record's raw bytes are."""

    CHUNK = 1
    RECIPE = 2
    MANIFEST = 3


@dataclass(frozen=True, slots=True)
class Record:
    """Where a payload is in its pack and what it decodes to. All sizes and offsets are in bytes."""

    kind: int
    """A `Kind`; a reader passes on the numbers it does not know."""
    codec: int
    """How the payload encodes the raw bytes (`content.codec`); the store does not decode."""
    digest: bytes
    """BLAKE3-256 of the raw bytes."""
    raw_size: int
    stored_size: int
    offset: int
    """Of the record's header in the pack."""

    @property
    def payload_offset(self) -> int:
        """Where the payload begins."""
        return self.offset + RECORD_HEADER_SIZE

    @property
    def payload_end(self) -> int:
        """Where the payload ends and the padding begins."""
        return self.offset + RECORD_HEADER_SIZE + self.stored_size

    @property
    def end(self) -> int:
        """Where the next record, or the footer, begins."""
        return aligned(self.payload_end)


@dataclass(frozen=True, slots=True)
class Trailer:
    """The end of a sealed pack: where its footer is."""

    footer_offset: int
    count: int
    footer_crc: int


def aligned(size: int) -> int:
    """`size` rounded up to a multiple of 8."""
    return (size + ALIGN - 1) & -ALIGN


def is_pack_id(text: str) -> bool:
    """Whether the text is 32 lower-case hexadecimal digits."""
    return _PACK_ID.fullmatch(text) is not None


def crc32c(data: bytes | memoryview) -> int:
    """CRC32C (Castagnoli) of the bytes, as in RFC 3720."""
    # The extension takes no memoryview, but an array over one: that costs 1 us, a copy of a chunk 50.
    return int(google_crc32c.value(data if isinstance(data, bytes) else np.frombuffer(data, np.uint8)))


def salt(pack_id: str) -> int:
    """What the checksums of this pack's headers, footer and trailer start from."""
    return crc32c(bytes.fromhex(pack_id))


def pack_header(pack_id: str, created_us: int) -> bytes:
    """The first 64 bytes of a pack; `created_us` is in microseconds since 1970."""
    body = _HEADER.pack(_PACK_MAGIC, VERSION, 0, bytes.fromhex(pack_id), created_us)
    return body + _CRC.pack(crc32c(body))


def parse_pack_header(data: bytes) -> str | None:
    """The pack id in a pack header, or None if it is damaged; UnsupportedPack if it is of another version."""
    body = data[: _HEADER.size]
    if len(data) != HEADER_SIZE or _CRC.unpack_from(data, _HEADER.size)[0] != crc32c(body):
        return None
    magic, version, flags, pack_id, _ = _HEADER.unpack(body)
    if magic != _PACK_MAGIC:
        return None
    if version != VERSION or flags:
        raise UnsupportedPack(f"pack {pack_id.hex()} has format version {version}, flags {flags:#x}")
    return str(pack_id.hex())


def record_header(seed: int, record: Record, payload_crc: int) -> bytes:
    """The 64 bytes before a payload; `seed` is the pack's `salt`."""
    body = _RECORD.pack(
        RECORD_MAGIC,
        record.kind,
        record.codec,
        0,
        record.raw_size,
        record.stored_size,
        record.digest,
        payload_crc,
    )
    return body + _CRC.pack(google_crc32c.extend(seed, body))


def parse_record_header(seed: int, data: bytes, offset: int) -> tuple[Record, int] | None:
    """The record whose header `data` (64 bytes, read at `offset`) is, and its payload's CRC32C; else None."""
    if len(data) != RECORD_HEADER_SIZE or not data.startswith(RECORD_MAGIC):
        return None
    body = data[: _RECORD.size]
    if _CRC.unpack_from(data, _RECORD.size)[0] != google_crc32c.extend(seed, body):
        return None
    _, kind, codec, flags, raw_size, stored_size, digest, payload_crc = _RECORD.unpack(body)
    if flags or stored_size > MAX_STORED:
        return None
    return Record(kind, codec, digest, raw_size, stored_size, offset), payload_crc


def footer(seed: int, records: list[Record], offset: int) -> bytes:
    """Footer and trailer of a pack whose records end at `offset`."""
    entries = b"".join(
        _ENTRY.pack(each.digest, each.offset, each.stored_size, each.raw_size, each.kind, each.codec)
        for each in records
    )
    body = _TRAILER.pack(offset, len(records), google_crc32c.extend(seed, entries), VERSION)
    return b"".join((entries, body, _CRC.pack(google_crc32c.extend(seed, body)), _TRAILER_MAGIC))


def parse_trailer(seed: int, data: bytes, size: int) -> Trailer | None:
    """The trailer of a pack of `size` bytes from its last 32 bytes, or None if it is damaged or not there."""
    body = data[: _TRAILER.size]
    if len(data) != TRAILER_SIZE or data[-8:] != _TRAILER_MAGIC:
        return None
    if _CRC.unpack_from(data, _TRAILER.size)[0] != google_crc32c.extend(seed, body):
        return None
    offset, count, footer_crc, version = _TRAILER.unpack(body)
    if version != VERSION or count > MAX_RECORDS or offset + count * ENTRY_SIZE + TRAILER_SIZE != size:
        return None
    return Trailer(offset, count, footer_crc)


def parse_footer(seed: int, data: bytes, trailer: Trailer) -> list[Record] | None:
    """The records listed by a footer, or None if it is damaged."""
    if google_crc32c.extend(seed, data) != trailer.footer_crc:
        return None
    return [
        Record(kind, codec, digest, raw_size, stored_size, offset)
        for digest, offset, stored_size, raw_size, kind, codec in _ENTRY.iter_unpack(data)
    ]
