"""Bytes on disk: packs of checksummed records, written once, synced before they count, readable for ever.

`PackStore` is the way in; `PackWriter` (from `PackStore.create`) adds. What a caller keeps of a record is
(pack id, offset, stored_size, raw_size, codec, digest). This package decodes nothing, hashes nothing and
knows neither gRPC nor SQL; `docs/format.md` is the format.
"""

from regsvc.store.fsio import AlreadyLocked, FileSystem, StoreFull
from regsvc.store.layout import (
    MAX_RECORDS,
    MAX_STORED,
    PACK_TARGET,
    DamagedPack,
    Kind,
    Record,
    UnsupportedPack,
)
from regsvc.store.pack import NewRecord, PackWriter, PoisonedPack, SealedPack
from regsvc.store.packs import PackNotFound, PackStore
from regsvc.store.reader import Damage, DamagedRecord, check, read_footer, read_index, scan

__all__ = [
    "MAX_RECORDS",
    "MAX_STORED",
    "PACK_TARGET",
    "AlreadyLocked",
    "Damage",
    "DamagedPack",
    "DamagedRecord",
    "FileSystem",
    "Kind",
    "NewRecord",
    "PackNotFound",
    "PackStore",
    "PackWriter",
    "PoisonedPack",
    "Record",
    "SealedPack",
    "StoreFull",
    "UnsupportedPack",
    "check",
    "read_footer",
    "read_index",
    "scan",
]
