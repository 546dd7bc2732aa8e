"""Pull: fetch a version into a folder, only the chunks that this host lacks, and prove every digest."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from blake3 import blake3

from regsvc import errors, refs
from regsvc.client.connection import Connection, translate
from regsvc.client.destination import Destination, Marker
from regsvc.client.fetching import Fetching, Place
from regsvc.client.progress import Report, Reporter
from regsvc.client.records import Progress, PullResult
from regsvc.client.resume import resumed
from regsvc.client.staging import RemoteFile, StagedFile, Syncing, check_manifest, read_at
from regsvc.content import manifest
from regsvc.v1 import artifact_pb2


def pull(
    connection: Connection,
    ref: refs.VersionRef,
    dest: str | os.PathLike[str],
    *,
    report: Report | None = None,
    verify: bool = False,
) -> PullResult:
    """Fetch a version into a folder. Behaviour and errors as at `Client.pull`."""
    started = time.monotonic()
    destination = Destination(dest)
    with destination.locked():
        earlier = destination.inspect()
        listing = read_listing(connection, ref)
        received = 0
        held = earlier is not None and earlier.digest == listing.digest
        if held and (not verify or _intact(destination, listing)):
            destination.discard()
        else:
            received = _fetch(connection, listing, destination, earlier, report)
    return PullResult(
        reference=str(listing.version),
        digest=listing.digest,
        files=len(listing.files),
        bytes=listing.size,
        bytes_received=received,
        seconds=time.monotonic() - started,
    )


class Listing:
    """The files of a version with their chunks, as a strategy of `resumed`; proven by `read_listing`."""

    def __init__(self, connection: Connection, ref: refs.VersionRef) -> None:
        self.version = ref
        """By number, once the first message has come."""
        self.digest = ""
        self.files: list[RemoteFile] = []
        self._connection = connection

    @property
    def size(self) -> int:
        """Raw bytes of all files."""
        return sum(file.size for file in self.files)

    def open(self) -> Iterable[Any]:
        self.files = []
        request = artifact_pb2.ReadManifestRequest(version=self.version.wire, include_chunks=True)
        call: Iterable[Any] = self._connection.artifacts.ReadManifest(request)
        return call

    def take(self, response: Any) -> Iterable[None]:
        if response.version:
            self.version = refs.version_from_wire(response.version)
            self.digest = response.digest
        for file in response.files:
            if not self.files or self.files[-1].path != file.path:
                self.files.append(RemoteFile(file.path, file.size, bytes.fromhex(file.digest)))
            for chunk in file.chunks:
                self.files[-1].add(chunk.digest, chunk.size)
        return ()

    def recover(self, error: errors.RegsvcError) -> None:
        """Nothing to learn: it is read again from the start."""

    def progress(self) -> int:
        return 0


def read_listing(connection: Connection, ref: refs.VersionRef) -> Listing:
    """The proven listing of a version. Raises `NotFound`, `PathInvalid`, `DigestMismatch`."""
    listing = Listing(connection, ref)
    for _ in resumed(listing, translate=lambda error: translate(error, connection.target)):
        pass
    try:
        check_manifest(listing.files, bytes.fromhex(listing.digest))
    except manifest.PathError as error:
        raise errors.PathInvalid(f"refused what the server sent: {error}") from None
    if ref.digest is not None and ref.digest != listing.digest:
        raise errors.DigestMismatch(f"the server answered {ref} with another version", digest=listing.digest)
    for file in listing.files:
        file.check()
    return listing


def _fetch(
    connection: Connection,
    listing: Listing,
    destination: Destination,
    earlier: Marker | None,
    report: Report | None,
) -> int:
    """Stage the version, put it in place, and give the payload bytes that came from the server."""
    resuming = destination.stage(listing.digest)
    syncing = Syncing()
    fetching = Fetching(connection, listing.version, syncing.add)
    try:
        with Reporter(lambda: Progress(fetching.placed, listing.size, fetching.received), report):
            local = _LocalChunks(connection, destination, earlier)
            staged = [StagedFile(file, destination.tree) for file in listing.files]
            for file in staged:
                fetching.want(_take_local(file, local, fetching, resuming))
                if file.done:
                    syncing.add(file.location)
            fetching.run()
        syncing.wait()
    finally:
        fetching.close()
        syncing.close()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    files = {file.remote.path: file.pulled() for file in staged}
    destination.replace(Marker(str(listing.version), listing.digest, connection.target, now, files))
    return fetching.received


def _take_local(file: StagedFile, local: _LocalChunks, fetching: Fetching, resuming: bool) -> Iterator[Place]:
    """Put in place what this host has of a file; gives the places of the other chunks."""
    file.create()
    for number, size in enumerate(file.remote.chunk_sizes):
        digest = file.remote.chunk(number)
        data = file.read(number) if resuming else b""
        if len(data) != size or blake3(data).digest() != digest:
            data = local.find(digest, size)
            if data:
                file.write(number, data)
        if data:
            fetching.placed += size
            file.arrived(number, data)
        else:
            yield Place(file, number)


class _LocalChunks:
    """Chunks of the version that the destination holds now, found by what the server lists for that version."""

    def __init__(self, connection: Connection, destination: Destination, earlier: Marker | None) -> None:
        self._places: dict[bytes, tuple[str, int]] = {}
        if earlier is None:
            return
        model = refs.parse_reference(earlier.reference).version.model
        try:
            listing = read_listing(connection, refs.VersionRef(model, digest=earlier.digest))
        except errors.NotFound:  # pulled from another registry, or deleted since
            return
        for file in listing.files:
            offset = 0
            for number, size in enumerate(file.chunk_sizes):
                place = (os.path.join(destination.path, file.path), offset)
                self._places.setdefault(file.chunk(number), place)
                offset += size

    def find(self, digest: bytes, size: int) -> bytes:
        """The bytes of a chunk, proven, or nothing."""
        place = self._places.get(digest)
        if place is None:
            return b""
        data = read_at(*place, size)
        return data if blake3(data).digest() == digest else b""


def _intact(destination: Destination, listing: Listing) -> bool:
    """Whether the folder holds the version, by reading all of it."""
    for file in listing.files:
        hasher = blake3()
        try:
            hasher.update_mmap(os.path.join(destination.path, file.path))
        except FileNotFoundError:
            return False
        if hasher.digest() != file.digest:
            return False
    return True
