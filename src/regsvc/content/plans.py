"""How the cutting of a known format is said: a plan is a generator that reads the file forward.

A plan yields `Peek(n)` to be sent the next n bytes (fewer only at the end of the file) without moving on, or
`Run(...)` to say how the next bytes are cut, which moves on past them. Whatever a plan leaves over is cut by
FastCDC, so a plan may give up at any point. `regsvc.content.formats` lists the formats that have one.

A format that names all its tensors in a header is cut by `tensor_runs`. One that has to be walked through
(archives, protocol buffers) yields `Look` and `Stretch` in file offsets and is cut by `walked_runs`.
"""

from collections.abc import Generator, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple, Protocol

from regsvc.content.layout import Layout

MAX_CHUNK = 2 << 20
"""Most raw bytes in a chunk. A limit of the store and the wire, not only of this cutting."""

MIN_CHUNK = 128 << 10
"""FastCDC cuts no shorter chunk but the last; a file this short is one chunk, whatever is in it."""

SLICE = 1 << 20
"""Bytes of a large tensor in one chunk, counted from the tensor's start."""

SMALL_TENSOR = 64 << 10
"""Tensors shorter than this, in bytes, are joined with neighbours of the same element width."""

MIN_GROUP = 4 << 10
"""Bytes below which small tensors in an archive or message are not worth a chunk of their own."""

MAX_AHEAD = 4 << 20
"""Most bytes that a walk may be ahead of the cutting: it bounds what a `Cutter` holds."""


class Peek(NamedTuple):
    """Ask for the `size` bytes that follow the next `after` bytes."""

    size: int
    after: int = 0


class Run(NamedTuple):
    """The next `size` bytes (`None`: all) in slices of `slice` bytes each (`None`: by FastCDC)."""

    size: int | None
    slice: int | None
    layout: Layout


Plan = Generator[Peek | Run, bytes, None]

REST = Run(None, None, Layout.OPAQUE)
"""How bytes are cut of which nothing is known."""


class Span(Protocol):
    """Bytes `[begin, end)` of a file that lie alike."""

    @property
    def begin(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def layout(self) -> Layout: ...


class Look(NamedTuple):
    """Ask for the `size` bytes at offset `begin`: fewer only at the end of the file."""

    begin: int
    size: int


class Stretch(NamedTuple):
    """Bytes `[begin, end)` of a file that are to be cut by themselves; `OPAQUE` ones by FastCDC."""

    begin: int
    end: int
    layout: Layout


Walk = Generator[Look | Stretch, bytes, None]
"""Goes through a file; no offset may lie before the end of a `Stretch` that was yielded."""


def tensor_runs(spans: Iterable[Span], header_end: int = 0) -> Plan:
    """Header by itself, large tensors in slices, small neighbours joined; `spans` in file order.

    Bytes between two tensors are padding and go to the run before them, so each run ends where the next begins.
    """
    groups = list(_groups(spans))
    yield _between(groups[0].begin if groups else header_end)
    for group, following in pairwise(groups):
        yield Run(following.begin - group.begin, SLICE, group.layout)
    if groups:
        yield Run(groups[-1].end - groups[-1].begin, SLICE, groups[-1].layout)


def walked_runs(walk: Walk) -> Plan:
    """What `walk` finds, as `tensor_runs` cuts it; but what lies between is not padding, and cut by itself.

    Small tensors that come to less than `MIN_GROUP` stay with what lies around them.
    """
    done = 0
    group: Stretch | None = None
    seen: bytes | None = None
    while True:
        try:
            step = next(walk) if seen is None else walk.send(seen)
        except StopIteration:
            break
        seen = None
        if isinstance(step, Stretch) and group is not None and _joins(group, step):
            group = group._replace(end=step.end)
            continue
        if group is not None and (isinstance(step, Stretch) or step.begin - done > MAX_AHEAD):
            done, group = (yield from _closed(group, done)), None
        if isinstance(step, Look):
            if step.begin - done > MAX_AHEAD:
                yield _between(step.begin - done)
                done = step.begin
            seen = yield Peek(step.size, step.begin - done)
        elif _is_small(step):
            group = step
        else:
            yield _between(step.begin - done)
            yield Run(step.end - step.begin, None if step.layout is Layout.OPAQUE else SLICE, step.layout)
            done = step.end
    if group is not None:
        yield from _closed(group, done)


def _closed(group: Stretch, done: int) -> Generator[Peek | Run, bytes, int]:
    """Cuts a group of small tensors and what lies between `done` and them; returns what is done then."""
    if group.end - group.begin < MIN_GROUP:
        return done
    yield _between(group.begin - done)
    yield Run(group.end - group.begin, SLICE, group.layout)
    return group.end


def _between(size: int) -> Run:
    """`size` bytes that are no tensor's: one chunk if they may be, else cut by FastCDC."""
    return Run(size, MAX_CHUNK if size <= MAX_CHUNK else None, Layout.OPAQUE)


def _groups(spans: Iterable[Span]) -> Iterator[Stretch]:
    """One group a large tensor, one a series of small ones; tensors without elements do not count."""
    group: Stretch | None = None
    small = False
    for span in spans:
        if span.begin == span.end:
            continue
        if group is not None and small and _joins(group, span):
            group = group._replace(end=span.end)
            continue
        if group is not None:
            yield group
        group, small = Stretch(span.begin, span.end, span.layout), _is_small(span)
    if group is not None:
        yield group


def _is_small(span: Span) -> bool:
    return span.end - span.begin < SMALL_TENSOR


def _joins(group: Stretch, span: Span) -> bool:
    """Whether `span` is one more of the small tensors in `group`."""
    return _is_small(span) and span.layout == group.layout and span.end - group.begin <= SLICE
