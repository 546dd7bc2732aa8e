"""Makes builds that come from another registry: steps, metric points, and the log, which is read through once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from regsvc.catalog import builds, chunks, transfer_export, transfer_import, uploads
from regsvc.catalog.database import Catalog, Transaction
from regsvc.catalog.logs import LogBatch
from regsvc.catalog.transfer_items import BuildItem, PointsItem
from regsvc.catalog.uploads import UploadState
from regsvc.content.record import EMPTY, document
from regsvc.errors import (
    ChunksMissing,
    DigestMismatch,
    FilesIncomplete,
    ImportConflict,
    InvalidArgument,
    NotFound,
)
from regsvc.service.ingest import UploadSession
from regsvc.service.limits import Limits
from regsvc.service.loglines import from_json_lines
from regsvc.service.reading import VersionReader
from regsvc.service.transfer_names import Into
from regsvc.service.transfer_versions import blob_here, blobs_of, missing_blobs
from regsvc.service.uploads import Uploads

BATCH = 256 << 10
"""Bytes of a log that one row of its index stands for, about."""


class BuildTaker:
    """Takes builds whose blobs and points are in an upload."""

    def __init__(self, catalog: Catalog, uploads: Uploads, files: VersionReader, limits: Limits):
        self._catalog = catalog
        self._uploads = uploads
        self._files = files
        self._longest = 8 * limits.max_log_line_bytes + (64 << 10)

    def offer(self, tx: Transaction, source: str, item: BuildItem) -> Sequence[bytes] | None:
        """None when it is here; else the blobs that are missing. Raises `ImportConflict`."""
        if _is_here(tx, source, item):
            return None
        return missing_blobs(tx, _digests(item))

    def stage(self, item: PointsItem, upload: str) -> None:
        """Keep points until their build is made. Raises `NotFound`, `LeaseLapsed`, `UploadClosed`."""
        self._uploads.session(upload)

        def stage(tx: Transaction) -> None:
            uploads.find_open(tx, upload, tx.now)
            transfer_import.stage_points(tx, upload, item.first, item.points)

        self._catalog.write(stage)

    def make(self, source: str, item: BuildItem, into: Into, upload: str) -> bool:
        """Make a build, unless it is here; gives whether. Raises as `VersionTaker.make`."""
        if self._catalog.write(lambda tx: _is_here(tx, source, item)):
            return False
        batches = self._log_of(item, upload)
        # Before the transaction: of a million points it takes a while, and the writer is everybody's.
        series = self._catalog.read(lambda db: transfer_import.staged_series(db, upload))

        def make(tx: Transaction, sessions: Sequence[UploadSession]) -> bool:
            if _is_here(tx, source, item):
                return False
            staged = transfer_import.count_staged(tx, upload)
            if staged != item.point_count:
                raise FilesIncomplete(f"{staged} of {item.point_count} points have arrived", staged=staged)
            brought = blobs_of(tx, sessions)
            log = None
            if item.log_digest is not None:
                log = (blob_here(tx, brought, item.log_digest), batches)
            attachments = {each.name: blob_here(tx, brought, each.digest) for each in item.attachments}
            uses = transfer_import.uses_here(tx, [into.use(each) for each in item.record.datasets])
            transfer_import.add_build(tx, item, log, attachments, uses, (upload, series), source)
            if not _same(transfer_export.build(tx, item.name), item):
                raise DigestMismatch(f"build {item.name} is not what was said of it", build=item.name.wire)
            transfer_import.event(tx, "build.created", item.name.wire, source)
            transfer_import.event(tx, "build.ended", item.name.wire, source, state=item.state.name)
            tx.notify(builds.topic(item.name))
            uploads.close(tx, upload, UploadState.COMMITTED)
            return True

        return self._uploads.adopt([upload], make)

    def _log_of(self, item: BuildItem, upload: str) -> list[LogBatch]:
        """Where in its log which lines are. Raises `InvalidArgument` when that is none of so many lines and bytes."""
        if item.log_digest is None:
            return []
        session = self._uploads.session(upload)
        draft = session.drafts.get(item.log_digest.hex())
        if draft is not None and draft.complete:
            data: Iterable[bytes] = (session.read_chunk(digest) for digest, _ in draft.pieces)
        else:
            known = self._catalog.read(lambda db: chunks.find_file(db, item.log_digest or b""))
            if known is None:
                raise ChunksMissing(f"the log of {item.name} was not brought", missing=1)
            data = self._files.file_bytes(known[0], 0, known[1])
        batches, texts = [], 0
        for batch, size in _batches(self._lines(data)):
            batches.append(batch)
            texts += size
        last = batches[-1].last_seq if batches else 0
        if (last, texts) != (item.log_seq, item.log_bytes):
            raise InvalidArgument(
                f"the log of {item.name} has {last} lines, not {item.log_seq}, or other texts",
                build=item.name.wire,
            )
        return batches

    def _lines(self, data: Iterable[bytes]) -> Iterator[bytes]:
        rest = b""
        for part in data:
            *whole, rest = (rest + part).split(b"\n")
            yield from (line + b"\n" for line in whole)
            if len(rest) > self._longest:
                raise InvalidArgument("a log has a line that is too long")
        if rest:
            raise InvalidArgument("a log ends within a line")


def _batches(lines: Iterable[bytes]) -> Iterator[tuple[LogBatch, int]]:
    """Stretches of lines that are numbered 1, 2, 3 ..., each with the bytes of its texts."""
    held: list[bytes] = []
    size = offset = seq = 0

    def batch() -> tuple[LogBatch, int]:
        try:
            found = from_json_lines(b"".join(held))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InvalidArgument("a log is not as logs are stored") from None
        if [line.seq for line in found] != list(range(seq + 1, seq + len(held) + 1)):
            raise InvalidArgument("the lines of a log are not numbered 1, 2, 3 ...")
        return LogBatch(seq + 1, seq + len(held), size, None, offset), sum(len(line.text) for line in found)

    for line in lines:
        if held and size + len(line) > BATCH:
            yield batch()
            seq, offset = seq + len(held), offset + size
            held, size = [], 0
        held.append(line)
        size += len(line)
    if held:
        yield batch()


def _is_here(tx: Transaction, source: str, item: BuildItem) -> bool:
    """Raises `ImportConflict` when another build has its number."""
    try:
        here = transfer_export.build(tx, item.name)
    except NotFound:
        return False
    if not _same(here, item):
        raise ImportConflict(f"build {item.name} is another one here", build=item.name.wire)
    transfer_import.known_build(tx, item, source)
    return True


def _same(one: BuildItem, other: BuildItem) -> bool:
    """Records are compared by what they say: a list is as good as a tuple."""
    bare = [
        replace(each, record=EMPTY, attachments=tuple(sorted(each.attachments, key=_name)))
        for each in (one, other)
    ]
    return bare[0] == bare[1] and document(one.record) == document(other.record)


def _name(each: object) -> str:
    return str(getattr(each, "name", ""))


def _digests(item: BuildItem) -> list[bytes]:
    found = [each.digest for each in item.attachments]
    return found if item.log_digest is None else [*found, item.log_digest]
