"""Uploads from start to commit."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from regsvc.catalog import builds, chunks, events, models, requests, rules, uploads, versions
from regsvc.catalog.aliases import Move
from regsvc.catalog.chunks import Chunk, NewFile, PackFacts
from regsvc.catalog.database import Catalog, Reader, Transaction, now_us
from regsvc.catalog.records import Metadata
from regsvc.catalog.requests import Request
from regsvc.catalog.uploads import Upload, UploadState
from regsvc.catalog.versions import NewVersion, Version
from regsvc.content import manifest
from regsvc.content.manifest import Entry
from regsvc.content.recipe import ChunkRef, Recipe
from regsvc.content.record import EMPTY, Record
from regsvc.errors import (
    ChunksMissing,
    DigestMismatch,
    InvalidArgument,
    LeaseLapsed,
    PathInvalid,
    ResourceExhausted,
    StorageFull,
    Unavailable,
    UploadClosed,
    UploadCommitted,
)
from regsvc.refs import AliasName, BuildName, ModelName, VersionRef, check_alias
from regsvc.service.authors import author_of
from regsvc.service.checks import check_metadata
from regsvc.service.drafts import Draft
from regsvc.service.incoming import FileProgress, IncomingFrame, RecipePart, WritingStream
from regsvc.service.ingest import UploadSession
from regsvc.service.limits import Limits
from regsvc.service.packing import Packer
from regsvc.service.reading import ChunkReader
from regsvc.service.recent import RecentChunks
from regsvc.service.recording import check_record, record_of, seal
from regsvc.store import Kind, PackStore

T = TypeVar("T")

IDLE_FILES = 64
"""Unfinished files without a stream whose uncut bytes are kept, for all uploads: 2 MiB each, about."""


@dataclass(frozen=True)
class Commit:
    """What turns an upload into a version."""

    metadata: Metadata = field(default_factory=Metadata)
    aliases: Sequence[str] = ()
    digest: bytes | None = None
    """Version digest that the client computed."""
    record: Record = EMPTY
    author: str = ""
    """Who pushes it."""


class Uploads:
    """All uploads; those in use are sessions in memory."""

    def __init__(self, catalog: Catalog, store: PackStore, reader: ChunkReader, limits: Limits):
        self._catalog = catalog
        self._store = store
        self._reader = reader
        self._limits = limits
        self._recent = RecentChunks(limits.recent_chunk_bytes)
        self._seals = ThreadPoolExecutor(4, thread_name_prefix="seal")
        self._sessions: dict[str, UploadSession] = {}
        self._renewed: dict[str, int] = {}
        self._idle: OrderedDict[int, tuple[UploadSession, Draft]] = OrderedDict()
        """Files whose stream ended before they did, by id of the draft; the oldest first."""
        self._lock = threading.Lock()  # guards these three

    def start(self, model: ModelName, build: BuildName | None, request: Request) -> Upload:
        """Open an upload. Errors as StartUpload documents."""

        def open_upload(tx: Transaction) -> str:
            known = requests.replay(tx, request)
            if known is not None:
                return known
            build_id = None
            if build is not None:
                if build.model != model:
                    raise InvalidArgument(f"build {build} is of another model than {model}", build=build.wire)
                build_id = builds.find_running(tx, build).id
            if uploads.count_open(tx) >= self._limits.max_open_uploads:
                raise ResourceExhausted("too many open uploads", limit=self._limits.max_open_uploads)
            upload_id = secrets.token_hex(16)
            uploads.create(tx, upload_id, model, build_id, self._limits.upload_lease_us)
            requests.remember(tx, request, upload_id)
            return upload_id

        upload_id = self._catalog.write(open_upload)
        return self._catalog.read(lambda db: uploads.find(db, upload_id))

    def get(self, upload_id: str) -> tuple[Upload, list[FileProgress]]:
        """State and progress of an upload. Raises `NotFound`."""
        upload = self._catalog.read(lambda db: uploads.find(db, upload_id))
        if upload.state is not UploadState.OPEN:
            return upload, []
        try:
            return upload, self.session(upload_id).progress()
        except (LeaseLapsed, UploadClosed):
            return self._catalog.read(lambda db: uploads.find(db, upload_id)), []

    def session(self, upload_id: str) -> UploadSession:
        """The open session of an upload, loaded when need be; renews its lease. Raises as `find_open`."""
        now = now_us()
        with self._lock:
            session = self._sessions.get(upload_id)
            # Not every message has to write the lease: a tenth of it is near enough.
            due = self._renewed.get(upload_id, 0) + self._limits.upload_lease_us // 10 < now
        if session is None or due:
            self._renew(upload_id)
        if session is not None:
            return session
        upload = self._catalog.read(lambda db: uploads.find_open(db, upload_id, now))
        packer = Packer(self._store, self._catalog, self._seals, self._limits.seals_in_flight)
        loaded = UploadSession(upload, self._catalog, self._reader, packer, self._recent, self._limits)
        with self._lock:
            self._renewed[upload_id] = now
            return self._sessions.setdefault(upload_id, loaded)

    def take(
        self,
        upload_id: str,
        frames: Sequence[IncomingFrame],
        recipes: Sequence[RecipePart],
        stream: WritingStream,
    ) -> tuple[int, int]:
        """Store frames, then take recipe parts; gives (new chunks, their stored bytes). Errors as WriteChunks."""
        session = self.session(upload_id)
        with self._failing(upload_id):
            return session.take(frames, recipes, stream)

    def open_file(self, upload_id: str, path: str, size: int | None, stream: WritingStream) -> Draft:
        """Begin or resume a file that comes as raw bytes."""
        session = self.session(upload_id)
        with self._failing(upload_id):
            session.begin_files([path])
            draft = session.open_file(path, size, stream)
        with self._lock:
            self._idle.pop(id(draft), None)
        return draft

    def leave(self, upload_id: str, draft: Draft, stream: WritingStream) -> None:
        """A stream of raw bytes has ended, with or without its file.

        What it brought of an unfinished file stays at hand for the stream that resumes it, but only of the
        last few files: clients may leave any number of them behind.
        """
        with self._lock:
            session = self._sessions.get(upload_id)
            if session is None or draft.owner is not stream or draft.complete:
                return
            self._idle[id(draft)] = (session, draft)
            over = [self._idle.popitem(last=False)[1] for _ in range(len(self._idle) - IDLE_FILES)]
        for owner, idle in over:
            owner.drop_uncut(idle)

    def write(
        self, upload_id: str, draft: Draft, offset: int, data: memoryview, stream: WritingStream
    ) -> None:
        """Take raw bytes of a file. Errors as WriteFile."""
        session = self.session(upload_id)
        with self._failing(upload_id):
            session.write(draft, offset, data, stream)

    def finish_file(
        self, upload_id: str, draft: Draft, end: int, digest: bytes | None, stream: WritingStream
    ) -> None:
        """The file ends here. Errors as WriteFile."""
        session = self.session(upload_id)
        with self._failing(upload_id):
            session.finish_file(draft, end, digest, stream)

    def find_missing(self, upload_id: str, digests: Sequence[bytes]) -> list[int]:
        """Positions of the chunks that the server lacks; the others are pinned."""
        if len(digests) > self._limits.max_find_missing:
            limit = self._limits.max_find_missing
            raise InvalidArgument(f"{len(digests)} digests, at most {limit}", limit=limit)
        if any(len(digest) != 32 for digest in digests):
            raise InvalidArgument("a chunk digest has 32 bytes")
        return self.session(upload_id).missing(digests)

    def abort(self, upload_id: str) -> None:
        """End an upload and forget its bytes. Raises `NotFound`, `UploadCommitted`."""

        def close(tx: Transaction) -> None:
            upload = uploads.find(tx, upload_id)
            if upload.state is UploadState.COMMITTED:
                raise UploadCommitted(f"upload {upload_id} became a version", upload=upload.name)
            if upload.state is UploadState.OPEN:
                uploads.close(tx, upload_id, UploadState.ABORTED)

        self._catalog.write(close)
        self._drop(upload_id)

    def commit(self, upload_id: str, commit: Commit, request: Request) -> Version:
        """Make the version. Errors as CommitUpload documents; a committed upload gives its version again."""
        try:
            return self._committed(upload_id)
        except UploadClosed:
            pass
        check_metadata(commit.metadata, self._limits)
        check_record(commit.record, self._limits)
        commit = replace(commit, author=author_of(commit.author))
        if len(commit.aliases) > self._limits.max_aliases_per_commit:
            raise ResourceExhausted(
                f"more than {self._limits.max_aliases_per_commit} aliases",
                limit=self._limits.max_aliases_per_commit,
            )
        for alias in commit.aliases:
            check_alias(alias)
        try:
            session = self.session(upload_id)
            with session.lock:
                version = self._commit(session, commit, request)
        except UploadClosed:
            # Two commits at once: the other one won, and its version is the answer to both.
            version = self._committed(upload_id)
        self._drop(upload_id)
        return version

    def adopt(
        self,
        upload_ids: Sequence[str],
        make: Callable[[Transaction, Sequence[UploadSession]], T],
        digest: bytes | None = None,
    ) -> T:
        """Make durable what uploads brought and call `make` in the transaction that makes it known.

        `make` has to close the uploads. `digest` is that of the version whose files the first of them has. Errors as
        CommitUpload documents.
        """
        sessions = [self.session(each) for each in upload_ids]
        with ExitStack() as held:
            for session in sorted(sessions, key=lambda each: each.upload.id):
                held.enter_context(session.lock)
                held.enter_context(self._failing(session.upload.id))
            if digest is not None:
                _note_manifest(sessions[0], digest)
            packs: list[PackFacts] = []
            for session in sessions:
                note_recipes(session)
                packs.extend(session.packer.flush())

            def adopting(tx: Transaction) -> T:
                for pack in packs:
                    chunks.add_pack(tx, pack)
                for each in upload_ids:
                    uploads.find_open(tx, each, tx.now)
                return make(tx, sessions)

            made = self._catalog.write(adopting)
            for session in sessions:
                session.packer.indexed()
        for upload_id in upload_ids:
            self._drop(upload_id)
        return made

    def _committed(self, upload_id: str) -> Version:
        """The version that an upload became. Raises `NotFound`, `UploadClosed` when it became none."""

        def find(db: Reader) -> Version:
            upload = uploads.find(db, upload_id)
            if upload.version is None:
                raise UploadClosed(f"upload {upload_id} is closed: {upload.state.name}", upload=upload.name)
            return versions.find(db, VersionRef(upload.model, number=upload.version))

        return self._catalog.read(find)

    def expire(self) -> None:
        """Close uploads whose lease has lapsed."""
        now = now_us()
        for upload_id in self._catalog.read(lambda db: uploads.lapsed(db, now)):

            def close(tx: Transaction, upload_id: str = upload_id) -> None:
                # Asked again inside: a renewal may have come in between.
                if upload_id in uploads.lapsed(tx, tx.now):
                    uploads.close(tx, upload_id, UploadState.EXPIRED)

            self._catalog.write(close)
            self._drop(upload_id)
        ended = now - 7 * 24 * 3600 * 1_000_000
        self._catalog.write(lambda tx: uploads.forget_old(tx, ended))

    def stop(self) -> None:
        """Let no work for a client hold up the end of the server."""
        with self._lock:
            for session in self._sessions.values():
                session.closed = True

    def close(self) -> None:
        """Drop all sessions and wait for their packs."""
        with self._lock:
            remaining = list(self._sessions)
        for upload_id in remaining:
            self._drop(upload_id)
        self._seals.shutdown(wait=True)

    def _commit(self, session: UploadSession, commit: Commit, request: Request) -> Version:
        entries = session.entries()
        try:
            manifest.check_tree(entry.path for entry in entries)
        except manifest.PathError as error:
            raise PathInvalid(str(error)) from error
        digest = manifest.version_digest(entries)
        if commit.digest is not None and commit.digest != digest:
            raise DigestMismatch(
                "the upload does not have the version digest that was named", digest=digest.hex()
            )
        note_recipes(session)
        same = VersionRef(session.upload.model, digest=digest.hex())
        noted = self._catalog.read(lambda db: versions.exists(db, same))
        if not noted:
            session.packer.add_note(Kind.MANIFEST, digest, manifest.text(entries))
        with self._failing(session.upload.id):
            packs = session.packer.flush()

        def make(tx: Transaction) -> int:
            if noted and not versions.exists(tx, same):
                raise Unavailable("the version of the same content was deleted just now; commit again")
            return self._make_version(tx, session, commit, request, entries, digest, packs)

        version_id = self._catalog.write(make)
        session.packer.indexed()
        return self._catalog.read(lambda db: versions.get(db, version_id))

    def _make_version(
        self,
        tx: Transaction,
        session: UploadSession,
        commit: Commit,
        request: Request,
        entries: Sequence[Entry],
        digest: bytes,
        packs: Sequence[PackFacts],
    ) -> int:
        known = requests.replay(tx, request)
        if known is not None:
            return int(known)
        for pack in packs:
            chunks.add_pack(tx, pack)
        upload = uploads.find_open(tx, session.upload.id, tx.now)
        model_id = models.ensure(tx, upload.model)
        # While the version is not there yet: "latest" among its parents is the one before it, not itself.
        record = record_of(tx, upload, commit.record, self._limits)
        metadata = _with_build(tx, upload, commit.metadata)
        check_metadata(metadata, self._limits)
        file_ids = files_of(tx, session.drafts.values())
        number = models.next_version(tx, model_id)
        files = [(entry.path, file_ids[entry.path]) for entry in entries]
        size = sum(entry.size for entry in entries)
        version_id = versions.insert(
            tx, NewVersion(model_id, number, digest, files, size, upload.build_id, metadata, commit.author)
        )
        seal(tx, upload, version_id, digest, metadata, record)
        name = VersionRef(upload.model, number=number).wire
        events.record(tx, "version.created", name, digest=digest.hex(), size=size, files=len(files))
        by = Move(commit.author)
        for alias in dict.fromkeys(commit.aliases):
            rules.move(tx, AliasName(upload.model, alias), versions.get(tx, version_id), by)
        uploads.close(tx, upload.id, UploadState.COMMITTED, version_id)
        requests.remember(tx, request, str(version_id))
        return version_id

    @contextmanager
    def _failing(self, upload_id: str) -> Iterator[None]:
        """After an error of the disk the session is dropped; the next use finds what was durable."""
        try:
            yield
        except (StorageFull, OSError):
            self._drop(upload_id)
            raise

    def _renew(self, upload_id: str) -> None:
        def renew(tx: Transaction) -> None:
            uploads.find_open(tx, upload_id, tx.now)
            uploads.renew(tx, upload_id, self._limits.upload_lease_us)

        self._catalog.write(renew)
        with self._lock:
            if upload_id in self._renewed:
                self._renewed[upload_id] = now_us()

    def _drop(self, upload_id: str) -> None:
        with self._lock:
            session = self._sessions.pop(upload_id, None)
            self._renewed.pop(upload_id, None)
            for key in [key for key, (owner, _) in self._idle.items() if owner is session]:
                del self._idle[key]
        if session is not None:
            session.discard()


def _note_manifest(session: UploadSession, digest: bytes) -> None:
    """Write the manifest of a version. Raises `DigestMismatch`, `FilesIncomplete`, `PathInvalid`."""
    entries = session.entries()
    try:
        manifest.check_tree(entry.path for entry in entries)
    except manifest.PathError as error:
        raise PathInvalid(str(error)) from error
    if manifest.version_digest(entries) != digest:
        raise DigestMismatch(
            "the upload does not have the version digest that was named", digest=digest.hex()
        )
    session.packer.add_note(Kind.MANIFEST, digest, manifest.text(entries))


def note_recipes(session: UploadSession) -> None:
    """Write recipes of new files of several chunks; one chunk is the file itself, under the same digest."""
    noted: set[bytes] = set()
    for draft in session.drafts.values():
        if len(draft.pieces) > 1 and draft.proven_file is None and draft.digest and draft.digest not in noted:
            noted.add(draft.digest)
            raw = Recipe.of(draft.digest, (ChunkRef(*piece) for piece in draft.pieces)).pack()
            session.packer.add_note(Kind.RECIPE, draft.digest, raw)


def files_of(tx: Transaction, drafts: Collection[Draft]) -> dict[str, int]:
    """Ids of the files by path, made when new. Every chunk is checked again, in the committing transaction."""
    new = [draft for draft in drafts if draft.proven_file is None]
    located = chunks.locate(tx, list({digest for draft in new for digest, _ in draft.pieces}))
    ids = chunks.add_files(tx, (_new_file(draft, located) for draft in new))
    found: dict[str, int] = {}
    for draft in drafts:
        assert draft.digest is not None
        if draft.proven_file is None:
            found[draft.path] = ids[draft.digest]
        else:
            # Asked again: its chunks may be damaged, or a collection may have taken it.
            proven = chunks.find_file(tx, draft.digest)
            if proven is None:
                raise ChunksMissing(f"chunks of '{draft.path}' are damaged; push it again", missing=1)
            found[draft.path] = proven[0]
    return found


def _new_file(draft: Draft, located: Mapping[bytes, Chunk]) -> NewFile:
    assert draft.digest is not None
    missing = sum(digest not in located for digest, _ in draft.pieces)
    if missing:
        raise ChunksMissing(f"{missing} chunks of '{draft.path}' are gone", missing=missing)
    places, offset = [], 0
    for digest, size in draft.pieces:
        places.append((offset, located[digest].id))
        offset += size
    return NewFile(draft.digest, draft.pieces.size, places)


def _with_build(tx: Transaction, upload: Upload, given: Metadata) -> Metadata:
    """The build's final params, metrics and tags, and over them what the commit names."""
    if upload.build is None:
        return given
    build = builds.find_running(tx, upload.build)
    builds.touch(tx, build)
    record = builds.metadata(tx, build)
    return replace(
        given,
        params={**record.params, **given.params},
        metrics={**record.metrics, **given.metrics},
        tags={**record.tags, **given.tags},
        description=given.description or record.description,
    )
