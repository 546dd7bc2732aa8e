"""The tensors of a version as one mapping: listed from the files' headers, read without the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from regsvc import errors, refs
from regsvc.client.chunk_source import ChunkSource, Place
from regsvc.client.connection import Connection
from regsvc.client.file_chunks import FileChunks, list_chunks, list_paths
from regsvc.client.tensor_arrays import Array, Box, Shard, Tensor, as_array, box_of, empty, shown
from regsvc.client.tensor_headers import read_headers
from regsvc.content.headers import EXTENSIONS

MAX_TENSORS = 1 << 19
"""Most tensors in one listing; the largest models have some hundred thousand."""


class TensorNotFound(errors.NotFound, KeyError):
    """No tensor of the version has that name, or several files have one."""

    __str__ = errors.NotFound.__str__


def list_tensors(connection: Connection, ref: refs.VersionRef, files: Sequence[str] = ()) -> Tensors:
    """Behaviour and errors as at `Client.tensors`."""
    paths = list(files)
    if not paths:
        ref, paths = list_paths(connection, ref, lambda path: path.lower().endswith(EXTENSIONS))
    version, listed = list_chunks(connection, ref, paths)
    return Tensors(ChunkSource(connection, version), version, listed)


class Tensors(Mapping[str, Array]):
    """The tensors of a version, over all its safetensors and GGUF files, by name; a value is read when it is taken.

    A tensor whose name several files have goes by `file:name`, and by that only; every other answers to both.
    Names are in the order of the files and of their bytes. Any number of threads may use one.

    Arrays are writable and belong to the caller. BF16 and 8-bit floats are those of `ml_dtypes`. Types that pack
    several elements together (GGUF's quantised ones, F4, F6) come as `uint8`: the last dimension is the bytes that
    encode it, as `gguf.quants.dequantize` takes them.

    Reading raises `TensorNotFound`, which is a `KeyError` too, `InvalidArgument` (a shard that does not exist),
    `DigestMismatch`, `ChunkDamaged` and `Unavailable`.
    """

    def __init__(self, source: ChunkSource, version: refs.VersionRef, files: Sequence[FileChunks]) -> None:
        self._source = source
        self._version = version
        self._files = {file.path: file for file in files}
        self._tensors = _named(_listed(source, files))

    def __repr__(self) -> str:
        return f"<Tensors {self.version} {len(self)} in {len(self._files)} files>"

    @property
    def version(self) -> str:
        """The version, by number: `team/fraud:3`."""
        return str(self._version)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files that were looked into."""
        return tuple(self._files)

    @property
    def bytes_received(self) -> int:
        """Payload bytes that came from the server so far, as encoded, headers included."""
        return self._source.bytes_received

    def __len__(self) -> int:
        return len(self._tensors)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not None

    def __getitem__(self, key: str) -> Array:
        return self.read(key)

    def info(self, key: str) -> Tensor:
        """What a tensor is, without reading it. Raises `TensorNotFound`."""
        found = self._find(key)
        if found is not None:
            return found
        files = [each.file for each in self._tensors.values() if each.name == key]
        if files:
            raise TensorNotFound(
                f"{len(files)} files of {self.version} have a tensor {shown(key)}: name it as FILE:NAME",
                tensor=key,
            )
        raise TensorNotFound(f"{self.version} has no tensor {shown(key)}", tensor=key)

    def infos(self) -> Iterator[Tensor]:
        """What each tensor is, in order."""
        return iter(self._tensors.values())

    def read(self, key: str, *, shard: Shard | None = None, axis: int = 0) -> Array:
        """One tensor; or shard (i, n) of it, i from 0: what `numpy.array_split(array, n, axis)[i]` gives.

        Only chunks that hold bytes of it are fetched, in one call. Along another axis than the first these may be
        all of the tensor's, when its rows are shorter than a chunk (1 MiB); kept is only the shard.
        """
        tensor = self.info(key)
        box = box_of(tensor, shard, axis)
        [filled] = self._fill([(tensor, box)])
        return as_array(tensor, box, filled)

    def read_many(self, keys: Iterable[str]) -> dict[str, Array]:
        """Several tensors in one stream; a chunk that holds bytes of many comes once."""
        wanted = {key: self.info(key) for key in keys}
        boxes = [(tensor, box_of(tensor, None, 0)) for tensor in wanted.values()]
        filled = self._fill(boxes)
        return {
            key: as_array(tensor, box, room)
            for key, (tensor, box), room in zip(wanted, boxes, filled, strict=True)
        }

    def _find(self, key: str) -> Tensor | None:
        found = self._tensors.get(key)
        if found is None and ":" in key:
            for path in self._files:
                named = self._tensors.get(key.removeprefix(f"{path}:"))
                if named is not None and named.file == path:
                    return named
        return found

    def _fill(self, boxes: Sequence[tuple[Tensor, Box]]) -> list[npt.NDArray[np.uint8]]:
        """The bytes of each box."""
        rooms = [empty(box) for _, box in boxes]
        uses: dict[bytes, list[tuple[int, int]]] = {}
        places: list[Place] = []
        # In the order of the files, which is about that of the packs.
        for number in sorted(range(len(boxes)), key=lambda each: (boxes[each][0].file, boxes[each][1].begin)):
            tensor, box = boxes[number]
            file = self._files[tensor.file]
            for chunk in box.chunks(file):
                place = Place(file, chunk)
                if place.digest not in uses:
                    places.append(place)
                uses.setdefault(place.digest, []).append((number, file.begin(chunk)))
        for place, raw in zip(places, self._source.read(places), strict=True):
            for number, begin in uses[place.digest]:
                boxes[number][1].fill(rooms[number], begin, raw)
        return rooms


def _listed(source: ChunkSource, files: Sequence[FileChunks]) -> list[Tensor]:
    """All tensors, by file. Raises `ResourceExhausted` when there are too many to keep."""
    found: dict[str, list[Tensor]] = {}
    count = 0
    for file, spans in read_headers(source, files):
        count += len(spans)
        if count > MAX_TENSORS:
            raise errors.ResourceExhausted(
                f"the files hold more than {MAX_TENSORS} tensors: choose some files", limit=MAX_TENSORS
            )
        found[file.path] = [
            Tensor(span.name, span.name, span.dtype, span.shape, span.end - span.begin, file.path, span.begin)
            for span in spans
        ]
    return [tensor for file in files for tensor in found[file.path]]


def _named(listed: Sequence[Tensor]) -> dict[str, Tensor]:
    """Tensors by their keys. Raises `InvalidArgument` when names contradict each other."""
    occurrences = Counter(tensor.name for tensor in listed)
    named: dict[str, Tensor] = {}
    for tensor in listed:
        key = tensor.name if occurrences[tensor.name] == 1 else f"{tensor.file}:{tensor.name}"
        if key in named:
            raise errors.InvalidArgument(f"two tensors answer to {shown(key)}: choose some files", tensor=key)
        named[key] = replace(tensor, key=key)
    return named
