"""Gives the methods that carry bulk bytes their own encoding of messages; see `regsvc.bulk`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from regsvc import bulk
from regsvc.v1 import artifact_pb2 as pb

_SERVICE = f"/{pb.DESCRIPTOR.package}.ArtifactService"
_REQUESTS = {
    f"{_SERVICE}/WriteChunks": bulk.deserializer(pb.WriteChunksRequest),
    f"{_SERVICE}/WriteFile": bulk.deserializer(pb.WriteFileRequest),
}
_RESPONSES = frozenset(
    {
        f"{_SERVICE}/ReadChunks",
        f"{_SERVICE}/ReadFile",
        f"/{pb.DESCRIPTOR.package}.TransferService/ReadBlobs",
    }
)


class BulkFraming(grpc.aio.ServerInterceptor):
    """The innermost interceptor: it changes what the handlers take and give."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """The handler, with the encoding that its method has."""
        handler = await continuation(details)
        if details.method in _REQUESTS:
            return handler._replace(request_deserializer=_REQUESTS[details.method])
        if details.method in _RESPONSES:
            return handler._replace(response_serializer=bulk.serialize)
        return handler
