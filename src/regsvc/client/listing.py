"""The files of a version with their chunks, as the server lists them and as this side has proven them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from blake3 import blake3

from regsvc import errors, refs
from regsvc.client.connection import Connection, translate
from regsvc.client.resume import resumed
from regsvc.content import manifest
from regsvc.v1 import artifact_pb2

_EMPTY = blake3().digest()


@dataclass
class RemoteFile:
    """One file of a version as the manifest lists it; chunks lie packed, a big model has a million."""

    path: str
    size: int
    digest: bytes
    chunk_digests: bytearray = field(default_factory=bytearray)
    chunk_sizes: array[int] = field(default_factory=lambda: array("I"))

    def add(self, digest: bytes, size: int) -> None:
        """The next chunk."""
        self.chunk_digests += digest
        self.chunk_sizes.append(size)

    def chunk(self, number: int) -> bytes:
        """Digest of one chunk."""
        return bytes(self.chunk_digests[32 * number : 32 * number + 32])

    @cached_property
    def offsets(self) -> array[int]:
        """Where each chunk begins, once all are known."""
        return array("Q", _starts(self.chunk_sizes))

    def end(self, number: int) -> int:
        """Where one chunk ends."""
        return self.offsets[number] + self.chunk_sizes[number]

    def check(self) -> None:
        """Raise `DigestMismatch` unless chunks and file agree."""
        sizes = self.chunk_sizes
        whole = {0: _EMPTY, 1: self.chunk(0)}.get(len(sizes), self.digest)
        if sum(sizes) != self.size or whole != self.digest:
            raise errors.DigestMismatch(
                f"the server lists other chunks than {self.path!r} has", path=self.path
            )


class Listing:
    """The files of a version, as a strategy of `resumed`; proven by `read_listing`."""

    def __init__(
        self, connection: Connection, ref: refs.VersionRef, paths: Sequence[str] = (), *, chunks: bool = True
    ) -> None:
        self.version = ref
        """By number, once the first message has come."""
        self.digest = ""
        self.files: list[RemoteFile] = []
        self._connection = connection
        self._paths = paths
        self._chunks = chunks

    @property
    def size(self) -> int:
        """Raw bytes of all files."""
        return sum(file.size for file in self.files)

    def open(self) -> Iterable[Any]:
        self.files = []
        request = artifact_pb2.ReadManifestRequest(
            version=self.version.wire, include_chunks=self._chunks, paths=self._paths
        )
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


def read_listing(
    connection: Connection, ref: refs.VersionRef, *, paths: Sequence[str] = (), chunks: bool = True
) -> Listing:
    """The listing of a version, or of the files at `paths`; the whole is proven by the version's digest.

    Raises `NotFound`, `PathInvalid`, `DigestMismatch`.
    """
    listing = Listing(connection, ref, paths, chunks=chunks)
    for _ in resumed(listing, translate=lambda error: translate(error, connection.target)):
        pass
    if not paths:
        _check_manifest(listing)
    elif [file.path for file in listing.files] != sorted(set(paths)):
        raise errors.DigestMismatch("the server lists other files than were asked for", digest=listing.digest)
    if ref.digest is not None and ref.digest != listing.digest:
        raise errors.DigestMismatch(f"the server answered {ref} with another version", digest=listing.digest)
    if chunks:
        for file in listing.files:
            file.check()
    return listing


def _check_manifest(listing: Listing) -> None:
    entries = [manifest.Entry(file.path, file.size, file.digest) for file in listing.files]
    try:
        proven = manifest.version_digest(entries)
    except manifest.PathError as error:
        raise errors.PathInvalid(f"refused what the server sent: {error}") from None
    if proven.hex() != listing.digest:
        raise errors.DigestMismatch(
            "the server lists other files than the version has", digest=listing.digest
        )


def _starts(sizes: Iterable[int]) -> Iterator[int]:
    offset = 0
    for size in sizes:
        yield offset
        offset += size
