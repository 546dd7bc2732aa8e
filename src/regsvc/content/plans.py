"""Where a file of a known format is to be cut: one plan a format, each a generator that reads forward.

A plan yields `Peek(n)` to be sent the next n bytes (fewer only at the end of the file) without moving on, or
`Run(...)` to say how the next bytes are cut, which moves on past them. Whatever a plan leaves over is cut by
FastCDC, so a plan may give up at any point. A new format is one more generator in `_FORMATS`.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from regsvc.content.layout import Layout
from regsvc.content.tensors import (
    PREFIX_SIZE,
    HeaderError,
    TensorSpan,
    header_end,
    looks_like_safetensors,
    parse_safetensors,
)

MAX_CHUNK = 2 << 20
"""Most raw bytes in a chunk. A limit of the store and the wire, not only of this cutting."""

MIN_CHUNK = 128 << 10
"""FastCDC cuts no shorter chunk but the last; a file this short is one chunk, whatever is in it."""

SLICE = 1 << 20
"""Bytes of a large tensor in one chunk, counted from the tensor's start."""

SMALL_TENSOR = 64 << 10
"""Tensors shorter than this, in bytes, are joined with neighbours of the same element width."""


class Peek(NamedTuple):
    """Ask for the next `size` bytes."""

    size: int


class Run(NamedTuple):
    """The next `size` bytes (`None`: all) in slices of `slice` bytes each (`None`: by FastCDC)."""

    size: int | None
    slice: int | None
    layout: Layout


Plan = Generator[Peek | Run, bytes, None]

REST = Run(None, None, Layout.OPAQUE)
"""How bytes are cut of which nothing is known."""


def plan_for(size: int | None) -> Plan:
    """The plan for a file of `size` bytes, chosen by its first bytes; FastCDC if the size is not known."""
    if size is None or size <= MIN_CHUNK:
        return
    head = yield Peek(PREFIX_SIZE + 1)
    for recognises, plan in _FORMATS:
        if recognises(head):
            yield from plan(size)
            return


def safetensors_plan(size: int) -> Plan:
    """Header by itself, large tensors in slices, small neighbours joined; nothing if in doubt."""
    head = yield Peek(PREFIX_SIZE + 1)
    try:
        end = header_end(head, size)
        header = yield Peek(end)
        spans = parse_safetensors(header, size)
    except HeaderError:
        return
    groups = list(_groups(spans))
    start = groups[0].begin if groups else end
    yield Run(start, MAX_CHUNK if start <= MAX_CHUNK else None, Layout.OPAQUE)
    # Bytes between two tensors go to the run before them, so each run ends where the next begins.
    for group, following in pairwise(groups):
        yield Run(following.begin - group.begin, SLICE, group.layout)
    if groups:
        yield Run(groups[-1].end - groups[-1].begin, SLICE, groups[-1].layout)


class _Group(NamedTuple):
    begin: int
    end: int
    layout: Layout
    small: bool


def _groups(spans: Iterable[TensorSpan]) -> Iterator[_Group]:
    """One group a large tensor, one a series of small ones; tensors without elements do not count."""
    group: _Group | None = None
    for span in spans:
        if span.begin == span.end:
            continue
        small = span.end - span.begin < SMALL_TENSOR
        if (
            group is not None
            and group.small
            and small
            and group.layout == span.layout
            and span.end - group.begin <= SLICE
        ):
            group = group._replace(end=span.end)
            continue
        if group is not None:
            yield group
        group = _Group(span.begin, span.end, span.layout, small)
    if group is not None:
        yield group


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[int], Plan]], ...] = (
    (looks_like_safetensors, safetensors_plan),
)
