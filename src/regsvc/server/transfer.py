"""TransferService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from regsvc import refs
from regsvc.bulk import Bulk
from regsvc.catalog.mirrors import Mirror
from regsvc.catalog.transfer_items import Item
from regsvc.errors import InvalidArgument, RegsvcError
from regsvc.server import convert
from regsvc.server.admission import Admission
from regsvc.server.artifacts import chunk_frames
from regsvc.server.context import Context
from regsvc.server.transfer_items import item_from, item_to, name_on_wire
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.reading import StoredFrame
from regsvc.service.transfer_export import Contents, Part, Wanted
from regsvc.service.transfer_import import Brought, Result
from regsvc.service.transfer_names import into_of
from regsvc.v1 import transfer_pb2 as pb
from regsvc.v1 import transfer_pb2_grpc
from regsvc.wire.values import timestamp

MAX_ITEMS = 1_000
"""Items of one Import."""
RESPONSE_BYTES = 1 << 20
"""What fills a response of Export."""
_AHEAD = 2


class TransferServicer(transfer_pb2_grpc.TransferServiceServicer):
    """Export, import, and how far mirrors are."""

    def __init__(self, app: RegistryApp, bulk: Workers, control: Workers, reading: Admission):
        self._exporter = app.exporter
        self._importer = app.importer
        self._limits = app.limits
        self._bulk = bulk
        self._control = control
        self._reading = reading

    async def Export(self, request: pb.ExportRequest, context: Context) -> AsyncIterator[pb.ExportResponse]:
        try:
            contents = Contents(request.contents)
        except ValueError:
            raise InvalidArgument("no contents have such a number", contents=request.contents) from None
        wanted = Wanted(tuple(request.names), contents, request.only, request.cursor, request.filter)
        parts = await self._control.run(self._exporter.export, wanted)
        async for response in self._bulk.iterate(_responses(parts, one_by_one=contents is not Contents.NONE)):
            yield response

    async def ReadBlobs(
        self, request: pb.ReadBlobsRequest, context: Context
    ) -> AsyncIterator[Bulk[pb.ReadBlobsResponse]]:
        limit = self._limits.max_read_ranges
        if not 1 <= len(request.ranges) <= limit:
            raise InvalidArgument(f"1 to {limit} ranges", limit=limit)
        owner = refs.source_from_wire(request.name)
        ranges = [
            (convert.digest_from_hex(each.digest) or b"", each.offset, each.length) for each in request.ranges
        ]
        accept = frozenset(request.accept)
        frames = await self._control.run(self._exporter.blobs, owner, ranges, accept)
        async with self._reading.slot(context.peer()):
            async for message in self._bulk.iterate(_chunk_messages(frames), at_once=_AHEAD):
                yield message

    async def Import(self, request: pb.ImportRequest, context: Context) -> pb.ImportResponse:
        convert.check_count(len(request.items), MAX_ITEMS, "items")
        results = await self._bulk.run(self._take, request)
        return pb.ImportResponse(results=results)

    async def GetMirror(self, request: pb.GetMirrorRequest, context: Context) -> pb.GetMirrorResponse:
        found = await self._control.run(self._importer.mirror, request.source, request.filter)
        return pb.GetMirrorResponse(mirror=_mirror_to(found))

    async def SetMirror(self, request: pb.SetMirrorRequest, context: Context) -> pb.SetMirrorResponse:
        mirror = request.mirror
        found = await self._control.run(self._importer.set_mirror, mirror.source, mirror.filter, mirror.seq)
        return pb.SetMirrorResponse(mirror=_mirror_to(found))

    def _take(self, request: pb.ImportRequest) -> list[pb.ImportResult]:
        """Blocks. An item that cannot be read is refused, and the others are taken."""
        into = into_of(request.into)
        brought = Brought(_upload(request.upload), _upload(request.blobs))
        read = [_read(message) for message in request.items]
        found = [item for item in read if not isinstance(item, RegsvcError)]
        if (brought.files or brought.blobs) and len(_owners(request)) > 1:
            raise InvalidArgument("uploads come with one version or build")
        results = iter(self._importer.take(request.source, found, into, brought))
        return [
            _refused(message, item) if isinstance(item, RegsvcError) else _result_to(next(results))
            for message, item in zip(request.items, read, strict=True)
        ]


def _responses(parts: Iterator[Part], *, one_by_one: bool) -> Iterator[pb.ExportResponse]:
    """Items that make up about a message each; `one_by_one`: at most those of one resource."""
    response, size = pb.ExportResponse(), 0
    for item, cursor in parts:
        message = item_to(item)
        weight = message.ByteSize()
        if size and size + weight > RESPONSE_BYTES:
            yield response
            response, size = pb.ExportResponse(), 0
        response.items.append(message)
        response.cursor = cursor
        size += weight
        if one_by_one and cursor:
            yield response
            response, size = pb.ExportResponse(), 0
    if size:
        yield response


def _chunk_messages(batches: Iterator[list[StoredFrame]]) -> Iterator[Bulk[pb.ReadBlobsResponse]]:
    for batch in batches:
        head = pb.ReadBlobsResponse(frames=chunk_frames(batch))
        yield Bulk(head, [frame.payload for frame in batch])


def _read(message: pb.TransferItem) -> Item | RegsvcError:
    try:
        return item_from(message)
    except RegsvcError as error:
        return error


def _owners(request: pb.ImportRequest) -> set[str]:
    return {name_on_wire(message) for message in request.items}


def _upload(name: str) -> str:
    return convert.upload_id(name) if name else ""


def _refused(message: pb.TransferItem, error: RegsvcError) -> pb.ImportResult:
    return pb.ImportResult(
        name=name_on_wire(message),
        outcome=pb.IMPORT_OUTCOME_REFUSED,
        reason=error.reason,
        message=error.message,
    )


def _result_to(result: Result) -> pb.ImportResult:
    return pb.ImportResult(
        name=result.name,
        outcome=_number(result.outcome),
        reason=result.reason,
        message=result.message,
        missing=[digest.hex() for digest in result.missing],
    )


def _mirror_to(found: Mirror) -> pb.Mirror:
    return pb.Mirror(
        source=found.source, seq=found.seq, filter=found.filter, update_time=timestamp(found.updated_at)
    )


def _number(value: int) -> Any:
    """Enum numbers are the same on both sides of the wire, but the generated types want names of their own."""
    return int(value)
