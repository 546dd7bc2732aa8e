"""Make the files that a benchmark moves: `sources.py CASE MIB DIRECTORY`.

Writes `DIRECTORY/base` and, where a case has one, `DIRECTORY/changed`: the same files with 5 % of their bytes
replaced. Runs as a process of its own, so that its memory does not count as anyone else's. Seeded: every run moves
the same bytes.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

CROWD = 16
SMALL_FILE = 4096
SMALL_FILES_PER_GIB = 10_000
_BLOCK = 16 << 20
_LAYERS = 40
"""Of the tensor file: 5 % are two of them."""
_NORM = 4096
"""Elements of each layer's small tensor."""
_COLUMNS = 1024
_SLICE = [512, _COLUMNS]
"""Shape of a BF16 tensor of 1 MiB."""


def incompressible(mib: int, base: Path, changed: Path) -> None:
    """One file of random bytes."""
    with open(base / "random.bin", "wb") as out:
        for block in _random_blocks(1, mib << 20):
            out.write(block)


def bf16(mib: int, base: Path, changed: Path) -> None:
    """A safetensors file of 40 layers, N(0, 0.02) as BF16; two layers are others in the changed one."""
    rows = (mib << 20) // 2 // _LAYERS // _COLUMNS
    shapes = {}
    for layer in range(_LAYERS):
        shapes[f"layers.{layer}.weight"] = [rows, _COLUMNS]
        shapes[f"layers.{layer}.norm"] = [_NORM]
    for directory, other in ((base, ()), (changed, (17, 31))):
        with open(directory / "model.safetensors", "wb") as out:
            out.write(_safetensors_header(shapes))
            for layer in range(_LAYERS):
                generator = np.random.default_rng(1000 * (layer in other) + layer)
                left = rows * _COLUMNS
                while left:
                    count = min(left, _BLOCK // 4)
                    out.write(_normal_bf16(generator, count))
                    left -= count
                out.write(_normal_bf16(generator, _NORM))


def small_files(mib: int, base: Path, changed: Path) -> None:
    """10,000 files of 4 KiB (in proportion to the size) in 100 folders; every 20th is another."""
    generator, others = np.random.default_rng(2), np.random.default_rng(3)
    for number in range(SMALL_FILES_PER_GIB * mib // 1024):
        name = f"{number % 100:02d}/{number:05d}.bin"
        data = generator.bytes(SMALL_FILE)
        for directory, content in (
            (base, data),
            (changed, others.bytes(SMALL_FILE) if number % 20 == 7 else data),
        ):
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_bytes(content)


def shards(mib: int, base: Path, changed: Path) -> None:
    """40 files of random bytes."""
    for number in range(_LAYERS):
        with open(base / f"shard-{number:02d}.bin", "wb") as out:
            for block in _random_blocks(50 + number, (mib << 20) // _LAYERS):
                out.write(block)


def tensors(mib: int, base: Path, changed: Path) -> None:
    """A safetensors file of random bytes as tensors of 1 MiB."""
    with open(base / "model.safetensors", "wb") as out:
        out.write(_safetensors_header({f"slices.{number}": _SLICE for number in range(mib)}))
        for block in _random_blocks(4, mib << 20):
            out.write(block)


def crowd(mib: int, base: Path, changed: Path) -> None:
    """A folder for each of 16 clients, with a file of random bytes of its own."""
    for number in range(CROWD):
        (base / f"{number:02d}").mkdir()
        with open(base / f"{number:02d}" / "random.bin", "wb") as out:
            for block in _random_blocks(100 + number, (mib << 20) // CROWD):
                out.write(block)


CASES = {
    "incompressible": incompressible,
    "bf16": bf16,
    "small-files": small_files,
    "shards": shards,
    "tensors": tensors,
    "crowd": crowd,
}
"""What can be moved."""


def _random_blocks(seed: int, size: int) -> Iterator[bytes]:
    generator = np.random.default_rng(seed)
    for begin in range(0, size, _BLOCK):
        yield generator.bytes(min(_BLOCK, size - begin))


def _normal_bf16(generator: np.random.Generator, count: int) -> bytes:
    values = generator.standard_normal(count, dtype=np.float32) * np.float32(0.02)
    return ((values.view(np.uint32) + 0x8000) >> 16).astype("<u2").tobytes()


def _safetensors_header(shapes: dict[str, list[int]]) -> bytes:
    header: dict[str, object] = {}
    offset = 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _main() -> None:
    case, mib, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    base, changed = directory / "base", directory / "changed"
    base.mkdir()
    changed.mkdir()
    CASES[case](mib, base, changed)


if __name__ == "__main__":
    _main()
