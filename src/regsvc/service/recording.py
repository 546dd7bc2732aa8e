"""Records of how versions were made: merged while a build runs, sealed with its version, and what is noted later."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from regsvc.catalog import builds, fulltext, notes, provenance, requests, uploads, versions
from regsvc.catalog.database import Catalog, Reader, Transaction, now_us
from regsvc.catalog.notes import Note
from regsvc.catalog.records import Metadata
from regsvc.catalog.requests import Request
from regsvc.catalog.uploads import Upload
from regsvc.content import record as content
from regsvc.content.record import EMPTY, Attachment, Environment, Record
from regsvc.errors import (
    DigestMismatch,
    InvalidArgument,
    NameInvalid,
    NotFound,
    RecordDamaged,
    RecordInvalid,
    ResourceExhausted,
)
from regsvc.refs import BuildName, VersionRef
from regsvc.service.blobs import BlobWriter
from regsvc.service.checks import check_step_name, check_text
from regsvc.service.limits import Limits
from regsvc.service.packing import Packer
from regsvc.service.paging import Page, Pager, PageRequest
from regsvc.service.reading import VersionReader
from regsvc.store import PackStore

MAX_LABELS = 100
MAX_LABEL_BYTES = 100
MAX_PARENTS = 64
MAX_URI = 2_048
MOST_MEMORY = 1 << 53
"""Bytes; canonical JSON has no larger integers."""
MAX_GAPS = 100
MAX_DATASETS = 200
MAX_CARD_BYTES = 256 << 10
MAX_TENSORS = 10_000
MAX_DIMENSIONS = 32
MAX_AUTHOR_BYTES = 200
_ATTACHMENT_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
_IMAGE_DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})?", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")

Owner = VersionRef | BuildName
"""Whose record."""


@dataclass(frozen=True)
class RecordView:
    """A record with its attachments and, of a version, the text that was sealed."""

    record: Record
    attachments: Sequence[Attachment]
    sealed_text: bytes = b""
    digest: bytes | None = None


class Records:
    """What `RecordService` does."""

    def __init__(
        self, catalog: Catalog, store: PackStore, files: VersionReader, pager: Pager, limits: Limits
    ):
        self._catalog = catalog
        self._store = store
        self._files = files
        self._pager = pager
        self._limits = limits
        self._seals = ThreadPoolExecutor(1, thread_name_prefix="attachment-seal")

    def get(self, owner: Owner) -> RecordView:
        """The record of a version or build. Raises `NotFound`, `RecordDamaged`."""
        return self._catalog.read(lambda db: _view(db, owner))

    def log(self, name: BuildName, record: Record) -> None:
        """Merge into the record of a running build. Errors as LogRecord documents."""
        check_record(record, self._limits)

        def merge(tx: Transaction) -> None:
            build = builds.find_running(tx, name)
            builds.renew(tx, build, self._limits.build_lease_us)
            provenance.merge(tx, build.id, provenance.numbered(tx, record))
            check_record(provenance.find(tx, "build", build.id), self._limits)
            builds.touch(tx, build)

        self._catalog.write(merge)

    def begin_attachment(self, owner: str | BuildName, name: str) -> AttachmentWriter:
        """Begin a blob of an upload (its id) or a running build. Errors as WriteAttachment documents."""
        check_attachment_name(name)
        writer = AttachmentWriter(self._catalog, self._store, self._seals, self._limits, owner, name)
        self._catalog.read(writer.holder)
        return writer

    def read_attachment(self, owner: Owner, name: str) -> tuple[Attachment, Iterator[bytes]]:
        """An attachment and its bytes, a chunk or less at a time. Raises `NotFound`."""

        def find(db: Reader) -> tuple[int, Attachment] | None:
            if isinstance(owner, BuildName):
                return provenance.attachment(db, "build", builds.find(db, owner).id, name)
            return provenance.attachment(db, "version", versions.resolve(db, owner), name)

        found = self._catalog.read(find)
        if found is None:
            raise NotFound(f"{owner} has no attachment '{name[:100]}'", attachment=name[:100])
        file_id, attachment = found
        return attachment, self._files.file_bytes(file_id, 0, attachment.size)

    def add_note(self, ref: VersionRef, author: str, text: str, request: Request) -> Note:
        """Add a note to a version. Errors as AddNote documents."""
        if not author.strip() or not text.strip():
            raise InvalidArgument("a note has an author and a text")
        check_text(author, "author", MAX_AUTHOR_BYTES)
        check_text(text, "note", self._limits.max_note_bytes)
        if _CONTROL.search(author):
            raise InvalidArgument("an author has no control characters")

        def add(tx: Transaction) -> Note:
            known = requests.replay(tx, request)
            if known is None:
                note_id = notes.add(tx, versions.find(tx, ref), author, text)
                requests.remember(tx, request, str(note_id))
                return notes.get(tx, note_id)
            return notes.get(tx, int(known))

        return self._catalog.write(add)

    def list_notes(self, ref: VersionRef, request: PageRequest) -> Page[Note]:
        """Oldest first. Raises `NotFound`."""
        version_id = self._catalog.read(lambda db: versions.resolve(db, ref))

        def fetch(after: int, limit: int) -> list[Note]:
            return self._catalog.read(lambda db: notes.page(db, version_id, after, limit))

        return self._pager.page(
            request, f"notes:{version_id}", 0, fetch, lambda note: note.id, lambda note: len(note.text) + 300
        )

    def close(self) -> None:
        """Wait for what is being written."""
        self._seals.shutdown(wait=True)


class AttachmentWriter:
    """One attachment on its way in. A context manager; what was not finished is dropped."""

    def __init__(
        self,
        catalog: Catalog,
        store: PackStore,
        seals: ThreadPoolExecutor,
        limits: Limits,
        owner: str | BuildName,
        name: str,
    ):
        self._owner = owner
        self._name = name
        self._limits = limits
        self._blob = BlobWriter(catalog, Packer(store, catalog, seals, limits.seals_in_flight))

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes. Raises `ResourceExhausted`."""
        limit = self._limits.max_attachment_bytes
        if self._blob.size + len(data) > limit:
            raise ResourceExhausted(f"attachment '{self._name}' is larger than {limit} bytes", limit=limit)
        self._blob.write(data)

    def finish(self, digest: bytes | None) -> Attachment:
        """Make it durable and give it to its owner. Raises `DigestMismatch`, `BuildEnded`, `LeaseLapsed`."""
        made = Attachment(self._name, self._blob.size, self._blob.digest)
        if digest is not None and digest != made.digest:
            raise DigestMismatch(
                f"attachment '{self._name}' has another digest than was named", digest=made.digest.hex()
            )

        def attach(tx: Transaction, file_id: int) -> None:
            holder, holder_id = self.holder(tx)
            names = {each.name for each in provenance.attachments(tx, holder, holder_id)} | {self._name}
            if len(names) > self._limits.max_attachments:
                limit = self._limits.max_attachments
                raise ResourceExhausted(f"more than {limit} attachments", limit=limit)
            provenance.attach(tx, holder, holder_id, self._name, file_id)

        self._blob.commit(attach)
        return made

    def holder(self, db: Reader) -> tuple[provenance.Holder, int | str]:
        """Whose it will be. Raises `NotFound`, `BuildEnded`, `LeaseLapsed`, `UploadClosed`."""
        if isinstance(self._owner, BuildName):
            return "build", builds.find_running(db, self._owner).id
        return "upload", uploads.find_open(db, self._owner, now_us()).id

    def __enter__(self) -> AttachmentWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._blob.__exit__()


