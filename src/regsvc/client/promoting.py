"""Rules of aliases, approvals, promotions, rollbacks: unary calls, as records."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from regsvc import refs
from regsvc.client import records
from regsvc.client.connection import Connection
from regsvc.client.records import Alias, AliasChange, Version, time_from
from regsvc.errors import InvalidArgument
from regsvc.v1 import promotion_pb2 as pb

_VERDICTS = {
    pb.GATE_VERDICT_TRUE: "true",
    pb.GATE_VERDICT_FALSE: "false",
    pb.GATE_VERDICT_ERROR: "error",
}


@dataclass(frozen=True)
class AliasRules:
    """What an alias may name."""

    alias: str
    """`team/fraud@prod`"""
    protected: bool = False
    """Only `promote` and `rollback` move it. A gate, and approvals, protect."""
    gate: str = ""
    """CEL over `version` and `current`; empty lets all in."""
    approvals: int = 0
    """How many others than its author must have approved a version."""
    etag: str = ""
    """Of the rules as they are; empty when there are none."""
    updated: datetime | None = None


@dataclass(frozen=True)
class GateTerm:
    """One operand of the conjunction that a gate is."""

    expression: str
    verdict: str
    """`true`, `false`, or `error`: it could not be evaluated, for `error`."""
    error: str
    values: tuple[tuple[str, str | None], ...]
    """Path and value, as text, of what it looked at; None when there is no such value."""


@dataclass(frozen=True)
class Promotability:
    """What the rules of an alias say of a version."""

    allowed: bool
    """Whether `promote` would move the alias."""
    gate: str
    """`true`, `false`, `error`; empty when there is no gate, or nothing to move."""
    terms: tuple[GateTerm, ...]
    approvals: int
    approvals_required: int
    refusals: tuple[str, ...]
    """One line for each thing that is in the way."""


@dataclass(frozen=True)
class Promotion:
    """What a promotion did, or would do."""

    alias: Alias | None
    """As it is now; None after a dry run when it names nothing."""
    previous: str | None
    """The version that it named before: `team/fraud:3`"""
    promotability: Promotability


@dataclass(frozen=True)
class Rollback:
    """What a rollback did, or would do."""

    alias: Alias
    previous: str
    """The version that it left: `team/fraud:3`"""
    skipped: tuple[str, ...]
    """Those that were passed over, nearest first."""


@dataclass(frozen=True)
class Approval:
    """One person's consent to a version in the place of an alias."""

    reference: str
    """The version: `team/fraud:3`"""
    alias: str
    """`team/fraud@prod`"""
    author: str
    comment: str
    time: datetime


@dataclass(frozen=True)
class Resolved:
    """What an alias named at a moment."""

    version: Version
    change: AliasChange
    """The change since which it named it."""


def get_rules(connection: Connection, name: refs.AliasName) -> AliasRules:
    """Raises `NotFound` (model)."""
    request = pb.GetAliasRulesRequest(name=name.wire)
    return _rules(connection.call(connection.promotions.GetAliasRules, request).rules)


def set_rules(
    connection: Connection,
    name: refs.AliasName,
    *,
    protected: bool,
    gate: str,
    approvals: int,
    etag: str,
    author: str,
) -> AliasRules:
    """Raises `NotFound`, `FilterInvalid`, `EtagMismatch`."""
    if approvals < 0:
        raise InvalidArgument("approvals are 0 or more", approvals=approvals)
    request = pb.SetAliasRulesRequest(
        rules=pb.AliasRules(name=name.wire, protected=protected, gate=gate, approvals=approvals, etag=etag),
        author=author,
        request_id=uuid.uuid4().hex,
    )
    return _rules(connection.call(connection.promotions.SetAliasRules, request).rules)


def promote(
    connection: Connection,
    ref: refs.VersionRef,
    name: refs.AliasName,
    *,
    expect: refs.VersionRef | None,
    reason: str,
    author: str,
    dry_run: bool,
    request_id: str | None,
) -> Promotion:
    """Errors as at `Client.promote`."""
    request = pb.PromoteRequest(
        name=name.wire,
        version=ref.wire,
        expect_version="" if expect is None else expect.wire,
        dry_run=dry_run,
        reason=reason,
        author=author,
        request_id=request_id or uuid.uuid4().hex,
    )
    answer = connection.call(connection.promotions.Promote, request)
    return Promotion(
        records.alias_from(answer.alias) if answer.HasField("alias") else None,
        _reference(answer.previous_version) or None,
        _promotability(answer.promotability),
    )


