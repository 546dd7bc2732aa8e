"""Chunks of cached files, wherever they stand, serve as base for others."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from regsvc.client.cache import Cache, ChunkPlace, Entries, NewFile
from regsvc.client.cache.layout import Layout

from .cached_files import BIG, random_bytes, sample, version_digest

PIECES = [random_bytes(f"piece {number}", 1 + number * 9_000) for number in range(12)]
"""What files are made of: some are small enough to be read each time, some files are larger than that."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def held(home: Path) -> Iterator[Entries]:
    with Cache(home).using() as chosen:
        assert chosen is not None
        yield chosen


def put(held: Entries, folder: Path, version: int, files: list[list[int]]) -> None:
    """Cache a version of files that are made of these pieces."""
    folder.mkdir(parents=True, exist_ok=True)
    proven = []
    for number, pieces in enumerate(files):
        data = b"".join(PIECES[piece] for piece in pieces)
        path = folder / f"{version}-{number}"
        path.write_bytes(data)
        chunks = [(blake3(PIECES[piece]).digest(), len(PIECES[piece])) for piece in pieces]
        proven.append(NewFile(str(path), blake3(data).digest(), len(data), chunks))
    assert held.add(version_digest(version), f"team/a:{version}", proven)


def read(place: ChunkPlace) -> bytes:
    with open(place.location, "rb") as file:
        file.seek(place.offset)
        return file.read(place.size)


pieces = st.integers(0, len(PIECES) - 1)
file_lists = st.lists(st.lists(pieces, max_size=8), max_size=5)


@given(versions=st.lists(file_lists, max_size=4), wanted=st.sets(pieces))
@settings(max_examples=60, deadline=None)
def test_exactly_the_chunks_that_are_there_are_found(
    versions: list[list[list[int]]], wanted: set[int]
) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        with Cache(folder / "cache").using() as held:
            assert held is not None
            for number, files in enumerate(versions):
                put(held, folder / "pulled", number, files)
            sizes = {blake3(PIECES[piece]).digest(): len(PIECES[piece]) for piece in wanted}
            found = held.find_chunks(sizes)
            held.added = 0
        present = {piece for files in versions for file in files for piece in file}
        assert set(found) == {blake3(PIECES[piece]).digest() for piece in wanted & present}
        for digest, place in found.items():
            assert place.size == sizes[digest]
            assert blake3(read(place)).digest() == digest
            assert Path(place.location).name == place.file.hex()
    finally:
        shutil.rmtree(folder)


def test_the_version_used_last_is_preferred(held: Entries, tmp_path: Path) -> None:
    for version in range(3):
        put(held, tmp_path / "pulled", version, [[9, version]])
    wanted = {blake3(PIECES[9]).digest(): len(PIECES[9])}

    def source() -> bytes:
        (place,) = held.find_chunks(wanted).values()
        return read(place._replace(offset=0, size=1 << 30))

    assert source() == PIECES[9] + PIECES[2]
    held.touch(version_digest(0))
    assert source() == PIECES[9] + PIECES[0]


def test_places_come_in_the_order_of_the_file(held: Entries, tmp_path: Path) -> None:
    put(held, tmp_path / "pulled", 0, [[5, 3, 8, 5, 1, 9]])
    wanted = {blake3(PIECES[piece]).digest(): len(PIECES[piece]) for piece in (9, 1, 3, 5, 8)}
    offsets = [place.offset for place in held.find_chunks(wanted).values()]
    assert len(offsets) == 5
    assert offsets == sorted(offsets)


def test_a_chunk_of_another_size_is_not_it(held: Entries, tmp_path: Path) -> None:
    put(held, tmp_path / "pulled", 0, [[3, 4], [5]])
    assert held.find_chunks({blake3(PIECES[piece]).digest(): 7 for piece in (3, 5)}) == {}


@pytest.mark.parametrize("damage", ["gone", "cut", "note cut", "note of another file"])
def test_what_is_damaged_is_no_base(held: Entries, home: Path, tmp_path: Path, damage: str) -> None:
    first, second = [3, 4, 11], [5, 6, 7]  # of the same size
    put(held, tmp_path / "pulled", 0, [first, second])
    digests = [blake3(b"".join(PIECES[piece] for piece in file)).digest() for file in (first, second)]
    layout = Layout(str(home))
    path, note = (Path(layout.path(kind, digests[0])) for kind in ("files", "notes"))
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(b"short")
    elif damage == "note cut":
        note.write_bytes(note.read_bytes()[:-1])
    else:
        note.write_bytes(Path(layout.path("notes", digests[1])).read_bytes())
    wanted = {blake3(PIECES[piece]).digest(): len(PIECES[piece]) for piece in first + second}
    found = held.find_chunks(wanted)
    assert set(found) == {blake3(PIECES[piece]).digest() for piece in second}
    assert {place.file for place in found.values()} == {digests[1]}


def test_a_file_of_too_many_chunks_is_kept_whole(
    held: Entries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regsvc.client.cache.notes.MAX_CHUNKS", 2)
    file = sample(tmp_path / "pulled", random_bytes(1, BIG), chunk=100_000)
    assert held.add(version_digest(1), "team/a:1", [file.proven()])
    assert held.find(file.digest, BIG) is not None
    assert held.find_chunks(dict(file.chunks)) == {}
    assert held.link(file.digest, BIG, str(tmp_path / "out"), hardlink=True)
