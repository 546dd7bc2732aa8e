"""Runs an iterator ahead of its consumer in a thread of its own: one stage of a bounded pipeline."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """The items of `source`, up to `depth` of them made before they are asked for.

    What `source` raises is raised to the consumer, in order. `cancel` and `close` may be called from any thread
    but that of `source`, and more than once: a waiting consumer then sees the end, and the thread stops after
    its present item.
    """

    def __init__(self, source: Iterable[T], depth: int, name: str) -> None:
        self._source = source
        self._depth = depth
        self._changed = threading.Condition()  # protects the four below
        self._ready: deque[T] = deque()
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended or self._closed)
            if self._closed:
                raise StopIteration
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            raise StopIteration

    def cancel(self) -> None:
        """Stop, without waiting for the thread."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and wait until the thread has ended."""
        self.cancel()
        self._thread.join()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._source:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or len(self._ready) < self._depth)
                    if self._closed:
                        return
                    self._ready.append(item)
                    self._changed.notify_all()
        except BaseException as raised:  # noqa: BLE001 - handed to the consumer, whatever it is
            error = raised
        finally:
            with self._changed:
                self._error = error
                self._ended = True
                self._changed.notify_all()
