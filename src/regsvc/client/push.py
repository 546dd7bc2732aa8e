"""Push: turn the files of a folder into one version, sending only the chunks that the server lacks."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from regsvc import errors, refs
from regsvc.client import records
from regsvc.client.author import author as who
from regsvc.client.connection import Connection, translate
from regsvc.client.external import external_spans
from regsvc.client.known import FileState, KnownFile, packed
from regsvc.client.machine import streams_for
from regsvc.client.progress import Report, Reporter
from regsvc.client.provenance import check_attachments, record_message, write_attachment
from regsvc.client.reading import WINDOW_BYTES, WINDOW_CHUNKS, Stale, Stretch, windows
from regsvc.client.resume import DEFAULT_PATIENCE, resumed
from regsvc.client.scan import SourceFile, scan
from regsvc.client.sending import Sending, Tally
from regsvc.client.unchanged import unchanged
from regsvc.content import manifest
from regsvc.content.record import EMPTY, Record
from regsvc.v1 import artifact_pb2

COMMIT_TIMEOUT = 3600.0
"""Seconds for one commit: the server may have to hash files whose chunks it already had."""

_ROUNDS = 4
"""How often a push may begin again because the server forgot its upload or part of it."""

_FILE_LOAD = 64 << 10
"""What a file costs beside its bytes, in bytes."""

_BEGIN_AGAIN = (
    errors.LeaseLapsed,
    errors.UploadClosed,
    errors.ChunksMissing,
    errors.FilesIncomplete,
    errors.OffsetGap,
    errors.NotFound,
)


def push(
    connection: Connection,
    path: str | os.PathLike[str],
    model: refs.ModelName,
    *,
    metadata: Any = None,
    record: Record = EMPTY,
    attachments: Mapping[str, bytes] | None = None,
    aliases: Sequence[str] = (),
    build: refs.BuildName | None = None,
    follow_symlinks: bool = False,
    report: Report | None = None,
    request_id: str | None = None,
    author: str | None = None,
    patience: float = DEFAULT_PATIENCE,
) -> records.PushResult:
    """Store a folder, or a file, as a new version of a model. Errors as at `Client.push`."""
    started = time.monotonic()
    message = record_message(record)
    check_attachments(attachments or {})
    for alias in aliases:
        refs.check_alias(alias)
    files = scan(path, follow_symlinks=follow_symlinks)
    most = connection.capabilities().max_files_per_version
    if most and len(files) > most:
        raise errors.InvalidArgument(f"{len(files)} files are more than the {most} that a version may hold")
    state = FileState(path)
    known = state.recall(files)
    known |= unchanged(connection, model, (file for file in files if file.path not in known))
    upload = _Upload(connection, model, build, files, known, request_id or uuid.uuid4().hex, patience)
    by = who() if author is None else author
    commit = _Commit(metadata, message, attachments or {}, aliases, by)
    with contextlib.closing(upload), Reporter(upload.so_far, report):
        version = _carry_out(upload, state, commit)
    state.remember(files, upload.found)
    return records.push_result(
        version,
        chunks=sum(len(file) for file in upload.found.values()),
        chunks_sent=upload.tally.chunks_sent,
        bytes_sent=upload.tally.bytes_sent,
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True)
class _Commit:
    """What is sent when the files are there."""

    metadata: Any
    record: Any
    attachments: Mapping[str, bytes]
    aliases: Sequence[str]
    author: str


def _carry_out(upload: _Upload, state: FileState, commit: _Commit) -> records.Version:
    upload.start()
    for left in reversed(range(_ROUNDS)):
        try:
            for _ in resumed(upload, translate=upload.translate, patience=upload.patience):
                pass
            return upload.commit(commit)
        except Stale:
            if not upload.known:
                raise
            state.forget()
            upload.read_everything()
        except _BEGIN_AGAIN as error:
            if not left:
                raise
            upload.recover(error)
    raise AssertionError("the last round returns or raises")


class _Upload:
    """One upload session, as a strategy of `resumed`: its files go in whole, across any number of streams."""

    def __init__(
        self,
        connection: Connection,
        model: refs.ModelName,
        build: refs.BuildName | None,
        files: list[SourceFile],
        known: dict[str, KnownFile],
        request_id: str,
        patience: float,
    ) -> None:
        self.tally = Tally()
        self.total = sum(file.size for file in files)
        self.patience = patience
        self.known = known
        """Files that need not be read, by path."""
        self.found: dict[str, KnownFile] = {}
        """What has been learned of each file that was sent whole, by path."""
        self._connection = connection
        self._channels = connection.bulk()
        self._model = model
        self._build = build
        self._files = files
        self._spans = external_spans(files) if any(file.path not in known for file in files) else {}
        self._request_id = request_id
        self._starts = 0
        self._name = ""
        self._closed = False
        self._committed: dict[str, int] = {}
        self._complete: set[str] = set()

    def so_far(self) -> records.Progress:
        return records.Progress(self.tally.done, self.total, self.tally.bytes_sent)

    def translate(self, error: Any) -> errors.RegsvcError:
        return translate(error, self._connection.target)

    def start(self) -> None:
        """Open a new upload, or find the one that an earlier push with this request_id opened."""
        self._starts += 1
        identity = f"{self._request_id} start {self._starts}".encode()
        request = artifact_pb2.StartUploadRequest(
            parent=self._model.wire,
            build=self._build.wire if self._build is not None else "",
            request_id=blake3(identity).hexdigest(16),
        )
        answer = self._call(self._connection.artifacts.StartUpload, request)
        self._name = answer.upload.name
        self._committed, self._complete = {}, set()
        self._closed = answer.upload.state == artifact_pb2.UPLOAD_STATE_COMMITTED

    def close(self) -> None:
        """End the connections of the streams."""
        self._channels.close()

    def read_everything(self) -> None:
        """Some file is not what it was known to be: begin again, and take nothing for known."""
        self.known = {}
        self.found.clear()
        self.start()

    def open(self) -> Iterable[Any]:
        """Send what is not yet known to be there."""
        remaining = [
            file for file in self._files if file.path not in self._complete or file.path not in self.found
        ]
        size = sum(file.size for file in remaining)
        self.tally.done = self.total - size
        if self._closed:
            return self._only_read(self._windows(remaining, 1))
        lanes = _dealt(remaining, streams_for(size))
        return Sending(
            self._connection,
            self._channels,
            self._name,
            [self._windows(lane, len(lanes)) for lane in lanes],
            self._committed,
            self.tally,
        )

    def take(self, response: Any) -> Iterable[None]:
        return ()

    def recover(self, error: errors.RegsvcError) -> None:
        """Learn how far each file got; open a new upload when this one is gone."""
        self._channels.drop()
        committed: dict[str, int] = {}
        complete: set[str] = set()
        request = artifact_pb2.GetUploadRequest(name=self._name)
        more = True
        while more:
            try:
                answer = self._call(self._connection.artifacts.GetUpload, request)
            except errors.NotFound:
                self.start()
                return
            if answer.upload.state in {artifact_pb2.UPLOAD_STATE_ABORTED, artifact_pb2.UPLOAD_STATE_EXPIRED}:
                self.start()
                return
            self._closed = answer.upload.state == artifact_pb2.UPLOAD_STATE_COMMITTED
            for file in answer.upload.files:
                committed[file.path] = file.committed_size
                if file.complete:
                    complete.add(file.path)
                request.after_path = file.path
            more = answer.more_files
        self._committed, self._complete = committed, complete

    def progress(self) -> object:
        return (self._name, sum(self._committed.values()), len(self._complete))

    def commit(self, commit: _Commit) -> records.Version:
        """Make the version. The answer is the same however often it is asked for."""
        digest = manifest.version_digest(
            manifest.Entry(file.path, file.size, self.found[file.path].digest) for file in self._files
        ).hex()
        if not self._closed:
            for name, data in commit.attachments.items():
                write_attachment(self._connection, self._name, name, data)
        request = artifact_pb2.CommitUploadRequest(
            upload=self._name,
            metadata=commit.metadata,
            record=commit.record,
            aliases=commit.aliases,
            digest=digest,
            author=commit.author,
            request_id=self._request_id,
        )
        answer = self._call(self._connection.artifacts.CommitUpload, request, timeout=COMMIT_TIMEOUT)
        version = records.version_from(answer.version)
        if version.digest != digest:
            made = version.reference
            if self._closed:
                raise errors.RequestIdReused(f"this request_id made {made} of other files", reference=made)
            raise errors.DigestMismatch(
                f"the server made {made} of other bytes than were sent", reference=made
            )
        return version

    def _call(self, method: Any, request: Any, timeout: float = 60.0) -> Any:
        return self._connection.call(method, request, timeout=timeout, patience=self.patience)

    def _windows(self, files: list[SourceFile], lanes: int) -> Iterator[list[Stretch]]:
        """The files of one lane; what is learned of each is kept on the way."""
        most = self._connection.capabilities().max_find_missing
        learned: list[bytes] = []
        for window in windows(
            files,
            known=self.known,
            spans=self._spans,
            most_bytes=WINDOW_BYTES // lanes,
            most_chunks=min(WINDOW_CHUNKS, most or WINDOW_CHUNKS),
        ):
            for stretch in window:
                path = stretch.file.path
                if path in self.known:
                    if stretch.digest is not None:
                        self.found[path] = self.known[path]
                    continue
                if not stretch.offset:
                    learned.clear()
                learned.append(packed((each.digest, each.size, each.layout) for each in stretch.chunks))
                if stretch.digest is not None:
                    self.found[path] = KnownFile(stretch.digest, b"".join(learned), stretch.settled)
            yield window

    def _only_read(self, stretches: Iterable[list[Stretch]]) -> Iterator[None]:
        """For an upload that was committed already: only the digests are needed, to prove it was the same."""
        for window in stretches:
            self.tally.done += sum(stretch.size for stretch in window)
        yield from ()


def _dealt(files: list[SourceFile], streams: int) -> list[list[SourceFile]]:
    """The files, in order, dealt out so that each stream has about the same number of bytes."""
    lanes: list[list[SourceFile]] = [[] for _ in range(max(1, min(streams, len(files))))]
    loads = [0] * len(lanes)
    for file in files:
        lightest = loads.index(min(loads))
        lanes[lightest].append(file)
        loads[lightest] += file.size + _FILE_LOAD
    return lanes
