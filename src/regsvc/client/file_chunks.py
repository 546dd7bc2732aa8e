"""Which chunks make up chosen files of a version: what reads of ranges need before the first byte."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from blake3 import blake3

from regsvc import errors, refs
from regsvc.client.connection import Connection, translate
from regsvc.client.resume import resumed
from regsvc.content import manifest
from regsvc.content.plans import MAX_CHUNK
from regsvc.v1 import artifact_pb2

_EMPTY = blake3().digest()

_PATHS = 1000
"""Most paths in one request: servers refuse messages over 4 MiB, and a path may have 1 KiB."""


class FileChunks:
    """The chunks of one file, in order; packed, for a big model has a million."""

    def __init__(self, path: str, size: int, digest: bytes) -> None:
        self.path = path
        self.size = size
        self.digest = digest
        """BLAKE3 of the whole file, 32 bytes."""
        self._ends = array("Q")
        self._digests = bytearray()

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, digest: bytes, size: int) -> None:
        """The next chunk. Raises `DigestMismatch` when it does not fit the file."""
        end = self.begin(len(self)) + size
        if len(digest) != 32 or not 1 <= size <= MAX_CHUNK or end > self.size:
            raise self._contradiction()
        self._ends.append(end)
        self._digests += digest

    def check(self) -> None:
        """Raise `DigestMismatch` unless these are all of the file's chunks."""
        whole = {0: _EMPTY, 1: bytes(self._digests)}.get(len(self), self.digest)
        if self.begin(len(self)) != self.size or whole != self.digest:
            raise self._contradiction()

    def begin(self, number: int) -> int:
        """Where a chunk begins in the file; behind the last chunk the end of the file."""
        return self._ends[number - 1] if number else 0

    def end(self, number: int) -> int:
        """Where a chunk ends in the file."""
        return self._ends[number]

    def chunk_digest(self, number: int) -> bytes:
        """BLAKE3 of one chunk, 32 bytes."""
        return bytes(self._digests[32 * number : 32 * number + 32])

    def covering(self, begin: int, end: int) -> range:
        """Numbers of the chunks that hold the bytes [begin, end) of the file."""
        end = min(end, self.size)
        if begin >= end:
            return range(0)
        first = bisect_right(self._ends, begin)
        return range(first, bisect_right(self._ends, end - 1, first) + 1)

    def _contradiction(self) -> errors.DigestMismatch:
        return errors.DigestMismatch(f"the server lists other chunks than {self.path!r} has", path=self.path)


class Listed(NamedTuple):
    """An answer of ReadManifest."""

    version: refs.VersionRef
    """By number: what it names never changes."""
    files: tuple[FileChunks, ...]
    """Bytewise by path."""


def list_chunks(connection: Connection, ref: refs.VersionRef, paths: Sequence[str]) -> Listed:
    """The files at `paths`, in any number, with their chunks.

    Raises `NotFound` (version or path), `PathInvalid`, `DigestMismatch` (the server contradicts itself).
    """
    wanted = sorted({_checked(path) for path in paths})
    most = min(connection.capabilities().max_read_ranges, _PATHS) or 1
    version = ref
    files: list[FileChunks] = []
    for first in range(0, len(wanted), most):
        some = wanted[first : first + most]
        listing = _run(_Listing(connection, version, paths=some))
        if [file.path for file in listing.files] != some:
            raise errors.DigestMismatch("the server lists other files than were asked for")
        for file in listing.files:
            file.check()
        version, files = listing.version, [*files, *listing.files]
    return Listed(version, tuple(files))


def list_paths(
    connection: Connection, ref: refs.VersionRef, keep: Callable[[str], bool]
) -> tuple[refs.VersionRef, list[str]]:
    """The version by number, and those of its paths that `keep` wants. Raises `NotFound`."""
    listing = _run(_Listing(connection, ref, keep=keep))
    return listing.version, [file.path for file in listing.files]


def _checked(path: str) -> str:
    try:
        return manifest.check_path(path)
    except manifest.PathError as error:
        raise errors.PathInvalid(str(error)) from None


def _run(listing: _Listing) -> _Listing:
    for _ in resumed(listing, translate=lambda error: translate(error, listing.target)):
        pass
    return listing


class _Listing:
    """Strategy of `resumed` for a manifest: begins again, and asks by number from the first answer on."""

    def __init__(
        self,
        connection: Connection,
        ref: refs.VersionRef,
        *,
        paths: Sequence[str] = (),
        keep: Callable[[str], bool] = lambda path: True,
    ) -> None:
        self.version = ref
        self.files: list[FileChunks] = []
        self.target = connection.target
        self._stub = connection.artifacts
        self._digest = ref.digest
        self._paths = paths
        self._keep = keep

    def open(self) -> Iterator[Any]:
        self.files = []
        request = artifact_pb2.ReadManifestRequest(
            version=self.version.wire, include_chunks=bool(self._paths), paths=self._paths
        )
        call: Iterator[Any] = self._stub.ReadManifest(request)
        return call

    def take(self, response: Any) -> Iterable[None]:
        if response.version:
            self.version = refs.version_from_wire(response.version)
            if self._digest not in {None, response.digest}:
                raise errors.DigestMismatch(
                    "the server answered with another version", digest=response.digest
                )
            self._digest = response.digest
        for file in response.files:
            if not self._keep(file.path):
                continue
            if not self.files or self.files[-1].path != file.path:
                self.files.append(FileChunks(file.path, file.size, bytes.fromhex(file.digest)))
            for chunk in file.chunks:
                self.files[-1].add(chunk.digest, chunk.size)
        return ()

    def recover(self, error: errors.RegsvcError) -> None:
        """Nothing to learn: the version is immutable."""

    def progress(self) -> int:
        return 0
