"""LifecycleService."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from google.protobuf.duration_pb2 import Duration

from regsvc import refs
from regsvc.catalog.aliases import Move
from regsvc.catalog.retention import Policy
from regsvc.catalog.storage import Usage
from regsvc.errors import InvalidArgument
from regsvc.server import convert
from regsvc.server.context import Context
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.lifecycle import Deletion
from regsvc.v1 import lifecycle_pb2 as pb
from regsvc.v1 import lifecycle_pb2_grpc
from regsvc.wire.values import timestamp

_VERDICTS = 10_000
"""Most verdicts in one message: with their reasons about 1 MiB."""


class LifecycleServicer(lifecycle_pb2_grpc.LifecycleServiceServicer):
    """Archiving, deleting, and what that frees."""

    def __init__(self, app: RegistryApp, workers: Workers):
        self._lifecycle = app.lifecycle
        self._collector = app.collector
        self._retention = app.retention
        self._copying = app.copying
        self._run = workers.run

    async def ArchiveVersion(
        self, request: pb.ArchiveVersionRequest, context: Context
    ) -> pb.ArchiveVersionResponse:
        ref, call = refs.version_from_wire(request.name), convert.request_of(request, "ArchiveVersion")
        version = await self._run(
            self._lifecycle.archive, ref, request.reason, request.author, call, archived=request.archived
        )
        return pb.ArchiveVersionResponse(version=convert.version_to(version))

    async def DeleteVersion(
        self, request: pb.DeleteVersionRequest, context: Context
    ) -> pb.DeleteVersionResponse:
        asked = Deletion(
            refs.version_from_wire(request.name),
            request.force,
            _microseconds(request.keep) if request.HasField("keep") else None,
            Move(request.author, request.reason),
        )
        if request.dry_run:
            done = await self._run(self._lifecycle.would_delete, asked)
        else:
            call = convert.request_of(request, "DeleteVersion")
            done = await self._run(self._lifecycle.delete, asked, call)
        return pb.DeleteVersionResponse(
            version=convert.version_to(done.version),
            unset_aliases=done.unset,
            hosts=done.hosts,
            freed_size=done.freed_size,
        )

    async def UndeleteVersion(
        self, request: pb.UndeleteVersionRequest, context: Context
    ) -> pb.UndeleteVersionResponse:
        ref, call = refs.version_from_wire(request.name), convert.request_of(request, "UndeleteVersion")
        version = await self._run(self._lifecycle.undelete, ref, request.author, call)
        return pb.UndeleteVersionResponse(version=convert.version_to(version))

    async def GetStorageStats(
        self, request: pb.GetStorageStatsRequest, context: Context
    ) -> pb.GetStorageStatsResponse:
        found = await self._run(self._lifecycle.stats, [_thing(name) for name in request.names])
        return pb.GetStorageStatsResponse(
            usage=_usage_to(found.usage),
            deleted=_usage_to(found.deleted),
            pack_size=found.pack_size,
            packs=found.packs,
        )

    async def CollectGarbage(
        self, request: pb.CollectGarbageRequest, context: Context
    ) -> pb.CollectGarbageResponse:
        if request.dry_run:
            done = await self._run(self._collector.would_collect, full=request.full)
        else:
            # On a thread of its own, however long it takes; shielded, or who leaves would cancel it for all.
            done = await asyncio.shield(asyncio.wrap_future(self._collector.begin(full=request.full)))
        return pb.CollectGarbageResponse(**asdict(done))

    async def GetRetention(
        self, request: pb.GetRetentionRequest, context: Context
    ) -> pb.GetRetentionResponse:
        found = await self._run(self._retention.policy, refs.model_from_wire(request.name))
        return pb.GetRetentionResponse(policy=_policy_to(found))

    async def SetRetention(
        self, request: pb.SetRetentionRequest, context: Context
    ) -> pb.SetRetentionResponse:
        wanted = _policy_from(request.policy, request.policy.name)
        call = convert.request_of(request, "SetRetention")
        found = await self._run(self._retention.set_policy, wanted, request.author, call)
        return pb.SetRetentionResponse(policy=_policy_to(found))

    async def ApplyRetention(
        self, request: pb.ApplyRetentionRequest, context: Context
    ) -> pb.ApplyRetentionResponse:
        model = refs.model_from_wire(request.name)
        tried = _policy_from(request.policy, request.name) if request.HasField("policy") else None
        if tried is not None and not request.dry_run:
            raise InvalidArgument("a policy is tried with dry_run; set it, then apply it")
        if request.dry_run:
            done = await self._run(self._retention.would_apply, model, tried)
        else:
            call = convert.request_of(request, "ApplyRetention")
            done = await self._run(self._retention.apply, model, request.author, call)
        return pb.ApplyRetentionResponse(
            verdicts=[
                pb.RetentionVerdict(version=each.version.wire, reasons=each.reasons)
                for each in done.verdicts[:_VERDICTS]
            ],
            kept=sum(bool(each.reasons) for each in done.verdicts),
            deleted=done.deleted,
            freed_size=done.freed_size,
        )

    async def CopyVersion(self, request: pb.CopyVersionRequest, context: Context) -> pb.CopyVersionResponse:
        ref, model = refs.version_from_wire(request.name), refs.model_from_wire(request.parent)
        call = convert.request_of(request, "CopyVersion")
        made, source = await self._run(
            self._copying.copy, ref, model, list(request.aliases), request.author, call
        )
        return pb.CopyVersionResponse(version=convert.version_to(made), source=source.wire)

    async def RenameModel(self, request: pb.RenameModelRequest, context: Context) -> pb.RenameModelResponse:
        name, new = refs.model_from_wire(request.name), refs.model_from_wire(request.new_name)
        call = convert.request_of(request, "RenameModel")
        view = await self._run(self._copying.rename, name, new, request.author, call)
        return pb.RenameModelResponse(model=convert.model_to(view))


def _policy_from(message: pb.RetentionPolicy, name: str) -> Policy:
    return Policy(
        refs.model_from_wire(name),
        message.keep_last,
        _microseconds(message.keep_younger),
        tuple(message.keep_labels),
        message.keep_filter,
        message.scheduled,
    )


def _policy_to(policy: Policy) -> pb.RetentionPolicy:
    message = pb.RetentionPolicy(
        name=policy.model.wire,
        keep_last=policy.keep_last,
        keep_labels=policy.keep_labels,
        keep_filter=policy.keep_filter,
        scheduled=policy.scheduled,
    )
    if policy.keep_younger_us:
        message.keep_younger.FromMicroseconds(policy.keep_younger_us)
    for field, at in ((message.update_time, policy.updated_at), (message.apply_time, policy.applied_at)):
        if at is not None:
            field.CopyFrom(timestamp(at))
    return message


def _thing(name: str) -> refs.VersionRef | refs.ModelName:
    """A model, or a version of one."""
    return refs.model_from_wire(name) if name.count("/") == 3 else refs.version_from_wire(name)


def _usage_to(usage: Usage) -> pb.StorageUsage:
    return pb.StorageUsage(**asdict(usage), shared_size=usage.shared_size)


def _microseconds(duration: Duration) -> int:
    return duration.seconds * 1_000_000 + duration.nanos // 1000
