"""Putting versions away, deleting them, and what that frees."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from regsvc import refs
from regsvc.client import lifecycle, retention
from regsvc.client.author import author as who
from regsvc.client.lifecycle import Collection, Deletion, Stats
from regsvc.client.records import Model, Version
from regsvc.client.retention import RetentionPolicy, RetentionResult
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

    def retention(self, model: str) -> RetentionPolicy:
        """Which versions of a model are kept. Raises `NotFound`."""
        return retention.get(*self._model(model))

    def set_retention(
        self,
        model: str,
        *,
        keep_last: int = 0,
        keep_younger: timedelta = timedelta(),
        keep_labels: Sequence[str] = (),
        keep_filter: str = "",
        scheduled: bool = False,
        author: str | None = None,
    ) -> RetentionPolicy:
        """Replace the policy of a model: a version is kept if any rule keeps it. Without a rule it is removed.

        `keep_filter` is a CEL condition on versions, as in `search`; with `scheduled` the server applies it by itself.
        Raises `NotFound`, `FilterInvalid`, `InvalidArgument`.
        """
        connection, name = self._model(model)
        policy = RetentionPolicy(
            str(name), keep_last, keep_younger, tuple(keep_labels), keep_filter, scheduled
        )
        return retention.put(connection, name, policy, who() if author is None else author)

    def apply_retention(
        self,
        model: str,
        *,
        dry_run: bool = False,
        policy: RetentionPolicy | None = None,
        author: str | None = None,
    ) -> RetentionResult:
        """Delete the versions that the policy of a model does not keep; `undelete` has them back.

        `policy` is tried in place of the model's, only with `dry_run`. Raises `NotFound`, `FilterTooCostly`,
        `InvalidArgument`.
        """
        connection, name = self._model(model)
        by = who() if author is None else author
        return retention.apply(connection, name, dry_run=dry_run, policy=policy, author=by)

    def copy(
        self, ref: str, model: str, *, aliases: Sequence[str] = (), author: str | None = None
    ) -> Version:
        """Make a version of `model`, in any namespace, of what another version has; no bytes are moved.

        `aliases` of that model are set to it in the same transaction. Raises `NotFound`, `VersionDeleted`,
        `AliasProtected`, `VersionBad`.
        """
        reference, target = refs.parse_reference(ref), refs.parse_model(model)
        by = who() if author is None else author
        connection = self._connection(reference.server)
        return lifecycle.copy(connection, reference.version, target, aliases, by)

    def rename(self, model: str, new: str, *, author: str | None = None) -> Model:
        """Give a model, with all that it has, another name, in any namespace; no bytes are moved.

        Raises `NotFound`, `AlreadyExists`, `ModelInUse` (builds, uploads or deployments know it by its name).
        """
        connection, name = self._model(model)
        by = who() if author is None else author
        return lifecycle.rename(connection, name, refs.parse_model(new), by)


def _names_version(ref: refs.VersionRef) -> bool:
    return ref != refs.VersionRef(ref.model)
