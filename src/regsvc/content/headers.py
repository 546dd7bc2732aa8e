"""The tensors of a file from its first bytes, whichever of the formats that list their tensors it has."""

from __future__ import annotations

from regsvc.content.gguf import HeaderTruncated, looks_like_gguf, parse_gguf
from regsvc.content.tensors import MAX_HEADER, TensorSpan, header_end, parse_safetensors

EXTENSIONS = (".safetensors", ".gguf")
"""Of the files that are taken for tensor files: to look into all others would cost a read each."""


def listed_tensors(head: bytes, size: int) -> list[TensorSpan] | int:
    """The tensors of a file of `size` bytes in file order; or how many bytes from its start are needed at least.

    Raises `HeaderError` when it is neither safetensors nor GGUF, or not sound.
    """
    try:
        if looks_like_gguf(head):
            return parse_gguf(head, size)
        if len(head) < min(9, size):
            return 9
        end = header_end(head, size)
        return parse_safetensors(head[:end], size) if end <= len(head) else end
    except HeaderTruncated as truncated:
        # It tells a lower bound, and a vocabulary may have any length behind it.
        return max(truncated.need, min(4 * len(head), size, MAX_HEADER))
