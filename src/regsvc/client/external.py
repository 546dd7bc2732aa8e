"""Which files of a push hold the tensors of ONNX models that lie beside them, so that they are cut along those."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from regsvc.client.scan import SourceFile
from regsvc.content.onnx import external_tensors
from regsvc.content.tensors import TensorSpan

_MOST_MODEL = 64 << 20
"""Bytes of the largest model that is read for this: one whose tensors are elsewhere is small."""
_MOST_TENSORS = 1 << 20
"""Tensors in other files of all models of a push; further ones are cut as any bytes are."""


def external_spans(files: Iterable[SourceFile]) -> dict[str, list[TensorSpan]]:
    """By path, the tensors that ONNX models say lie in other files of the push. Raises `OSError`."""
    by_path = {file.path: file for file in files}
    found: dict[str, list[TensorSpan]] = {}
    count = 0
    for path, file in by_path.items():
        if not path.endswith(".onnx") or file.size > _MOST_MODEL:
            continue
        for location, spans in _external(file).items():
            # The location is the model's own word: only a file of the same push is ever looked at.
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), location))
            count += len(spans)
            if target in by_path and target != path and count <= _MOST_TENSORS:
                found.setdefault(target, []).extend(spans)
    return found


def _external(file: SourceFile) -> dict[str, list[TensorSpan]]:
    with open(file.location, "rb") as model:
        return external_tensors(model.read(_MOST_MODEL))