def record_of(tx: Transaction, upload: Upload, given: Record, limits: Limits) -> Record:
    """The record of a version to be made: its build's, and over it what the commit names. Raises `NotFound`."""
    base = EMPTY if upload.build_id is None else provenance.find(tx, "build", upload.build_id)
    record = provenance.numbered(tx, content.merged(base, given))
    check_record(record, limits)
    return record


def seal(
    tx: Transaction, upload: Upload, version_id: int, digest: bytes, metadata: Metadata, record: Record
) -> None:
    """Seal the record of a new version."""
    provenance.put(tx, "version", version_id, record)
    provenance.link(tx, version_id, record)
    fulltext.add_version(tx, version_id, upload.model, metadata.description, record.card, record.labels)
    provenance.pass_on(tx, upload.id, upload.build_id, version_id)
    provenance.check_attached(tx, version_id, record)
    text = text_of(tx, version_id, digest, metadata, record)
    provenance.seal(tx, version_id, content.digest_of(text))


def check_attachment_name(name: str) -> None:
    """Raises `NameInvalid`."""
    if not _ATTACHMENT_NAME.fullmatch(name):
        raise NameInvalid("an attachment's name is 1 to 100 of A-Z a-z 0-9 . _ -", name=name[:60])


def check_record(record: Record, limits: Limits) -> None:
    """Raises `RecordInvalid` or `ResourceExhausted`, each saying of which field."""
    for what, count, limit in (
        ("labels", len(record.labels), MAX_LABELS),
        ("parents", len(record.parents), MAX_PARENTS),
        ("gaps", len(record.gaps), MAX_GAPS),
        ("datasets", len(record.datasets), MAX_DATASETS),
        ("packages", len(record.environment.packages), limits.max_packages),
        ("accelerators", len(record.environment.accelerators), 1_000),
        ("inputs and outputs", len(record.signature.inputs) + len(record.signature.outputs), MAX_TENSORS),
    ):
        if count > limit:
            raise ResourceExhausted(f"{count} {what}, at most {limit}", limit=limit)
    check_text(record.card, "the model card", MAX_CARD_BYTES)
    for label in record.labels:
        if not label or len(label.encode()) > MAX_LABEL_BYTES or _CONTROL.search(label):
            raise RecordInvalid(f"a label is 1 to {MAX_LABEL_BYTES} bytes without control characters")
    if len(set(record.labels)) < len(record.labels):
        raise RecordInvalid("a label stands there twice")
    if not _IMAGE_DIGEST.fullmatch(record.image.digest):
        raise RecordInvalid("an image digest is sha256: and 64 hex digits")
    _check_parents(record)
    _check_environment(record.environment)
    _check_datasets(record)
    _check_signature(record)
    size = len(json.dumps(content.document(record), ensure_ascii=False).encode("utf-8", "replace"))
    if size > limits.max_full_record_bytes:
        limit = limits.max_full_record_bytes
        raise ResourceExhausted(f"a record of {size} bytes, at most {limit}", limit=limit)


