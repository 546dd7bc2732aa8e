"""Start-up: make the catalog and the packs agree again after whatever ended the last run."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from regsvc.catalog import builds, chunks, uploads
from regsvc.catalog.chunks import PackFacts
from regsvc.catalog.database import Catalog, Transaction
from regsvc.errors import StorageFull
from regsvc.service.limits import Limits
from regsvc.store import DamagedPack, Kind, PackStore, Record, UnsupportedPack

log = logging.getLogger(__name__)


def recover(catalog: Catalog, store: PackStore, limits: Limits) -> None:
    """Adopt orphan packs, save torn ones up to the last good record, and give every lease a fresh start.

    A pack that is on disk but not in the catalog was sealed just before a crash: all its records are good,
    and adopting it saves the client from sending them again.
    """
    saved = store.recover()
    for pack in saved:
        log.info("saved an open pack", extra={"pack": pack.id, "records": len(pack.records)})
    known = catalog.read(chunks.pack_names)
    for pack_id in store.list():
        if pack_id not in known:
            _adopt(catalog, store, pack_id)
    try:
        extend_leases(catalog, limits)
    except StorageFull:
        # Reads must be possible on a full disk; leases then end when they end.
        log.warning("the disk is full: leases were not extended")


def extend_leases(catalog: Catalog, limits: Limits) -> None:
    """Give every build and upload a whole lease: nobody could be heard until now. Raises `StorageFull`."""

    def extend(tx: Transaction) -> None:
        builds.extend_leases(tx, limits.build_lease_us)
        uploads.extend_leases(tx, limits.upload_lease_us)

    catalog.write(extend)


def _adopt(catalog: Catalog, store: PackStore, pack_id: str) -> None:
    try:
        records = store.index(pack_id)
    except (DamagedPack, UnsupportedPack, OSError):
        log.warning("a pack cannot be read and was left alone", extra={"pack": pack_id})
        return
    pack = PackFacts(pack_id, store.path(pack_id).stat().st_size, len(records), _chunk_rows(records))
    catalog.write(lambda tx: chunks.add_pack(tx, pack))
    log.info("adopted an orphan pack", extra={"pack": pack_id, "records": len(records)})


def _chunk_rows(records: Sequence[Record]) -> list[tuple[bytes, int, int, int, int]]:
    return [
        (record.digest, record.offset, record.stored_size, record.raw_size, record.codec)
        for record in records
        if record.kind == Kind.CHUNK
    ]
