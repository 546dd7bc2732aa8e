"""Putting versions away, deleting them, and having them back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from regsvc.catalog import lifecycle, models, requests, storage, versions
from regsvc.catalog.aliases import Move
from regsvc.catalog.database import Catalog, Reader, Transaction, now_us
from regsvc.catalog.lifecycle import Use
from regsvc.catalog.requests import Request
from regsvc.catalog.storage import Chosen, Usage
from regsvc.catalog.versions import Version
from regsvc.errors import InvalidArgument
from regsvc.refs import ModelName, VersionRef
from regsvc.service.authors import author_of, checked_move, reason_of
from regsvc.service.limits import Limits

MAX_NAMES = 100
"""Most versions and models of one GetStorageStats."""
LONGEST_KEEP_US = 3_660 * 24 * 3600 * 1_000_000
"""Ten years."""


@dataclass(frozen=True)
class Deletion:
    """What DeleteVersion is asked."""

    ref: VersionRef
    force: bool
    keep_us: int | None
    """None leaves it to the server's setting."""
    by: Move


@dataclass(frozen=True)
class Deleted:
    """What came of it, or would."""

    version: Version
    unset: Sequence[str]
    """Aliases that name nothing any more."""
    hosts: Sequence[str]
    """That serve it."""
    freed_size: int = 0
    """Bytes by which packs shrink when it is purged and collected in full."""


@dataclass(frozen=True)
class Stats:
    """What versions take."""

    usage: Usage
    deleted: Usage
    packs: int
    pack_size: int
    """Bytes of all files of packs."""


class Lifecycle:
    """What `LifecycleService` does with single versions."""

    def __init__(self, catalog: Catalog, limits: Limits):
        self._catalog = catalog
        self._limits = limits

    def archive(
        self, ref: VersionRef, reason: str, author: str, request: Request, *, archived: bool
    ) -> Version:
        """Put a version away, or take it out. Errors as ArchiveVersion documents."""
        reason, author = reason_of(reason), author_of(author)

        def write(tx: Transaction) -> Version:
            known = requests.replay(tx, request)
            if known is not None:
                return versions.get(tx, int(known))
            version = versions.find(tx, ref)
            lifecycle.archive(tx, version, archived=archived, reason=reason, author=author)
            requests.remember(tx, request, str(version.id))
            return versions.get(tx, version.id)

        return self._catalog.write(write)

    def delete(self, asked: Deletion, request: Request) -> Deleted:
        """Delete a version. Errors as DeleteVersion documents."""
        asked = replace(asked, by=checked_move(asked.by))
        self._keep(asked)

        def write(tx: Transaction) -> Deleted:
            known = requests.replay(tx, request)
            if known is not None:
                version_id, unset, hosts = json.loads(known)
                return Deleted(versions.get(tx, version_id), unset, hosts)
            deleted = self._delete(tx, asked)
            told = [deleted.version.id, list(deleted.unset), list(deleted.hosts)]
            requests.remember(tx, request, json.dumps(told))
            return deleted

        return self._with_freed(self._catalog.write(write))

    def would_delete(self, asked: Deletion) -> Deleted:
        """What `delete` would do. Errors as DeleteVersion documents."""

        keep = self._keep(asked)

        def read(db: Reader) -> Deleted:
            version = versions.find(db, asked.ref, deleted=True)
            if version.deleted_at is not None and asked.keep_us is None:
                return Deleted(version, (), ())
            now = now_us()
            purge_at = now + keep
            if version.deleted_at is not None:
                return Deleted(replace(version, purge_at=purge_at), (), ())
            use = _allowed(db, version, force=asked.force)
            deleted = replace(version, deleted_at=now, purge_at=purge_at, aliases=())
            return Deleted(deleted, use.aliases, use.hosts)

        return self._with_freed(self._catalog.read(read))

    def undelete(self, ref: VersionRef, author: str, request: Request) -> Version:
        """Have a deleted version back. Errors as UndeleteVersion documents."""
        _check_chosen(ref)
        author = author_of(author)

        def write(tx: Transaction) -> Version:
            known = requests.replay(tx, request)
            if known is not None:
                return versions.get(tx, int(known))
            version = versions.find(tx, ref, deleted=True)
            lifecycle.undelete(tx, version, author)
            requests.remember(tx, request, str(version.id))
            return versions.get(tx, version.id)

        return self._catalog.write(write)

    def stats(self, names: Sequence[VersionRef | ModelName]) -> Stats:
        """What versions take, and those of models; without names all. Errors as GetStorageStats documents."""
        if len(names) > MAX_NAMES:
            raise InvalidArgument(f"{len(names)} names, at most {MAX_NAMES}", limit=MAX_NAMES)

        def read(db: Reader) -> Stats:
            chosen = Chosen(
                [versions.find(db, name, deleted=True).id for name in names if isinstance(name, VersionRef)],
                [models.find_id(db, name) for name in names if isinstance(name, ModelName)],
                everything=not names,
            )
            usage, deleted = (storage.usage(db, chosen, deleted=deleted) for deleted in (False, True))
            return Stats(usage, deleted, *storage.pack_total(db))

        return self._catalog.read(read)

    def _with_freed(self, deleted: Deleted) -> Deleted:
        """With what that frees, told by the packs as they are now."""
        chosen = Chosen([deleted.version.id])
        return replace(
            deleted, freed_size=self._catalog.read(lambda db: storage.usage(db, chosen)).freed_size
        )

    def _delete(self, tx: Transaction, asked: Deletion) -> Deleted:
        version = versions.find(tx, asked.ref, deleted=True)
        if version.deleted_at is not None:
            if asked.keep_us is not None:
                lifecycle.keep_for(tx, version, asked.keep_us)
            return Deleted(versions.get(tx, version.id), (), ())
        use = _allowed(tx, version, force=asked.force)
        lifecycle.delete(tx, version, use, keep_us=self._keep(asked), by=asked.by)
        return Deleted(versions.get(tx, version.id), use.aliases, use.hosts)

    def _keep(self, asked: Deletion) -> int:
        _check_chosen(asked.ref)
        keep = self._limits.delete_keep_us if asked.keep_us is None else asked.keep_us
        if not 0 <= keep <= LONGEST_KEEP_US:
            raise InvalidArgument("a deleted version is kept for 0 seconds to 10 years")
        return keep


def _check_chosen(ref: VersionRef) -> None:
    """The latest is not named by mistake: with the next push, or the next deletion, it is another one."""
    if ref == VersionRef(ref.model):
        raise InvalidArgument(f"say which version of {ref.model}: by its number, an alias or its digest")


def _allowed(db: Reader, version: Version, *, force: bool) -> Use:
    """Who uses a version that is to be deleted. Raises `VersionInUse` unless forced."""
    use = lifecycle.use_of(db, version)
    refusal = use.refusal(version)
    if refusal is not None and not force:
        raise refusal
    return use
