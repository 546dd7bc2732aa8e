"""PromotionService."""

from __future__ import annotations

from typing import Any

from regsvc import refs
from regsvc.catalog.aliases import Move
from regsvc.catalog.rules import Approval, Rules
from regsvc.catalog.versions import Version
from regsvc.refs import AliasName, VersionRef
from regsvc.server import convert
from regsvc.server.context import Context
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.gates import GateTerm
from regsvc.service.promotability import Promotability
from regsvc.service.promotions import Promotion, Rollback
from regsvc.v1 import promotion_pb2 as pb
from regsvc.v1 import promotion_pb2_grpc
from regsvc.wire.values import microseconds, timestamp


class PromotionServicer(promotion_pb2_grpc.PromotionServiceServicer):
    """Rules of aliases, approvals, promotions, rollbacks."""

    def __init__(self, app: RegistryApp, workers: Workers):
        self._promotions = app.promotions
        self._run = workers.run

    async def GetAliasRules(
        self, request: pb.GetAliasRulesRequest, context: Context
    ) -> pb.GetAliasRulesResponse:
        found = await self._run(self._promotions.rules, refs.alias_from_wire(request.name))
        return pb.GetAliasRulesResponse(rules=convert.rules_to(found))

    async def SetAliasRules(
        self, request: pb.SetAliasRulesRequest, context: Context
    ) -> pb.SetAliasRulesResponse:
        wanted = request.rules
        found = await self._run(
            self._promotions.set_rules,
            Rules(refs.alias_from_wire(wanted.name), wanted.protected, wanted.gate, wanted.approvals),
            wanted.etag,
            request.author,
            convert.request_of(request, "SetAliasRules"),
        )
        return pb.SetAliasRulesResponse(rules=convert.rules_to(found))

    async def Promote(self, request: pb.PromoteRequest, context: Context) -> pb.PromoteResponse:
        asked = Promotion(
            refs.alias_from_wire(request.name),
            refs.version_from_wire(request.version),
            _optional(request.expect_version),
            Move(request.author, request.reason),
            request.dry_run,
        )
        found = await self._run(self._promotions.promote, asked, convert.request_of(request, "Promote"))
        return pb.PromoteResponse(
            alias=None if found.alias is None else convert.alias_to(found.alias),
            previous_version="" if found.previous is None else found.previous.wire,
            promotability=_promotability_to(found.promotability),
        )

    async def Rollback(self, request: pb.RollbackRequest, context: Context) -> pb.RollbackResponse:
        asked = Rollback(
            refs.alias_from_wire(request.name),
            _optional(request.version),
            _optional(request.expect_version),
            Move(request.author, request.reason),
            request.mark_bad,
            request.dry_run,
        )
        found = await self._run(self._promotions.rollback, asked, convert.request_of(request, "Rollback"))
        return pb.RollbackResponse(
            alias=convert.alias_to(found.alias),
            previous_version=found.previous.wire,
            skipped_versions=[ref.wire for ref in found.skipped],
        )

    async def TestGate(self, request: pb.TestGateRequest, context: Context) -> pb.TestGateResponse:
        found = await self._run(
            self._promotions.test_gate,
            request.gate,
            refs.alias_from_wire(request.alias),
            refs.version_from_wire(request.version),
            _optional(request.current),
        )
        return pb.TestGateResponse(promotability=_promotability_to(found))

    async def ApproveVersion(
        self, request: pb.ApproveVersionRequest, context: Context
    ) -> pb.ApproveVersionResponse:
        name = refs.alias_from_wire(request.alias)
        call = convert.request_of(request, "ApproveVersion")
        ref = refs.version_from_wire(request.version)
        version, given = await self._run(
            self._promotions.approve, ref, name, request.author, request.comment, call
        )
        return pb.ApproveVersionResponse(approval=_approval_to(version, given))

    async def WithdrawApproval(
        self, request: pb.WithdrawApprovalRequest, context: Context
    ) -> pb.WithdrawApprovalResponse:
        name = refs.alias_from_wire(request.alias)
        call = convert.request_of(request, "WithdrawApproval")
        ref = refs.version_from_wire(request.version)
        await self._run(self._promotions.withdraw, ref, name, request.author, call)
        return pb.WithdrawApprovalResponse()

    async def ListApprovals(
        self, request: pb.ListApprovalsRequest, context: Context
    ) -> pb.ListApprovalsResponse:
        version, found = await self._run(self._promotions.approvals, refs.version_from_wire(request.version))
        return pb.ListApprovalsResponse(approvals=[_approval_to(version, each) for each in found])

    async def MarkVersion(self, request: pb.MarkVersionRequest, context: Context) -> pb.MarkVersionResponse:
        ref, call = refs.version_from_wire(request.version), convert.request_of(request, "MarkVersion")
        version = await self._run(
            self._promotions.mark, ref, request.reason, request.author, call, bad=request.bad
        )
        return pb.MarkVersionResponse(version=convert.version_to(version))

    async def ResolveAlias(
        self, request: pb.ResolveAliasRequest, context: Context
    ) -> pb.ResolveAliasResponse:
        at = microseconds(request.time) if request.HasField("time") else None
        version, change = await self._run(self._promotions.resolve, refs.alias_from_wire(request.name), at)
        return pb.ResolveAliasResponse(
            version=convert.version_to(version), change=convert.alias_change_to(change)
        )


def _optional(name: str) -> VersionRef | None:
    return refs.version_from_wire(name) if name else None


def _approval_to(version: Version, given: Approval) -> pb.Approval:
    return pb.Approval(
        version=version.ref.wire,
        alias=AliasName(version.model, given.alias).wire,
        author=given.author,
        comment=given.comment,
        time=timestamp(given.at),
    )


def _promotability_to(found: Promotability) -> pb.Promotability:
    return pb.Promotability(
        allowed=not found.refusals,
        gate=_number(found.gate),
        terms=map(_term_to, found.terms),
        approvals=found.approvals,
        approvals_required=found.required,
        refusals=found.refusals,
    )


def _term_to(term: GateTerm) -> pb.GateTerm:
    return pb.GateTerm(
        expression=term.expression,
        verdict=_number(term.verdict),
        error=term.error,
        values=[
            pb.GateValue(path=each.path, value=each.value or "", missing=each.value is None)
            for each in term.values
        ],
    )


def _number(value: int) -> Any:
    """Enum numbers are the same on both sides of the wire, but the generated types want names of their own."""
    return int(value)
