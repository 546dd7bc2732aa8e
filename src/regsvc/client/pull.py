"""Pull: fetch a version into a folder, only the chunks that this host lacks, and prove every digest."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from blake3 import blake3

from regsvc import refs
from regsvc.client.cache import Cache, Entries, NewFile
from regsvc.client.connection import Connection
from regsvc.client.destination import Destination, Marker
from regsvc.client.fetching import Fetching
from regsvc.client.listing import Listing, RemoteFile, read_listing
from regsvc.client.local import LocalChunks, Source, copy_all
from regsvc.client.placing import Place, Placing
from regsvc.client.progress import Report, Reporter
from regsvc.client.records import Progress, PullResult
from regsvc.client.selection import Selection
from regsvc.client.staging import StagedFile, Syncing, read_at
from regsvc.errors import FailedPrecondition


def pull(
    connection: Connection,
    ref: refs.VersionRef,
    dest: str | os.PathLike[str],
    *,
    report: Report | None = None,
    verify: bool = False,
    selection: Selection | None = None,
    hardlink: bool = False,
    cache: Cache | None = None,
    beside: str | os.PathLike[str] | None = None,
) -> PullResult:
    """Fetch a version into a folder. Behaviour and errors as at `Client.pull`."""
    started = time.monotonic()
    destination = Destination(dest)
    with destination.locked(), _using(cache) as entries:
        earlier = destination.inspect()
        listing = read_listing(connection, ref)
        files = listing.files if selection is None else selection.choose(listing.files)
        received = 0
        links: tuple[str, ...] = ()
        if (
            earlier is not None
            and _holds(earlier, listing, files)
            and (not verify or _intact(destination, files))
        ):
            destination.discard()
            if entries is not None:
                entries.touch(bytes.fromhex(listing.digest))
        else:
            pulling = _Pulling(connection, listing, files, destination, entries, hardlink=hardlink)
            pulling.beside = None if beside is None else Destination(beside)
            pulling.run(earlier, report)
            received, links = pulling.received, tuple(sorted(pulling.links))
            if entries is not None:
                reference, version = str(listing.version), bytes.fromhex(listing.digest)
                entries.add(version, reference, (_new_file(destination, file) for file in files))
    return PullResult(
        reference=str(listing.version),
        digest=listing.digest,
        files=len(files),
        left_out=len(listing.files) - len(files),
        bytes=sum(file.size for file in files),
        bytes_received=received,
        links=links,
        seconds=time.monotonic() - started,
    )


class _Pulling:
    """One pull into a staging folder, and that into its place."""

    def __init__(
        self,
        connection: Connection,
        listing: Listing,
        files: Sequence[RemoteFile],
        destination: Destination,
        entries: Entries | None,
        *,
        hardlink: bool,
    ) -> None:
        self.links: set[str] = set()
        """How files came out of the cache as they are: reflink, hardlink."""
        self.beside: Destination | None = None
        """Another folder that a pull made, of which chunks are copied."""
        self._connection = connection
        self._listing = listing
        self._files = files
        self._destination = destination
        self._entries = entries
        self._hardlink = hardlink
        self._total = sum(file.size for file in files)
        self._there = 0
        """Raw bytes that needed neither copying nor fetching."""
        self._syncing = Syncing(destination.parent)
        self._placing = Placing(lambda file: self._syncing.add(file.location))
        self._fetching = Fetching(connection, listing.version, self._placing)

    @property
    def received(self) -> int:
        """Payload bytes that came from the server."""
        return self._fetching.received

    def run(self, earlier: Marker | None, report: Report | None) -> None:
        """Fetch, prove, make durable, put in place."""
        resuming = self._destination.stage(self._listing.digest)
        try:
            with Reporter(self._so_far, report):
                staged = self._stage(resuming)
                self._fill(staged, self._local(earlier), resuming=resuming)
            self._syncing.wait()
        finally:
            self._fetching.close()
            self._placing.close()
            self._syncing.close()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        tree = self._destination.tree
        pulled = {file.path: StagedFile(file, tree).pulled() for file in self._files}
        self._destination.replace(
            Marker(str(self._listing.version), self._listing.digest, self._connection.target, now, pulled)
        )

    def _so_far(self) -> Progress:
        return Progress(self._there + self._placing.placed, self._total, self.received)

    def _stage(self, resuming: bool) -> list[StagedFile]:
        """Make folders, and the files that need no bytes; gives the others."""
        left = []
        folders: set[str] = set()
        for remote in self._files:
            file = StagedFile(remote, self._destination.tree)
            folder = os.path.dirname(file.location)
            if folder not in folders:
                os.makedirs(folder, exist_ok=True)
                folders.add(folder)
            if self._linked(file, resuming):
                self._there += remote.size
                self._syncing.add(file.location)
                continue
            if not file.lone:
                file.create()
            if file.done:  # it is empty
                self._syncing.add(file.location)
            else:
                left.append(file)
        return left

    def _linked(self, file: StagedFile, resuming: bool) -> bool:
        """Whether the file came out of the cache as it is."""
        if self._entries is None or not file.remote.size:
            return False
        if resuming and os.path.lexists(file.location):
            return False
        mode = self._entries.link(
            file.remote.digest, file.remote.size, file.location, hardlink=self._hardlink
        )
        if mode is not None:
            self.links.add(mode)
        return mode is not None

    def _local(self, earlier: Marker | None) -> LocalChunks:
        local = LocalChunks(self._entries)
        if earlier is not None:
            local.add_folder(self._connection, self._destination, earlier)
        if self.beside is not None:
            with contextlib.suppress(FailedPrecondition):  # it was changed since: nothing to copy from
                other = self.beside.inspect()
                if other is not None:
                    local.add_folder(self._connection, self.beside, other)
        return local

    def _fill(self, files: Sequence[StagedFile], local: LocalChunks | None, *, resuming: bool) -> None:
        """Bring every chunk of the files to its place, by the nearest way."""
        lacking = list(self._kept(files) if resuming else _places(files))
        sources = local.find(lacking) if local is not None else {}
        here = [place for place in lacking if place.digest in sources]
        for place in lacking:
            if place.digest not in sources:
                self._fetching.want(place)
        missed: list[Place] = []
        with _beside(lambda stop: copy_all(here, sources, self._placing, missed.append, stop)):
            self._fetching.run()
        self._placing.settle()
        for place in missed:
            self._fetching.want(place)
        self._fetching.run()
        self._placing.settle()
        if local is not None:
            self._fill_again(local, sources, missed)

    def _fill_again(self, local: LocalChunks, sources: dict[bytes, Source], missed: Sequence[Place]) -> None:
        """Files that were put together from wrong bytes: keep the chunks that are right, fetch the others."""
        wrong, self._placing.wrong = self._placing.wrong, []
        for place in (*missed, *_places(wrong)):
            if place.digest in sources:
                local.forget(sources[place.digest])
        for file in wrong:
            self._placing.placed -= file.remote.size
            file.again()
        if wrong:
            self._fill(wrong, None, resuming=True)

    def _kept(self, files: Sequence[StagedFile]) -> Iterator[Place]:
        """Places whose chunks an interrupted pull did not leave there; the others are checked and count as placed."""
        lacking: list[Place] = []
        for place in _places(files):

            def check(place: Place = place) -> list[tuple[Place, bytes]]:
                begin = place.file.remote.offsets[place.number]
                data = read_at(place.file.location, begin, place.size)
                if blake3(data).digest() == place.digest:
                    return [(place, data)]
                lacking.append(place)
                return []

            self._placing.submit(check)
        self._placing.settle()
        lacking.sort(key=lambda place: (place.file.remote.path, place.number))
        return iter(lacking)


@contextlib.contextmanager
def _beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `work` in a thread while the block runs, and raise at the end of the block what it raised.

    It is told by the event when the block has failed and nothing more is to be done.
    """
    failures: list[BaseException] = []
    stop = threading.Event()

    def run() -> None:
        try:
            work(stop)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    thread = threading.Thread(target=run, name="regsvc-local", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        stop.set()
        raise
    finally:
        thread.join()
    if failures:
        raise failures[0]


@contextlib.contextmanager
def _using(cache: Cache | None) -> Iterator[Entries | None]:
    if cache is None:
        yield None
        return
    with cache.using() as entries:
        yield entries


def _places(files: Sequence[StagedFile]) -> Iterator[Place]:
    for file in files:
        for number in range(len(file.remote.chunk_sizes)):
            yield Place(file, number)


def _new_file(destination: Destination, file: RemoteFile) -> NewFile:
    location = os.path.join(destination.path, file.path)
    chunks = ((file.chunk(number), size) for number, size in enumerate(file.chunk_sizes))
    return NewFile(location, file.digest, file.size, chunks)


def _holds(earlier: Marker, listing: Listing, files: Sequence[RemoteFile]) -> bool:
    """Whether the folder has what is asked for, and nothing else."""
    return earlier.digest == listing.digest and earlier.files.keys() == {file.path for file in files}


def _intact(destination: Destination, files: Sequence[RemoteFile]) -> bool:
    """Whether the folder holds the files, by reading all of it."""
    for file in files:
        hasher = blake3()
        try:
            hasher.update_mmap(os.path.join(destination.path, file.path))
        except FileNotFoundError:
            return False
        if hasher.digest() != file.digest:
            return False
    return True
