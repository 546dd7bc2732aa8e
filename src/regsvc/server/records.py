"""RecordService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from regsvc import refs
from regsvc.catalog.notes import Note
from regsvc.content.record import Attachment
from regsvc.errors import InvalidArgument
from regsvc.server import convert
from regsvc.server.admission import Admission
from regsvc.server.context import Context
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.recording import AttachmentWriter
from regsvc.v1 import record_pb2 as pb
from regsvc.v1 import record_pb2_grpc
from regsvc.wire import record as wire
from regsvc.wire.values import timestamp


class RecordServicer(record_pb2_grpc.RecordServiceServicer):
    """How versions were made, and what was noted of them."""

    def __init__(self, app: RegistryApp, bulk: Workers, control: Workers, uploads: Admission):
        self._records = app.records
        self._bulk = bulk
        self._run = control.run
        self._writing = uploads

    async def GetRecord(self, request: pb.GetRecordRequest, context: Context) -> pb.GetRecordResponse:
        view = await self._run(self._records.get, refs.source_from_wire(request.name))
        return pb.GetRecordResponse(
            record=wire.record_to(view.record, list(view.attachments)),
            sealed_text=view.sealed_text.decode(),
            digest="" if view.digest is None else view.digest.hex(),
        )

    async def LogRecord(self, request: pb.LogRecordRequest, context: Context) -> pb.LogRecordResponse:
        name = refs.build_from_wire(request.build)
        await self._run(self._records.log, name, wire.record_from(request.record))
        return pb.LogRecordResponse()

    async def WriteAttachment(
        self, requests: AsyncIterator[pb.WriteAttachmentRequest], context: Context
    ) -> pb.WriteAttachmentResponse:
        writer: AttachmentWriter | None = None
        digest: bytes | None = None
        async with self._writing.slot(context.peer()):
            try:
                async for request in requests:
                    if writer is None:
                        digest = convert.digest_from_hex(request.digest)
                        writer = await self._bulk.run(
                            self._records.begin_attachment, _holder(request.owner), request.name
                        )
                    await self._bulk.run(writer.write, request.data)
                if writer is None:
                    raise InvalidArgument("the stream named no owner and no attachment")
                made = await self._bulk.run(writer.finish, digest)
            finally:
                if writer is not None:
                    await self._bulk.run(writer.__exit__)
        return pb.WriteAttachmentResponse(attachment=_attachment_to(made))

    async def ReadAttachment(
        self, request: pb.ReadAttachmentRequest, context: Context
    ) -> AsyncIterator[pb.ReadAttachmentResponse]:
        attachment, data = await self._run(
            self._records.read_attachment, refs.source_from_wire(request.owner), request.name
        )
        yield pb.ReadAttachmentResponse(attachment=_attachment_to(attachment))
        async for part in self._bulk.iterate(data):
            yield pb.ReadAttachmentResponse(data=bytes(part))

    async def AddNote(self, request: pb.AddNoteRequest, context: Context) -> pb.AddNoteResponse:
        ref = refs.version_from_wire(request.version)
        call = convert.request_of(request, "AddNote")
        note = await self._run(self._records.add_note, ref, request.author, request.text, call)
        return pb.AddNoteResponse(note=_note_to(note))

    async def ListNotes(self, request: pb.ListNotesRequest, context: Context) -> pb.ListNotesResponse:
        ref = refs.version_from_wire(request.version)
        page = await self._run(self._records.list_notes, ref, convert.page_request(request))
        return pb.ListNotesResponse(
            notes=[_note_to(note) for note in page.items], next_page_token=page.next_token
        )


def _holder(name: str) -> str | refs.BuildName:
    """The id of an upload, or a build. Raises `NameInvalid`."""
    return convert.upload_id(name) if name.startswith("uploads/") else refs.build_from_wire(name)


def _attachment_to(attachment: Attachment) -> pb.Attachment:
    return pb.Attachment(name=attachment.name, size=attachment.size, digest=attachment.digest.hex())


def _note_to(note: Note) -> pb.Note:
    return pb.Note(author=note.author, text=note.text, time=timestamp(note.at))
