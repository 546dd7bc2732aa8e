"""ONNX models that keep their tensors in files beside them: those are cut along the tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from regsvc.client.external import external_spans
from regsvc.client.reading import windows
from regsvc.client.scan import scan


def save(folder: Path, arrays: list[np.ndarray]) -> None:
    """A model with its tensors in `weights.bin`, as the onnx package writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    initializers = [numpy_helper.from_array(array, f"w{number}") for number, array in enumerate(arrays)]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("Identity", ["w0"], ["y"])
    model = helper.make_model(helper.make_graph([node], "g", [], [output], initializers))
    onnx.save_model(
        model,
        str(folder / "model.onnx"),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="weights.bin",
        size_threshold=0,
    )


def chunk_digests(folder: Path) -> set[bytes]:
    files = scan(folder)
    read = windows(files, spans=external_spans(files))
    return {chunk.digest for window in read for stretch in window for chunk in stretch.chunks}


def test_a_changed_tensor_in_another_file_changes_its_chunks_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    arrays = [rng.standard_normal((600, 500), dtype=np.float32) for _ in range(8)]
    save(tmp_path / "sub", arrays)
    before = chunk_digests(tmp_path)
    (tmp_path / "sub" / "weights.bin").unlink()
    arrays[3] = arrays[3] + 1
    save(tmp_path / "sub", arrays)
    changed = chunk_digests(tmp_path) - before
    assert len(changed) == 2  # 1.2 MB in slices of 1 MiB
    spans = external_spans(scan(tmp_path))
    assert list(spans) == ["sub/weights.bin"]
    assert len(spans["sub/weights.bin"]) == 8


def test_a_location_outside_the_push_is_not_looked_at(tmp_path: Path) -> None:
    save(tmp_path / "m", [np.ones((4, 4), np.float32)])
    data = (tmp_path / "m" / "model.onnx").read_bytes()
    (tmp_path / "m" / "model.onnx").write_bytes(data.replace(b"weights.bin", b"../../x.bin"))
    assert external_spans(scan(tmp_path)) == {}
