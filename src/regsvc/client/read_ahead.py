"""Fetches the chunks of a file before they are asked for, while it is read from front to back."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import closing

from regsvc.client.chunk_source import Batch, ChunkSource, ChunkStream, Place, Raw
from regsvc.client.file_chunks import FileChunks

AHEAD_BYTES = 16 << 20
"""Raw bytes that wait at most, those that fill it up not counted."""

FIRST_REQUEST, LARGEST_REQUEST = 4 << 20, 256 << 20
"""Raw bytes asked for in one request: each is twice the one before. A reader that stops soon has asked for little."""

IDLE = 10.0
"""Seconds after which a stream that nobody reads from is ended: the server has a place for only so many."""


class ReadAhead:
    """The chunks of a file from `first` on, in order, fetched by a thread of its own.

    All methods belong to one thread at a time. Close it, or the thread stays until the end of the file is read.
    """

    def __init__(self, source: ChunkSource, file: FileChunks, first: int) -> None:
        self.next = first
        """Number of the chunk that `take` gives next."""
        self._source = source
        self._file = file
        self._taken: deque[Raw] = deque()
        """The rest of the batch that `take` is in."""
        self._changed = threading.Condition()  # protects the five below
        self._ready: deque[Batch] = deque()
        self._ready_bytes = 0
        self._stream: ChunkStream | None = None
        self._error: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(
            target=self._run, args=(first,), name="regsvc-read-ahead", daemon=True
        )
        self._thread.start()

    def take(self) -> Raw:
        """The next chunk, which must exist. Raises what fetching it raised."""
        if not self._taken:
            self._taken.extend(self._next_batch().raws.result())
        self.next += 1
        return self._taken.popleft()

    def close(self) -> None:
        """End the stream and the thread."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            if self._stream is not None:
                self._stream.cancel()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:  # the collector may close files in any thread
            self._thread.join()

    def _next_batch(self) -> Batch:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._error is not None)
            if not self._ready and self._error is not None:
                raise self._error
            batch = self._ready.popleft()
            self._ready_bytes -= batch.size
            self._changed.notify_all()
            return batch

    def _run(self, number: int) -> None:
        span = FIRST_REQUEST
        try:
            while number < len(self._file):
                stop = self._file.covering(self._file.begin(number), self._file.begin(number) + span).stop
                number = self._fetch(number, stop)
                span = min(2 * span, LARGEST_REQUEST)
        except _Closed:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by `take`
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _fetch(self, number: int, stop: int) -> int:
        """Fetch chunks from `number` on, all before `stop` unless the reader rests; gives the next number."""
        stream = self._source.stream([Place(self._file, each) for each in range(number, stop)])
        with self._changed:
            if self._closed:
                raise _Closed
            self._stream = stream
        rest: Batch | None = None
        with closing(stream.batches()) as batches:
            for batch in batches:
                number += batch.count
                if not self._put(batch, IDLE):
                    rest = batch
                    break
        if rest is not None:
            self._put(rest, None)
        return number

    def _put(self, batch: Batch, timeout: float | None) -> bool:
        """Hand a batch over as soon as there is room. False when there was none in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or self._ready_bytes < AHEAD_BYTES, timeout):
                return False
            if self._closed:
                raise _Closed
            self._ready.append(batch)
            self._ready_bytes += batch.size
            self._changed.notify_all()
        return True


class _Closed(Exception):
    """The reader went away."""
