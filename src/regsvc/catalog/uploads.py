"""Uploads: leased sessions that turn bytes into one version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from regsvc.catalog import chunks
from regsvc.catalog.database import Reader, Row, Transaction
from regsvc.errors import LeaseLapsed, NotFound, UploadClosed
from regsvc.refs import BuildName, ModelName


class UploadState(IntEnum):
    """As in artifact.proto."""

    OPEN = 1
    COMMITTED = 2
    ABORTED = 3
    EXPIRED = 4


_SELECT = """
SELECT u.id, u.namespace, u.model, b.number, u.build_id, u.state, u.lease_until, v.number
FROM uploads u
LEFT JOIN builds b ON b.id = u.build_id
LEFT JOIN versions v ON v.id = u.version_id
"""


@dataclass(frozen=True)
class Upload:
    """A leased session."""

    id: str
    model: ModelName
    build: BuildName | None
    build_id: int | None
    state: UploadState
    lease_until: int
    version: int | None
    """Number of the version it became."""

    @property
    def name(self) -> str:
        """Resource name."""
        return f"uploads/{self.id}"


def create(tx: Transaction, upload_id: str, model: ModelName, build_id: int | None, lease_us: int) -> None:
    """Open an upload."""
    tx.run(
        "INSERT INTO uploads (id, namespace, model, build_id, state, lease_until, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [upload_id, model.namespace, model.model, build_id, UploadState.OPEN, tx.now + lease_us, tx.now],
    )


def find(db: Reader, upload_id: str) -> Upload:
    """Raises `NotFound`."""
    row = db.row(_SELECT + "WHERE u.id = ?", [upload_id])
    if row is None:
        raise NotFound(f"upload {upload_id} does not exist", upload=f"uploads/{upload_id}")
    return _upload(row)


def find_open(db: Reader, upload_id: str, now: int) -> Upload:
    """Raises `NotFound`, `UploadClosed`, or `LeaseLapsed`, which fences off a client that slept too long."""
    upload = find(db, upload_id)
    if upload.state is UploadState.EXPIRED or (upload.state is UploadState.OPEN and upload.lease_until < now):
        raise LeaseLapsed(f"the lease of upload {upload_id} has lapsed", upload=upload.name)
    if upload.state is not UploadState.OPEN:
        raise UploadClosed(f"upload {upload_id} is closed: {upload.state.name}", upload=upload.name)
    return upload


def renew(tx: Transaction, upload_id: str, lease_us: int) -> None:
    """Renew the lease of an open upload."""
    tx.run(
        "UPDATE uploads SET lease_until = ? WHERE id = ? AND state = ?",
        [tx.now + lease_us, upload_id, UploadState.OPEN],
    )


def extend_leases(tx: Transaction, lease_us: int) -> None:
    """Give every open upload a whole lease: the time while the server was down does not count."""
    tx.run("UPDATE uploads SET lease_until = ? WHERE state = ?", [tx.now + lease_us, UploadState.OPEN])


def count_open(db: Reader) -> int:
    """How many uploads are open."""
    return int(db.value("SELECT count(*) FROM uploads WHERE state = ?", [UploadState.OPEN]))


def any_open(db: Reader, before: int) -> bool:
    """Whether an upload is open that was opened before a moment."""
    found = db.value(
        "SELECT 1 FROM uploads WHERE state = ? AND created_at < ? LIMIT 1", [UploadState.OPEN, before]
    )
    return found is not None


def close(tx: Transaction, upload_id: str, state: UploadState, version_id: int | None = None) -> None:
    """End an upload and let go of what it pinned."""
    tx.run("UPDATE uploads SET state = ?, version_id = ? WHERE id = ?", [state, version_id, upload_id])
    tx.run("DELETE FROM upload_chunks WHERE upload_id = ?", [upload_id])
    tx.run("DELETE FROM upload_files WHERE upload_id = ?", [upload_id])
    tx.run("DELETE FROM upload_attachments WHERE upload_id = ?", [upload_id])
    tx.run("DELETE FROM upload_points WHERE upload_id = ?", [upload_id])
    chunks.unpin(tx, upload_id)


def lapsed(db: Reader, now: int) -> list[str]:
    """Open uploads whose lease has lapsed."""
    rows = db.rows("SELECT id FROM uploads WHERE state = ? AND lease_until < ?", [UploadState.OPEN, now])
    return [upload_id for (upload_id,) in rows]


def forget_old(tx: Transaction, before: int) -> int:
    """Drop ended uploads that were opened before a time; gives how many."""
    return tx.run("DELETE FROM uploads WHERE state <> ? AND created_at < ?", [UploadState.OPEN, before])


def add_files(tx: Transaction, upload_id: str, paths: Sequence[str]) -> None:
    """Remember that these files belong to the upload, so that no restart can make a version without them."""
    tx.run_many(
        "INSERT INTO upload_files (upload_id, path) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(upload_id, path) for path in paths],
    )


def files(db: Reader, upload_id: str) -> list[str]:
    """Paths of the files that the upload has begun."""
    rows = db.rows("SELECT path FROM upload_files WHERE upload_id = ?", [upload_id])
    return [path for (path,) in rows]


def save_progress(tx: Transaction, upload_id: str, pieces: Sequence[tuple[str, int, int]]) -> None:
    """Remember durable pieces of files: (path, file offset, chunk id)."""
    tx.run_many(
        "INSERT INTO upload_chunks (upload_id, path, file_offset, chunk_id) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (upload_id, path, file_offset) DO UPDATE SET chunk_id = excluded.chunk_id",
        [(upload_id, path, offset, chunk_id) for path, offset, chunk_id in pieces],
    )


def progress(db: Reader, upload_id: str) -> list[tuple[str, int, bytes, int]]:
    """Durable pieces of files, in order: (path, file offset, chunk digest, raw size)."""
    rows = db.rows(
        "SELECT uc.path, uc.file_offset, c.digest, c.raw_size FROM upload_chunks uc"
        " JOIN chunks c ON c.id = uc.chunk_id WHERE uc.upload_id = ? ORDER BY uc.path, uc.file_offset",
        [upload_id],
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def drop_progress(tx: Transaction, upload_id: str, path: str) -> None:
    """Forget the pieces of one file, which starts anew."""
    tx.run("DELETE FROM upload_chunks WHERE upload_id = ? AND path = ?", [upload_id, path])


def _upload(row: Row) -> Upload:
    upload_id, namespace, model, build_number, build_id, state, lease_until, version = row
    name = ModelName(namespace, model)
    build = None if build_number is None else BuildName(name, build_number)
    return Upload(upload_id, name, build, build_id, UploadState(state), lease_until, version)
