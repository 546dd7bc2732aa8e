import io
import pickle
import random
import sys
import types
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsvc.content.chunking import SLICE, Chunk, cut
from regsvc.content.layout import Layout
from regsvc.content.pickled import MAX_OPCODES, Storage, storages

LAYOUTS = {
    "FloatStorage": (4, Layout.WIDTH4),
    "BFloat16Storage": (2, Layout.WIDTH2),
    "LongStorage": (8, Layout.WIDTH8),
    "ComplexFloatStorage": (8, Layout.WIDTH4),
    "BoolStorage": (1, Layout.WIDTH1),
}


@pytest.fixture(autouse=True)
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module named as PyTorch, so that pickles name its classes."""
    module = types.ModuleType("torch")
    for name in [*LAYOUTS, "QUInt4x2Storage"]:
        setattr(module, name, type(name, (), {"__module__": "torch"}))
    monkeypatch.setitem(sys.modules, "torch", module)


class Tensor:
    def __init__(self, kind: str, key: str, count: int) -> None:
        self.id = ("storage", getattr(sys.modules["torch"], kind), key, "cpu", count)


class Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return value.id if isinstance(value, Tensor) else None


def pickled(value: Any, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    Pickler(file, protocol).dump(value)
    return file.getvalue()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_storages_are_read_from_pickles_of_every_protocol(protocol: int) -> None:
    tensors = {f"layer.{i}": Tensor(kind, str(i), 100 + i) for i, kind in enumerate(LAYOUTS)}
    state = {"model": tensors, "tied": tensors["layer.0"], "step": 7, "shape": (1, 2, 3, 4, 5), "rate": 0.1}
    assert storages(pickled(state, protocol)) == {
        str(i): Storage((100 + i) * size, layout) for i, (size, layout) in enumerate(LAYOUTS.values())
    }


def test_storages_of_unknown_classes_are_left_out() -> None:
    tensors = [
        Tensor("QUInt4x2Storage", "0", 5),
        Tensor("FloatStorage", "1", 5),
        Tensor("FloatStorage", "2", -1),
    ]
    assert storages(pickled(tensors)) == {"1": Storage(20, Layout.WIDTH4)}


def test_pickles_are_not_executed() -> None:
    assert storages(
        b"\x80\x02cos\nsystem\nX\x09\0\0\0touch /x;\x85R" + pickled(Tensor("BoolStorage", "0", 1))[2:]
    ) == {"0": Storage(1, Layout.WIDTH1)}


def test_pickles_are_read_up_to_a_limit() -> None:
    last = pickled(Tensor("BoolStorage", "0", 1))[2:]
    assert storages(b"\x80\x02" + b"N" * 1000 + last)
    assert not storages(b"\x80\x02" + b"N" * MAX_OPCODES + last)


@given(st.binary(max_size=60), st.data())
def test_damaged_pickles_are_read_as_far_as_they_go(noise: bytes, data: st.DataObject) -> None:
    good = pickled({str(i): Tensor("FloatStorage", str(i), 9) for i in range(3)})
    begin = data.draw(st.integers(0, len(good)))
    assert len(storages(good[:begin] + noise + good[begin + data.draw(st.integers(0, 60)) :])) <= 4


class Pipe(io.RawIOBase):
    """A file that cannot seek: `zipfile` leaves sizes at zero and writes them after each member, as PyTorch does."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.written += data
        return len(data)


WEIGHTS = random.Random(5).randbytes(1_500_000)


def checkpoint(members: dict[str, tuple[str, bytes]], *, zip64: bool = False, name: str = "archive") -> bytes:
    """Storages (class, bytes) by their key, as `torch.save` lays them out."""
    tensors = {
        f"layer.{key}": Tensor(kind, key, len(data) // LAYOUTS.get(kind, (1, 0))[0])
        for key, (kind, data) in members.items()
    }
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        parts = {"data.pkl": pickled(tensors), "byteorder": b"little"}
        parts |= {f"data/{key}": data for key, (_, data) in members.items()}
        for path, data in {**parts, "version": b"3\n"}.items():
            with archive.open(f"{name}/{path}", "w", force_zip64=zip64) as member:
                member.write(data)
    return bytes(pipe.written)


def tensor_chunks(data: bytes) -> list[tuple[int, Layout]]:
    chunks = cut(data)
    assert b"".join(chunk.data for chunk in chunks) == data
    return [(len(chunk.data), chunk.layout) for chunk in chunks if chunk.layout is not Layout.OPAQUE]


def contents(chunks: list[Chunk]) -> set[bytes]:
    return {bytes(chunk.data) for chunk in chunks}


@pytest.mark.parametrize("zip64", [False, True])
def test_sizes_of_storages_come_from_the_pickle(zip64: bool) -> None:
    members = {
        "0": ("FloatStorage", WEIGHTS),
        "1": ("BoolStorage", b""),
        "2": ("BFloat16Storage", WEIGHTS[:200_000]),
        "3": ("LongStorage", WEIGHTS[:9_000]),
    }
    assert tensor_chunks(checkpoint(members, zip64=zip64)) == [
        (SLICE, Layout.WIDTH4),
        (len(WEIGHTS) - SLICE, Layout.WIDTH4),
        (200_000, Layout.WIDTH2),
        (9_000, Layout.WIDTH8),
    ]


def test_signatures_inside_members_are_not_taken_for_their_end() -> None:
    size = (200_000).to_bytes(4, "little")
    fake = b"PK\x07\x08" + bytes(4) + size + size + b"PK"
    weights = WEIGHTS[:100_000] + fake + WEIGHTS[100_000:200_000] + fake
    members = {fake.hex() + "PK\7\b": ("FloatStorage", weights)}
    assert tensor_chunks(checkpoint(members)) == [(len(weights), Layout.WIDTH4)]


def test_another_name_of_the_archive_keeps_the_chunks_of_storages() -> None:
    members = {"0": ("FloatStorage", WEIGHTS), "1": ("BFloat16Storage", WEIGHTS[:200_000])}
    old, new = (contents(cut(checkpoint(members, name=name))) for name in ("step_900", "step_1000"))
    assert sum(map(len, old & new)) == len(WEIGHTS) + 200_000


def test_storage_that_is_not_as_long_as_the_pickle_says_ends_the_walk() -> None:
    members = {"0": ("FloatStorage", WEIGHTS[:200_000]), "1": ("FloatStorage", WEIGHTS[:300_000])}
    data = checkpoint(members)
    lying = data.replace((50_000).to_bytes(2, "little"), (40_000).to_bytes(2, "little"), 1)
    assert lying != data
    assert tensor_chunks(lying) == [(160_000, Layout.WIDTH4)]


def test_storage_of_an_unknown_class_and_unstated_size_ends_the_walk() -> None:
    members = {"0": ("QUInt4x2Storage", WEIGHTS[:200_000]), "1": ("FloatStorage", WEIGHTS[:300_000])}
    assert tensor_chunks(checkpoint(members)) == []


def test_large_members_of_any_archive_are_cut_by_themselves() -> None:
    files = []
    for note in (b"short", b"a good deal longer"):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("config.json", note)
            archive.writestr("model.weights.h5", WEIGHTS)
        files.append(cut(file.getvalue()))
    kept = contents(files[0]) & contents(files[1])
    assert sum(map(len, kept)) == len(WEIGHTS)
