"""Start-up: make the catalog and the packs agree again after whatever ended the last run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

from regsvc.catalog import builds, chunks, collecting, uploads
from regsvc.catalog.chunks import PackFacts
from regsvc.catalog.database import Catalog, Transaction
from regsvc.errors import StorageFull
from regsvc.service.limits import Limits
from regsvc.service.packing import notes_of
from regsvc.store import DamagedPack, Kind, PackNotFound, PackStore, Record, UnsupportedPack

log = logging.getLogger(__name__)

PACKS = 500
"""Packs whose notes are indexed in one transaction."""


def recover(catalog: Catalog, store: PackStore, limits: Limits) -> list[str]:
    """Adopt orphan packs, save torn ones up to the last good record, and give every lease a fresh start.

    A pack that is on disk but not in the catalog was sealed just before a crash: all its records are good,
    and adopting it saves the client from sending them again. Gives the packs that were adopted.
    """
    adopted = []
    saved = store.recover()
    for pack in saved:
        log.info("saved an open pack", extra={"pack": pack.id, "records": len(pack.records)})
    try:
        remove_unwanted(catalog, store)
        known = catalog.read(chunks.pack_names)
        for pack_id in store.list():
            if pack_id not in known:
                _adopt(catalog, store, pack_id)
                adopted.append(pack_id)
        _note_packs(catalog, store)
        extend_leases(catalog, limits)
    except StorageFull:
        # Reads must be possible on a full disk; leases then end when they end.
        log.warning("the disk is full: the catalog was not brought up to date with the packs")
    return adopted


def remove_unwanted(catalog: Catalog, store: PackStore) -> None:
    """Remove packs that a collection had begun to make, or has taken out of the catalog."""
    known = catalog.read(chunks.pack_names)
    for pack_id in catalog.read(collecting.unwanted):
        assert pack_id not in known, "what is in the catalog is wanted"
        with contextlib.suppress(PackNotFound):
            store.remove(pack_id)
        catalog.write(lambda tx, pack_id=pack_id: collecting.removed(tx, pack_id))  # type: ignore[misc]


def _note_packs(catalog: Catalog, store: PackStore) -> None:
    """Index what older releases did not: the manifests and recipes of packs."""
    left = catalog.read(chunks.packs_not_noted)
    for start in range(0, len(left), PACKS):
        noted = []
        for row_id, pack_id in left[start : start + PACKS]:
            try:
                noted.append((row_id, notes_of(store.index(pack_id))))
            except (DamagedPack, UnsupportedPack, PackNotFound, OSError):
                log.warning("a pack cannot be read and will not be collected", extra={"pack": pack_id})
        catalog.write(lambda tx, noted=noted: chunks.note_packs(tx, noted))  # type: ignore[misc]


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
    pack = PackFacts(
        pack_id, store.path(pack_id).stat().st_size, len(records), _chunk_rows(records), notes_of(records)
    )
    catalog.write(lambda tx: chunks.add_pack(tx, pack))
    log.info("adopted an orphan pack", extra={"pack": pack_id, "records": len(records)})


def _chunk_rows(records: Sequence[Record]) -> list[tuple[bytes, int, int, int, int]]:
    return [
        (record.digest, record.offset, record.stored_size, record.raw_size, record.codec)
        for record in records
        if record.kind == Kind.CHUNK
    ]
