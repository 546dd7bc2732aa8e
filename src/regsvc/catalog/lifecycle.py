"""Archiving, deleting and undeleting versions, and who uses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regsvc.catalog import aliases, events, models, runs
from regsvc.catalog.aliases import Move
from regsvc.catalog.database import Reader, Transaction
from regsvc.catalog.versions import Version
from regsvc.errors import VersionInUse
from regsvc.refs import AliasName

_SHOWN = 20
"""Hosts that a refusal names."""


@dataclass(frozen=True)
class Use:
    """Who uses a version."""

    aliases: Sequence[str]
    hosts: Sequence[str]
    """That said they serve it and are not forgotten: one that is away may serve it all the same."""
    builds: Sequence[str] = ()
    """That wait or run, and read it."""

    def refusal(self, version: Version) -> VersionInUse | None:
        """Why the version is not to be touched; None when nobody uses it."""
        if not self.aliases and not self.hosts and not self.builds:
            return None
        names = ", ".join(f"@{alias}" for alias in self.aliases)
        named = [f"{names} {'names' if len(self.aliases) == 1 else 'name'} it"] if names else []
        shown = ", ".join(self.hosts[:_SHOWN]) + (" and others" if len(self.hosts) > _SHOWN else "")
        served = [f"{shown} {'serves' if len(self.hosts) == 1 else 'serve'} it"] if self.hosts else []
        builds = ", ".join(self.builds[:_SHOWN]) + (" and others" if len(self.builds) > _SHOWN else "")
        read = [f"{builds} {'reads' if len(self.builds) == 1 else 'read'} it"] if self.builds else []
        return VersionInUse(
            f"{version.ref} is in use: {'; '.join([*named, *served, *read])}",
            version=version.ref.wire,
            aliases=",".join(self.aliases),
            hosts=",".join(self.hosts[:_SHOWN]),
            builds=",".join(self.builds[:_SHOWN]),
        )


def use_of(db: Reader, version: Version) -> Use:
    """Who uses a version now."""
    rows = db.rows("SELECT DISTINCT host FROM deployments WHERE version_id = ? ORDER BY host", [version.id])
    builds = runs.readers(db, version.model).get(version.number, ())
    return Use(version.aliases, [host for (host,) in rows], [str(build) for build in builds])


def archive(tx: Transaction, version: Version, *, archived: bool, reason: str, author: str) -> None:
    """Put a version away, or take it out; nothing happens when it is so already. Raises `VersionInUse`."""
    if (version.archived_at is not None) == archived:
        return
    if archived and version.aliases:
        refusal = Use(version.aliases, ()).refusal(version)
        assert refusal is not None
        raise refusal
    tx.run("UPDATE versions SET archived_at = ? WHERE id = ?", [tx.now if archived else None, version.id])
    models.touch(tx, models.find_id(tx, version.model))
    kind = "version.archived" if archived else "version.unarchived"
    events.record(tx, kind, version.ref.wire, reason=reason, author=author)


def delete(tx: Transaction, version: Version, use: Use, *, keep_us: int, by: Move) -> None:
    """Delete a version that is not deleted; the aliases that name it name nothing from then on."""
    for alias in use.aliases:
        aliases.unset(tx, AliasName(version.model, alias), by)
    purge_at = tx.now + keep_us
    tx.run("UPDATE versions SET deleted_at = ?, purge_at = ? WHERE id = ?", [tx.now, purge_at, version.id])
    models.touch(tx, models.find_id(tx, version.model))
    events.record(
        tx,
        "version.deleted",
        version.ref.wire,
        reason=by.reason,
        author=by.author,
        aliases=",".join(use.aliases),
        hosts=",".join(use.hosts[:_SHOWN]),
        purge_at=purge_at,
    )


def keep_for(tx: Transaction, version: Version, keep_us: int) -> None:
    """Say anew how long a deleted version can be had back, from now on."""
    tx.run("UPDATE versions SET purge_at = ? WHERE id = ?", [tx.now + keep_us, version.id])


def undelete(tx: Transaction, version: Version, author: str) -> None:
    """Have a deleted version back; nothing happens when it is not deleted. Aliases that were unset stay so."""
    if version.deleted_at is None:
        return
    tx.run("UPDATE versions SET deleted_at = NULL, purge_at = NULL WHERE id = ?", [version.id])
    models.touch(tx, models.find_id(tx, version.model))
    events.record(tx, "version.undeleted", version.ref.wire, author=author)


def due(db: Reader, now: int, limit: int) -> list[int]:
    """Ids of deleted versions whose time has come, the longest due first."""
    rows = db.rows(
        "SELECT id FROM versions WHERE deleted_at IS NOT NULL AND purged = 0 AND purge_at <= ?"
        " ORDER BY purge_at LIMIT ?",
        [now, limit],
    )
    return [version_id for (version_id,) in rows]


def due_count(db: Reader, now: int) -> int:
    """How many those are."""
    return int(
        db.value(
            "SELECT count(*) FROM versions WHERE deleted_at IS NOT NULL AND purged = 0 AND purge_at <= ?",
            [now],
        )
    )
