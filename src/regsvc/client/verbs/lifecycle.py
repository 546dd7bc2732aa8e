"""Putting versions away, deleting them, and what that frees."""

from __future__ import annotations

from datetime import timedelta

from regsvc import refs
from regsvc.client import lifecycle
from regsvc.client.author import author as who
from regsvc.client.lifecycle import Collection, Deletion, Stats
from regsvc.client.records import Version
from regsvc.client.verbs.connections import Connections
from regsvc.errors import InvalidArgument


class Lifecycle(Connections):
    """Those methods of `Client`. `author` is who asks; without one REGSVC_AUTHOR, or the login name."""

    def archive(
        self, ref: str, *, archived: bool = True, reason: str = "", author: str | None = None
    ) -> Version:
        """Put a version away, or with `archived=False` take it out: `latest` passes over it, no alias is moved to it.

        Raises `NotFound`, `VersionDeleted`, `VersionInUse` (an alias names it).
        """
        reference = refs.parse_reference(ref)
        return lifecycle.archive(
            self._connection(reference.server),
            reference.version,
            archived=archived,
            reason=reason,
            author=who() if author is None else author,
        )

    def delete(
        self,
        ref: str,
        *,
        force: bool = False,
        dry_run: bool = False,
        keep: timedelta | None = None,
        reason: str = "",
        author: str | None = None,
    ) -> Deletion:
        """Delete a version; `undelete` has it back for `keep`, without one for as long as the server is set to.

        With `force` also when aliases name it, which then name nothing, or hosts serve it. Raises `NotFound`,
        `VersionInUse`, `InvalidArgument` (`keep`).
        """
        reference = refs.parse_reference(ref)
        return lifecycle.delete(
            self._connection(reference.server),
            reference.version,
            force=force,
            dry_run=dry_run,
            keep=keep,
            reason=reason,
            author=who() if author is None else author,
        )

    def undelete(self, ref: str, *, author: str | None = None) -> Version:
        """Have a deleted version back. Raises `NotFound`, `VersionDeleted` (it is gone for good)."""
        reference = refs.parse_reference(ref)
        by = who() if author is None else author
        return lifecycle.undelete(self._connection(reference.server), reference.version, by)

    def stats(self, *names: str) -> Stats:
        """What versions take in the store, of which what is theirs alone, and what deleting them would free.

        `names` are references (`team/fraud:3`) or models (`team/fraud`, all its versions); without one all there is.
        Raises `NotFound`.
        """
        references = [refs.parse_reference(name) for name in names]
        servers = {reference.server for reference in references} or {None}
        if len(servers) > 1:
            raise InvalidArgument("the versions are of several servers")
        asked = [each.version if _names_version(each.version) else each.version.model for each in references]
        return lifecycle.stats(self._connection(servers.pop()), asked)

    def collect(self, *, dry_run: bool = False, full: bool = False) -> Collection:
        """Purge deleted versions whose time has come and free what nobody needs; waits for the end.

        `full` rewrites every pack that has anything dead in it. Raises `CollectionRunning`.
        """
        return lifecycle.collect(self._connection(None), dry_run=dry_run, full=full)


def _names_version(ref: refs.VersionRef) -> bool:
    return ref != refs.VersionRef(ref.model)
