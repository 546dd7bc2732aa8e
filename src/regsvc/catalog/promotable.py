"""Which versions an alias may be moved to, whoever moves it, and marking them as bad."""

from __future__ import annotations

from regsvc.catalog import events, models
from regsvc.catalog.database import Transaction
from regsvc.catalog.versions import Version, gone
from regsvc.errors import RegsvcError, VersionArchived, VersionBad


def promotable(version: Version) -> RegsvcError | None:
    """Why no alias is moved to this version; None when one may be."""
    if version.deleted_at is not None:
        return gone(version)
    if version.archived_at is not None:
        return VersionArchived(
            f"{version.ref} is archived; `regsvc archive {version.ref} --undo` takes it out",
            version=version.ref.wire,
        )
    if version.bad:
        return VersionBad(
            f"{version.ref} is marked as bad: {version.bad_reason}",
            version=version.ref.wire,
            bad_reason=version.bad_reason,
        )
    return None


def mark(tx: Transaction, version: Version, *, bad: bool, reason: str, author: str) -> None:
    """Mark a version as bad, or as good again; nothing happens when it is marked so already."""
    kept = reason if bad else ""
    if (version.bad, version.bad_reason) == (bad, kept):
        return
    tx.run("UPDATE versions SET bad = ?, bad_reason = ? WHERE id = ?", [int(bad), kept, version.id])
    models.touch(tx, models.find_id(tx, version.model))
    events.record(tx, "version.marked", version.ref.wire, bad=str(bad).lower(), reason=reason, author=author)
