"""The calls of LifecycleService on one model, at the wire."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from server.promoting import Model
from server.wire import LIMIT

from regsvc.v1 import lifecycle_pb2 as pb
from regsvc.v1 import registry_pb2 as reg


class Lived(Model):
    """A model of its own whose versions are archived and deleted."""

    def archive(self, number: int, *, archived: bool = True, **fields: object) -> reg.Version:
        request = pb.ArchiveVersionRequest(name=self.version(number), archived=archived, **fields)  # type: ignore[arg-type]
        return self.wire.lifecycle.ArchiveVersion(request, timeout=LIMIT).version

    def delete(self, number: int, keep: float | None = None, **fields: object) -> pb.DeleteVersionResponse:
        kept = None if keep is None else Duration(seconds=int(keep))
        request = pb.DeleteVersionRequest(name=self.version(number), keep=kept, **fields)  # type: ignore[arg-type]
        return self.wire.lifecycle.DeleteVersion(request, timeout=LIMIT)

    def undelete(self, number: int, **fields: object) -> reg.Version:
        request = pb.UndeleteVersionRequest(name=self.version(number), **fields)  # type: ignore[arg-type]
        return self.wire.lifecycle.UndeleteVersion(request, timeout=LIMIT).version

    def get(self, suffix: str, **fields: object) -> reg.Version:
        request = reg.GetVersionRequest(name=f"{self.name}/{suffix}", **fields)  # type: ignore[arg-type]
        return self.wire.registry.GetVersion(request, timeout=LIMIT).version

    def model(self) -> reg.Model:
        return self.wire.registry.GetModel(reg.GetModelRequest(name=self.name), timeout=LIMIT).model

    def listed(self, **fields: object) -> list[int]:
        request = reg.ListVersionsRequest(parent=self.name, page_size=1000, **fields)  # type: ignore[arg-type]
        return [each.number for each in self.wire.registry.ListVersions(request, timeout=LIMIT).versions]
