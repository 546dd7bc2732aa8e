"""Read packs: one record, many neighbours, all of them by their headers, the index; and find what is damaged.

Memory is bounded whatever a file holds: one record (at most `MAX_STORED`), one window of 4 MiB, one footer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from regsvc.store import layout
from regsvc.store.fsio import FileSystem
from regsvc.store.layout import (
    ENTRY_SIZE,
    HEADER_SIZE,
    RECORD_HEADER_SIZE,
    RECORD_MAGIC,
    TRAILER_SIZE,
    DamagedPack,
    Record,
)

_WINDOW = 4 * 2**20
_LARGE = 256 * 2**10  # coalescing saves such a record nothing and would copy its payload once more
_GAP = 64 * 2**10  # reading across fewer bytes costs less than another system call and its latency


class DamagedRecord(Exception):
    """The bytes at `offset` of the pack are not the record that was asked for. Treat its chunk as missing."""

    def __init__(self, pack_id: str, offset: int, reason: str) -> None:
        super().__init__(f"pack {pack_id}, offset {offset}: {reason}")
        self.pack_id = pack_id
        self.offset = offset
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Damage:
    """One place of a pack that is not as it was written; `offset` is in bytes."""

    offset: int
    reason: str


Report = Callable[[Damage], None]


def read_payload(fs: FileSystem, fd: int, pack_id: str, record: Record) -> memoryview:
    """The payload of a record; errors as `read_at`."""
    return read_at(fs, fd, pack_id, record.offset, stored_size=record.stored_size, digest=record.digest)


def read_at(
    fs: FileSystem, fd: int, pack_id: str, offset: int, *, stored_size: int, digest: bytes | None
) -> memoryview:
    """The payload of one record, its header and checksums checked; DamagedRecord if anything differs.

    An OSError (EIO of a failing disk) passes: only the caller knows whether it means one record or the disk.
    """
    try:
        record = memoryview(fs.pread(fd, RECORD_HEADER_SIZE + stored_size, offset))
    except EOFError as error:
        raise DamagedRecord(pack_id, offset, "the pack ends before") from error
    header, payload = bytes(record[:RECORD_HEADER_SIZE]), record[RECORD_HEADER_SIZE:]
    crc = _expect(layout.salt(pack_id), header, pack_id, offset, stored_size=stored_size, digest=digest)
    if layout.crc32c(payload) != crc:
        raise DamagedRecord(pack_id, offset, "the payload's checksum differs")
    return payload


def read_neighbours(fs: FileSystem, fd: int, pack_id: str, records: Sequence[Record]) -> Iterator[memoryview]:
    """The payloads of records that `coalesce` put together, read at once."""
    if len(records) == 1:
        only = records[0]
        yield read_payload(fs, fd, pack_id, only)
        return
    base = records[0].offset
    try:
        window = memoryview(fs.pread(fd, records[-1].payload_end - base, base))
    except EOFError as error:
        raise DamagedRecord(pack_id, base, "the pack ends before") from error
    seed = layout.salt(pack_id)
    for record in records:
        header = bytes(window[record.offset - base : record.payload_offset - base])
        crc = _expect(
            seed, header, pack_id, record.offset, stored_size=record.stored_size, digest=record.digest
        )
        payload = window[record.payload_offset - base : record.payload_end - base]
        if layout.crc32c(payload) != crc:
            raise DamagedRecord(pack_id, record.offset, "the payload's checksum differs")
        yield payload


def coalesce(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Cut the records, in the given order, into runs that one read of at most 4 MiB covers."""
    start = 0
    for at in range(1, len(records) + 1):
        if at < len(records) and _joins(records[start], records[at - 1], records[at]):
            continue
        yield records[start:at]
        start = at


def scan(
    fs: FileSystem, path: Path, *, payloads: bool = False, damage: Report | None = None
) -> Iterator[Record]:
    """The records of a pack, open or sealed, by their headers, in the order of their offsets.

    After damage it goes on at the next header whose checksum is good. With `payloads`, a record counts only
    if its payload's checksum is good too. `damage` is told of every place skipped (and with `payloads` of
    padding that is not zero). Raises DamagedPack if neither header nor file name tells the pack's id, and
    UnsupportedPack.
    """
    fd = fs.open_read(path)
    try:
        pack_id = _pack_id(fs, fd, path)
        seed, size = layout.salt(pack_id), fs.size(fd)
        trailer = _trailer(fs, fd, seed, size)
        end = trailer.footer_offset if trailer else size
        yield from _scan(fs, fd, seed, end, payloads=payloads, report=damage or _ignore)
    finally:
        fs.close(fd)


def read_footer(fs: FileSystem, path: Path) -> list[Record]:
    """The records of a sealed pack by its footer; DamagedPack unless footer and trailer are good."""
    fd = fs.open_read(path)
    try:
        seed, size = layout.salt(_pack_id(fs, fd, path)), fs.size(fd)
        trailer = _trailer(fs, fd, seed, size)
        if trailer is None:
            raise DamagedPack(path.stem, "no good trailer")
        entries = fs.pread(fd, trailer.count * ENTRY_SIZE, trailer.footer_offset)
    finally:
        fs.close(fd)
    records = layout.parse_footer(seed, entries, trailer)
    if records is None:
        raise DamagedPack(path.stem, "the footer's checksum differs")
    return records