def rollback(
    connection: Connection,
    name: refs.AliasName,
    *,
    to: refs.VersionRef | None,
    expect: refs.VersionRef | None,
    reason: str,
    mark_bad: bool,
    author: str,
    dry_run: bool,
    request_id: str | None,
) -> Rollback:
    """Errors as at `Client.rollback`."""
    request = pb.RollbackRequest(
        name=name.wire,
        version="" if to is None else to.wire,
        expect_version="" if expect is None else expect.wire,
        dry_run=dry_run,
        reason=reason,
        author=author,
        mark_bad=mark_bad,
        request_id=request_id or uuid.uuid4().hex,
    )
    answer = connection.call(connection.promotions.Rollback, request)
    return Rollback(
        records.alias_from(answer.alias),
        _reference(answer.previous_version),
        tuple(map(_reference, answer.skipped_versions)),
    )


def test_gate(
    connection: Connection,
    name: refs.AliasName,
    ref: refs.VersionRef,
    gate: str,
    current: refs.VersionRef | None,
) -> Promotability:
    """Raises `NotFound`, `FilterInvalid`."""
    request = pb.TestGateRequest(
        gate=gate, alias=name.wire, version=ref.wire, current="" if current is None else current.wire
    )
    return _promotability(connection.call(connection.promotions.TestGate, request).promotability)


def approve(
    connection: Connection, ref: refs.VersionRef, name: refs.AliasName, author: str, comment: str
) -> Approval:
    """Raises `NotFound`, `OwnApproval`, `InvalidArgument`."""
    request = pb.ApproveVersionRequest(
        version=ref.wire, alias=name.wire, author=author, comment=comment, request_id=uuid.uuid4().hex
    )
    return _approval(connection.call(connection.promotions.ApproveVersion, request).approval)


def withdraw_approval(
    connection: Connection, ref: refs.VersionRef, name: refs.AliasName, author: str
) -> None:
    """Raises `NotFound`, `InvalidArgument`."""
    request = pb.WithdrawApprovalRequest(
        version=ref.wire, alias=name.wire, author=author, request_id=uuid.uuid4().hex
    )
    connection.call(connection.promotions.WithdrawApproval, request)


def list_approvals(connection: Connection, ref: refs.VersionRef) -> list[Approval]:
    """Oldest first. Raises `NotFound`."""
    request = pb.ListApprovalsRequest(version=ref.wire)
    return [
        _approval(each) for each in connection.call(connection.promotions.ListApprovals, request).approvals
    ]


def mark(connection: Connection, ref: refs.VersionRef, reason: str, author: str, *, bad: bool) -> Version:
    """Raises `NotFound`, `InvalidArgument`."""
    request = pb.MarkVersionRequest(
        version=ref.wire, bad=bad, reason=reason, author=author, request_id=uuid.uuid4().hex
    )
    return records.version_from(connection.call(connection.promotions.MarkVersion, request).version)


def resolve(connection: Connection, name: refs.AliasName, at: datetime | None) -> Resolved:
    """Raises `NotFound`, `InvalidArgument`."""
    request = pb.ResolveAliasRequest(name=name.wire)
    if at is not None:
        moment = Timestamp()
        moment.FromDatetime(at.astimezone(UTC))
        request.time.CopyFrom(moment)
    answer = connection.call(connection.promotions.ResolveAlias, request)
    return Resolved(records.version_from(answer.version), records.alias_changes_from([answer.change])[0])


def _reference(name: str) -> str:
    return str(refs.version_from_wire(name)) if name else ""


def _rules(message: pb.AliasRules) -> AliasRules:
    return AliasRules(
        str(refs.alias_from_wire(message.name)),
        message.protected,
        message.gate,
        message.approvals,
        message.etag,
        time_from(message.update_time) if message.HasField("update_time") else None,
    )


def _approval(message: pb.Approval) -> Approval:
    return Approval(
        _reference(message.version),
        str(refs.alias_from_wire(message.alias)),
        message.author,
        message.comment,
        time_from(message.time),
    )


def _promotability(message: pb.Promotability) -> Promotability:
    return Promotability(
        message.allowed,
        _VERDICTS.get(message.gate, ""),
        tuple(map(_term, message.terms)),
        message.approvals,
        message.approvals_required,
        tuple(message.refusals),
    )


def _term(message: Any) -> GateTerm:
    values: Sequence[Any] = message.values
    return GateTerm(
        message.expression,
        _VERDICTS.get(message.verdict, ""),
        message.error,
        tuple((each.path, None if each.missing else each.value) for each in values),
    )
