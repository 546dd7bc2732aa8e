"""Makes versions that come from another registry, with their numbers and their sealed records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from regsvc.catalog import provenance, transfer_gone, transfer_import, uploads, versions
from regsvc.catalog.database import Catalog, Reader, Transaction
from regsvc.catalog.transfer_items import VersionItem
from regsvc.catalog.uploads import UploadState
from regsvc.content import record as content
from regsvc.content.record import Attachment
from regsvc.errors import ChunksMissing, DigestMismatch, FilesIncomplete, ImportConflict
from regsvc.service.ingest import UploadSession
from regsvc.service.recording import text_of
from regsvc.service.transfer_names import Into
from regsvc.service.uploads import Uploads, files_of


class VersionTaker:
    """Takes versions whose files are in uploads."""

    def __init__(self, catalog: Catalog, uploads: Uploads):
        self._catalog = catalog
        self._uploads = uploads

    def check(self, item: VersionItem) -> None:
        """Before anything travels: the record is what was sealed. Raises `DigestMismatch`."""
        if item.record_digest is None:
            return
        text = content.sealed_text(
            item.digest,
            description=item.metadata.description,
            params=item.metadata.params,
            metrics=item.metadata.metrics,
            tags=item.metadata.tags,
            record=item.record,
            attachments=item.attachments,
        )
        if content.digest_of(text) != item.record_digest:
            raise DigestMismatch(f"the record of {item.ref} is not what was sealed", version=item.ref.wire)

    def offer(self, tx: Transaction, source: str, item: VersionItem) -> Sequence[bytes] | None:
        """None when it is here; else the blobs that are missing. Raises `ImportConflict`."""
        if is_here(tx, source, item):
            return None
        return missing_blobs(tx, [each.digest for each in item.attachments])

    def make(self, source: str, item: VersionItem, into: Into, files: str, blobs: str) -> bool:
        """Make a version of an upload of its files and one of its attachments, unless it is here; gives whether.

        Raises `ImportConflict`, `DigestMismatch`, `FilesIncomplete`, `ChunksMissing`, `LeaseLapsed`.
        """
        # Also the answer to a call whose first answer was lost: the uploads are closed then.
        if self._catalog.write(lambda tx: is_here(tx, source, item)):
            return False

        def make(tx: Transaction, sessions: Sequence[UploadSession]) -> bool:
            if is_here(tx, source, item):
                return False
            paths = files_of(tx, sessions[0].drafts.values())
            brought = blobs_of(tx, sessions[1:])
            attachments = {each.name: blob_here(tx, brought, each.digest) for each in item.attachments}
            version_id = self._add(tx, source, item, into, paths, attachments)
            for session in sessions:
                uploads.close(tx, session.upload.id, UploadState.COMMITTED, version_id)
            return True

        return self._uploads.adopt([files, *([blobs] if blobs else [])], make, item.digest)

    def _add(
        self,
        tx: Transaction,
        source: str,
        item: VersionItem,
        into: Into,
        paths: Mapping[str, int],
        attachments: Mapping[str, int],
    ) -> int:
        uses = transfer_import.uses_here(tx, [into.use(each) for each in item.record.datasets])
        parents = [
            transfer_import.parent_here(tx, into.parent(each.version), source) for each in item.record.parents
        ]
        version_id = transfer_import.add_version(
            tx, item, sorted(paths.items()), attachments, uses, parents, source
        )
        if _by_name(provenance.attachments(tx, "version", version_id)) != _by_name(item.attachments):
            raise DigestMismatch(f"the attachments of {item.ref} have other sizes", version=item.ref.wire)
        if item.record_digest is not None:
            text = text_of(tx, version_id, item.digest, item.metadata, item.record)
            if content.digest_of(text) != item.record_digest:
                raise DigestMismatch(
                    f"the record of {item.ref} is not what was sealed", version=item.ref.wire
                )
        transfer_import.event(
            tx,
            "version.created",
            item.ref.wire,
            source,
            digest=item.digest.hex(),
            size=item.size,
            files=len(paths),
        )
        return version_id


def is_here(tx: Transaction, source: str, item: VersionItem) -> bool:
    """Whether a version is here already.

    Raises `ImportConflict` when another one has its number, `VersionDeleted` when it was deleted here.
    """
    found = transfer_gone.find(tx, item.ref)
    if found is None:
        return False
    if found.deleted_at is not None:
        raise versions.gone(found)
    if (found.digest, found.record_digest) != (item.digest, item.record_digest):
        what = "files" if found.digest != item.digest else "a record"
        raise ImportConflict(f"{item.ref} is here with other {what}", version=item.ref.wire)
    transfer_import.known_version(tx, item.ref, found.id, source)
    return True


def missing_blobs(db: Reader, digests: Sequence[bytes]) -> list[bytes]:
    """Those that are no file here, each once."""
    return [each for each in dict.fromkeys(digests) if transfer_import.file_of(db, each) is None]


def blobs_of(tx: Transaction, sessions: Sequence[UploadSession]) -> dict[bytes, int]:
    """Files by digest of the uploads of blobs. Raises `FilesIncomplete`, `DigestMismatch`, `ChunksMissing`."""
    found: dict[bytes, int] = {}
    for session in sessions:
        for path, draft in session.drafts.items():
            if draft.digest is None:
                raise FilesIncomplete(f"'{path}' has not arrived whole", path=path)
            if draft.digest.hex() != path:
                raise DigestMismatch("a blob comes under its digest", digest=draft.digest.hex())
        ids = files_of(tx, session.drafts.values())
        found |= {bytes.fromhex(path): file_id for path, file_id in ids.items()}
    return found


def blob_here(tx: Transaction, brought: Mapping[bytes, int], digest: bytes) -> int:
    """The file of a blob that came, or is here. Raises `ChunksMissing`."""
    file_id = brought.get(digest) or transfer_import.file_of(tx, digest)
    if file_id is None:
        raise ChunksMissing(f"blob {digest.hex()} was not brought", missing=1)
    return file_id


def _by_name(found: Sequence[Attachment]) -> list[Attachment]:
    return sorted(found, key=lambda each: each.name)
