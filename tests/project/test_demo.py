"""The demo's own parts: its proof is right, and it ends with 1 when a claim does not hold.

`make demo` itself fetches 90 MB and is run by hand.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from .reading import ROOT

sys.path.insert(0, str(ROOT))  # the demo is no part of the package

from demo import __main__ as demo
from demo.digests import identical, manifest_digest
from demo.minilm import tune_layer
from demo.processes import server


def test_the_digest_is_that_of_b3sum(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/weights").write_bytes(b"abc")
    (tmp_path / "a").write_bytes(b"")
    # From `b3sum a b/weights` and `b3sum a b/weights | b3sum`.
    empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    abc = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
    from blake3 import blake3

    assert manifest_digest(tmp_path) == blake3(f"{empty}  a\n{abc}  b/weights\n".encode()).hexdigest()


def test_folders_that_differ_are_told_apart(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "a").write_bytes(b"same")
    assert identical(one, other)
    (other / "a").write_bytes(b"came")
    assert not identical(one, other)
    (other / "a").write_bytes(b"same")
    (other / "more").touch()
    assert not identical(one, other)


def test_the_variant_changes_one_layer_only(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    tensors = {f"encoder.layer.{n}.weight": np.full((8, 8), n + np.arange(8), np.float32) for n in range(3)}
    save_file(tensors, source / "model.safetensors", {"format": "pt"})
    assert tune_layer(source, tmp_path / "tuned", 1) == 256
    tuned = load_file(tmp_path / "tuned/model.safetensors")
    changed = {name for name in tensors if not np.array_equal(tensors[name], tuned[name])}
    assert changed == {"encoder.layer.1.weight"}


def test_a_claim_that_does_not_hold_ends_the_demo() -> None:
    with pytest.raises(demo.DoesNotHold, match="the sky is green"):
        demo.holds("the sky is green", False)


def test_its_server_is_ended_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="on purpose"), server(tmp_path / "data") as endpoint:
        raise RuntimeError("on purpose")
    probe = subprocess.run(
        [sys.executable, str(ROOT / "tools/probe.py"), endpoint], capture_output=True, timeout=60, check=False
    )
    assert probe.returncode == 1
