"""Tensors as NumPy arrays: their types, their shards, and where in a file the bytes of a shard lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt

from regsvc import errors
from regsvc.client.file_chunks import FileChunks

Array: TypeAlias = npt.NDArray[Any]

Shard: TypeAlias = tuple[int, int]
"""(i, n): part i of n, counted from 0."""

# The names of safetensors and of GGUF, which agree where both have one.
_DTYPES: dict[str, npt.DTypeLike] = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "C64": "<c8",
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a version: what it is and where it lies."""

    key: str
    """What `Tensors` calls it: its name, or `file:name` when several files have a tensor of that name."""
    name: str
    dtype: str
    """As the file has it: `F32`, `BF16`, `F8_E4M3`, `Q4_K`."""
    shape: tuple[int, ...]
    """In elements, slowest dimension first, also for GGUF."""
    nbytes: int
    file: str
    """Path of the file within the version."""
    begin: int
    """Where its bytes begin in the file."""

    @property
    def packed(self) -> bool:
        """Whether NumPy has no such elements, so that the array holds the bytes that encode them."""
        return self.dtype not in _DTYPES

    @property
    def array_dtype(self) -> np.dtype[Any]:
        """Of the array that is read: `uint8` for packed types."""
        return np.dtype(_DTYPES.get(self.dtype, np.uint8))

    @property
    def array_shape(self) -> tuple[int, ...]:
        """Of the array that is read: the last dimension of packed types is bytes."""
        if not self.packed:
            return self.shape
        rows = prod(self.shape[:-1])
        if self.shape and rows and self.nbytes % rows == 0:
            return (*self.shape[:-1], self.nbytes // rows)
        return (self.nbytes,)


@dataclass(frozen=True, slots=True)
class Box:
    """The bytes [left, right) of each of `rows` rows of `width` bytes, which begin at `begin` of a file.

    That is what a shard along any axis is: rows are the elements of the axes before it.
    """

    begin: int
    rows: int
    width: int
    left: int
    right: int
    shape: tuple[int, ...]
    """Of the array that the bytes make up."""

    def chunks(self, file: FileChunks) -> Iterator[int]:
        """Numbers of the chunks that hold any of the bytes."""
        if self.left >= self.right or not self.rows:
            return
        last = self.begin + (self.rows - 1) * self.width + self.right
        for number in file.covering(self.begin + self.left, last):
            if self._touches(file.begin(number) - self.begin, file.end(number) - self.begin):
                yield number

    def fill(self, out: npt.NDArray[np.uint8], begin: int, raw: bytes | memoryview) -> None:
        """Copy what the bytes `raw` at `begin` of the file have of the box to `out`, of (rows, right - left) bytes."""
        position = max(begin - self.begin, 0)
        end = min(begin + len(raw) - self.begin, self.rows * self.width)
        data = np.frombuffer(raw, np.uint8)[position + self.begin - begin :]
        while position < end:
            row, column = divmod(position, self.width)
            whole = (end - position) // self.width
            if column == 0 and whole:
                taken = whole * self.width
                out[row : row + whole] = data[:taken].reshape(whole, self.width)[:, self.left : self.right]
            else:
                taken = min(self.width - column, end - position)
                left, right = max(self.left, column), min(self.right, column + taken)
                if left < right:
                    out[row, left - self.left : right - self.left] = data[left - column : right - column]
            data = data[taken:]
            position += taken

    def _touches(self, begin: int, end: int) -> bool:
        """Whether the stretch [begin, end), counted from `self.begin`, holds any of the bytes.

        It must begin before the last of them.
        """
        row = max(begin, 0) // self.width
        if begin >= row * self.width + self.right:
            row += 1
        return end > row * self.width + self.left


def box_of(tensor: Tensor, shard: Shard | None, axis: int) -> Box:
    """Where the bytes of a tensor lie, or those of a shard along `axis` of its array.

    Shard i of n is what `numpy.array_split(array, n, axis)[i]` gives. Raises `InvalidArgument`.
    """
    shape = tensor.array_shape
    if shard is None:
        return Box(tensor.begin, 1, tensor.nbytes, 0, tensor.nbytes, shape)
    along = _axis(tensor, axis)
    start, stop = _part(shape[along], shard)
    inner = prod(shape[along + 1 :]) * tensor.array_dtype.itemsize
    return Box(
        begin=tensor.begin,
        rows=prod(shape[:along]),
        width=shape[along] * inner,
        left=start * inner,
        right=stop * inner,
        shape=(*shape[:along], stop - start, *shape[along + 1 :]),
    )


def empty(box: Box) -> npt.NDArray[np.uint8]:
    """Room for the bytes of a box, in the form that `Box.fill` takes."""
    return np.empty((box.rows, box.right - box.left), np.uint8)


def as_array(tensor: Tensor, box: Box, filled: npt.NDArray[np.uint8]) -> Array:
    """The array that the bytes of a box are. Raises `InvalidArgument` when NumPy cannot hold its shape."""
    try:
        return filled.reshape(-1).view(tensor.array_dtype).reshape(box.shape)
    except ValueError:
        raise errors.InvalidArgument(
            f"no array has the shape of tensor {shown(tensor.name)}", tensor=tensor.name
        ) from None


def shown(name: str) -> str:
    """A tensor's name for an error: quoted, and not longer than a line."""
    return repr(name if len(name) <= 200 else name[:200] + "...")


def _axis(tensor: Tensor, axis: int) -> int:
    dimensions = len(tensor.array_shape)
    if not -dimensions <= axis < dimensions:
        raise errors.InvalidArgument(
            f"tensor {shown(tensor.name)} has {dimensions} axes, not axis {axis}",
            tensor=tensor.name,
            axis=axis,
        )
    along = axis % dimensions
    if tensor.packed and along == dimensions - 1:
        raise errors.InvalidArgument(
            f"{tensor.dtype} packs several elements of the last axis: {shown(tensor.name)} is split along others",
            tensor=tensor.name,
            axis=axis,
        )
    return along


def _part(size: int, shard: Shard) -> tuple[int, int]:
    """Start and stop of a shard of `size` elements: the first ones get one more when it does not divide."""
    number, count = shard
    if not 0 <= number < count:
        raise errors.InvalidArgument(f"there is no shard {number} of {count}", shard=number, count=count)
    each, more = divmod(size, count)
    start = number * each + min(number, more)
    return start, start + each + (number < more)
