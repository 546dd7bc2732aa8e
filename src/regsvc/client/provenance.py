"""Records of versions and builds over the wire: read them, add to them, attach blobs, take notes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from blake3 import blake3

from regsvc import refs
from regsvc.client.connection import Connection, translate
from regsvc.client.records import time_from, utf8
from regsvc.client.resume import resumed
from regsvc.content.record import Attachment, DatasetUse, Image, Parent, Record, Relation, digest_of
from regsvc.errors import DigestMismatch, InvalidArgument, NameInvalid, RegsvcError
from regsvc.v1 import record_pb2
from regsvc.wire import record as wire

_PAGE = 200
_MESSAGE = 1 << 20
"""Bytes of one message of an attachment."""
_ATTACHMENT_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)


@dataclass(frozen=True)
class SealedRecord:
    """The record of a version or build, as the registry keeps it."""

    record: Record
    attachments: tuple[Attachment, ...]
    sealed_text: bytes
    """Of a version: the canonical JSON whose BLAKE3 is the record digest. Empty for a build."""
    digest: str | None
    """64 hex digits."""


@dataclass(frozen=True)
class Note:
    """What somebody said of a version later."""

    author: str
    text: str
    time: datetime


def assembled(
    *,
    record: Record | None = None,
    card: str = "",
    labels: Sequence[str] = (),
    parents: Mapping[str, str] | None = None,
    datasets: Mapping[str, str] | None = None,
    framework: str = "",
    format: str = "",
    image: str = "",
    server: str = "",
) -> Record:
    """A record of what a caller names. `parents`: relation by reference, or by URI for models of elsewhere.

    A reference that names another server than `server` (`host:port`) is a model of elsewhere, too.
    Raises `InvalidArgument`, `NameInvalid`.
    """
    base = record or Record()
    return replace(
        base,
        card=card or base.card,
        labels=tuple(dict.fromkeys([*base.labels, *labels])),
        parents=(
            *base.parents,
            *(_parent(name, relation, server) for name, relation in (parents or {}).items()),
        ),
        datasets=(
            *base.datasets,
            *(DatasetUse(refs.parse_dataset(name).wire, split) for name, split in (datasets or {}).items()),
        ),
        framework=framework or base.framework,
        format=format or base.format,
        image=image_of(image) if image else base.image,
    )


def image_of(text: str) -> Image:
    """`REFERENCE[@sha256:DIGEST]`, as container tools write it."""
    reference, _, digest = text.partition("@")
    return Image(reference, digest)


def record_message(record: Record) -> Any:
    """A `Record` message. Raises `InvalidArgument` when there is something in it that a message cannot carry."""
    try:
        return wire.record_to(record)
    except UnicodeEncodeError:
        raise InvalidArgument("a record has text that is not UTF-8") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidArgument(f"a record has a field of another type: {error}") from None


def check_attachments(attachments: Mapping[str, bytes]) -> None:
    """Before anything is sent: the server takes them after the files. Raises `NameInvalid`, `InvalidArgument`."""
    for name, data in attachments.items():
        if not _ATTACHMENT_NAME.fullmatch(name):
            raise NameInvalid("an attachment's name is 1 to 100 of A-Z a-z 0-9 . _ -", name=name[:60])
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidArgument(
                f"attachment '{name}' is a {type(data).__name__}; it must be bytes", name=name
            )


def get_record(connection: Connection, owner: refs.VersionRef | refs.BuildName) -> SealedRecord:
    """The record of a version or build; a sealed one is checked against its digest. Raises `NotFound`."""
    request = record_pb2.GetRecordRequest(name=owner.wire)
    answer = connection.call(connection.records.GetRecord, request)
    text = answer.sealed_text.encode()
    if answer.digest and digest_of(text).hex() != answer.digest:
        raise DigestMismatch(f"the record of {owner} does not have its digest", digest=answer.digest)
    return SealedRecord(
        wire.record_from(answer.record),
        tuple(map(wire.attachment_from, answer.record.attachments)),
        text,
        answer.digest or None,
    )


def log_record(connection: Connection, build: str, record: Record) -> None:
    """Merge into the record of a running build. Raises as `LogRecord` documents."""
    request = record_pb2.LogRecordRequest(build=build, record=record_message(record))
    connection.call(connection.records.LogRecord, request)


def write_attachment(connection: Connection, owner: str, name: str, data: bytes) -> Attachment:
    """Add a blob to an upload or a running build, both by resource name."""

    def messages() -> Iterator[Any]:
        digest = blake3(data).hexdigest()
        yield record_pb2.WriteAttachmentRequest(owner=owner, name=name, digest=digest, data=data[:_MESSAGE])
        for start in range(_MESSAGE, len(data), _MESSAGE):
            yield record_pb2.WriteAttachmentRequest(data=data[start : start + _MESSAGE])

    # A new stream of messages for each attempt.
    def write(_: None, **options: Any) -> Any:
        return connection.records.WriteAttachment(messages(), **options)

    return wire.attachment_from(connection.call(write, None).attachment)


def read_attachment(
    connection: Connection, owner: refs.VersionRef | refs.BuildName, name: str
) -> Iterator[bytes]:
    """The bytes of an attachment, in order. Raises `NotFound`, and `DigestMismatch` at the end."""
    return resumed(
        _Attachment(connection, owner.wire, name),
        translate=lambda error: translate(error, connection.target),
    )


def add_note(connection: Connection, ref: refs.VersionRef, text: str, author: str) -> Note:
    """Add a note to a version. Raises `NotFound`, `InvalidArgument`."""
    request = record_pb2.AddNoteRequest(
        version=ref.wire,
        author=utf8("the author", author),
        text=utf8("the note", text),
        request_id=uuid.uuid4().hex,
    )
    return _note(connection.call(connection.records.AddNote, request).note)


def list_notes(connection: Connection, ref: refs.VersionRef) -> Iterator[Note]:
    """Oldest first. Raises `NotFound`."""
    request = record_pb2.ListNotesRequest(version=ref.wire, page_size=_PAGE)
    while True:
        page = connection.call(connection.records.ListNotes, request)
        yield from map(_note, page.notes)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


class _Attachment:
    """Strategy of `resumed`: begins again and leaves out what it has given."""

    def __init__(self, connection: Connection, owner: str, name: str) -> None:
        self._connection = connection
        self._request = record_pb2.ReadAttachmentRequest(owner=owner, name=name)
        self._given = self._seen = 0
        self._hasher = blake3()
        self._expected: Attachment | None = None

    def open(self) -> Iterator[Any]:
        self._seen = 0
        call: Iterator[Any] = self._connection.records.ReadAttachment(self._request)
        return call

    def take(self, response: Any) -> Iterator[bytes]:
        if response.HasField("attachment"):
            self._expected = wire.attachment_from(response.attachment)
        begin, self._seen = self._seen, self._seen + len(response.data)
        if self._seen > self._given:
            new = response.data[max(0, self._given - begin) :]
            self._given = self._seen
            self._hasher.update(new)
            yield new
        expected = self._expected
        if expected is not None and self._seen == expected.size and self._hasher.digest() != expected.digest:
            raise DigestMismatch(f"attachment '{expected.name}' came with other bytes", name=expected.name)

    def recover(self, error: RegsvcError) -> None:
        """Nothing to learn."""

    def progress(self) -> int:
        return self._given


def _parent(name: str, relation: str, server: str) -> Parent:
    try:
        kind = Relation[relation.strip().upper().replace("-", "_")] if relation else Relation.UNSPECIFIED
    except KeyError:
        known = ", ".join(each.name.lower().replace("_", "-") for each in Relation if each)
        raise InvalidArgument(f"'{relation[:60]}' is no relation to a parent; known are {known}") from None
    if refs.is_elsewhere(name):
        return Parent(kind, uri=name)
    reference = refs.parse_reference(name)
    if reference.server not in (None, server):
        return Parent(kind, uri=name)
    return Parent(kind, version=reference.version.wire)


def _note(message: Any) -> Note:
    return Note(message.author, message.text, time_from(message.time))
