"""The archive file: records one after another, each proven by a digest that also proves all before it.

    magic     16 bytes   "regsvc archive 1"
    record *
        kind    1 byte   'H' header, 'I' items, 'C' chunks, 'P' place, 'E' end
        size    4 bytes  of the body, little-endian; at most 16 MiB
        body
        digest 32 bytes  BLAKE3 of: the digest before, or the magic's; kind; size; body

Bodies: of 'H' a JSON object, of 'I' an ExportResponse of protos/regsvc/v1, of 'C' a ReadBlobsResponse, of 'P' the
cursor of an Export, which can go on behind it, of 'E' a JSON object with the number of records. 'H' is the first,
'E' the last. It is written and read from its beginning to its end, so it can come from a pipe or go into one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from blake3 import blake3

from regsvc import bulk, errors
from regsvc.client.transferring.source import Frames
from regsvc.errors import ArchiveDamaged
from regsvc.v1 import transfer_pb2 as pb

MAGIC = b"regsvc archive 1"
MAX_BODY = 16 << 20
"""Bytes; what is written has at most some 4 MiB."""
_HEAD = 5
_DIGEST = 32
_KINDS = b"HICPE"
_read_chunks = bulk.deserializer(pb.ReadBlobsResponse)


@dataclass(frozen=True)
class Header:
    """What an archive says of itself."""

    source: str
    """Store id of the registry that it comes from."""
    names: Sequence[str]
    """Resource names that were exported."""
    server_version: str
    created: str
    """RFC 3339, by the clock of whoever wrote it."""


class Record(NamedTuple):
    """One record and where it stands in the file."""

    kind: str
    body: bytes
    begin: int
    end: int


class ArchiveWriter:
    """Appends records to a file. With `chain` and `count` it goes on behind records that are there."""

    def __init__(self, file: BinaryIO, chain: bytes = b"", count: int = 0) -> None:
        self._file = file
        self._chain = chain
        self._count = count
        if not chain:
            file.write(MAGIC)
            self._chain = blake3(MAGIC).digest()

    def header(self, header: Header) -> None:
        """The first record."""
        self._write(b"H", [json.dumps({**header.__dict__, "names": list(header.names)}).encode()])

    def items(self, items: Sequence[Any]) -> None:
        """Items, at most some MiB."""
        self._write(b"I", [pb.ExportResponse(items=items).SerializeToString()])

    def chunks(self, frames: Frames) -> None:
        """Stored chunks."""
        head = pb.ReadBlobsResponse(frames=frames.frames)
        self._write(b"C", [bulk.serialize(bulk.Bulk(head, [frames.data]))])

    def place(self, cursor: str) -> None:
        """An export can go on here."""
        self._write(b"P", [cursor.encode()])

    def end(self) -> None:
        """The last record: the archive is complete."""
        self._write(b"E", [json.dumps({"records": self._count + 1}).encode()])

    def _write(self, kind: bytes, body: Sequence[bytes]) -> None:
        head = kind + sum(map(len, body)).to_bytes(4, "little")
        hasher = blake3(self._chain + head)
        self._file.write(head)
        for part in body:
            hasher.update(part)
            self._file.write(part)
        self._chain = hasher.digest()
        self._file.write(self._chain)
        self._count += 1


class ArchiveReader:
    """Reads the records of a file in order, each proven before it is given. Raises `ArchiveDamaged`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.position = 0
        """Bytes of whole records that were read."""
        self.chain = b""
        self.count = 0
        self.complete = False
        """The last record was read."""
        magic = self._exactly(len(MAGIC), "its beginning")
        if magic != MAGIC:
            if magic.startswith(MAGIC[:-1]):
                raise ArchiveDamaged("the archive has a newer format than this regsvc reads")
            raise ArchiveDamaged("this is no archive of regsvc")
        self.position = len(MAGIC)
        self.chain = blake3(MAGIC).digest()
        self.header = self._header()

    def records(self) -> Iterator[Record]:
        """The records behind the header, without the last one, whose presence they end with."""
        while True:
            record = self._record()
            if record.kind == "E":
                self._check_end(record)
                return
            if record.kind == "H":
                raise self._damaged("a second header", record.begin)
            yield record

    def at(self, begin: int) -> Record:
        """One record that was read, and proven, before. Not of a pipe."""
        back = self._file.tell()
        self._file.seek(begin)
        head = self._file.read(_HEAD)
        body = self._file.read(int.from_bytes(head[1:], "little"))
        self._file.seek(back)
        return Record(chr(head[0]), body, begin, begin + _HEAD + len(body) + _DIGEST)

    def rewind(self, mark: tuple[int, bytes, int]) -> None:
        """Go back to where `mark` was taken. Raises `FailedPrecondition` for a pipe."""
        if not self._file.seekable():
            raise errors.FailedPrecondition("an archive from a pipe is read once: run it again")
        self.position, self.chain, self.count = mark
        self._file.seek(self.position)

    def mark(self) -> tuple[int, bytes, int]:
        """Where to go back to."""
        return self.position, self.chain, self.count

    @property
    def seekable(self) -> bool:
        """It is a file, not a pipe."""
        return self._file.seekable()

    def _record(self) -> Record:
        begin = self.position
        head = self._exactly(_HEAD, "a record")
        size = int.from_bytes(head[1:], "little")
        if head[0] not in _KINDS or size > MAX_BODY:
            raise self._damaged("no record", begin)
        body = self._exactly(size, "a record")
        digest = self._exactly(_DIGEST, "a record")
        hasher = blake3(self.chain + head)
        hasher.update(body)
        if hasher.digest() != digest:
            raise self._damaged("a record that does not have its digest", begin)
        self.chain = digest
        self.position = begin + _HEAD + size + _DIGEST
        self.count += 1
        return Record(chr(head[0]), body, begin, self.position)

    def _header(self) -> Header:
        record = self._record()
        try:
            found = json.loads(record.body)
            if record.kind == "H":
                return Header(
                    str(found["source"]),
                    [str(name) for name in found["names"]],
                    str(found["server_version"]),
                    str(found["created"]),
                )
        except (ValueError, KeyError, TypeError):
            pass
        raise self._damaged("no header", record.begin)

    def _check_end(self, record: Record) -> None:
        try:
            count = json.loads(record.body)["records"]
        except (ValueError, KeyError, TypeError):
            count = -1
        if count != self.count:
            raise self._damaged("an end of another archive", record.begin)
        if self._file.read(1):
            raise self._damaged("something behind the end", record.end)
        self.complete = True

    def _exactly(self, size: int, what: str) -> bytes:
        parts, left = [], size
        while left:
            part = self._file.read(left)
            if not part:
                raise ArchiveDamaged(
                    f"the archive is truncated: it ends within {what} at byte {self.position}",
                    position=self.position,
                )
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _damaged(self, what: str, position: int) -> ArchiveDamaged:
        return ArchiveDamaged(f"the archive is damaged: {what} at byte {position}", position=position)


def items_of(record: Record) -> Sequence[Any]:
    """The items of an 'I' record. Raises `ArchiveDamaged`."""
    try:
        found: Sequence[Any] = pb.ExportResponse.FromString(record.body).items
    except Exception:  # noqa: BLE001 - protobuf's DecodeError has no base of its own in every version
        raise ArchiveDamaged(f"the archive is damaged: no items at byte {record.begin}") from None
    return found


def frames_of(record: Record) -> Frames:
    """The chunks of a 'C' record. Raises `ArchiveDamaged`."""
    try:
        found = _read_chunks(record.body)
    except Exception:  # noqa: BLE001
        raise ArchiveDamaged(f"the archive is damaged: no chunks at byte {record.begin}") from None
    if sum(frame.stored_size for frame in found.head.frames) != len(found.data):
        raise ArchiveDamaged(f"the archive is damaged: chunks of other sizes at byte {record.begin}")
    return Frames(found.head.frames, found.data)
