"""Rules of aliases, approvals, promotions, rollbacks."""

from __future__ import annotations

from datetime import datetime

from regsvc import refs
from regsvc.client import promoting
from regsvc.client.author import author as who
from regsvc.client.promoting import AliasRules, Approval, Promotability, Promotion, Resolved, Rollback
from regsvc.client.records import Version
from regsvc.client.verbs.connections import Connections


class Promotions(Connections):
    """Those methods of `Client`. `author` is who asks; without one REGSVC_AUTHOR, or the login name."""

    def promote(
        self,
        ref: str,
        alias: str,
        *,
        expect: str | None = None,
        reason: str = "",
        author: str | None = None,
        dry_run: bool = False,
        request_id: str | None = None,
    ) -> Promotion:
        """Point an alias of the model of `ref` at that version, if the alias's rules allow it, in one transaction.

        With `expect`, a reference, only if the alias names that version now. A dry run only says what would happen,
        a refusal too. Raises `NotFound`, `GateRefused`, `ApprovalsMissing`, `VersionBad`, `EtagMismatch`.
        """
        reference = refs.parse_reference(ref)
        return promoting.promote(
            self._connection(reference.server),
            reference.version,
            refs.AliasName(reference.version.model, refs.check_alias(alias)),
            expect=_version_of(expect),
            reason=reason,
            author=who() if author is None else author,
            dry_run=dry_run,
            request_id=request_id,
        )

    def rollback(
        self,
        alias: str,
        *,
        to: str | None = None,
        expect: str | None = None,
        reason: str = "",
        mark_bad: bool = False,
        author: str | None = None,
        dry_run: bool = False,
        request_id: str | None = None,
    ) -> Rollback:
        """Move `[namespace/]model@alias` back to the version it named before, or to `to`, which it must have named.

        `mark_bad` also marks the version that it leaves, for `reason`. Raises `NotFound`, `NoHistory`, `VersionBad`,
        `EtagMismatch`, `InvalidArgument`.
        """
        connection, name = self._alias(alias)
        return promoting.rollback(
            connection,
            name,
            to=_version_of(to),
            expect=_version_of(expect),
            reason=reason,
            mark_bad=mark_bad,
            author=who() if author is None else author,
            dry_run=dry_run,
            request_id=request_id,
        )

    def test_gate(self, alias: str, ref: str, *, gate: str = "", current: str | None = None) -> Promotability:
        """What `gate`, or that of `[namespace/]model@alias`, says of a version, in place of `current` or what it names.

        Raises `NotFound`, `FilterInvalid`.
        """
        connection, name = self._alias(alias)
        version = refs.parse_reference(ref).version
        return promoting.test_gate(connection, name, version, gate, _version_of(current))

    def alias_rules(self, alias: str) -> AliasRules:
        """The rules of `[namespace/]model@alias`, which need not exist. Raises `NotFound` (model)."""
        return promoting.get_rules(*self._alias(alias))

    def set_alias_rules(
        self,
        alias: str,
        *,
        protected: bool = False,
        gate: str = "",
        approvals: int = 0,
        etag: str = "",
        author: str | None = None,
    ) -> AliasRules:
        """Replace all rules of an alias; with `etag` only if they are still those.

        Raises `NotFound` (model), `FilterInvalid` (the gate, saying where and why), `EtagMismatch`.
        """
        connection, name = self._alias(alias)
        return promoting.set_rules(
            connection,
            name,
            protected=protected,
            gate=gate,
            approvals=approvals,
            etag=etag,
            author=who() if author is None else author,
        )

    def approve(self, ref: str, alias: str, *, comment: str = "", author: str | None = None) -> Approval:
        """Approve a version for an alias of its model. Raises `NotFound`, `OwnApproval`, `InvalidArgument`."""
        reference = refs.parse_reference(ref)
        name = refs.AliasName(reference.version.model, refs.check_alias(alias))
        by = who() if author is None else author
        return promoting.approve(self._connection(reference.server), reference.version, name, by, comment)

    def withdraw_approval(self, ref: str, alias: str, *, author: str | None = None) -> None:
        """Take an approval back; taking back what is not there succeeds. Raises `NotFound`, `InvalidArgument`."""
        reference = refs.parse_reference(ref)
        name = refs.AliasName(reference.version.model, refs.check_alias(alias))
        by = who() if author is None else author
        promoting.withdraw_approval(self._connection(reference.server), reference.version, name, by)

    def approvals(self, ref: str) -> list[Approval]:
        """Approvals of a version, oldest first. Raises `NotFound`."""
        reference = refs.parse_reference(ref)
        return promoting.list_approvals(self._connection(reference.server), reference.version)

    def mark(self, ref: str, *, bad: bool, reason: str = "", author: str | None = None) -> Version:
        """Mark a version as bad, which needs a reason, or as good again: no alias is moved to a bad one.

        Raises `NotFound`, `InvalidArgument`.
        """
        reference = refs.parse_reference(ref)
        by = who() if author is None else author
        return promoting.mark(self._connection(reference.server), reference.version, reason, by, bad=bad)

    def resolve(self, alias: str, *, at: datetime | None = None) -> Resolved:
        """What `[namespace/]model@alias` names, or named at a moment of the past, by the clock of the server.

        Raises `NotFound` (it named nothing then), `InvalidArgument` (a time that has not come yet).
        """
        connection, name = self._alias(alias)
        return promoting.resolve(connection, name, at)


def _version_of(text: str | None) -> refs.VersionRef | None:
    return None if text is None else refs.parse_reference(text).version
