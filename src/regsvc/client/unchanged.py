"""Finds which files of a push are as the model's latest version has them, without cutting them anew.

A file that has path and size of one in that version is compared with it chunk by chunk: reading and one hash, in
parallel, instead of reading, cutting and two hashes in order. A few chunks spread over it are compared first, so
that a file that was trained anew costs next to nothing here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from blake3 import blake3

from regsvc import errors, refs
from regsvc.client.connection import Connection
from regsvc.client.known import KnownFile, packed
from regsvc.client.listing import RemoteFile, read_listing
from regsvc.client.machine import cores
from regsvc.client.reading import is_settled
from regsvc.client.scan import SourceFile
from regsvc.content.layout import Layout

_SAMPLES = 8
_RUN_BYTES = 4 << 20
"""Raw bytes that a thread reads at once, about."""
_MOST_FILES = 20_000
"""Files in a version whose chunks are worth asking for."""


def unchanged(
    connection: Connection, model: refs.ModelName, files: Iterable[SourceFile]
) -> dict[str, KnownFile]:
    """Those of the files that the latest version of the model holds, by path. Raises `OSError`."""
    candidates = {file.path: file for file in files if file.size}
    if not candidates:
        return {}
    ref = refs.VersionRef(model)
    try:
        ref, same = _same_sizes(connection, ref, candidates)
        if not same or len(same) > _MOST_FILES:
            return {}
        remotes = read_listing(connection, ref, paths=same).files
    except errors.NotFound:  # no version yet
        return {}
    found = {}
    with ThreadPoolExecutor(min(4, cores()), "regsvc-compare") as pool:
        for remote in remotes:
            file = candidates[remote.path]
            if _is_same(file, remote, pool):
                known = KnownFile(remote.digest, _packed(remote), settled=is_settled(file))
                found[file.path] = known
    return found


def _same_sizes(
    connection: Connection, ref: refs.VersionRef, candidates: dict[str, SourceFile]
) -> tuple[refs.VersionRef, list[str]]:
    """The latest version by number, and paths of its files that have the size of the candidate there."""
    listing = read_listing(connection, ref, chunks=False)
    same = [
        file.path
        for file in listing.files
        if file.path in candidates and candidates[file.path].size == file.size
    ]
    return listing.version, same


def _is_same(file: SourceFile, remote: RemoteFile, pool: ThreadPoolExecutor) -> bool:
    """Whether every chunk of the file is where the version has it, and the file still what was scanned."""
    runs = list(_runs(remote))
    stride = max(1, len(runs) // _SAMPLES)
    sample = [run[:1] for run in runs[::stride]]
    differs = threading.Event()
    descriptor = os.open(file.location, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for part in (sample, runs) if len(runs) > _SAMPLES else (runs,):
            list(pool.map(lambda run: _compare(descriptor, remote, run, differs), part))
            if differs.is_set():
                return False
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns) == (
        file.size,
        file.mtime_ns,
        file.ctime_ns,
    )


def _compare(descriptor: int, remote: RemoteFile, run: range, differs: threading.Event) -> None:
    """Set `differs` unless the chunks numbered `run` are in the file."""
    if differs.is_set():
        return
    begin = remote.offsets[run[0]]
    data = memoryview(os.pread(descriptor, remote.end(run[-1]) - begin, begin))
    for number in run:
        start = remote.offsets[number] - begin
        chunk = data[start : start + remote.chunk_sizes[number]]
        if blake3(chunk).digest() != remote.chunk(number):
            differs.set()
            return


def _runs(remote: RemoteFile) -> Iterator[range]:
    """Chunk numbers, about `_RUN_BYTES` of them at a time."""
    begin = 0
    for number in range(len(remote.chunk_sizes)):
        if remote.end(number) - remote.offsets[begin] >= _RUN_BYTES:
            yield range(begin, number + 1)
            begin = number + 1
    if begin < len(remote.chunk_sizes):
        yield range(begin, len(remote.chunk_sizes))


def _packed(remote: RemoteFile) -> bytes:
    numbers = range(len(remote.chunk_sizes))
    # How the bytes lie is not told by the server; it only matters should a chunk have to be sent again.
    return packed((remote.chunk(number), remote.chunk_sizes[number], Layout.OPAQUE) for number in numbers)
