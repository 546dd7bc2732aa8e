"""Chunks that this host holds already: in the folder that is about to be replaced, and in the client's cache."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from blake3 import blake3

from regsvc import errors, refs
from regsvc.client.cache import Entries
from regsvc.client.connection import Connection
from regsvc.client.destination import Destination, Marker
from regsvc.client.listing import read_listing
from regsvc.client.placing import Place, Placing, Written
from regsvc.client.staging import StagedFile, read_at

_COPY_BYTES = 8 << 20
"""Most bytes of one copy."""


class Source(NamedTuple):
    """Where on this host the bytes of a chunk should be."""

    location: str
    offset: int
    cached: bytes | None
    """The cached file that it is, by digest."""


class LocalChunks:
    """Finds chunks by digest. What it finds is not proven."""

    def __init__(self, entries: Entries | None) -> None:
        self._entries = entries
        self._places: dict[bytes, Source] = {}

    def add_folder(self, connection: Connection, destination: Destination, earlier: Marker) -> None:
        """What an earlier pull put into the folder, by what the server lists for that version."""
        model = refs.parse_reference(earlier.reference).version.model
        try:
            listing = read_listing(connection, refs.VersionRef(model, digest=earlier.digest))
        except errors.NotFound:  # pulled from another registry, or deleted since
            return
        for file in listing.files:
            if file.path in earlier.files:
                location = os.path.join(destination.path, file.path)
                for number, offset in enumerate(file.offsets):
                    self._places.setdefault(file.chunk(number), Source(location, offset, None))

    def find(self, wanted: Iterable[Place]) -> dict[bytes, Source]:
        """Sources of those chunks that are on this host, by digest."""
        found: dict[bytes, Source] = {}
        others: dict[bytes, int] = {}
        for place in wanted:
            source = self._places.get(place.digest)
            if source is not None:
                found[place.digest] = source
            else:
                others[place.digest] = place.size
        if self._entries is not None and others:
            for digest, chunk in self._entries.find_chunks(others).items():
                found[digest] = Source(chunk.location, chunk.offset, chunk.file)
        return found

    def forget(self, source: Source) -> None:
        """What was found there has other bytes."""
        if source.cached is not None and self._entries is not None:
            self._entries.forget(source.cached)


def copy_all(
    places: Iterable[Place],
    sources: dict[bytes, Source],
    placing: Placing,
    lacking: Callable[[Place], None],
    stop: threading.Event,
) -> None:
    """Copy chunks from their sources to their places; `lacking` is told of those that are not there after all."""
    for run in _runs(places, sources):
        if stop.is_set():
            return
        source = sources[run[0].digest]

        def copy(run: list[Place] = run, source: Source = source) -> Written:
            file = run[0].file
            if _copied(file, run, source):
                return [(place, None) for place in run]
            for place in run:
                lacking(place)
            return ()

        placing.submit(copy)


def _copied(file: StagedFile, run: list[Place], source: Source) -> bool:
    if file.lone:
        data = read_at(source.location, source.offset, run[0].size)
        if blake3(data).digest() != run[0].digest:
            return False
        file.write_whole(data)
        return True
    file.local = True
    return file.copy(range(run[0].number, run[-1].number + 1), source.location, source.offset)


def _runs(places: Iterable[Place], sources: dict[bytes, Source]) -> Iterator[list[Place]]:
    """Neighbouring chunks of a file that are neighbours in their source too."""
    run: list[Place] = []
    size = 0
    for place in places:
        source = sources[place.digest]
        if run:
            first = sources[run[0].digest]
            follows = place.file is run[0].file and place.number == run[-1].number + 1
            if (
                not follows
                or source.location != first.location
                or source.offset != first.offset + size
                or size + place.size > _COPY_BYTES
            ):
                yield run
                run, size = [], 0
        run.append(place)
        size += place.size
    if run:
        yield run