def read_index(fs: FileSystem, path: Path) -> list[Record]:
    """The records of a sealed pack: by its footer, or where that is damaged by their headers."""
    try:
        return read_footer(fs, path)
    except DamagedPack:
        return list(scan(fs, path))


def check(fs: FileSystem, path: Path) -> list[Damage]:
    """Everything of a sealed pack that is not as it was written, every byte read; empty if it is whole."""
    found: list[Damage] = []
    fd = fs.open_read(path)
    try:
        size = fs.size(fd)
        header = fs.pread(fd, min(size, HEADER_SIZE), 0)
    finally:
        fs.close(fd)
    if layout.parse_pack_header(header) != path.stem:
        found.append(Damage(0, "the pack's header is damaged or another pack's"))
    try:
        listed = read_footer(fs, path)
    except DamagedPack as error:
        listed = None
        found.append(Damage(max(0, size - TRAILER_SIZE), error.reason))
    if listed is not None and listed != list(scan(fs, path)):
        found.append(Damage(size - TRAILER_SIZE, "footer and record headers disagree"))
    for _ in scan(fs, path, payloads=True, damage=found.append):
        pass
    return found


def _expect(
    seed: int, header: bytes, pack_id: str, offset: int, *, stored_size: int, digest: bytes | None
) -> int:
    """The payload's CRC32C from a header that must be of the record asked for."""
    parsed = layout.parse_record_header(seed, header, offset)
    if parsed is None:
        raise DamagedRecord(pack_id, offset, "no good record header")
    record, payload_crc = parsed
    if record.stored_size != stored_size or (digest is not None and record.digest != digest):
        raise DamagedRecord(pack_id, offset, "another record")
    return payload_crc


def _joins(first: Record, last: Record, record: Record) -> bool:
    return (
        max(first.stored_size, last.stored_size, record.stored_size) < _LARGE
        and 0 <= record.offset - last.end <= _GAP
        and record.payload_end - first.offset <= _WINDOW
    )


def _scan(
    fs: FileSystem, fd: int, seed: int, end: int, *, payloads: bool, report: Report
) -> Iterator[Record]:
    position = HEADER_SIZE
    while position < end:
        header = fs.pread(fd, min(RECORD_HEADER_SIZE, end - position), position)
        parsed = layout.parse_record_header(seed, header, position)
        if parsed is None or parsed[0].payload_end > end:
            report(Damage(position, "no good record header" if parsed is None else "the record is cut off"))
            position = _resync(fs, fd, seed, position + layout.ALIGN, end)
            continue
        record, payload_crc = parsed
        if not payloads or _payload_is_good(fs, fd, record, payload_crc, report):
            yield record
        if payloads and record.end <= end and not _padding_is_zero(fs, fd, record):
            report(Damage(record.payload_end, "padding is not zero"))
        position = record.end


def _resync(fs: FileSystem, fd: int, seed: int, position: int, end: int) -> int:
    """Where the next good record header is, at or after `position`; `end` if there is none.

    Payloads may hold the magic by chance or by malice, so only a header with a good checksum counts.
    """
    while position + RECORD_HEADER_SIZE <= end:
        window = fs.pread(fd, min(_WINDOW, end - position), position)
        at = window.find(RECORD_MAGIC)
        while at >= 0 and at + RECORD_HEADER_SIZE <= len(window):
            if (position + at) % layout.ALIGN == 0:
                header = window[at : at + RECORD_HEADER_SIZE]
                parsed = layout.parse_record_header(seed, header, position + at)
                if parsed is not None and parsed[0].payload_end <= end:
                    return position + at
            at = window.find(RECORD_MAGIC, at + 1)
        position += max(layout.ALIGN, layout.aligned(len(window) - RECORD_HEADER_SIZE))
    return end


def _payload_is_good(fs: FileSystem, fd: int, record: Record, expected: int, report: Report) -> bool:
    crc, position = 0, record.payload_offset
    while position < record.payload_end:
        window = fs.pread(fd, min(_WINDOW, record.payload_end - position), position)
        crc = google_crc32c.extend(crc, window)
        position += len(window)
    if crc != expected:
        report(Damage(record.offset, "the payload's checksum differs"))
    return crc == expected


def _padding_is_zero(fs: FileSystem, fd: int, record: Record) -> bool:
    return not any(fs.pread(fd, record.end - record.payload_end, record.payload_end))


def _trailer(fs: FileSystem, fd: int, seed: int, size: int) -> layout.Trailer | None:
    if size < HEADER_SIZE + TRAILER_SIZE:
        return None
    return layout.parse_trailer(seed, fs.pread(fd, TRAILER_SIZE, size - TRAILER_SIZE), size)


def _pack_id(fs: FileSystem, fd: int, path: Path) -> str:
    """By the header, so that a file under a wrong name still reads; by the name if the header is damaged."""
    named = layout.parse_pack_header(fs.pread(fd, min(HEADER_SIZE, fs.size(fd)), 0))
    if named is not None:
        return named
    if layout.is_pack_id(path.stem):
        return path.stem
    raise DamagedPack(path.name, "neither its header nor its name tells the pack's id")


def _ignore(damage: Damage) -> None:
    pass
