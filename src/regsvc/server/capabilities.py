"""CapabilitiesService."""

from __future__ import annotations

from regsvc.content.codec import Codec
from regsvc.server.context import Context
from regsvc.service.app import RegistryApp
from regsvc.v1 import capabilities_pb2 as pb
from regsvc.v1 import capabilities_pb2_grpc
from regsvc.version import __version__


class CapabilitiesServicer(capabilities_pb2_grpc.CapabilitiesServiceServicer):
    """What this server accepts."""

    def __init__(self, app: RegistryApp, heartbeat: float):
        limits = app.limits
        self._capabilities = pb.Capabilities(
            server_version=__version__,
            max_chunk_bytes=limits.max_chunk_bytes,
            max_message_data_bytes=limits.max_message_data_bytes,
            max_find_missing=limits.max_find_missing,
            max_read_ranges=limits.max_read_ranges,
            max_files_per_version=limits.max_files_per_version,
            max_log_line_bytes=limits.max_log_line_bytes,
            max_metric_points=limits.max_metric_points,
            codecs=[codec.value for codec in Codec],  # type: ignore[misc]
            heartbeat_interval_ms=int(heartbeat * 1000),
            build_lease_ms=limits.build_lease_us // 1000,
            upload_lease_ms=limits.upload_lease_us // 1000,
            max_record_entries=limits.max_record_entries,
            max_log_batch_bytes=limits.max_log_batch_bytes,
            store_id=app.store_id,
        )

    async def GetCapabilities(
        self, request: pb.GetCapabilitiesRequest, context: Context
    ) -> pb.GetCapabilitiesResponse:
        return pb.GetCapabilitiesResponse(capabilities=self._capabilities)
