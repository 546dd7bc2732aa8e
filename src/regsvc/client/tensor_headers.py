"""Reads which tensors a version's files hold, from their headers alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from regsvc import errors
from regsvc.client.chunk_source import ChunkSource, Place
from regsvc.client.file_chunks import FileChunks
from regsvc.content.gguf import looks_like_gguf
from regsvc.content.headers import listed_tensors
from regsvc.content.tensors import HeaderError, TensorSpan, looks_like_safetensors

_REASON = 300
"""Longest reason that is repeated in an error, in characters: it may quote a name of any length."""


def read_headers(
    source: ChunkSource, files: Sequence[FileChunks]
) -> Iterator[tuple[FileChunks, list[TensorSpan]]]:
    """Each file with its tensors in file order.

    The first chunks of all files come in one stream. Files of regsvc's own cutting have their header there; what
    is longer costs one or two reads more. Raises `InvalidArgument` for a file without a sound header.
    """
    filled = [file for file in files if file.size]
    for file in files:
        if not file.size:
            raise _refused(file, "it is empty")
    unfinished = []
    for file, raw in zip(filled, source.read([Place(file, 0) for file in filled]), strict=True):
        spans = _parse(file, bytes(raw))
        if isinstance(spans, int):
            unfinished.append((file, spans))
        else:
            yield file, spans
    for file, need in unfinished:
        yield file, _read_longer(source, file, need)


def _read_longer(source: ChunkSource, file: FileChunks, need: int) -> list[TensorSpan]:
    """The tensors of a file whose header has at least `need` bytes."""
    while True:
        numbers = file.covering(0, need)
        head = b"".join(source.read([Place(file, number) for number in numbers]))
        spans = _parse(file, head)
        if not isinstance(spans, int):
            return spans
        need = spans


def _parse(file: FileChunks, head: bytes) -> list[TensorSpan] | int:
    """The tensors of a file, or how many bytes from its start to read next; these are more than `head` has."""
    try:
        return listed_tensors(head, file.size)
    except HeaderError as error:
        known = looks_like_gguf(head) or looks_like_safetensors(head)
        raise _refused(file, str(error) if known else "it is neither safetensors nor GGUF") from None


def _refused(file: FileChunks, reason: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(
        f"the tensors of '{file.path}' cannot be read: {reason[:_REASON]}", path=file.path
    )
