"""The formats that are cut along their tensors, and what tells one from another."""

from collections.abc import Callable, Iterable

from regsvc.content.gguf import gguf_plan, looks_like_gguf
from regsvc.content.npy import looks_like_npy, npy_walk
from regsvc.content.onnx import looks_like_onnx, onnx_walk
from regsvc.content.plans import MIN_CHUNK, Peek, Plan, Walk, tensor_runs, walked_runs
from regsvc.content.tensors import (
    HeaderError,
    TensorSpan,
    in_file_order,
    looks_like_safetensors,
    safetensors_plan,
)
from regsvc.content.zips import looks_like_zip, zip_walk

_HEAD = 16
"""Bytes by which formats are told apart."""


def plan_for(size: int | None, spans: Iterable[TensorSpan] | None = None) -> Plan:
    """The plan for a file of `size` bytes: by `spans` if they are given and sound, else by its first bytes.

    FastCDC if the size is not known.
    """
    if size is None or size <= MIN_CHUNK:
        return
    if spans is not None:
        yield from _known_plan(size, spans)
        return
    head = yield Peek(_HEAD)
    for recognises, plan in _FORMATS:
        if recognises(head):
            yield from plan(size)
            return


def _known_plan(size: int, spans: Iterable[TensorSpan]) -> Plan:
    """Along tensors that another file told of; one that has two names counts once."""
    unique = {(span.begin, span.end): span for span in spans}
    try:
        ordered = in_file_order(unique.values(), 0, size)
    except HeaderError:
        return
    yield from tensor_runs(ordered)


def _walked(walk: Callable[[int], Walk]) -> Callable[[int], Plan]:
    return lambda size: walked_runs(walk(size))


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[int], Plan]], ...] = (
    (looks_like_safetensors, safetensors_plan),
    (looks_like_gguf, gguf_plan),
    (looks_like_npy, _walked(npy_walk)),
    (looks_like_zip, _walked(zip_walk)),
    (looks_like_onnx, _walked(onnx_walk)),
)