def _check_environment(environment: Environment) -> None:
    if not all(environment.packages):
        raise RecordInvalid("a package has no name")
    if not all(each.name for each in environment.accelerators):
        raise RecordInvalid("an accelerator has no name")
    sizes = (environment.memory_bytes, *(each.memory_bytes for each in environment.accelerators))
    if max(sizes) >= MOST_MEMORY:
        raise RecordInvalid(f"{max(sizes)} bytes of memory cannot be")


def _check_parents(record: Record) -> None:
    for parent in record.parents:
        if bool(parent.version) == bool(parent.uri):
            raise RecordInvalid("a parent has either a version or a uri")
        if parent.uri:
            _check_uri(parent.uri)


def _check_uri(uri: str) -> None:
    """One line, which cannot be taken for something of this registry."""
    if uri.startswith("namespaces/") or not uri.strip() or _CONTROL.search(uri) or len(uri) > MAX_URI:
        shown = uri[:60].encode("unicode_escape").decode()
        raise RecordInvalid(
            f"'{shown}' is no uri of a model of elsewhere: 1 to {MAX_URI} characters without control characters,"
            " not a resource name",
            uri=shown,
        )


def _check_datasets(record: Record) -> None:
    for use in record.datasets:
        if not use.dataset:
            raise RecordInvalid("a dataset that was used has a name")
        check_step_name(use.split, "split", optional=True)
        for text in (use.filter, use.begin, use.end):
            check_text(text, "what was used of a dataset", 4096)


def _check_signature(record: Record) -> None:
    signature = record.signature
    for spec in (*signature.inputs, *signature.outputs):
        if len(spec.shape) > MAX_DIMENSIONS or any(not -1 <= size < 1 << 53 for size in spec.shape):
            raise RecordInvalid(
                f"the shape of '{spec.name[:60]}' has sizes that cannot be", name=spec.name[:60]
            )
    if signature.json_schema:
        check_text(signature.json_schema, "the JSON schema", MAX_CARD_BYTES)
        try:
            schema = json.loads(signature.json_schema)
        except (ValueError, RecursionError):
            schema = None
        if not isinstance(schema, dict):
            raise RecordInvalid("json_schema is not a JSON object")


def _view(db: Reader, owner: Owner) -> RecordView:
    if isinstance(owner, BuildName):
        build = builds.find(db, owner)
        return RecordView(
            provenance.find(db, "build", build.id), provenance.attachments(db, "build", build.id)
        )
    version = versions.find(db, owner)
    record = provenance.find(db, "version", version.id)
    attachments = provenance.attachments(db, "version", version.id)
    if version.record_digest is None:
        return RecordView(record, attachments)
    text = text_of(db, version.id, version.digest, version.metadata, record)
    if content.digest_of(text) != version.record_digest:
        raise RecordDamaged(f"the record of {version.ref} is not what was sealed", version=version.ref.wire)
    return RecordView(record, attachments, text, version.record_digest)


def text_of(db: Reader, version_id: int, digest: bytes, metadata: Metadata, record: Record) -> bytes:
    """What is sealed with a version."""
    return content.sealed_text(
        digest,
        description=metadata.description,
        params=metadata.params,
        metrics=metadata.metrics,
        tags=metadata.tags,
        record=record,
        attachments=provenance.attachments(db, "version", version_id),
    )
