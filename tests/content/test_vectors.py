import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from blake3 import blake3
from pyfastcdc import FastCDC

from regsvc.content import codec, manifest

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "protos" / "vectors"
FASTCDC = ROOT / "tests" / "fixtures" / "fastcdc"


def load(name: str) -> dict[str, Any]:
    return json.loads((VECTORS / f"{name}.json").read_text())


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_vectors", VECTORS / "make_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = script()


def test_vectors_regenerate_identically() -> None:
    for name, content in MAKE.render().items():
        assert (VECTORS / name).read_text() == content, name


@pytest.mark.parametrize("seed", [0, 666])
def test_fastcdc_reproduces_the_remote_execution_vectors(seed: int) -> None:
    vectors = json.loads((FASTCDC / "vectors.json").read_text())
    image = (FASTCDC / vectors["input"]["file"]).read_bytes()
    cutter = FastCDC(16384, min_size=4096, max_size=65535, normalized_chunking=2, seed=seed)
    cuts = [[piece.offset, piece.length, str(piece.gear_hash)] for piece in cutter.cut_buf(image)]
    assert cuts == vectors["cuts"][f"seed {seed}"]


@pytest.mark.parametrize("case", load("chunking")["files"], ids=lambda case: case["name"])
def test_cuts(case: dict[str, Any]) -> None:
    data = MAKE.generate(case["input"])
    assert (len(data), blake3(data).hexdigest()) == (case["size"], case["blake3"])
    offset = 0
    for chunk, (begin, length, width, digest) in zip(
        MAKE.cut(data, case.get("spans")), case["cuts"], strict=True
    ):
        assert (offset, len(chunk.data), chunk.layout) == (begin, length, width)
        assert blake3(chunk.data).hexdigest() == digest
        offset += length
    assert offset == len(data)


@pytest.mark.parametrize("case", load("codecs")["decodes"], ids=lambda case: case["name"])
def test_payloads_decode(case: dict[str, Any]) -> None:
    raw = bytes.fromhex(case["raw"])
    assert codec.decode(case["codec"], bytes.fromhex(case["payload"]), len(raw)) == raw


@pytest.mark.parametrize("case", load("codecs")["refused"], ids=lambda case: case["why"])
def test_payloads_are_refused(case: dict[str, Any]) -> None:
    with pytest.raises(codec.FrameError):
        codec.decode(case["codec"], bytes.fromhex(case["payload"]), case["raw_size"])


@pytest.mark.parametrize("case", load("manifest")["manifests"])
def test_manifests(case: dict[str, Any]) -> None:
    files = {path: bytes.fromhex(data) for path, data in case["files"].items()}
    entries = [manifest.Entry(path, len(data), blake3(data).digest()) for path, data in files.items()]
    assert manifest.text(entries).decode() == case["text"]
    assert manifest.version_digest(entries).hex() == case["version_digest"]


def test_paths() -> None:
    vectors = load("manifest")
    for path in vectors["valid_paths"]:
        assert manifest.check_path(path) == path
    for case in vectors["invalid_paths"]:
        with pytest.raises(manifest.PathError):
            manifest.check_path(case["path"])
    for tree in vectors["invalid_trees"]:
        with pytest.raises(manifest.PathError):
            manifest.check_tree(tree)
