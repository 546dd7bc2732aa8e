"""Cuts a stream of bytes into chunks, in bounded memory and independent of how the stream arrives.

Tensor files are cut along their tensors (see `regsvc.content.plans`), everything else by FastCDC-2020 with
the Remote Execution API's parameters: https://github.com/bazelbuild/remote-apis, `FastCdc2020Params`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from pyfastcdc import FastCDC

from regsvc.content.buffer import Buffer
from regsvc.content.formats import plan_for
from regsvc.content.layout import Layout
from regsvc.content.plans import MAX_CHUNK, MIN_CHUNK, REST, SLICE, SMALL_TENSOR, Peek, Run
from regsvc.content.tensors import TensorSpan

__all__ = ["MAX_CHUNK", "MIN_CHUNK", "SLICE", "SMALL_TENSOR", "Chunk", "Cutter", "cut"]

AVERAGE_CHUNK = 512 << 10
"""FastCDC's average, in bytes; what it cuts from random bytes averages about 640 KiB."""

_NOTHING = memoryview(b"")


class Chunk(NamedTuple):
    """At most `MAX_CHUNK` raw bytes and how they lie."""

    data: memoryview
    """A view of a block given to `feed` where the chunk lies in one, else of memory of its own."""
    layout: Layout


def cut(data: Buffer) -> list[Chunk]:
    """Chunks of a whole file held in memory; they are views of `data`."""
    cutter = Cutter(len(memoryview(data).cast("B")))
    return cutter.feed(data) + cutter.finish()


class Cutter:
    """Cuts one file that arrives in pieces. The chunks, in order, are the file again, whatever is in it.

    `size` is the declared size of the file in bytes: tensors are only believed if they lie within it. If it
    is unknown, or wrong, the file is still cut and complete, but may share fewer chunks with others.
    `spans` are tensors that another file says lie in this one, in any order (`regsvc.content.onnx`): the file is cut
    along them, whatever its own bytes look like, unless they overlap or leave the file.

    Held between calls: under 2 MiB, up to 9 MiB of an archive's or an ONNX model's small parts, or a tensor header
    of at most 16 MiB. A `Cutter` belongs to one thread.
    """

    def __init__(self, size: int | None = None, spans: Iterable[TensorSpan] | None = None) -> None:
        self._plan = plan_for(size, spans)
        self._step: Peek | Run = REST
        self._left: int | None = None
        # Uncut bytes of earlier blocks are _held[_start:_end]; the rest of it is room.
        self._held = bytearray()
        self._start = 0
        self._end = 0
        self._lent = 0  # bytes at the end of _held that are also in _block, before _position
        self._block = _NOTHING
        self._position = 0
        self._finished = False
        self._advance(None)

    def feed(self, data: Buffer) -> list[Chunk]:
        """Chunks that end within `data`, the next bytes of the file.

        They are views of `data`: do not overwrite it before they are done with.
        """
        if self._finished:
            raise ValueError("feed() after finish()")
        self._block, self._position = memoryview(data).cast("B").toreadonly(), 0
        try:
            return self._cut(final=False)
        finally:
            self._block, self._position, self._lent = _NOTHING, 0, 0

    def finish(self) -> list[Chunk]:
        """The chunks that are left when the file has ended."""
        if self._finished:
            raise ValueError("finish() twice")
        self._finished = True
        return self._cut(final=True)

    def _cut(self, *, final: bool) -> list[Chunk]:
        chunks: list[Chunk] = []
        while True:
            step = self._step
            # A walk peeks ever further ahead: were there no room to spare, each step would copy all that is held.
            need = step.after + step.size if isinstance(step, Peek) else self._reach(step)
            window = self._window(need, need + step.after if isinstance(step, Peek) else need)
            whole = final or len(window) >= need
            if not window:
                return chunks
            if isinstance(step, Peek):
                if not whole:
                    break
                self._advance(bytes(window[step.after : need]))
                continue
            if step.slice is not None:
                if not whole:
                    break
                size = min(need, len(window))
            else:
                # A cut that the hash makes stands whatever follows, so the rest of a block is searched too;
                # but not again for each small block, or tiny blocks would cost quadratic time.
                if not whole and not chunks:
                    break
                window = window if self._left is None else window[: self._left]
                ended = final or len(window) == self._left
                size = next(_FASTCDC.cut_buf(window)).length
                if size == len(window) and size < MAX_CHUNK and not ended:
                    break
            chunks.append(Chunk(window[:size], step.layout))
            self._consume(size)
        self._hold(need)
        return chunks

    def _reach(self, run: Run) -> int:
        """How many bytes decide the next cut of `run`."""
        most = MAX_CHUNK if run.slice is None else run.slice
        return most if self._left is None else min(most, self._left)

    def _advance(self, seen: bytes | None) -> None:
        """Takes the plan's next step; `seen` answers a `Peek`."""
        try:
            self._step = next(self._plan) if seen is None else self._plan.send(seen)
            while isinstance(self._step, Run) and self._step.size == 0:
                self._step = next(self._plan)
        except StopIteration:
            self._step = REST
        self._left = None if isinstance(self._step, Peek) else self._step.size

    def _consume(self, size: int) -> None:
        if self._start == self._end:
            self._position += size
        else:
            self._start += size
            if self._end - self._start <= self._lent:
                # All that is left in _held is in the block too: go on there, without another copy.
                self._position -= self._end - self._start
                self._held, self._start, self._end, self._lent = bytearray(), 0, 0, 0
        if self._left is not None:
            self._left -= size
            if self._left == 0:
                self._advance(None)

    def _window(self, need: int, room: int) -> memoryview:
        """Uncut bytes, at least `need` if there are as many: the block itself, or _held filled up from it."""
        have = self._end - self._start
        if not have:
            return self._block[self._position :]
        if have < need:
            piece = self._block[self._position : self._position + need - have]
            self._reserve(have + len(piece), room)
            # Filled in place, never resized: chunks may still be views of the bytes before _start.
            memoryview(self._held)[self._end : self._end + len(piece)] = piece
            self._end += len(piece)
            self._lent += len(piece)
            self._position += len(piece)
        return memoryview(self._held)[self._start : self._end].toreadonly()

    def _hold(self, need: int) -> None:
        """Keeps what is uncut for the next call; with room for `need` bytes, unless the file may be a small one."""
        rest = self._block[self._position :]
        if self._start == self._end and rest:
            room = len(rest) if len(rest) <= MIN_CHUNK else max(need, len(rest))
            self._held, self._start, self._end = bytearray(room), 0, len(rest)
            memoryview(self._held)[: len(rest)] = rest

    def _reserve(self, size: int, most: int) -> None:
        """Makes room for `size` uncut bytes. It doubles up to `most`: a small file must not cost a whole chunk."""
        if self._start + size > len(self._held):
            kept = memoryview(self._held)[self._start : self._end]
            room = max(size, min(most, 2 * len(self._held)))
            self._held, self._start, self._end = bytearray(room), 0, len(kept)
            memoryview(self._held)[: len(kept)] = kept


# Shared by all threads: cut_buf only reads it, and keeps its own position.
_FASTCDC = FastCDC(
    avg_size=AVERAGE_CHUNK, min_size=MIN_CHUNK, max_size=MAX_CHUNK, normalized_chunking=2, seed=0
)
